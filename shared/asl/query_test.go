package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

const waitADay = `{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":86400,"End":true}}}`

func TestANameIsUsedOnce(t *testing.T) {
	clock := newClock()
	tbl := table.NewMemory(clock.Now)
	h := run(t, tbl, clock, nil, machine(t, waitADay))
	again := func(when string) {
		t.Helper()
		if err := h.Start(t.Context(), "m", "x", json.RawMessage(`2`)); kind.Of(err) != kind.Conflict {
			t.Errorf("%s: got %v, want Conflict", when, err)
		}
	}
	h.start("x", `1`)
	again("while it runs")
	h.settle("x")
	again("after its end")
	h.end()
	h = run(t, tbl, clock, nil, machine(t, waitADay))
	again("after a restart")
	clock.To(clock.Now().Add(Retention))
	again("90 days later and more")
	if x, err := h.Describe(t.Context(), "m", "x"); err != nil || string(x.Input) != "1" {
		t.Errorf("got %s, %v; want the first input", x.Input, err)
	}
}

func TestStartRefuses(t *testing.T) {
	clock := newClock()
	h := run(t, table.NewMemory(clock.Now), clock, nil, machine(t, waitADay))
	for _, c := range []struct {
		machine, name, input string
		want                 kind.Kind
	}{
		{"other", "x", `1`, kind.NotFound},
		{"m", "", `1`, kind.Invalid},
		{"m", "a#b", `1`, kind.Invalid},
		{"m", strings.Repeat("x", 81), `1`, kind.Invalid},
		{"m", "x", ``, kind.Invalid},
		{"m", "x", `{"a":`, kind.Invalid},
		{"m", "x", `1 2`, kind.Invalid},
		{"m", "x", "\"\xff\"", kind.Invalid},
		{"m", "x", strings.Repeat("[", 600) + strings.Repeat("]", 600), kind.Invalid},
	} {
		if got := kind.Of(h.Start(t.Context(), c.machine, c.name, json.RawMessage(c.input))); got != c.want {
			t.Errorf("Start(%s, %.20s, %.20s): got %q, want %s", c.machine, c.name, c.input, got, c.want)
		}
	}
	if next := h.idle(); !next.IsZero() {
		t.Errorf("something was started that is due at %v", next)
	}
}

func TestNewRefusesAResourceWithoutTask(t *testing.T) {
	m := machine(t, states(`"A":{"Type":"Task","Resource":"${F}","End":true}`))
	_, err := New(table.NewMemory(time.Now), time.Now, quiet(t), nil, m)
	if kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), "arn:f") {
		t.Errorf("got %v, want Invalid with the resource's name", err)
	}
}

func TestStop(t *testing.T) {
	t.Run("a wait", func(t *testing.T) {
		clock := newClock()
		h := run(t, table.NewMemory(clock.Now), clock, nil, machine(t, waitADay))
		h.start("x", `1`)
		h.idle()
		if err := h.Stop(t.Context(), "m", "x", "cancelled"); err != nil {
			t.Fatal(err)
		}
		x, _ := h.Describe(t.Context(), "m", "x")
		if x.Status != Aborted || x.Cause != "cancelled" {
			t.Errorf("got %s %q, want ABORTED", x.Status, x.Cause)
		}
		if next := h.idle(); !next.IsZero() {
			t.Errorf("its timer is still set, for %v", next)
		}
		if err := h.Stop(t.Context(), "m", "x", "again"); err != nil {
			t.Errorf("stopping it again: %v", err)
		}
		if x, _ := h.Describe(t.Context(), "m", "x"); x.Cause != "cancelled" {
			t.Errorf("stopping it again changed its cause to %q", x.Cause)
		}
	})
	t.Run("a task", func(t *testing.T) {
		clock := newClock()
		running := make(chan struct{})
		task := func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
			close(running)
			return stuck(ctx, in)
		}
		m := machine(t, states(`"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["States.ALL"]}],"End":true}`))
		h := run(t, table.NewMemory(clock.Now), clock, map[string]Task{"arn:f": task}, m)
		h.start("x", `1`)
		<-running
		if err := h.Stop(t.Context(), "m", "x", "cancelled"); err != nil {
			t.Fatal(err)
		}
		h.idle() // and so the task has returned
		if x, _ := h.Describe(t.Context(), "m", "x"); x.Status != Aborted {
			t.Errorf("got %s, want ABORTED", x.Status)
		}
	})
	t.Run("with no engine running", func(t *testing.T) {
		clock := newClock()
		tbl := table.NewMemory(clock.Now)
		e, err := New(tbl, clock.Now, quiet(t), nil, machine(t, waitADay))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context(), "m", "x", json.RawMessage(`1`)); err != nil {
			t.Fatal(err)
		}
		other, err := New(tbl, clock.Now, quiet(t), nil, machine(t, waitADay))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Stop(t.Context(), "m", "x", "cancelled"); err != nil {
			t.Fatal(err)
		}
		if x, _ := other.Describe(t.Context(), "m", "x"); x.Status != Aborted {
			t.Errorf("got %s, want ABORTED", x.Status)
		}
		wantNothingOpen(t, tbl)
	})
	t.Run("none", func(t *testing.T) {
		clock := newClock()
		h := run(t, table.NewMemory(clock.Now), clock, nil, machine(t, waitADay))
		if err := h.Stop(t.Context(), "m", "never", "c"); err != nil {
			t.Errorf("got %v, want no error", err)
		}
		if _, err := h.Describe(t.Context(), "m", "never"); kind.Of(err) != kind.NotFound {
			t.Errorf("got %v, want NotFound", err)
		}
	})
}

