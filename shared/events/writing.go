package events

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A writing is a batch of events after it has looked: what goes to the table.
type writing struct {
	store    *Store
	project  string
	received time.Time
	look     *look

	ops      []table.Op        // one for each event that fits an item
	at       map[table.Key]int // the place in ops, or -1 for one that is large
	large    map[table.Key]large
	edges    map[[2]table.Key]linking
	subjects map[string]bool // partitions that are new
	rows     int64
	in       intake
	// tied is who is opted out by an edge of the batch, and because of whom.
	tied map[kind.Subject]kind.Subject
	ties []dsr.Tie
}

// large is an event in several items.
type large struct {
	received time.Time
	value    []byte
}

// add takes in one event, unless it is late or of somebody who is opted out. One that
// only tells of identities is about both ends of its edge, and stays out if either
// was erased since or is opted out; one that names a device and its user is that
// user's too.
func (w *writing) add(e *Event, r row) error {
	out, err := w.out(e.Subject)
	if err != nil {
		return err
	}
	late := false
	for _, g := range r.edges {
		kept, err := w.addEdge(g)
		if err != nil {
			return err
		}
		from, err := w.out(g.from)
		if err != nil {
			return err
		}
		to, err := w.out(g.to)
		if err != nil {
			return err
		}
		out = out || from && g.kind == byDevice || (from || to) && isIdentity(e.Name)
		late = late || !kept && isIdentity(e.Name)
	}
	cutoff, err := w.look.cutoff(e.Subject)
	if err != nil {
		return err
	}
	switch {
	case out:
		w.in.optedOut++
		return nil
	case late || !r.time.After(cutoff.gone):
		w.in.late++
		return nil
	}
	w.in.stored++
	if !r.time.After(cutoff.bare) {
		if r.value, err = eventWithoutMeans(r.value); err != nil {
			return err
		}
	}
	received, pieces := w.received, 0
	if item, ok := w.look.items[r.key]; ok {
		old, err := readHead(item.Data)
		if err != nil {
			return err
		}
		if was := time.UnixMilli(old.received); was.After(cutoff.gone) {
			received = was
		}
		pieces = old.pieces
	} else if _, twice := w.at[r.key]; !twice {
		w.rows++
	}
	data, more, err := w.store.codec.encode(received, 0, r.value)
	if err != nil {
		return err
	}
	if e.Subject != "" {
		w.addSubject(r.key.PK)
	}
	before, twice := w.at[r.key]
	if len(more) > 0 || pieces > 0 || twice && before < 0 {
		if w.large == nil {
			w.large = map[table.Key]large{}
		}
		w.large[r.key] = large{received, r.value}
		if twice && before >= 0 {
			w.ops[before] = table.Op{}
		}
		w.at[r.key] = -1
		return nil
	}
	op := table.Put(table.Item{Key: r.key, Data: data}, table.Cond{})
	if twice {
		w.ops[before] = op
		return nil
	}
	w.at[r.key] = len(w.ops)
	w.ops = append(w.ops, op)
	return nil
}

// addEdge takes in an edge that is new. It reports false if it stays out, because
// one of its ends was erased since or is opted out.
func (w *writing) addEdge(g edge) (bool, error) {
	link := linking{edge: g}
	for _, id := range []kind.Subject{g.from, g.to} {
		if out, err := w.out(id); out || err != nil {
			return false, err
		}
		cutoff, err := w.look.cutoff(id)
		if err != nil || !g.time.After(cutoff.gone) {
			return false, err
		}
		if cutoff.gone.After(link.cutoff) {
			link.cutoff = cutoff.gone
		}
	}
	keys := g.keys(w.project)
	if there, err := link.stands(keys, w.look.items); there || err != nil {
		return there, err
	}
	if w.edges == nil {
		w.edges = map[[2]table.Key]linking{}
	}
	if _, ok := w.edges[keys]; !ok {
		w.edges[keys] = link
		w.addSubject(keys[0].PK)
		w.addSubject(keys[1].PK)
	}
	return true, nil
}

// addSubject counts a partition that has nothing yet.
func (w *writing) addSubject(pk string) {
	if !w.look.has(table.Key{PK: pk, SK: subjectSK}) {
		w.subjects[pk] = true
	}
}

// write makes everything durable: edges first, so that no event is there under
// an identifier that nothing links to the person.
func (w *writing) write(ctx context.Context) error {
	if err := w.writeEdges(ctx); err != nil {
		return err
	}
	if err := w.tieStored(ctx); err != nil {
		return err
	}
	for key, l := range w.large {
		if err := w.store.replace(ctx, key, l); err != nil {
			return err
		}
	}
	subjects, err := w.writeSubjects(ctx)
	if err != nil {
		return err
	}
	w.ops = slices.DeleteFunc(w.ops, func(op table.Op) bool { return op.Verb == 0 })
	if len(w.ops) > 0 {
		if err := w.store.subjects.WriteMany(ctx, w.ops); err != nil {
			return err
		}
	}
	w.store.take(ctx, w.project, w.received, w.in, w.rows, subjects)
	return nil
}

