package blob_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
)

// Over the ends of pages, and however the two buckets differ, what one lacks is found,
// each file once, and nothing else.
func TestMissing(t *testing.T) {
	key := func(n int) string { return fmt.Sprintf("a/%04d", n) }
	for name, has := range map[string]func(n int) bool{
		"nothing":       func(int) bool { return false },
		"all":           func(int) bool { return true },
		"every third":   func(n int) bool { return n%3 == 0 },
		"the beginning": func(n int) bool { return n < 1100 },
		"the end":       func(n int) bool { return n > 1100 },
	} {
		from, into := blob.NewMemory(time.Now), blob.NewMemory(time.Now)
		put := func(b blob.Bucket, key string) {
			t.Helper()
			if err := b.Put(t.Context(), key, strings.NewReader(key)); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for n := range 2500 {
			put(from, key(n))
			if has(n) {
				put(into, key(n))
				continue
			}
			want = append(want, key(n))
		}
		for n := range 30 { // others have nothing to do with it
			put(into, key(n*100)+"-more")
		}
		put(from, "b/1")
		var got []string
		for range 2 {
			err := blob.Missing(t.Context(), from, into, "a/", func(f blob.Info) error {
				got = append(got, f.Key)
				return blob.Copy(t.Context(), from, into, f.Key)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("a bucket that has %s of it: %d files are missing, want %d", name, len(got), len(want))
		}
	}
}
