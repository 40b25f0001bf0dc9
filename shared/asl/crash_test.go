package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

// everything goes through each kind of state, a retry, a catch, a fork that is
// left early and one inside another.
const everything = `{"StartAt":"Wait","States":{
	"Wait":{"Type":"Wait","Seconds":10,"Next":"Try"},
	"Try":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["Throttled"],"JitterStrategy":"FULL"}],"ResultPath":"$.tried","Next":"Leave"},
	"Leave":{"Type":"Map","ItemsPath":"$.items","ItemProcessor":{"StartAt":"Which","States":{
		"Which":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":2,"Next":"Throw"}],"Default":"Long"},
		"Long":{"Type":"Wait","Seconds":1000,"End":true},
		"Throw":{"Type":"Fail","Error":"Two","Cause":"too"}}},
		"Catch":[{"ErrorEquals":["Two"],"ResultPath":"$.caught","Next":"Each"}],"End":true},
	"Each":{"Type":"Map","ItemsPath":"$.items","MaxConcurrency":2,"ItemSelector":{"n.$":"$$.Map.Item.Value"},"ItemProcessor":{"StartAt":"Work","States":{
		"Work":{"Type":"Task","Resource":"${G}","Next":"Both"},
		"Both":{"Type":"Parallel","Branches":[
			{"StartAt":"Left","States":{"Left":{"Type":"Wait","Seconds":3,"End":true}}},
			{"StartAt":"Right","States":{"Right":{"Type":"Pass","Parameters":{"r.$":"$.n"},"End":true}}}],"End":true}}},
		"ResultPath":"$.each","Next":"End"},
	"End":{"Type":"Succeed"}}}`

const (
	everythingIn  = `{"items":[1,2,3]}`
	everythingOut = `{"items":[1,2,3],"tried":"yes","caught":{"Error":"Two","Cause":"too"},"each":[[{"n":1},{"r":1}],[{"n":2},{"r":2}],[{"n":3},{"r":3}]]}`
)

func everythingTasks() map[string]Task {
	var calls atomic.Int64
	return map[string]Task{
		"arn:f": func(context.Context, json.RawMessage) (json.RawMessage, error) {
			if calls.Add(1) == 1 {
				return nil, kind.E(kind.Throttled, "try")
			}
			return json.RawMessage(`"yes"`), nil
		},
		"arn:g": echo,
	}
}

// insist starts an execution, again and again while the table fails.
func (h *home) insist(name, input string) {
	h.t.Helper()
	for range 100 {
		err := h.Start(h.t.Context(), "m", name, json.RawMessage(input))
		if err == nil || kind.Of(err) == kind.Conflict {
			return
		}
		if kind.Of(err) != kind.Unavailable {
			h.t.Fatal(err)
		}
	}
	h.t.Fatal("no start succeeded")
}

// wantWhole checks what an execution of everything left, and that it left
// nothing else.
func wantWhole(t *testing.T, h *home, tbl table.Table, name string) {
	t.Helper()
	x := h.settle(name)
	if got := string(x.Output); x.Status != Succeeded || got != everythingOut {
		t.Errorf("got %s %s %s %s\nwant %s", x.Status, got, x.Error, x.Cause, everythingOut)
	}
	visits := map[string]int{}
	for _, s := range strings.Fields(h.path(name)) {
		visits[s]++
	}
	want := map[string]int{"Wait": 1, "Try": 1, "Leave": 1, "Which": 3, "Long": 2, "Throw": 1, "Each": 1, "Work": 3, "Both": 3, "Left": 3, "Right": 3, "End": 1}
	if !maps.Equal(visits, want) {
		t.Errorf("the history tells of %v, want %v", visits, want)
	}
	h.end()
	page, err := tbl.Query(t.Context(), table.Query{PK: openPK})
	if err != nil || len(page.Items) > 0 {
		t.Errorf("%d executions are left open (%v)", len(page.Items), err)
	}
	page, err = tbl.Query(t.Context(), table.Query{PK: partition("m", name), From: frameSK, To: frameSK + "~"})
	if err != nil || len(page.Items) > 0 {
		t.Errorf("%d frames are left over (%v)", len(page.Items), err)
	}
}

