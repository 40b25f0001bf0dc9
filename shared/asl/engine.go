package asl

import (
	"container/heap"
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// An Engine runs executions of machines and keeps them in a table. One engine at
// a time may have a table; it does not guard against a second.
//
// All methods are safe for concurrent use. Executions move only while Run runs.
type Engine struct {
	// Tasks is how many tasks may run at once; New sets it to twice the number of
	// processors. It must not be changed once Run was called.
	Tasks int

	table    table.Table
	now      func() time.Time
	log      *slog.Logger
	tasks    map[string]Task
	machines map[string]*Machine
	kept     map[string]*Machine // by the hash of their definition, in the table; guarded by mu

	alone sync.Mutex // held by Run while it begins, and by a Stop without Run

	mu      sync.Mutex
	changed *sync.Cond // something below changed
	entries map[string]*entry
	due     dueHeap
	ready   []*entry // with something to do, first in first out
	busy    int      // entries being worked on
	queue   []*attempt
	running int             // tasks
	ctx     context.Context // Run's, while it runs
	stopped bool            // Run's context ended
	kick    chan struct{}   // the earliest due time changed
}

// An entry is an execution that has not ended, as the engine sees it. While it
// only waits, it is a place in the heap and nothing else.
type entry struct {
	id      string
	machine *Machine
	name    string
	due     time.Time // zero if no timer is set
	place   int       // in the heap; -1 if it is not there
	inbox   []any     // finished, stopping
	queued  bool      // in ready
	busy    bool      // being worked on
	faults  int       // of the table, one after another

	exec *execution // while something moves; only whoever made it busy may touch it
}

// stopping is the message of Stop.
type stopping struct {
	cause string
	done  chan<- error
}

// workers is how many executions are worked on at once. Most of the time they
// wait for the table, which makes the writes of all of them durable together.
const workers = 32

// New returns an engine for machines, whose tasks are named by the resource that
// stands in the definition after substitution. A machine that names a resource
// without a task is refused, with kind Invalid.
func New(t table.Table, now func() time.Time, log *slog.Logger, tasks map[string]Task, machines ...*Machine) (*Engine, error) {
	e := &Engine{
		Tasks: 2 * runtime.NumCPU(),
		table: t, now: now, log: log, tasks: tasks,
		machines: map[string]*Machine{}, kept: map[string]*Machine{}, entries: map[string]*entry{}, kick: make(chan struct{}, 1),
	}
	e.changed = sync.NewCond(&e.mu)
	for _, m := range machines {
		if e.machines[m.name] != nil {
			return nil, kind.Say(kind.Invalid, "two machines have the name "+m.name)
		}
		e.machines[m.name] = m
		for _, r := range m.Resources() {
			if tasks[r] == nil {
				return nil, kind.Say(kind.Invalid, "machine "+m.name+": there is no task for the resource "+r)
			}
		}
	}
	return e, nil
}

// Start starts an execution; it is durable when Start returns nil. A name that
// was used before is kind.Conflict, whatever became of that execution, for
// Retention after its end. An input that is not JSON is Invalid, one above
// MaxPayload is TooLarge. After an error of another kind the execution may have
// been started or not; starting it again tells.
func (e *Engine) Start(ctx context.Context, machine, name string, input json.RawMessage) error {
	m := e.machines[machine]
	switch {
	case m == nil:
		return kind.E(kind.NotFound, "start an execution: there is no such machine")
	case !nameForm(name):
		return kind.E(kind.Invalid, "start an execution: a name is 1 to 80 of the characters A–Z a–z 0–9 . _ -")
	case len(input) > MaxPayload:
		return kind.E(kind.TooLarge, "start an execution: the input is larger than 256 KB")
	}
	v, err := decode(input)
	if err != nil {
		return kind.Wrap("start an execution", err)
	}
	if err := e.keep(ctx, m); err != nil {
		return kind.Wrap("start an execution", err)
	}
	x := begin(m, name, v, timeOf(millis(e.now())))
	due := x.parking()
	err = e.table.Write(ctx,
		x.putHead(table.IfAbsent()),
		x.putPayload(inputSK, x.input),
		x.putFrame(x.root),
		x.putHistory(x.events),
		x.putOpen(due),
	)
	if err != nil && (kind.Of(err) == kind.Invalid || kind.Of(err) == kind.TooLarge) {
		return kind.Wrap("start an execution", err)
	}
	// Whatever the error, the execution may be there and not be known here: of a
	// Start before this one that was told of a failure though it was applied.
	if err != nil {
		due = time.Time{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.entries[m.name+"#"+name] != nil
	en := e.adopt(m, name, due)
	if err == nil && !known && due.IsZero() {
		x.stored()
		en.exec = x // and need not be read again
	}
	return kind.Wrap("start an execution", err)
}

// adopt makes an entry for an execution that may be in the table; with no due
// time it is looked at at once, and an entry that exists is looked at again.
func (e *Engine) adopt(m *Machine, name string, due time.Time) *entry {
	id := m.name + "#" + name
	en := e.entries[id]
	if en == nil {
		en = &entry{id: id, machine: m, name: name, place: -1}
		e.entries[id] = en
		if due.IsZero() {
			e.wake(en)
		} else {
			e.arm(en, due)
		}
		return en
	}
	en.inbox = append(en.inbox, nil)
	e.wake(en)
	return en
}

// wake puts an entry among those with something to do.
func (e *Engine) wake(en *entry) {
	if !en.queued && !en.busy {
		en.queued = true
		e.ready = append(e.ready, en)
		e.changed.Broadcast()
	}
}

// arm sets the time at which an entry is woken; zero is never.
func (e *Engine) arm(en *entry, due time.Time) {
	en.due = due
	switch {
	case due.IsZero():
		if en.place >= 0 {
			heap.Remove(&e.due, en.place)
		}
	case en.place >= 0:
		heap.Fix(&e.due, en.place)
	default:
		heap.Push(&e.due, en)
	}
	if len(e.due) > 0 && e.due[0] == en {
		select {
		case e.kick <- struct{}{}:
		default:
		}
	}
}

// fire wakes the entries whose time has come, and returns when the next is due.
func (e *Engine) fire() (next time.Time) {
	now := e.now()
	for len(e.due) > 0 {
		en := e.due[0]
		if en.due.After(now) {
			return en.due
		}
		e.arm(en, time.Time{})
		if en.busy {
			en.inbox = append(en.inbox, nil) // it looks at its timers again
		} else {
			e.wake(en)
		}
	}
	return time.Time{}
}

// Wake looks at the clock again. It is needed only where the clock that was given
// to New can jump, as in a test.
func (e *Engine) Wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fire()
}

// Idle returns when nothing can move before its timer: no task runs and nothing
// is left to store. It tells when the next timer is due; zero if there is none.
// Before Run has resumed what there was, it waits for that. It is an error of kind Unavailable if ctx ends before.
func (e *Engine) Idle(ctx context.Context) (next time.Time, err error) {
	defer context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.changed.Broadcast()
	})()
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		next = e.fire()
		if e.ctx != nil && len(e.ready)+e.busy+len(e.queue)+e.running == 0 {
			return next, nil
		}
		if ctx.Err() != nil {
			return time.Time{}, kind.E(kind.Unavailable, "wait until no execution moves", ctx.Err())
		}
		e.changed.Wait()
	}
}

// dueHeap orders entries by their due times.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *dueHeap) Push(x any) {
	en := x.(*entry)
	en.place = len(*h)
	*h = append(*h, en)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	en := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	en.place = -1
	return en
}
