package asl

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// An Execution is how one run of a machine stands.
type Execution struct {
	Machine string
	Name    string
	Status  Status
	Started time.Time
	Ended   time.Time // zero while it runs
	Input   json.RawMessage
	Output  json.RawMessage // of one that succeeded
	Error   string          // of one that failed
	Cause   string          // of one that failed, or was stopped
}

// A Position is a place where an execution stands.
type Position struct {
	State string
	Since time.Time
	// Item is the index of each Map iteration and Parallel branch that the state is
	// inside of, outermost first.
	Item []int
	// Until is when a Wait, or the wait before another attempt, ends; zero otherwise.
	Until   time.Time
	Retries int // attempts of the state that failed
}

// Describe tells how an execution stands; kind.NotFound if there is none.
func (e *Engine) Describe(ctx context.Context, machine, name string) (Execution, error) {
	if !nameForm(machine) || !nameForm(name) {
		return Execution{}, kind.E(kind.NotFound, "describe an execution")
	}
	keys := []table.Key{headKey(machine, name), inputKey(machine, name), {PK: partition(machine, name), SK: outputSK}}
	items, err := e.table.GetMany(ctx, keys)
	if err != nil {
		return Execution{}, kind.Wrap("describe an execution", err)
	}
	item, ok := items[keys[0]]
	if !ok {
		return Execution{}, kind.E(kind.NotFound, "describe an execution")
	}
	x, err := executionOf(machine, item)
	x.Input = items[keys[1]].Data
	if x.Status == Succeeded {
		// Read apart the two could be of different moments.
		x.Output = items[keys[2]].Data
	}
	return x, err
}

func executionOf(machine string, item table.Item) (Execution, error) {
	var h head
	if err := json.Unmarshal(item.Data, &h); err != nil {
		return Execution{}, kind.E(kind.Corrupt, "read an execution's head")
	}
	return Execution{
		Machine: machine, Name: item.PK[strings.LastIndexByte(item.PK, '#')+1:],
		Status: h.Status, Started: timeOf(h.Started), Ended: timeOf(h.Ended), Error: h.Error, Cause: h.Cause,
	}, nil
}

// List returns executions of a machine, the latest started first, without input
// and output. It comes from an index and may lag behind a moment. At most limit
// are on a page; more follow after next, which is empty on the last page.
func (e *Engine) List(ctx context.Context, machine string, limit int, after string) (page []Execution, next string, err error) {
	q := table.Query{PK: listPK(machine), Index: true, Backwards: true, Limit: limit, After: after}
	found, err := e.table.Query(ctx, q)
	if err != nil {
		return nil, "", kind.Wrap("list executions", err)
	}
	for _, i := range found.Items {
		x, err := executionOf(machine, i)
		if err != nil {
			return nil, "", err
		}
		page = append(page, x)
	}
	return page, found.Next, nil
}

// History returns the events of an execution in their order. An execution whose
// history has gone, or that never was, has none.
func (e *Engine) History(ctx context.Context, machine, name string) ([]Event, error) {
	if !nameForm(machine) || !nameForm(name) {
		return nil, nil
	}
	var all []Event
	q := table.Query{PK: partition(machine, name), From: historySK, To: historySK + "~"}
	err := queryAll(ctx, e.table, q, func(i table.Item) error {
		var some []Event
		if err := json.Unmarshal(i.Data, &some); err != nil {
			return kind.E(kind.Corrupt, "read a history")
		}
		all = append(all, some...)
		return nil
	})
	if err != nil {
		return nil, kind.Wrap("read a history", err)
	}
	slices.SortFunc(all, func(a, b Event) int { return int(a.ID - b.ID) })
	return all, nil
}

// Where tells where an execution stands; nowhere if it has ended or never was.
func (e *Engine) Where(ctx context.Context, machine, name string) ([]Position, error) {
	m := e.machines[machine]
	if m == nil || !nameForm(name) {
		return nil, nil
	}
	x, err := e.load(ctx, m, name)
	if kind.Of(err) == kind.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Position
	x.root.live(func(f *frame) {
		if f.phase == forked {
			return
		}
		p := Position{State: f.state.name, Since: f.entered, Until: f.due, Retries: f.retries}
		for c := f; c.parent != nil; c = c.parent {
			p.Item = append(p.Item, c.index)
		}
		slices.Reverse(p.Item)
		all = append(all, p)
	})
	return all, nil
}

// Stop ends an execution with the status ABORTED and cancels its tasks; the end
// is durable when Stop returns nil. Stopping one that has ended, or that never
// was, is no error. The cause is kept and must hold nothing personal.
func (e *Engine) Stop(ctx context.Context, machine, name, cause string) error {
	m := e.machines[machine]
	if m == nil || !nameForm(name) {
		return nil
	}
	e.alone.Lock()
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		e.alone.Unlock()
		return kind.E(kind.Unavailable, "stop an execution: the engine has ended")
	}
	done := make(chan error, 1)
	en := e.adopt(m, name, time.Time{})
	en.inbox = append(en.inbox, stopping{cause, done})
	e.wake(en)
	running := e.ctx != nil
	if !running {
		e.ready = slices.DeleteFunc(e.ready, func(other *entry) bool { return other == en })
		e.take(en)
	}
	e.mu.Unlock()
	if !running {
		e.work(ctx, en) // Run cannot begin meanwhile
	}
	e.alone.Unlock()
	select {
	case err := <-done:
		return kind.Wrap("stop an execution", err)
	case <-ctx.Done():
		return kind.E(kind.Unavailable, "stop an execution", ctx.Err())
	}
}
