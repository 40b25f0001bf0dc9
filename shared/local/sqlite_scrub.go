package local

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
)

// Scrub returns when no byte of any item deleted or overwritten before the call
// is left in the database file, or in a file beside it. Those who ask while it
// runs share the next run.
func (db *DB) Scrub(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return kind.E(kind.Unavailable, "scrub", err)
	}
	return db.submit(ctx, "scrub", db.scrubs, &task{})
}

// answerScrubs does first and whatever asks for the same.
func (w *writer) answerScrubs(first *task) {
	var waiting []*task
	for t := first; t != nil; {
		if !t.claimed.Swap(true) {
			waiting = append(waiting, t)
		}
		select {
		case t = <-w.db.scrubs:
		default:
			t = nil
		}
	}
	if len(waiting) == 0 {
		return
	}
	err := w.scrub()
	for _, t := range waiting {
		t.answer <- err
	}
}

// scrub writes the pages of the log into the database file, where they replace
// the ones of before, and cuts the log to nothing. Deleted rows were overwritten
// in those pages by secure_delete, and copies in free space by files.
func (w *writer) scrub() error {
	err := w.checkpoint(sqlite3.CHECKPOINT_TRUNCATE)
	if err != nil {
		return sqliteError("scrub", err)
	}
	// The cache holds the pages as they were before files cleaned them; the next
	// change of one would put the copies in its free space back into the log.
	return sqliteError("scrub", w.conn.ReleaseMemory())
}

// checkpoint moves all of the log into the database file. Most of it goes while
// others read; for the end no reader is let in, so that none keeps a part of the
// log in use.
func (w *writer) checkpoint(mode sqlite3.CheckpointMode) error {
	w.db.checkpoints.mu.Lock()
	defer w.db.checkpoints.mu.Unlock()
	if _, _, err := w.conn.WALCheckpoint("", sqlite3.CHECKPOINT_PASSIVE); err != nil {
		return err
	}
	for range readers {
		r := <-w.db.readers
		defer func() { w.db.readers <- r }()
	}
	pages, moved, err := w.conn.WALCheckpoint("", mode)
	if err == nil && moved < pages {
		err = sqlite3.BUSY // another program reads
	}
	if err == nil {
		w.log = 0
	}
	return err
}

// relieve keeps the log from growing without bound. An error shows when the
// disk is full, and then in writes or in Scrub too.
func (w *writer) relieve() {
	c := w.db.checkpoints
	moved := int(c.moved.Load())
	if w.log < moved {
		moved = 0 // the log has begun anew
	}
	switch {
	case w.log >= w.db.hardLog:
		_ = w.checkpoint(sqlite3.CHECKPOINT_PASSIVE)
	case w.log >= w.db.fullLog && c.nearlyDone.Swap(false):
		_, _, _ = c.pass(w.conn)
	case w.log >= w.db.fullLog || w.log-moved >= w.db.softLog:
		c.wake()
	}
}

// A checkpointer moves the log into the database file while the writer goes on.
// The log can only begin anew when all of it was moved, and the writer keeps
// adding to it, so the end is left to the writer.
type checkpointer struct {
	conn  *sqlite3.Conn
	page  int // bytes of a page of the file
	begin chan struct{}
	ended chan struct{}

	mu         sync.Mutex   // held by whoever moves the log
	moved      atomic.Int64 // bytes of the log that are in the file, as of the last pass
	nearlyDone atomic.Bool
}

// nearly is how much of the log the writer may be left with.
const nearly = 8 << 20

func openCheckpointer(db *DB) (*checkpointer, error) {
	conn, err := db.connect()
	if err != nil {
		return nil, err
	}
	c := &checkpointer{conn: conn, page: db.writer.page, begin: make(chan struct{}, 1), ended: make(chan struct{})}
	go c.run()
	return c, nil
}

// wake lets it begin, unless it has.
func (c *checkpointer) wake() {
	select {
	case c.begin <- struct{}{}:
	default:
	}
}

func (c *checkpointer) run() {
	defer close(c.ended)
	for range c.begin {
		for before := math.MaxInt; ; {
			pages, moved, err := c.pass(c.conn)
			left := (pages - moved) * c.page
			if err != nil || left >= before {
				break // the writer is faster; at hardLog it waits
			}
			if left <= nearly {
				c.nearlyDone.Store(true)
				break
			}
			before = left
		}
	}
}

// pass moves what there is of the log, beside whoever reads or writes. It returns the
// pages of the log, and how many of them are in the file.
func (c *checkpointer) pass(conn *sqlite3.Conn) (pages, moved int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pages, moved, err = conn.WALCheckpoint("", sqlite3.CHECKPOINT_PASSIVE); err == nil {
		c.moved.Store(int64(moved * c.page))
	}
	return pages, moved, err
}

func (c *checkpointer) close() error {
	close(c.begin)
	<-c.ended
	return c.conn.Close()
}
