package dsr

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// A ledgerEntry is one erasure in the ledger, which a restore of an older backup
// replays. It names subjects by their marks alone.
type ledgerEntry struct {
	Version    int        `json:"version"`
	Task       string     `json:"task"`
	Project    string     `json:"project"`
	Disclosure Disclosure `json:"disclosure"`
	Cutoff     time.Time  `json:"cutoff"`
	Marks      []string   `json:"marks"`
}

// writeLedger puts r's entry into the bucket, and into the second place if there
// is one, before anything is erased. The same entry again changes nothing.
func (s *Service) writeLedger(ctx context.Context, r Request, ids []kind.Subject) error {
	entry := ledgerEntry{Version: 1, Task: r.Task, Project: r.Project, Disclosure: r.Disclosure, Cutoff: r.Limit}
	for _, id := range ids {
		entry.Marks = append(entry.Marks, s.Keys.Mark(r.Project, id))
	}
	data, err := json.Marshal(entry)
	if err != nil {
		return kind.E(kind.Internal, "encode the ledger")
	}
	if err := s.Bucket.Put(ctx, ledgerObject(r), bytes.NewReader(data)); err != nil {
		return kind.Wrap("write the ledger", err)
	}
	if s.LedgerCopy == nil {
		return nil
	}
	return kind.Wrap("write the copy of the ledger", s.LedgerCopy.Put(ctx, ledgerObject(r), bytes.NewReader(data)))
}

// Adopt takes over what another bucket of the same deployment knows and this one
// does not: its part of the ledger, and certificates.
func (s *Service) Adopt(ctx context.Context, from blob.Bucket) error {
	for _, prefix := range []string{ledgerPrefix, certificatePrefix} {
		if err := adopt(ctx, s.Bucket, from, prefix); err != nil {
			return err
		}
	}
	return nil
}

// adopt copies files below prefix that one bucket has and another has not. None of
// them ever changes, so what has the same name is the same.
func adopt(ctx context.Context, into, from blob.Bucket, prefix string) error {
	return kind.Wrap("take over the ledger", blob.Each(ctx, from, prefix, func(f blob.Info) error {
		if _, err := into.Head(ctx, f.Key); kind.Of(err) != kind.NotFound {
			return err
		}
		r, err := from.Get(ctx, f.Key, 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		return into.Put(ctx, f.Key, r)
	}))
}

// A ledger is what a restore has to know of all entries.
type ledger struct {
	entries int
	marks   map[string]map[string]grave // by project and mark
	tasks   map[string]time.Time        // the cutoff of each task
}

// A grave is the latest erasure of a subject.
type grave struct {
	cutoff time.Time
	task   string
}

// find tells of the latest erasure under one of the marks of a subject.
func (l ledger) find(project string, marks []string) (latest grave, found bool) {
	for _, mark := range marks {
		if g, ok := l.marks[project][mark]; ok && g.cutoff.After(latest.cutoff) {
			latest, found = g, true
		}
	}
	return latest, found
}

// readLedger reads the whole ledger. Of a million erased people it takes some
// 200 MB.
func (s *Service) readLedger(ctx context.Context) (ledger, error) {
	l := ledger{marks: map[string]map[string]grave{}, tasks: map[string]time.Time{}}
	err := blob.Each(ctx, s.Bucket, ledgerPrefix, func(f blob.Info) error {
		e, err := s.readEntry(ctx, f.Key)
		if err != nil {
			return err
		}
		l.entries++
		l.tasks[e.Task] = e.Cutoff
		if l.marks[e.Project] == nil {
			l.marks[e.Project] = map[string]grave{}
		}
		for _, mark := range e.Marks {
			if g := l.marks[e.Project][mark]; e.Cutoff.After(g.cutoff) {
				l.marks[e.Project][mark] = grave{e.Cutoff, e.Task}
			}
		}
		return nil
	})
	return l, kind.Wrap("read the ledger", err)
}

func (s *Service) readEntry(ctx context.Context, key string) (e ledgerEntry, err error) {
	r, err := s.Bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return e, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return e, err
	}
	// The name is made of a time and a task, so it may be shown.
	if json.Unmarshal(data, &e) != nil || e.Task == "" || e.Project == "" || e.Cutoff.IsZero() {
		return e, kind.Say(kind.Corrupt, "The entry "+path.Base(key)+" of the ledger is damaged: put it back from another copy of the ledger. Without it, people who were erased would come back.")
	}
	if e.Version != 1 || e.Disclosure != Data {
		return e, kind.Say(kind.Invalid, "The entry "+path.Base(key)+" of the ledger was written by a newer version of Lethe: run that version or a newer one.")
	}
	return e, nil
}
