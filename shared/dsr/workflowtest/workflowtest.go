// Package workflowtest is the conformance suite that every driver of dsr.Workflow
// runs.
package workflowtest

import (
	"encoding/json"
	"testing"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// Run tests a workflow that has the machines "export" and "deletion", none of
// whose executions ends by itself while the test runs.
func Run(t *testing.T, w dsr.Workflow) {
	ctx := t.Context()
	input := json.RawMessage(`{"task":"7a0e","attempt":1}`)
	if _, err := w.Describe(ctx, "export", "7a0e-1"); kind.Of(err) != kind.NotFound {
		t.Errorf("describe before the start: got %v, want NotFound", err)
	}
	if err := w.Stop(ctx, "export", "7a0e-1", "cancelled"); err != nil {
		t.Errorf("stop of what is absent: got %v, want no error", err)
	}
	if err := w.Start(ctx, "export", "7a0e-1", input); err != nil {
		t.Fatalf("start: %v", err)
	}
	if err := w.Start(ctx, "export", "7a0e-1", input); kind.Of(err) != kind.Conflict {
		t.Errorf("the same start while the first runs: got %v, want Conflict", err)
	}
	if err := w.Start(ctx, "deletion", "7a0e-1", input); err != nil {
		t.Errorf("the same name in the other machine: %v", err)
	}
	e, err := w.Describe(ctx, "export", "7a0e-1")
	if err != nil || e.Status != dsr.ExecutionRunning || e.Started.IsZero() || !e.Ended.IsZero() {
		t.Errorf("describe: got %+v, %v; want it running since a time", e, err)
	}
	for range 2 {
		if err := w.Stop(ctx, "export", "7a0e-1", "cancelled"); err != nil {
			t.Errorf("stop: got %v, want no error, also for one that has ended", err)
		}
	}
	e, err = w.Describe(ctx, "export", "7a0e-1")
	if err != nil || e.Status != dsr.ExecutionAborted || e.Ended.IsZero() {
		t.Errorf("describe after the stop: got %+v, %v; want it aborted", e, err)
	}
	if e, err := w.Describe(ctx, "deletion", "7a0e-1"); err != nil || e.Status != dsr.ExecutionRunning {
		t.Errorf("the one of the other machine: got %+v, %v; want it running", e, err)
	}
	if err := w.Start(ctx, "export", "7a0e-1", input); kind.Of(err) != kind.Conflict {
		t.Errorf("a name whose execution has ended: got %v, want Conflict", err)
	}
	if err := w.Start(ctx, "export", "7a0e-2", input); err != nil {
		t.Errorf("the next name: %v", err)
	}
	if err := w.Start(ctx, "export", "7a0e 3", input); kind.Of(err) != kind.Invalid {
		t.Errorf("a name that cannot be: got %v, want Invalid", err)
	}
}
