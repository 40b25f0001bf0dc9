package events_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table/tabletest"
)

// broken is a shop in which one write fails.
func broken(t *testing.T, f *tabletest.Fault) *shop {
	s := newShop(t)
	s.Store = events.New(tabletest.Faulty(s.table, f), keys, s.clock)
	return s
}

// again does what a client does that is told to send something once more.
func again(t *testing.T, do func() error) {
	t.Helper()
	for range 3 {
		err := do()
		if err == nil {
			return
		}
		if kind.Of(err) != kind.Unavailable {
			t.Fatal(err)
		}
	}
	t.Fatal("it fails again and again")
}

// fill sends events, edges, profiles and a large event, each until it is taken.
func (s *shop) fill() {
	s.t.Helper()
	large := strings.Repeat("0123456789abcdef", 20_000) // compressed
	raw := []string{
		seen("ann", "a", 0), seen("ann", "b", 1), seen("bob", "a", 0), seen("ann", "c", 2),
		`{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"anna","time":1777892400,"$insert_id":"al"}}`,
		`{"event":"$merge","properties":{"$distinct_ids":["ann","cleo"],"time":1777892400,"$insert_id":"me"}}`,
		`{"event":"Note","properties":{"time":1777892500,"distinct_id":"ann","$insert_id":"n","text":"` + large + `"}}`,
	}
	var batch []events.Event
	for _, r := range raw {
		e, err := events.ParseEvent([]byte(r), events.Rules{Now: s.clock(), Import: true})
		if err != nil {
			s.t.Fatal(err)
		}
		batch = append(batch, e)
	}
	again(s.t, func() error {
		_, err := s.Track(s.t.Context(), project, batch)
		return err
	})
	var updates []events.Update
	for _, r := range []string{`{"$distinct_id":"ann","$set":{"name":"Ann"}}`, `{"$distinct_id":"bob","$set":{"name":"Bob"}}`} {
		u, err := events.ParseUpdate([]byte(r), false)
		if err != nil {
			s.t.Fatal(err)
		}
		updates = append(updates, u)
	}
	again(s.t, func() error {
		_, err := s.Update(s.t.Context(), project, updates)
		return err
	})
}

func TestIngestionSurvivesFaults(t *testing.T) {
	clean := newShop(t)
	clean.fill()
	want := clean.export(clean.people("ann anna cleo", "bob"))
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		s := broken(t, f)
		s.fill()
		same(t, s.export(s.people("ann anna cleo", "bob")), want)
		found, _ := s.steps(s.Find, s.people("ann", "anna", "cleo"))
		if got, want := fmt.Sprint(found), "[[0 0 6 1 2] [1 0 0 0 1] [2 0 0 0 1]]"; got != want {
			t.Errorf("found %v, want %v", got, want)
		}
	})
}

func TestErasureSurvivesFaults(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		s := newShop(t)
		s.fill()
		erasing := broken(t, f)
		erasing.table = s.table
		erasing.Store = events.New(tabletest.Faulty(s.table, f), keys, s.clock)
		scope := s.people("ann anna cleo")
		scope.Erasure = true
		again(t, func() error {
			return erasing.Suppress(t.Context(), project, []dsr.Mark{{Name: keys.Mark(project, "ann"), Subject: "ann", Task: "t", Cutoff: noon, Disclosure: dsr.Data}})
		})
		cursor := ""
		for done := false; !done; {
			again(t, func() error {
				p, err := erasing.Erase(t.Context(), scope, cursor)
				if err == nil {
					cursor, done = p.Cursor, p.Done
				}
				return err
			})
		}
		if found, _ := s.steps(s.Find, scope); len(found) > 0 {
			t.Errorf("found %v after the erasure", found)
		}
		for _, item := range s.items() {
			if strings.Contains(item.PK+string(item.Data), "ann") || strings.Contains(item.PK, "cleo") {
				t.Errorf("left: %s", item.SK)
			}
		}
		if got := s.event(seen("ann", "late", 0)); got.Dropped != 1 {
			t.Error("late data got in")
		}
		if got := s.export(s.people("bob")); len(got) != 2 {
			t.Errorf("bob has %d records left, want 2", len(got))
		}
	})
}

func TestOneOfManyFirstEventsCountsThePerson(t *testing.T) {
	s := newShop(t)
	errs := make(chan error)
	const calls = 20
	for i := range calls {
		go func() {
			e, err := events.ParseEvent([]byte(seen("ann", fmt.Sprintf("a%d", i), i)), events.Rules{Now: noon})
			if err == nil {
				_, err = s.Track(context.WithoutCancel(t.Context()), project, []events.Event{e})
			}
			errs <- err
		}()
	}
	for range calls {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := s.counts(); got.Rows != calls || got.Subjects != 1 {
		t.Errorf("counts are %+v, want %d rows of one subject", got, calls)
	}
}

func TestKeysSortAsTimesDo(t *testing.T) {
	s := newShop(t)
	var want []string
	for i, at := range []time.Time{
		time.UnixMilli(31536000001).UTC(), time.UnixMilli(999999999999).UTC(), time.UnixMilli(1000000000000).UTC(), noon.Add(-time.Millisecond), noon,
	} {
		s.event(fmt.Sprintf(`{"event":"E","properties":{"time":%d.%03d,"distinct_id":"ann","$insert_id":"i%d"}}`, at.Unix(), at.UnixMilli()%1000, i))
		want = append(want, at.Format("15:04:05.000"))
	}
	var got []string
	for _, line := range s.export(s.people("ann")) {
		got = append(got, strings.Fields(line)[2])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
