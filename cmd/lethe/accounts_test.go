package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"lethe/shared/local"
)

// must runs a command that must succeed, and returns what it prints.
func must(t *testing.T, args ...string) string {
	t.Helper()
	status, out, diag := lethe(t, args...)
	if status != 0 {
		t.Fatalf("%v: status %d %s", args, status, diag)
	}
	return out
}

// An empty directory gets its first owner by --owner, who can do everything from
// there on with what the program prints.
func TestFirstOwner(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, 3, "--owner"},
		{[]string{"--owner", "Pat <pat@example.com>"}, 2, "plain mail address"},
		{[]string{"--owner", "pat@example.com", "--demo"}, 2, "do not go together"},
	} {
		status, out, diag := lethe(t, append([]string{"serve", "--data", data}, c.args...)...)
		if status != c.status || out != "" || !strings.Contains(diag, c.says) {
			t.Errorf("%v: %d %q %q", c.args, status, out, diag)
		}
		if _, err := os.Stat(data); err == nil {
			t.Errorf("%v: made a directory", c.args)
		}
	}
	p := launch(t, "--data", data, "--listen", "127.0.0.1:0", "--owner", "pat@example.com")
	var said strings.Builder
	for !strings.Contains(said.String(), "GDPR API") {
		line, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %s %s", err, said.String(), p.log)
		}
		said.WriteString(line)
	}
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(said.String())
		if m == nil {
			t.Fatalf("%q is not in %s", pattern, said.String())
		}
		return m[1]
	}
	url, token, link := find(`ready at (\S+),`), find(`project token +(\S+)`), find(`15 minutes: +\S+/sign-in\?link=(\S+)`)
	p.URL, p.Token = url, token
	gdpr := strings.TrimSpace(must(t, "token", "make", "pat@example.com", "--data", data))
	if a := p.do(t, http.MethodGet, retrievals+"?token="+token, "", "Authorization", "Bearer "+gdpr); a.status != 200 {
		t.Errorf("the token that was made: %d %s", a.status, a.body)
	}
	a := p.do(t, http.MethodPost, "/api/app/session", `{"link":"`+link+`"}`)
	var in struct {
		Results struct{ Name, Session string }
	}
	if err := json.Unmarshal([]byte(a.body), &in); a.status != 201 || err != nil || in.Results.Name != "pat@example.com" {
		t.Errorf("the link that was printed: %d %s", a.status, a.body)
	}
	p.stop(t, syscall.SIGTERM)
	// The flag stays in a unit file; the next start goes on with what is there.
	p = launch(t, "--data", data, "--listen", "127.0.0.1:0", "--owner", "pat@example.com", "--json").ready(t)
	if a := p.do(t, http.MethodGet, "/api/app/me", "", "Authorization", "Bearer "+in.Results.Session); a.status != 200 {
		t.Errorf("the session after a new start: %d %s", a.status, a.body)
	}
	p.stop(t, syscall.SIGTERM)
}

