package dsr

import (
	"context"
	"errors"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

var zeroTime time.Time

// eachOpen calls f with every open request, of all projects, as it stands now, and
// returns how many were passed over since they cannot be read.
func (s *Service) eachOpen(ctx context.Context, f func(Request) error) (damaged int, err error) {
	return s.eachIn(ctx, table.Query{PK: openPartition}, f)
}

// eachIn calls f with every request in a part of the index, of all projects, as it
// stands now, and returns how many were passed over since they cannot be read. The log
// tells where those stand in the list.
func (s *Service) eachIn(ctx context.Context, q table.Query, f func(Request) error) (damaged int, err error) {
	q.Index = true
	for before := 0; ; {
		page, err := s.Control.Query(ctx, q)
		if err != nil {
			return damaged, kind.Wrap("list "+q.PK+" requests", err)
		}
		keys := make([]table.Key, len(page.Items))
		for i, item := range page.Items {
			keys[i] = item.Key
		}
		found, bad, err := s.legible(ctx, q.PK, keys, before)
		damaged, before = damaged+bad, before+len(keys)
		if err != nil {
			return damaged, err
		}
		for _, r := range found {
			if place(r).PK != q.PK {
				continue // the index lags behind
			}
			if err := f(r); err != nil {
				return damaged, err
			}
		}
		if page.Next == "" {
			return damaged, nil
		}
		q.After = page.Next
	}
}

// Sweep brings every open request back to where its execution should be: it
// starts what was accepted and not started, starts the next attempt of an
// execution that ended before its request, and marks FAILURE a request whose
// execution died without Finish. It warns of requests that are past their due date
// unanswered, and of those that broke and were not run again or whose record is damaged.
// It mails people what is new of requests, and links to sign in by. Then it takes identifiers and records away
// whose time is over (retire). It runs every minute; running it at any time, or twice at
// once, changes nothing else. One request's trouble does not keep it from the others.
func (s *Service) Sweep(ctx context.Context) error {
	var all []error
	open, overdue, broken := 0, 0, 0
	// First those that are broken already: what breaks now must not count twice.
	lost, err := s.eachIn(ctx, table.Query{PK: brokenPartition}, func(r Request) error {
		broken++
		if r.Overdue(s.now()) {
			overdue++
		}
		return nil
	})
	all = append(all, err)
	more, err := s.eachOpen(ctx, func(r Request) error {
		open++
		if r.Overdue(s.now()) {
			overdue++
		}
		if err := s.sweep(ctx, r); err != nil && kind.Of(err) != kind.Conflict {
			all = append(all, kind.Wrap("sweep "+r.Task, err))
		}
		return ctx.Err()
	})
	all = append(all, err)
	// Nobody can work on what cannot be read.
	broken += lost + more
	// Alarms are made of these lines: template.yaml looks for the words and the number.
	if overdue > 0 {
		s.Log.WarnContext(ctx, "requests are overdue", "overdue", overdue, "open", open)
	}
	if broken > 0 {
		s.Log.WarnContext(ctx, "requests are broken", "broken", broken)
	}
	if ctx.Err() == nil {
		all = append(all, s.tellNews(ctx))
	}
	if ctx.Err() == nil {
		all = append(all, s.retire(ctx))
	}
	return errors.Join(all...)
}

func (s *Service) sweep(ctx context.Context, r Request) error {
	if r.Hold != "" {
		return nil
	}
	e, err := s.Workflow.Describe(ctx, string(r.Type), executionName(r))
	if kind.Of(err) == kind.NotFound {
		s.Log.InfoContext(ctx, "starting an execution", "task", r.Task, "attempt", r.Attempt)
		return s.start(ctx, r)
	}
	if err != nil || e.Status == ExecutionRunning {
		return err
	}
	// The execution has ended. Read the request again: Finish may have closed it in
	// between.
	attempt := r.Attempt
	r, version, err := s.load(ctx, r.Task)
	if err != nil || !r.Status.Open() || r.Attempt != attempt {
		return err
	}
	if e.Status == ExecutionSucceeded {
		r.Attempt++
		if err := s.swap(ctx, r, version); err != nil {
			return err
		}
		s.Log.InfoContext(ctx, "continuing a request", "task", r.Task, "attempt", r.Attempt)
		return s.start(ctx, r)
	}
	cause := "the execution ended " + string(e.Status) + " " + e.Error
	return s.breakOff(ctx, r, version, cause, "The work on this request was cut off. Run it again; it goes on from what is done.")
}

// breakOff closes r as a FAILURE that is to be run again.
func (s *Service) breakOff(ctx context.Context, r Request, version table.Version, cause, reason string) error {
	// Another alarm is made of this line, and had better be raised twice than not at all.
	s.Log.ErrorContext(ctx, "a request broke", "task", r.Task, "attempt", r.Attempt, "error", cause)
	r.Broken = true
	return s.fail(ctx, r, version, reason)
}

// fail closes r as FAILURE.
func (s *Service) fail(ctx context.Context, r Request, version table.Version, reason string) error {
	r.Reason = reason
	r.Finished = s.now()
	_, err := s.move(ctx, r, version, Failure, program, "fail")
	return err
}
