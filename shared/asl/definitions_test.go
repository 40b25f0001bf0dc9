package asl

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// The project's own definitions, with tasks that answer what a test lays down for
// them: each answer adds its fields to the input.
func TestTheProjectsDefinitions(t *testing.T) {
	type answer struct {
		more string // a JSON object
		err  error
	}
	gone := kind.E(kind.NotFound, "read the request")
	busy := kind.E(kind.Unavailable, "ask the source")
	for _, c := range []struct {
		name, file string
		answers    map[string][]answer // by function; the last is given again
		path       string
		took       time.Duration
	}{
		{"export", "export.asl.json", map[string][]answer{
			"Plan":    {{more: `{"next":"wait","wait":7}`}, {more: `{"next":"ready","batches":[3]}`}},
			"Collect": {{more: `{"next":"done"}`}},
			"Pack":    {{more: `{"next":"again"}`}, {more: `{"next":"done"}`}},
			"Finish":  {{more: `{}`}},
		}, "Plan Planned PlanLater Plan Planned CollectBatches Collect Collected CollectedAll Pack Packed Pack Packed Finish Done", 7 * time.Second},
		{"export of a request that is gone", "export.asl.json", map[string][]answer{
			"Plan":   {{err: gone}},
			"Finish": {{more: `{}`}},
		}, "Plan Finish Done", 0},
		{"export that a batch fails", "export.asl.json", map[string][]answer{
			"Plan":    {{more: `{"next":"ready","batches":[1]}`}},
			"Collect": {{err: busy}},
			"Finish":  {{more: `{}`}},
		}, "Plan Planned CollectBatches Collect Finish Done", -1},
		{"export that yields", "export.asl.json", map[string][]answer{
			"Plan":    {{more: `{"next":"ready","batches":[]}`}},
			"Collect": nil,
			"Pack":    {{more: `{"next":"yield"}`}},
			"Finish":  nil,
		}, "Plan Planned CollectBatches Pack Packed Done", 0},
		{"deletion", "deletion.asl.json", map[string][]answer{
			"Plan":   {{more: `{"next":"ready","until":"2026-03-15T01:59:00Z"}`}},
			"Begin":  {{more: `{"next":"wait","wait":30}`}, {more: `{"next":"ready","wait":60,"batches":[1]}`}},
			"Erase":  {{more: `{"next":"again"}`}, {more: `{"next":"wait","wait":100}`}, {more: `{"next":"done"}`}},
			"Verify": {{more: `{"next":"erase","batches":[1]}`}, {more: `{"next":"done"}`}},
			"Finish": {{more: `{}`}},
		}, "Plan Planned CancelWindow Begin Began BeginLater Begin Began Fence EraseBatches Erase Erased Erase Erased EraseLater Erase Erased ErasedAll Verify Verified EraseBatches Erase Erased ErasedAll Verify Verified Finish Done",
			24*time.Hour + 190*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "..", "statemachine", c.file))
			if err != nil {
				t.Fatal(err)
			}
			with, tasks := map[string]string{}, map[string]Task{}
			for _, f := range []string{"Plan", "Begin", "Collect", "Pack", "Erase", "Verify", "Finish"} {
				with[f+"FunctionArn"] = "arn:aws:lambda:local:0:function:" + f
				left := c.answers[f]
				tasks[with[f+"FunctionArn"]] = func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
					if len(left) == 0 {
						t.Errorf("%s was not to be called", f)
						return in, nil
					}
					a := left[0]
					if len(left) > 1 && f != "Collect" {
						left = left[1:]
					}
					if a.err != nil {
						return nil, a.err
					}
					step := map[string]any{}
					if err := json.Unmarshal(in, &step); err != nil {
						return nil, err
					}
					if err := json.Unmarshal([]byte(a.more), &step); err != nil {
						return nil, err
					}
					return json.Marshal(step)
				}
			}
			m, err := Load("m", text, with)
			if err != nil {
				t.Fatal(err)
			}
			clock := newClock()
			h := run(t, table.NewMemory(clock.Now), clock, tasks, m)
			h.start("x", `{"task":"T","attempt":1,"batch":0,"lap":0,"wait":0}`)
			x := h.settle("x")
			if x.Status != Succeeded {
				t.Errorf("got %s %s %s", x.Status, x.Error, x.Cause)
			}
			if got := h.path("x"); got != c.path {
				t.Errorf("got the states\n%s\nwant\n%s", got, c.path)
			}
			if got := x.Ended.Sub(x.Started); c.took >= 0 && got != c.took {
				t.Errorf("it took %v, want %v", got, c.took)
			}
		})
	}
}
