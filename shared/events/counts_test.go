package events_test

import (
	"testing"
	"time"

	"lethe/shared/dsr"
)

// Every day is told of, by the time of receipt, also one on which nothing came in, and
// none before or after those that were asked for.
func TestDays(t *testing.T) {
	eachHome(t, func(t *testing.T, s *shop) {
		s.event(seen("ann", "a", 0))
		s.say(true, "olga")
		s.suppress("task-1", s.clock(), "gone")
		s.pass(48 * time.Hour)
		s.event(seen("ann", "a", 0), seen("ann", "b", 0), seen("olga", "a", 0), seen("gone", "a", 0))
		s.update(`{"$distinct_id":"ann","$set":{"name":"Ann"}}`, `{"$distinct_id":"olga","$unset":["name"]}`, `{"$distinct_id":"olga","$set":{"name":"Olga"}}`)
		s.pass(24 * time.Hour)
		s.event(seen("ann", "c", 0))
		first := noon.Truncate(24 * time.Hour)
		got, err := s.Days(t.Context(), project, first, first.AddDate(0, 0, 2))
		if err != nil || len(got) != 3 {
			t.Fatal(got, err)
		}
		for i, want := range []dsr.Day{{Date: "2026-05-04", Stored: 1}, {Date: "2026-05-05"}, {Date: "2026-05-06", Stored: 4, OptedOut: 2, Late: 1}} {
			if got[i] != want {
				t.Errorf("got %+v, want %+v", got[i], want)
			}
		}
		if got, err := s.Days(t.Context(), "2", first, first); err != nil || got[0] != (dsr.Day{Date: "2026-05-04"}) {
			t.Errorf("of another project: %+v, %v", got, err)
		}
	})
}
