package api

import (
	"encoding/json"
	"time"

	"lethe/shared/dsr"
)

// The shapes of the wire. Names, order and what is empty rather than absent are
// Mixpanel's, as its clients rely on them.

// created is the answer to a create.
type created struct {
	TaskID         string         `json:"task_id"`
	TrackingID     string         `json:"tracking_id"`
	Status         dsr.Status     `json:"status"`
	ProjectID      json.Number    `json:"project_id"`
	Compliance     dsr.Compliance `json:"compliance_type"`
	Disclosure     dsr.Disclosure `json:"disclosure_type"`
	DateRequested  string         `json:"date_requested"`
	RequestingUser string         `json:"requesting_user"`
	DestinationURL *string        `json:"destination_url"`
	Count          int            `json:"distinct_id_count"`
}

func createdOf(r dsr.Request) created {
	return created{
		TaskID: r.Task, TrackingID: r.Task, Status: r.Status, ProjectID: json.Number(r.Project),
		Compliance: r.Compliance, Disclosure: r.Disclosure, DateRequested: date(r.Created),
		RequestingUser: r.Requester, Count: r.Count,
	}
}

// listed is an entry of a list and the answer to a change: the shape of a create
// and what has become of it since.
type listed struct {
	created
	Type             dsr.Type `json:"type"`
	SubjectRequestID string   `json:"subject_request_id,omitempty"`
	DateDue          string   `json:"date_due"`
	Due              string   `json:"due"`                      // the day, in the organisation's time zone
	AcknowledgeBy    string   `json:"acknowledge_by,omitempty"` // likewise
	Overdue          bool     `json:"overdue"`
	ExtensionReason  string   `json:"extension_reason,omitempty"`
	DateFinished     string   `json:"date_finished"` // "" until then
	Reason           string   `json:"reason,omitempty"`
	Hold             dsr.Hold `json:"hold,omitempty"` // while it waits for a confirmation
	IDsGone          bool     `json:"ids_gone,omitempty"`
	Found            *found   `json:"found,omitempty"` // what was exported or erased
}

func (e *edge) listedOf(r dsr.Request) listed {
	return listed{
		created: createdOf(r), Type: r.Type, SubjectRequestID: r.SubjectRequestID,
		DateDue: date(r.Due), Due: r.Day(r.Due), AcknowledgeBy: r.Day(r.AcknowledgeBy), Overdue: r.Overdue(e.Clock()), ExtensionReason: r.Extension,
		DateFinished: date(r.Finished), Reason: r.Reason, Hold: r.Hold, IDsGone: r.IDsGone,
		Found: tally(r.Type, r.Before),
	}
}

// detail is all there is to tell of one request.
type detail struct {
	listed
	CancelUntil     string    `json:"cancel_until,omitempty"` // of a deletion
	Block           bool      `json:"block,omitempty"`        // of a deletion that also opts out
	Snapshot        string    `json:"snapshot,omitempty"`     // of an export
	Window          *window   `json:"window,omitempty"`       // of an export's events
	Cutoff          string    `json:"cutoff,omitempty"`       // of a deletion that has begun
	Preview         *preview  `json:"preview,omitempty"`      // what a deletion would erase
	ConfirmedBy     string    `json:"confirmed_by,omitempty"` // who let a deletion pass the guard
	Restored        *found    `json:"restored,omitempty"`     // what a restore of a backup erased for it
	Withdrawn       bool      `json:"withdrawn,omitempty"`
	WithdrawnBy     string    `json:"withdrawn_by,omitempty"`
	ArchiveBytes    int64     `json:"archive_bytes,omitempty"`
	ArchiveManifest string    `json:"archive_manifest_sha256,omitempty"`
	Timeline        []change  `json:"timeline"`
	Findings        []finding `json:"findings"`
}

// found sums what was found. Edges are links to other identifiers; an export does
// not count them, as it hands none out.
type found struct {
	Events   int64  `json:"events"`
	Profiles int64  `json:"profiles"`
	Edges    *int64 `json:"edges,omitempty"`
	Subjects int64  `json:"subjects"`
}

