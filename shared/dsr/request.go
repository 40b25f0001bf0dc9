package dsr

import (
	"time"

	"lethe/shared/archive"
)

// A Type is what a request asks for.
type Type string

const (
	Export   Type = "export"   // a copy of the data: GDPR art. 15 and 20, CCPA §1798.110
	Deletion Type = "deletion" // its erasure: GDPR art. 17, CCPA §1798.105
)

// Compliance is the law that a request is made under, in the wire's lower case.
type Compliance string

const (
	GDPR Compliance = "gdpr"
	CCPA Compliance = "ccpa"
)

// Disclosure is how much of the data a request concerns, in the wire's upper
// case. Under the GDPR it is always Data.
type Disclosure string

const (
	Data       Disclosure = "DATA"
	Categories Disclosure = "CATEGORIES"
	Sources    Disclosure = "SOURCES"
)

// A Period is when events happened that an export under the CCPA is about, both
// ends included, in whole milliseconds; a zero end is open. Profiles are not of a
// time, and always handed out.
type Period struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Holds reports whether at lies within p.
func (p Period) Holds(at time.Time) bool {
	return !at.Before(p.From) && (p.To.IsZero() || !at.After(p.To))
}

// lastYear is what a consumer may ask for without saying more: the twelve months
// before the business received the request, Civil Code §1798.130(a)(2)(B).
func lastYear(received time.Time) Period { return Period{From: addMonths(received, -12)} }

// A Status is where a request stands, in the words of the wire.
//
//	PENDING → STAGING → STARTED → SUCCESS
//	any of the first three → FAILURE; a deletion's PENDING or STAGING, or what is held → REVOKED
//	FAILURE → PENDING or STARTED when it is run again
//	any open one → STAGING, held, when a backup was restored; → PENDING or STARTED when it is confirmed
type Status string

const (
	Pending Status = "PENDING" // accepted
	Staging Status = "STAGING" // being planned, or in its cancel window
	Started Status = "STARTED" // collecting, or past the point of no return
	Success Status = "SUCCESS"
	Failure Status = "FAILURE"
	Revoked Status = "REVOKED"
)

// Open reports whether a request of this status still has work to do.
func (s Status) Open() bool { return s == Pending || s == Staging || s == Started }

