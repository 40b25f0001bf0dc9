package events_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/events"
	"lethe/shared/table"
)

// A gate is a table whose WriteMany waits.
type gate struct {
	table.Table
	reached, open chan bool
}

func (g *gate) WriteMany(ctx context.Context, ops []table.Op) error {
	close(g.reached)
	<-g.open
	return g.Table.WriteMany(ctx, ops)
}

// A meddler is a table that lets something happen once, before a write or before
// the second reading of many.
type meddler struct {
	table.Table
	write, reread func()
	reads         int
	once          sync.Once
}

func (m *meddler) Write(ctx context.Context, ops ...table.Op) error {
	if m.write != nil {
		m.once.Do(m.write)
	}
	return m.Table.Write(ctx, ops...)
}

func (m *meddler) GetMany(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	if m.reads++; m.reads == 2 && m.reread != nil {
		m.once.Do(m.reread)
	}
	return m.Table.GetMany(ctx, keys)
}

func (m *meddler) store(s *shop) *events.Store {
	return events.New(m, keys, s.clock)
}

func TestOfTwoCallsThatWriteAnEdgeTheFirstIsKept(t *testing.T) {
	s := newShop(t)
	const alias = `{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"anna"}}`
	e, err := events.ParseEvent([]byte(alias), events.Rules{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	first := s.people("ann")
	m := &meddler{Table: s.table, write: func() { s.event(alias) }}
	late := events.New(m, keys, func() time.Time { return noon.Add(time.Minute) })
	if _, err := late.Track(t.Context(), project, []events.Event{e}); err != nil {
		t.Fatal(err)
	}
	if found, _ := s.steps(s.Find, first); len(found) != 1 || found[0][4] != 1 {
		t.Errorf("found %v at the time of the first, want its edge", found)
	}
}

// What is read while it is being replaced is either the one or the other.
func TestReadingWhatIsBeingReplaced(t *testing.T) {
	s := newShop(t)
	noise := func(seed uint64) string {
		r := rand.New(rand.NewPCG(seed, seed))
		var b strings.Builder
		for range 110_000 {
			fmt.Fprintf(&b, "%08x", r.Uint32())
		}
		return b.String()
	}
	old, replaced := noise(1), noise(2)
	event := func(text string) string {
		return `{"event":"Note","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"a","text":"` + text + `"}}`
	}
	s.event(event(old))
	whole := s.Store
	// The first reading of many is that of the profiles, the second that of pieces.
	s.Store = (&meddler{Table: s.table, reread: func() {
		e, err := events.ParseEvent([]byte(event(replaced)), events.Rules{Now: noon})
		if err != nil {
			t.Error(err)
		}
		if _, err := whole.Track(t.Context(), project, []events.Event{e}); err != nil {
			t.Error(err)
		}
	}}).store(s)
	if got := s.export(s.people("ann")); len(got) != 1 || !strings.Contains(got[0], replaced) {
		t.Errorf("got %d records, want the one that replaced the other", len(got))
	}
}
