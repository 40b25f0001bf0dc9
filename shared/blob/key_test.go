package blob_test

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

func TestCheckKey(t *testing.T) {
	name := strings.Repeat("n", blob.MaxName)
	for _, tc := range []struct {
		key  string
		want kind.Kind
	}{
		{"a", ""},
		{"exports/0b5f.zip", ""},
		{"A-Z_a.z/0..9/...", ""},
		{".hidden/-dash", ""},
		{name, ""},
		{name + "n", kind.Invalid},
		{strings.Repeat("n/", blob.MaxKey/2-1) + "nn", ""},
		{strings.Repeat("n/", blob.MaxKey/2) + "n", kind.Invalid},
		{"", kind.Invalid},
		{"/a", kind.Invalid},
		{"a/", kind.Invalid},
		{"a//b", kind.Invalid},
		{".", kind.Invalid},
		{"..", kind.Invalid},
		{"a/../b", kind.Invalid},
		{"a/./b", kind.Invalid},
		{"a b", kind.Invalid},
		{"a\\b", kind.Invalid},
		{"a\x00", kind.Invalid},
		{"a+b", kind.Invalid},
		{"a%2e", kind.Invalid},
		{"ä", kind.Invalid},
	} {
		if got := kind.Of(blob.CheckKey(tc.key)); got != tc.want {
			t.Errorf("CheckKey(%q): got %q, want %q", tc.key, got, tc.want)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, tc := range []struct {
		prefix string
		want   kind.Kind
	}{
		{"", ""},
		{"a", ""},
		{"a/", ""},
		{"a/.", ""},
		{"..", ""},
		{"/", kind.Invalid},
		{"a//", kind.Invalid},
		{"../", kind.Invalid},
		{"a/../b", kind.Invalid},
		{"a b", kind.Invalid},
		{"~", kind.Invalid},
	} {
		if got := kind.Of(blob.CheckPrefix(tc.prefix)); got != tc.want {
			t.Errorf("CheckPrefix(%q): got %q, want %q", tc.prefix, got, tc.want)
		}
	}
}

// A key that is accepted stays inside the directory that it is resolved in.
func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"exports/1.zip", "..", "a/../../b", "/etc", "a/./b", "a\\..\\b", "é"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if blob.CheckKey(key) != nil {
			return
		}
		if path.Clean(key) != key || !fs.ValidPath(key) || strings.ContainsAny(key, "\\:%+~ \x00") {
			t.Errorf("CheckKey(%q) accepts a key that is no plain path", key)
		}
		for i := range key {
			if err := blob.CheckPrefix(key[:i]); err != nil {
				t.Errorf("CheckPrefix(%q) of the key %q: %v", key[:i], key, err)
			}
		}
	})
}
