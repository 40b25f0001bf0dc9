package functions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"go.yaml.in/yaml/v3"
)

// A recording is what infra/cost computes with.
type recording struct {
	Memory map[string]int `json:"memory_mb"` // of each function, from template.yaml
	// What stands in template.yaml and costs by the month: the metrics that alarms look
	// at, each of which is charged for, and dashboards.
	AlarmMetrics int        `json:"alarm_metrics"`
	Dashboards   int        `json:"dashboards"`
	Export       []recorded `json:"export"`
	Deletion     []recorded `json:"deletion"`
	Ingestion    recorded   `json:"ingestion"` // one call of 2000 events
	Status       recorded   `json:"status"`    // one question for the status
	Sweep        recorded   `json:"sweep"`     // one run with nothing to do
}

// recorded is what one piece of work used.
type recorded struct {
	IDs         int               `json:"ids,omitempty"`
	Events      int               `json:"events,omitempty"` // of all ids together
	Transitions int               `json:"transitions,omitempty"`
	Functions   map[string]billed `json:"functions"`
	Bytes       int               `json:"archive_bytes,omitempty"`
	usage
}

// billed is the calls of a function and how long they took, each rounded up to a
// millisecond.
type billed struct {
	Calls int `json:"calls"`
	MS    int `json:"ms"`
}

const (
	recordingPath = "../infra/cost/recorded.json"
	eventsOfOne   = 50
	oneBatch      = 50  // ids: dsr's least batch, so that each further 50 are one more
	manyIDs       = 200 // ids: four batches
)

