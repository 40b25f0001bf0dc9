package local

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lethe/shared/kind"
)

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "suppression")
	first, err := loadKeys(path, "title")
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 1 || len(first[0].Secret) != 32 {
		t.Fatalf("got %d keys, want one of 32 bytes", len(first))
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
		t.Errorf("mode: got %o, want %o", got, want)
	}
	second, err := loadKeys(path, "title")
	if err != nil {
		t.Fatal(err)
	}
	if first.Mark("1", "x") != second.Mark("1", "x") {
		t.Error("a second start has another key: everything erased would come back")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
}

func TestDamagedKeysAreRefusedAndKept(t *testing.T) {
	good := string(formatKeys(kind.Keyring{{Version: 1, Secret: make([]byte, 32)}, {Version: 2, Secret: make([]byte, 32)}}, "title"))
	if ring, err := parseKeys([]byte(good)); err != nil || len(ring) != 2 {
		t.Fatalf("got %d keys, %v; want 2", len(ring), err)
	}
	for name, text := range map[string]string{
		"empty":           "",
		"only a title":    "# title\n",
		"cut short":       good[:len(good)-10],
		"last line open":  good[:len(good)-1],
		"a version twice": good + "2 " + good[len(good)-65:],
		"no version":      "# title\n" + good[len(good)-65:],
		"an empty line":   good + "\n",
	} {
		path := filepath.Join(t.TempDir(), "suppression")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadKeys(path, "title"); kind.Of(err) != kind.Corrupt {
			t.Errorf("%s: got %v, want Corrupt", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add(formatKeys(kind.Keyring{{Version: 1, Secret: make([]byte, 32)}}, "title"))
	f.Add([]byte("1 00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ring, err := parseKeys(b)
		if err != nil {
			return
		}
		again, err := parseKeys(formatKeys(ring, "title"))
		if err != nil || len(again) != len(ring) {
			t.Fatalf("what was read does not survive writing: %v", err)
		}
		for i := range ring {
			if again[i].Version != ring[i].Version || !bytes.Equal(again[i].Secret, ring[i].Secret) {
				t.Fatalf("key %d changed", i)
			}
		}
	})
}
