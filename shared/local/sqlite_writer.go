package local

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
)

// What one transaction takes at the most, so that it stays in the cache and
// nobody waits long for it.
const (
	maxGroup      = 512      // tasks
	maxGroupBytes = 16 << 20 // of items
)

// A task is work for the writer.
type task struct {
	// do runs in a transaction that other tasks share, so it decides before it
	// changes anything. Answer is for the one who asked; a fault undoes the whole
	// transaction. Of an aside, which is no part of a transaction, only answer counts.
	do func(*writer) (answer, fault error)
	// bytes is about what it writes.
	bytes int

	claimed atomic.Bool // by the writer, or by the one who asked and gave up
	answer  chan error
}

// submit has the writer do t, and returns when that is durable. Until the writer
// has begun with it, ctx can call it back.
func (db *DB) submit(ctx context.Context, op string, queue chan *task, t *task) error {
	t.answer = make(chan error, 1)
	closed := func() error { return kind.E(kind.Unavailable, op, errors.New("the database is closed")) }
	select {
	case <-db.stop:
		return closed()
	default:
	}
	select {
	case queue <- t:
	case <-ctx.Done():
		return kind.E(kind.Unavailable, op, ctx.Err())
	case <-db.stop:
		return closed()
	}
	select {
	case err := <-t.answer:
		return kind.Wrap(op, err)
	case <-ctx.Done():
		if !t.claimed.Swap(true) {
			return kind.E(kind.Unavailable, op, ctx.Err())
		}
	case <-db.stopped:
		if !t.claimed.Swap(true) {
			return closed()
		}
	}
	return kind.Wrap(op, <-t.answer)
}

// A writer is the one goroutine that writes, and its connection.
type writer struct {
	db     *DB
	conn   *sqlite3.Conn
	begin  *sqlite3.Stmt
	commit *sqlite3.Stmt
	tables map[string]*writing
	page   int                      // bytes of a page of the file
	log    int                      // bytes of pages in the write-ahead log, after the last commit
	copies map[*sqlite3.Backup]bool // that are being made
}

func openWriter(db *DB) (*writer, error) {
	conn, err := db.connect()
	if err != nil {
		return nil, err
	}
	w := &writer{db: db, conn: conn, tables: make(map[string]*writing), copies: make(map[*sqlite3.Backup]bool)}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(err, disconnect(conn))
	}
	conn.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		w.log = pages * w.page
		return nil
	})
	return w, nil
}

func (w *writer) prepare() (err error) {
	if err := prepareFile(w.conn); err != nil {
		return err
	}
	size, err := number(w.conn, "PRAGMA page_size")
	if err != nil {
		return err
	}
	w.page = int(size)
	if err := setCache(w.conn, writerCache); err != nil {
		return err
	}
	if w.begin, err = prepare(w.conn, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if w.commit, err = prepare(w.conn, "COMMIT"); err != nil {
		return err
	}
	for _, name := range tableNames {
		if w.tables[name], err = prepareWriting(w.conn, name); err != nil {
			return err
		}
	}
	return nil
}

// run works until Close.
func (w *writer) run() {
	defer close(w.db.stopped)
	for {
		select {
		case first := <-w.db.tasks:
			w.transact(w.group(first))
			w.relieve()
		case first := <-w.db.scrubs:
			w.answerScrubs(first)
		case aside := <-w.db.asides:
			if !aside.claimed.Swap(true) {
				err, _ := aside.do(w)
				aside.answer <- err
			}
		case <-w.db.stop:
			for b := range w.copies {
				_ = b.Close() // one that is not whole is removed by Copy
			}
			return // what waits is answered by submit
		}
	}
}

// group returns first and what waits behind it, as far as one transaction takes.
func (w *writer) group(first *task) []*task {
	var tasks []*task
	bytes := 0
	take := func(t *task) {
		if !t.claimed.Swap(true) {
			tasks, bytes = append(tasks, t), bytes+t.bytes
		}
	}
	take(first)
	for len(tasks) < maxGroup && bytes < maxGroupBytes {
		select {
		case t := <-w.db.tasks:
			take(t)
		default:
			return tasks
		}
	}
	return tasks
}

// transact does tasks in one transaction and answers them when it is durable.
func (w *writer) transact(tasks []*task) {
	if len(tasks) == 0 {
		return
	}
	answers := make([]error, len(tasks))
	fault := w.begin.Exec()
	for n, t := range tasks {
		if fault != nil {
			break
		}
		answers[n], fault = t.do(w)
	}
	if fault == nil {
		fault = w.commit.Exec()
	}
	if fault != nil {
		fault = w.undo(fault)
	}
	for n, t := range tasks {
		if fault != nil {
			// Not even a failed condition is an answer: it may rest on what is undone.
			answers[n] = fault
		}
		t.answer <- answers[n]
	}
}

// undo ends a transaction that failed, unless SQLite has done so.
func (w *writer) undo(fault error) error {
	if !w.conn.GetAutocommit() {
		if err := w.conn.Exec("ROLLBACK"); err != nil {
			fault = errors.Join(fault, err)
		}
	}
	return sqliteError("commit", fault)
}
