package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/peertest"
)

// An owner manages everything with a real browser; testdata's members.js has what is
// looked at.
func TestProjectsAndPeopleInABrowser(t *testing.T) {
	node, chromium := peertest.Program(t, "install-clients", "node"), peertest.Program(t, "install-clients", "chromium")
	peertest.Needs(t, "install-clients", clients+"/members.js") // so that the cache of go test sees it change
	peertest.Needs(t, "install-clients", clients+"/node_modules/playwright-core")
	peertest.Needs(t, "install-clients", clients+"/node_modules/axe-core")
	w := newWorld(t)
	server := httptest.NewUnstartedServer(nil)
	w.parts.PublicURL = "http://" + server.Listener.Addr().String()
	w.store.days = someDays
	server.Config.Handler = console.New(w.parts)
	server.Start()
	defer server.Close()
	for i, kind := range []dsr.Type{dsr.Export, dsr.Deletion, dsr.Deletion} {
		r, err := w.service.Submit(t.Context(), dsr.Submission{
			Project: w.ProjectID, ProjectName: "Shop", Type: kind, IDs: []string{fmt.Sprint("user-", i)}, Compliance: dsr.GDPR, Disclosure: dsr.Data, By: dsr.By{Actor: pat},
		})
		if err == nil && i == 2 {
			_, err = w.service.Cancel(t.Context(), w.ProjectID, r.Task, dsr.By{Actor: pat})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var links []string
	for range 3 {
		links = append(links, dsr.LinkURL(server.URL, w.link(pat)))
	}
	list, err := json.Marshal(links)
	if err != nil {
		t.Fatal(err)
	}
	shots, err := filepath.Abs("../../.cache/screenshots/members")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, clients+"/members.js")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its browser first
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "LETHE_CHROMIUM="+chromium, "LETHE_SITE="+server.URL, "LETHE_LINKS="+string(list), "LETHE_PROJECT="+w.ProjectID, "LETHE_SHOTS="+shots)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\nthe server says:\n%s", err, out, w.log)
	}
}

// someDays is what a project took in on each of some days.
func someDays(_ string, from, to time.Time) []dsr.Day {
	var days []dsr.Day
	for i := int64(0); !from.After(to); i++ {
		days = append(days, dsr.Day{Date: from.Format(time.DateOnly), Stored: i * i % 170, OptedOut: i % 3, Late: i % 2})
		from = from.AddDate(0, 0, 1)
	}
	return days
}
