package asl

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Run resumes every execution that had not ended, timers included, and runs
// executions until ctx ends; then it cancels the tasks that run, waits for them
// and returns nil. A task cut off so runs again after the next start. Run may be
// called once. It returns an error at once if the table cannot be read.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.resume(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.stopped = true
		e.changed.Broadcast()
	})()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(e.worker)
	}
	e.timer(ctx)
	wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.running > 0 {
		e.changed.Wait()
	}
	for _, en := range e.entries {
		en.answer(en.exec, kind.E(kind.Unavailable, "the engine has ended"))
	}
	return nil
}

// resume makes an entry for each execution in asl#open.
func (e *Engine) resume(ctx context.Context) error {
	e.alone.Lock()
	defer e.alone.Unlock()
	err := queryAll(ctx, e.table, table.Query{PK: openPK}, func(i table.Item) error {
		machine, name, _ := strings.Cut(i.SK, "#")
		m := e.machines[machine]
		if m == nil {
			e.log.Warn("an execution is left alone: its machine is not here", "machine", machine, "execution", name)
			return nil
		}
		var o open
		if err := json.Unmarshal(i.Data, &o); err != nil {
			o.Due = 0 // looking at it at once is always right
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.adopt(m, name, timeOf(o.Due))
		return nil
	})
	if err != nil {
		return kind.Wrap("resume executions", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ctx = ctx
	e.changed.Broadcast()
	return nil
}

// timer wakes entries when they are due, by the engine's clock.
func (e *Engine) timer(ctx context.Context) {
	for {
		e.mu.Lock()
		next := e.fire()
		e.mu.Unlock()
		after := maxWait
		if !next.IsZero() {
			after = next.Sub(e.now())
		}
		t := time.NewTimer(after)
		select {
		case <-e.kick:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (e *Engine) worker() {
	for {
		e.mu.Lock()
		for len(e.ready) == 0 && !e.stopped {
			e.changed.Wait()
		}
		if e.stopped {
			e.mu.Unlock()
			return
		}
		en := e.ready[0]
		e.ready = e.ready[1:]
		e.take(en)
		e.mu.Unlock()
		e.work(e.ctx, en)
	}
}

func (e *Engine) take(en *entry) {
	en.queued, en.busy = false, true
	e.busy++
}

// work moves one execution, which was taken, as far as it goes now.
func (e *Engine) work(ctx context.Context, en *entry) {
	err := e.rounds(ctx, en)

	e.mu.Lock()
	defer e.mu.Unlock()
	en.busy = false
	e.busy--
	defer e.changed.Broadcast()
	x := en.exec
	switch {
	case err != nil:
		delay := min(100*time.Millisecond<<min(en.faults, 10), time.Minute)
		en.faults++
		e.log.Error("an execution cannot be read or stored; trying again", "machine", en.machine.name,
			"execution", en.name, "kind", string(kind.Of(err)), "error", err, "after", delay)
		en.answer(x, err)
		e.arm(en, e.now().Add(delay))
		return
	case x == nil || x.gone: // it ended, or never was
		en.answer(x, nil)
		e.arm(en, time.Time{})
		if len(en.inbox) > 0 { // it may have been started since it was looked at
			en.exec, en.inbox = nil, nil
			e.wake(en)
			return
		}
		delete(e.entries, en.id)
		return
	}
	en.faults = 0
	idle := true
	x.root.live(func(f *frame) { idle = idle && f.run == nil })
	if idle {
		en.exec = nil
	}
	e.arm(en, x.nextDue())
	if len(en.inbox) > 0 {
		e.wake(en)
	}
}

// answer tells those who stopped an execution how that went.
func (en *entry) answer(x *execution, err error) {
	if x != nil {
		for _, done := range x.stops {
			done <- err
		}
		x.stops = nil
	}
	for _, m := range en.inbox {
		if s, ok := m.(stopping); ok {
			s.done <- err
		}
	}
	en.inbox = slices.DeleteFunc(en.inbox, func(m any) bool { _, ok := m.(stopping); return ok })
}

// rounds applies what has happened to an execution and lets it go on until all
// it can do is wait. What a round changed is stored before the next begins, and a
// task starts only in a state that is stored.
func (e *Engine) rounds(ctx context.Context, en *entry) error {
	store := context.WithoutCancel(ctx)
	if en.exec == nil {
		x, err := e.load(store, en.machine, en.name)
		if kind.Of(err) == kind.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		en.exec = x
	}
	x := en.exec
	for {
		if x.pending() {
			if err := x.flush(store, e.table); err != nil {
				return err
			}
		}
		if x.gone || ctx.Err() != nil {
			return nil
		}
		x.now = timeOf(millis(e.now()))
		e.receive(en, x)
		if x.head.Status == Running {
			x.fire()
		}
		x.root.live(func(f *frame) {
			if x.head.Status == Running && !f.dirty && !x.full {
				x.step(f)
			}
		})
		if x.full && x.head.Status == Running {
			x.close(Failed, runtimeFailure("The execution reached the maximum number of history events (25000)."))
		}
		e.launch(en, x)
		if !x.pending() {
			return nil
		}
	}
}

// receive applies the messages of an entry.
func (e *Engine) receive(en *entry, x *execution) {
	e.mu.Lock()
	inbox := en.inbox
	en.inbox = nil
	e.mu.Unlock()
	if x.lost != "" {
		x.close(Failed, runtimeFailure("The definition no longer has the state '"+x.lost+"', in which the execution stood."))
	}
	for _, m := range inbox {
		switch m := m.(type) {
		case finished:
			if x.head.Status == Running {
				x.complete(m)
			}
		case stopping:
			x.stops = append(x.stops, m.done)
			if x.head.Status == Running {
				x.close(Aborted, &failure{cause: m.cause})
			}
		}
	}
}

// launch queues the attempts that an execution began.
func (e *Engine) launch(en *entry, x *execution) {
	begun := x.submit
	x.submit = nil
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range begun {
		if a.dropped {
			continue
		}
		a.entry, a.work = en, e.tasks[a.resource]
		if a.work == nil { // New knows only the definitions of today
			a.work = noTask
		}
		a.ctx, a.cancel = context.WithCancel(e.ctx)
		e.queue = append(e.queue, a)
	}
	e.dispatch()
}

func noTask(context.Context, json.RawMessage) (json.RawMessage, error) {
	return nil, kind.E(kind.Internal, "run a task: this release has none for the resource")
}

// dispatch runs as many of the queued attempts as may run.
func (e *Engine) dispatch() {
	for e.running < e.Tasks && len(e.queue) > 0 && !e.stopped {
		a := e.queue[0]
		e.queue = e.queue[1:]
		if a.ctx.Err() != nil {
			continue
		}
		if a.timeout > 0 {
			due := e.now().Add(a.timeout)
			a.due.Store(due.UnixMilli())
			if en := a.entry; en.due.IsZero() || due.Before(en.due) {
				e.arm(en, due)
			}
		}
		e.running++
		go e.attempt(a)
	}
}

// attempt runs a task and leaves a message of how that went.
func (e *Engine) attempt(a *attempt) {
	out, err := a.call(e.log)
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.changed.Broadcast()
	e.running--
	if e.stopped || a.ctx.Err() != nil {
		// Nobody waits for it any more; or it was cut off, and runs again.
		a.cancel()
		e.dispatch()
		return
	}
	a.cancel()
	en := a.entry
	en.inbox = append(en.inbox, finished{a, out, err})
	e.wake(en)
	e.dispatch()
}
