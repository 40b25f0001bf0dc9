package local

import (
	"context"
	"errors"
	"net/url"
	"os"

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
func (db *DB) Copy(ctx context.Context, path string) (err error) {
	const op = "copy the database"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return unwritable(err)
	}
	defer func() {
		err = errors.Join(err, f.Sync(), f.Close())
		if err != nil {
			err = errors.Join(sqliteError(op, err), os.Remove(path))
		}
	}()
	var b *sqlite3.Backup
	aside := func(do func(*writer) error) error {
		return db.submit(ctx, op, db.asides, &task{do: func(w *writer) (error, error) { return do(w), nil }})
	}
	// Through the same files, so that free space is wiped in the copy too.
	target := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "vfs=" + filesName}
	err = aside(func(w *writer) (err error) {
		b, err = w.conn.BackupInit("main", target.String())
		return err
	})
	for done := false; err == nil && !done; {
		err = aside(func(*writer) (err error) {
			done, err = b.Step(backupPages)
			return err
		})
	}
	if b == nil {
		return err
	}
	// Whatever became of ctx, the writer has to let go of it.
	closing := db.submit(context.WithoutCancel(ctx), op, db.asides, &task{do: func(*writer) (error, error) { return b.Close(), nil }})
	if kind.Of(closing) == kind.Unavailable && db.closed.Load() {
		closing = nil // it went with the connection
	}
	return errors.Join(err, closing)
}
