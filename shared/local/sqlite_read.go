package local

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A reader is a connection that reads, and its statements for each table.
type reader struct {
	conn   *sqlite3.Conn
	begin  *sqlite3.Stmt
	end    *sqlite3.Stmt
	tables map[string]*reading
}

type reading struct{ get, forwards, backwards, indexForwards, indexBackwards, nextPartition *sqlite3.Stmt }

const columns = "pk, sk, v, n, x, ipk, isk, d"

func openReader(db *DB) (*reader, error) {
	conn, err := db.connect()
	if err != nil {
		return nil, err
	}
	r := &reader{conn: conn, tables: make(map[string]*reading)}
	if err := r.prepare(); err != nil {
		return nil, errors.Join(err, disconnect(conn))
	}
	return r, nil
}

func (r *reader) prepare() (err error) {
	if err := r.conn.Exec("PRAGMA query_only = 1"); err != nil {
		return err
	}
	if err := setCache(r.conn, readerCache); err != nil {
		return err
	}
	if r.begin, err = prepare(r.conn, "BEGIN"); err != nil {
		return err
	}
	if r.end, err = prepare(r.conn, "COMMIT"); err != nil {
		return err
	}
	for _, name := range tableNames {
		if r.tables[name], err = prepareReading(r.conn, name); err != nil {
			return err
		}
	}
	return nil
}

func prepareReading(conn *sqlite3.Conn, name string) (*reading, error) {
	s := &reading{}
	from := "SELECT " + columns + " FROM " + name
	for _, p := range []struct {
		stmt **sqlite3.Stmt
		sql  string
	}{
		{&s.get, from + " WHERE pk = ? AND sk = ?"},
		{&s.forwards, from + " WHERE pk = ?1 AND sk >= ?2 AND sk < ?3 ORDER BY sk"},
		{&s.backwards, from + " WHERE pk = ?1 AND sk >= ?2 AND sk < ?3 ORDER BY sk DESC"},
		{&s.indexForwards, from + " WHERE ipk = ?1 AND (isk, pk, sk) >= (?2, ?3, ?4) AND (isk, pk, sk) < (?5, ?6, ?7) ORDER BY isk, pk, sk"},
		{&s.indexBackwards, from + " WHERE ipk = ?1 AND (isk, pk, sk) >= (?2, ?3, ?4) AND (isk, pk, sk) < (?5, ?6, ?7) ORDER BY isk DESC, pk DESC, sk DESC"},
		{&s.nextPartition, "SELECT pk FROM " + name + " WHERE pk > ? ORDER BY pk LIMIT 1"},
	} {
		stmt, err := prepare(conn, p.sql)
		if err != nil {
			return nil, err
		}
		*p.stmt = stmt
	}
	return s, nil
}

// read lends f a reader. F must be short: Scrub waits for it.
func (t *sqliteTable) read(ctx context.Context, op string, f func(*reader, *reading) error) error {
	if t.db.closed.Load() {
		return kind.E(kind.Unavailable, op, errors.New("the database is closed"))
	}
	select {
	case r := <-t.db.readers:
		defer func() { t.db.readers <- r }()
		return sqliteError(op, f(r, r.tables[t.name]))
	case <-ctx.Done():
		return kind.E(kind.Unavailable, op, ctx.Err())
	case <-t.db.stopped:
		return kind.E(kind.Unavailable, op, errors.New("the database is closed"))
	}
}

// Get implements table.Table.
func (t *sqliteTable) Get(ctx context.Context, key table.Key) (table.Item, error) {
	const op = "get"
	if err := ready(ctx, op, table.CheckKey(key)); err != nil {
		return table.Item{}, err
	}
	var found table.Item
	err := t.read(ctx, op, func(_ *reader, s *reading) error {
		i, ok, err := s.item(key)
		if err == nil && (!ok || i.Expired(t.db.now())) {
			err = kind.E(kind.NotFound, op)
		}
		found = i
		return err
	})
	if err != nil {
		return table.Item{}, err
	}
	return found, nil
}

// snapshot is how many keys, and maxSnapshot about how many bytes, GetMany reads
// at once.
const (
	snapshot    = 500
	maxSnapshot = 4 << 20
)

