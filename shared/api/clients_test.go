package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/peertest"
	"lethe/shared/table"
)

// The official clients, as .ci/install-clients installs them, send to a running
// server; what they sent is what an export returns.
const clients = "../../testdata/clients"

func TestNodeClient(t *testing.T) {
	peertest.Needs(t, "install-clients", clients+"/node_modules/mixpanel")
	node := peertest.Program(t, "install-clients", "node")
	d := newDesk(t)
	d.drive(node, clients+"/node.js")
	d.check()
}

func TestPythonClient(t *testing.T) {
	python := "../../.cache/clients/bin/python"
	peertest.Needs(t, "install-clients", python)
	d := newDesk(t)
	d.drive(python, clients+"/client.py")
	d.check()
}

func TestBrowserClient(t *testing.T) {
	peertest.Needs(t, "install-clients", clients+"/node_modules/mixpanel-browser")
	peertest.Needs(t, "install-clients", clients+"/node_modules/playwright-core")
	node, chromium := peertest.Program(t, "install-clients", "node"), peertest.Program(t, "install-clients", "chromium")
	d := newDesk(t)
	library := clients + "/node_modules/mixpanel-browser/dist/mixpanel.umd.js"
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mixpanel.js" {
			http.ServeFile(w, r, library)
			return
		}
		_, _ = io.WriteString(w, `<!doctype html><meta charset="utf-8"><title>A shop</title><script src="/mixpanel.js"></script>`)
	}))
	t.Cleanup(page.Close)
	d.env = append(d.env, "LETHE_CHROMIUM="+chromium, "LETHE_PAGE="+strings.Replace(page.URL, "127.0.0.1", "localhost", 1)+"/shop?utm_source=mail")
	d.drive(node, clients+"/browser.js")
	d.check()
}

// A desk is a running server with one project, which notes what comes in.
type desk struct {
	t *testing.T
	account.Credentials
	table  *table.Memory
	store  *events.Store
	env    []string
	want   expectations
	stderr bytes.Buffer
}

// expectations are what a client's program prints: what its user would expect.
type expectations struct {
	Events []struct {
		Event      string  `json:"event"`
		DistinctID *string `json:"distinct_id"`
		Properties object  `json:"properties"`
	} `json:"events"`
	Profiles map[string]object `json:"profiles"`
	Groups   map[string]object `json:"groups"`
}

// An object's values are JSON as it was written, without white space.
type object map[string]json.RawMessage

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, table: table.NewMemory(time.Now)}
	accounts := account.New(table.NewMemory(time.Now), time.Now)
	var err error
	if d.Credentials, err = accounts.Found(t.Context(), account.Founding{OwnerEmail: "pat@example.com"}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&d.stderr, nil))
	d.store = events.New(d.table, kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}, time.Now)
	handler := api.New(api.Parts{Ingestion: api.NewIngestion(accounts, d.store, nil, time.Now, log), Clock: time.Now, Log: log})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)

	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = append(os.Environ(), "HTTP_PROXY=", "HTTPS_PROXY=", "NODE_EXTRA_CA_CERTS="+ca, "REQUESTS_CA_BUNDLE="+ca,
		"LETHE_HTTP="+strings.TrimPrefix(plain.URL, "http://"), "LETHE_HTTPS="+strings.TrimPrefix(secure.URL, "https://"),
		"LETHE_TOKEN="+d.ProjectToken, "LETHE_SECRET="+d.APISecret, "LETHE_PROJECT="+d.ProjectID,
		"LETHE_ACCOUNT="+d.ServiceAccount, "LETHE_ACCOUNT_SECRET="+d.ServiceSecret)
	return d
}

// drive runs a client's program and reads what it expects.
func (d *desk) drive(name string, args ...string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its browser first
	cmd.Env = d.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("%v\n%s\nthe server says:\n%s", err, stderr.String(), d.stderr.String())
	}
	if err := json.Unmarshal(out, &d.want); err != nil {
		d.t.Fatalf("%v in %.300s", err, out)
	}
	if len(d.want.Events) == 0 {
		d.t.Fatal("the client sent nothing")
	}
}

// An exported event.
type exported struct {
	name, id   string
	properties object
}

