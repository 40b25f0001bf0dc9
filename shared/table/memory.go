package table

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"lethe/shared/kind"
)

// Memory is the in-memory form of Table. Nothing outlives it.
type Memory struct {
	now func() time.Time

	mu    sync.RWMutex
	items map[Key]Item
	parts map[string]shelf // by PK, in the order of SK
	index map[string]shelf // by Index.PK, in the order of Index.SK
}

// NewMemory returns an empty table whose items expire by the clock now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, items: map[Key]Item{}, parts: map[string]shelf{}, index: map[string]shelf{}}
}

// Get implements Table.
func (m *Memory) Get(ctx context.Context, key Key) (Item, error) {
	if err := check(ctx, "get", CheckKey(key)); err != nil {
		return Item{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, ok := m.live(key)
	if !ok {
		return Item{}, kind.E(kind.NotFound, "get")
	}
	return clone(i), nil
}

// GetMany implements Table.
func (m *Memory) GetMany(ctx context.Context, keys []Key) (map[Key]Item, error) {
	if err := check(ctx, "get many", CheckKeys(keys)); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	found := make(map[Key]Item)
	for _, k := range keys {
		if i, ok := m.live(k); ok {
			found[k] = clone(i)
		}
	}
	return found, nil
}

// Query implements Table.
func (m *Memory) Query(ctx context.Context, q Query) (Page, error) {
	after, err := CheckQuery(q)
	if err := check(ctx, "query", err); err != nil {
		return Page{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.parts[q.PK]
	if q.Index {
		s = m.index[q.PK]
	}
	var page Page
	size := 0
	for p := range s.between(q, after) {
		i, ok := m.live(p.Key)
		if !ok {
			continue
		}
		size += Size(i)
		if n := len(page.Items); n > 0 && (n == q.Limit || size > MaxPage) {
			page.Next = After(q, page.Items[n-1]).Next(q)
			break
		}
		page.Items = append(page.Items, clone(i))
	}
	return page, nil
}

// Write implements Table.
func (m *Memory) Write(ctx context.Context, ops ...Op) error {
	if err := check(ctx, "write", CheckWrite(ops)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed []int
	for n, op := range ops {
		if !m.holds(op) {
			failed = append(failed, n)
		}
	}
	if failed != nil {
		return kind.E(kind.Conflict, "write", ConflictError{Ops: failed})
	}
	for _, op := range ops {
		m.apply(op)
	}
	return nil
}

// WriteMany implements Table.
func (m *Memory) WriteMany(ctx context.Context, ops []Op) error {
	if err := check(ctx, "write many", CheckWriteMany(ops)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range ops {
		m.apply(op)
	}
	return nil
}

// Add implements Table.
func (m *Memory) Add(ctx context.Context, key Key, n int64) (int64, error) {
	if err := check(ctx, "add", CheckKey(key)); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.items[key].Expires.IsZero() {
		return 0, kind.E(kind.Conflict, "add", ConflictError{Ops: []int{0}})
	}
	m.apply(Op{Verb: VerbAdd, Item: Item{Key: key}, N: n})
	return m.items[key].Count, nil
}

// Partitions implements Table.
func (m *Memory) Partitions(ctx context.Context, f func(pk string) error) error {
	m.mu.RLock()
	pks := make([]string, 0, len(m.parts))
	for pk := range m.parts {
		pks = append(pks, pk)
	}
	m.mu.RUnlock()
	for _, pk := range pks {
		if err := check(ctx, "partitions", nil); err != nil {
			return err
		}
		if err := f(pk); err != nil {
			return err
		}
	}
	return nil
}

// Scrub implements Table; there is no file.
func (m *Memory) Scrub(ctx context.Context) error { return check(ctx, "scrub", nil) }

// live returns the item of key unless it is absent or expired.
func (m *Memory) live(key Key) (Item, bool) {
	i, ok := m.items[key]
	return i, ok && !i.Expired(m.now())
}

func (m *Memory) holds(op Op) bool {
	i, ok := m.live(op.Item.Key)
	switch {
	case op.Verb == VerbAdd:
		stored := m.items[op.Item.Key]
		return stored.Expires.IsZero() && stored.Count <= Room(op.N, op.Max)
	case op.If.Absent:
		return !ok
	case op.If.At != 0:
		return ok && i.Version == op.If.At
	default:
		return true
	}
}

func (m *Memory) apply(op Op) {
	old, ok := m.items[op.Item.Key]
	switch op.Verb {
	case VerbPut:
		if ok {
			m.remove(old)
		}
		i := clone(op.Item)
		if !i.Expires.IsZero() {
			i.Expires = time.Unix(i.Expires.Unix(), 0).UTC()
		}
		m.insert(i)
	case VerbDelete:
		if ok {
			m.remove(old)
		}
	case VerbAdd:
		if ok {
			m.remove(old)
		}
		old.Key = op.Item.Key
		old.Count += op.N
		m.insert(old)
	}
}

func (m *Memory) insert(i Item) {
	i.Version = Version(rand.Int64N(1<<63-1) + 1)
	m.items[i.Key] = i
	m.parts[i.PK] = m.parts[i.PK].with(Position{i.SK, i.Key})
	if i.Index != (Key{}) {
		m.index[i.Index.PK] = m.index[i.Index.PK].with(Position{i.Index.SK, i.Key})
	}
}

func (m *Memory) remove(i Item) {
	delete(m.items, i.Key)
	m.parts[i.PK] = m.parts[i.PK].without(Position{i.SK, i.Key})
	if len(m.parts[i.PK]) == 0 {
		delete(m.parts, i.PK)
	}
	if i.Index != (Key{}) {
		m.index[i.Index.PK] = m.index[i.Index.PK].without(Position{i.Index.SK, i.Key})
	}
}

// A shelf is the sorted places of one partition's items.
type shelf []Position

func order(a, b Position) int {
	return cmp.Or(cmp.Compare(a.Sort, b.Sort), cmp.Compare(a.Key.PK, b.Key.PK), cmp.Compare(a.Key.SK, b.Key.SK))
}

func (s shelf) with(p Position) shelf {
	at, _ := slices.BinarySearchFunc(s, p, order)
	return slices.Insert(s, at, p)
}

func (s shelf) without(p Position) shelf {
	at, ok := slices.BinarySearchFunc(s, p, order)
	if !ok {
		return s
	}
	return slices.Delete(s, at, at+1)
}

// between returns what q asks for behind after, in q's order.
func (s shelf) between(q Query, after Position) iter.Seq[Position] {
	lo, _ := slices.BinarySearchFunc(s, Position{Sort: q.From}, order)
	hi := len(s)
	if q.To != "" {
		hi, _ = slices.BinarySearchFunc(s, Position{Sort: q.To}, order)
	}
	if q.After != "" {
		at, found := slices.BinarySearchFunc(s, after, order)
		switch {
		case q.Backwards:
			hi = at
		case found:
			lo = at + 1
		default:
			lo = at
		}
	}
	return func(yield func(Position) bool) {
		for i := range hi - lo {
			at := lo + i
			if q.Backwards {
				at = hi - 1 - i
			}
			if !yield(s[at]) {
				return
			}
		}
	}
}

// check returns the first reason not to begin op.
func check(ctx context.Context, op string, invalid error) error {
	if invalid != nil {
		return invalid
	}
	if err := ctx.Err(); err != nil {
		return kind.E(kind.Unavailable, op, err)
	}
	return nil
}

func clone(i Item) Item {
	i.Data = bytes.Clone(i.Data)
	return i
}
