package asl

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"lethe/shared/table"
)

// Status is how an execution stands, in the words of Step Functions.
type Status string

const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED"
)

// An execution is one run of a machine, in memory while something of it moves.
// One goroutine at a time works on it. What it does is a sequence of rounds: in
// each round every frame that can makes one transition, and then flush stores
// them before the next round begins.
type execution struct {
	machine *Machine
	name    string
	head    head
	input   json.RawMessage
	given   any // input decoded, once it was asked for
	root    *frame
	last    int64  // the number of the last event
	gone    bool   // it ended, and nothing of it is left to store or remove
	full    bool   // the history has no room for what happened
	lost    string // the state a frame stands in that the definition no longer has

	now     time.Time // of the round
	events  []Event   // not yet stored
	garbage []table.Key
	submit  []*attempt     // to be run once what led to them is stored
	parked  time.Time      // what the item in asl#open says
	stops   []chan<- error // to be answered once its end is stored
}

// begin makes the first transition: into the start state.
func begin(m *Machine, name string, input any, now time.Time) *execution {
	x := &execution{machine: m, name: name, input: rawJSON(input), now: now}
	x.head = head{Status: Running, Started: millis(now), Definition: m.id}
	x.root = &frame{path: rootPath}
	x.emit(x.root, Event{Type: "ExecutionStarted"})
	x.enter(x.root, m.root.start, input)
	return x
}

// stored tells the execution that all it has is stored.
func (x *execution) stored() {
	x.root.dirty, x.events = false, nil
}

func (x *execution) deadline() time.Time {
	life := x.machine.timeout
	if life == 0 {
		life = maxLife
	}
	return timeOf(x.head.Started).Add(life)
}

// enter puts a frame into a state.
func (x *execution) enter(f *frame, name string, input any) {
	f.state = x.machine.states[name]
	f.phase, f.input = entered, input
	f.entered, f.due, f.tries, f.retries = x.now, time.Time{}, nil, 0
	f.dirty = true
	f.enteredID = x.emitState(f, "Entered")
	if f.state.kind == wait {
		// The due time is stored by the transition that leads into the state. If it
		// cannot be told, the next round says so.
		if due, why := x.until(f); why == nil {
			f.phase, f.due = sleeping, due
		}
	}
}

// step makes the next transition of a frame, if it has one now.
func (x *execution) step(f *frame) {
	switch f.phase {
	case entered:
		x.run(f)
	case forked:
		x.tend(f)
	}
}

// run does the work of the state that a frame has entered.
func (x *execution) run(f *frame) {
	if f.run != nil {
		return // its task runs
	}
	s := f.state
	context := x.contextOf(f)
	input, why := s.effective(f.input, context)
	if why != nil {
		x.failed(f, why)
		return
	}
	switch s.kind {
	case pass:
		result := input
		if s.parameters != nil {
			v, err := s.parameters.fill(scope{input, context})
			if err != nil {
				x.failed(f, expressionFailure("Parameters", err))
				return
			}
			result = v
		}
		if s.hasResult {
			result = s.result
		}
		out, why := placeResult(s.resultPath, f.input, result)
		x.leave(f, out, why)
	case succeed:
		x.leave(f, input, nil)
	case wait:
		due, why := x.until(f)
		if why != nil {
			x.failed(f, why)
			return
		}
		f.phase, f.due, f.dirty = sleeping, due, true
	case fail:
		x.failed(f, s.failing(input, context))
	case choose:
		for _, r := range s.choices {
			ok, why := r.when.holds(scope{input, context})
			if why != nil {
				x.failed(f, why)
				return
			}
			if ok {
				x.leaveTo(f, input, nil, r.next)
				return
			}
		}
		if s.fallback == "" {
			x.failed(f, &failure{name: errNoChoice, cause: "No choice of the state '" + s.name + "' matched, and it has no Default."})
			return
		}
		x.leaveTo(f, input, nil, s.fallback)
	case task:
		x.attempt(f, input, context)
	case mapping, parallel:
		x.fork(f, input, context)
	}
}

