package local_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lethe/shared/kind"
	"lethe/shared/local"
)

func TestLockDirIsExclusive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := local.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = local.LockDir(dir)
	if got, want := kind.Of(err), kind.Conflict; got != want {
		t.Fatalf("second lock: got %v, want %v", err, want)
	}
	if got, want := kind.Sentence(err), strconv.Itoa(os.Getpid()); !strings.Contains(got, want) {
		t.Errorf("got %q, want it to name process %s", got, want)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := local.LockDir(dir)
	if err != nil {
		t.Fatalf("after Unlock: %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLockDirRefusesWhatIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := local.LockDir(dir)
		if got, want := kind.Of(err), kind.Forbidden; got != want {
			t.Errorf("got %v, want %v", err, want)
		}
		if got := kind.Sentence(err); strings.Contains(got, file) || !strings.Contains(got, "--data") {
			t.Errorf("got %q, want a sentence that names --data and no path", got)
		}
	}
}
