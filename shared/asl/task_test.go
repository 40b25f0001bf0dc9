package asl

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// failing is a task that fails with each error in turn and then succeeds.
func failing(errs ...error) Task {
	var calls atomic.Int64
	return func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
		if n := int(calls.Add(1)); n <= len(errs) {
			return nil, errs[n-1]
		}
		return in, nil
	}
}

func TestRetryAndCatch(t *testing.T) {
	slow := kind.E(kind.Throttled, "ask the store", errors.New("subject-4711"))
	gone := kind.E(kind.NotFound, "read")
	for _, c := range []struct {
		name, states string
		errs         []error
		status       Status
		output       string
		took         time.Duration
	}{
		{"no retry", `"A":{"Type":"Task","Resource":"${F}","End":true}`, []error{slow}, Failed,
			`Throttled: {"errorMessage":"ask the store","errorType":"Throttled"}`, 0},
		{"unknown error", `"A":{"Type":"Task","Resource":"${F}","End":true}`, []error{errors.New("subject-4711")}, Failed,
			`Internal: {"errorMessage":"","errorType":"Internal"}`, 0},
		{"back-off", `"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["Throttled"],"IntervalSeconds":2,"BackoffRate":3}],"End":true}`,
			[]error{slow, slow, slow}, Succeeded, `1`, (2 + 6 + 18) * time.Second},
		{"at most", `"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["Throttled"],"IntervalSeconds":2,"BackoffRate":3,"MaxDelaySeconds":5}],"End":true}`,
			[]error{slow, slow, slow}, Succeeded, `1`, (2 + 5 + 5) * time.Second},
		{"attempts spent", `"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["States.ALL"],"MaxAttempts":1}],"Catch":[{"ErrorEquals":["States.TaskFailed"],"ResultPath":null,"Next":"B"}],"End":true},"B":{"Type":"Pass","End":true}`,
			[]error{slow, gone}, Succeeded, `1`, time.Second},
		{"never again", `"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["Throttled"],"MaxAttempts":0},{"ErrorEquals":["States.ALL"]}],"End":true}`,
			[]error{slow}, Failed, `Throttled: {"errorMessage":"ask the store","errorType":"Throttled"}`, 0},
		{"retriers count apart", `"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["Throttled"],"MaxAttempts":1},{"ErrorEquals":["NotFound"],"IntervalSeconds":10,"MaxAttempts":1}],"End":true}`,
			[]error{slow, gone}, Succeeded, `1`, 11 * time.Second},
		{"caught", `"A":{"Type":"Task","Resource":"${F}","Catch":[{"ErrorEquals":["Gone"],"Next":"C"},{"ErrorEquals":["States.ALL"],"Next":"B"}],"OutputPath":"$.none","End":true},"B":{"Type":"Pass","End":true},"C":{"Type":"Fail"}`,
			[]error{gone}, Succeeded, `{"Error":"NotFound","Cause":"{\"errorMessage\":\"read\",\"errorType\":\"NotFound\"}"}`, 0},
		{"a runtime error is not caught by all", `"A":{"Type":"Task","Resource":"${F}","ResultSelector":{"x.$":"$.x"},"Catch":[{"ErrorEquals":["States.ALL"],"Next":"B"}],"End":true},"B":{"Type":"Pass","End":true}`,
			nil, Failed, `States.Runtime: An error occurred while executing the state 'A' (entered at the event id #2). The JSONPath '$.x' specified for the field 'x.$' could not be found in the input`, 0},
		{"retry of a map", `"A":{"Type":"Map","Parameters":null,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Task","Resource":"${F}","End":true}}},"Retry":[{"ErrorEquals":["NotFound"],"IntervalSeconds":7}],"End":true}`,
			[]error{gone}, Succeeded, `[1,2]`, 7 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			input := "1"
			if strings.Contains(c.states, "Map") {
				c.states, input = strings.Replace(c.states, `"Parameters":null,`, "", 1), "[1,2]"
			}
			x, h := once(t, states(c.states), input, map[string]Task{"arn:f": failing(c.errs...)})
			got := string(x.Output)
			if x.Status != Succeeded {
				got = x.Error + ": " + x.Cause
			}
			if x.Status != c.status || got != c.output {
				t.Errorf("got %s %s\nwant %s %s", x.Status, got, c.status, c.output)
			}
			if got := x.Ended.Sub(x.Started); got != c.took {
				t.Errorf("it took %v, want %v", got, c.took)
			}
			events, _ := h.History(t.Context(), "m", "x")
			if text, _ := json.Marshal(events); strings.Contains(string(text), "4711") {
				t.Errorf("the history holds the text of an error: %s", text)
			}
		})
	}
}

func TestJitterStaysBelowTheDelay(t *testing.T) {
	r := retrier{interval: 10 * time.Second, backoff: 2, longest: 25 * time.Second, jitter: true}
	for _, c := range []struct {
		n      int
		random float64
		want   time.Duration
	}{{1, 0, 0}, {1, 0.5, 5 * time.Second}, {2, 0.5, 10 * time.Second}, {3, 1, 25 * time.Second}, {5000, 1, 25 * time.Second}} {
		if got := r.delay(c.n, func() float64 { return c.random }); got != c.want {
			t.Errorf("delay(%d) at %v = %v, want %v", c.n, c.random, got, c.want)
		}
	}
}

