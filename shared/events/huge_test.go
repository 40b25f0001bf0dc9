package events_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// weighed is a table that tells how much memory was in use at most while it was asked.
type weighed struct {
	table.Table
	mu   sync.Mutex
	most uint64
}

func (w *weighed) Query(ctx context.Context, q table.Query) (table.Page, error) {
	w.mu.Lock()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.most = max(w.most, m.HeapAlloc)
	w.mu.Unlock()
	return w.Table.Query(ctx, q)
}

func (s *shop) links(all []string) {
	s.t.Helper()
	s.pass(time.Second)
	for part := range slices.Chunk(all, 1000) {
		s.event(part...)
	}
}

// Neighbours whom no edge leads to are not kept with all that they are linked with.
func TestResolveBesideVeryMany(t *testing.T) {
	s := newShop(t)
	const most, devices = 3 << 20, 40
	var last []string
	for d := range devices {
		var all []string
		for n := range 1000 {
			all = append(all, link("device", fmt.Sprint("u", n), fmt.Sprint("d", d), noon))
		}
		s.links(all)
		last = append(last, link("device", "last", fmt.Sprint("d", d), noon))
	}
	s.links(last)
	w := &weighed{Table: s.table}
	store := events.New(w, keys, s.clock)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	people, err := store.Resolve(t.Context(), project, dsr.Simplified, []kind.Subject{"last"}, time.Time{})
	if err != nil || len(people) != 1 || len(people[0].IDs) != 1 || people[0].ApartCount != devices {
		t.Fatal(len(people), err)
	}
	if more := w.most - before.HeapAlloc; w.most > before.HeapAlloc && more > most {
		t.Errorf("%d KB were in use, want at most %d", more>>10, most>>10)
	}
}

// A person whose identifiers have more neighbours in all than can be looked at is
// served alone, from whichever of them.
func TestResolveOfTooManyNeighbours(t *testing.T) {
	s := newShop(t)
	var first []string
	for n := range 700 {
		first = append(first, link("alias", fmt.Sprint("a", n), "elsewhere", noon))
	}
	s.links(first)
	ids := []kind.Subject{"u"}
	for d := range 26 {
		all := []string{link("device", "u", fmt.Sprint("d", d), noon)}
		for n := range 700 {
			all = append(all, link("alias", fmt.Sprint("a", n), fmt.Sprint("$device:d", d), noon))
		}
		s.links(all)
		ids = append(ids, kind.Subject(fmt.Sprint("$device:d", d)))
		if d == 9 {
			if p, err := s.Resolve(t.Context(), project, dsr.Simplified, ids[:1], time.Time{}); err != nil || len(p[0].IDs) != 11 || p[0].TooMany {
				t.Errorf("of 7,000 neighbours: %d people, %v; want the person", len(p), err)
			}
		}
	}
	for _, ask := range [][]kind.Subject{ids, {ids[9]}, {ids[0]}} {
		people, err := s.Resolve(t.Context(), project, dsr.Simplified, ask, time.Time{})
		if err != nil || len(people) != len(ask) {
			t.Fatalf("got %d people of %d, %v", len(people), len(ask), err)
		}
		for _, p := range people {
			if !p.TooMany || len(p.IDs) != 1 {
				t.Errorf("%d identifiers, alone %v; want each alone", len(p.IDs), p.TooMany)
			}
		}
	}
}
