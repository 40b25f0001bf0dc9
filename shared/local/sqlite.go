package local

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// What measured best with batches of 2000 items over 200,000 random users, each
// batch synced, on two cores (see BenchmarkSQLite; LETHE_BENCH_ROWS=3000000):
//
//   - Pages of 4 KB: 39,600 rows a second; with 8 KB 34,600, and each row written
//     costs more bytes. A file can then grow to 128 GiB (see mostPages).
//   - 48 MB of cache for the writer. 128 MB saved 4% of CPU at 3 million rows;
//     memory-mapped reading and batches sorted by key saved nothing. What a cache
//     once took, a backup for instance, is not given back.
//   - 2 MB for each reader: a cache is emptied by each write of another connection,
//     and an export of 2000 people is as fast as with 8 MB.
//   - Writing to the log in large pieces (see logFile): a quarter less CPU.
//   - Checkpoints beside the writer: a tenth more rows a second.
const (
	pageSize    = 4 << 10
	writerCache = 48 << 20
	readerCache = 2 << 20
	readers     = 4

	// Of the write-ahead log, what is more than softLog and not in the database yet is
	// moved there, beside the writer. From fullLog on the writer moves the rest of it,
	// with which it begins anew: that costs some tenths of a second, so it is not done
	// often. At hardLog the writer waits for all of it, so the log is never much larger.
	softLog = 64 << 20
	fullLog = 256 << 20
	hardLog = 512 << 20

	// memory is reserved for each connection, not used; the driver panics beyond it.
	memory = 512 << 20

	// patience is how long a lock of another program, such as a backup, is waited for.
	patience = 5 * time.Second
)

// tableNames are the tables of the file.
var tableNames = [...]string{"control", "subjects", "workflow"}

// A DB is one SQLite file with the tables of a deployment. All methods are safe
// for concurrent use; one process at a time may have the file open, which LockDir
// sees to.
//
// One goroutine writes. All that waits when a transaction ends shares the next
// one, and its sync: a method that writes returns when the write would outlive
// kill -9 and a power cut. Readers have connections of their own and wait for no
// writer.
type DB struct {
	now                       func() time.Time
	path                      string
	softLog, fullLog, hardLog int

	tasks   chan *task   // what waits for the writer
	scrubs  chan *task   // who waits for Scrub
	asides  chan *task   // what the writer does between transactions
	readers chan *reader // those not in use

	writer      *writer
	checkpoints *checkpointer
	stop        chan struct{} // closed by Close
	stopped     chan struct{} // closed when the writer has ended
	closed      atomic.Bool
}

// OpenDB opens the file, and makes it if it is absent, readable by its owner
// only. Items expire by the clock now. A file that a newer version of Lethe wrote
// is refused, unchanged, with kind.Invalid, and what is no file of Lethe's with
// kind.Corrupt, both with a sentence.
func OpenDB(path string, now func() time.Time) (*DB, error) {
	const op = "open the database"
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, kind.E(kind.Internal, op, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(err)
	}
	if err := f.Close(); err != nil {
		return nil, unwritable(err)
	}
	registerFiles()

	db := &DB{
		now: now, path: path, softLog: softLog, fullLog: fullLog, hardLog: hardLog,
		tasks: make(chan *task, maxGroup), scrubs: make(chan *task, maxGroup), asides: make(chan *task),
		readers: make(chan *reader, readers),
		stop:    make(chan struct{}), stopped: make(chan struct{}),
	}
	if db.writer, err = openWriter(db); err != nil {
		return nil, sqliteError(op, err)
	}
	fail := func(err error) error {
		for len(db.readers) > 0 {
			err = errors.Join(err, disconnect((<-db.readers).conn))
		}
		return sqliteError(op, errors.Join(err, disconnect(db.writer.conn)))
	}
	for range readers {
		r, err := openReader(db)
		if err != nil {
			return nil, fail(err)
		}
		db.readers <- r
	}
	if db.checkpoints, err = openCheckpointer(db); err != nil {
		return nil, fail(err)
	}
	go db.writer.run()
	return db, nil
}

// Table returns one of the tables "control", "subjects" and "workflow"; any other
// name is a mistake of the program, and panics.
func (db *DB) Table(name string) table.Table {
	if !slices.Contains(tableNames[:], name) {
		panic("local: the database has no table of that name")
	}
	return &sqliteTable{db: db, name: name}
}

// Close waits for what is being written, answers what still waits with
// kind.Unavailable, and closes the file. A second Close does nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	close(db.stop)
	<-db.stopped
	var err error
	for range readers {
		err = errors.Join(err, disconnect((<-db.readers).conn))
	}
	err = errors.Join(err, db.checkpoints.close(), disconnect(db.writer.conn)) // the last takes the log in
	return sqliteError("close the database", err)
}

// connect opens a connection of its own to the file.
func (db *DB) connect() (*sqlite3.Conn, error) {
	name := url.URL{Scheme: "file", OmitHost: true, Path: db.path}
	// What lies beside the file is to be for the same eyes.
	name.RawQuery = "vfs=" + filesName + "&modeof=" + strings.ReplaceAll(url.QueryEscape(db.path), "+", "%20")
	conn, err := sqlite3.OpenContext(sqlite3.WithMaxMemory(context.Background(), memory), name.String())
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		conn.BusyTimeout(patience),
		conn.Exec("PRAGMA synchronous = FULL"),
		conn.Exec("PRAGMA secure_delete = 1"),
		conn.Exec("PRAGMA temp_store = MEMORY"),
		conn.WALAutoCheckpoint(0),
	)
	if err != nil {
		return nil, errors.Join(err, disconnect(conn))
	}
	return conn, nil
}

// setCache bounds the cache of conn, in bytes. SQLite counts it in pages of the
// size that it knows, which is the file's only when the file has been read.
func setCache(conn *sqlite3.Conn, bytes int) error {
	if _, err := number(conn, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return err
	}
	return conn.Exec("PRAGMA cache_size = -" + strconv.Itoa(bytes>>10))
}

// disconnect closes conn and what was prepared on it.
func disconnect(conn *sqlite3.Conn) error {
	for _, stmt := range slices.Collect(conn.Stmts()) {
		if err := stmt.Close(); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	return conn.Close()
}

// prepare compiles SQL that the program wrote; a mistake in it shows when the
// file is opened.
func prepare(conn *sqlite3.Conn, sql string) (*sqlite3.Stmt, error) {
	stmt, _, err := conn.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	return stmt, err
}

// sqliteError returns err as an error of a kind, without what its text quotes.
func sqliteError(op string, err error) error {
	var known *kind.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	k, cause := kind.Unavailable, error(nil)
	var code sqlite3.ErrorCode
	if errors.As(err, &code) {
		cause = code
		switch code {
		case sqlite3.CORRUPT, sqlite3.NOTADB:
			k = kind.Corrupt
		case sqlite3.ERROR, sqlite3.MISUSE, sqlite3.CONSTRAINT, sqlite3.MISMATCH:
			k = kind.Internal
		}
	}
	var system syscall.Errno
	if errors.As(err, &system) {
		cause = system
	}
	if k == kind.Corrupt {
		return &kind.Error{Kind: k, Op: op, Err: cause, Sentence: "The database file is damaged, or none of Lethe's: put a whole backup back with lethe restore. The file of a backup alone would let people back in who were erased since."}
	}
	if cause == nil {
		return kind.E(k, op)
	}
	return kind.E(k, op, cause)
}
