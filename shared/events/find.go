package events

import (
	"context"
	"slices"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// Find implements dsr.Source. An edge between two identifiers of a person counts once,
// and what is left of one that was erased with its other end counts as an edge.
func (s *Store) Find(ctx context.Context, scope dsr.Scope, cursor string) (dsr.Progress, error) {
	at, err := readPlace(cursor, scope)
	if err != nil {
		return dsr.Progress{}, err
	}
	progress := dsr.Progress{Cursor: cursor, Done: true}
	rows := 0
	err = s.walk(ctx, scope, at, func(p page) (bool, error) {
		found := dsr.Found{Cluster: p.cluster, ID: p.id}
		for _, item := range p.items {
			w, h, in, err := s.examine(scope, item)
			if err != nil {
				return false, err
			}
			if !in || h.isPiece() {
				continue
			}
			if scope.Disclosure == dsr.Sources && scope.Erasure {
				_, there, err := s.strip(ctx, scope, w, item)
				if err != nil {
					return false, err
				}
				if !there {
					continue
				}
			}
			switch w {
			case anEvent:
				found.Events++
			case aProfile:
				found.Profiles++
			case aUser:
				found.Edges++
			case anEdge:
				e, err := readEnd(item.SK, h.body)
				if err != nil {
					return false, err
				}
				if e.outgoing || !slices.Contains(scope.Clusters[p.cluster].IDs, e.other) {
					found.Edges++
				}
			}
		}
		if found.Events+found.Profiles+found.Edges > 0 {
			progress.Found = append(progress.Found, found)
		}
		progress.Cursor = p.place.String()
		rows += 1 + len(p.items)
		progress.Done = rows < stepRows
		return progress.Done, nil
	})
	return progress, kind.Wrap("find events", err)
}
