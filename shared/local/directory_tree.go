package local

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// publish moves a file that is synced to the path of key, durably.
func (d *Directory) publish(name, key string) error {
	d.tree.RLock()
	err := d.move(name, key)
	d.tree.RUnlock()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.tree.Lock()
	defer d.tree.Unlock()
	if err := d.makeFolders(path.Dir(key)); err != nil {
		return err
	}
	return d.move(name, key)
}

// move renames a file into a folder that exists. The caller holds tree.
func (d *Directory) move(name, key string) error {
	err := d.root.Rename(name, key)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, fs.ErrExist) {
		return kind.E(kind.Conflict, "a file where the key has a folder, or a folder where it has the file")
	}
	if err != nil {
		return err
	}
	return d.sync(path.Dir(key))
}

// makeFolders makes a folder and those above it, durably. The caller holds tree
// for writing.
func (d *Directory) makeFolders(folder string) error {
	if folder == "." {
		return nil
	}
	above := path.Dir(folder)
	if err := d.makeFolders(above); err != nil {
		return err
	}
	switch err := d.root.Mkdir(folder, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return kind.E(kind.Conflict, "a file where the key has a folder")
	case err != nil:
		return err
	}
	return d.sync(above)
}

// sync makes the names in a folder durable.
func (d *Directory) sync(folder string) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Delete implements blob.Bucket.
func (d *Directory) Delete(ctx context.Context, keys ...string) error {
	const op = "delete files"
	if err := checkKeys(ctx, keys...); err != nil {
		return kind.Wrap(op, err)
	}
	folders := map[string]bool{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return kind.Wrap(op, err)
		}
		if err := d.remove(key); err != nil {
			return fileError(op, err)
		}
		// A file that is absent may have been removed by a call that failed before it
		// was durable, so its folder is synced all the same.
		folders[path.Dir(key)] = true
	}
	d.tree.Lock()
	defer d.tree.Unlock()
	left := map[string]bool{}
	for folder := range folders {
		above, err := d.prune(folder)
		if err != nil {
			return fileError(op, err)
		}
		left[above] = true
	}
	for folder := range left {
		// One may have gone after all, with the last of the others.
		if err := d.sync(folder); err != nil && !nothingThere(err) {
			return fileError(op, err)
		}
	}
	return nil
}

// remove removes the file of a key, if there is one.
func (d *Directory) remove(key string) error {
	info, err := d.root.Lstat(key)
	if nothingThere(err) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.root.Remove(key); err != nil && !nothingThere(err) {
		return err
	}
	return nil
}

// prune removes a folder if it is empty, then those above it, and returns the
// first that stays. The caller holds tree for writing.
func (d *Directory) prune(folder string) (string, error) {
	for ; folder != "."; folder = path.Dir(folder) {
		info, err := d.root.Lstat(folder)
		if nothingThere(err) || err == nil && !info.IsDir() {
			continue
		}
		if err == nil {
			err = d.root.Remove(folder)
		}
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return folder, nil
}

// List implements blob.Bucket.
func (d *Directory) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	const op = "list files"
	for _, p := range []string{prefix, after} {
		if err := blob.CheckPrefix(p); err != nil {
			return nil, kind.Wrap(op, err)
		}
	}
	if limit < 1 {
		return nil, kind.E(kind.Invalid, op)
	}
	l := listing{d: d, prefix: prefix, after: after, limit: limit}
	if err := l.walk(ctx, ""); err != nil {
		return nil, fileError(op, err)
	}
	return l.infos, nil
}

type listing struct {
	d             *Directory
	prefix, after string
	limit         int
	infos         []blob.Info
}

// walk adds the files whose keys begin with folder, which is "" or ends with a
// slash, in the order of keys.
func (l *listing) walk(ctx context.Context, folder string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := l.d.entries(path.Clean(folder))
	if nothingThere(err) {
		return nil // it went with its last file meanwhile
	}
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(entries))
	for _, entry := range entries {
		key := folder + entry.Name()
		switch {
		case blob.CheckKey(key) != nil: // one of the directory's own
		case entry.IsDir():
			// With its slash it sorts as the keys within do: "a-b" before "a/b".
			keys = append(keys, key+"/")
		default:
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if len(l.infos) == l.limit {
			return nil
		}
		if strings.HasSuffix(key, "/") {
			err = l.folder(ctx, key)
		} else {
			err = l.file(key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// folder walks a folder that can hold what is asked for.
func (l *listing) folder(ctx context.Context, key string) error {
	fits := strings.HasPrefix(key, l.prefix) || strings.HasPrefix(l.prefix, key)
	if !fits || key < l.after && !strings.HasPrefix(l.after, key) {
		return nil
	}
	return l.walk(ctx, key)
}

// file adds a file that is asked for.
func (l *listing) file(key string) error {
	if !strings.HasPrefix(key, l.prefix) || key <= l.after {
		return nil
	}
	info, err := l.d.root.Lstat(key)
	if nothingThere(err) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	l.infos = append(l.infos, blob.Info{Key: key, Size: info.Size(), Changed: info.ModTime()})
	return nil
}

// entries returns what stands in a folder, in no order.
func (d *Directory) entries(folder string) ([]fs.DirEntry, error) {
	f, err := d.root.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}
