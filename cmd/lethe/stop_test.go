package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// half sends the first half of an import and returns what sends the rest and
// reads the answer.
func (p *process) half(t *testing.T) (finish func() (*http.Response, error)) {
	t.Helper()
	host := strings.TrimPrefix(p.URL, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	const body = `[{"event":"Slow","properties":{"distinct_id":"slow","time":1700000000,"$insert_id":"slow-1"}}]`
	head := fmt.Sprintf("POST /import?strict=1&project_id=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		p.ProjectID, host, basic(p.Secret), len(body))
	if _, err := io.WriteString(c, head+body[:40]); err != nil {
		t.Fatal(err)
	}
	// Another request on another connection: once it is answered, so is the first
	// one under way.
	p.do(t, http.MethodGet, "/health", "")
	return func() (*http.Response, error) {
		if _, err := io.WriteString(c, body[40:]); err != nil {
			return nil, err
		}
		return http.ReadResponse(bufio.NewReader(c), nil)
	}
}

func basic(user string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, "")
	_, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return encoded
}

func TestStoppingLetsRequestsFinish(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data)
	finish := p.half(t)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for connects(p) {
		time.Sleep(time.Millisecond)
	}
	got, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(got.Body)
		t.Errorf("got %s %s, want 200", got.Status, b)
	}
	if status, _ := p.end(t); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	p = startDemo(t, data)
	if got, want := p.eventsOf(t, "slow"), 1; got != want {
		t.Errorf("after a new start: got %d events of that request, want %d", got, want)
	}
	p.stop(t, syscall.SIGTERM)
}

// connects reports whether the server still takes new connections.
func connects(p *process) bool {
	c, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func TestSecondCtrlCEndsAtOnce(t *testing.T) {
	p := startDemo(t, filepath.Join(t.TempDir(), "data"))
	p.half(t) // keeps the first one waiting
	ended := make(chan *exec.ExitError, 1)
	go func() {
		err := p.cmd.Wait()
		exit, _ := err.(*exec.ExitError)
		ended <- exit
	}()
	begun := time.Now()
	for {
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		select {
		case exit := <-ended:
			if took := time.Since(begun); took > drainTime/2 {
				t.Errorf("it took %v", took)
			}
			if exit == nil || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Errorf("got %v, want the process ended by the signal", exit)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// What Ctrl-C stops ends as not finished, whichever command it is.
func TestWhatIsStoppedIsNotFinished(t *testing.T) {
	dir := t.TempDir()
	data, archive := filepath.Join(dir, "data"), filepath.Join(dir, "archive.zip")
	p := startDemo(t, data)
	if err := os.WriteFile(archive, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, args := range [][]string{
		{"executions", "--data", data}, {"execution", "any-1", "--data", data}, {"backup", filepath.Join(dir, "backup"), "--data", data},
		{"member", "list", "--data", data}, {"open", "--verify", archive}, {"doctor"}, {"list"},
	} {
		t.Setenv("LETHE_URL", p.URL)
		t.Setenv("LETHE_PROJECT_TOKEN", p.Token)
		t.Setenv("LETHE_TOKEN", p.GDPR)
		if args[0] == "member" {
			t.Setenv("LETHE_URL", "")
		}
		c := command()
		c.SetArgs(args)
		c.SetOut(io.Discard)
		c.SetErr(io.Discard)
		var f failure
		if err := c.ExecuteContext(stopped); !errors.As(err, &f) || f.status != statusUnfinished {
			t.Errorf("%v: got %v", args, err)
		}
	}
}
