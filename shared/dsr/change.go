package dsr

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Cancel revokes a deletion that has not begun, or an export that is held, and
// returns it as it is then. A revoked one is no error. Kinds: NotFound; NotAllowed
// for a deletion once it is STARTED or has ended, also when it was run again after
// it had begun, and for an export that is not held.
func (s *Service) Cancel(ctx context.Context, project, task string, by By) (Request, error) {
	return unmet(func() (Request, error) {
		r, version, err := s.find(ctx, project, task)
		switch {
		case err != nil:
			return r, err
		case r.Status == Revoked:
			return r, nil
		case !r.Status.Open():
			return r, kind.Say(kind.NotAllowed, "This "+string(r.Type)+" has ended; it can no longer be cancelled.")
		case r.Type == Export && r.Hold == "":
			return r, kind.Say(kind.NotAllowed, "An export can be cancelled only while it is held for a confirmation. Nobody has to fetch its file.")
		case r.Status == Started || r.Begun():
			return r, kind.Say(kind.NotAllowed, "This deletion has begun to erase; it can no longer be cancelled.")
		}
		r.Finished, r.Hold, r.Reason = s.now(), "", ""
		r, err = s.move(ctx, r, version, Revoked, by, "cancel")
		if err != nil {
			return r, err
		}
		if err := s.Workflow.Stop(ctx, string(r.Type), executionName(r), "cancelled"); err != nil {
			s.Log.WarnContext(ctx, "the execution of a cancelled request was not stopped; it will find nothing to do", "task", task, "error", err)
		}
		return r, nil
	})
}

// unmet makes a change of a request again as long as it meets another one, such as that
// of a task at work, which is no business of whoever asked for it. A conflict that has a
// sentence is theirs.
func unmet(change func() (Request, error)) (Request, error) {
	for range 10 {
		r, err := change()
		if kind.Of(err) != kind.Conflict || kind.Sentence(err) != "" {
			return r, err
		}
	}
	return Request{}, kind.E(kind.Unavailable, "the request kept changing")
}

// GiveUp is Cancel, and besides closes for good what broke and had not begun to erase:
// it stays a FAILURE, and is no longer to be run again. Kinds as of Cancel.
func (s *Service) GiveUp(ctx context.Context, project, task string, by By) (Request, error) {
	return unmet(func() (Request, error) {
		r, version, err := s.find(ctx, project, task)
		switch {
		case err != nil:
			return r, err
		case !r.Broken:
			return s.Cancel(ctx, project, task, by)
		case r.Begun():
			return r, kind.Say(kind.NotAllowed, "This deletion broke after it had begun to erase, so it has to be completed: run it again.")
		}
		r.Broken, r.Finished = false, s.now()
		r.Reason += " It was given up."
		return s.move(ctx, r, version, Failure, by, "give-up", table.Put(table.Item{Key: endedKey(r)}, table.Cond{}))
	})
}

