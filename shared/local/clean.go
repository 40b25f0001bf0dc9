package local

import (
	"encoding/binary"
	"sync"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// SQLite's secure_delete overwrites what is deleted where it stands. But when a
// page of a tree overflows, its cells are spread over its neighbours, and the
// room they leave behind keeps a copy of them, as unallocated bytes that no later
// deletion reaches: measured, about one deleted row in two thousand stayed
// readable. So every page of a tree is wiped where it is unallocated on its way
// from the log into the database file, which is the way that every page takes.

// cleanName names the VFS in a connection string.
const cleanName = "lethe-clean"

// maxPages bounds a database file (137 GB in pages of 4 KB). Below it the first
// byte of a page that is no page of a tree is 0 or 1, as such a page begins with
// the number of another: that is how clean tells them apart.
const maxPages = 1<<25 - 1

var registerClean = sync.OnceFunc(func() { vfs.Register(cleanName, cleanVFS{vfs.Find("os")}) })

type cleanVFS struct{ vfs.VFS }

func (c cleanVFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return wrapClean(vfsutil.WrapOpen(c.VFS, name, flags))
}

// OpenFilename implements vfs.VFSFilename.
func (c cleanVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return wrapClean(vfsutil.WrapOpenFilename(c.VFS, name, flags))
}

func wrapClean(f vfs.File, flags vfs.OpenFlag, err error) (vfs.File, vfs.OpenFlag, error) {
	if err == nil && flags&vfs.OPEN_MAIN_DB != 0 {
		f = &cleanFile{f}
	}
	return f, flags, err
}

// cleanFile is a database file whose pages are wiped as they are written.
type cleanFile struct{ vfs.File }

// WriteAt implements io.WriterAt. SQLite writes a database file by whole pages.
func (c *cleanFile) WriteAt(p []byte, off int64) (int, error) {
	wipe(p, off == 0)
	return c.File.WriteAt(p, off)
}

// Unwrap implements vfs.FileUnwrap.
func (c *cleanFile) Unwrap() vfs.File { return c.File }

// SharedMemory implements vfs.FileSharedMemory.
func (c *cleanFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(c.File) }

// MemoryMapper implements vfs.FileMemoryMapper.
func (c *cleanFile) MemoryMapper() vfs.MemoryMapper { return vfsutil.WrapMemoryMapper(c.File) }

// PersistWAL implements vfs.FilePersistWAL.
func (c *cleanFile) PersistWAL() bool { return vfsutil.WrapPersistWAL(c.File) }

// SetPersistWAL implements vfs.FilePersistWAL.
func (c *cleanFile) SetPersistWAL(keep bool) { vfsutil.WrapSetPersistWAL(c.File, keep) }

// wipe zeroes the unallocated bytes of a page of a tree and leaves any other as it
// is. The layout is in https://sqlite.org/fileformat.html#b_tree_pages; the first
// page of a file has the file's header of 100 bytes before its own.
func wipe(page []byte, first bool) {
	head := 0
	if first {
		head = 100
	}
	if len(page) < 512 || len(page) < head+12 {
		return
	}
	cells := head
	switch page[head] {
	case 2, 5: // interior
		cells += 12
	case 10, 13: // leaf
		cells += 8
	default:
		return
	}
	cells += 2 * int(binary.BigEndian.Uint16(page[head+3:]))
	content := int(binary.BigEndian.Uint16(page[head+5:]))
	if content == 0 {
		content = 1 << 16
	}
	if cells > content || content > len(page) {
		return // no page of a tree after all
	}
	clear(page[cells:content])
	// The list of free blocks ascends, which bounds the walk.
	for at := int(binary.BigEndian.Uint16(page[head+1:])); at >= content && at+4 <= len(page); {
		size := int(binary.BigEndian.Uint16(page[at+2:]))
		if size < 4 || at+size > len(page) {
			return
		}
		clear(page[at+4 : at+size])
		next := int(binary.BigEndian.Uint16(page[at:]))
		if next <= at {
			return
		}
		at = next
	}
}
