package dsr

import (
	"context"
	"time"

	"lethe/shared/archive"
	"lethe/shared/kind"
)

// A Source is one place where a project's end-user data lives: the built-in
// store, a lake of objects, a SQL database, a processor that takes days to
// answer. Lethe asks it in steps. A step does a bounded piece of work, carries a
// cursor in and out, and may run again with the same cursor at any time: then it
// must find, hand out or erase the same again, or find it already done. A source
// is given a whole batch of subjects at a time, never holds a batch in memory,
// and keeps nothing of a request beyond what its cursor says.
//
// Kinds of errors: Throttled and Unavailable are tried again, any other fails the
// request. A source that has no answer yet says so by Progress.Wait or NotYet,
// not by an error of another kind.
type Source interface {
	// Name is a short constant in lower case, unique in a deployment. It stands in
	// manifests, findings and certificates.
	Name() string

	// Suppress makes the source drop data of the marked subjects that arrives late,
	// as the marks say, from its return on. Marks of several tasks on one subject
	// add up; the same mark again changes nothing. A source that takes in no data
	// has nothing to do.
	Suppress(ctx context.Context, project string, marks []Mark) error

	// Fence returns how long a write may still land that looked before the last
	// Suppress returned. A source that can wait for such writes waits and returns 0.
	Fence(ctx context.Context) (time.Duration, error)

	// Find counts what the source holds within scope, without handing out values: for
	// an erasure what is there for it to change.
	Find(ctx context.Context, scope Scope, cursor string) (Progress, error)

	// Collect opens the records within scope behind cursor, cluster by cluster in
	// the order of Scope.Clusters; in a cluster first the profiles in the order of
	// its ids, then the events by time (ties in an order that never changes). For
	// Categories and Sources each Record is a Summary in place of records, of as many
	// as the source likes, in any order within a cluster.
	Collect(ctx context.Context, scope Scope, cursor string) (Records, error)

	// Erase removes what Find would count. For Categories it moves each event to a key
	// that leads to nobody: its name and its day stay, in one step with the removal of
	// the rest, so that an event is neither lost nor there twice; profiles and edges
	// go. For Sources records stay, and lose the properties that describe the means of
	// collection. Progress.Found tells nothing here: counts come from Find before and
	// after, so that a step that ran twice counts once.
	Erase(ctx context.Context, scope Scope, cursor string) (Progress, error)

	// Scrub returns when no byte of what Erase removed is left in the source's own
	// files. Where a provider owns the disks there is nothing to do.
	Scrub(ctx context.Context) error
}

// A Scope is the batch of subjects and the part of their data that a step is
// about. A record is in scope when its subject is one of Clusters' ids, and its
// received_at, or for an event its time, is at or before Limit: the snapshot of an
// export (received_at only) or the cutoff of a deletion (either). Of an export's
// events only those of Period are in scope.
type Scope struct {
	Project  string
	Clusters []Cluster
	// Limit is in whole milliseconds, inclusive.
	Limit time.Time
	// Erasure tells a deletion's scope from an export's; see above.
	Erasure    bool
	Disclosure Disclosure // what of the records; empty is Data
	Period     Period
}

// A Cluster is the ids that are one person. Folder numbers it within the request,
// from 1; the archive has a folder of that number.
type Cluster struct {
	Folder    int
	Submitted []kind.Subject // of the ids that were submitted, those of this person
	IDs       []kind.Subject // all ids of this person, each once, in an order that does not change
}

// Progress is where a step of a source ended.
type Progress struct {
	// Cursor is where the next step goes on. Done means there is no next step.
	Cursor string
	Done   bool
	// Wait, if not zero, means "not yet": ask again with Cursor after that time.
	Wait time.Duration
	// Found is what this step found, for each id with anything to tell. A later
	// step adds to it.
	Found []Found
}

// Found counts the records of one id; for an erasure of Sources, those that hold
// anything of the means of collection. Cluster is an index in Scope.Clusters, ID
// one in its IDs.
type Found struct {
	Cluster  int   `json:"c"`
	ID       int   `json:"i"`
	Events   int64 `json:"e,omitempty"`
	Profiles int64 `json:"p,omitempty"`
	Edges    int64 `json:"d,omitempty"`
}

// Records hands out records one at a time.
type Records interface {
	// Next returns the next record, valid until the next call; io.EOF after the
	// last; NotYet where the source has to be asked again later.
	Next(ctx context.Context) (Record, error)
	// Cursor is the position behind the record that Next returned last, for
	// Source.Collect.
	Cursor() string
	// Close gives up what Collect opened.
	Close() error
}

// A Record is one profile or one event of a subject, or a summary of any number of
// them.
type Record struct {
	Cluster, ID int // indexes as in Found
	// Summary is all there is beside the indexes for Categories and Sources. It is nil
	// for Data.
	Summary  *Summary
	Profile  bool // Data is a profile; else an event and the fields below count
	Time     time.Time
	Name     string
	InsertID string
	// Data is a JSON object: a profile as it goes into profile.json, or the
	// properties of an event as they go out.
	Data []byte
}

// A Summary tells of Events and Profiles of one id by facets, without handing out
// values: for Categories, the name of each event and the name and JSON type of each
// property; for Sources, the value of each property that describes the means of
// collection, and of no other. Every event and profile has such a facet for each of
// its names; a summary of many has them added up.
type Summary struct {
	Events, Profiles int64
	First, Last      time.Time // of Events
	Facets           []archive.Facet
}

// NotYet is the error of a source that wants to be asked again after that time.
type NotYet time.Duration

func (NotYet) Error() string { return "not yet" }

// A Mark tells a source to keep late data of one subject out: a tombstone.
type Mark struct {
	// Name is kind.Keyring.Mark of the subject, or was under an earlier key.
	Name string
	// Subject is empty in a restore, which knows only names, and asks only sources
	// that are Restorable.
	Subject    kind.Subject
	Task       string
	Cutoff     time.Time // in whole milliseconds; data at or before it is late
	Disclosure Disclosure
}