// check compares what an export of everybody returns with what is expected.
func (d *desk) check() {
	d.t.Helper()
	all, profiles := d.export()
	// A beacon may be on its way when its page, and the browser, are gone.
	for end := time.Now().Add(5 * time.Second); len(all) < len(d.want.Events) && time.Now().Before(end); {
		all, profiles = d.export()
	}
	for _, want := range d.want.Events {
		at := slices.IndexFunc(all, func(e exported) bool {
			return e.name == want.Event && (want.DistinctID == nil || e.id == *want.DistinctID) && contains(e.properties, want.Properties)
		})
		if at < 0 {
			d.t.Errorf("the export lacks %s of %v with %s", want.Event, text(want.DistinctID), want.Properties)
			for _, e := range all {
				if e.name == want.Event && (want.DistinctID == nil || e.id == *want.DistinctID) {
					d.t.Logf("it has one with %s", e.properties)
				}
			}
			continue
		}
		all = slices.Delete(all, at, at+1) // each is there as often as it was sent
	}
	for _, e := range all {
		d.t.Errorf("the export has one too many: %s of %s with %s", e.name, e.id, e.properties)
	}
	for id, want := range d.want.Profiles {
		d.compare("the profile of "+id, profiles[id], want)
	}
	for name, want := range d.want.Groups {
		key, id, _ := strings.Cut(name, "/")
		d.compare("the group "+name, d.group(key, id), want)
	}
}

// compare reports whether a profile is as expected. Beyond that it may have what
// mixpanel-browser adds by itself.
func (d *desk) compare(what string, got, want object) {
	d.t.Helper()
	if (got == nil) != (want == nil) || !contains(got, want) {
		d.t.Errorf("%s is\n%s, want\n%s", what, got, want)
		return
	}
	for name := range got {
		if _, ok := want[name]; !ok && !strings.HasPrefix(name, "$") && !strings.HasPrefix(name, "initial_utm_") {
			d.t.Errorf("%s has %s too", what, name)
		}
	}
}

func contains(got, want object) bool {
	for name, value := range want {
		if !bytes.Equal(plainJSON(got[name]), plainJSON(value)) {
			return false
		}
	}
	return true
}

// plainJSON is JSON with its texts written in one way, and numbers as they were.
func plainJSON(raw json.RawMessage) []byte {
	if raw == nil {
		return nil
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return raw
	}
	out, _ := json.Marshal(v)
	return out
}

func (o object) String() string {
	b, _ := json.Marshal(map[string]json.RawMessage(o))
	return string(b)
}

func text(s *string) string {
	if s == nil {
		return "anybody"
	}
	return *s
}

// export collects everything of every identifier that the store has.
func (d *desk) export() (all []exported, profiles map[string]object) {
	d.t.Helper()
	scope := dsr.Scope{Project: d.ProjectID, Limit: time.Now().Add(time.Hour)}
	err := d.table.Partitions(d.t.Context(), func(pk string) error {
		if id, ok := strings.CutPrefix(pk, d.ProjectID+"#id#"); ok {
			c := dsr.Cluster{Folder: len(scope.Clusters) + 1, IDs: []kind.Subject{kind.Subject(id)}}
			scope.Clusters = append(scope.Clusters, c)
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	records, err := d.store.Collect(d.t.Context(), scope, "")
	if err != nil {
		d.t.Fatal(err)
	}
	defer records.Close()
	profiles = map[string]object{}
	for {
		r, err := records.Next(d.t.Context())
		if err == io.EOF {
			return all, profiles
		}
		if err != nil {
			d.t.Fatal(err)
		}
		id := string(scope.Clusters[r.Cluster].IDs[r.ID])
		if r.Profile {
			var p struct {
				Properties object `json:"$properties"`
			}
			if err := json.Unmarshal(r.Data, &p); err != nil {
				d.t.Fatal(err)
			}
			profiles[id] = p.Properties
			continue
		}
		e := exported{name: r.Name, id: id}
		if err := json.Unmarshal(r.Data, &e.properties); err != nil {
			d.t.Fatal(err)
		}
		for _, name := range []string{"time", "distinct_id", "$insert_id"} {
			if e.properties[name] == nil {
				d.t.Errorf("%s of %s has no %s", e.name, e.id, name)
			}
		}
		if _, ok := e.properties["token"]; ok {
			d.t.Errorf("%s of %s has the project token in it", e.name, e.id)
		}
		if got, want := string(e.properties["distinct_id"]), fmt.Sprintf("%q", id); got != want {
			d.t.Errorf("%s is filed under %s and says %s", e.name, want, got)
		}
		all = append(all, e)
	}
}

// group reads a group's profile where it is stored, for nobody else asks for one.
func (d *desk) group(key, id string) object {
	d.t.Helper()
	item, err := d.table.Get(d.t.Context(), table.Key{PK: d.ProjectID + "#group#" + key + "#" + id, SK: "profile"})
	if kind.Of(err) == kind.NotFound {
		return nil
	}
	if err != nil {
		d.t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(item.Data[bytes.IndexByte(item.Data, '{'):], &o); err != nil {
		d.t.Fatal(err)
	}
	return o
}
