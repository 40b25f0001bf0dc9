package events

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Erase implements dsr.Source. Of an edge it removes both items in one
// transaction, also that in the partition of another id; so it does with what
// becomes of a record for Categories and Sources. What a step changes in many
// partitions goes in few writes, since most people have little.
//
// Edges go when nothing else of the scope is left: while a device has data of the
// person it belongs to, nobody else may come to own it. Where one said of an identifier
// that stays that it is a user's, that is kept, or its person could turn out to be
// another's.
func (s *Store) Erase(ctx context.Context, scope dsr.Scope, cursor string) (dsr.Progress, error) {
	cursor, edges := strings.CutPrefix(cursor, edgesCursor)
	at, err := readPlace(cursor, scope)
	if err != nil {
		return dsr.Progress{}, err
	}
	progress := dsr.Progress{Cursor: cursor, Done: true}
	rows := 0
	r := removal{store: s, scope: scope, edges: edges, ids: map[kind.Subject]bool{}, seen: map[table.Key]bool{}, left: map[string]bool{}}
	for _, c := range scope.Clusters {
		for _, id := range c.IDs {
			r.ids[id] = true
		}
	}
	err = s.walk(ctx, scope, at, func(p page) (bool, error) {
		if err := r.add(ctx, p); err != nil {
			return false, err
		}
		progress.Cursor = p.place.String()
		rows += 1 + len(p.items)
		progress.Done = rows < stepRows
		return progress.Done, nil
	})
	if err == nil {
		err = r.apply(ctx)
	}
	switch {
	case edges:
		progress.Cursor = edgesCursor + progress.Cursor
	case progress.Done && scope.Disclosure != dsr.Sources:
		progress.Cursor, progress.Done = edgesCursor, false
	}
	return progress, kind.Wrap("erase events", err)
}

// edgesCursor begins the cursor of a step that removes edges.
const edgesCursor = "edges "

// A removal is what a step of Erase removes.
type removal struct {
	store  *Store
	scope  dsr.Scope
	edges  bool // they are to go, and else they are to stay
	events []table.Op
	// swaps are profiles and edges, each of which goes whole or not at all, and
	// records that are changed. Loose are pieces that may belong to none of them.
	swaps, loose []swap
	ids          map[kind.Subject]bool // of the scope
	seen         map[table.Key]bool    // items of edges in swaps
	left         map[string]bool       // partitions that may be empty afterwards
	rows         int64
}

// add notes what is in scope of one page.
func (r *removal) add(ctx context.Context, p page) error {
	profile := swap{pk: p.pk}
	for _, item := range p.items {
		w, h, in, err := r.store.examine(r.scope, item)
		if err != nil {
			return err
		}
		if !in || r.edges != (w == anEdge || w == aUser) {
			continue
		}
		switch {
		case r.scope.Disclosure == dsr.Sources:
			strip, _, err := r.store.strip(ctx, r.scope, w, item)
			if err != nil {
				return err
			}
			if strip.ops != nil {
				r.swaps = append(r.swaps, strip)
			}
			continue
		case r.scope.Disclosure == dsr.Categories && w == anEvent:
			if err := r.addBare(ctx, item, h); err != nil {
				return err
			}
			continue
		}
		switch w {
		case anEvent:
			r.events = append(r.events, table.Delete(item.Key, table.Cond{}))
			if !h.isPiece() {
				r.rows++
			}
		case aProfile:
			profile.ops = append(profile.ops, table.Delete(item.Key, table.IfAt(item.Version)))
			if !h.isPiece() {
				profile.rows++
			}
		case aUser:
			r.swaps = append(r.swaps, swap{pk: p.pk, ops: []table.Op{table.Delete(item.Key, table.IfAt(item.Version))}})
		case anEdge:
			if err := r.addEdge(p, item, h); err != nil {
				return err
			}
		}
	}
	if len(profile.ops) > 0 {
		r.swaps = append(r.swaps, profile)
	}
	if p.next == "" {
		r.left[p.pk] = true
	}
	return nil
}

// addEdge notes both items of an edge, once, though both ends may be in scope.
func (r *removal) addEdge(p page, item table.Item, h head) error {
	e, err := readEnd(item.SK, h.body)
	if err != nil {
		return err
	}
	id := r.scope.Clusters[p.cluster].IDs[p.id]
	other := e.mirror(r.scope.Project, id)
	r.left[other.PK] = true
	if r.seen[item.Key] {
		return nil
	}
	r.seen[item.Key], r.seen[other] = true, true
	ops := []table.Op{table.Delete(item.Key, table.IfAt(item.Version)), table.Delete(other, table.Cond{})}
	from, to := e.kind.tellsUsers()
	if user := e.outgoing && to || !e.outgoing && from; user && !r.ids[e.other] {
		// If the other is being erased at this moment, the edge is gone or this is found.
		ops = append(ops, table.Put(e.userItem(r.scope.Project, h.received), table.Cond{}))
	}
	r.swaps = append(r.swaps, swap{pk: p.pk, ops: ops})
	return nil
}

// apply removes everything. What somebody changed since it was read stays: it is
// either new and not in scope, or the next look finds it.
func (r *removal) apply(ctx context.Context) error {
	s := r.store
	if len(r.events) > 0 {
		if err := s.subjects.WriteMany(ctx, r.events); err != nil {
			return err
		}
	}
	rows, err := s.remove(ctx, r.swaps)
	if err != nil {
		return err
	}
	if _, err := s.remove(ctx, r.loose); err != nil {
		return err
	}
	s.count(ctx, r.scope.Project, map[string]int64{rowsCounter: -r.rows - rows})
	left := make([]string, 0, len(r.left))
	for pk := range r.left {
		left = append(left, pk)
	}
	return s.forget(ctx, r.scope.Project, left...)
}

// forget removes, from partitions that hold nothing else, the item that tells
// that they have been counted.
func (s *Store) forget(ctx context.Context, project string, partitions ...string) error {
	var mu sync.Mutex
	var markers []swap
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(ahead)
	for _, pk := range partitions {
		group.Go(func() error {
			page, err := s.subjects.Query(gctx, table.Query{PK: pk, Limit: 2})
			if err != nil || len(page.Items) != 1 || page.Items[0].SK != subjectSK {
				return err
			}
			marker := page.Items[0]
			mu.Lock()
			defer mu.Unlock()
			markers = append(markers, swap{pk: pk, ops: []table.Op{table.Delete(marker.Key, table.IfAt(marker.Version))}, rows: 1})
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	gone, err := s.remove(ctx, markers)
	s.count(ctx, project, map[string]int64{subjectsCounter: -gone})
	return err
}

// remove applies swaps, many to a transaction, each only if its items are as they
// were read, and returns the rows of those that were applied.
func (s *Store) remove(ctx context.Context, swaps []swap) (rows int64, err error) {
	for _, part := range pack(swaps) {
		err := s.removeTogether(ctx, part)
		if kind.Of(err) == kind.Conflict && len(part) > 1 {
			// One stands in the way of the others: each by itself.
			for _, sw := range part {
				n, err := s.remove(ctx, []swap{sw})
				if err != nil {
					return rows, err
				}
				rows += n
			}
			continue
		}
		if err != nil && kind.Of(err) != kind.Conflict {
			return rows, err
		}
		if err == nil {
			for _, sw := range part {
				rows += sw.rows
			}
		}
	}
	return rows, nil
}

func (s *Store) removeTogether(ctx context.Context, part []swap) error {
	var ops []table.Op
	for _, sw := range part {
		ops = append(ops, sw.ops...)
	}
	return s.subjects.Write(ctx, ops...)
}
