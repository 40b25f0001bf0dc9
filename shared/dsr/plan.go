package dsr

import (
	"context"
	"time"

	"lethe/shared/archive"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// hold is what the guard and a restore do, in the audit trail.
const hold = "hold"

// claimRetry is how long a task waits that met another request's claim.
const claimRetry = 15 * time.Second

// open loads the request of a step, or says that the step has no business any
// more: the request has ended or is held, or a later attempt is at work on it.
func (s *Service) open(ctx context.Context, step Step) (r Request, version table.Version, closed bool, err error) {
	r, version, err = s.load(ctx, step.Task)
	return r, version, err == nil && (!r.Status.Open() || r.Attempt != step.Attempt || r.Hold != ""), err
}

// Plan is the first task of both machines. It resolves who the request is about,
// cuts them into batches, marks the request under every one of them, and then, for
// an export, claims them and takes the snapshot; for a deletion, counts what would
// go, and holds it if the guard says so. It answers Ready, Begun (a deletion run again after Begin), Again, Later or
// Closed.
func (s *Service) Plan(ctx context.Context, step Step) (Step, error) {
	r, version, closed, err := s.open(ctx, step)
	if closed || err != nil {
		return step.after(Closed), err
	}
	if r.Status == Pending {
		if _, err := s.move(ctx, r, version, Staging, program, ""); err != nil {
			return step, err
		}
		if r, version, err = s.load(ctx, r.Task); err != nil {
			return step, err
		}
	}
	if r.Type == Export && (r.Withdrawn || r.Afresh) {
		if r, version, err = s.forget(ctx, r, version); err != nil {
			return step, err
		}
	}
	// An export that waited for a deletion has to see what is left.
	if r.Batches == 0 || r.Type == Export && r.Limit.IsZero() {
		o, err := s.resolve(ctx, r)
		if err != nil {
			return step, err
		}
		if o.refused != "" {
			return step.after(Closed), s.fail(ctx, r, version, o.refused)
		}
		if r.Set != o.set {
			r.Set, r.Batches = o.set, len(o.batches)
			if err := s.keep(ctx, r, o); err != nil {
				return step, err
			}
			if err := s.swap(ctx, r, version); err != nil {
				return step, err
			}
			if r, version, err = s.load(ctx, r.Task); err != nil {
				return step, err
			}
		}
	}
	switch {
	case r.Type == Export:
		return s.planExport(ctx, step, r, version)
	case r.Begun():
		return step.after(Begun), nil
	}
	return s.planDeletion(ctx, step, r, version)
}

// forget begins an export's next try and then removes the files of the last: its
// segments are missing, or one was withdrawn, or it found nothing.
func (s *Service) forget(ctx context.Context, r Request, version table.Version) (Request, table.Version, error) {
	next := r
	next.Plan++
	next.Set, next.Batches, next.Limit, next.Before, next.ArchiveSize, next.Manifest = "", 0, zeroTime, Tally{}, 0, ""
	next.Withdrawn, next.WithdrawnBy, next.Afresh = false, "", false
	if err := s.swap(ctx, next, version); err != nil {
		return r, version, err
	}
	if err := s.dropFiles(ctx, r); err != nil {
		return r, version, err
	}
	return s.load(ctx, r.Task)
}

// dropAll deletes everything that an export has read out, of all its tries: files
// and, unless it ended well, the cursors, which can hold the last bytes of a
// record.
func (s *Service) dropAll(ctx context.Context, r Request) error {
	for ; r.Plan >= 0; r.Plan-- {
		if err := s.dropFiles(ctx, r); err != nil {
			return err
		}
	}
	if r.Status == Success {
		return nil
	}
	var ops []table.Op
	for _, prefix := range []string{cursorPrefix, packPrefix} {
		err := s.eachItem(ctx, requestKey(r.Task).PK, prefix, func(item table.Item) error {
			ops = append(ops, table.Delete(item.Key, table.Cond{}))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return kind.Wrap("delete cursors", s.Control.WriteMany(ctx, ops))
}

// dropFiles deletes the segments and the archive of r's try, one that is being put
// together included.
func (s *Service) dropFiles(ctx context.Context, r Request) error {
	if err := s.dropSegments(ctx, r); err != nil {
		return err
	}
	key := archive.Key(r.work())
	if err := s.Bucket.Abort(ctx, key, ""); err != nil {
		return kind.Wrap("give up an upload", err)
	}
	return kind.Wrap("delete an archive", s.Bucket.Delete(ctx, key))
}

func (s *Service) dropSegments(ctx context.Context, r Request) error {
	const most = 500
	for {
		found, err := s.Bucket.List(ctx, archive.SegmentPrefix(r.work()), "", most)
		if err != nil {
			return kind.Wrap("list segments", err)
		}
		keys := make([]string, len(found))
		for i, f := range found {
			keys[i] = f.Key
		}
		if err := s.Bucket.Delete(ctx, keys...); err != nil {
			return kind.Wrap("delete segments", err)
		}
		if len(found) < most {
			return nil
		}
	}
}

func (s *Service) planExport(ctx context.Context, step Step, r Request, version table.Version) (Step, error) {
	if r.Status != Started || r.Limit.IsZero() {
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
			// The deletion keeps its claim; this one steps back, or both would wait.
			if err := s.setMarks(ctx, r, ids, false); err != nil {
				return step, err
			}
			return s.wait(ctx, step, r, version)
		}
		if r.Plan == 0 && r.Limit.IsZero() {
			if err := s.unmark(ctx, r, version, ids); err != nil {
				return step, err
			}
		}
		// A deletion may have taken segments of an earlier attempt back since this
		// record was read; then the swap fails and Plan runs again.
		r.Reason = ""
		if r.Limit.IsZero() {
			r.Limit = s.limit(r)
		}
		if r.Status != Started {
			if r, err = s.move(ctx, r, version, Started, program, ""); err != nil {
				return step, err
			}
		} else if err := s.swap(ctx, r, version); err != nil {
			return step, err
		}
	}
	return s.ready(ctx, step, r, collected)
}

// limit is the moment up to which a request concerns data: now, but never before
// the request, whatever became of the clock.
func (s *Service) limit(r Request) time.Time {
	if now := s.now(); now.After(r.Created) {
		return now
	}
	return r.Created
}

// ready answers Ready with the batches that are not yet in phase end.
func (s *Service) ready(ctx context.Context, step Step, r Request, end phase) (Step, error) {
	out := step.after(Ready)
	out.Batches = []int{}
	err := s.allWork(ctx, r, func(w *work) error {
		if w.cursor.Phase != end {
			out.Batches = append(out.Batches, w.number)
		}
		return nil
	})
	return out, err
}

func (s *Service) planDeletion(ctx context.Context, step Step, r Request, version table.Version) (Step, error) {
	ids, err := s.marked(ctx, r)
	if err != nil {
		return step, err
	}
	if err := s.planMarks(ctx, r, ids); err != nil {
		return step, err
	}
	goOn := s.goOn()
	for n := range r.Batches {
		w, err := s.work(ctx, r, n)
		if err != nil {
			return step, err
		}
		if w.cursor.Phase != atPreview || w.cursor.Looked {
			continue
		}
		done, wait, err := s.look(ctx, &w, w.scope(r, s.now()), goOn)
		if err != nil {
			return step, err
		}
		if done {
			w.cursor.turn(atPreview)
		}
		if err := s.save(ctx, r, &w); err != nil {
			return step, err
		}
		switch {
		case wait > 0:
			return s.later(step, wait), nil
		case !done, !goOn() && n < r.Batches-1:
			return s.again(step), nil
		}
	}
	if r.Planned, err = s.tally(ctx, r); err != nil {
		return step, err
	}
	why, err := s.guard(ctx, &r)
	if err != nil {
		return step, err
	}
	if why != "" {
		r.Hold, r.Held, r.Reason = HoldGuard, s.now(), why
		_, err := s.move(ctx, r, version, Staging, program, hold)
		return step.after(Closed), err
	}
	if err := s.swap(ctx, r, version); err != nil {
		return step, err
	}
	out := step.after(Ready)
	out.Until = r.Window.Format(time.RFC3339Nano)
	return out, nil
}

// again asks for the same task at once, or ends the execution when it has gone
// round often enough.
func (s *Service) again(step Step) Step {
	if step.Lap+1 >= s.Settings.Laps {
		return step.after(Yield)
	}
	return step.after(Again)
}

// later asks for the same task again in d, as again does.
func (s *Service) later(step Step, d time.Duration) Step {
	if step.Lap+1 >= s.Settings.Laps {
		return step.after(Yield)
	}
	out := step.after(Later)
	out.Wait = seconds(d)
	return out
}