func TestListPagesTheLatestFirst(t *testing.T) {
	clock := newClock()
	h := run(t, table.NewMemory(clock.Now), clock, nil, machine(t, waitADay))
	var want []string
	for n := range 5 {
		h.start(fmt.Sprint(n), `1`)
		clock.To(clock.Now().Add(time.Second))
		want = append([]string{fmt.Sprint(n)}, want...)
	}
	var got []string
	after, pages := "", 0
	for {
		page, next, err := h.List(t.Context(), "m", 2, after)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page {
			got = append(got, x.Name)
		}
		pages++
		if after = next; after == "" {
			break
		}
	}
	if !slices.Equal(got, want) || pages < 3 {
		t.Errorf("got %v on %d pages, want %v", got, pages, want)
	}
}

func TestWhereTellsWhatItWaitsFor(t *testing.T) {
	clock := newClock()
	m := machine(t, states(`"A":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Wait","SecondsPath":"$","End":true}}},"Next":"B"},"B":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":5}],"End":true}`))
	h := run(t, table.NewMemory(clock.Now), clock, map[string]Task{"arn:f": failing(kind.E(kind.Gone, "x"))}, m)
	h.start("x", `[10,20]`)
	h.idle()
	start := clock.Now()
	where := func() string {
		t.Helper()
		all, err := h.Where(t.Context(), "m", "x")
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, p := range all {
			s = append(s, fmt.Sprintf("%s%v until +%v after %d", p.State, p.Item, p.Until.Sub(start), p.Retries))
		}
		return strings.Join(s, ", ")
	}
	if got, want := where(), "I[0] until +10s after 0, I[1] until +20s after 0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	clock.To(start.Add(20 * time.Second))
	h.idle()
	if got, want := where(), "B[] until +25s after 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h.settle("x")
	if got, want := where(), ""; got != want {
		t.Errorf("after its end: got %q, want %q", got, want)
	}
}

func TestHistoryLimit(t *testing.T) {
	// Two events to a state: the loop alone never ends.
	x, h := once(t, states(`"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"}`), `1`, nil)
	events, err := h.History(t.Context(), "m", "x")
	if err != nil {
		t.Fatal(err)
	}
	last := events[len(events)-1]
	if x.Status != Failed || len(events) != MaxEvents || last.Type != "ExecutionFailed" || last.ID != MaxEvents {
		t.Errorf("got %s after %d events, the last %s with number %d; want FAILED after %d", x.Status, len(events), last.Type, last.ID, MaxEvents)
	}
	if want := "25000"; !strings.Contains(x.Cause, want) {
		t.Errorf("the cause %q does not name the limit", x.Cause)
	}
}

