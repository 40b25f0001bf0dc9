package dsr

import (
	"context"
	"time"

	"lethe/shared/kind"
)

// maxRounds is how often a deletion erases what Verify still found before it
// fails.
const maxRounds = 3

// Erase counts what one batch of a deletion holds at the cutoff, then erases it.
// Before, it takes in whoever turned out to be one with its people since Begin.
// It answers Again, Later, Yield, Done or Closed.
func (s *Service) Erase(ctx context.Context, step Step) (Step, error) {
	r, _, closed, err := s.open(ctx, step)
	if closed || err != nil || r.Status != Started {
		return step.after(Closed), err
	}
	w, err := s.work(ctx, r, step.Batch)
	if err != nil {
		return step, err
	}
	if w.cursor.Phase == atPreview {
		w.cursor.Phase, w.cursor.Source, w.cursor.Partial = atErase, "", nil
	}
	goOn := s.goOn()
	if w.cursor.Phase == atErase && w.cursor.Source == "" {
		if left := w.cursor.Fenced.Sub(s.now()); left > 0 {
			return s.later(step, left), nil
		}
		grew, err := s.grow(ctx, r, &w)
		if err != nil {
			return step, err
		}
		if grew || w.cursor.Growing {
			wait, err := s.fence(ctx)
			if err != nil {
				return step, err
			}
			w.cursor.Growing, w.cursor.Fenced = false, s.now().Add(wait)
			if err := s.save(ctx, r, &w); err != nil {
				return step, err
			}
			return s.pause(step, wait), nil // and then look whether there is anyone else
		}
	}
	if w.cursor.Phase == atErase {
		done, wait, err := s.look(ctx, &w, w.scope(r, r.Limit), goOn)
		if err != nil {
			return step, err
		}
		if done {
			w.cursor.turn(erasing)
		}
		// The count has to be kept before anything goes.
		if err := s.save(ctx, r, &w); err != nil {
			return step, err
		}
		if !done || !goOn() {
			return s.pause(step, wait), nil
		}
	}
	if w.cursor.Phase == erasing {
		done, wait, err := s.ask(ctx, &w, w.scope(r, r.Limit), Source.Erase, goOn)
		if err != nil {
			return step, err
		}
		w.cursor.Partial = nil
		if done {
			w.cursor.Phase = erased
		}
		if err := s.save(ctx, r, &w); err != nil {
			return step, err
		}
		if !done {
			return s.pause(step, wait), nil
		}
	}
	return step.after(Done), nil
}

// pause is later if the source asked for it, else again.
func (s *Service) pause(step Step, wait time.Duration) Step {
	if wait > 0 {
		return s.later(step, wait)
	}
	return s.again(step)
}

// Verify looks again in every source for what a deletion should have erased.
// What has anything left goes back to Erase. It answers Redo with the batches to
// erase again, Again, Later, Yield, Done or Closed; when something is left after
// three rounds it fails as Corrupt.
func (s *Service) Verify(ctx context.Context, step Step) (Step, error) {
	r, _, closed, err := s.open(ctx, step)
	if closed || err != nil || r.Status != Started {
		return step.after(Closed), err
	}
	goOn := s.goOn()
	redo := step.after(Redo)
	for n := range r.Batches {
		w, err := s.work(ctx, r, n)
		if err != nil {
			return step, err
		}
		looked := w.cursor.Phase == erased
		if looked {
			done, wait, err := s.look(ctx, &w, w.scope(r, r.Limit), goOn)
			if err != nil {
				return step, err
			}
			if done {
				w.cursor.Phase = verified
				if len(w.cursor.Partial) > 0 {
					w.cursor.Phase = erasing
					w.cursor.Round++
				}
				w.cursor.Partial = nil
			}
			if err := s.save(ctx, r, &w); err != nil {
				return step, err
			}
			if !done {
				return s.pause(step, wait), nil
			}
		}
		switch {
		case w.cursor.Phase == verified:
		case w.cursor.Round > maxRounds:
			return step, kind.E(kind.Corrupt, "verify: something is left after three rounds of erasing")
		case !looked || w.cursor.Round%2 == 0:
			// It ended before it was erased, or has gone round in this execution: what is
			// left is for the next, as a third pass might not fit this one's history.
			return step.after(Yield), nil
		default:
			redo.Batches = append(redo.Batches, n)
		}
		if looked && !goOn() && n < r.Batches-1 {
			return s.again(step), nil
		}
	}
	if len(redo.Batches) == 0 {
		return step.after(Done), nil
	}
	return redo, nil
}
