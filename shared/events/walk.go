package events

import (
	"context"
	"strings"
	"sync"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

const (
	// stepRows is about how many items a step of Find or Erase goes through.
	stepRows = 4000
	// pageRows is the most items of a page.
	pageRows = 1000
	// ahead is how many partitions are being read at once.
	ahead = 8
)

// A page is some items of one partition of a scope. More says that the partition
// goes on.
type page struct {
	place // its after is that of the last item, or what it was for an empty page
	pk    string
	items []table.Item
	next  string
	err   error
}

// walk goes through the partitions of scope from a place on and calls f with each
// page in order until f returns false or an error. Pages of the next partitions
// are read meanwhile, since most people have one page.
func (s *Store) walk(ctx context.Context, scope dsr.Scope, at place, f func(page) (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	firsts := make(chan chan page, ahead)
	reading.Go(func() {
		defer close(firsts)
		for at := at; at.cluster < len(scope.Clusters); at = at.behind(scope) {
			if len(scope.Clusters[at.cluster].IDs) == 0 {
				continue
			}
			first := make(chan page, 1)
			select {
			case firsts <- first:
			case <-ctx.Done():
				return
			}
			reading.Go(func() {
				pk := subjectPK(scope.Project, scope.Clusters[at.cluster].IDs[at.id])
				first <- s.page(ctx, page{place: at, pk: pk}, table.Query{PK: pk, From: from(at.after)})
			})
		}
	})
	for first := range firsts {
		for p := <-first; ; {
			if p.err != nil {
				return p.err
			}
			more, err := f(p)
			if err != nil || !more {
				return err
			}
			if p.next == "" {
				break
			}
			p = s.page(ctx, p, table.Query{PK: p.pk, From: from(at.after), After: p.next})
		}
		at.after = ""
	}
	return kind.Wrap("go through events", ctx.Err())
}

// behind is the beginning of the next partition.
func (p place) behind(scope dsr.Scope) place {
	if p.id+1 < len(scope.Clusters[p.cluster].IDs) {
		return place{cluster: p.cluster, id: p.id + 1}
	}
	return place{cluster: p.cluster + 1}
}

func (s *Store) page(ctx context.Context, p page, q table.Query) page {
	q.Limit = pageRows
	got, err := s.subjects.Query(ctx, q)
	p.items, p.next, p.err = got.Items, got.Next, err
	if n := len(got.Items); n > 0 {
		p.after = got.Items[n-1].SK
	}
	return p
}

// EachSubject implements dsr.Restorable. Groups and events of nobody belong to no
// subject.
func (s *Store) EachSubject(ctx context.Context, f func(project string, id kind.Subject) error) error {
	err := s.subjects.Partitions(ctx, func(pk string) error {
		project, id, ok := readSubjectPK(pk)
		if !ok {
			return nil
		}
		return f(project, id)
	})
	return kind.Wrap("go through subjects", err)
}

// A what is the sort of a record.
type what uint8

const (
	other what = iota
	anEvent
	aProfile
	anEdge
	aUser // says that the identifier is a user's
)

// examine tells what an item is, and whether it is in scope.
func (s *Store) examine(scope dsr.Scope, item table.Item) (w what, h head, in bool, err error) {
	if h, err = readHead(item.Data); err != nil {
		return other, h, false, err
	}
	var at time.Time
	switch {
	case strings.HasPrefix(item.SK, eventPrefix):
		w = anEvent
		t, ok := eventTime(item.SK)
		if !ok {
			return w, h, false, kind.E(kind.Corrupt, "read the key of an event")
		}
		at = t
	case strings.HasPrefix(item.SK, profileSK):
		w = aProfile
	case item.SK == userSK:
		w = aUser
		if at, err = readUserTime(h.body); err != nil {
			return w, h, false, err
		}
	case strings.HasPrefix(item.SK, edgePrefix):
		w = anEdge
		e, err := readEnd(item.SK, h.body)
		if err != nil {
			return w, h, false, err
		}
		at = e.time
	default:
		return other, h, false, nil
	}
	return w, h, within(scope, h.received, at), nil
}
