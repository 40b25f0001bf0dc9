package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A phase is how far a frame is with its state.
type phase string

const (
	entered  phase = "entered"  // the state begins, or its task runs
	sleeping phase = "sleeping" // a Wait, until due
	retrying phase = "retrying" // until due, then the state begins again
	forked   phase = "forked"   // a Map or Parallel whose children run
	ended    phase = "ended"    // a child that has its output
)

// A frame is a place where an execution stands. Its root frame runs the machine;
// each iteration of a Map and each branch of a Parallel has a frame of its own,
// stored apart, so that its progress is its own.
type frame struct {
	// path names the frame: "0" is the root, and a child adds the event at which
	// its parent forked, which no other fork shares, and its index.
	path   string
	parent *frame
	index  int

	phase     phase
	state     *state
	input     any // of the state
	entered   time.Time
	enteredID int64 // the event
	due       time.Time
	tries     []int // by retrier
	retries   int
	output    json.RawMessage // once ended

	fork     int64 // the event at which it forked
	children []*frame
	items    []any // of a Map: what its children iterate over
	done     int   // children that ended

	run   *attempt // of a Task
	dirty bool     // has changed since it was stored
}

const rootPath = "0"

func childPath(parent string, fork int64, index int) string {
	return fmt.Sprintf("%s/%08d.%06d", parent, fork, index)
}

// live calls f with every frame that has not ended, parents first.
func (f *frame) live(do func(*frame)) {
	if f == nil || f.phase == ended {
		return
	}
	do(f)
	for _, c := range f.children {
		c.live(do)
	}
}

// drop takes the children off a frame that leaves its fork.
func (f *frame) drop(each func(*frame)) {
	for _, c := range f.children {
		if c != nil {
			c.drop(each)
			each(c)
		}
	}
	f.children, f.items, f.done, f.fork = nil, nil, 0, 0
}

// A failure is an error as the language sees it.
type failure struct {
	name, cause string
	placed      bool // the cause says where it happened
}

func runtimeFailure(cause string) *failure { return &failure{name: errRuntime, cause: cause} }

// decorate says in the cause of a States.Runtime error where it happened, in the
// words of Step Functions.
func (f *frame) decorate(why *failure) *failure {
	if why.name != errRuntime || why.placed {
		return why
	}
	return &failure{name: why.name, placed: true, cause: fmt.Sprintf(
		"An error occurred while executing the state '%s' (entered at the event id #%d). %s", f.state.name, f.enteredID, why.cause)}
}

// expressionFailure is the failure of a path or an intrinsic function in a field
// of a state.
func expressionFailure(field string, err error) *failure {
	var at fieldError
	if errors.As(err, &at) {
		field = at.field
	}
	var none missing
	if errors.As(err, &none) {
		return runtimeFailure("The JSONPath '" + none.path + "' specified for the field '" + field + "' could not be found in the input")
	}
	return &failure{name: errIntrinsic, cause: "The function in the field '" + field + "' failed: " + err.Error()}
}
