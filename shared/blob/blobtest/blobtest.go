// Package blobtest is the suite that every driver of blob.Bucket runs:
//
//	blobtest.Run(t, func(t *testing.T) blobtest.Driver {
//		return blobtest.Driver{Bucket: blob.NewMemory(time.Now)}
//	})
//
// For the packages above it has Faulty, which fails a chosen write, and Through
// for a fault that befalls other stores too.
package blobtest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// A Driver is an empty bucket and what it declares about itself.
type Driver struct {
	Bucket blob.Bucket
	// Streams says that Put and Get hold a bounded part of a file in memory.
	Streams bool
	// Links says that links are answered over HTTP from now to the end of the test.
	Links bool
	// Shift sets the clock that links are made by to d from the true time; the
	// clock that they are judged by stays. It is needed where Links is set and is
	// called from one goroutine.
	Shift func(d time.Duration)
	// Lacks is what the engine under the driver is known not to do as the one that it
	// plays does, which is no fault of the driver's.
	Lacks []Lack
}

// A Lack is something that an engine does not do.
type Lack string

const (
	// AbsentUploads: what is asked of an upload that is none fails in any way, and
	// what is asked of one under another key than its own succeeds.
	AbsentUploads Lack = "absent uploads"
	// CopyBounds: of a range that ends beyond the file's end, what there is is copied.
	CopyBounds Lack = "copy bounds"
)

func (d Driver) lack(l Lack) bool { return slices.Contains(d.Lacks, l) }

// Run tests the drivers that open returns, a fresh one for each test.
func Run(t *testing.T, open func(t *testing.T) Driver) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Driver)
	}{
		{"Put", testPut},
		{"PutReplaces", testPutReplaces},
		{"PutAwkwardReaders", testPutAwkwardReaders},
		{"PutReaderFails", testPutReaderFails},
		{"PutContextEnds", testPutContextEnds},
		{"PutAppearsWhole", testPutAppearsWhole},
		{"PutStreams", testPutStreams},
		{"Ranges", testRanges},
		{"Absent", testAbsent},
		{"OpenFileStays", testOpenFileStays},
		{"Changed", testChanged},
		{"List", testList},
		{"Delete", testDelete},
		{"Upload", testUpload},
		{"UploadIsInvisible", testUploadIsInvisible},
		{"UploadSmallParts", testUploadSmallParts},
		{"UploadPartReplaced", testUploadPartReplaced},
		{"UploadPartReaderFails", testUploadPartReaderFails},
		{"UploadLeavesPartsOut", testUploadLeavesPartsOut},
		{"UploadRefusals", testUploadRefusals},
		{"UploadAbsent", testUploadAbsent},
		{"UploadCompletedTwice", testUploadCompletedTwice},
		{"UploadAborted", testUploadAborted},
		{"UploadsSideBySide", testUploadsSideBySide},
		{"CopyPart", testCopyPart},
		{"CopyPartRefusals", testCopyPartRefusals},
		{"LinkFields", testLinkFields},
		{"LinkFetch", testLinkFetch},
		{"LinkExpiry", testLinkExpiry},
		{"LinkTampered", testLinkTampered},
		{"Concurrency", testConcurrency},
		{"BadKeys", testBadKeys},
		{"EndedContext", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := open(t)
			d.Bucket = discreet{d.Bucket, t}
			test.run(t, d)
		})
	}
}

