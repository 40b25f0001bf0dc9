package dsr

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"lethe/shared/kind"
)

// Begin is a deletion's point of no return. It claims everyone the deletion is
// about, waits for exports that are being made of them, and by one swap sets
// STARTED and the cutoff; then it writes the ledger, and last the tombstones. Run
// again after the swap it repeats what follows with the cutoff that was stored. It
// answers Ready with the time that a write may still be under way, Later or Closed.
func (s *Service) Begin(ctx context.Context, step Step) (Step, error) {
	r, version, closed, err := s.open(ctx, step)
	if closed || err != nil || r.Type != Deletion {
		return step.after(Closed), err
	}
	if left := r.Window.Sub(s.now()); !r.Begun() && left > 0 {
		return s.later(step, left), nil
	}
	ids, err := s.marked(ctx, r)
	if err != nil {
		return step, err
	}
	if err := s.setMarks(ctx, r, ids, true); err != nil {
		return step, err
	}
	blocked, err := s.blocked(ctx, r, ids)
	if err != nil {
		return step, err
	}
	if blocked {
		return s.wait(ctx, step, r, version)
	}
	if !r.Begun() {
		r.Limit, r.Reason = s.limit(r), ""
		if r, err = s.move(ctx, r, version, Started, program, "begin"); err != nil {
			return step, err
		}
	}
	if err := s.writeLedger(ctx, r, ids); err != nil {
		return step, err
	}
	marks := make([]Mark, len(ids))
	for i, id := range ids {
		marks[i] = Mark{Subject: id, Task: r.Task, Cutoff: r.Limit, Disclosure: r.Disclosure}
	}
	var fence time.Duration
	for _, src := range s.Sources {
		if err := src.Suppress(ctx, r.Project, marks); err != nil {
			return step, kind.Wrap("write tombstones", err)
		}
		wait, err := src.Fence(ctx)
		if err != nil {
			return step, kind.Wrap("wait for writes under way", err)
		}
		fence = max(fence, wait)
	}
	out, err := s.ready(ctx, step, r, verified)
	out.Wait = seconds(fence)
	return out, err
}

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