func TestEveryWriteThatFailsIsMadeUpFor(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		clock := newClock()
		tbl := table.NewMemory(clock.Now)
		h := run(t, tabletest.Faulty(tbl, f), clock, everythingTasks(), machine(t, everything))
		h.insist("x", everythingIn)
		wantWhole(t, h, tbl, "x")
	})
}

// A dying table is one whose process dies at a fault: nothing is written any more.
type dying struct {
	table.Table
	fault *tabletest.Fault
	mu    sync.Mutex
}

func (d *dying) Write(ctx context.Context, ops ...table.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault.Happened() {
		return kind.E(kind.Unavailable, "dead")
	}
	return tabletest.Faulty(d.Table, d.fault).Write(ctx, ops...)
}

func (d *dying) WriteMany(ctx context.Context, ops []table.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault.Happened() {
		return kind.E(kind.Unavailable, "dead")
	}
	return tabletest.Faulty(d.Table, d.fault).WriteMany(ctx, ops)
}

func TestARestartAfterAnyWriteGoesOn(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		clock := newClock()
		tbl := table.NewMemory(clock.Now)
		tasks := everythingTasks()
		h := run(t, &dying{Table: tbl, fault: f}, clock, tasks, machine(t, everything))
		if err := h.Start(t.Context(), "m", "x", json.RawMessage(everythingIn)); err == nil {
			for next := h.idle(); !f.Happened() && !next.IsZero(); next = h.idle() {
				clock.To(next)
			}
		}
		h.end()
		h = run(t, tbl, clock, tasks, machine(t, everything))
		h.insist("x", everythingIn)
		wantWhole(t, h, tbl, "x")
	})
}

