package local

import (
	"context"
	"errors"
	"net/url"
	"os"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
)

// backupPages is how many pages are copied between two transactions.
const backupPages = 1024

// Copy writes a copy of the file, as it is when Copy returns, to a path where
// there is nothing yet, readable by its owner only. Others read and write
// meanwhile: pages are copied a few at a time by the writer's own connection,
// which brings those up to date that change after they were copied. The copy is
// durable when Copy returns nil; after an error there is none.
//
// What the path failed with is kind.Forbidden, what the file failed with is
// kind.Unavailable or kind.Corrupt, all with a sentence; Close and the end of ctx
// are kind.Unavailable.
func (db *DB) Copy(ctx context.Context, path string) (err error) {
	const op = "copy the database"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return badPlace(err)
	}
	defer func() {
		if err == nil {
			err = badPlace(f.Sync())
		}
		err = errors.Join(err, badPlace(f.Close()))
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	var b *sqlite3.Backup
	aside := func(ctx context.Context, do func(*writer) error) error {
		return db.submit(ctx, op, db.asides, &task{do: func(w *writer) (error, error) { return copyError(do(w)), nil }})
	}
	// Through the same files, so that free space is wiped in the copy too.
	target := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "vfs=" + filesName}
	err = aside(ctx, func(w *writer) (err error) {
		if b, err = w.conn.BackupInit("main", target.String()); err == nil {
			w.copies[b] = true
		}
		return err
	})
	for done := false; err == nil && !done; {
		err = aside(ctx, func(*writer) (err error) {
			done, err = b.Step(backupPages)
			return err
		})
	}
	if b == nil {
		return err
	}
	// Whatever became of ctx, the writer has to let go of it.
	closing := aside(context.WithoutCancel(ctx), func(w *writer) error {
		delete(w.copies, b)
		return b.Close()
	})
	if kind.Of(closing) == kind.Unavailable && db.closed.Load() {
		closing = nil // the writer has let go of it when it ended
	}
	return errors.Join(err, closing)
}

// copyError tells what the target of a copy failed with from what the database did.
func copyError(err error) error {
	if errors.Is(err, sqlite3.FULL) {
		return badPlace(syscall.ENOSPC) // of which the driver keeps no more
	}
	for _, code := range []error{sqlite3.CANTOPEN, sqlite3.READONLY, sqlite3.PERM, sqlite3.IOERR_WRITE,
		sqlite3.IOERR_FSYNC, sqlite3.IOERR_DIR_FSYNC, sqlite3.IOERR_TRUNCATE, sqlite3.IOERR_CLOSE} {
		if errors.Is(err, code) {
			return badPlace(err)
		}
	}
	return unreadable(sqliteError("read the database", err))
}