// until tells when a Wait ends.
func (x *execution) until(f *frame) (time.Time, *failure) {
	s := f.state
	context := x.contextOf(f)
	input, why := s.effective(f.input, context)
	if why != nil {
		return time.Time{}, why
	}
	w := s.wait
	switch {
	case w.seconds != nil:
		return x.now.Add(time.Duration(*w.seconds) * time.Second), nil
	case w.timestamp != nil:
		return *w.timestamp, nil
	case w.secondsPath != nil:
		v, err := w.secondsPath.in(input, context)
		if err != nil {
			return time.Time{}, runtimeFailure("The SecondsPath parameter does not reference an input value: " + w.secondsPath.text)
		}
		n, ok := whole(v)
		switch {
		case !ok:
			return time.Time{}, runtimeFailure("The SecondsPath parameter cannot be parsed as a long value: " + w.secondsPath.text)
		case n < 0:
			return time.Time{}, runtimeFailure("The SecondsPath parameter references a negative value: " + w.secondsPath.text)
		case n > int64(maxWait/time.Second):
			return time.Time{}, runtimeFailure("The SecondsPath parameter references a value above 99999999: " + w.secondsPath.text)
		}
		return x.now.Add(time.Duration(n) * time.Second), nil
	}
	v, err := w.timestampPath.in(input, context)
	if err != nil {
		return time.Time{}, runtimeFailure("The TimestampPath parameter does not reference an input value: " + w.timestampPath.text)
	}
	t, ok := timestamp(v)
	if !ok {
		return time.Time{}, runtimeFailure("The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: " + w.timestampPath.text)
	}
	return t, nil
}

// failing is what a Fail state fails with.
func (s *state) failing(input any, context func() any) *failure {
	why := &failure{name: s.errorName, cause: s.cause}
	for _, part := range []struct {
		from  expression
		to    *string
		field string
	}{{s.errorExp, &why.name, "ErrorPath"}, {s.causeBy, &why.cause, "CausePath"}} {
		if part.from == nil {
			continue
		}
		v, err := part.from.eval(scope{input, context})
		if err != nil {
			return expressionFailure(part.field, err)
		}
		text, ok := v.(string)
		if !ok {
			return runtimeFailure("The " + part.field + " field does not give a string.")
		}
		*part.to = text
	}
	return why
}

// leave ends a state with what it gave, or with the failure to place that.
func (x *execution) leave(f *frame, v any, why *failure) { x.leaveTo(f, v, why, f.state.next) }

func (x *execution) leaveTo(f *frame, v any, why *failure, next string) {
	if why == nil {
		v, why = f.state.outgoing(v, x.contextOf(f))
	}
	if why == nil && len(encode(v)) > MaxPayload {
		why = tooLarge(f.state.name)
	}
	if why != nil {
		x.failed(f, why)
		return
	}
	x.exit(f, v, next)
}

func tooLarge(what string) *failure {
	return &failure{name: errDataLimit, cause: "The state/task '" + what + "' returned a result with a size exceeding the maximum number of bytes service limit."}
}

// exit goes on to the next state, or ends the frame.
func (x *execution) exit(f *frame, v any, next string) {
	x.prune(f)
	x.emitState(f, "Exited")
	if next != "" {
		x.enter(f, next, v)
		return
	}
	f.phase, f.output, f.dirty = ended, rawJSON(v), true
	f.input, f.due = nil, time.Time{}
	if f.parent == nil {
		x.close(Succeeded, nil)
		return
	}
	f.parent.done++
	if f.parent.state.kind == mapping {
		x.emitItem(f, "Succeeded")
	}
}