func TestErrorEquals(t *testing.T) {
	for _, c := range []struct {
		names string
		err   string
		want  bool
	}{
		{"States.ALL", "Gone", true},
		{"States.ALL", errTimeout, true},
		{"States.ALL", errRuntime, false},
		{"States.ALL", errDataLimit, false},
		{"States.TaskFailed", "Gone", true},
		{"States.TaskFailed", errTimeout, false},
		{"States.Timeout", errTimeout, true},
		{"Gone States.Runtime", errRuntime, true},
		{"Gone", "NotFound", false},
	} {
		if got := matches(strings.Fields(c.names), c.err); got != c.want {
			t.Errorf("%s covers %s: got %v, want %v", c.names, c.err, got, c.want)
		}
	}
}

// stuck is a task that returns only when its context ends.
func stuck(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name, definition string
		status           Status
		want             string
		took             time.Duration
	}{
		{"task", states(`"A":{"Type":"Task","Resource":"${F}","TimeoutSeconds":30,"End":true}`), Failed, "States.Timeout: ", 30 * time.Second},
		{"task by path", states(`"A":{"Type":"Task","Resource":"${F}","TimeoutSecondsPath":"$.t","End":true}`), Failed, "States.Timeout: ", 40 * time.Second},
		{"task retried and caught", states(`"A":{"Type":"Task","Resource":"${F}","TimeoutSeconds":30,"Retry":[{"ErrorEquals":["States.Timeout"],"MaxAttempts":1}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"B"}],"End":true},"B":{"Type":"Pass","InputPath":"$.Error","End":true}`), Succeeded, `"States.Timeout"`, 61 * time.Second},
		{"machine", `{"TimeoutSeconds":20,"StartAt":"A","States":{"A":{"Type":"Task","Resource":"${F}","TimeoutSeconds":30,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"B"}],"End":true},"B":{"Type":"Pass","End":true}}}`, TimedOut, ": ", 20 * time.Second},
		{"machine that waits", `{"TimeoutSeconds":20,"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":30,"End":true}}}`, TimedOut, ": ", 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := newClock()
			h := run(t, table.NewMemory(clock.Now), clock, map[string]Task{"arn:f": stuck}, machine(t, c.definition))
			h.start("x", `{"t":40}`)
			var x Execution
			for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
				// A stuck task keeps the engine from being idle; what moves the test is
				// the clock and the history.
				h.clock.To(h.clock.Now().Add(time.Second / 4))
				h.Wake()
				var err error
				if x, err = h.Describe(t.Context(), "m", "x"); err != nil {
					t.Fatal(err)
				} else if x.Status != Running {
					break
				}
			}
			got := string(x.Output)
			if x.Status != Succeeded {
				got = x.Error + ": " + x.Cause
			}
			if x.Status != c.status || got != c.want {
				t.Errorf("got %s %s, want %s %s", x.Status, got, c.status, c.want)
			}
			if got := x.Ended.Sub(x.Started); got < c.took {
				t.Errorf("it took %v, want %v at least", got, c.took)
			}
		})
	}
}

func TestLambdaInvoke(t *testing.T) {
	var seen string
	task := func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
		seen = string(in)
		return json.RawMessage(` {"b": 2} `), nil
	}
	x, h := once(t, states(`"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"${F}","Payload":{"in.$":"$.a"}},"ResultSelector":{"code.$":"$.StatusCode","got.$":"$.Payload"},"End":true}`),
		`{"a":1}`, map[string]Task{"arn:f": task})
	if want := `{"in":1}`; seen != want {
		t.Errorf("the task got %s, want %s", seen, want)
	}
	if got, want := string(x.Output), `{"code":200,"got":{"b":2}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	events, _ := h.History(t.Context(), "m", "x")
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	want := []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited", "ExecutionSucceeded"}
	if !slices.Equal(types, want) {
		t.Errorf("got the events %v, want %v", types, want)
	}
}

func TestPayloadLimit(t *testing.T) {
	big := func(n int) Task {
		return func(context.Context, json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`"` + strings.Repeat("<", n-2) + `"`), nil
		}
	}
	definition := states(`"A":{"Type":"Task","Resource":"${F}","Catch":[{"ErrorEquals":["States.DataLimitExceeded"],"Next":"B"}],"Next":"C"},"B":{"Type":"Pass","Result":"caught","End":true},"C":{"Type":"Pass","Result":"fits","End":true}`)
	for size, want := range map[int]string{MaxPayload: `"fits"`, MaxPayload + 1: `"caught"`} {
		x, _ := once(t, definition, "1", map[string]Task{"arn:f": big(size)})
		if got := string(x.Output); got != want {
			t.Errorf("a result of %d bytes: got %s %s, want %s", size, x.Status, got, want)
		}
	}
	h := run(t, table.NewMemory(time.Now), newClock(), nil, machine(t, states(`"A":{"Type":"Succeed"}`)))
	input := `"` + strings.Repeat("x", MaxPayload-1) + `"`
	if err := h.Start(t.Context(), "m", "big", json.RawMessage(input)); kind.Of(err) != kind.TooLarge {
		t.Errorf("an input of %d bytes: got %v, want TooLarge", len(input), err)
	}
}

func TestMapGathersNoMoreThanAPayload(t *testing.T) {
	x, _ := once(t, states(`"A":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Task","Resource":"${F}","End":true}}},"Catch":[{"ErrorEquals":["States.DataLimitExceeded"],"ResultPath":"$[0]","Next":"B"}],"End":true},"B":{"Type":"Pass","InputPath":"$[1]","End":true}`),
		`[1,2,3]`, map[string]Task{"arn:f": func(context.Context, json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`"` + strings.Repeat("x", 100_000) + `"`), nil
		}})
	if got := string(x.Output); got != "2" {
		t.Errorf("got %s %.100s %s, want the error caught", x.Status, got, x.Error)
	}
}
