package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A sent event is what a test sends and expects back.
type sent struct {
	Event      string         `json:"event"`
	Properties map[string]any `json:"properties"`
}

// importEvents sends events to /import, which must take all of them.
func (p *process) importEvents(t *testing.T, events ...sent) {
	t.Helper()
	a, err := p.tryImport(t, events...)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("import: %v %d %s", err, a.status, a.body)
	}
}

func (p *process) tryImport(t *testing.T, events ...sent) (answer, error) {
	body, err := json.Marshal(events)
	if err != nil {
		return answer{}, err
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/import?strict=1", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.SetBasicAuth(p.Secret, "")
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, b}, err
}

// engage sends one update of a profile.
func (p *process) engage(t *testing.T, id string, set map[string]any) {
	t.Helper()
	body, err := json.Marshal([]any{map[string]any{"$token": p.Token, "$distinct_id": id, "$set": set}})
	if err != nil {
		t.Fatal(err)
	}
	a := p.do(t, http.MethodPost, "/engage?verbose=1", string(body), "Content-Type", "application/json")
	if a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"status":1`)) {
		t.Fatalf("engage: %d %s", a.status, a.body)
	}
}

// An export is what a test reads out of an archive, over all its folders.
type export struct {
	events   []sent
	profiles []map[string]any
}

func unpack(t *testing.T, file []byte) (x export) {
	t.Helper()
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
				var e sent
				if err := d.Decode(&e); err != nil {
					t.Fatalf("%s: %v", f.Name, err)
				}
				x.events = append(x.events, e)
			}
		case strings.HasPrefix(f.Name, "subjects/") && strings.HasSuffix(f.Name, "/profile.json"):
			var some []map[string]any
			if err := d.Decode(&some); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			x.profiles = append(x.profiles, some...)
		}
		r.Close()
	}
	return x
}

// has reports whether the export holds an event with that property and value.
func (x export) has(property string, value any) bool {
	for _, e := range x.events {
		if reflect.DeepEqual(e.Properties[property], value) {
			return true
		}
	}
	return false
}

// holding returns the files below dir that hold any of the texts.
func holding(t *testing.T, dir string, texts ...string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if bytes.Contains(b, []byte(text)) {
				files = append(files, path+" holds "+text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The main job, as a person sees it from outside: what was sent comes back whole,
// and once it is deleted no byte of it is left.
func TestExportThenDeletion(t *testing.T) {
	const (
		going, staying = "going@subject.example", "staying@subject.example"
		value          = "value-8f3c1e77a0"
		name           = "name-41be6602d9"
		profile        = "profile-b7720c94f1"
		device         = "device-5d90f2ae13"
		kept           = "kept-c01f4a6be8"
	)
	data := filepath.Join(t.TempDir(), "data")
	// Log everything: what must not be in a log must not be there at any level.
	copied := filepath.Join(t.TempDir(), "copied")
	program := "lethe"
	if racing {
		program = "lethe-race"
	}
	p := launchProgram(t, program, "--demo", "--json", "--listen", "127.0.0.1:0", "--data", data,
		"--cancel-window", "3s", "--log", "debug", "--ledger-copy", copied).ready(t)
	at := time.Now().Add(-40 * 24 * time.Hour).UnixMilli()
	of := func(id string, n int64, more map[string]any) sent {
		properties := map[string]any{"distinct_id": id, "time": float64(at + n*86_400_000), "$insert_id": fmt.Sprintf("e2e-%s-%d", id[:5], n)}
		for k, v := range more {
			properties[k] = v
		}
		return sent{"Something Done", properties}
	}
	ofGoing := []sent{
		of(going, 0, map[string]any{"plain": value, name: "x", "nested": map[string]any{"deep": []any{value, 1.5, nil, true}}}),
		of(going, 1, map[string]any{"ünïcode": "„" + value + "“ <&>  \u2028", "empty": "", "big": 9007199254740991.0}),
		of(going, 35, map[string]any{"long": strings.Repeat(value+" ", 2000), "$device_id": device}),
	}
	ofStaying := []sent{of(staying, 3, map[string]any{"plain": kept})}
	p.importEvents(t, append(ofGoing, ofStaying...)...)
	p.importEvents(t, ofGoing...) // a client that sends again
	p.engage(t, going, map[string]any{"$email": profile, "note": value})

	both := p.submit(t, retrievals, going, staying)
	alone := p.submit(t, retrievals, staying)
	status := p.await(t, retrievals, both, "SUCCESS")
	p.await(t, retrievals, alone, "SUCCESS")
	link, _ := status["result"].(string)
	got := unpack(t, p.fetch(t, link))
	if want := append(ofGoing, ofStaying...); !sameEvents(got.events, want) {
		t.Errorf("events: got %v\nwant %v", got.events, want)
	}
	if len(got.profiles) != 1 || !strings.Contains(fmt.Sprint(got.profiles[0]), profile) {
		t.Errorf("profiles: got %v, want one with %s", got.profiles, profile)
	}
	if before := strings.Join(holding(t, data, value, profile), "\n"); !strings.Contains(before, "lethe.db") {
		t.Errorf("before the deletion the database does not show what was sent either: this test would see nothing\n%s", before)
	}

	task := p.submit(t, deletions, going)
	p.await(t, deletions, task, "SUCCESS")
	gone := []string{value, name, profile, device}
	for _, found := range holding(t, data, gone...) {
		t.Errorf("after SUCCESS %s", found)
	}

	t.Run("older archives are withdrawn", func(t *testing.T) {
		_, results := p.gdpr(t, http.MethodGet, retrievals+both+"/", "")
		if results["result"] != "" || results["results"] != "" {
			t.Errorf("got links %q and %q, want none", results["result"], results["results"])
		}
		if status, _ := p.gdpr(t, http.MethodGet, retrievals+both+"/download", ""); status != http.StatusGone {
			t.Errorf("download: got %d, want 410", status)
		}
		if a := p.do(t, http.MethodGet, strings.TrimPrefix(link, p.URL), ""); a.status == http.StatusOK {
			t.Errorf("a link from before still gives the file")
		}
		if !unpack(t, p.download(t, alone)).has("plain", kept) {
			t.Error("the archive of another person was taken back too")
		}
	})
	t.Run("certificate", func(t *testing.T) {
		a := p.do(t, http.MethodGet, "/api/app/requests/"+task+"/certificate?token="+p.Token, "", "Authorization", "Bearer "+p.GDPR)
		if a.status != http.StatusOK || !json.Valid(a.body) || !bytes.Contains(a.body, []byte(task)) {
			t.Fatalf("got %d %s, want the certificate of %s", a.status, a.body, task)
		}
		if bytes.Contains(a.body, []byte(going)) {
			t.Error("the certificate holds the identifier")
		}
	})
	t.Run("the ledger stands in both places", func(t *testing.T) {
		first, second := filesIn(t, filepath.Join(data, "files", "ledger")), filesIn(t, filepath.Join(copied, "ledger"))
		if len(first) != 1 || !reflect.DeepEqual(first, second) {
			t.Errorf("got %v and in the copy %v, want the same one entry", first, second)
		}
	})
	t.Run("late data stays out and new data comes in", func(t *testing.T) {
		p.importEvents(t, of(going, 2, map[string]any{"plain": value}))
		newer := sent{"Back Again", map[string]any{"distinct_id": going, "time": float64(time.Now().UnixMilli()), "$insert_id": "e2e-back", "plain": "new"}}
		p.importEvents(t, newer)
		again := p.submit(t, retrievals, going)
		p.await(t, retrievals, again, "SUCCESS")
		if got, want := unpack(t, p.download(t, again)).events, []sent{newer}; !sameEvents(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	p.stop(t, syscall.SIGTERM)
	for _, found := range holding(t, data, gone...) {
		t.Errorf("after the server ended %s", found)
	}
	for _, text := range append(gone, going, staying, kept, p.GDPR, p.Secret, url.QueryEscape(going)) {
		if strings.Contains(p.log.String(), text) {
			t.Errorf("the log holds %s", text)
		}
	}
}

// filesIn returns what the files of a directory hold, by name.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = string(b)
	}
	return found
}

// sameEvents compares events whatever their order.
func sameEvents(got, want []sent) bool {
	if len(got) != len(want) {
		return false
	}
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || reflect.DeepEqual(g, w)
		}
		if !found {
			return false
		}
	}
	return true
}

// A deletion can be taken back in its window, and then nothing has happened.
func TestCancelInTheWindow(t *testing.T) {
	p := startDemo(t, filepath.Join(t.TempDir(), "data"), "--cancel-window", "1h")
	e := sent{"Done", map[string]any{"distinct_id": "someone", "time": float64(time.Now().Add(-time.Hour).UnixMilli()), "$insert_id": "one"}}
	p.importEvents(t, e)
	task := p.submit(t, deletions, "someone")
	p.await(t, deletions, task, "STAGING")
	if status, _ := p.gdpr(t, http.MethodDelete, deletions+task+"/", ""); status != http.StatusNoContent {
		t.Fatalf("cancel: got %d, want 204", status)
	}
	p.await(t, deletions, task, "REVOKED")
	again := p.submit(t, retrievals, "someone")
	p.await(t, retrievals, again, "SUCCESS")
	if got, want := unpack(t, p.download(t, again)).events, []sent{e}; !sameEvents(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
