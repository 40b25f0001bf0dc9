package dsr

import (
	"context"
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
		if r, err = s.move(ctx, r, version, Started, program, "begin", knownEntry(ledgerName(r))); err != nil {
			return step, err
		}
	}
	if err := s.writeLedger(ctx, r, ids); err != nil {
		return step, err
	}
	marks := make([]Mark, len(ids))
	for i, id := range ids {
		marks[i] = Mark{Name: s.Keys.Mark(r.Project, id), Subject: id, Task: r.Task, Cutoff: r.Limit, Disclosure: r.Disclosure}
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
