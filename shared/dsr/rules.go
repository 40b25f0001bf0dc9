package dsr

import "time"

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
	// are neither a Saturday nor a Sunday.
	Holidays []string `json:"holidays"`
	// KeepIDs is for how many days after a request has ended its identifiers are
	// kept, and KeepRecords for how many months its record is: CCPA regulations
	// §7101(a) ask for 24.
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
// which one submitted identifier stands for more than IDs identifiers.
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

// zone is the place whose days count; a name that this machine does not know, and
// that was known when it was settled, counts as UTC.
func (o Organisation) zone() *time.Location {
	zone, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}
