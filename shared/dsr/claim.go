package dsr

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A row in the partition of a subject's mark tells that a request concerns that
// subject. It serves search and withdrawal for good, and, while Claim is set and
// the request is open, keeps an export and a deletion of one person apart: an
// export that is being made never holds data that a deletion has erased.
type markRow struct {
	Type  Type `json:"type"`
	Claim bool `json:"claim,omitempty"`
}

// marked is who a request concerns: its identifiers.
func (s *Service) marked(ctx context.Context, r Request) ([]kind.Subject, error) {
	var all []kind.Subject
	seen := map[kind.Subject]bool{}
	err := s.allWork(ctx, r, func(w *work) error {
		for _, c := range w.Clusters {
			for _, id := range append(subjects(c.IDs), subjects(c.Submitted)...) {
				if !seen[id] {
					seen[id] = true
					all = append(all, id)
				}
			}
		}
		return nil
	})
	return all, err
}

// setMarks writes r's row for every id, with or without its claim, under every key
// that others may look under. Only r's tasks write these rows.
func (s *Service) setMarks(ctx context.Context, r Request, ids []kind.Subject, claim bool) error {
	data, err := json.Marshal(markRow{Type: r.Type, Claim: claim})
	if err != nil {
		return kind.E(kind.Internal, "encode a mark")
	}
	keys := s.markKeys(r, ids)
	ops := make([]table.Op, len(keys))
	for i, key := range keys {
		ops[i] = table.Put(table.Item{Key: key, Data: data}, table.Cond{})
	}
	return kind.Wrap("write marks", s.Control.WriteMany(ctx, ops))
}

// planMarks writes a deletion's row, without a claim, for every id that has none. A
// claim of Begin is kept when the deletion is planned again at the end of its window;
// in a window that is open, as of one that is run again, it is taken back. What Begin
// writes since it was looked at stays.
func (s *Service) planMarks(ctx context.Context, r Request, ids []kind.Subject) error {
	data, err := json.Marshal(markRow{Type: r.Type})
	if err != nil {
		return kind.E(kind.Internal, "encode a mark")
	}
	waits := r.Window.After(s.now())
	keys := s.markKeys(r, ids)
	there, err := s.Control.GetMany(ctx, keys)
	if err != nil {
		return kind.Wrap("read marks", err)
	}
	var ops []table.Op
	for _, key := range keys {
		if item, ok := there[key]; !ok || waits && !bytes.Equal(item.Data, data) {
			ops = append(ops, table.Put(table.Item{Key: key, Data: data}, table.IfAt(item.Version)))
		}
	}
	return kind.Wrap("write marks", s.writeAll(ctx, ops))
}

// writeAll applies operations in as many transactions as they need.
func (s *Service) writeAll(ctx context.Context, ops []table.Op) error {
	for part := range slices.Chunk(ops, table.MaxOps) {
		if err := s.Control.Write(ctx, part...); err != nil {
			return err
		}
	}
	return nil
}

// markKeys are those of r's rows for ids.
func (s *Service) markKeys(r Request, ids []kind.Subject) []table.Key {
	keys := make([]table.Key, 0, len(ids))
	for _, id := range ids {
		for _, mark := range s.Keys.Marks(r.Project, id) {
			keys = append(keys, table.Key{PK: markPartition(r.Project, mark), SK: r.Task})
		}
	}
	return keys
}

// unmark removes the rows of whom an export was found to concern before it waited and
// does not concern any more; ids are those it does. It must have read nothing yet, or
// a deletion would not find what it read. A row that is written since it was looked
// for stays, and so does every row if somebody changed the record, which then is
// about others.
func (s *Service) unmark(ctx context.Context, r Request, version table.Version, ids []kind.Subject) error {
	concerned := make(map[kind.Subject]bool, len(ids))
	for _, id := range ids {
		concerned[id] = true
	}
	var before []kind.Subject
	err := s.eachItem(ctx, requestKey(r.Task).PK, batchPrefix, func(item table.Item) error {
		named, err := namedIn(item)
		for _, id := range subjects(named) {
			if !concerned[id] {
				concerned[id] = true
				before = append(before, id)
			}
		}
		return err
	})
	if err != nil || len(before) == 0 {
		return err
	}
	rows, err := s.Control.GetMany(ctx, s.markKeys(r, before))
	if err != nil {
		return kind.Wrap("read marks", err)
	}
	if _, now, err := s.load(ctx, r.Task); err != nil || now != version {
		return cmp.Or(err, kind.E(kind.Conflict, "remove marks"))
	}
	var ops []table.Op
	for key, row := range rows {
		ops = append(ops, table.Delete(key, table.IfAt(row.Version)))
	}
	return kind.Wrap("remove marks", s.writeAll(ctx, ops))
}

// another is a request that has a row for one of some ids. Claimed means that one
// of its rows is a claim.
type another struct {
	Request
	claimed bool
}

// others finds the requests of a type, but r itself, that have a row for one of
// the ids.
func (s *Service) others(ctx context.Context, r Request, ids []kind.Subject, t Type) ([]another, error) {
	var mu sync.Mutex
	tasks := map[string]bool{} // whether it is claimed
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, id := range ids {
		g.Go(func() error {
			for _, mark := range s.Keys.Marks(r.Project, id) {
				err := s.eachItem(gctx, markPartition(r.Project, mark), "", func(item table.Item) error {
					row, err := decode[markRow](item)
					if err != nil || row.Type != t || item.SK == r.Task {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					tasks[item.SK] = tasks[item.SK] || row.Claim
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	keys := make([]table.Key, 0, len(tasks))
	for task := range tasks {
		keys = append(keys, requestKey(task))
	}
	found, err := s.requests(ctx, keys)
	out := make([]another, len(found))
	for i, f := range found {
		out[i] = another{f, tasks[f.Task]}
	}
	return out, err
}

// wait answers that a step has to be asked again later because of another request,
// and lets the request say so.
func (s *Service) wait(ctx context.Context, step Step, r Request, version table.Version) (Step, error) {
	reason := "Waits for a deletion of the same people to end."
	if r.Type == Deletion {
		reason = "Waits for an export of the same people to end."
	}
	if r.Reason != reason {
		r.Reason = reason
		if err := s.swap(ctx, r, version); err != nil {
			return step, err
		}
	}
	return s.later(step, claimRetry), nil
}

// blocked reports whether a request of the other type is at work on one of the
// ids. Both sides write their own claims first and then look, so that of two that
// meet at least one sees the other.
func (s *Service) blocked(ctx context.Context, r Request, ids []kind.Subject) (bool, error) {
	other := Export
	if r.Type == Export {
		other = Deletion
	}
	found, err := s.others(ctx, r, ids, other)
	for _, o := range found {
		switch {
		case o.Hold != "": // it does nothing before it is confirmed, and then claims anew
		case o.Status.Open() && (o.claimed || o.Status == Started):
			return true, err
		case o.Status == Failure && !o.Afresh && s.now().Sub(o.Finished) < s.Settings.TaskLife:
			return true, err // a task of it may still be about to write
		}
	}
	return false, err
}
