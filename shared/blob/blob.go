// Package blob is the store of files that Lethe is written against: what S3
// does, as few methods. Memory is the in-memory form, and package blobtest is
// the suite that every driver runs.
package blob

import (
	"context"
	"io"
	"time"
)

// Limits on parts, equal in every driver; they are S3's.
const (
	// MinPart is the least size of every part of an upload but the last.
	MinPart = 5 << 20
	// MaxPart is the most that one part can hold.
	MaxPart = 5 << 30
	// MaxParts is the most parts of one upload, numbered from 1.
	MaxParts = 10000
)

// Info describes one stored file.
type Info struct {
	Key     string
	Size    int64
	Changed time.Time // when it was put or completed, to the second
}

// A Part names a part that was uploaded. Tag is opaque: the same bytes stored
// again may have another.
type Part struct {
	Number int    `json:"number"`
	Tag    string `json:"tag"`
	Size   int64  `json:"size"`
}

// Bucket is a flat set of files, each named by a key that CheckKey accepts. All
// methods are safe for concurrent use. A file appears whole or not at all, and
// is durable when the method that made it returns nil; after an error it may be
// there or not.
//
// Use no key that is another key and a slash and more: what keeps files in
// directories cannot hold both "a" and "a/b" and answers kind.Conflict.
//
// Kinds of errors: NotFound, Invalid (a key, a range or a part that cannot be),
// Throttled and Unavailable (try again later). No error text holds a key.
type Bucket interface {
	// Put stores what r gives until EOF under key, replacing what was there. It
	// streams: it holds a bounded part of r at a time. If r fails, Put returns that
	// error and stores nothing. Up to 64 GiB fit everywhere; what may be larger goes
	// in parts.
	Put(ctx context.Context, key string, r io.Reader) error

	// Get opens n bytes of a file from off on, or all from off on if n < 0. A range
	// beyond the end is cut at the end, and may be empty. The reader keeps giving
	// the file that was opened, though it be replaced or deleted meanwhile, or fails.
	// The caller closes it.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Head describes one file.
	Head(ctx context.Context, key string) (Info, error)

	// List returns, in the byte order of keys, up to limit files whose key begins
	// with prefix and is greater than after. Fewer than limit is the end. Limit is at
	// least 1; prefix and after are "" or what CheckPrefix accepts.
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)

	// Delete removes files; one that is absent is no error. If one of the keys
	// cannot be, it removes nothing. After another error some may be gone.
	Delete(ctx context.Context, keys ...string) error

	// Begin starts an upload in parts and returns its name. Nothing is visible
	// under key before Complete. An upload that nothing was added to for a day may
	// be removed.
	Begin(ctx context.Context, key string) (upload string, err error)

	// Part stores part number of an upload; doing it again replaces the part. Size
	// is the number of bytes in r from where it stands. The part is durable when
	// Part returns nil. If r fails, Part returns that error and the part is as it
	// was. An upload that is absent, or of another key, is kind.NotFound.
	Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (Part, error)

	// CopyPart stores n bytes from off on of the file src as part number, without
	// the bytes passing through the caller where the store can do that. A range not
	// wholly within src is kind.Invalid; otherwise it is as Part.
	CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (Part, error)

	// Complete joins the parts, whose numbers rise, into the file, and the upload is
	// gone. A part that is not there under its tag, as after it was replaced, is
	// kind.Conflict; no parts, a wrong order or a part but the last smaller than
	// MinPart are kind.Invalid; after these the upload stands as it was.
	//
	// An upload that was completed already is kind.NotFound: look with Head whether
	// the file is there. S3 itself may answer nil instead for a while; no store makes
	// the file again.
	Complete(ctx context.Context, key, upload string, parts []Part) error

	// Abort gives an upload up and removes its parts; one that is absent is no error.
	// With upload empty it gives up every upload of key.
	Abort(ctx context.Context, key, upload string) error

	// Link returns an address from which anyone who has it can GET the file until
	// its lifetime ends. It binds method, key and expiry, and the answer is an
	// attachment. It does not check that the file exists.
	Link(ctx context.Context, key string, l Link) (string, error)
}
