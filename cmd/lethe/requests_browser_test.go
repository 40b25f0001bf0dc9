package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lethe/shared/peertest"
)

// A person makes exports and deletions with a real browser, and watches them until
// they are done; testdata's requests.js has what is looked at. The files that were
// downloaded hold whom they were asked for.
func TestRequestsInABrowser(t *testing.T) {
	const scripts = "../../testdata/clients/"
	node, chromium := peertest.Program(t, "install-clients", "node"), peertest.Program(t, "install-clients", "chromium")
	for _, file := range []string{"requests.js", "node_modules/playwright-core", "node_modules/axe-core"} {
		peertest.Needs(t, "install-clients", scripts+file)
	}
	pictures, err := filepath.Abs("../../.cache/screenshots")
	if err == nil {
		err = os.MkdirAll(pictures, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, out := filepath.Join(t.TempDir(), "data"), t.TempDir()
	p := startDemo(t, data, "--cancel-window", "1m") // in which two pages are looked at, on a machine with much else to do
	people := []string{"user-0001", "user-0002", "user-0003", "user-0004", "user-0005", "user-0006", "user-0007", "user-0008", "user-0009"}
	var many []string // of whom together is more than the hundredth part of the project
	for n := range 40 {
		many = append(many, fmt.Sprintf("user-%04d", 20+n))
	}
	var links [][]string
	for _, person := range []string{demoOwner, "sam@demo.example", "kim@demo.example"} {
		if person != demoOwner { // they have no GDPR token, and make one with the first form
			must(t, "member", "set", person, "admin", "--data", data)
		}
		var own []string
		for range 3 {
			own = append(own, strings.TrimSpace(must(t, "sign-in", person, "--data", data)))
		}
		links = append(links, own)
	}
	env := []string{"LETHE_CHROMIUM=" + chromium, "LETHE_SITE=" + p.URL, "LETHE_OUT=" + out, "LETHE_SCREENSHOTS=" + pictures}
	for name, list := range map[string]any{"LETHE_PEOPLE": people, "LETHE_LINKS": links, "LETHE_MANY": many} {
		all, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+string(all))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, scripts+"requests.js")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its browser first
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\nthe server says:\n%s", err, said, p.log)
	}
	for i, name := range []string{"light", "dark", "plain"} {
		for kind, ids := range map[string][]string{"single": people[3*i : 3*i+1], "several": people[3*i+1 : 3*i+3]} {
			file, err := os.ReadFile(filepath.Join(out, kind+"-"+name+".zip"))
			if err != nil {
				t.Fatal(err)
			}
			x := unpack(t, file)
			if len(x.events) == 0 {
				t.Errorf("%s, %s: the file has no event", name, kind)
			}
			for _, id := range ids {
				if !x.has("distinct_id", id) {
					t.Errorf("%s, %s: the file has nothing of %s", name, kind, id)
				}
			}
		}
	}
	p.stop(t, syscall.SIGTERM)
}
