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

// setMarks writes r's row for every id, with or without its claim. Only r's tasks
// write these rows, so that no condition is needed.
func (s *Service) setMarks(ctx context.Context, r Request, ids []kind.Subject, claim bool) error {
	data, err := json.Marshal(markRow{Type: r.Type, Claim: claim})
	if err != nil {
		return kind.E(kind.Internal, "encode a mark")
	}
	ops := make([]table.Op, len(ids))
	for i, id := range ids {
		key := table.Key{PK: markPartition(r.Project, s.Keys.Mark(r.Project, id)), SK: r.Task}
		ops[i] = table.Put(table.Item{Key: key, Data: data}, table.Cond{})
	}
	return kind.Wrap("write marks", s.Control.WriteMany(ctx, ops))
}

// others finds the requests of a type, but r itself, that have a row for one of
// the ids; with claimed only those whose row is a claim.
func (s *Service) others(ctx context.Context, r Request, ids []kind.Subject, t Type, claimed bool) ([]Request, error) {
	var mu sync.Mutex
	tasks := map[string]bool{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, id := range ids {
		g.Go(func() error {
			for _, mark := range s.Keys.Marks(r.Project, id) {
				err := s.eachItem(gctx, markPartition(r.Project, mark), "", func(item table.Item) error {
					row, err := decode[markRow](item)
					if err != nil || row.Type != t || item.SK == r.Task || claimed && !row.Claim {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					tasks[item.SK] = true
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
	return s.requests(ctx, keys)
}

// blocked reports whether an open request of the other type claims one of the
// ids. Both sides write their own claims first and then look, so that of two that
// meet at least one sees the other.
func (s *Service) blocked(ctx context.Context, r Request, ids []kind.Subject) (bool, error) {
	other := Export
	if r.Type == Export {
		other = Deletion
	}
	found, err := s.others(ctx, r, ids, other, true)
	for _, o := range found {
		if o.Status.Open() {
			return true, err
		}
	}
	return false, err
}
