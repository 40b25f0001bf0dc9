package asl

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"lethe/shared/table"
)

func TestTenThousandWaitCheaply(t *testing.T) {
	const n = 10_000
	tbl, clock, m := waitingExecutions(t, n)
	before := runtime.NumGoroutine()
	began := time.Now()
	h := run(t, tbl, clock, nil, m)
	next := h.idle()
	t.Logf("resumed %d executions in %v", n, time.Since(began))
	if want := clock.Now().Add(24 * time.Hour); !next.Equal(want) {
		t.Errorf("the first timer is due at %v, want %v", next, want)
	}
	if more := runtime.NumGoroutine() - before; more > 100 {
		t.Errorf("%d executions that wait take %d goroutines", n, more)
	}
	clock.To(next)
	h.idle()
	wantNothingOpen(t, tbl)
}

func BenchmarkResume10000(b *testing.B) {
	tbl, clock, m := waitingExecutions(b, 10_000)
	for b.Loop() {
		h := run(b, tbl, clock, nil, m)
		h.idle()
		h.end()
	}
}

func BenchmarkTransition(b *testing.B) {
	clock := newClock()
	h := run(b, table.NewMemory(clock.Now), clock, nil, machine(b, states(
		`"A":{"Type":"Task","Resource":"${F}","Next":"B"},"B":{"Type":"Choice","Choices":[{"Variable":"$.next","StringEquals":"again","Next":"A"}],"Default":"C"},"C":{"Type":"Succeed"}`)))
	n := 0
	for b.Loop() {
		h.start(fmt.Sprint(n), `{"next":"done"}`)
		h.idle()
		n++
	}
	b.ReportMetric(3, "transitions/op")
}

func BenchmarkMap100(b *testing.B) {
	clock := newClock()
	h := run(b, table.NewMemory(clock.Now), clock, nil, machine(b, states(
		`"A":{"Type":"Map","MaxConcurrency":40,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Task","Resource":"${F}","End":true}}},"End":true}`)))
	items := make([]int, 100)
	input, _ := json.Marshal(items)
	n := 0
	for b.Loop() {
		h.start(fmt.Sprint(n), string(input))
		h.idle()
		n++
	}
}
