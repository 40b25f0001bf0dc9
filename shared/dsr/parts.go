package dsr

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Clock tells the time.
type Clock func() time.Time

// A Workflow runs the state machines in statemachine/: Step Functions, or the
// interpreter in package asl.
type Workflow interface {
	// Start starts an execution of a machine ("export" or "deletion"). It is durable
	// when Start returns nil. A name that was ever used is kind.Conflict. A name has 1
	// to 80 letters of ASCII, digits, ".", "_" and "-"; another one is kind.Invalid, and
	// so is an input that is no JSON object. A machine that does not exist is
	// kind.NotFound. After any other error the execution may have been started.
	Start(ctx context.Context, machine, name string, input json.RawMessage) error
	// Describe tells how an execution stands; kind.NotFound if there is none. It may
	// lag behind Start and Stop by a moment.
	Describe(ctx context.Context, machine, name string) (Execution, error)
	// Stop ends an execution; one that ended, or is absent, is no error.
	Stop(ctx context.Context, machine, name, cause string) error
}

// An Execution is how one run of a machine stands.
type Execution struct {
	Status  ExecutionStatus
	Started time.Time
	Ended   time.Time // zero while it runs
	Error   string    // the error name of one that failed
}

// ExecutionStatus is in the words of Step Functions.
type ExecutionStatus string

const (
	ExecutionRunning   ExecutionStatus = "RUNNING"
	ExecutionSucceeded ExecutionStatus = "SUCCEEDED"
	ExecutionFailed    ExecutionStatus = "FAILED"
	ExecutionTimedOut  ExecutionStatus = "TIMED_OUT"
	ExecutionAborted   ExecutionStatus = "ABORTED"
)

// An Auditor keeps the audit trail.
type Auditor interface {
	// Record writes operations in the control table and an entry that tells of them,
	// all or nothing. What goes wrong with the operations it returns as table.Write
	// does, table.Failed being positions in ops; that others write entries at the same
	// time is no error.
	Record(ctx context.Context, e Entry, ops ...table.Op) error
}

// Accounts is what the domain asks of whoever knows the organisation.
type Accounts interface {
	Auditor
	// Rules reads what holds for a project; kind.NotFound without one.
	Rules(ctx context.Context, project string) (Rules, error)
	// Organisation reads what holds for all projects.
	Organisation(ctx context.Context) (Organisation, error)
	// Handlers returns the mail addresses of everyone who may handle the requests of
	// a project: owners and admins, no programs.
	Handlers(ctx context.Context, project string) ([]string, error)
	// MakeLink makes what a sign-in link holds for a person, whom by asked for;
	// kind.NotFound for somebody without a role.
	MakeLink(ctx context.Context, by By, person string) (string, error)
	// ExpiringTokens calls f with the GDPR tokens that end from one time on and before
	// another, of which their owners are to be reminded, the first to end first.
	ExpiringTokens(ctx context.Context, from, to time.Time, f func(ExpiringToken) error) error
}

// An ExpiringToken is a GDPR token that ends, or ended, at Expires.
type ExpiringToken struct {
	ID      string // names it for good
	Owner   string // a mail address
	Prefix  string // the beginning of the token, by which its owner knows it
	Expires time.Time
}

// An Entry of the audit trail tells who did what to what. It never holds an
// identifier of a data subject.
type Entry struct {
	Project string    `json:"project,omitempty"` // empty for what concerns the organisation
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`            // a mail address, or "lethe" for what the program did itself
	Action  string    `json:"action"`           // a noun and a verb, as in "deletion.submit"
	Detail  string    `json:"detail,omitempty"` // which member, token or setting, what it was and what it is
	Task    string    `json:"task,omitempty"`   // the request
	From    string    `json:"from,omitempty"`   // network address
	// Subjects are the marks of those who were opted out or in.
	Subjects []string `json:"subjects,omitempty"`
}

// Parts is what a platform supplies. Every field is needed but LedgerCopy, Sender and
// PublicURL.
type Parts struct {
	Control  table.Table
	Bucket   blob.Bucket
	Workflow Workflow
	Sources  []Source
	Accounts Accounts
	Keys     kind.Keyring
	Clock    Clock
	Log      *slog.Logger
	// LedgerCopy is a second place for the ledger of erasures, or nil.
	LedgerCopy blob.Bucket
	// Sender sends mail to people who work with Lethe; nil leaves that to another process.
	Sender Sender
	// PublicURL returns the address at which people reach Lethe, for links in mail; nil,
	// or empty, where nobody knows it.
	PublicURL func() string
	Settings  Settings
}

// Settings are the periods and sizes of a deployment. Zero fields take the
// default that the comment names.
type Settings struct {
	CancelWindow time.Duration // how long a deletion can be cancelled; 24 h, -1 for none
	Budget       time.Duration // how long one run of a task goes on; 5 min
	Outstanding  int64         // open requests per project; 100
	ArchiveLife  time.Duration // how long an archive can be downloaded; 14 days
	Batch        int           // least subjects to a batch; 50
	SegmentSize  int           // bytes at which a segment ends; archive.SegmentSize
	// TaskLife is how long a task may go on after its execution has ended; 1 min. An
	// export that failed less than that ago still holds its claims.
	TaskLife time.Duration
	Laps     int // asks of one task in one execution; 12
	// Mail means that people are told of requests, and invited, by mail, by whatever process of the
	// deployment has a Sender.
	Mail bool
	// BackupLife is how long a backup is kept, for certificates; 0 where nobody said.
	BackupLife time.Duration
}
