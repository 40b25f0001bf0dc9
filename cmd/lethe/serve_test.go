package main

import (
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestDemoIsMadeOnceAndGoesOn(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first := startDemo(t, data)
	if first.URL == "" || first.Token == "" || first.Secret == "" || first.GDPR == "" || first.ProjectID == "" {
		t.Fatalf("got %s, want url, project_id, project_token, api_secret and gdpr_token", first.line)
	}
	if strings.Count(first.line, "project_id\":"+first.ProjectID.String()) != 1 {
		t.Errorf("got %s, want project_id as a number", first.line)
	}
	task := first.submit(t, retrievals, "user-0001")
	first.await(t, retrievals, task, "SUCCESS")
	before := unpack(t, first.download(t, task))
	if len(before.events) == 0 || len(before.profiles) == 0 {
		t.Fatalf("got %d events and %d profiles of a demo user, want some", len(before.events), len(before.profiles))
	}
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: got mode %o, want nothing for others", path, info.Mode().Perm())
		}
		if err == nil && !e.IsDir() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %o, want 600", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	first.stop(t, syscall.SIGINT)

	second := startDemo(t, data)
	if after(first.line) != after(second.line) {
		t.Errorf("second start: got %s, want the credentials of %s", second.line, first.line)
	}
	again := second.submit(t, retrievals, "user-0001")
	second.await(t, retrievals, again, "SUCCESS")
	if got, want := unpack(t, second.download(t, again)), before; !sameEvents(got.events, want.events) {
		t.Errorf("after a second start: got %d events, want the %d of before", len(got.events), len(want.events))
	}
	if _, results := second.gdpr(t, http.MethodGet, retrievals+task+"/", ""); results["status"] != "SUCCESS" {
		t.Errorf("the request of the first start: got %v, want SUCCESS", results["status"])
	}
	second.stop(t, syscall.SIGTERM)

	// Without --demo the directory works as any other, and no credentials are told.
	third := launch(t, "--json", "--listen", "127.0.0.1:0", "--data", data).ready(t)
	if got, want := strings.TrimSpace(third.line), `{"url":"`+third.URL+`"}`; got != want {
		t.Errorf("without --demo: got %s, want %s", got, want)
	}
	third.stop(t, syscall.SIGTERM)
}

// after cuts the address off, which changes from start to start.
func after(line string) string {
	_, rest, _ := strings.Cut(line, ",")
	return rest
}

// A demo that a crash cut off while it was made is finished by the next start.
func TestDemoIsFinishedAfterACrash(t *testing.T) {
	whole := startDemo(t, filepath.Join(t.TempDir(), "whole"))
	want := whole.eventsOf(t, "user-0300")
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, "--demo", "--json", "--listen", "127.0.0.1:0", "--data", data)
	for !exists(filepath.Join(data, "demo.json")) {
		if status := syscall.Kill(p.cmd.Process.Pid, 0); status != nil {
			t.Fatalf("the server ended: %s", p.log)
		}
	}
	p.kill(t)
	p = startDemo(t, data)
	if got := p.eventsOf(t, "user-0300"); got != want {
		t.Errorf("got %d events, want %d", got, want)
	}
	p.stop(t, syscall.SIGTERM)
}

