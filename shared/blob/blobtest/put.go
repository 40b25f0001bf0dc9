package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

const mib = 1 << 20

func testPut(t *testing.T, d Driver) {
	for i, size := range []int64{0, 1, 100_000, 8 * mib, 8*mib + 1, 20 * mib} {
		data := some(byte(i), size)
		// What is not a bytes.Reader hides its length, as a pipe does.
		if err := d.Bucket.Put(t.Context(), "folder/put.bin", io.MultiReader(bytes.NewReader(data))); err != nil {
			t.Fatalf("Put of %d bytes: %v", size, err)
		}
		wantFile(t, d.Bucket, "folder/put.bin", data)
	}
}

func testPutReplaces(t *testing.T, d Driver) {
	for _, text := range []string{"first, longer", "second", ""} {
		put(t, d.Bucket, "exports/again.txt", []byte(text))
		wantFile(t, d.Bucket, "exports/again.txt", []byte(text))
	}
}

func testPutAwkwardReaders(t *testing.T, d Driver) {
	data := some(1, 10_000)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one byte at a time": iotest.OneByteReader,
		"data with the end":  iotest.DataErrReader,
	} {
		if err := d.Bucket.Put(t.Context(), "awkward.bin", wrap(bytes.NewReader(data))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantFile(t, d.Bucket, "awkward.bin", data)
	}
}

var errReader = errors.New("the reader failed")