// content returns size bytes that depend on seed and do not repeat.
func content(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

// some returns what content gives.
func some(seed byte, size int64) []byte {
	b := make([]byte, size)
	_, _ = io.ReadFull(content(seed, size), b)
	return b
}

func put(t *testing.T, b blob.Bucket, key string, data []byte) {
	t.Helper()
	if err := b.Put(t.Context(), key, bytes.NewReader(data)); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

func get(t *testing.T, b blob.Bucket, key string, off, n int64) []byte {
	t.Helper()
	r, err := b.Get(t.Context(), key, off, n)
	if err != nil {
		t.Fatalf("Get(%q, %d, %d): %v", key, off, n, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("reading Get(%q, %d, %d): %v", key, off, n, err)
	}
	return data
}

// wantFile fails the test unless the file is there with these bytes.
func wantFile(t *testing.T, b blob.Bucket, key string, want []byte) {
	t.Helper()
	if got := get(t, b, key, 0, -1); !bytes.Equal(got, want) {
		t.Errorf("%q: got %d bytes, want %d, or they differ", key, len(got), len(want))
	}
	info, err := b.Head(t.Context(), key)
	if err != nil || info.Key != key || info.Size != int64(len(want)) {
		t.Errorf("Head(%q): got %+v, %v; want the key and %d bytes", key, info, err, len(want))
	}
}

// wantAbsent fails the test unless no method shows the file.
func wantAbsent(t *testing.T, b blob.Bucket, key string) {
	t.Helper()
	_, err := b.Head(t.Context(), key)
	wantKind(t, "Head of an absent file", err, kind.NotFound)
	r, err := b.Get(t.Context(), key, 0, -1)
	if err == nil {
		r.Close()
	}
	wantKind(t, "Get of an absent file", err, kind.NotFound)
	infos, err := b.List(t.Context(), key, "", 1)
	if err != nil || len(infos) > 0 && infos[0].Key == key {
		t.Errorf("List: got %v, %v; want the file absent", infos, err)
	}
}

// wantKind fails the test unless err is of kind want; "" is no error.
func wantKind(t *testing.T, what string, err error, want kind.Kind) {
	t.Helper()
	if got := kind.Of(err); got != want {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, want)
	}
}

// discreet fails the test when an error names the key that it is about.
type discreet struct {
	blob.Bucket
	t *testing.T
}

func (d discreet) check(err error, keys ...string) {
	if err == nil {
		return
	}
	for _, key := range keys {
		for name := range strings.SplitSeq(key, "/") {
			if len(name) > 4 && strings.Contains(err.Error(), name) {
				d.t.Errorf("an error names a key: %v", err)
			}
		}
	}
}

func (d discreet) Put(ctx context.Context, key string, r io.Reader) error {
	err := d.Bucket.Put(ctx, key, r)
	d.check(err, key)
	return err
}

func (d discreet) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := d.Bucket.Get(ctx, key, off, n)
	d.check(err, key)
	return r, err
}

func (d discreet) Head(ctx context.Context, key string) (blob.Info, error) {
	info, err := d.Bucket.Head(ctx, key)
	d.check(err, key)
	return info, err
}

func (d discreet) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	infos, err := d.Bucket.List(ctx, prefix, after, limit)
	d.check(err, prefix, after)
	return infos, err
}

func (d discreet) Delete(ctx context.Context, keys ...string) error {
	err := d.Bucket.Delete(ctx, keys...)
	d.check(err, keys...)
	return err
}

func (d discreet) Begin(ctx context.Context, key string) (string, error) {
	upload, err := d.Bucket.Begin(ctx, key)
	d.check(err, key)
	return upload, err
}

func (d discreet) Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (blob.Part, error) {
	part, err := d.Bucket.Part(ctx, key, upload, number, r, size)
	d.check(err, key)
	return part, err
}

func (d discreet) CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (blob.Part, error) {
	part, err := d.Bucket.CopyPart(ctx, key, upload, number, src, off, n)
	d.check(err, key, src)
	return part, err
}

func (d discreet) Complete(ctx context.Context, key, upload string, parts []blob.Part) error {
	err := d.Bucket.Complete(ctx, key, upload, parts)
	d.check(err, key)
	return err
}

func (d discreet) Abort(ctx context.Context, key, upload string) error {
	err := d.Bucket.Abort(ctx, key, upload)
	d.check(err, key)
	return err
}

func (d discreet) Link(ctx context.Context, key string, l blob.Link) (string, error) {
	link, err := d.Bucket.Link(ctx, key, l)
	d.check(err, key)
	return link, err
}
