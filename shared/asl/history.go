package asl

import (
	"time"
)

// MaxEvents is how many events the history of an execution can hold; the last is
// the one that ends it. It is Step Functions' limit.
const MaxEvents = 25_000

// An Event is a line of an execution's history, named and counted as Step
// Functions does. It holds no input and no output.
type Event struct {
	ID   int64     `json:"id"`
	Time time.Time `json:"time"`
	Type string    `json:"type"`
	// State is the state concerned; empty for the execution itself.
	State string `json:"state,omitempty"`
	// Item is the iteration of a Map, from 0, where Type begins with MapIteration.
	Item  *int   `json:"item,omitempty"`
	Error string `json:"error,omitempty"`
	Cause string `json:"cause,omitempty"`

	frame string // the path of the frame whose transition it belongs to
}

// emit adds an event to those of the transition at hand. The last place is kept
// for the event that ends the execution: if another would take it, emit adds
// nothing and marks the execution full.
func (x *execution) emit(f *frame, e Event) int64 {
	room := int64(MaxEvents - 1)
	if x.head.Status != Running {
		room = MaxEvents
	}
	if x.last >= room {
		x.full = true
		return x.last
	}
	x.last++
	e.ID = x.last
	if e.Time.IsZero() {
		e.Time = x.now
	}
	if f != nil {
		e.frame = f.path
	}
	x.events = append(x.events, e)
	return e.ID
}

func (x *execution) emitState(f *frame, what string) int64 {
	return x.emit(f, Event{Type: string(f.state.kind) + "State" + what, State: f.state.name})
}

// emitItem tells of a Map's iteration. It belongs to the iteration's frame.
func (x *execution) emitItem(f *frame, what string) {
	item := f.index
	x.emit(f, Event{Type: "MapIteration" + what, State: f.parent.state.name, Item: &item})
}

// emitAttempt tells of one attempt of a task, from when it was queued to its end.
func (x *execution) emitAttempt(f *frame, queued time.Time, end string, why *failure) {
	prefix := "LambdaFunction"
	if f.state.invoke {
		prefix = "Task"
	}
	x.emit(f, Event{Type: prefix + "Scheduled", State: f.state.name, Time: queued})
	x.emit(f, Event{Type: prefix + "Started", State: f.state.name, Time: queued})
	e := Event{Type: prefix + end, State: f.state.name}
	if why != nil {
		e.Error, e.Cause = why.name, why.cause
	}
	x.emit(f, e)
}