// preview is what a deletion would erase, and what share of the project that is.
type preview struct {
	found
	Share float64 `json:"share_percent"`
}

// finding is a dsr.Finding, its edges as in found.
type finding struct {
	dsr.Finding
	Edges   *int64          `json:"edges,omitempty"`
	Sources []sourceFinding `json:"sources,omitempty"`
}

type sourceFinding struct {
	dsr.SourceFinding
	Edges *int64 `json:"edges,omitempty"`
}

// window is when events happened, null for no bound.
type window struct {
	From *string `json:"from"`
	To   *string `json:"to"`
}

func windowOf(p dsr.Period) *window {
	end := func(t time.Time) *string {
		if t.IsZero() {
			return nil
		}
		s := date(t)
		return &s
	}
	return &window{From: end(p.From), To: end(p.To)}
}

type change struct {
	Status dsr.Status `json:"status"`
	Date   string     `json:"date"`
}

func (e *edge) detailOf(d dsr.Detail) detail {
	out := detail{
		listed: e.listedOf(d.Request), CancelUntil: date(d.Window), Block: d.Block,
		Withdrawn: d.Withdrawn, WithdrawnBy: d.WithdrawnBy, ArchiveBytes: d.ArchiveSize, ArchiveManifest: d.Manifest,
		Findings: make([]finding, len(d.Findings)),
	}
	for i, f := range d.Findings {
		out.Findings[i] = finding{Finding: f, Edges: edges(d.Type, f.Edges)}
		for _, s := range f.Sources {
			out.Findings[i].Sources = append(out.Findings[i].Sources, sourceFinding{s, edges(d.Type, s.Edges)})
		}
	}
	if d.Type == dsr.Export {
		out.Snapshot, out.Window = date(d.Limit), windowOf(d.Period)
	} else {
		out.Cutoff = date(d.Limit)
		out.ConfirmedBy = d.Confirmed
		if planned := tally(d.Type, d.Planned); planned != nil {
			out.Preview = &preview{*planned, d.Share}
		}
		out.Restored = tally(d.Type, d.Request.Restored)
	}
	for _, c := range d.Timeline {
		out.Timeline = append(out.Timeline, change{Status: c.Status, Date: date(c.Time)})
	}
	return out
}

// tally is t, or nothing where nothing was found, or looked for yet.
func tally(of dsr.Type, t dsr.Tally) *found {
	if t == (dsr.Tally{}) {
		return nil
	}
	return &found{Events: t.Events, Profiles: t.Profiles, Edges: edges(of, t.Edges), Subjects: t.Subjects}
}

func edges(of dsr.Type, n int64) *int64 {
	if of == dsr.Export {
		return nil
	}
	return &n
}

// notFound is the status of a request that is unknown or another project's. It
// comes with 200, since a poller that gets 404 asks for ever.
const notFound dsr.Status = "NOT_FOUND"

// retrieval is the status of an export. The link stands under both names that
// clients read.
type retrieval struct {
	Status      dsr.Status `json:"status"`
	Result      string     `json:"result"`
	Results     string     `json:"results"`
	DistinctIDs []string   `json:"distinct_ids"`
}

// deletion is the status of a deletion. Its schema is closed: no other key.
type deletion struct {
	TrackingID       string         `json:"tracking_id"`
	Status           dsr.Status     `json:"status"`
	RequestingUser   string         `json:"requesting_user"`
	Compliance       dsr.Compliance `json:"compliance_type"`
	ProjectID        json.Number    `json:"project_id"`
	DateRequested    string         `json:"date_requested"`
	DistinctIDs      []string       `json:"distinct_ids"`
	SubjectRequestID string         `json:"subject_request_id,omitempty"`
}

// date writes a time as clients read it: UTC, microseconds, no zone. The zero time
// is "".
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}
