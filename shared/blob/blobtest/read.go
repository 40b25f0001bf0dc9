package blobtest

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

func testRanges(t *testing.T, d Driver) {
	data := some(1, 100_000)
	put(t, d.Bucket, "ranges/full.bin", data)
	put(t, d.Bucket, "ranges/empty.bin", nil)
	for _, tc := range []struct{ off, n, from, to int64 }{
		{0, -1, 0, 100_000},
		{0, 100_000, 0, 100_000},
		{0, 1, 0, 1},
		{0, 0, 0, 0},
		{7, 0, 7, 7},
		{7, 5, 7, 12},
		{99_999, -1, 99_999, 100_000},
		{99_990, 100, 99_990, 100_000},
		{50_000, -7, 50_000, 100_000},
		{100_000, -1, 0, 0},
		{100_000, 1, 0, 0},
		{1 << 40, 10, 0, 0},
		{10, 1<<63 - 1, 10, 100_000},
	} {
		if got, want := get(t, d.Bucket, "ranges/full.bin", tc.off, tc.n), data[tc.from:tc.to]; !bytes.Equal(got, want) {
			t.Errorf("Get(%d, %d): got %d bytes, want %d, or they differ", tc.off, tc.n, len(got), len(want))
		}
		if got := get(t, d.Bucket, "ranges/empty.bin", tc.off, tc.n); len(got) > 0 {
			t.Errorf("Get(%d, %d) of an empty file: got %d bytes", tc.off, tc.n, len(got))
		}
	}
	_, err := d.Bucket.Get(t.Context(), "ranges/full.bin", -1, 10)
	wantKind(t, "Get from a negative offset", err, kind.Invalid)
	for _, n := range []int64{-1, 0, 1} {
		_, err := d.Bucket.Get(t.Context(), "ranges/absent.bin", 0, n)
		wantKind(t, "Get of an absent file", err, kind.NotFound)
	}
}

func testAbsent(t *testing.T, d Driver) {
	wantAbsent(t, d.Bucket, "nothing/at-all.txt")
	put(t, d.Bucket, "folder/sub/file.txt", []byte("x"))
	for _, key := range []string{"folder", "folder/sub", "folder/sub/file", "folder/sub/file.txt/below", "File.txt"} {
		wantAbsent(t, d.Bucket, key)
		if err := d.Bucket.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
	}
	wantFile(t, d.Bucket, "folder/sub/file.txt", []byte("x"))
}

func testOpenFileStays(t *testing.T, d Driver) {
	old := some(1, 9*mib)
	for name, change := range map[string]func() error{
		"replaced": func() error { return d.Bucket.Put(t.Context(), "open.bin", content(2, 9*mib)) },
		"deleted":  func() error { return d.Bucket.Delete(t.Context(), "open.bin") },
	} {
		put(t, d.Bucket, "open.bin", old)
		r, err := d.Bucket.Get(t.Context(), "open.bin", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 10)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(append(head, rest...), old) {
			t.Errorf("a file that was %s while open gave other bytes", name)
		}
		r.Close()
	}
}

func testChanged(t *testing.T, d Driver) {
	from := time.Now().Add(-2 * time.Second)
	put(t, d.Bucket, "changed/put.txt", []byte("x"))
	complete(t, d.Bucket, "changed/upload.txt", []byte("x"))
	to := time.Now().Add(2 * time.Second)
	infos, err := d.Bucket.List(t.Context(), "changed/", "", 10)
	if err != nil || len(infos) != 2 {
		t.Fatalf("List: got %v, %v; want two files", infos, err)
	}
	for _, listed := range infos {
		info, err := d.Bucket.Head(t.Context(), listed.Key)
		if err != nil || info.Changed.Before(from) || info.Changed.After(to) {
			t.Errorf("Head: got %v, %v; want a time between %v and %v", info.Changed, err, from, to)
		}
		if !listed.Changed.Truncate(time.Second).Equal(info.Changed.Truncate(time.Second)) || listed.Size != info.Size {
			t.Errorf("List says %+v, Head says %+v", listed, info)
		}
	}
}

// testList compares List with its own definition over keys whose order differs
// from that of a walk through folders.
func testList(t *testing.T, d Driver) {
	keys := []string{"A/z", "a-b", "a.b", "a/b", "a/c-d/e", "a/c.d", "a/c/d", "a/c/e", "a/c0", "a0", "aa", "b/c/d/e"}
	for _, i := range []int{3, 11, 0, 7, 5, 9, 1, 8, 10, 2, 6, 4} {
		put(t, d.Bucket, keys[i], []byte(keys[i]))
	}
	put(t, d.Bucket, "gone/x", nil)
	if err := d.Bucket.Delete(t.Context(), "gone/x"); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "a", "a/", "a/c", "a/c/", "a/c/d", "a/c/d/", "b/c", "gone/", "x", "A"} {
		for _, after := range []string{"", "A/z", "a", "a-", "a/", "a/b", "a/c", "a/c-d/e", "a/c/d", "a/c/dd", "b/c/d/d", "c"} {
			for _, limit := range []int{1, 2, 5, 12, 5000} {
				var want []string
				for _, key := range keys {
					if strings.HasPrefix(key, prefix) && key > after && len(want) < limit {
						want = append(want, key)
					}
				}
				infos, err := d.Bucket.List(t.Context(), prefix, after, limit)
				if err != nil {
					t.Fatalf("List(%q, %q, %d): %v", prefix, after, limit, err)
				}
				if got := names(infos); !slices.Equal(got, want) {
					t.Errorf("List(%q, %q, %d):\ngot  %q\nwant %q", prefix, after, limit, got, want)
				}
			}
		}
	}
	for _, limit := range []int{0, -1} {
		_, err := d.Bucket.List(t.Context(), "", "", limit)
		wantKind(t, "List with no limit", err, kind.Invalid)
	}
}

func names(infos []blob.Info) []string {
	var keys []string
	for _, info := range infos {
		keys = append(keys, info.Key)
	}
	return keys
}

func testDelete(t *testing.T, d Driver) {
	for _, key := range []string{"del/1.txt", "del/2.txt", "del/deep/down/3.txt", "keep/4.txt", "keep/5.txt"} {
		put(t, d.Bucket, key, []byte(key))
	}
	if err := d.Bucket.Delete(t.Context()); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	if err := d.Bucket.Delete(t.Context(), "del/absent.txt"); err != nil {
		t.Errorf("Delete of an absent file: %v", err)
	}
	many := []string{"del/1.txt", "absent/folder/x", "del/deep/down/3.txt", "del/1.txt", "del/2.txt"}
	for range 2 {
		if err := d.Bucket.Delete(t.Context(), many...); err != nil {
			t.Fatalf("Delete of many: %v", err)
		}
		infos, err := d.Bucket.List(t.Context(), "", "", 10)
		if want := []string{"keep/4.txt", "keep/5.txt"}; err != nil || !slices.Equal(names(infos), want) {
			t.Errorf("List after Delete: got %q, %v; want %q", names(infos), err, want)
		}
	}
	put(t, d.Bucket, "del/deep/down/3.txt", []byte("again"))
	wantFile(t, d.Bucket, "del/deep/down/3.txt", []byte("again"))
}