// A Request is one data-subject request, as it is kept: without its ids, which
// Service.IDs reads.
type Request struct {
	Task    string `json:"task"` // its id, a UUID; also called tracking id
	Project string `json:"project"`
	// ProjectName is what the project was called when the request was made.
	ProjectName string     `json:"project_name,omitempty"`
	Type        Type       `json:"type"`
	Compliance  Compliance `json:"compliance"`
	Disclosure  Disclosure `json:"disclosure"`
	Status      Status     `json:"status"`
	// Requester is the mail address of who asked.
	Requester        string `json:"requester"`
	SubjectRequestID string `json:"subject_request_id,omitempty"`
	Count            int    `json:"count"` // submitted ids
	// Block means that a deletion also opts everyone it concerns out.
	Block   bool      `json:"block,omitempty"`
	Created time.Time `json:"created"`
	// Due is the last millisecond in which it can be answered in time, and AcknowledgeBy
	// that in which the person can be told that it has come in, zero where the law does
	// not ask for that. Both end a day in TimeZone, an IANA name; "" is UTC.
	Due           time.Time `json:"due"`
	AcknowledgeBy time.Time `json:"acknowledge_by,omitzero"`
	TimeZone      string    `json:"time_zone,omitempty"`
	Extension     string    `json:"extension,omitempty"` // the reason given for the one extension

	Attempt int `json:"attempt"` // of the execution that may work on it, from 1
	// Reruns is how often a deletion was run again after it had begun.
	Reruns int `json:"reruns,omitempty"`
	// Replans is how often Begin sent a deletion back to Plan since somebody put it to work.
	Replans int `json:"replans,omitempty"`
	// Window is when a deletion may begin; until then it can be cancelled.
	Window time.Time `json:"window,omitzero"`
	// Limit is the snapshot of an export or the cutoff of a deletion, in whole
	// milliseconds. A deletion that has one has begun and cannot be undone.
	Limit time.Time `json:"limit,omitzero"`
	// BlockedAt is the moment as of which a deletion that blocks opted people out; zero,
	// for its cutoff, where a restore knows of the deletion by the ledger alone.
	BlockedAt time.Time `json:"blocked_at,omitzero"`
	Period    Period    `json:"period,omitzero"` // of an export's events
	// Set names who the request was found to concern, and Batches is into how many
	// parts that was cut. Both are set by Plan, and by a deletion's Begin.
	Set      string   `json:"set,omitempty"`
	Batches  int      `json:"batches,omitempty"`
	Identity Identity `json:"identity,omitempty"` // by which a deletion that has begun found them
	Planned  Tally    `json:"planned,omitzero"`   // what Plan found: a deletion's preview
	// Share is what part of the project's rows that is, in percent.
	Share    float64   `json:"share_percent,omitempty"`
	Before   Tally     `json:"before,omitzero"` // what was there to erase, or what was exported
	Finished time.Time `json:"finished,omitzero"`
	Timeline []Change  `json:"timeline"` // every status it has had, oldest first
	// IDsGone means that its identifiers were removed, and with them the way to run it
	// again.
	IDsGone bool `json:"ids_gone,omitempty"`
	// Reason is why a request ended FAILURE, or why it waits, as a sentence.
	Reason string `json:"reason,omitempty"`
	// Broken tells a FAILURE of Lethe's, which is to be run again, from one for which
	// nothing was found or that was refused, which is an answer. It keeps its identifiers
	// until it is run again or given up.
	Broken bool `json:"broken,omitempty"`
	// Hold is why an open request stands in STAGING until somebody confirms it; empty
	// if it does not. Reason says it in a sentence.
	Hold Hold      `json:"hold,omitempty"`
	Held time.Time `json:"held,omitzero"` // since when
	// Confirmed is who let a deletion pass the guard.
	Confirmed string `json:"confirmed,omitempty"`
	// ConfirmedSet is Set as it was then: for others the guard asks again.
	ConfirmedSet string `json:"confirmed_set,omitempty"`
	// Restored is what a restore of a backup erased in the name of this deletion.
	Restored Tally `json:"restored,omitzero"`
	// Withdrawn means the archive was taken back because a subject in it was erased.
	Withdrawn   bool   `json:"withdrawn,omitempty"`
	WithdrawnBy string `json:"withdrawn_by,omitempty"` // the deletion's task
	// Plan numbers an export's tries: each has batches, cursors and files of its own,
	// so that a task of an earlier one can put nothing into a later one's archive.
	// Afresh asks Plan for the next, and Replanned is the attempt that last did.
	Plan        int   `json:"plan,omitempty"`
	Afresh      bool  `json:"afresh,omitempty"`
	Replanned   int   `json:"replanned,omitempty"`
	ArchiveSize int64 `json:"archive_size,omitempty"` // bytes
	// Manifest is the SHA-256 of the archive's manifest.json, which holds that of
	// every other file in it.
	Manifest string `json:"manifest,omitempty"`
}

// A Hold is why a request waits for a confirmation.
type Hold string

const (
	// HoldRestore holds what was open in a backup that was restored.
	HoldRestore Hold = "restore"
	// HoldGuard holds a deletion that would take more than the project's Guard lets
	// one person decide.
	HoldGuard Hold = "guard"
)

// A Tally sums what was found over all sources and ids.
type Tally struct {
	Events   int64 `json:"events"`
	Profiles int64 `json:"profiles"`
	Edges    int64 `json:"edges"`
	Subjects int64 `json:"subjects"` // submitted ids with anything found
}

// A Change is one step of a request's life.
type Change struct {
	Status Status    `json:"status"`
	Time   time.Time `json:"time"`
}

func (t *Tally) add(f Found) {
	t.Events += f.Events
	t.Profiles += f.Profiles
	t.Edges += f.Edges
}

// rows is what a Counted source counts.
func (t Tally) rows() int64 { return t.Events + t.Profiles }

func (t *Tally) sum(more Tally) {
	t.Events += more.Events
	t.Profiles += more.Profiles
	t.Edges += more.Edges
	t.Subjects += more.Subjects
}

// Begun reports whether a deletion has passed Begin.
func (r Request) Begun() bool { return r.Type == Deletion && !r.Limit.IsZero() }

// work names the files of r's present try.
func (r Request) work() string { return archive.Work(r.Task, r.Plan) }
