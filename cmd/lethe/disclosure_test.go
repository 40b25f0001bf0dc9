package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ask makes a request under the CCPA and awaits its end.
func (p *process) ask(t *testing.T, calls, disclosure, window string) map[string]any {
	t.Helper()
	body := `{"distinct_ids":["cora"],"compliance_type":"CCPA","disclosure_type":"` + disclosure + `"` + window + `}`
	status, results := p.gdpr(t, http.MethodPost, calls, body)
	for tries := 0; status == http.StatusTooManyRequests && tries < 50; tries++ {
		time.Sleep(100 * time.Millisecond)
		status, results = p.gdpr(t, http.MethodPost, calls, body)
	}
	task, _ := results["task_id"].(string)
	if status != http.StatusCreated || task == "" {
		t.Fatalf("submit: got %d %v, want 201 and a task_id", status, results)
	}
	p.await(t, calls, task, "SUCCESS")
	return results
}

// A Californian asks for the last year, for the kinds of data and for its sources,
// and has sources and categories erased, one after the other: nothing of either is
// left on the disk, and what is not to go stays.
func TestDisclosureTypes(t *testing.T) {
	data := t.TempDir()
	p := startDemo(t, data, "--cancel-window", "0")
	event := func(insert string, at time.Time, mark string) sent {
		return sent{"mark-of-name", map[string]any{"time": at.Unix(), "$insert_id": insert, "distinct_id": "cora", "mark": mark, "$os": "mark-of-platform"}}
	}
	p.importEvents(t, event("1", time.Now().AddDate(-2, 0, 0), "mark-of-old"), event("2", time.Now().AddDate(0, -2, 0), "mark-of-new"))
	archived := func(disclosure, window string) []byte {
		return p.download(t, p.ask(t, retrievals, disclosure, window)["task_id"].(string))
	}
	if x := unpack(t, archived("Data", "")); !x.has("mark", "mark-of-new") || x.has("mark", "mark-of-old") {
		t.Error("an export under the CCPA does not hold the last twelve months")
	}
	if x := unpack(t, archived("Data", `,"window":"all"`)); !x.has("mark", "mark-of-new") || !x.has("mark", "mark-of-old") {
		t.Error("an export of all does not hold all")
	}
	archived("Categories", "")
	archived("Sources", `,"window":{"from":"2001-01-01"}`)

	p.ask(t, deletions, "Sources", "")
	if found := holding(t, data, "mark-of-platform"); len(found) > 0 {
		t.Errorf("still there after the deletion of sources: %s", strings.Join(found, ", "))
	}
	if x := unpack(t, archived("Data", `,"window":"all"`)); !x.has("mark", "mark-of-new") || !x.has("mark", "mark-of-old") {
		t.Error("the deletion of sources took more than them")
	}
	p.ask(t, deletions, "Categories", "")
	p.stop(t, syscall.SIGTERM)
	if found := holding(t, data, "mark-of-old", "mark-of-new", "mark-of-platform"); len(found) > 0 {
		t.Errorf("still there after the deletion of categories: %s", strings.Join(found, ", "))
	}
	if found := holding(t, data, "mark-of-name"); len(found) == 0 {
		t.Error("the names of events went too")
	}
}