func TestTasksAtOnce(t *testing.T) {
	for _, c := range []struct{ slots, concurrency, want int64 }{{3, 0, 3}, {8, 2, 2}} {
		var now, most atomic.Int64
		var gate sync.WaitGroup
		gate.Add(int(c.want)) // the first tasks meet, so that they do run at once
		var met atomic.Int64
		task := func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if met.Add(1) <= c.want {
				gate.Done()
				gate.Wait()
			}
			now.Add(-1)
			return in, nil
		}
		clock := newClock()
		m := machine(t, states(fmt.Sprintf(`"A":{"Type":"Map","MaxConcurrency":%d,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Task","Resource":"${F}","End":true}}},"End":true}`, c.concurrency)))
		e, err := New(table.NewMemory(clock.Now), clock.Now, quiet(t), map[string]Task{"arn:f": task}, m)
		if err != nil {
			t.Fatal(err)
		}
		e.Tasks = int(c.slots)
		h := serve(t, e, clock)
		h.start("x", `[1,2,3,4,5,6,7,8,9,10]`)
		if x := h.settle("x"); x.Status != Succeeded {
			t.Errorf("got %s %s", x.Status, x.Error)
		}
		if got := most.Load(); got != c.want {
			t.Errorf("%d slots and MaxConcurrency %d: %d tasks at once, want %d", c.slots, c.concurrency, got, c.want)
		}
	}
}

// A definition can be replaced while executions of the old one run, as on AWS.
func TestAnExecutionKeepsItsDefinition(t *testing.T) {
	clock := newClock()
	tbl := table.NewMemory(clock.Now)
	first := machine(t, states(`"A":{"Type":"Wait","Seconds":60,"Next":"B"},"B":{"Type":"Task","Resource":"${F}","Next":"C"},"C":{"Type":"Pass","Result":"old","End":true}`))
	second := machine(t, `{"StartAt":"A","States":{"A":{"Type":"Pass","Result":"new","End":true}}}`)
	for _, c := range []struct {
		name  string
		tasks map[string]Task
		want  string
	}{
		{"x", map[string]Task{"arn:f": echo}, `SUCCEEDED "old"  `},
		{"y", nil, `FAILED  Internal {"errorMessage":"run a task: this release has none for the resource","errorType":"Internal"}`},
	} {
		h := run(t, tbl, clock, nil, first)
		h.start(c.name, `1`)
		h.idle()
		h.end()
		h = run(t, tbl, clock, c.tasks, second)
		h.start(c.name+"2", `1`)
		if got, want := string(h.settle(c.name+"2").Output), `"new"`; got != want {
			t.Errorf("one started later: got %s, want %s", got, want)
		}
		x := h.settle(c.name)
		if got := fmt.Sprintf("%s %s %s %s", x.Status, x.Output, x.Error, x.Cause); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		h.end()
	}
}

func TestAStateThatTheDefinitionNoLongerHas(t *testing.T) {
	clock := newClock()
	tbl := table.NewMemory(clock.Now)
	old := machine(t, waitADay)
	h := run(t, tbl, clock, nil, old)
	h.start("x", `1`)
	h.idle()
	h.end()
	if err := tbl.Write(t.Context(), table.Delete(definitionKey("m", old.id), table.Cond{})); err != nil {
		t.Fatal(err)
	}
	h = run(t, tbl, clock, nil, machine(t, `{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}`))
	x := h.settle("x")
	if x.Status != Failed || x.Error != "States.Runtime" || !strings.Contains(x.Cause, "'A'") {
		t.Errorf("got %s %s %q, want FAILED with the state's name", x.Status, x.Error, x.Cause)
	}
}

// waitingExecutions fills a table with executions that wait.
func waitingExecutions(t testing.TB, n int) (*table.Memory, *testClock, *Machine) {
	clock := newClock()
	tbl := table.NewMemory(clock.Now)
	m := machine(t, waitADay)
	e, err := New(tbl, clock.Now, quiet(t), nil, m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := e.Start(t.Context(), "m", fmt.Sprintf("x%05d", i), json.RawMessage(`{"task":"0123456789"}`)); err != nil {
			t.Fatal(err)
		}
	}
	return tbl, clock, m
}