func (p *process) eventsOf(t *testing.T, id string) int {
	t.Helper()
	task := p.submit(t, retrievals, id)
	p.await(t, retrievals, task, "SUCCESS")
	return len(unpack(t, p.download(t, task)).events)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What a person meets who starts twice, or where something else runs.
func TestRefusals(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	running := startDemo(t, data)
	address := strings.TrimPrefix(running.URL, "http://")
	foreign := filepath.Join(t.TempDir(), "foreign")
	copyDir(t, foreign, data, running)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	running = startDemo(t, data, "--listen", address)
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"directory in use", []string{"--demo", "--listen", "127.0.0.1:0", "--data", data}, 5, `is in use by another process \(\d+\): .*--data`},
		{"port in use", []string{"--demo", "--listen", taken.Addr().String(), "--data", filepath.Join(t.TempDir(), "new")}, 6, `in use by another process: .*--listen`},
		{"another project", []string{"--demo", "--listen", "127.0.0.1:0", "--data", foreign}, 3, `holds other projects.*--data`},
	} {
		p := launch(t, c.args...)
		status, out := p.end(t)
		if status != c.status || out != "" {
			t.Errorf("%s: got status %d and output %q, want %d and none", c.name, status, out, c.status)
		}
		lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
		if said := lines[len(lines)-1]; !regexp.MustCompile(c.says).MatchString(said) || !strings.HasPrefix(said, "lethe: ") {
			t.Errorf("%s: got %q, want it to say %q", c.name, said, c.says)
		}
	}
	// The one that runs was not disturbed.
	running.eventsOf(t, "user-0001")
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", address + ".evil.example"} {
		if a := running.do(t, http.MethodGet, "/health", "", "Host", host); a.status < 400 {
			t.Errorf("Host %s: got %d, want it refused", host, a.status)
		}
	}
	running.stop(t, syscall.SIGTERM)
}

// copyDir stops the server on from, so that its files are at rest, and makes a
// copy of them that is not a demo: it has another project than its demo.json says.
func copyDir(t *testing.T, to, from string, p *process) {
	t.Helper()
	p.stop(t, syscall.SIGTERM)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(to, "demo.json")); err != nil {
		t.Fatal(err)
	}
}

// The lines that a start prints do what they say when pasted into a shell.
func TestPrintedLinesWork(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, "--demo", "--listen", "127.0.0.1:0", "--data", data)
	var lines []string
	for len(lines) < 4 {
		line, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatalf("got %d lines to paste, want 4: %v\n%s", len(lines), err, p.log)
		}
		if strings.Contains(line, "curl ") || strings.HasPrefix(line, "LETHE_TOKEN=") {
			lines = append(lines, line)
		}
	}
	shell := exec.Command("sh", "-e", "-c", strings.Join(lines, "\n"))
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "HOME="+shell.Dir, "XDG_CONFIG_HOME="+shell.Dir) // where profiles are kept
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, strings.Join(lines, "\n"), out)
	}
	if !strings.Contains(string(out), "Fetched and verified: person.zip") {
		t.Errorf("got %s, want the archive to be fetched", out)
	}
	if !strings.Contains(string(out), `"status":1`) {
		t.Errorf("got %s, want the event to be taken", out)
	}
	file, err := os.ReadFile(filepath.Join(shell.Dir, "export.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if x := unpack(t, file); len(x.events) < 10 || !x.has("path", "/from-curl") {
		t.Errorf("got %d events in the export, want the demo's and the one just sent", len(x.events))
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.end(t); status != 0 {
		t.Errorf("after Ctrl-C: got status %d, want 0", status)
	}
}

// The flow in the README does what it says when pasted into a shell.
func TestReadmeFlowWorks(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```sh\n")
	block, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the README has no block of sh")
	}
	p := startDemo(t, filepath.Join(t.TempDir(), "data"), "--cancel-window", "1s")
	values := strings.NewReplacer("http://127.0.0.1:8080", p.URL, "PROJECT_TOKEN", p.Token, "GDPR_TOKEN", p.GDPR)
	shell := exec.Command("sh", "-e", "-c", values.Replace(block))
	shell.Dir = t.TempDir()
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.ReadFile(filepath.Join(shell.Dir, "export.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if x := unpack(t, file); len(x.events) != 1 || !x.has("mood", "good") {
		t.Errorf("got %v in the export, want the one event", x.events)
	}
	// Asked for at once, a deletion is PENDING for some milliseconds before it is
	// STAGING.
	if !regexp.MustCompile(`"tracking_id":"[^"]*","status":"(PENDING|STAGING)","requesting_user"`).Match(out) {
		t.Errorf("got %s, want the status of a deletion that has not begun", out)
	}
	for _, want := range []string{`"status":1`, `"sha256"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("got %s, want it to contain %s", out, want)
		}
	}
}
