// Package blob is the store of files that Lethe is written against: what S3
// does, as few methods. Memory is the in-memory form, and package blobtest is
// the suite that every driver runs.
package blob

import (
	"context"
	"io"
	"time"
)

// Limits, equal in every driver; they are S3's.
const (
	// MinPart is the least size of every part of an upload but the last.
	MinPart = 5 << 20
	// MaxParts is the most parts of one upload, numbered from 1.
	MaxParts = 10000
)

// Info describes one stored file.
type Info struct {
	Key     string
	Size    int64
	Changed time.Time // when it was put or completed
}

// A Part names a part that was uploaded. Tag is opaque.
type Part struct {
	Number int    `json:"number"`
	Tag    string `json:"tag"`
	Size   int64  `json:"size"`
}

// A Link is what a presigned link binds beside its key.
type Link struct {
	Lifetime time.Duration // how long from now the link works
	Filename string        // the name under which a browser saves the file
	Type     string        // the media type of the answer
}

// Bucket is a flat set of files, each named by a key of slash-separated names
// ([A-Za-z0-9._-]+, none of them "." or ".."). All methods are safe for
// concurrent use. A file appears whole or not at all, and is durable when the
// method that made it returns nil; after an error it may be there or not.
//
// Kinds of errors: NotFound, Invalid (a key or a part number that cannot be),
// Throttled and Unavailable (try again later). No error text holds a key.
type Bucket interface {
	// Put stores what r gives until EOF under key, replacing what was there. It
	// streams: it holds a bounded part of r at a time. If r fails, Put returns that
	// error and stores nothing.
	Put(ctx context.Context, key string, r io.Reader) error

	// Get opens n bytes of a file from off on, or all from off on if n < 0. A range
	// beyond the end is cut at the end. The caller closes the reader.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Head describes one file.
	Head(ctx context.Context, key string) (Info, error)

	// List returns, in the order of keys, up to limit files whose key begins with
	// prefix and is greater than after. Fewer than limit is the end.
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)

	// Delete removes files; one that is absent is no error.
	Delete(ctx context.Context, keys ...string) error

	// Begin starts an upload in parts and returns its name. Nothing is visible
	// under key before Complete.
	Begin(ctx context.Context, key string) (upload string, err error)

	// Part stores part number of an upload; doing it again replaces the part. Size
	// is the number of bytes in r.
	Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (Part, error)

	// CopyPart stores n bytes from off on of the file src as part number, without
	// the bytes passing through the caller where the store can do that.
	CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (Part, error)

	// Complete joins the parts, in the order given, into the file. An upload that
	// was completed already is kind.NotFound: look with Head whether the file is
	// there.
	Complete(ctx context.Context, key, upload string, parts []Part) error

	// Abort gives an upload up and removes its parts; one that is absent is no error.
	Abort(ctx context.Context, key, upload string) error

	// Link returns an address from which anyone who has it can GET the file until
	// its lifetime ends. It binds method, key and expiry, and the answer is an
	// attachment. It does not check that the file exists.
	Link(ctx context.Context, key string, l Link) (string, error)
}
