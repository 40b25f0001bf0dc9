package local

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// Names in the directory that are its own; no key can begin with "+".
const (
	newFolder     = "+new"     // files not whole yet, and uploads on their way out
	uploadsFolder = "+uploads" // a folder for each upload in parts
)

// staleUpload is how long an upload that nothing was added to stays.
const staleUpload = 24 * time.Hour

// A Directory keeps files in a directory: the file of a key stands at the path
// that the key says, readable by its owner only. It implements blob.Bucket, and
// serves the links that it makes by ServeHTTP under FilesPath.
//
// A file is written under another name, synced, moved to its path, and the
// folder synced: when a method returns nil, neither kill -9 nor a power cut
// takes it back. Folders that have become empty go with their last file.
type Directory struct {
	root *os.Root
	key  []byte
	base func() string
	now  func() time.Time

	// tree is held for reading while a file is moved into a folder that exists, and
	// for writing while folders are made or removed. So no folder goes away under a
	// file that is moved into it, and none is used before it is durable.
	tree sync.RWMutex
	// uploads are held while an upload is changed, each for a share of them.
	uploads [64]sync.Mutex
}

var _ blob.Bucket = (*Directory)(nil)

// OpenDirectory opens the directory, and makes it if it is absent. One process
// at a time may have it open. What a crash left half-written is removed, as is an
// upload that nothing was added to for a day.
//
// Links are signed with key, at least 32 bytes, and begin with what base returns,
// the address under which people reach the server, such as
// "http://127.0.0.1:8080".
func OpenDirectory(dir string, key []byte, base func() string, now func() time.Time) (*Directory, error) {
	const op = "open the files"
	if len(key) < 32 {
		return nil, kind.E(kind.Invalid, op)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fileError(op, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fileError(op, err)
	}
	d := &Directory{root: root, key: key, base: base, now: now}
	if err := d.clean(); err != nil {
		root.Close()
		return nil, fileError(op, err)
	}
	return d, nil
}

// Close lets go of the directory. No method may be called afterwards.
func (d *Directory) Close() error { return d.root.Close() }

// clean makes the directory's own folders and empties them of what a crash
// left behind.
func (d *Directory) clean() error {
	if err := d.root.RemoveAll(newFolder); err != nil {
		return err
	}
	for _, folder := range []string{newFolder, uploadsFolder} {
		if err := d.root.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := d.sync("."); err != nil {
		return err
	}
	entries, err := d.entries(uploadsFolder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(uploadsFolder, entry.Name())
		info, err := d.root.Lstat(name)
		if err != nil {
			return err
		}
		if d.now().Sub(info.ModTime()) > staleUpload {
			if err := d.root.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Put implements blob.Bucket.
func (d *Directory) Put(ctx context.Context, key string, r io.Reader) error {
	const op = "put a file"
	if err := checkKeys(ctx, key); err != nil {
		return kind.Wrap(op, err)
	}
	src := &fileSource{ctx: ctx, r: r}
	name, err := d.write(func(f *os.File) error {
		_, err := io.Copy(f, src)
		return err
	})
	if src.err != nil {
		return kind.Wrap(op, src.err)
	}
	if err != nil {
		return fileError(op, err)
	}
	if err := d.publish(name, key); err != nil {
		_ = d.root.Remove(name) // what is left of it goes when the directory is opened
		return fileError(op, err)
	}
	return nil
}

// checkKeys is what every method with a key opens with.
func checkKeys(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := blob.CheckKey(key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// A fileSource reads from r until the context ends, and keeps the error that reading
// ended with, which is the caller's own and not the disk's.
type fileSource struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *fileSource) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// write makes a file of what fill writes, syncs it and returns the temporary name
// that it has. After an error there is no file.
func (d *Directory) write(fill func(*os.File) error) (string, error) {
	name := path.Join(newFolder, rand.Text())
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	err = fill(f)
	if err == nil {
		err = d.finish(f, name)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		_ = d.root.Remove(name) // what is left of it goes when the directory is opened
		return "", err
	}
	return name, nil
}

// finish gives a file the time at which it appears, and makes it durable.
func (d *Directory) finish(f *os.File, name string) error {
	if err := d.root.Chtimes(name, time.Time{}, d.now()); err != nil {
		return err
	}
	return f.Sync()
}

// Get implements blob.Bucket.
func (d *Directory) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	const op = "get a file"
	if err := checkKeys(ctx, key); err != nil {
		return nil, kind.Wrap(op, err)
	}
	if off < 0 {
		return nil, kind.E(kind.Invalid, op)
	}
	f, info, err := d.open(key)
	if err != nil {
		return nil, fileError(op, err)
	}
	n = cut(info.Size(), off, n)
	return fileSection{io.NewSectionReader(f, off, n), f}, nil
}

// cut returns how many bytes there are from off on in a file of that size, at
// most n unless n is negative.
func cut(size, off, n int64) int64 {
	left := max(size-off, 0)
	if n < 0 {
		return left
	}
	return min(n, left)
}

type fileSection struct {
	*io.SectionReader
	io.Closer
}

// Read hides the path that an error of the file would name.
func (s fileSection) Read(p []byte) (int, error) {
	n, err := s.SectionReader.Read(p)
	if err != nil && err != io.EOF {
		err = fileError("read a file", err)
	}
	return n, err
}

// open opens the file of a key; a folder is no file.
func (d *Directory) open(key string) (*os.File, fs.FileInfo, error) {
	f, err := d.root.Open(key)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Head implements blob.Bucket.
func (d *Directory) Head(ctx context.Context, key string) (blob.Info, error) {
	const op = "look up a file"
	if err := checkKeys(ctx, key); err != nil {
		return blob.Info{}, kind.Wrap(op, err)
	}
	info, err := d.root.Lstat(key)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return blob.Info{}, fileError(op, err)
	}
	return blob.Info{Key: key, Size: info.Size(), Changed: info.ModTime()}, nil
}

// fileError returns what the file system failed with as an error of a kind, without
// the path that its text names; for nil it returns nil.
func fileError(op string, err error) error {
	if err == nil {
		return nil
	}
	cause := err
	var number syscall.Errno
	var at *fs.PathError
	switch {
	case errors.As(err, &number):
		cause = number
	case errors.As(err, &at):
		cause = at.Err
	}
	switch {
	case kind.Of(err) != kind.Internal:
		return kind.Wrap(op, err)
	case nothingThere(err):
		return kind.E(kind.NotFound, op, cause)
	}
	switch number {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.EROFS:
		return kind.E(kind.Unavailable, op, cause)
	}
	return kind.E(kind.Internal, op, cause)
}

// nothingThere reports whether err says that there is nothing at a path: no entry of
// that name, or a file where the path has a folder.
func nothingThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
