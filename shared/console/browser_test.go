package console_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/peertest"
)

// A person signs in with a real browser; testdata's console.js has what is looked at.
func TestSignInInABrowser(t *testing.T) {
	node, chromium := peertest.Program(t, "install-clients", "node"), peertest.Program(t, "install-clients", "chromium")
	peertest.Needs(t, "install-clients", clients+"/console.js") // so that the cache of go test sees it change
	peertest.Needs(t, "install-clients", clients+"/node_modules/playwright-core")
	peertest.Needs(t, "install-clients", clients+"/node_modules/axe-core")
	s := newSite(t, "", "LETHE_AUTH=none")
	// The provider, at another name, is another site.
	s.url = strings.Replace(s.url, "127.0.0.1", "localhost", 1)
	s.env = append(s.env, "LETHE_CALLBACK="+s.url+console.CallbackPath)
	s.parts.PublicURL = s.url
	s.show()
	s.provide(t)
	var links []string
	for range 16 {
		links = append(links, dsr.LinkURL(s.url, s.link(pat)))
	}
	list, err := json.Marshal(links)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, clients+"/console.js")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its browser first
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "LETHE_CHROMIUM="+chromium, "LETHE_SITE="+s.url, "LETHE_LINKS="+string(list))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\nthe server says:\n%s", err, out, s.log)
	}
}
