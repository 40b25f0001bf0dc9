package local

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// A disk is a directory of which it is known what was synced.
type disk struct {
	vfs.VFS
	dir string
	// fail is asked before a file is read or written; nil lets all be.
	fail func(path string, write bool) error

	mu    sync.Mutex
	files map[string]*diskFile // by path
	syncs map[string]int
}

// A diskFile is what is certain to be on the disk, and what may be.
type diskFile struct {
	synced  []byte
	pending []diskWrite
}

type diskWrite struct {
	off  int64
	data []byte // nil where the file is cut at off
}

// newDisk returns an empty directory, under which files are watched until the
// test ends.
func newDisk(t *testing.T) *disk {
	d := &disk{VFS: vfs.Find("os"), dir: t.TempDir(), files: map[string]*diskFile{}, syncs: map[string]int{}}
	vfs.Register(filesName, files{d})
	t.Cleanup(func() { vfs.Unregister(filesName) })
	return d
}

// cut makes dir what the directory is after a power cut at this moment.
func (d *disk) cut(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, f := range d.files {
		image := diskFile{synced: append([]byte(nil), f.synced...)}
		for _, w := range f.pending {
			if rand.IntN(2) == 0 {
				image.pending = append(image.pending, w)
			}
		}
		image.sync()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), image.synced, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// count returns how often files whose name ends so were synced.
func (d *disk) count(suffix string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for path, syncs := range d.syncs {
		if strings.HasSuffix(path, suffix) {
			n += syncs
		}
	}
	return n
}

func (f *diskFile) sync() {
	for _, w := range f.pending {
		end := w.off + int64(len(w.data))
		switch {
		case w.data == nil:
			f.synced = f.synced[:min(w.off, int64(len(f.synced)))]
		case end > int64(len(f.synced)):
			f.synced = append(f.synced, make([]byte, end-int64(len(f.synced)))...)
		}
		copy(f.synced[min(w.off, int64(len(f.synced))):], w.data)
	}
	f.pending = nil
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := vfsutil.WrapOpenFilename(d.VFS, name, flags)
	if err != nil || !strings.HasPrefix(name.String(), d.dir) {
		return file, flags, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name.String()] == nil {
		d.files[name.String()] = &diskFile{}
	}
	return &watchedFile{File: file, disk: d, path: name.String()}, flags, nil
}

func (d *disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return d.VFS.Delete(name, syncDir)
}

// A watchedFile is one opening of a file on a disk.
type watchedFile struct {
	vfs.File
	disk *disk
	path string
}

func (f *watchedFile) ReadAt(p []byte, off int64) (int, error) {
	if f.disk.fail != nil {
		if err := f.disk.fail(f.path, false); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(p, off)
}

func (f *watchedFile) WriteAt(p []byte, off int64) (int, error) {
	if f.disk.fail != nil {
		if err := f.disk.fail(f.path, true); err != nil {
			return 0, err
		}
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	file := f.disk.files[f.path]
	file.pending = append(file.pending, diskWrite{off, append([]byte{}, p...)})
	return f.File.WriteAt(p, off)
}

func (f *watchedFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	file := f.disk.files[f.path]
	file.pending = append(file.pending, diskWrite{off: size})
	return f.File.Truncate(size)
}

func (f *watchedFile) Sync(flags vfs.SyncFlag) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.files[f.path].sync()
	f.disk.syncs[f.path]++
	return f.File.Sync(flags)
}

func (f *watchedFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }
func (f *watchedFile) SizeHint(size int64) error      { return vfsutil.WrapSizeHint(f.File, size) }
func (f *watchedFile) HasMoved() (bool, error)        { return vfsutil.WrapHasMoved(f.File) }
func (f *watchedFile) LockState() vfs.LockLevel       { return vfsutil.WrapLockState(f.File) }
func (f *watchedFile) Unwrap() vfs.File               { return f.File }
