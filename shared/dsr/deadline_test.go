package dsr_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, wherever they run

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// A deadline is told as its day in the zone and as its last moment in UTC.
func TestDeadlines(t *testing.T) {
	for _, c := range []struct {
		name, law, zone, received       string
		due, ends, extended, confirming string
	}{
		{"a month", "gdpr", "UTC", "2026-01-15T08:00:00Z", "2026-02-15", "2026-02-15T23:59:59.999Z", "2026-04-15", ""},
		{"to the end of a shorter month", "gdpr", "UTC", "2026-01-31T08:00:00Z", "2026-02-28", "2026-02-28T23:59:59.999Z", "2026-04-30", ""},
		{"from the 29th to a February of 28 days", "gdpr", "UTC", "2027-01-29T08:00:00Z", "2027-02-28", "2027-02-28T23:59:59.999Z", "2027-04-29", ""},
		{"to February of a leap year", "gdpr", "UTC", "2028-01-30T08:00:00Z", "2028-02-29", "2028-02-29T23:59:59.999Z", "2028-04-30", ""},
		{"from the leap day", "gdpr", "UTC", "2028-02-29T08:00:00Z", "2028-03-29", "2028-03-29T23:59:59.999Z", "2028-05-29", ""},
		{"extended into February", "gdpr", "UTC", "2026-11-30T08:00:00Z", "2026-12-30", "2026-12-30T23:59:59.999Z", "2027-02-28", ""},
		{"over the new year", "gdpr", "UTC", "2026-12-31T23:59:59Z", "2027-01-31", "2027-01-31T23:59:59.999Z", "2027-03-31", ""},
		{"on a Saturday that is a holiday, not moved", "gdpr", "UTC", "2026-11-26T08:00:00Z", "2026-12-26", "2026-12-26T23:59:59.999Z", "2027-02-26", ""},
		{"east, where it is tomorrow", "gdpr", "Pacific/Auckland", "2026-06-29T12:30:00Z", "2026-07-30", "2026-07-30T11:59:59.999Z", "2026-09-30", ""},
		{"furthest east", "gdpr", "Pacific/Kiritimati", "2026-01-31T11:00:00Z", "2026-03-01", "2026-03-01T09:59:59.999Z", "2026-05-01", ""},
		{"west, where it is yesterday", "gdpr", "America/Los_Angeles", "2026-02-01T07:59:59Z", "2026-02-28", "2026-03-01T07:59:59.999Z", "2026-04-30", ""},
		{"over the begin of summer time", "gdpr", "Europe/Berlin", "2026-03-15T22:59:59Z", "2026-04-15", "2026-04-15T21:59:59.999Z", "2026-06-15", ""},
		{"on the day of 23 hours", "gdpr", "Europe/Berlin", "2026-02-28T23:30:00Z", "2026-04-01", "2026-04-01T21:59:59.999Z", "2026-06-01", ""},
		{"on the day of 25 hours", "gdpr", "Europe/Berlin", "2026-09-25T10:00:00Z", "2026-10-25", "2026-10-25T22:59:59.999Z", "2026-12-25", ""},
		{"before a midnight that is skipped", "gdpr", "Atlantic/Azores", "2026-02-28T10:00:00Z", "2026-03-28", "2026-03-29T00:59:59.999Z", "2026-05-28", ""},
		{"45 days", "ccpa", "UTC", "2026-01-31T08:00:00Z", "2026-03-17", "2026-03-17T23:59:59.999Z", "2026-05-01", "2026-02-13"},
		{"45 days over a leap day", "ccpa", "UTC", "2028-01-31T08:00:00Z", "2028-03-16", "2028-03-16T23:59:59.999Z", "2028-04-30", "2028-02-14"},
		{"before a midnight that comes twice", "ccpa", "America/Havana", "2026-09-16T12:00:00Z", "2026-10-31", "2026-11-01T03:59:59.999Z", "2026-12-15", "2026-09-30"},
		{"45 days over the begin of summer time", "ccpa", "America/Los_Angeles", "2026-02-01T07:59:59Z", "2026-03-17", "2026-03-18T06:59:59.999Z", "2026-05-01", "2026-02-13"},
		{"on a Friday evening", "ccpa", "America/Los_Angeles", "2026-05-09T06:59:59Z", "2026-06-22", "2026-06-23T06:59:59.999Z", "2026-08-06", "2026-05-22"},
		{"with holidays on the way", "ccpa", "America/Los_Angeles", "2026-12-18T20:00:00Z", "2027-02-01", "2027-02-02T07:59:59.999Z", "2027-03-18", "2027-01-05"},
	} {
		t.Run(c.law+" "+c.name, func(t *testing.T) {
			at := func(s string) time.Time {
				at, err := time.Parse(time.RFC3339, s)
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			w := newWorld(t)
			w.rules.TimeZone = c.zone
			w.rules.Holidays = []string{"2026-12-25", "2026-12-26", "2027-01-01"}
			w.build()
			w.clock = at(c.received)
			sub := submission(dsr.Export, "ann")
			sub.Compliance = dsr.Compliance(c.law)
			r, err := w.Submit(t.Context(), sub)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Day(r.Due); got != c.due || !r.Due.Equal(at(c.ends)) {
				t.Errorf("due %s, %s; want %s, %s", got, r.Due.Format(time.RFC3339Nano), c.due, c.ends)
			}
			if got := r.Day(r.AcknowledgeBy); got != c.confirming {
				t.Errorf("to be confirmed by %q, want %q", got, c.confirming)
			}
			if r.Overdue(at(c.ends)) || !r.Overdue(at(c.ends).Add(time.Millisecond)) {
				t.Error("it is not overdue from the end of the day on")
			}
			r, err = w.Extend(t.Context(), project, r.Task, "much to look through", dsr.By{})
			if got := r.Day(r.Due); err != nil || got != c.extended {
				t.Errorf("extended to %s, %v; want %s", got, err, c.extended)
			}
			if _, err := w.Extend(t.Context(), project, r.Task, "more", dsr.By{}); kind.Of(err) != kind.NotAllowed {
				t.Errorf("a second extension: got %v, want NotAllowed", err)
			}
		})
	}
}

// The rules of the day on which a request was made hold for it, also when it is
// extended; and the person has to be told of an extension in time.
func TestDeadlinesStayAsTheyWere(t *testing.T) {
	w := newWorld(t)
	w.rules.TimeZone = "America/Los_Angeles"
	w.build()
	w.clock = time.Date(2026, 6, 1, 6, 0, 0, 0, time.UTC) // the last of May there
	r := w.submit(dsr.Deletion, "ann")
	late := w.submit(dsr.Deletion, "bob")
	w.rules.TimeZone = "Asia/Tokyo"
	w.build()
	r, err := w.Extend(t.Context(), project, r.Task, "much to look through", dsr.By{})
	if got, want := r.Day(r.Due), "2026-08-31"; err != nil || got != want {
		t.Errorf("extended to %s, %v; want %s", got, err, want)
	}
	w.advance(31 * 24 * time.Hour)
	_, err = w.Extend(t.Context(), project, late.Task, "much to look through", dsr.By{})
	if kind.Of(err) != kind.NotAllowed || !strings.Contains(kind.Sentence(err), "overdue") {
		t.Errorf("an extension past the due date: got %v, want NotAllowed", err)
	}
}
