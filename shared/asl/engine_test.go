package asl

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/table"
)

// A testClock stands still until it is moved.
type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *testClock {
	return &testClock{t: time.Date(2026, 3, 14, 1, 59, 0, 0, time.UTC)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) To(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.t) {
		c.t = t
	}
}

func quiet(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// machine loads a definition, whose functions are named in resources f, g, h.
func machine(t testing.TB, definition string) *Machine {
	t.Helper()
	m, err := Load("m", []byte(definition), map[string]string{"F": "arn:f", "G": "arn:g", "H": "arn:h"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// states wraps states into a definition that begins with A.
func states(s string) string { return `{"StartAt":"A","States":{` + s + `}}` }

// A home is an engine that runs on a table.
type home struct {
	*Engine
	t     testing.TB
	clock *testClock
	end   func() // ends Run and waits for it
}

func run(t testing.TB, tbl table.Table, clock *testClock, tasks map[string]Task, machines ...*Machine) *home {
	t.Helper()
	for _, m := range machines {
		for _, r := range m.Resources() {
			if tasks[r] == nil {
				tasks = withTask(tasks, r, echo)
			}
		}
	}
	e, err := New(tbl, clock.Now, quiet(t), tasks, machines...)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, e, clock)
}

// serve runs an engine until the test ends.
func serve(t testing.TB, e *Engine, clock *testClock) *home {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	var once sync.Once
	end := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(end)
	return &home{e, t, clock, end}
}

func withTask(tasks map[string]Task, resource string, task Task) map[string]Task {
	all := map[string]Task{resource: task}
	for r, t := range tasks {
		all[r] = t
	}
	return all
}

func echo(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }

// settle moves the clock from timer to timer until an execution has ended.
func (h *home) settle(name string) Execution {
	h.t.Helper()
	for {
		next := h.idle()
		x, err := h.Describe(h.t.Context(), "m", name)
		if err != nil {
			h.t.Fatal(err)
		}
		if x.Status != Running {
			return x
		}
		if next.IsZero() {
			h.t.Fatal("the execution runs and nothing will ever move it")
		}
		h.clock.To(next)
	}
}

func (h *home) idle() time.Time {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	next, err := h.Idle(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return next
}

func (h *home) start(name, input string) {
	h.t.Helper()
	if err := h.Start(h.t.Context(), "m", name, json.RawMessage(input)); err != nil {
		h.t.Fatal(err)
	}
}

// path is the names of the states an execution entered.
func (h *home) path(name string) string {
	h.t.Helper()
	events, err := h.History(h.t.Context(), "m", name)
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for i, e := range events {
		if e.ID != int64(i+1) {
			h.t.Errorf("event %d has the number %d", i+1, e.ID)
		}
		if strings.HasSuffix(e.Type, "StateEntered") {
			names = append(names, e.State)
		}
	}
	return strings.Join(names, " ")
}

// once runs one execution to its end.
func once(t testing.TB, definition, input string, tasks map[string]Task) (Execution, *home) {
	t.Helper()
	clock := newClock()
	h := run(t, table.NewMemory(clock.Now), clock, tasks, machine(t, definition))
	h.start("x", input)
	return h.settle("x"), h
}
