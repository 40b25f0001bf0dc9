package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/ncruces/go-sqlite3"
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
	l, by, err := takeLock(dir, lockFile)
	if err != nil {
		return nil, unwritable(err)
	}
	if l == nil {
		return nil, kind.Say(kind.Conflict, "The data directory is in use by another process"+by+": stop that one first, or choose another directory with --data.")
	}
	return l, nil
}

// takeLock makes the directory if it is absent and locks the file of that name in
// it. Where another process has the lock it returns none, and what tells of that
// process.
func takeLock(dir, name string) (l *Lock, by string, err error) {
	path := filepath.Join(dir, name)
	for range 100 {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, "", err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // who had the directory has moved or removed it just now
		}
		if err != nil {
			return nil, "", err
		}
		if l, by, err = lockOpen(f); err != nil || l == nil {
			return nil, by, errors.Join(err, f.Close())
		}
		if l.at(path) {
			return l, "", nil
		}
		// It was that of a directory which is elsewhere now.
		if err := l.Unlock(); err != nil {
			return nil, "", err
		}
	}
	return nil, "", errors.New("the directory is moved again and again")
}

func lockOpen(f *os.File) (l *Lock, by string, err error) {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, holder(f), nil
		}
		return nil, "", err
	}
	// The number only helps a person who meets the lock; the lock is the flock.
	if err := f.Truncate(0); err != nil {
		return nil, "", err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, "", err
	}
	return &Lock{f}, "", nil
}

// at reports whether what is locked still stands at path.
func (l *Lock) at(path string) bool {
	locked, err := l.f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(locked, there)
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

// systemSays is what the system said, without the paths that err names.
func systemSays(err error) string {
	var number syscall.Errno
	var code sqlite3.ErrorCode
	var path *fs.PathError
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &code):
		return strings.TrimPrefix(code.Error(), "sqlite3: ")
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}