// Accounts are administered on the machine by the socket of a server, and by the
// directory itself where none runs, with the same words.
func TestAdministration(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data)
	for _, running := range []bool{true, false} {
		if !running {
			p.kill(t) // its socket is left behind
		}
		with := func(args ...string) []string { return append(args, "--data", data) }
		if out := must(t, with("member", "set", "sam@example.com", "admin")...); !strings.Contains(out, "sam@example.com") {
			t.Errorf("member set: %s", out)
		}
		if out := must(t, with("member", "list", "--json")...); !strings.Contains(out, `"role": "admin"`) {
			t.Errorf("member list: %s", out)
		}
		token := strings.TrimSpace(must(t, with("token", "make", "sam@example.com")...))
		id := regexp.MustCompile(`(?m)^(\S+) +` + token[:17]).FindStringSubmatch(must(t, with("token", "list", "sam@example.com")...))
		if id == nil {
			t.Fatal("the token is not in the list")
		}
		next := strings.TrimSpace(must(t, with("token", "replace", "sam@example.com", id[1], "--overlap-days", "7")...))
		if !strings.HasPrefix(next, "lethe_gdpr_") || next == token {
			t.Errorf("token replace: %s", next)
		}
		link := must(t, with("sign-in", "sam@example.com")...)
		want := "http://127.0.0.1:8080/sign-in?link="
		if running {
			want = p.URL + "/sign-in?link="
		}
		if !strings.HasPrefix(link, want) {
			t.Errorf("sign-in: got %s, want %s…", link, want)
		}
		made := must(t, with("project", "make", "Shop", "--json")...)
		var shop struct {
			ID json.Number `json:"project_id"`
		}
		if err := json.Unmarshal([]byte(made), &shop); err != nil || shop.ID == "" {
			t.Fatalf("project make: %s, %v", made, err)
		}
		for _, args := range [][]string{
			{"project", "rename", "Store", "--project", shop.ID.String()},
			{"project", "rotate", "secret", "--project", shop.ID.String()},
			{"project", "transfer", "sam@example.com", "--project", shop.ID.String()},
			{"service-account", "make", "load", "analyst", "--project", shop.ID.String()},
			{"audit", "verify", "--project", shop.ID.String()},
			{"audit", "verify", "--organisation"},
			{"token", "revoke", "sam@example.com", id[1]},
		} {
			must(t, with(args...)...)
		}
		export := filepath.Join(t.TempDir(), "trail.jsonl")
		trail := must(t, with("audit", "export", "--organisation")...)
		if err := os.WriteFile(export, []byte(trail), 0o600); err != nil {
			t.Fatal(err)
		}
		if said := must(t, "audit", "verify", export); !strings.Contains(said, "Compare its number, "+strconv.Itoa(strings.Count(trail, "\n"))+",") {
			t.Errorf("an export: %s", said)
		}
		if status, out, _ := lethe(t, "audit", "verify", os.DevNull); status != 1 || !strings.Contains(out, "holds no entry") {
			t.Errorf("an empty file: %d %s", status, out)
		}
		if err := os.WriteFile(export, []byte(strings.Replace(trail, "sam@", "kim@", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, out, diag := lethe(t, "audit", "verify", export); status != 1 || !strings.Contains(out, "was changed") || !strings.Contains(diag, "not as it was written") {
			t.Errorf("a trail that was changed: %d %s %s", status, out, diag)
		}
		for _, c := range []struct {
			status int
			says   string
			args   []string
		}{
			{3, "give it a role first", []string{"sign-in", "nobody@example.com"}},
			{3, "written right", []string{"token", "revoke", "nobody@example.com", "0f3c5a7e9b1d2468"}},
			{3, "List the members", []string{"member", "remove", "nobody@example.com"}},
			{3, "last owner", []string{"member", "remove", "owner@demo.example"}},
			{3, "role must be", []string{"member", "set", "sam@example.com", "boss"}},
			{2, "--project", []string{"project", "rotate", "token"}},
			{3, "no project of the id", []string{"project", "rotate", "token", "--project", "7"}},
			{2, "takes EMAIL, and nothing was given", []string{"sign-in"}},
			{2, "cannot be read", []string{"audit", "verify", "no-such-file"}},
		} {
			status, out, diag := lethe(t, with(c.args...)...)
			if status != c.status || out != "" || !strings.Contains(diag, c.says) {
				t.Errorf("%v: status %d %q %q, want %d saying %q", c.args, status, out, diag, c.status, c.says)
			}
		}
		if out := must(t, with("member", "remove", "sam@example.com")...); !regexp.MustCompile(`owner +project `+shop.ID.String()+`\n`).MatchString(out) || !regexp.MustCompile(`admin +organisation\n`).MatchString(out) {
			t.Errorf("member remove: %s", out)
		}
		if status, _, _ := lethe(t, with("token", "make", "sam@example.com")...); status != 3 {
			t.Errorf("a token for who was removed: status %d", status)
		}
	}
	if status, _, diag := lethe(t, "member", "list", "--data", t.TempDir()); status != 3 || !strings.Contains(diag, "no data directory") {
		t.Errorf("an empty directory: %d %s", status, diag)
	}
	startDemo(t, data).stop(t, syscall.SIGTERM) // with more projects it is a demo still
}

// Commands without a server wait for one another, and not for long for a process that
// stays.
func TestCommandsAtOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data)
	p.stop(t, syscall.SIGTERM)
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			if status, _, diag := lethe(t, "member", "set", fmt.Sprintf("sam%d@example.com", n), "admin", "--data", data); status != 0 {
				t.Errorf("command %d: status %d %s", n, status, diag)
			}
		})
	}
	all.Wait()
	if got := strings.Count(must(t, "member", "list", "--data", data), "sam"); got != 6 {
		t.Errorf("%d of 6 members were set", got)
	}
	lock, err := local.LockDir(data)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if status, _, diag := lethe(t, "member", "list", "--data", data); status != 5 || !strings.Contains(diag, "in use") {
		t.Errorf("beside a process that stays: %d %s", status, diag)
	}
}