// failed deals with an error in a state: by a retrier, by a catcher, or by
// failing the frame. Only the states that do work have either.
func (x *execution) failed(f *frame, why *failure) {
	x.prune(f)
	s := f.state
	for i, r := range s.retry {
		if !matches(r.errors, why.name) {
			continue
		}
		if len(f.tries) < len(s.retry) {
			f.tries = append(f.tries, make([]int, len(s.retry)-len(f.tries))...)
		}
		if f.tries[i] >= r.attempts {
			break
		}
		f.tries[i]++
		f.retries++
		f.phase, f.due, f.dirty = retrying, x.now.Add(r.delay(f.tries[i], rand.Float64)), true
		return
	}
	switch s.kind {
	case mapping:
		x.emit(f, Event{Type: "MapStateFailed", State: s.name, Error: why.name, Cause: why.cause})
	case parallel:
		x.emit(f, Event{Type: "ParallelStateFailed", State: s.name, Error: why.name, Cause: why.cause})
	}
	why = f.decorate(why)
	for _, c := range s.catch {
		if !matches(c.errors, why.name) {
			continue
		}
		out, unplaced := placeResult(c.resultPath, f.input, newObject("Error", why.name, "Cause", why.cause))
		if unplaced == nil && len(encode(out)) > MaxPayload {
			unplaced = tooLarge(s.name)
		}
		if unplaced != nil {
			why = f.decorate(unplaced)
			break
		}
		x.exit(f, out, c.next)
		return
	}
	if f.parent == nil {
		x.close(Failed, why)
		return
	}
	if f.parent.state.kind == mapping {
		x.emitItem(f, "Failed")
	}
	f.phase = ended // it is dropped with its siblings, and never stored again
	x.failed(f.parent, why)
}

// prune ends what hangs on a frame's state: its task, and its children with
// theirs. Their records go with a later transaction.
func (x *execution) prune(f *frame) {
	x.halt(f)
	if f.fork == 0 {
		return
	}
	f.drop(func(c *frame) {
		x.halt(c)
		if c.phase != ended && c.parent.state.kind == mapping {
			x.emitItem(c, "Aborted")
		}
		c.phase, c.dirty = ended, false
		x.garbage = append(x.garbage, x.frameKey(c.path))
	})
	f.dirty = true
}

func (x *execution) halt(f *frame) {
	if f.run == nil {
		return
	}
	if f.run.dropped = true; f.run.cancel != nil {
		f.run.cancel()
	}
	f.run = nil
}

// close ends the execution.
func (x *execution) close(s Status, why *failure) {
	x.root.live(x.halt)
	x.head.Status, x.head.Ended = s, millis(x.now)
	end := map[Status]string{Succeeded: "Succeeded", Failed: "Failed", TimedOut: "TimedOut", Aborted: "Aborted"}[s]
	e := Event{Type: "Execution" + end}
	if why != nil {
		x.head.Error, x.head.Cause = why.name, why.cause
		e.Error, e.Cause = why.name, why.cause
	}
	x.emit(x.root, e)
}

// fire makes the transitions whose time has come.
func (x *execution) fire() {
	if !x.deadline().After(x.now) {
		x.close(TimedOut, nil)
		return
	}
	x.root.live(func(f *frame) {
		due := !f.due.After(x.now)
		switch {
		case x.head.Status != Running || f.dirty:
		case f.phase == sleeping && due:
			input, why := f.state.effective(f.input, x.contextOf(f))
			x.leave(f, input, why)
		case f.phase == retrying && due:
			f.phase, f.due = entered, time.Time{} // the attempt is stored by how it ends
		case f.run != nil:
			if ms := f.run.due.Load(); ms != 0 && ms <= millis(x.now) {
				x.expire(f)
			}
		}
	})
}

// nextDue is when the next timer of the execution runs out.
func (x *execution) nextDue() time.Time {
	due := x.deadline()
	x.root.live(func(f *frame) {
		at := f.due
		if f.run != nil {
			at = timeOf(f.run.due.Load())
		}
		if !at.IsZero() && at.Before(due) {
			due = at
		}
	})
	return due
}
