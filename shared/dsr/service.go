// Package dsr is the domain of Lethe: data-subject requests and their life. A
// Service takes requests in (Submit), tells how they stand (Get, List, Detail),
// and does the work: its methods Plan, Begin, Collect, Pack, Erase, Verify and
// Finish are the tasks that the definitions in statemachine/ name, and Sweep
// starts what was accepted and not started.
//
// Every task may run twice at any point and then changes nothing. All that
// decides is a compare-and-swap on the request's record.
package dsr

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lethe/shared/archive"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A Service is the domain over the parts of a platform. It holds no state of its
// own; any number may work on the same parts.
type Service struct {
	Parts
}

// New returns a Service over parts, with defaults in place of zero settings.
func New(p Parts) *Service {
	s := &p.Settings
	def(&s.CancelWindow, 24*time.Hour)
	if s.CancelWindow < 0 {
		s.CancelWindow = 0
	}
	def(&s.Budget, 5*time.Minute)
	def(&s.Outstanding, 100)
	def(&s.ArchiveLife, 14*24*time.Hour)
	def(&s.TaskLife, time.Minute)
	def(&s.Batch, 50)
	def(&s.SegmentSize, archive.SegmentSize)
	def(&s.Laps, 12)
	return &Service{Parts: p}
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// By is who does something, for the audit trail.
type By struct {
	Actor string // a mail address or a service account's name
	From  string // network address
}

// now is the time in whole milliseconds, as records keep it.
func (s *Service) now() time.Time { return s.Clock().UTC().Truncate(time.Millisecond) }

// load reads a request as it stands and the version to swap it at.
func (s *Service) load(ctx context.Context, task string) (Request, table.Version, error) {
	item, err := s.Control.Get(ctx, requestKey(task))
	if err != nil {
		return Request{}, 0, kind.Wrap("read the request", err)
	}
	r, err := decode[Request](item)
	return r, item.Version, err
}

// swap stores r if the record is still at version, and the other operations with it.
func (s *Service) swap(ctx context.Context, r Request, version table.Version, ops ...table.Op) error {
	put, err := s.put(r, version)
	if err != nil {
		return err
	}
	return kind.Wrap("change the request", s.Control.Write(ctx, append([]table.Op{put}, ops...)...))
}

// put is the operation that stores r if the record is still at version.
func (s *Service) put(r Request, version table.Version) (table.Op, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return table.Op{}, kind.E(kind.Internal, "encode the request", err)
	}
	return table.Put(table.Item{Key: requestKey(r.Task), Data: data, Index: place(r)}, table.IfAt(version)), nil
}

// move is swap for a change of status: it is told in the timeline and, by a verb, in the
// audit trail, and the count of outstanding requests follows. One that ends, at
// Finished, is on its way out of the records.
func (s *Service) move(ctx context.Context, r Request, version table.Version, to Status, by By, verb string, more ...table.Op) (Request, error) {
	was := r.Status
	r.Status = to
	if to == Success {
		r.Reason = "" // of a wait that is over
	}
	if to != was {
		r.Timeline = append(r.Timeline, Change{Status: to, Time: s.now()})
	}
	ops := more
	if was.Open() && !to.Open() {
		ops = append(ops, table.AddUpTo(outstandingKey(r.Project), -1, maxCount))
		if !r.Broken { // what broke is not at its end
			ops = append(ops, table.Put(table.Item{Key: endedKey(r)}, table.Cond{}))
		}
	}
	reopened := -1 // the place in the transaction of the operation that counts it
	if !was.Open() && to.Open() {
		reopened = 1 + len(ops)
		ops = append(ops, table.AddUpTo(outstandingKey(r.Project), 1, s.Settings.Outstanding))
	}
	put, err := s.put(r, version)
	if err != nil {
		return r, err
	}
	told, err := s.tell(r, was, to, verb)
	if err != nil {
		return r, err
	}
	ops = append(append([]table.Op{put}, ops...), told...)
	if verb == "" {
		err = s.Control.Write(ctx, ops...)
	} else {
		err = s.Accounts.Record(ctx, Entry{Project: r.Project, Time: s.now(), Actor: by.Actor, From: by.From, Action: r.does(verb), Task: r.Task}, ops...)
	}
	err = kind.Wrap("change the request", err)
	if slices.Contains(table.Failed(err), reopened) {
		err = s.tooMany()
	}
	return r, err
}

// does is what something that is done to r is called in the audit trail.
func (r Request) does(verb string) string { return string(r.Type) + "." + verb }

const maxCount = 1 << 53

// program is who does what nobody asked for at that moment.
var program = By{Actor: "lethe"}

// start starts the execution of r's attempt. One that is there already, from an
// earlier try, is as good.
func (s *Service) start(ctx context.Context, r Request) error {
	input, err := json.Marshal(Step{Task: r.Task, Attempt: r.Attempt})
	if err != nil {
		return kind.E(kind.Internal, "encode the input of an execution", err)
	}
	err = s.Workflow.Start(ctx, string(r.Type), executionName(r), input)
	if kind.Of(err) == kind.Conflict {
		return nil
	}
	return kind.Wrap("start the execution", err)
}

func decode[T any](item table.Item) (T, error) {
	var v T
	if err := json.Unmarshal(item.Data, &v); err != nil {
		// The cause may quote the record.
		return v, kind.E(kind.Corrupt, "decode a record")
	}
	return v, nil
}

func encode(key table.Key, v any) (table.Item, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return table.Item{}, kind.E(kind.Internal, "encode a record")
	}
	return table.Item{Key: key, Data: data}, nil
}

// NewID makes the id of a request: a UUID of version 4 (RFC 9562).
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
