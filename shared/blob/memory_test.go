package blob_test

import (
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/blob/blobtest"
	"lethe/shared/kind"
)

func TestMemory(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Driver {
		return blobtest.Driver{Bucket: blob.NewMemory(time.Now)}
	})
}

// A directory could not hold these, so a program that is tested with Memory
// must not get away with them.
func TestMemoryRefusesFilesBelowFiles(t *testing.T) {
	m := blob.NewMemory(time.Now)
	put := func(key string) kind.Kind { return kind.Of(m.Put(t.Context(), key, strings.NewReader("x"))) }
	for _, tc := range []struct {
		key  string
		want kind.Kind
	}{
		{"a/b/c", ""},
		{"a/b/d", ""},
		{"a", kind.Conflict},
		{"a/b", kind.Conflict},
		{"a/b/c/d", kind.Conflict},
		{"a/b/c", ""},
		{"a/bc", ""},
	} {
		if got := put(tc.key); got != tc.want {
			t.Errorf("Put(%q): got %q, want %q", tc.key, got, tc.want)
		}
	}
	if err := m.Delete(t.Context(), "a/b/c", "a/b/d"); err != nil {
		t.Fatal(err)
	}
	if got := put("a/b"); got != "" {
		t.Errorf("Put of a key whose folder is empty: got %q, want success", got)
	}
}
