package dsr

import (
	"context"
	"time"

	"lethe/shared/kind"
)

// mostPlans is how often a deletion is planned anew because links between people
// came in its window: among thousands of people some always do.
const mostPlans = 3

// Begin is a deletion's point of no return. It resolves again who the deletion is
// about, claims them, waits for exports that are being made of them, resolves once
// more, and by one swap sets STARTED, the cutoff and who it is about; then it
// writes the ledger, and last the tombstones. Run again after the swap it repeats
// what follows with what was stored. It answers Ready with the time that a write
// may still be under way; Replan where it is about others than were planned; Later,
// also where there was somebody new; or Closed.
func (s *Service) Begin(ctx context.Context, step Step) (Step, error) {
	r, version, closed, err := s.open(ctx, step)
	if closed || err != nil || r.Type != Deletion {
		return step.after(Closed), err
	}
	if left := r.Window.Sub(s.now()); !r.Begun() && left > 0 {
		return s.later(step, left), nil
	}
	var who roster
	if r.Begun() {
		who.ids, err = s.marked(ctx, r)
	} else {
		who, err = s.resolve(ctx, r)
	}
	if err != nil {
		return step, err
	}
	if who.refused != "" {
		return step.after(Closed), s.fail(ctx, r, version, who.refused)
	}
	if !r.Begun() && r.Set != who.set {
		// Kept before it is marked: by what is kept the rows at the marks are found again
		// when the request goes, also if it is cancelled now.
		next := r
		next.Set = who.set
		if err := s.keep(ctx, next, who); err != nil {
			return step, err
		}
	}
	if err := s.setMarks(ctx, r, who.ids, true); err != nil {
		return step, err
	}
	blocked, err := s.blocked(ctx, r, who.ids)
	if err != nil {
		return step, err
	}
	if blocked {
		return s.wait(ctx, step, r, version)
	}
	if !r.Begun() {
		now, err := s.resolve(ctx, r)
		if err != nil {
			return step, err
		}
		if now.set != who.set {
			return s.later(step, time.Second), nil // whoever is new has to be claimed first
		}
		if r.Set != now.set {
			// The preview, and what the guard made of it, were of others. Whom the guard would
			// hold has always to be confirmed.
			held, err := s.holds(ctx, r, now)
			if err != nil {
				return step, err
			}
			if held || r.Replans < mostPlans {
				r.Set, r.Batches, r.Plan, r.Replans = "", 0, r.Plan+1, r.Replans+1
				return step.after(Replan), s.swap(ctx, r, version)
			}
			// Cursors of the preview count by the old set: those of the new begin afresh.
			r.Set, r.Batches, r.Plan = now.set, len(now.batches), r.Plan+1
		}
		r.Limit, r.Reason, r.Identity = s.limit(r), "", now.rule
		if r.Block {
			if r.BlockedAt, err = s.blockAt(ctx, r, now.ids); err != nil {
				return step, err
			}
		}
		if r, err = s.move(ctx, r, version, Started, program, "begin"); err != nil {
			return step, err
		}
	}
	words, err := s.blocks(ctx, r, who.ids)
	if err != nil {
		return step, err
	}
	if err := s.suppress(ctx, r, who.ids, words); err != nil {
		return step, err
	}
	fence, err := s.fence(ctx)
	if err != nil {
		return step, err
	}
	out, err := s.ready(ctx, step, r, verified)
	out.Wait = seconds(fence)
	return out, err
}

// suppress writes an entry of the ledger for some of r's people, and then their
// tombstones and words about them, if any.
func (s *Service) suppress(ctx context.Context, r Request, ids []kind.Subject, words []Word) error {
	entry := ledgerEntry{Version: 1, Task: r.Task, Project: r.Project, Disclosure: r.Disclosure, Cutoff: r.Limit, Reruns: r.Reruns}
	marks := make([]Mark, len(ids))
	for i, id := range ids {
		marks[i] = Mark{Name: s.Keys.Mark(r.Project, id), Subject: id, Task: r.Task, Cutoff: r.Limit, Disclosure: r.Disclosure}
		entry.Marks = append(entry.Marks, marks[i].Name)
	}
	if len(words) > 0 {
		entry.say(words)
	}
	if err := s.writeLedger(ctx, entry); err != nil {
		return err
	}
	for _, src := range s.Sources {
		if err := src.Suppress(ctx, r.Project, marks); err != nil {
			return kind.Wrap("write tombstones", err)
		}
	}
	return s.sayAll(ctx, r.Project, words, Blocker.Say)
}

// fence is how long a write may still land that looked before suppress.
func (s *Service) fence(ctx context.Context) (longest time.Duration, err error) {
	for _, src := range s.Sources {
		wait, err := src.Fence(ctx)
		if err != nil {
			return 0, kind.Wrap("wait for writes under way", err)
		}
		longest = max(longest, wait)
	}
	return longest, nil
}
