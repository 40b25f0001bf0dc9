package dsrtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// Machines are the definitions of the machines that a Workflow under test has,
// by their names.
var Machines = map[string]string{
	"waits":    `{"StartAt":"Wait","States":{"Wait":{"Type":"Wait","Seconds":600,"End":true}}}`,
	"succeeds": `{"StartAt":"Pass","States":{"Pass":{"Type":"Pass","End":true}}}`,
	"fails":    `{"StartAt":"Fail","States":{"Fail":{"Type":"Fail","Error":"Corrupt","Cause":"` + secret + `"}}}`,
}

// secret is what no error may hold.
const secret = "Xq7-secret"

var input = json.RawMessage(`{"task":"` + secret + `","attempt":1}`)

// A Desk is a Workflow with Machines, whose executions run, and what it declares
// about itself.
type Desk struct {
	Workflow dsr.Workflow
	// MovesEnds says that the engine is known to change the time at which an
	// execution ended when it is stopped again, which is no fault of the driver's.
	MovesEnds bool
}

// Workflow tests the Workflows that open returns, a fresh one for each test.
func Workflow(t *testing.T, open func(t *testing.T) Desk) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Desk)
	}{
		{"an execution that runs", runs},
		{"an execution that ends", ends},
		{"a name is used once", nameOnce},
		{"one of many starts", startRace},
		{"stop", stop},
		{"what is not there", nothingThere},
		{"starts that cannot be", badStarts},
		{"a context that ended", endedContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func wantKind(t *testing.T, what string, err error, want kind.Kind) {
	t.Helper()
	if got := kind.Of(err); got != want {
		t.Errorf("%s: got %v of kind %q, want %q", what, err, got, want)
	}
	if strings.Contains(fmt.Sprint(err), secret) {
		t.Errorf("%s: the error quotes the input: %v", what, err)
	}
}

func start(t *testing.T, w dsr.Workflow, machine, name string) {
	t.Helper()
	if err := w.Start(t.Context(), machine, name, input); err != nil {
		t.Fatalf("start %s in %s: %v", name, machine, err)
	}
}

// await returns an execution once it is as wanted, or the test fails: Describe may
// lag behind.
func await(t *testing.T, w dsr.Workflow, machine, name string, want dsr.ExecutionStatus) dsr.Execution {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		e, err := w.Describe(t.Context(), machine, name)
		if err == nil && e.Status == want {
			return e
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s in %s: got %+v, %v; want it %s", name, machine, e, err, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// same reports whether an execution that has ended is as it was.
func (d Desk) same(a, b dsr.Execution) bool {
	if d.MovesEnds {
		a.Ended = b.Ended
	}
	return a == b
}

func runs(t *testing.T, d Desk) {
	w := d.Workflow
	before := time.Now().Add(-time.Second) // clocks in whole seconds or milliseconds
	start(t, w, "waits", "run-1")
	e := await(t, w, "waits", "run-1", dsr.ExecutionRunning)
	if e.Started.Before(before) || e.Started.After(time.Now()) || !e.Ended.IsZero() || e.Error != "" {
		t.Errorf("got %+v, want it running since now", e)
	}
}

func ends(t *testing.T, d Desk) {
	w := d.Workflow
	for _, c := range []struct {
		machine string
		status  dsr.ExecutionStatus
		error   string
	}{
		{"succeeds", dsr.ExecutionSucceeded, ""},
		{"fails", dsr.ExecutionFailed, "Corrupt"},
	} {
		start(t, w, c.machine, "end-1")
		e := await(t, w, c.machine, "end-1", c.status)
		if e.Started.IsZero() || e.Ended.Before(e.Started) || e.Error != c.error {
			t.Errorf("%s: got %+v, want an end after the start, and the error %q", c.machine, e, c.error)
		}
		// To stop what has ended does not change how it ended.
		wantKind(t, "stop of what "+c.machine, w.Stop(t.Context(), c.machine, "end-1", "cancelled"), "")
		if again, err := w.Describe(t.Context(), c.machine, "end-1"); err != nil || !d.same(again, e) {
			t.Errorf("%s: after a stop got %+v, %v; want %+v", c.machine, again, err, e)
		}
		wantKind(t, "a start in the name of what "+c.machine, w.Start(t.Context(), c.machine, "end-1", input), kind.Conflict)
	}
}

func nameOnce(t *testing.T, d Desk) {
	w := d.Workflow
	ctx := t.Context()
	start(t, w, "waits", "once-1")
	other := json.RawMessage(`{"other":true}`)
	for _, state := range []string{"runs", "was stopped"} {
		wantKind(t, "the same start while the first "+state, w.Start(ctx, "waits", "once-1", input), kind.Conflict)
		wantKind(t, "another input while the first "+state, w.Start(ctx, "waits", "once-1", other), kind.Conflict)
		wantKind(t, "stop", w.Stop(ctx, "waits", "once-1", "cancelled"), "")
	}
	await(t, w, "waits", "once-1", dsr.ExecutionAborted)
	start(t, w, "waits", "once-2")
	start(t, w, "succeeds", "once-1")
}

func startRace(t *testing.T, d Desk) {
	w := d.Workflow
	const count = 8
	errs := make([]error, count)
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() { errs[i] = w.Start(t.Context(), "waits", "race-1", input) })
	}
	all.Wait()
	started := 0
	for _, err := range errs {
		if err == nil {
			started++
			continue
		}
		wantKind(t, "a start beside others", err, kind.Conflict)
	}
	if started != 1 {
		t.Errorf("%d of %d starts in one name succeeded, want 1", started, count)
	}
	await(t, w, "waits", "race-1", dsr.ExecutionRunning)
}

func stop(t *testing.T, d Desk) {
	w := d.Workflow
	start(t, w, "waits", "stop-1")
	start(t, w, "waits", "stop-2")
	await(t, w, "waits", "stop-1", dsr.ExecutionRunning)
	wantKind(t, "stop", w.Stop(t.Context(), "waits", "stop-1", "cancelled"), "")
	e := await(t, w, "waits", "stop-1", dsr.ExecutionAborted)
	if e.Ended.Before(e.Started) {
		t.Errorf("got %+v, want an end after the start", e)
	}
	wantKind(t, "stop again", w.Stop(t.Context(), "waits", "stop-1", "cancelled"), "")
	if again, err := w.Describe(t.Context(), "waits", "stop-1"); err != nil || !d.same(again, e) {
		t.Errorf("stopped again: got %+v, %v; want %+v", again, err, e)
	}
	await(t, w, "waits", "stop-2", dsr.ExecutionRunning)
}

func nothingThere(t *testing.T, d Desk) {
	w := d.Workflow
	start(t, w, "waits", "here-1")
	for _, c := range []struct{ machine, name string }{{"waits", "here-2"}, {"succeeds", "here-1"}, {"import", "here-1"}} {
		_, err := w.Describe(t.Context(), c.machine, c.name)
		wantKind(t, "describe "+c.name+" in "+c.machine, err, kind.NotFound)
		wantKind(t, "stop "+c.name+" in "+c.machine, w.Stop(t.Context(), c.machine, c.name, "cancelled"), "")
	}
	await(t, w, "waits", "here-1", dsr.ExecutionRunning)
	start(t, w, "waits", "here-2") // a name that was only stopped is free
}

func badStarts(t *testing.T, d Desk) {
	w := d.Workflow
	for _, c := range []struct {
		what, machine, name, input string
		want                       kind.Kind
	}{
		{"no such machine", "import", "bad-1", `{}`, kind.NotFound},
		{"no name", "waits", "", `{}`, kind.Invalid},
		{"a long name", "waits", strings.Repeat("x", 81), `{}`, kind.Invalid},
		{"a name of two words", "waits", "bad 1", `{}`, kind.Invalid},
		{"a name with a bracket", "waits", "bad<1", `{}`, kind.Invalid},
		{"no input", "waits", "bad-1", ``, kind.Invalid},
		{"an input that is no JSON", "waits", "bad-1", `{"x":` + secret, kind.Invalid},
		{"an input that is a list", "waits", "bad-1", `["` + secret + `"]`, kind.Invalid},
		{"an input that is null", "waits", "bad-1", `null`, kind.Invalid},
	} {
		wantKind(t, c.what, w.Start(t.Context(), c.machine, c.name, json.RawMessage(c.input)), c.want)
	}
	start(t, w, "waits", "bad-1") // what was refused used no name
	start(t, w, "waits", strings.Repeat("x", 80))
}

func endedContext(t *testing.T, d Desk) {
	w := d.Workflow
	start(t, w, "waits", "late-1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, "start", w.Start(ctx, "waits", "late-2", input), kind.Unavailable)
	_, err := w.Describe(ctx, "waits", "late-1")
	wantKind(t, "describe", err, kind.Unavailable)
}
