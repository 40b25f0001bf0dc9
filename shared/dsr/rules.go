package dsr

import (
	"fmt"
	"slices"
	"time"

	"lethe/shared/kind"
)

// Rules are what an organisation has settled for itself and for one project, and
// can change while requests are open. Defaults gives what holds until it does.
type Rules struct {
	Organisation
	Project
}

// Organisation is what holds for all projects.
type Organisation struct {
	// TimeZone is the IANA name of the zone whose days deadlines are counted in.
	TimeZone string `json:"time_zone"`
	// Holidays are the days, as 2026-12-25, that are no business days though they
	// are neither a Saturday nor a Sunday; sorted, each once.
	Holidays []string `json:"holidays"`
	// KeepIDs is for how many days after a request has ended its identifiers are
	// kept, at least as long as an archive, and KeepRecords for how many months its
	// record is: CCPA regulations §7101(a) ask for 24.
	KeepIDs     int `json:"keep_ids_days"`
	KeepRecords int `json:"keep_records_months"`
}

// Project is what holds for one project.
type Project struct {
	Identity Identity `json:"identity"`
	Guard    Guard    `json:"guard"`
}

// Identity says which links between identifiers are followed.
type Identity string

const (
	// Simplified: a device belongs to its first user, and two user ids are never one
	// person.
	Simplified Identity = "simplified"
	// Original: two users that were merged are one person.
	Original Identity = "original"
)

// A Guard says which deletions wait for a second person: those that would take
// more than both Share percent of the project's rows and Rows rows, and those of
// which one submitted identifier stands for more than IDs identifiers. Nothing is
// more than 100 percent, and nobody has more than MaxPerson identifiers.
type Guard struct {
	Share int   `json:"share_percent"`
	Rows  int64 `json:"rows"`
	IDs   int   `json:"ids"`
}

// Defaults are the rules of an organisation that has settled nothing.
func Defaults() Rules {
	return Rules{
		Organisation: Organisation{TimeZone: "UTC", Holidays: []string{}, KeepIDs: 30, KeepRecords: 24},
		Project:      Project{Identity: Simplified, Guard: Guard{Share: 20, Rows: 10_000, IDs: 50}},
	}
}

// Bounds of the rules.
const (
	mostHolidays       = 1000
	leastDays          = 14 // as long as an archive, and what an export that failed has read out
	mostDays           = 365
	leastMonths        = 24 // CCPA regulations §7101(a)
	mostMonths         = 60 // template.yaml removes certificates later than that
	mostRows     int64 = 1 << 40
)

// Check returns the rules as they are kept, holidays sorted and each once. What
// cannot be is kind.Invalid, with a sentence that names the member.
func (r Rules) Check() (Rules, error) {
	if _, err := time.LoadLocation(r.TimeZone); err != nil || r.TimeZone == "" || r.TimeZone == "Local" {
		return r, kind.Say(kind.Invalid, "time_zone must be the IANA name of a time zone, such as Europe/Berlin.")
	}
	if len(r.Holidays) > mostHolidays {
		return r, kind.Say(kind.Invalid, fmt.Sprintf("holidays has %d entries. Give at most %d, and leave out days that are past.", len(r.Holidays), mostHolidays))
	}
	for i, day := range r.Holidays {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return r, kind.Say(kind.Invalid, fmt.Sprintf("holidays must be dates such as 2026-12-25: see position %d, counted from 1.", i+1))
		}
	}
	r.Holidays = slices.Compact(slices.Sorted(slices.Values(r.Holidays)))
	if r.Holidays == nil {
		r.Holidays = []string{}
	}
	if r.Identity != Simplified && r.Identity != Original {
		return r, kind.Say(kind.Invalid, "identity must be simplified or original.")
	}
	for _, n := range []struct {
		name             string
		got, least, most int64
	}{
		{"keep_ids_days", int64(r.KeepIDs), leastDays, mostDays},
		{"keep_records_months", int64(r.KeepRecords), leastMonths, mostMonths},
		{"guard.share_percent", int64(r.Guard.Share), 1, 100},
		{"guard.rows", r.Guard.Rows, 1, mostRows},
		{"guard.ids", int64(r.Guard.IDs), 1, MaxPerson},
	} {
		if n.got < n.least || n.got > n.most {
			return r, kind.Say(kind.Invalid, fmt.Sprintf("%s must be a number from %d to %d.", n.name, n.least, n.most))
		}
	}
	return r, nil
}

// location is the place whose days count. A name that this machine does not know,
// and that was known when it was settled, counts as UTC, as none does.
func location(zone string) *time.Location {
	place, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC
	}
	return place
}
