package asl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lethe/shared/cloud/cloudtest"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A motoCase is a case of testdata/moto/cases.json; run.py there says what it holds.
type motoCase struct {
	Name       string
	Definition json.RawMessage
	File       string
	Input      json.RawMessage
	Tasks      map[string][]struct {
		Gives   json.RawMessage
		Adds    map[string]any
		Long    int
		Error   string
		Message string
	}
}

// An outcome is what an interpreter made of a case.
type outcome struct {
	Status Status
	Output json.RawMessage
	Error  string
	Cause  string
	States []string
	Events []string
}

func (o outcome) String() string {
	return fmt.Sprintf("%s %s %s %s\n  %v\n  %v", o.Status, o.Output, o.Error, o.Cause, o.States, o.Events)
}

// The same definitions as another interpreter of the language runs: moto's, which
// is held against Step Functions itself by its makers. Where the two differ on
// purpose the reason stands in differences. Moto keeps real time, so a case that
// differs is given a second chance.
func TestTheSameAsMoto(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "moto", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []motoCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	theirs := moto(t)
	if len(cases) < 100 || len(theirs) != len(cases) {
		t.Fatalf("moto ran %d cases of %d", len(theirs), len(cases))
	}
	differences := motoDifferences()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got := c.run(t)
			compare := func(want outcome) string {
				if c.forks() {
					// Whose event comes first among branches and iterations is chance.
					got, want = got.sorted(), want.sorted()
				}
				if d, ok := differences[c.Name]; ok {
					if got.same(want) {
						return "the two no longer differ, though " + d.why
					}
					d.to(&want)
					if c.forks() {
						want = want.sorted()
					}
				}
				if !got.same(want) {
					return fmt.Sprintf("got %s\nwant %s", got, want)
				}
				return ""
			}
			if compare(theirs[c.Name]) == "" {
				return
			}
			if why := compare(moto(t, c.Name)[c.Name]); why != "" {
				t.Error(why)
			}
		})
	}
}

// moto runs cases, all or those named, and returns what became of each.
func moto(t *testing.T, names ...string) map[string]outcome {
	t.Helper()
	program := filepath.Join("..", "..", ".cache", "venv", "bin", "python")
	if _, err := os.Stat(program); err != nil {
		cloudtest.Missing(t, "moto, which .ci/install-lint installs")
	}
	script := filepath.Join("testdata", "moto", "run.py")
	for _, read := range []string{script, filepath.Join("..", "..", ".ci", "requirements.txt")} {
		if _, err := os.ReadFile(read); err != nil { // so that the cache of go test sees it
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{script}, names...)...)
	var diag bytes.Buffer
	cmd.Stderr = &diag
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("moto: %v\n%s", err, &diag)
	}
	all := map[string]outcome{}
	for line := range bytes.Lines(out) {
		var one struct {
			Name  string
			Gives outcome
		}
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("moto: %v", err)
		}
		all[one.Name] = one.Gives
	}
	return all
}

// forks reports whether states of the case run beside one another.
func (c motoCase) forks() bool {
	return c.File != "" || bytes.Contains(c.Definition, []byte(`"Parallel"`)) || bytes.Contains(c.Definition, []byte(`"Map"`))
}

func (o outcome) sorted() outcome {
	o.States, o.Events = slices.Sorted(slices.Values(o.States)), slices.Sorted(slices.Values(o.Events))
	return o
}

// same compares all of two outcomes. Here a cause holds no value of the data, so
// it may be the beginning of the other's.
func (o outcome) same(other outcome) bool {
	a, aerr := decode(o.Output)
	b, berr := decode(other.Output)
	arn := regexp.MustCompile(`arn:aws:lambda:[^']*`)
	cause, otherCause := arn.ReplaceAllString(o.Cause, "arn"), arn.ReplaceAllString(other.Cause, "arn")
	return o.Status == other.Status && (aerr == nil) == (berr == nil) && equal(a, b) && o.Error == other.Error &&
		strings.HasPrefix(otherCause, cause) && (cause != "" || otherCause == "") &&
		slices.Equal(o.States, other.States) && slices.Equal(o.Events, other.Events)
}

