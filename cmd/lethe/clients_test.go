package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/peertest"
)

// The official clients for Node and Python send to the running program, and the
// archive of a retrieval has what they sent, property by property. That of the
// browser is driven in package api, where also what nobody exports is looked at.
func TestClientsAndTheArchive(t *testing.T) {
	const scripts = "../../testdata/clients/"
	for _, c := range []struct{ name, program, script, needs string }{
		{"node", "node", "node.js", scripts + "node_modules/mixpanel"},
		{"python", "../../.cache/clients/bin/python", "client.py", "../../.cache/clients/bin/python"},
	} {
		t.Run(c.name, func(t *testing.T) {
			peertest.Needs(t, "install-clients", c.needs)
			data := t.TempDir()
			p := startDemo(t, data)
			want := drive(t, p, data, c.program, scripts+c.script)
			task := p.submit(t, retrievals, want.ids()...)
			p.await(t, retrievals, task, "SUCCESS")
			want.compare(t, p.download(t, task))
		})
	}
}

// A wish is what a client's program prints: what its user expects to be stored.
type wish struct {
	Events []struct {
		Event      string  `json:"event"`
		DistinctID *string `json:"distinct_id"`
		Properties values  `json:"properties"`
	} `json:"events"`
	Profiles map[string]values `json:"profiles"`
}

// values are properties as they were written.
type values map[string]json.RawMessage

// drive runs a client's program against p, over HTTP and, by a proxy, over HTTPS.
func drive(t *testing.T, p *process, data, program, script string) (w wish) {
	t.Helper()
	target, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	defer proxy.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	demo, err := readDemo(data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, script)
	cmd.Env = append(os.Environ(), "HTTP_PROXY=", "HTTPS_PROXY=", "NODE_EXTRA_CA_CERTS="+ca, "REQUESTS_CA_BUNDLE="+ca,
		"LETHE_HTTP="+target.Host, "LETHE_HTTPS="+strings.TrimPrefix(proxy.URL, "https://"),
		"LETHE_TOKEN="+demo.ProjectToken, "LETHE_SECRET="+demo.APISecret, "LETHE_PROJECT="+demo.ProjectID,
		"LETHE_ACCOUNT="+demo.ServiceAccount, "LETHE_ACCOUNT_SECRET="+demo.ServiceSecret)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(out, &w); err != nil || len(w.Events) == 0 {
		t.Fatalf("%v in %.300s", err, out)
	}
	return w
}

// ids are all identifiers that something was sent for.
func (w wish) ids() []string {
	ids := slices.Collect(maps.Keys(w.Profiles))
	for _, e := range w.Events {
		if e.DistinctID != nil {
			ids = append(ids, *e.DistinctID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// compare reports what an archive lacks, has otherwise, or has too much.
func (w wish) compare(t *testing.T, file []byte) {
	t.Helper()
	type event struct {
		Event      string `json:"event"`
		Properties values `json:"properties"`
	}
	var events []event
	profiles := map[string]values{}
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		switch d := json.NewDecoder(r); {
		case strings.HasSuffix(f.Name, ".jsonl"):
			for d.More() {
				var e event
				if err := d.Decode(&e); err != nil {
					t.Fatalf("%s: %v", f.Name, err)
				}
				events = append(events, e)
			}
		case strings.HasPrefix(f.Name, "subjects/") && strings.HasSuffix(f.Name, "/profile.json"):
			var some []struct {
				DistinctID string `json:"$distinct_id"`
				Properties values `json:"$properties"`
			}
			if err := d.Decode(&some); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			for _, p := range some {
				profiles[p.DistinctID] = p.Properties
			}
		}
		r.Close()
	}
	for _, e := range w.Events {
		if e.DistinctID == nil {
			continue // it belongs to the sender's address, which nobody asked for
		}
		wanted := maps.Clone(e.Properties)
		wanted["distinct_id"], _ = json.Marshal(*e.DistinctID)
		at := slices.IndexFunc(events, func(x event) bool { return x.Event == e.Event && x.Properties.hold(wanted) })
		if at < 0 {
			t.Errorf("the archive lacks %s with %s", e.Event, wanted)
			continue
		}
		events = slices.Delete(events, at, at+1)
	}
	for _, e := range events {
		t.Errorf("the archive has one too many: %s with %s", e.Event, e.Properties)
	}
	for id, wanted := range w.Profiles {
		if got := profiles[id]; (got == nil) != (wanted == nil) || len(got) != len(wanted) || !got.hold(wanted) {
			t.Errorf("the profile of %s is\n%s, want\n%s", id, got, wanted)
		}
	}
}

func (v values) hold(some values) bool {
	for name, value := range some {
		if !bytes.Equal(plain(v[name]), plain(value)) {
			return false
		}
	}
	return true
}

// plain is JSON with its texts written in one way, and numbers as they were.
func plain(raw json.RawMessage) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil
	}
	out, _ := json.Marshal(v)
	return out
}

func (v values) String() string {
	b, _ := json.Marshal(map[string]json.RawMessage(v))
	return string(b)
}
