package asl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lethe/shared/asl"
	"lethe/shared/kind"
	"lethe/shared/local"
)

const (
	killedRuns = 300 // executions
	killsFrom  = "LETHE_TEST_EXECUTIONS"
)

// killed goes through a wait, a task that may run again, iterations and branches.
const killed = `{"StartAt":"Wait","States":{
	"Wait":{"Type":"Wait","SecondsPath":"$.wait","Next":"Double"},
	"Double":{"Type":"Task","Resource":"${Double}","ResultPath":"$.doubled","Next":"Each"},
	"Each":{"Type":"Map","ItemsPath":"$.items","MaxConcurrency":2,"ItemProcessor":{"StartAt":"Again","States":{
		"Again":{"Type":"Task","Resource":"${Double}","Next":"Both"},
		"Both":{"Type":"Parallel","Branches":[
			{"StartAt":"Left","States":{"Left":{"Type":"Pass","End":true}}},
			{"StartAt":"Right","States":{"Right":{"Type":"Task","Resource":"${Double}","End":true}}}],"End":true}}},
		"ResultPath":"$.each","End":true}}}`

// double waits a little, so that a kill finds it at work.
func double(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
	select {
	case <-ctx.Done():
		return nil, kind.E(kind.Unavailable, "double", ctx.Err())
	case <-time.After(time.Duration(rand.Int64N(int64(5 * time.Millisecond)))):
	}
	var n int
	if err := json.Unmarshal(in, &n); err != nil {
		var object struct{ N int }
		if err := json.Unmarshal(in, &object); err != nil {
			return nil, kind.E(kind.Invalid, "double")
		}
		n = object.N
	}
	return json.Marshal(2 * n)
}

func openKilled(t *testing.T, dir string) (*asl.Engine, *local.DB) {
	t.Helper()
	m, err := asl.Load("m", []byte(killed), map[string]string{"Double": "arn:double"})
	if err != nil {
		t.Fatal(err)
	}
	db, err := local.OpenDB(filepath.Join(dir, "lethe.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	e, err := asl.New(db.Table("workflow"), time.Now, slog.New(slog.DiscardHandler), map[string]asl.Task{"arn:double": double}, m)
	if err != nil {
		t.Fatal(err)
	}
	return e, db
}

// TestExecutionsOfAProcess is the process that TestKilledProcess kills: it starts
// what was not started, and ends when every execution has.
func TestExecutionsOfAProcess(t *testing.T) {
	dir := os.Getenv(killsFrom)
	if dir == "" {
		return // by itself it has nothing to do
	}
	e, db := openKilled(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for n := range killedRuns {
		name := fmt.Sprint("x-", n)
		if _, err := e.Describe(ctx, "m", name); kind.Of(err) != kind.NotFound {
			continue // it has to be resumed by itself
		}
		input := fmt.Sprintf(`{"n":%d,"wait":%d,"items":[%d,%d,%d]}`, n, n%2, n, n+1, n+2)
		if err := e.Start(ctx, "m", name, json.RawMessage(input)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		next, err := e.Idle(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if next.IsZero() {
			break
		}
		time.Sleep(time.Until(next))
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A process with hundreds of executions is killed again and again, and in the end
// each has ended once, with the right result.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	kills := 0
	for alive := true; alive; {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExecutionsOfAProcess$")
		c.Env = append(os.Environ(), killsFrom+"="+dir)
		out := &bytes.Buffer{}
		c.Stdout, c.Stderr = out, out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		life := time.Duration(30+rand.Int64N(150)) * time.Millisecond
		if kills >= 60 {
			life = time.Minute
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("the process ended by itself: %v\n%s", err, out)
			}
			alive = false
		case <-time.After(life):
			_ = c.Process.Kill()
			<-ended
			kills++
		}
	}
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("the process was never killed")
	}
	e, db := openKilled(t, dir)
	defer db.Close()
	for n := range killedRuns {
		name := fmt.Sprint("x-", n)
		x, err := e.Describe(t.Context(), "m", name)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"doubled":%d,"each":[[%d,%d],[%d,%d],[%d,%d]],"items":[%d,%d,%d],"n":%d,"wait":%d}`,
			2*n, 2*n, 4*n, 2*n+2, 4*n+4, 2*n+4, 4*n+8, n, n+1, n+2, n, n%2)
		var got any
		if err := json.Unmarshal(x.Output, &got); err != nil {
			t.Fatalf("%s is %s: %v", name, x.Status, err)
		}
		if text, err := json.Marshal(got); err != nil || string(text) != want || x.Status != asl.Succeeded {
			t.Errorf("%s: %s %s, want %s", name, x.Status, text, want)
		}
		history, err := e.History(t.Context(), "m", name)
		if err != nil {
			t.Fatal(err)
		}
		ends := 0
		for i, event := range history {
			if event.ID != int64(i+1) {
				t.Fatalf("%s: event %d has the number %d", name, i+1, event.ID)
			}
			if event.Type == "ExecutionSucceeded" {
				ends++
			}
		}
		if ends != 1 || history[len(history)-1].Type != "ExecutionSucceeded" {
			t.Errorf("%s ended %d times", name, ends)
		}
	}
}