// GetMany implements table.Table.
func (t *sqliteTable) GetMany(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	const op = "get many"
	if err := ready(ctx, op, table.CheckKeys(keys)); err != nil {
		return nil, err
	}
	found := make(map[table.Key]table.Item)
	for len(keys) > 0 {
		if err := ready(ctx, op, nil); err != nil {
			return nil, err
		}
		err := t.read(ctx, op, func(r *reader, s *reading) error {
			if err := r.begin.Exec(); err != nil {
				return err
			}
			n, err := s.some(keys, t.db.now(), found)
			keys = keys[n:]
			return errors.Join(err, r.end.Exec())
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// some looks up keys from the first on, and returns how many.
func (s *reading) some(keys []table.Key, now time.Time, found map[table.Key]table.Item) (int, error) {
	n, bytes := 0, 0
	for n < len(keys) && n < snapshot && bytes < maxSnapshot {
		i, ok, err := s.item(keys[n])
		if err != nil {
			return n, err
		}
		if ok && !i.Expired(now) {
			found[i.Key] = i
			bytes += table.Size(i)
		}
		n++
	}
	return n, nil
}

func (s *reading) item(key table.Key) (table.Item, bool, error) {
	if err := bindKey(s.get, key); err != nil {
		return table.Item{}, false, err
	}
	var i table.Item
	ok := s.get.Step()
	if ok {
		i = decode(s.get)
	}
	return i, ok, errors.Join(s.get.Err(), s.get.Reset())
}

// decode returns the item of the row that s stands at.
func decode(s *sqlite3.Stmt) table.Item {
	i := table.Item{
		Key:     table.Key{PK: s.ColumnText(0), SK: s.ColumnText(1)},
		Version: table.Version(s.ColumnInt64(2)),
		Count:   s.ColumnInt64(3),
		Index:   table.Key{PK: s.ColumnText(5), SK: s.ColumnText(6)},
		Data:    s.ColumnBlob(7, nil),
	}
	if s.ColumnType(4) != sqlite3.NULL {
		i.Expires = time.Unix(s.ColumnInt64(4), 0).UTC()
	}
	return i
}

// Query implements table.Table.
func (t *sqliteTable) Query(ctx context.Context, q table.Query) (table.Page, error) {
	const op = "query"
	after, err := table.CheckQuery(q)
	if err := ready(ctx, op, err); err != nil {
		return table.Page{}, err
	}
	if q.Void() {
		return table.Page{}, nil
	}
	var page table.Page
	err = t.read(ctx, op, func(_ *reader, s *reading) error {
		stmt, err := s.query(q, after)
		if err != nil {
			return err
		}
		page = fill(stmt, q, t.db.now())
		return errors.Join(stmt.Err(), stmt.Reset())
	})
	if err != nil {
		return table.Page{}, err
	}
	return page, nil
}

// fill reads a page from stmt. Expired items count too, so that a page of many
// ends.
func fill(stmt *sqlite3.Stmt, q table.Query, now time.Time) table.Page {
	var page table.Page
	var last table.Item
	bytes, seen := 0, 0
	for stmt.Step() {
		if seen > 0 && (bytes >= table.MaxPage || seen == q.Limit) {
			page.Next = table.After(q, last).Next(q)
			break
		}
		last = decode(stmt)
		seen++
		bytes += table.Size(last)
		if !last.Expired(now) {
			page.Items = append(page.Items, last)
		}
	}
	return page
}

// end sorts behind every text: no UTF-8 holds this byte.
const end = "\xff"

// query returns the statement for q, bound.
func (s *reading) query(q table.Query, after table.Position) (*sqlite3.Stmt, error) {
	low, high := table.Position{Sort: q.From}, table.Position{Sort: q.To}
	if q.To == "" {
		high.Sort = end
	}
	switch {
	case q.After == "":
	case q.Backwards:
		high = after
	default: // nothing sorts between a text and it with a zero byte
		low = after
		low.Key.SK += "\x00"
		if !q.Index {
			low.Sort += "\x00"
		}
	}
	stmt := s.forwards
	texts := []string{q.PK, low.Sort, high.Sort}
	switch {
	case q.Index:
		texts = []string{q.PK, low.Sort, low.Key.PK, low.Key.SK, high.Sort, high.Key.PK, high.Key.SK}
		stmt = s.indexForwards
		if q.Backwards {
			stmt = s.indexBackwards
		}
	case q.Backwards:
		stmt = s.backwards
	}
	for n, text := range texts {
		if err := stmt.BindText(n+1, text); err != nil {
			return nil, err
		}
	}
	return stmt, nil
}

// partitionsAtOnce is how many keys are read before the reader is given back.
const partitionsAtOnce = 1000

// Partitions implements table.Table.
func (t *sqliteTable) Partitions(ctx context.Context, f func(pk string) error) error {
	const op = "partitions"
	for last := ""; ; {
		if err := ready(ctx, op, nil); err != nil {
			return err
		}
		var pks []string
		err := t.read(ctx, op, func(_ *reader, s *reading) error {
			for len(pks) < partitionsAtOnce {
				if err := s.nextPartition.BindText(1, last); err != nil {
					return err
				}
				if !s.nextPartition.Step() {
					return errors.Join(s.nextPartition.Err(), s.nextPartition.Reset())
				}
				last = s.nextPartition.ColumnText(0)
				pks = append(pks, last)
				if err := s.nextPartition.Reset(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, pk := range pks {
			if err := f(pk); err != nil {
				return err
			}
		}
		if len(pks) < partitionsAtOnce {
			return nil
		}
	}
}
