package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"lethe/shared/kind"
)

// A draft is a directory in the making, beside the place that it is to have. One
// process at a time makes it, and no other removes anything of it.
type draft struct {
	dir  string
	lock *Lock
}

// draftLock keeps a draft to one process. It is no name of a data directory's own,
// which is locked too when it is opened where it is made.
const draftLock = "making"

// newDraft makes the directory, or empties what a process that was killed left of
// it. It returns kind.Conflict where another process is at it and kind.Invalid where
// there is a directory that is no draft, both with a sentence. What is the making
// of, such as "backup".
func newDraft(dir, what string) (*draft, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	isLock := func(e fs.DirEntry) bool { return e.Name() == draftLock }
	if len(entries) > 0 && !slices.ContainsFunc(entries, isLock) {
		return nil, kind.Say(kind.Invalid, "In the way of the "+what+" is a directory that is none of its own, whose name ends in "+filepath.Ext(dir)+": move it away.")
	}
	lock, by, err := takeLock(dir, draftLock)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, kind.Say(kind.Conflict, "Another process"+by+" is at a "+what+" in the same place: wait until it has ended, or choose another place.")
	}
	d := &draft{dir, lock}
	if err := d.empty(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return d, nil
}

// empty removes all but the lock.
func (d *draft) empty() error {
	entries, err := os.ReadDir(d.dir)
	for _, e := range entries {
		if e.Name() != draftLock {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, e.Name())))
		}
	}
	return err
}

// sync makes durable all that is in the draft.
func (d *draft) sync() error {
	return filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && (e.IsDir() || e.Type().IsRegular()) {
			err = syncFile(path)
		}
		return err
	})
}

// publish gives a draft that is synced its place, durably. The lock goes last, so
// that whoever waits for it finds the place taken.
func (d *draft) publish(place string) error {
	if err := os.Rename(d.dir, place); err != nil {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(place, draftLock)), d.unlock(), syncFile(filepath.Dir(place)))
}

// discard removes a draft that was not published; else it does nothing.
func (d *draft) discard() error {
	if d.lock == nil {
		return nil
	}
	err := d.empty()
	if err == nil {
		err = os.Remove(filepath.Join(d.dir, draftLock))
	}
	if err == nil {
		_ = os.Remove(d.dir) // unless another process has begun in it
	}
	return errors.Join(err, d.unlock())
}

func (d *draft) unlock() error {
	lock := d.lock
	d.lock = nil
	return lock.Unlock()
}
