package events

import (
	"context"
	"slices"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Erase implements dsr.Source. Of an edge it removes both items in one
// transaction, also that in the partition of another id.
func (s *Store) Erase(ctx context.Context, scope dsr.Scope, cursor string) (dsr.Progress, error) {
	at, err := readPlace(cursor, scope)
	if err != nil {
		return dsr.Progress{}, err
	}
	progress := dsr.Progress{Cursor: cursor, Done: true}
	rows := 0
	err = s.walk(ctx, scope, at, func(p page) (bool, error) {
		if err := s.erase(ctx, scope, p); err != nil {
			return false, err
		}
		if p.next == "" {
			if err := s.forget(ctx, scope.Project, p.pk); err != nil {
				return false, err
			}
		}
		progress.Cursor = p.place.String()
		rows += 1 + len(p.items)
		progress.Done = rows < stepRows
		return progress.Done, nil
	})
	return progress, kind.Wrap("erase events", err)
}

// erase removes what is in scope from one page.
func (s *Store) erase(ctx context.Context, scope dsr.Scope, p page) error {
	var events, profile, edges []table.Op
	ends := map[string]bool{} // partitions that lose an edge
	var gone, profiles int64
	for _, item := range p.items {
		w, h, in, err := s.examine(scope, item)
		if err != nil {
			return err
		}
		if !in {
			continue
		}
		switch w {
		case anEvent:
			events = append(events, table.Delete(item.Key, table.Cond{}))
			if !h.isPiece() {
				gone++
			}
		case aProfile:
			profile = append(profile, table.Delete(item.Key, table.IfAt(item.Version)))
			if !h.isPiece() {
				profiles++
			}
		case anEdge:
			_, end, err := readEdge(h.body)
			if err != nil {
				return err
			}
			id := scope.Clusters[p.cluster].IDs[p.id]
			ends[subjectPK(scope.Project, end)] = true
			edges = append(edges, table.Delete(item.Key, table.IfAt(item.Version)), table.Delete(mirror(scope.Project, item.SK, id, end), table.Cond{}))
		}
	}
	if len(events) > 0 {
		if err := s.subjects.WriteMany(ctx, events); err != nil {
			return err
		}
	}
	if len(profile) > 0 {
		done, err := s.unlessChanged(ctx, profile)
		if err != nil {
			return err
		}
		if done {
			gone += profiles
		}
	}
	for some := range slices.Chunk(edges, table.MaxOps) {
		if _, err := s.unlessChanged(ctx, some); err != nil {
			return err
		}
	}
	for pk := range ends {
		if err := s.forget(ctx, scope.Project, pk); err != nil {
			return err
		}
	}
	s.count(ctx, scope.Project, -gone, 0, 0)
	return nil
}

// unlessChanged removes items if all are as they were read. What somebody wrote
// meanwhile is either new and not in scope, or the next look finds it.
func (s *Store) unlessChanged(ctx context.Context, ops []table.Op) (done bool, err error) {
	err = s.subjects.Write(ctx, ops...)
	if kind.Of(err) == kind.Conflict {
		return false, nil
	}
	return err == nil, err
}
