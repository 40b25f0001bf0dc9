package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The commands tell of executions the same with a server and without one, and name
// nobody.
func TestExecutions(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data, "--cancel-window", "1h")
	export, deletion := p.submit(t, retrievals, "user-0001"), p.submit(t, deletions, "user-0002")
	p.await(t, retrievals, export, "SUCCESS")
	p.await(t, deletions, deletion, "STAGING")
	look := func(args ...string) string {
		t.Helper()
		status, out, diag := lethe(t, append(args, "--data", data)...)
		if status != 0 {
			t.Fatalf("%v: status %d %s", args, status, diag)
		}
		if strings.Contains(out, "user-000") {
			t.Errorf("%v names a person", args)
		}
		return out
	}
	check := func() {
		t.Helper()
		list := look("executions")
		for _, want := range []string{export + "-1  export     SUCCEEDED", deletion + "-1  deletion   RUNNING"} {
			if !strings.Contains(strings.Join(strings.Fields(list), " "), strings.Join(strings.Fields(want), " ")) {
				t.Errorf("the list lacks %q:\n%s", want, list)
			}
		}
		if n := strings.Count(look("executions", "--limit", "1"), "\n"); n != 2 {
			t.Errorf("--limit 1 prints %d lines, want a heading and one", n)
		}
		one := look("execution", deletion+"-1")
		for _, want := range []string{"stands at", "CancelWindow since ", ", until ", "ExecutionStarted", "WaitStateEntered"} {
			if !strings.Contains(one, want) {
				t.Errorf("the story of the deletion lacks %q:\n%s", want, one)
			}
		}
		var story struct {
			Status  string
			Where   []any
			History []struct{ Type string }
		}
		if err := json.Unmarshal([]byte(look("execution", export+"-1", "--json")), &story); err != nil || story.Status != "SUCCEEDED" || len(story.Where) > 0 ||
			story.History[len(story.History)-1].Type != "ExecutionSucceeded" {
			t.Errorf("the story of the export: %+v, %v", story, err)
		}
		if status, out, diag := lethe(t, "execution", "nothing-1", "--data", data); status != 3 || out != "" || !strings.Contains(diag, "lethe executions lists them") {
			t.Errorf("one that is not there: %d %q %q", status, out, diag)
		}
	}
	check()
	p.stop(t, syscall.SIGTERM)
	check()
	if status, _, diag := lethe(t, "executions", "--data", data, "--limit", "0"); status != 2 || !strings.Contains(diag, "--limit") {
		t.Errorf("--limit 0: %d %q", status, diag)
	}
}