// CancelSet revokes the open deletions of the project that are of exactly these
// identifiers. Kinds: NotFound if there is none; NotAllowed if one of them has
// begun (the others are revoked all the same).
func (s *Service) CancelSet(ctx context.Context, project string, raw []string, by By) error {
	want, err := parseIDs(raw)
	if err != nil {
		return err
	}
	slices.Sort(want)
	found := false
	var refused error
	err = s.eachRequest(ctx, project, Deletion, func(r Request) error {
		if !r.Status.Open() || r.Count != len(want) {
			return nil
		}
		ids, err := s.IDs(ctx, r)
		if err != nil {
			return err
		}
		slices.Sort(ids)
		if !slices.Equal(ids, want) {
			return nil
		}
		found = true
		_, err = s.Cancel(ctx, project, r.Task, by)
		if kind.Of(err) == kind.NotAllowed {
			refused, err = err, nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !found:
		return kind.Say(kind.NotFound, "This project has no open deletion of exactly these distinct_ids.")
	}
	return refused
}

// Rerun puts a request that ended FAILURE back to work: to PENDING, or, for a
// deletion that had begun, to STARTED with the cutoff it had. It goes on from what
// was done. Kinds: NotFound, NotAllowed if it is in any other state, Conflict once
// its identifiers are gone.
func (s *Service) Rerun(ctx context.Context, project, task string, by By) (Request, error) {
	return unmet(func() (Request, error) {
		r, version, err := s.find(ctx, project, task)
		if err != nil {
			return r, err
		}
		if r.Status != Failure {
			return r, kind.Say(kind.NotAllowed, "Only a request that ended FAILURE can be run again; this one is "+string(r.Status)+".")
		}
		if r.IDsGone {
			return r, kind.Say(kind.Conflict, "The identifiers of this request were removed, a set time after it had ended, so it cannot be run again. Make a new request.")
		}
		return s.resume(ctx, r, version, by, "rerun")
	})
}

// Reruns is what RerunAll did.
type Reruns struct {
	Rerun int `json:"rerun"` // now at work again
	Left  int `json:"left"`  // not yet, since no more may be open at a time
}

// RerunAll runs every request of a project again that is Broken, in the order in
// which they broke, as many as may be open. Called again it goes on with those that
// are left.
func (s *Service) RerunAll(ctx context.Context, project string, by By) (Reruns, error) {
	var done Reruns
	// What breaks from now on is not looked at, or one that breaks at once would be run
	// again and again.
	_, err := s.eachIn(ctx, table.Query{PK: brokenPartition, To: moment(s.now()) + "$"}, func(r Request) error {
		switch {
		case r.Project != project:
			return nil
		case done.Left > 0:
			done.Left++
			return nil
		}
		_, err := s.Rerun(ctx, project, r.Task, by)
		var limit *LimitError
		switch {
		case err == nil:
			done.Rerun++
		case errors.As(err, &limit):
			done.Left++
		case slices.Contains([]kind.Kind{kind.Conflict, kind.NotAllowed, kind.NotFound}, kind.Of(err)): // somebody else was at it
		default:
			return err
		}
		return nil
	})
	return done, err
}

// resume puts a request that stands still back to work, from what is done.
func (s *Service) resume(ctx context.Context, r Request, version table.Version, by By, verb string) (Request, error) {
	to := Pending
	switch {
	case r.Begun():
		to = Started
		r.Reruns++
	case r.Type == Deletion && r.Hold != HoldGuard: // there the window went on
		r.Window = s.now().Add(s.Settings.CancelWindow)
	}
	var more []table.Op
	if !r.Status.Open() {
		more = append(more, table.Delete(endedKey(r), table.Cond{}))
	}
	if r.Type == Deletion && !r.Begun() && r.Status == Failure {
		// Who it is about, and what that is, may be long out of date.
		r.Set, r.Batches, r.Plan = "", 0, r.Plan+1
	}
	r.Attempt++
	r.Replans = 0
	r.Reason, r.Hold, r.Held = "", "", zeroTime
	r.Finished, r.Broken = zeroTime, false
	r, err := s.move(ctx, r, version, to, by, verb, more...)
	if err != nil {
		return r, err
	}
	if err := s.start(ctx, r); err != nil {
		s.Log.WarnContext(ctx, "the execution was not started; the next sweep starts it", "task", r.Task, "error", err)
	}
	return r, nil
}

// Confirm lets a request go on that was held for a person to look at: to PENDING,
// or, for a deletion that had begun, to STARTED with the cutoff it had. Kinds:
// NotFound; NotAllowed if it is not held, or if the guard wants somebody else.
func (s *Service) Confirm(ctx context.Context, project, task string, by By) (Request, error) {
	return unmet(func() (Request, error) {
		r, version, err := s.find(ctx, project, task)
		if err != nil {
			return r, err
		}
		if r.Hold == "" || !r.Status.Open() {
			return r, kind.Say(kind.NotAllowed, "This request is not waiting for a confirmation.")
		}
		if r.Hold == HoldGuard {
			if err := s.mayConfirm(ctx, r, by); err != nil {
				return r, err
			}
			r.Confirmed, r.ConfirmedSet = by.Actor, r.Set
		}
		return s.resume(ctx, r, version, by, "confirm")
	})
}

// Extend moves the due date of an open request by the one extension that the law
// knows, for a reason that the data subject is told. Kinds: NotFound, Invalid
// without a reason, NotAllowed for a second time, past the due date or once the
// request has ended.
func (s *Service) Extend(ctx context.Context, project, task, reason string, by By) (Request, error) {
	return unmet(func() (Request, error) {
		r, version, err := s.find(ctx, project, task)
		const most = 1000
		switch {
		case err != nil:
			return r, err
		case reason == "":
			return r, kind.Say(kind.Invalid, "reason is empty. Say why more time is needed; the person has to be told.")
		case len(reason) > most:
			return r, kind.Say(kind.Invalid, fmt.Sprintf("reason is longer than %d bytes. Make it shorter.", most))
		case !r.Status.Open():
			return r, kind.Say(kind.NotAllowed, "This request has ended; its due date no longer matters.")
		case r.Extension != "":
			return r, kind.Say(kind.NotAllowed, "This request was extended before; the law allows it once.")
		case r.Overdue(s.now()):
			return r, kind.Say(kind.NotAllowed, "This request is overdue, and the person had to be told of an extension before. Answer it as soon as you can.")
		}
		r.Extension = reason
		r.Due = extended(r.Compliance, r.Created, location(r.TimeZone))
		put, err := s.put(r, version)
		if err != nil {
			return r, err
		}
		err = s.Accounts.Record(ctx, Entry{Project: project, Time: s.now(), Actor: by.Actor, From: by.From, Action: r.does("extend"), Task: task}, put)
		return r, kind.Wrap("change the request", err)
	})
}