func TestARestartDoesNotRepeatFinishedIterations(t *testing.T) {
	clock := newClock()
	tbl := table.NewMemory(clock.Now)
	m := machine(t, states(`"A":{"Type":"Map","MaxConcurrency":1,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Task","Resource":"${F}","End":true}}},"End":true}`))
	var mu sync.Mutex
	var calls []string
	reached := make(chan struct{})
	task := func(until string) Task {
		return func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
			mu.Lock()
			calls = append(calls, string(in))
			mu.Unlock()
			if string(in) == until {
				close(reached)
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return in, nil
		}
	}
	h := run(t, tbl, clock, map[string]Task{"arn:f": task("3")}, m)
	h.start("x", `[1,2,3,4]`)
	<-reached
	h.end()
	h = run(t, tbl, clock, map[string]Task{"arn:f": task("")}, m)
	if got, want := string(h.settle("x").Output), `[1,2,3,4]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := strings.Fields("1 2 3 3 4"); !slices.Equal(calls, want) {
		t.Errorf("the task was called for %v, want %v", calls, want)
	}
}

func TestTimersOutliveTheProcess(t *testing.T) {
	clock := newClock()
	tbl := table.NewMemory(clock.Now)
	m := machine(t, states(`"A":{"Type":"Wait","Seconds":86400,"Next":"B"},"B":{"Type":"Succeed"}`))
	h := run(t, tbl, clock, nil, m)
	h.start("x", `1`)
	due := h.idle()
	h.end()
	clock.To(due.Add(-time.Second))
	h = run(t, tbl, clock, nil, m)
	if got := h.idle(); !got.Equal(due) {
		t.Errorf("after a restart the timer is due at %v, want %v", got, due)
	}
	if got, want := h.path("x"), "A"; got != want {
		t.Errorf("before it is due: got the states %q, want %q", got, want)
	}
	h.end()
	clock.To(due.Add(time.Hour)) // it comes due while nothing runs
	h = run(t, tbl, clock, nil, m)
	if x := h.settle("x"); x.Status != Succeeded || !x.Ended.Equal(clock.Now()) {
		t.Errorf("got %s at %v, want SUCCEEDED at %v", x.Status, x.Ended, clock.Now())
	}
}

// A process is killed at random points under hundreds of executions; each must
// end once, with the right result.
func TestRandomKills(t *testing.T) {
	const executions, kills = 200, 12
	random := rand.New(rand.NewPCG(1, 2))
	clock := newClock()
	tbl := table.NewMemory(clock.Now)
	tasks := map[string]Task{
		"arn:f": func(context.Context, json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`"yes"`), nil },
		"arn:g": echo,
	}
	m := machine(t, everything)
	started := 0
	for range kills {
		mode := []tabletest.Mode{tabletest.Lost, tabletest.Unanswered}[random.IntN(2)]
		f := tabletest.NewFault(1+random.IntN(500), mode)
		h := run(t, &dying{Table: tbl, fault: f}, clock, tasks, m)
		for range executions / kills {
			// One that cannot be started now may have been; the next life tells.
			if h.Start(t.Context(), "m", fmt.Sprint(started), json.RawMessage(everythingIn)) == nil {
				started++
			}
		}
		for next := h.idle(); !f.Happened() && !next.IsZero(); next = h.idle() {
			clock.To(next)
		}
		h.end()
	}
	h := run(t, tbl, clock, tasks, m)
	for ; started < executions; started++ {
		h.insist(fmt.Sprint(started), everythingIn)
	}
	for n := range executions {
		if x := h.settle(fmt.Sprint(n)); x.Status != Succeeded || string(x.Output) != everythingOut {
			t.Errorf("execution %d: got %s %s %s", n, x.Status, x.Output, x.Cause)
		}
		ends := 0
		events, err := h.History(t.Context(), "m", fmt.Sprint(n))
		for _, e := range events {
			if e.Type == "ExecutionSucceeded" {
				ends++
			}
		}
		if ends != 1 || err != nil {
			t.Errorf("execution %d ended %d times (%v)", n, ends, err)
		}
	}
	h.end()
	wantNothingOpen(t, tbl)
}

func wantNothingOpen(t *testing.T, tbl table.Table) {
	t.Helper()
	page, err := tbl.Query(t.Context(), table.Query{PK: openPK})
	if err != nil || len(page.Items) > 0 {
		t.Errorf("%d executions are left open (%v)", len(page.Items), err)
	}
}

func TestAStopThatFailsCanBeRepeated(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		clock := newClock()
		tbl := table.NewMemory(clock.Now)
		// More frames than fit into one transaction.
		var branches []string
		for n := range 120 {
			branches = append(branches, fmt.Sprintf(`{"StartAt":"I%d","States":{"I%d":{"Type":"Wait","Seconds":1000,"End":true}}}`, n, n))
		}
		h := run(t, tabletest.Faulty(tbl, f), clock, nil, machine(t, states(
			`"A":{"Type":"Parallel","Branches":[`+strings.Join(branches, ",")+`],"End":true}`)))
		h.insist("x", "1")
		h.idle()
		for n := 0; ; n++ {
			err := h.Stop(t.Context(), "m", "x", "cancelled")
			if err == nil {
				break
			}
			if kind.Of(err) != kind.Unavailable || n > 2 {
				t.Fatal(err)
			}
		}
		if x := h.settle("x"); x.Status != Aborted || x.Cause != "cancelled" {
			t.Errorf("got %s %q, want ABORTED", x.Status, x.Cause)
		}
		for next := h.idle(); !next.IsZero(); next = h.idle() {
			clock.To(next) // what a fault kept from being removed is removed later
		}
		wantNothingOpen(t, tbl)
		page, err := tbl.Query(t.Context(), table.Query{PK: partition("m", "x"), From: frameSK, To: frameSK + "~"})
		if err != nil || len(page.Items) > 0 {
			t.Errorf("%d frames are left over (%v)", len(page.Items), err)
		}
	})
}
