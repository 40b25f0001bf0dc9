package local

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lethe/shared/kind"
)

// A Lock keeps a data directory to one process. The system lets go of it when
// the process ends, however it ends, so nothing has to be cleaned up after a
// crash.
type Lock struct{ f *os.File }

// lockFile holds the number of the process that has the directory.
const lockFile = "lock"

// LockDir makes the directory if it is absent, readable by its owner only, and
// locks it. It returns kind.Conflict where another process holds it and
// kind.Forbidden where files cannot be made in it, both with a sentence.
func LockDir(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, kind.Say(kind.Conflict, "The data directory is in use by another process"+holder(f)+": stop that one first, or choose another directory with --data.")
		}
		return nil, unwritable(err)
	}
	// The number only helps a person who meets the lock; the lock is the flock.
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, unwritable(err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		f.Close()
		return nil, unwritable(err)
	}
	return &Lock{f}, nil
}

// Unlock lets another process have the directory.
func (l *Lock) Unlock() error { return l.f.Close() }

// holder names the process that wrote its number into the lock file, if it did.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 20))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return ""
	}
	return " (" + strconv.Itoa(pid) + ")"
}

// unwritable keeps of err only what the system said, since its text has the path.
func unwritable(err error) error {
	return &kind.Error{
		Kind:     kind.Forbidden,
		Op:       "open the data directory",
		Sentence: "The data directory cannot be written (" + systemSays(err) + "): give this user the right to, or choose another directory with --data.",
		Err:      err,
	}
}

// systemSays is err without the path that it names.
func systemSays(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