// run runs a case here.
func (c motoCase) run(t *testing.T) outcome {
	t.Helper()
	text := []byte(c.Definition)
	if c.File != "" {
		var err error
		if text, err = os.ReadFile(filepath.Join("..", "..", "statemachine", c.File)); err != nil {
			t.Fatal(err)
		}
	}
	with, tasks := map[string]string{}, map[string]Task{}
	for name, results := range c.Tasks {
		arn := "arn:aws:lambda:local:0:function:" + name
		with[name], with[name+"FunctionArn"] = arn, arn
		tasks[arn] = func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
			r := results[0]
			if len(results) > 1 {
				results = results[1:]
			}
			switch {
			case r.Error != "":
				return nil, kind.E(kind.Kind(r.Error), r.Message)
			case r.Adds != nil:
				step := map[string]any{}
				if err := json.Unmarshal(in, &step); err != nil {
					return nil, err
				}
				for k, v := range r.Adds {
					step[k] = v
				}
				return json.Marshal(step)
			case r.Long > 0:
				return json.Marshal(strings.Repeat("x", r.Long))
			case r.Gives != nil:
				return r.Gives, nil
			}
			return in, nil
		}
	}
	m, err := Load("m", text, with)
	if err != nil {
		return outcome{Status: "REFUSED"}
	}
	clock := newClock()
	h := run(t, table.NewMemory(clock.Now), clock, tasks, m)
	input := c.Input
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	h.start("x", string(input))
	x := h.settle("x")
	events, err := h.History(t.Context(), "m", "x")
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{Status: x.Status, Output: x.Output, Error: x.Error, Cause: x.Cause, States: strings.Fields(h.path("x"))}
	for _, e := range events {
		o.Events = append(o.Events, e.Type)
	}
	return o
}

type motoDifference struct {
	why string
	to  func(*outcome)
}

func motoDifferences() map[string]motoDifference {
	const at = "An error occurred while executing the state 'A' (entered at the event id #2). "
	failure := func(name, cause string) func(*outcome) {
		return func(o *outcome) { o.Error, o.Cause = name, cause }
	}
	output := func(v string) func(*outcome) { return func(o *outcome) { o.Output = json.RawMessage(v) } }
	return map[string]motoDifference{
		"parameters with wildcards": {"a path of names and indices gives its one value, in Jayway and on AWS", output(`{"a":[1,2],"b":[1,2],"c":[{"a":1}],"d":[2],"e":2}`)},
		"parallel with everything":  {"a path of names and indices gives its one value, in Jayway and on AWS", output(`{"r":1}`)},
		"function fails": {"the language has an error name for it",
			failure("States.IntrinsicFailure", "The function in the field 'n.$' failed: States.ArrayLength: the first argument is no array")},
		"choice: about nothing": {"on AWS the execution fails, see localstack issue 11980", func(o *outcome) {
			*o = outcome{Status: Failed, Error: "States.Runtime", Cause: at + "Invalid path '$.a': The choice state's condition path references an invalid value.",
				States: []string{"A"}, Events: []string{"ExecutionStarted", "ChoiceStateEntered", "ExecutionFailed"}}
		}},
		"choice: none": {"the language has an error name for it",
			failure("States.NoChoiceMatched", "No choice of the state 'A' matched, and it has no Default.")},
		"result path in the way": {"the language has an error name for it",
			failure("States.ResultPathMatchFailure", `Unable to apply step "$.a.b" to input`)},
		"map of no array": {"moto gives an error of JSONata", func(o *outcome) {
			o.Error, o.Cause = "States.Runtime", at+`Reference path "$" must point to array.`
			o.Events = []string{"ExecutionStarted", "MapStateEntered", "MapStateFailed", "ExecutionFailed"}
		}},
		"map items missing": {"moto does not name the field",
			failure("States.Runtime", at+"The JSONPath '$.l' specified for the field 'ItemsPath' could not be found in the input")},
		"selector missing": {"moto takes it for a failure of the function", func(o *outcome) {
			o.Error, o.Cause = "States.Runtime", at+"The JSONPath '$.none' specified for the field 'x.$' could not be found in the input"
			o.Events = slices.Delete(slices.Clone(o.Events), 5, 6)
		}},
		"refused: no such state": {"AWS refuses it too, see localstack issue 11978", func(o *outcome) { *o = outcome{Status: "REFUSED"} }},
	}
}
