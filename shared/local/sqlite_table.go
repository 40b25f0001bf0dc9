package local

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A sqliteTable is one table of a DB. Its reading is in sqlite_read.go.
type sqliteTable struct {
	db   *DB
	name string
}

var _ table.Table = (*sqliteTable)(nil)

// Write implements table.Table.
func (t *sqliteTable) Write(ctx context.Context, ops ...table.Op) error {
	const op = "write"
	if err := ready(ctx, op, table.CheckWrite(ops)); err != nil || len(ops) == 0 {
		return err
	}
	return t.db.submit(ctx, op, t.db.tasks, &task{bytes: size(ops), do: func(w *writer) (error, error) {
		s := w.tables[t.name]
		var failed []int
		counts := make([]int64, len(ops))
		for n, op := range ops {
			old, err := s.state(op, t.db.now())
			if err != nil {
				return nil, err
			}
			if !old.holds(op) {
				failed = append(failed, n)
			}
			counts[n] = old.count + op.N
		}
		if failed != nil {
			return kind.E(kind.Conflict, "conditions", table.ConflictError{Ops: failed}), nil
		}
		for n, op := range ops {
			if err := s.apply(op, counts[n]); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}})
}

// maxPart is how many operations of a WriteMany one task does; between two tasks
// others may write.
const maxPart = 4000

// WriteMany implements table.Table.
func (t *sqliteTable) WriteMany(ctx context.Context, ops []table.Op) error {
	const op = "write many"
	if err := ready(ctx, op, table.CheckWriteMany(ops)); err != nil {
		return err
	}
	for len(ops) > 0 {
		n, bytes := 0, 0
		for n < len(ops) && n < maxPart && bytes < maxGroupBytes {
			bytes += table.Size(ops[n].Item)
			n++
		}
		part := ops[:n]
		ops = ops[n:]
		err := t.db.submit(ctx, op, t.db.tasks, &task{bytes: bytes, do: func(w *writer) (error, error) {
			s := w.tables[t.name]
			for _, op := range part {
				if err := s.apply(op, 0); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// Add implements table.Table.
func (t *sqliteTable) Add(ctx context.Context, key table.Key, n int64) (int64, error) {
	const op = "add"
	if err := ready(ctx, op, table.CheckKey(key)); err != nil {
		return 0, err
	}
	add := table.Op{Verb: table.VerbAdd, Item: table.Item{Key: key}, N: n}
	sum := int64(0)
	err := t.db.submit(ctx, op, t.db.tasks, &task{do: func(w *writer) (error, error) {
		s := w.tables[t.name]
		old, err := s.state(add, t.db.now())
		if err != nil {
			return nil, err
		}
		if old.expires {
			return kind.E(kind.Conflict, "expiry", table.ConflictError{Ops: []int{0}}), nil
		}
		sum = old.count + n
		return nil, s.apply(add, sum)
	}})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

// Scrub implements table.Table, for all tables of the file.
func (t *sqliteTable) Scrub(ctx context.Context) error { return t.db.Scrub(ctx) }

// ready returns the first reason not to begin op.
func ready(ctx context.Context, op string, invalid error) error {
	if invalid != nil {
		return invalid
	}
	if err := ctx.Err(); err != nil {
		return kind.E(kind.Unavailable, op, err)
	}
	return nil
}

func size(ops []table.Op) int {
	bytes := 0
	for _, op := range ops {
		bytes += table.Size(op.Item)
	}
	return bytes
}

// writing is the writer's statements for one table.
type writing struct{ look, put, remove, count, expire *sqlite3.Stmt }

func prepareWriting(conn *sqlite3.Conn, name string) (*writing, error) {
	s := &writing{}
	for _, p := range []struct {
		stmt **sqlite3.Stmt
		sql  string
	}{
		{&s.look, "SELECT v, n, x FROM " + name + " WHERE pk = ? AND sk = ?"},
		// In place: a row that is replaced would be deleted here and put at the end.
		{&s.put, "INSERT INTO " + name + " (pk, sk, v, n, x, ipk, isk, d) VALUES (?, ?, ?, ?, ?, ?, ?, ?) " +
			"ON CONFLICT DO UPDATE SET v = excluded.v, n = excluded.n, x = excluded.x, ipk = excluded.ipk, isk = excluded.isk, d = excluded.d"},
		{&s.remove, "DELETE FROM " + name + " WHERE pk = ? AND sk = ?"},
		{&s.count, "INSERT INTO " + name + " (pk, sk, v, n) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET v = excluded.v, n = excluded.n"},
		{&s.expire, "DELETE FROM " + name + " WHERE rowid IN (SELECT rowid FROM " + name + " WHERE x <= ? ORDER BY x LIMIT ?)"},
	} {
		stmt, err := prepare(conn, p.sql)
		if err != nil {
			return nil, err
		}
		*p.stmt = stmt
	}
	return s, nil
}

// A state is what conditions are decided on.
type state struct {
	version table.Version // 0 where the item is absent or expired
	count   int64         // also of an item that is expired
	expires bool          // it has an expiry, passed or not
}

func (s state) holds(op table.Op) bool {
	switch {
	case op.Verb == table.VerbAdd:
		return !s.expires && s.count <= table.Room(op.N, op.Max)
	case op.If.Absent:
		return s.version == 0
	case op.If.At != 0:
		return s.version == op.If.At
	default:
		return true
	}
}

// state reads what the condition of op is decided on.
func (s *writing) state(op table.Op, now time.Time) (state, error) {
	if op.Verb != table.VerbAdd && op.If == (table.Cond{}) {
		return state{}, nil
	}
	if err := bindKey(s.look, op.Item.Key); err != nil {
		return state{}, err
	}
	found := state{}
	if s.look.Step() {
		found.version = table.Version(s.look.ColumnInt64(0))
		found.count = s.look.ColumnInt64(1)
		if s.look.ColumnType(2) != sqlite3.NULL {
			found.expires = true
			if s.look.ColumnInt64(2) <= now.Unix() {
				found.version = 0
			}
		}
	}
	if err := s.look.Err(); err != nil {
		return state{}, err
	}
	return found, s.look.Reset()
}

// apply does op; count is what it is to be after VerbAdd.
func (s *writing) apply(op table.Op, count int64) error {
	switch op.Verb {
	case table.VerbPut:
		return s.store(op.Item)
	case table.VerbDelete:
		if err := bindKey(s.remove, op.Item.Key); err != nil {
			return err
		}
		return s.remove.Exec()
	case table.VerbAdd:
		if err := bindKey(s.count, op.Item.Key); err != nil {
			return err
		}
		if err := s.count.BindInt64(3, newVersion()); err != nil {
			return err
		}
		if err := s.count.BindInt64(4, count); err != nil {
			return err
		}
		return s.count.Exec()
	}
	return nil // VerbCheck
}

func (s *writing) store(i table.Item) error {
	if err := bindKey(s.put, i.Key); err != nil {
		return err
	}
	if err := s.put.BindInt64(3, newVersion()); err != nil {
		return err
	}
	if err := s.put.BindInt64(4, i.Count); err != nil {
		return err
	}
	if i.Expires.IsZero() {
		if err := s.put.BindNull(5); err != nil {
			return err
		}
	} else if err := s.put.BindInt64(5, i.Expires.Unix()); err != nil {
		return err
	}
	if i.Index == (table.Key{}) {
		if err := s.put.BindNull(6); err != nil {
			return err
		}
		if err := s.put.BindNull(7); err != nil {
			return err
		}
	} else {
		if err := s.put.BindText(6, i.Index.PK); err != nil {
			return err
		}
		if err := s.put.BindText(7, i.Index.SK); err != nil {
			return err
		}
	}
	if err := s.put.BindBlob(8, i.Data); err != nil {
		return err
	}
	return s.put.Exec()
}

func bindKey(s *sqlite3.Stmt, k table.Key) error {
	if err := s.BindText(1, k.PK); err != nil {
		return err
	}
	return s.BindText(2, k.SK)
}

func newVersion() int64 { return rand.Int64N(1<<63-1) + 1 }