// subjectItem is the item that tells that a partition has been counted.
func subjectItem(pk string, received time.Time) table.Item {
	h := head{received: received.UnixMilli()}
	return table.Item{Key: table.Key{PK: pk, SK: subjectSK}, Data: h.append(nil)}
}

// writeSubjects marks the partitions that are new and returns how many are: of
// several calls that see a person for the first time, one counts it.
func (w *writing) writeSubjects(ctx context.Context) (int64, error) {
	var marked atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for pks := range slices.Chunk(slices.Sorted(maps.Keys(w.subjects)), table.MaxOps) {
		group.Go(func() error {
			for len(pks) > 0 {
				ops := make([]table.Op, len(pks))
				for i, pk := range pks {
					ops[i] = table.Put(subjectItem(pk, w.received), table.IfAbsent())
				}
				err := w.store.subjects.Write(ctx, ops...)
				if err == nil {
					marked.Add(int64(len(pks)))
					return nil
				}
				failed := table.Failed(err)
				if len(failed) == 0 {
					return err
				}
				slices.Sort(failed)
				for _, i := range slices.Backward(failed) {
					pks = slices.Delete(pks, i, i+1)
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return marked.Load(), err
}

// replace writes an event that has several items now or had them before.
func (s *Store) replace(ctx context.Context, key table.Key, l large) error {
	data, more, err := s.codec.encode(l.received, 0, l.value)
	if err != nil {
		return err
	}
	for {
		var old head
		item, err := s.subjects.Get(ctx, key)
		if err != nil && kind.Of(err) != kind.NotFound {
			return err
		}
		if err == nil {
			if old, err = readHead(item.Data); err != nil {
				return err
			}
		}
		err = s.subjects.Write(ctx, valueOps(key, item.Version, data, more, old.pieces)...)
		if kind.Of(err) != kind.Conflict || ctx.Err() != nil {
			return err
		}
	}
}

// valueOps writes a value of several items over one that had some too.
func valueOps(key table.Key, at table.Version, first []byte, pieces [][]byte, had int) []table.Op {
	ops := []table.Op{table.Put(table.Item{Key: key, Data: first}, table.IfAt(at))}
	for i, data := range pieces {
		ops = append(ops, table.Put(table.Item{Key: table.Key{PK: key.PK, SK: pieceSK(key.SK, i+1)}, Data: data}, table.Cond{}))
	}
	for i := len(pieces); i < had; i++ {
		ops = append(ops, table.Delete(table.Key{PK: key.PK, SK: pieceSK(key.SK, i+1)}, table.Cond{}))
	}
	return ops
}

// A linking is an edge on its way. One that stands already, but from before the
// cutoff, is about to be erased, and is replaced.
type linking struct {
	edge
	cutoff time.Time // the later of both ends'
	at     [2]table.Version
}

// stands reports whether both items are there and stay, and else notes which
// versions of them to replace.
func (l *linking) stands(keys [2]table.Key, items map[table.Key]table.Item) (bool, error) {
	stay := 0
	for i, key := range keys {
		item, ok := items[key]
		l.at[i] = item.Version
		if !ok {
			continue
		}
		h, err := readHead(item.Data)
		if err != nil {
			return false, err
		}
		if time.UnixMilli(h.received).After(l.cutoff) {
			stay++
		}
	}
	return stay == len(keys), nil
}

// write writes both items of an edge, or none. One that somebody else wrote
// meanwhile stays as it is.
func (l linking) write(ctx context.Context, w *writing, keys [2]table.Key) error {
	values := l.values()
	for {
		var ops []table.Op
		for i, key := range keys {
			data, _, err := w.store.codec.encode(w.received, 0, values[i])
			if err != nil {
				return err
			}
			ops = append(ops, table.Put(table.Item{Key: key, Data: data}, table.IfAt(l.at[i])))
		}
		err := w.store.subjects.Write(ctx, ops...)
		if kind.Of(err) != kind.Conflict || ctx.Err() != nil {
			return err
		}
		items, err := w.store.subjects.GetMany(ctx, keys[:])
		if err != nil {
			return err
		}
		if there, err := l.stands(keys, items); there || err != nil {
			return err
		}
	}
}

// writeEdges writes edges, some at once.
func (w *writing) writeEdges(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for keys, link := range w.edges {
		group.Go(func() error { return link.write(ctx, w, keys) })
	}
	return group.Wait()
}