// What the trails call things is a noun and a verb.
func TestActions(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data, "--cancel-window", "0")
	p.await(t, retrievals, p.submit(t, retrievals, "user-0001"), "SUCCESS")
	p.await(t, deletions, p.submit(t, deletions, "user-0001"), "SUCCESS")
	p.await(t, deletions, p.submit(t, deletions, "nobody"), "FAILURE")
	must(t, "project", "rename", "Shop", "--data", data)
	link := must(t, "sign-in", demoOwner, "--data", data)
	_, link, _ = strings.Cut(strings.TrimSpace(link), "link=")
	if a := p.do(t, http.MethodPost, "/api/app/session", `{"link":"`+link+`"}`); a.status != http.StatusCreated {
		t.Errorf("sign in: %d %s", a.status, a.body)
	}
	trails := must(t, "audit", "export", "--data", data) + must(t, "audit", "export", "--organisation", "--data", data)
	actions := map[string]bool{}
	for _, found := range regexp.MustCompile(`"action":"([^"]*)"`).FindAllStringSubmatch(trails, -1) {
		actions[found[1]] = true
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$`).MatchString(found[1]) {
			t.Errorf("the action %q is no noun and verb", found[1])
		}
	}
	for _, want := range []string{"export.submit", "export.finish", "deletion.begin", "deletion.finish", "deletion.fail", "project.rename", "link.make", "session.begin"} {
		if !actions[want] {
			t.Errorf("no entry is called %s: %v", want, actions)
		}
	}
	p.stop(t, syscall.SIGTERM)
}

// The secret of a service account goes to the server that was named, and not where that
// sends calls on to.
func TestSecretsFollowNoRedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, secret, _ := r.BasicAuth(); secret != "" {
			t.Error("another server got the secret")
		}
	}))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	t.Setenv(secretVariable, "secret")
	var out, diag bytes.Buffer
	status := run([]string{"member", "list", "--url", server.URL, "--service-account", "any"}, &out, &diag)
	if status != statusRefused || !strings.Contains(diag.String(), "not followed") {
		t.Errorf("%d %q", status, diag.String())
	}
}

// What answers in place of Lethe is told in a sentence.
func TestAccountsOfNoLethe(t *testing.T) {
	t.Setenv(secretVariable, "secret")
	for answered, want := range map[int]struct {
		status int
		says   string
	}{
		200: {statusFailed, "did not answer as Lethe does"},
		404: {statusRefused, "answered 404 Not Found."},
		429: {statusUnfinished, "Run the command again later."},
		502: {statusFailed, "answered 502 Bad Gateway."},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answered)
			fmt.Fprint(w, "<p>secret</p>")
		}))
		var out, diag bytes.Buffer
		status := run([]string{"member", "list", "--url", server.URL, "--service-account", "any"}, &out, &diag)
		if status != want.status || !strings.Contains(diag.String(), want.says) || strings.Contains(diag.String(), "secret") {
			t.Errorf("%d: %d %q", answered, status, diag.String())
		}
		server.Close()
	}
}