func testPutReaderFails(t *testing.T, d Driver) {
	before := []byte("what was there")
	put(t, d.Bucket, "fails/old.bin", before)
	for _, size := range []int64{0, 1000, 8 * mib, 9 * mib} {
		for _, key := range []string{"fails/old.bin", "fails/new.bin"} {
			r := io.MultiReader(content(1, size), iotest.ErrReader(kind.E(kind.Throttled, "read", errReader)))
			err := d.Bucket.Put(t.Context(), key, r)
			if !errors.Is(err, errReader) || kind.Of(err) != kind.Throttled {
				t.Errorf("the reader failed after %d bytes: got %v, want its error and kind", size, err)
			}
		}
		wantFile(t, d.Bucket, "fails/old.bin", before)
		wantAbsent(t, d.Bucket, "fails/new.bin")
	}
	// What decompresses or unpacks says by this that its input was cut short.
	err := d.Bucket.Put(t.Context(), "fails/new.bin", io.MultiReader(content(1, 1000), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reader's input was cut short: got %v, want its error", err)
	}
	infos, err := d.Bucket.List(t.Context(), "", "", 10)
	if err != nil || len(infos) != 1 {
		t.Errorf("List: got %v, %v; want only the old file", infos, err)
	}
}

// hooked calls hook before every read.
type hooked struct {
	io.Reader
	hook func()
}

func (h hooked) Read(p []byte) (int, error) {
	h.hook()
	return h.Reader.Read(p[:min(len(p), mib)])
}

func testPutContextEnds(t *testing.T, d Driver) {
	for _, size := range []int64{100, 12 * mib} {
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Bucket.Put(ctx, "cancelled.bin", io.MultiReader(content(1, size), hooked{content(2, 100), cancel}))
		wantKind(t, "Put whose context ends", err, kind.Unavailable)
		wantAbsent(t, d.Bucket, "cancelled.bin")
		cancel()
	}
}

func testPutAppearsWhole(t *testing.T, d Driver) {
	old := some(1, 3*mib)
	put(t, d.Bucket, "whole/old.bin", old)
	looks := 0
	look := func() {
		if looks++; looks%4 == 1 {
			wantFile(t, d.Bucket, "whole/old.bin", old)
			wantAbsent(t, d.Bucket, "whole/new.bin")
		}
	}
	for _, key := range []string{"whole/new.bin", "whole/old.bin"} {
		looks = 0
		if err := d.Bucket.Put(t.Context(), key, hooked{content(2, 11*mib), look}); err != nil {
			t.Fatal(err)
		}
		if looks < 11 {
			t.Errorf("Put read %d times only; it was not looked at while under way", looks)
		}
		wantFile(t, d.Bucket, key, some(2, 11*mib))
		if key == "whole/new.bin" {
			if err := d.Bucket.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// testPutStreams measures what lives on the heap while a file passes that is
// larger than what may be held.
func testPutStreams(t *testing.T, d Driver) {
	if !d.Streams {
		return
	}
	const size, most = 44 * mib, 24 * mib
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base, peak, reads := live(), uint64(0), 0
	measure := func() {
		if reads++; reads%8 == 0 {
			peak = max(peak, live())
		}
	}
	if err := d.Bucket.Put(t.Context(), "large.bin", hooked{content(1, size), measure}); err != nil {
		t.Fatal(err)
	}
	r, err := d.Bucket.Get(t.Context(), "large.bin", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, want := sha256.New(), sha256.New()
	if _, err := io.Copy(got, hooked{r, measure}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(want, content(1, size))
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("the large file came back changed")
	}
	if peak > base+most {
		t.Errorf("%d MiB were held while %d MiB passed; want at most %d", (peak-base)/mib, size/mib, most/mib)
	}
}

func testBadKeys(t *testing.T, d Driver) {
	put(t, d.Bucket, "keep.txt", []byte("kept"))
	upload, err := d.Bucket.Begin(t.Context(), "keep.txt")
	if err != nil {
		t.Fatal(err)
	}
	ctx, b, body := t.Context(), d.Bucket, strings.NewReader("")
	for _, key := range []string{"", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../keep.txt", "a/../keep.txt",
		"./keep.txt", "keep.txt/..", "a b", "a\\b", "a\x00b", "+uploads", "~x", "straße", strings.Repeat("x", 256)} {
		for name, call := range map[string]func() error{
			"Put":      func() error { return b.Put(ctx, key, body) },
			"Get":      func() error { _, err := b.Get(ctx, key, 0, -1); return err },
			"Head":     func() error { _, err := b.Head(ctx, key); return err },
			"Delete":   func() error { return b.Delete(ctx, "keep.txt", key) },
			"Begin":    func() error { _, err := b.Begin(ctx, key); return err },
			"Part":     func() error { _, err := b.Part(ctx, key, upload, 1, body, 0); return err },
			"CopyPart": func() error { _, err := b.CopyPart(ctx, key, upload, 1, "keep.txt", 0, 1); return err },
			"CopyPart from": func() error {
				_, err := b.CopyPart(ctx, "keep.txt", upload, 1, key, 0, 1)
				return err
			},
			"Complete": func() error { return b.Complete(ctx, key, upload, []blob.Part{{Number: 1, Tag: "1"}}) },
			"Abort":    func() error { return b.Abort(ctx, key, upload) },
			"Link": func() error {
				_, err := b.Link(ctx, key, goodLink)
				return err
			},
		} {
			if got := kind.Of(call()); got != kind.Invalid {
				t.Errorf("%s with the key %q: got %q, want %q", name, key, got, kind.Invalid)
			}
		}
	}
	for _, prefix := range []string{"../", "/", "a//", "a b"} {
		_, err := b.List(ctx, prefix, "", 1)
		wantKind(t, "List with a prefix that cannot be", err, kind.Invalid)
		_, err = b.List(ctx, "", prefix, 1)
		wantKind(t, "List after a key that cannot be", err, kind.Invalid)
	}
	wantFile(t, b, "keep.txt", []byte("kept"))
}

func testEndedContext(t *testing.T, d Driver) {
	put(t, d.Bucket, "keep.txt", []byte("kept"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, body := d.Bucket, strings.NewReader("new")
	for name, call := range map[string]func() error{
		"Put":      func() error { return b.Put(ctx, "keep.txt", body) },
		"Get":      func() error { _, err := b.Get(ctx, "keep.txt", 0, -1); return err },
		"Head":     func() error { _, err := b.Head(ctx, "keep.txt"); return err },
		"List":     func() error { _, err := b.List(ctx, "", "", 1); return err },
		"Delete":   func() error { return b.Delete(ctx, "keep.txt") },
		"Begin":    func() error { _, err := b.Begin(ctx, "keep.txt"); return err },
		"Part":     func() error { _, err := b.Part(ctx, "keep.txt", "1", 1, strings.NewReader(""), 0); return err },
		"CopyPart": func() error { _, err := b.CopyPart(ctx, "keep.txt", "1", 1, "keep.txt", 0, 1); return err },
		"Complete": func() error { return b.Complete(ctx, "keep.txt", "1", []blob.Part{{Number: 1, Tag: "1"}}) },
		"Abort":    func() error { return b.Abort(ctx, "keep.txt", "1") },
	} {
		wantKind(t, name, call(), kind.Unavailable)
	}
	wantFile(t, b, "keep.txt", []byte("kept"))
}
