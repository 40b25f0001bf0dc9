package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a running lethe serve.
type process struct {
	URL       string      `json:"url"`
	ProjectID json.Number `json:"project_id"`
	Token     string      `json:"project_token"`
	Secret    string      `json:"api_secret"`
	GDPR      string      `json:"gdpr_token"`

	line string // as it stood on standard output
	cmd  *exec.Cmd
	log  *log
	out  *bufio.Reader
}

// log collects what a process writes while a test reads it.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launch starts lethe serve with args and does not wait for it.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	return launchProgram(t, "lethe", args...)
}

func launchProgram(t *testing.T, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, append([]string{"serve"}, args...)...), log: &log{}}
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", p.log)
		}
	})
	return p
}

// ready waits for the line of JSON of a process that was launched with --json.
func (p *process) ready(t *testing.T) *process {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not get ready: %v\n%s", err, p.log)
	}
	p.line = line
	if err := json.Unmarshal([]byte(line), p); err != nil {
		t.Fatalf("got %q, want one line of JSON: %v", line, err)
	}
	return p
}

// startDemo starts a demo on a free port and waits until it is ready.
func startDemo(t *testing.T, data string, args ...string) *process {
	t.Helper()
	return launch(t, append([]string{"--demo", "--json", "--listen", "127.0.0.1:0", "--data", data}, args...)...).ready(t)
}

// end waits for the process and returns its exit status, and what else it wrote
// on standard output.
func (p *process) end(t *testing.T) (status int, rest string) {
	t.Helper()
	b, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	err = p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode(), string(b)
}

// stop ends the process by a signal, which must leave it with status 0 and
// nothing more to say to programs.
func (p *process) stop(t *testing.T, by syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	status, rest := p.end(t)
	if status != 0 || rest != "" {
		t.Fatalf("after %v: got status %d and output %q, want 0 and none\n%s", by, status, rest, p.log)
	}
}

// kill ends the process as a power cut would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.end(t)
}

// An answer of the server, its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request. It does not follow redirects.
func (p *process) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	a, err := p.try(t, method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (p *process) try(t *testing.T, method, path, body string, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	got, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, b}, err
}

// gdpr calls the GDPR API and decodes results.
func (p *process) gdpr(t *testing.T, method, path, body string) (status int, results map[string]any) {
	t.Helper()
	a := p.do(t, method, path+"?token="+p.Token, body, "Authorization", "Bearer "+p.GDPR)
	if len(a.body) == 0 {
		return a.status, nil
	}
	var decoded struct{ Results map[string]any }
	if err := json.Unmarshal(a.body, &decoded); err != nil {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a.status, decoded.Results
}

const (
	retrievals = "/api/app/data-retrievals/v3.0/"
	deletions  = "/api/app/data-deletions/v3.0/"
)

// submit makes a request, when the limit of one a second lets it, and returns its
// task id.
func (p *process) submit(t *testing.T, calls string, ids ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"distinct_ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	status, results := p.gdpr(t, http.MethodPost, calls, string(body))
	for tries := 0; status == http.StatusTooManyRequests && tries < 50; tries++ {
		time.Sleep(100 * time.Millisecond)
		status, results = p.gdpr(t, http.MethodPost, calls, string(body))
	}
	task, _ := results["task_id"].(string)
	if status != http.StatusCreated || task == "" {
		t.Fatalf("submit: got %d %v, want 201 and a task_id", status, results)
	}
	return task
}

// await waits until a request has that status.
func (p *process) await(t *testing.T, calls, task, want string) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		_, results := p.gdpr(t, http.MethodGet, calls+task+"/", "")
		switch got := results["status"]; {
		case got == want:
			return results
		case got == "SUCCESS" || got == "FAILURE" || got == "REVOKED" || time.Now().After(deadline):
			t.Fatalf("request %s: got %v, want %s\n%s", task, got, want, p.log)
		}
	}
}

// download returns the archive of a retrieval by way of its stable address.
func (p *process) download(t *testing.T, task string) []byte {
	t.Helper()
	a := p.do(t, http.MethodGet, retrievals+task+"/download?token="+p.Token, "", "Authorization", "Bearer "+p.GDPR)
	if a.status/100 != 3 {
		t.Fatalf("download: got %d %s, want a redirect", a.status, a.body)
	}
	return p.fetch(t, a.header.Get("Location"))
}

// fetch gets a link of a file.
func (p *process) fetch(t *testing.T, link string) []byte {
	t.Helper()
	path, ours := strings.CutPrefix(link, p.URL)
	if !ours {
		t.Fatalf("got the link %q, want one to %s", link, p.URL)
	}
	a := p.do(t, http.MethodGet, path, "")
	if a.status != http.StatusOK {
		t.Fatalf("link: got %d %s, want 200", a.status, a.body)
	}
	return a.body
}