// TestCost runs an export and a deletion of one id, of one full batch and of four
// through the functions and counts what AWS would charge for. With LETHE_RECORD=1 it writes
// what infra/cost computes with; else it compares with that what does not depend
// on the machine.
func TestCost(t *testing.T) {
	d := deploy(t)
	c := &counting{deployment: d, before: map[string]billed{}}
	for _, r := range d.recorders {
		r.measure(&meter{})
	}
	got := recording{Memory: memories(t)}
	got.AlarmMetrics, got.Dashboards = watched(t)
	c.sum()
	var ids []string
	for n := range 1 + oneBatch + manyIDs {
		ids = append(ids, fmt.Sprintf("person-%d", n))
	}
	for n := 0; n < len(ids); n += 2000 / eventsOfOne {
		some := ids[n:min(len(ids), n+2000/eventsOfOne)]
		c.visits(t, some)
		if used := c.sum(); n == 0 {
			used.Events = len(some) * eventsOfOne
			got.Ingestion = used
		}
	}
	for _, of := range [][]string{ids[:1], ids[1 : 1+oneBatch], ids[1+oneBatch:]} {
		got.Export = append(got.Export, c.metered(t, "export", retrievals, of))
	}
	c.sum()
	d.api(t, http.MethodGet, retrievals+"00000000-0000-4000-8000-000000000000/", "")
	got.Status = c.sum()
	for range 2 { // the first tells people of the exports
		c.sum()
		if answer, err := d.running["sweep"].Invoke(t.Context(), []byte(`{}`)); err != nil || answer.Failed {
			t.Fatalf("sweep: %s, %v", answer.Body, err)
		}
	}
	got.Sweep = c.sum()
	for _, of := range [][]string{ids[:1], ids[1 : 1+oneBatch], ids[1+oneBatch:]} {
		got.Deletion = append(got.Deletion, c.metered(t, "deletion", deletions, of))
	}
	if os.Getenv("LETHE_RECORD") == "1" {
		text, err := json.MarshalIndent(got, "", "  ")
		if err == nil {
			err = os.WriteFile(recordingPath, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(recordingPath)
	if err != nil {
		t.Fatal(err)
	}
	var want recording
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	compare(t, got, want)
}

// counting tells what was used since it was asked last.
type counting struct {
	*deployment
	before map[string]billed
}

// of tells it for one function.
func (c *counting) of(name string) recorded {
	calls, ms := c.running[name].Billed()
	was := c.before[name]
	c.before[name] = billed{calls, ms}
	out := recorded{Functions: map[string]billed{}, usage: c.recorders[name].measured().take()}
	if calls > was.Calls {
		out.Functions[name] = billed{calls - was.Calls, ms - was.MS}
	}
	return out
}

// sum tells it for all functions.
func (c *counting) sum() recorded {
	all := recorded{Functions: map[string]billed{}}
	for name := range c.running {
		all.add(c.of(name))
	}
	return all
}

func (r *recorded) add(more recorded) {
	maps.Copy(r.Functions, more.Functions)
	r.usage.add(more.usage)
}

// visits sends the events of people in one call.
func (c *counting) visits(t *testing.T, ids []string) {
	t.Helper()
	var events []string
	for _, id := range ids {
		for n := range eventsOfOne {
			events = append(events, fmt.Sprintf(`{"event":"Visit","properties":{"distinct_id":"%s","time":%d,"$insert_id":"%s-%d","$browser":"Chrome","$current_url":"https://shop.example/%s","note":"%s"}}`,
				id, time.Now().Add(-time.Duration(n+1)*time.Hour).Unix(), id, n, strings.Repeat("path/", 12), strings.Repeat("some words ", 36)))
		}
	}
	out := c.call(t, http.MethodPost, "/import?strict=1", "["+strings.Join(events, ",")+"]", http.Header{
		"Content-Type": {"application/json"}, "Authorization": {basic(c.APISecret, "")},
	})
	if out.status != http.StatusOK {
		t.Fatalf("import: %d %s", out.status, out.body)
	}
}

// metered runs a request to its end. Of the function api it counts the call that
// submitted it, and not those that asked whether it is done.
func (c *counting) metered(t *testing.T, machine, collection string, ids []string) recorded {
	t.Helper()
	body, err := json.Marshal(map[string]any{"distinct_ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	c.sum()
	task := c.submit(t, collection, string(body))
	out := recorded{IDs: len(ids), Events: len(ids) * eventsOfOne, Functions: map[string]billed{}}
	out.add(c.of("api"))
	done := c.wait(t, collection, task, "SUCCESS")
	c.of("api")
	out.add(c.sum())
	if link, _ := done["result"].(string); link != "" {
		r, err := http.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		out.Bytes = int(r.ContentLength)
		c.of("api")
	}
	execution := strings.Replace(machineARN(machine), ":stateMachine:", ":execution:", 1) + ":" + task + "-1"
	pages := sfn.NewGetExecutionHistoryPaginator(sfn.NewFromConfig(c.moto), &sfn.GetExecutionHistoryInput{ExecutionArn: &execution})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if strings.HasSuffix(string(e.Type), "StateEntered") {
				out.Transitions++
			}
		}
	}
	return out
}

// memories reads how much memory each function has.
func memories(t *testing.T) map[string]int {
	t.Helper()
	type properties struct {
		Memory int `yaml:"MemorySize"`
	}
	var template struct {
		Globals struct {
			Function properties `yaml:"Function"`
		} `yaml:"Globals"`
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	readTemplate(t, &template)
	all := map[string]int{}
	for name, r := range template.Resources {
		if r.Type != "AWS::Serverless::Function" {
			continue
		}
		p := template.Globals.Function
		if err := r.Properties.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all[strings.ToLower(strings.TrimSuffix(name, "Function"))] = p.Memory
	}
	return all
}

// watched counts the metrics of alarms, and the dashboards.
func watched(t *testing.T) (metrics, dashboards int) {
	t.Helper()
	var template struct {
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	readTemplate(t, &template)
	for _, r := range template.Resources {
		switch r.Type {
		case "AWS::CloudWatch::Dashboard":
			dashboards++
		case "AWS::CloudWatch::Alarm":
			var p struct {
				Metrics []struct {
					Stat yaml.Node `yaml:"MetricStat"`
				} `yaml:"Metrics"`
			}
			if err := r.Properties.Decode(&p); err != nil {
				t.Fatal(err)
			}
			if len(p.Metrics) == 0 {
				metrics++
			}
			for _, m := range p.Metrics {
				if !m.Stat.IsZero() {
					metrics++
				}
			}
		}
	}
	return metrics, dashboards
}

// compare tells where the recording no longer is what the functions do: other
// calls, transitions or memory, or request units that are off by more than a fifth.
func compare(t *testing.T, got, want recording) {
	t.Helper()
	const again = "record it again with LETHE_RECORD=1 go test -run TestCost ./functions, then go run ./infra/cost"
	if !maps.Equal(got.Memory, want.Memory) {
		t.Errorf("memory is %v, recorded %v: %s", got.Memory, want.Memory, again)
	}
	if got.AlarmMetrics != want.AlarmMetrics || got.Dashboards != want.Dashboards {
		t.Errorf("%d metrics of alarms and %d dashboards, recorded %d and %d: %s", got.AlarmMetrics, got.Dashboards, want.AlarmMetrics, want.Dashboards, again)
	}
	one := func(what string, got, want recorded) {
		near := func(name string, got, want float64) {
			if got > want*1.2+2 || got < want/1.2-2 {
				t.Errorf("%s: %s %v, recorded %v: %s", what, name, got, want, again)
			}
		}
		if names := slices.Sorted(maps.Keys(got.Functions)); !slices.Equal(names, slices.Sorted(maps.Keys(want.Functions))) {
			t.Errorf("%s: functions %v, recorded %v: %s", what, names, slices.Sorted(maps.Keys(want.Functions)), again)
		}
		for name, b := range want.Functions {
			near("calls of "+name, float64(got.Functions[name].Calls), float64(b.Calls))
		}
		near("transitions", float64(got.Transitions), float64(want.Transitions))
		near("read units", got.ReadUnits, want.ReadUnits)
		near("write units", got.WriteUnits, want.WriteUnits)
		near("puts", float64(got.Puts), float64(want.Puts))
		near("gets", float64(got.Gets), float64(want.Gets))
	}
	for n := range want.Export {
		one(fmt.Sprintf("export of %d ids", want.Export[n].IDs), got.Export[n], want.Export[n])
	}
	for n := range want.Deletion {
		one(fmt.Sprintf("deletion of %d ids", want.Deletion[n].IDs), got.Deletion[n], want.Deletion[n])
	}
	one("ingestion", got.Ingestion, want.Ingestion)
	one("a status", got.Status, want.Status)
	one("sweep", got.Sweep, want.Sweep)
}
