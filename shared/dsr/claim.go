package dsr

import (
	"context"
	"encoding/json"
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
// that others may look under. Only r's tasks write these rows, so that no
// condition is needed.
func (s *Service) setMarks(ctx context.Context, r Request, ids []kind.Subject, claim bool) error {
	data, err := json.Marshal(markRow{Type: r.Type, Claim: claim})
	if err != nil {
		return kind.E(kind.Internal, "encode a mark")
	}
	ops := make([]table.Op, 0, len(ids))
	for _, id := range ids {
		for _, mark := range s.Keys.Marks(r.Project, id) {
			key := table.Key{PK: markPartition(r.Project, mark), SK: r.Task}
			ops = append(ops, table.Put(table.Item{Key: key, Data: data}, table.Cond{}))
		}
	}
	return kind.Wrap("write marks", s.Control.WriteMany(ctx, ops))
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
