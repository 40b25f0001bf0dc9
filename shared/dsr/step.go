package dsr

import (
	"time"
)

// A Step is what a task of a state machine is given and what it answers. It
// carries names of requests, numbers of batches and counts, never an identifier
// or a record: inputs and outputs end up in execution history.
type Step struct {
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
	Batch   int    `json:"batch"` // in Collect and Erase
	// Lap counts how often one execution has asked the same task again, so that it
	// can end before its history is full.
	Lap int `json:"lap"`
	// Next says what the machine does now: one of the words below.
	Next  Next   `json:"next,omitempty"`
	Wait  int    `json:"wait"`            // seconds
	Until string `json:"until,omitempty"` // RFC 3339, the end of a cancel window
	// Batches are those that still have work to do.
	Batches []int   `json:"batches"`
	Failure *Failed `json:"failure,omitempty"`
}

// Failed is what a state machine hands to Finish after a task failed for good.
type Failed struct {
	Error string `json:"Error"` // a kind, or a name of the workflow's own
	Cause string `json:"Cause,omitempty"`
}

// Next is the word by which a task steers its state machine.
type Next string

const (
	Ready  Next = "ready"  // go on
	Begun  Next = "begun"  // a deletion is past its window already: to Begin
	Again  Next = "again"  // the same task again, at once
	Later  Next = "wait"   // the same task again after Wait
	Replan Next = "replan" // back to Plan: an export starts afresh, a deletion is about others
	Redo   Next = "erase"  // Verify found something left: erase Batches again
	Done   Next = "done"   // to Finish, or for a batch: nothing left to do
	Closed Next = "closed" // this execution has no business any more; end it
	Yield  Next = "yield"  // end this execution; sweep starts the next attempt
)

// after is the answer to a step: its names and its lap counted on.
func (s Step) after(next Next) Step {
	return Step{Task: s.Task, Attempt: s.Attempt, Batch: s.Batch, Lap: s.Lap + 1, Next: next}
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
