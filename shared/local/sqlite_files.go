package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// SQLite's secure_delete overwrites what is deleted, but not everything: when it
// spreads the rows of a page over its neighbours, a copy of a row that moved
// stays in the page's free space, and is still there when the row itself is
// deleted. So pages pass through here on their way into the database file, and
// their free space is written as zeros.

// filesName is the name under which SQLite knows files.
const filesName = "lethe"

// registerFiles makes filesName known, unless it is.
func registerFiles() {
	if vfs.Find(filesName) == nil {
		vfs.Register(filesName, files{vfs.Find("os")})
	}
}

// files is the operating system's file system with pages cleaned and the log
// written in large pieces.
type files struct{ vfs.VFS }

// Open implements vfs.VFS.
func (f files) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return vfsutil.WrapOpen(f.VFS, name, flags)
}

// OpenFilename implements vfs.VFSFilename.
func (f files) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := vfsutil.WrapOpenFilename(f.VFS, name, flags)
	if err != nil {
		return nil, flags, err
	}
	switch {
	case flags&vfs.OPEN_MAIN_DB != 0:
		return &pageFile{File: file}, flags, nil
	case flags&vfs.OPEN_WAL != 0:
		return &logFile{File: file}, flags, nil
	}
	return file, flags, nil
}

// A pageFile is the database file.
type pageFile struct {
	vfs.File
	clean []byte
}

// WriteAt writes one page, its free space as zeros.
func (f *pageFile) WriteAt(p []byte, off int64) (int, error) {
	gap := freeSpace(p, off == 0)
	if gap.from != gap.to {
		f.clean = append(f.clean[:0], p...) // p is SQLite's own copy
		clear(f.clean[gap.from:gap.to])
		p = f.clean
	}
	n, err := f.File.WriteAt(p, off)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = sqlite3.FULL // as SQLite knows it; of any other error it keeps little
	}
	return n, err
}

// SharedMemory implements vfs.FileSharedMemory.
func (f *pageFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

// SizeHint implements vfs.FileSizeHint.
func (f *pageFile) SizeHint(size int64) error { return vfsutil.WrapSizeHint(f.File, size) }

// HasMoved implements vfs.FileHasMoved.
func (f *pageFile) HasMoved() (bool, error) { return vfsutil.WrapHasMoved(f.File) }

// LockState implements vfs.FileLockState.
func (f *pageFile) LockState() vfs.LockLevel { return vfsutil.WrapLockState(f.File) }

// Unwrap implements vfs.FileUnwrap.
func (f *pageFile) Unwrap() vfs.File { return f.File }

// mostPages keeps page numbers below 2^25. A page that is none of a tree begins
// with the number of another page, so it cannot begin with the type of a tree's,
// and no content is ever taken for free space. With pages of pageSize it allows
// 128 GiB.
const mostPages = 1<<25 - 1

func keepPagesTellable(conn *sqlite3.Conn) error {
	return conn.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", mostPages))
}

type span struct{ from, to int }

// freeSpace returns where a page of a tree is unused, between the list of its
// cells, which grows up, and their content, which grows down; nothing for any
// other page. See https://sqlite.org/fileformat.html#b_tree_pages.
func freeSpace(p []byte, first bool) span {
	at := 0
	if first {
		at = 100 // the file's own header
	}
	if len(p) < 512 || len(p)&(len(p)-1) != 0 {
		return span{} // not a page
	}
	from := at + 8
	switch p[at] {
	case 2, 5: // inner pages, of an index and of a table
		from += 4
	case 10, 13: // leaves
	default:
		return span{}
	}
	from += 2 * int(binary.BigEndian.Uint16(p[at+3:]))
	to := int(binary.BigEndian.Uint16(p[at+5:]))
	if to == 0 {
		to = 1 << 16
	}
	if from >= to || to > len(p) {
		return span{}
	}
	return span{from, to}
}

// A logFile is the write-ahead log. What is written to it is gathered until it
// is synced or read, since SQLite writes every page as two small pieces. Others
// look at a transaction only when it is committed, and with synchronous=FULL that
// is after a sync.
type logFile struct {
	vfs.File
	off     int64 // of gathered in the file
	pending []byte
}

const logPiece = 1 << 20

// WriteAt gathers p.
func (f *logFile) WriteAt(p []byte, off int64) (int, error) {
	if off != f.off+int64(len(f.pending)) || len(f.pending)+len(p) > logPiece {
		if err := f.flush(); err != nil {
			return 0, err
		}
		f.off = off
	}
	f.pending = append(f.pending, p...)
	return len(p), nil
}

func (f *logFile) flush() error {
	if len(f.pending) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(f.pending, f.off)
	f.off += int64(len(f.pending))
	f.pending = f.pending[:0]
	return err
}

// ReadAt implements vfs.File.
func (f *logFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Sync implements vfs.File.
func (f *logFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

// Truncate implements vfs.File.
func (f *logFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Size implements vfs.File.
func (f *logFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

// Close implements vfs.File.
func (f *logFile) Close() error {
	err := f.flush()
	if err := f.File.Close(); err != nil {
		return err
	}
	return err
}

// Unwrap implements vfs.FileUnwrap.
func (f *logFile) Unwrap() vfs.File { return f.File }
