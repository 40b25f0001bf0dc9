package archive_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"lethe/shared/archive"
	"lethe/shared/kind"
)

func TestRecordsOutOfOrder(t *testing.T) {
	at := time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC)
	profile := func(folder int) func(*archive.Collector) error {
		return func(c *archive.Collector) error { return c.Profile(folder, []byte(`{}`)) }
	}
	event := func(folder int, at time.Time) func(*archive.Collector) error {
		return func(c *archive.Collector) error { return c.Event(folder, archive.Event{Time: at}) }
	}
	tests := []struct {
		name  string
		steps []func(*archive.Collector) error
		fails bool
	}{
		{"in order", []func(*archive.Collector) error{profile(1), profile(1), event(1, at), event(1, at), profile(2), event(3, at.AddDate(-1, 0, 0))}, false},
		{"a folder before the first", []func(*archive.Collector) error{profile(0)}, true},
		{"a folder again", []func(*archive.Collector) error{profile(2), profile(1)}, true},
		{"a folder again with events", []func(*archive.Collector) error{event(2, at), event(1, at)}, true},
		{"a profile after an event", []func(*archive.Collector) error{event(1, at), profile(1)}, true},
		{"an earlier event", []func(*archive.Collector) error{event(1, at), event(1, at.Add(-1))}, true},
		{"an earlier event, a month before", []func(*archive.Collector) error{event(1, at), event(1, at.Add(-time.Hour))}, true},
	}
	for _, test := range tests {
		// The rules hold across a restart at any point too.
		for restart := range 2 {
			c := archive.NewCollector(archive.State{})
			var err error
			for _, step := range test.steps {
				if err = step(c); err != nil {
					break
				}
				if restart == 1 {
					s, err := c.Close(false)
					if err != nil {
						t.Fatal(err)
					}
					c = archive.NewCollector(throughJSON(t, s.Next))
				}
			}
			if got := errors.Is(err, kind.Internal); got != test.fails || (err != nil && !got) {
				t.Errorf("%s (restart %d): got %v", test.name, restart, err)
			}
			if _, closed := c.Close(true); (closed != nil) != test.fails {
				t.Errorf("%s (restart %d): Close gives %v after %v", test.name, restart, closed, err)
			}
		}
	}
}

func TestPropertiesThatAreNotJSON(t *testing.T) {
	c := archive.NewCollector(archive.State{})
	err := c.Event(1, archive.Event{Properties: []byte("{\n secret")})
	if !errors.Is(err, kind.Corrupt) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want %v without the value", err, kind.Corrupt)
	}
}

func TestStateThatIsNotOne(t *testing.T) {
	s := archive.State{Records: archive.Position{Open: &archive.Unfinished{Sum: []byte("x")}}}
	if err := archive.NewCollector(s).Profile(1, []byte(`{}`)); !errors.Is(err, kind.Corrupt) {
		t.Errorf("got %v, want %v", err, kind.Corrupt)
	}
}

// A cursor is kept in a record of the table beside everything else.
func TestStateIsSmallAndSaysNothingOfAPerson(t *testing.T) {
	c := archive.NewCollector(archive.State{})
	for _, p := range people(1, 500) {
		for _, e := range p.events {
			e.DistinctID, e.InsertID, e.Name = "secret", "secret", "secret"
			if err := c.Event(p.folder, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := c.Close(false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(s.Next)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 2000 || strings.Contains(string(b), "secret") {
		t.Errorf("got %d bytes: %s", len(b), b)
	}
}

// The size of a subject decides the number of segments, not the memory.
func TestMemoryIsBoundedByASegment(t *testing.T) {
	c := archive.NewCollector(archive.State{})
	e := heavy(1, 40).events
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	segments := 0
	for i := range 1200 { // about 80 MB
		row := e[i%len(e)]
		row.Time = e[0].Time.Add(time.Duration(i) * time.Hour)
		if err := c.Event(1, row); err != nil {
			t.Fatal(err)
		}
		if !c.Full() {
			continue
		}
		s, err := c.Close(false)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Records) < archive.SegmentSize || len(s.Records)+len(s.Table) > 20<<20 {
			t.Fatalf("a segment has %d and %d bytes", len(s.Records), len(s.Table))
		}
		segments++
	}
	runtime.ReadMemStats(&after)
	if segments < 5 {
		t.Fatalf("got %d segments, too few to say anything", segments)
	}
	// All that was ever allocated, not only what is left.
	if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 32 {
		t.Errorf("took %d MiB for %d segments, want at most 32", got, segments)
	}
}
