package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/api"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
)

const optOuts = "/api/app/opt-outs"

// A gate is a world whose only source is the built-in store, with its ingestion.
type gate struct {
	*world
	store *events.Store
}

func newGate(t *testing.T) gate {
	w := newWorld(t)
	keys := kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}
	store := events.New(table.NewMemory(w.now), keys, w.now, events.By(w.accounts.Rules))
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.service = dsr.New(dsr.Parts{
		Control: w.control, Bucket: w.bucket, Workflow: still{}, Sources: []dsr.Source{store}, Accounts: w.accounts, Keys: keys, Clock: w.now, Log: log,
		Settings: dsr.Settings{CancelWindow: time.Hour},
	})
	w.parts.Service, w.parts.Ingestion = w.service, api.NewIngestion(w.accounts, store, w.service, w.now, log)
	w.handler = api.New(w.parts)
	return gate{w, store}
}

// track sends properties of an event each and wants success, whatever becomes of them.
func (w *world) track(name string, properties ...string) {
	w.t.Helper()
	w.advance(time.Minute)
	var records []string
	for _, p := range properties {
		records = append(records, fmt.Sprintf(`{"event":%q,"properties":{"token":%q,%s}}`, name, w.ProjectToken, p))
	}
	r := httptest.NewRequest("POST", "/track", strings.NewReader("["+strings.Join(records, ",")+"]"))
	a := httptest.NewRecorder()
	w.handler.ServeHTTP(a, r)
	if a.Code != http.StatusOK || strings.TrimSpace(a.Body.String()) != "1" {
		w.t.Errorf("track: got %d %s, want 1", a.Code, a.Body)
	}
}

// out lists which identifiers of a body are opted out, by their positions.
func (w *world) out(ids string) string {
	w.t.Helper()
	a := w.want(w.do("POST", w.at(optOuts+"/test"), `{"distinct_ids":`+ids+`}`), http.StatusOK, "")
	var results []struct {
		Position int
		OptedOut bool `json:"opted_out"`
		Origin   string
	}
	if err := json.Unmarshal(a.body.Results, &results); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, r := range results {
		if r.OptedOut {
			out = append(out, fmt.Sprint(r.Position, " ", r.Origin))
		}
	}
	return strings.Join(out, ", ")
}

// found is how many events of an identifier an export finds.
func (w *world) found(id string) float64 {
	w.t.Helper()
	task := w.create(retrievals, fmt.Sprintf(`{"distinct_ids":[%q]}`, id))
	w.finish(task)
	total, _ := w.do("GET", w.at(requests+"/"+task), "").results()["found"].(map[string]any)
	if total == nil {
		return 0
	}
	return total["events"].(float64)
}

func TestOptOuts(t *testing.T) {
	w := newGate(t)
	w.track("Seen", `"distinct_id":"olga"`, `"$user_id":"olga","$device_id":"d"`)
	a := w.want(w.do("POST", w.at(optOuts), `{"distinct_ids":["olga"," olga ", 7]}`), http.StatusOK, "")
	if got := string(a.body.Results); got != `{"distinct_id_count":2,"changed":3,"under_way_seconds":0}` {
		t.Errorf("add: got %s", got)
	}
	if got := w.out(`["bob","$device:d","olga","7","olga"]`); got != "2 api, 3 api, 4 api, 5 api" {
		t.Errorf("opted out: %s", got)
	}
	w.track("Seen", `"distinct_id":"olga"`, `"distinct_id":"bob"`, `"distinct_id":"$device:d"`)
	w.track("$identify", `"$identified_id":"olga","$anon_id":"anon-1"`)
	if got := w.out(`["anon-1","bob"]`); got != "1 link" {
		t.Errorf("opted out by the link: %s", got)
	}
	w.track("Seen", `"distinct_id":"anon-1"`, `"$user_id":"vera","$device_id":"d"`)
	if got := w.out(`["vera"]`); got != "" {
		t.Error("another user of the device was opted out")
	}
	for id, want := range map[string]float64{"olga": 2, "bob": 1, "anon-1": 0, "vera": 1} {
		if got := w.found(id); got != want {
			t.Errorf("%s has %v events, want %v", id, got, want)
		}
	}
	a = w.want(w.do("GET", w.at(optOuts)+"&page=1&page_size=4", ""), http.StatusOK, "")
	var listed []struct{ Mark, Origin, AddedBy string }
	if err := json.Unmarshal(a.body.Results, &listed); err != nil || len(listed) != 4 || a.body.Total != 4 || !slices.ContainsFunc(listed, func(l struct{ Mark, Origin, AddedBy string }) bool { return l.Origin == "link" }) {
		t.Errorf("the list: got %s of %d", a.body.Results, a.body.Total)
	}
	if strings.Contains(a.Body.String(), "olga") || strings.Contains(w.log.String(), "olga") || strings.Contains(w.log.String(), "anon-1") {
		t.Error("the list or the log holds an identifier")
	}
	a = w.want(w.do("DELETE", w.at(optOuts), `{"distinct_ids":["$device:d"]}`), http.StatusOK, "")
	if got := string(a.body.Results); got != `{"distinct_id_count":1,"changed":3,"under_way_seconds":0}` || w.out(`["olga","anon-1","$device:d",7]`) != "4 api" {
		t.Errorf("remove: got %s, and %s is opted out", got, w.out(`["olga","anon-1","$device:d",7]`))
	}
	w.track("Seen", `"distinct_id":"olga"`)
	if got := w.found("olga"); got != 3 {
		t.Errorf("olga has %v events after she was opted in, want 3", got)
	}
}

// forgetful cannot opt anybody out.
type forgetful struct{}

func (forgetful) Tie(context.Context, string, []dsr.Tie) error {
	return kind.E(kind.Unavailable, "opt out")
}

// A client whose link could not be followed up is told to send it again, and then it
// is.
func TestALinkIsNotLostWhereOptingOutFails(t *testing.T) {
	w := newGate(t)
	w.want(w.do("POST", w.at(optOuts), `{"distinct_ids":["olga"]}`), http.StatusOK, "")
	link := fmt.Sprintf(`{"event":"$identify","properties":{"token":%q,"$identified_id":"olga","$anon_id":"anon-1"}}`, w.ProjectToken)
	failing := api.NewIngestion(w.accounts, w.store, forgetful{}, w.now, slog.New(slog.DiscardHandler))
	a := httptest.NewRecorder()
	failing.ServeHTTP(a, httptest.NewRequest("POST", "/track", strings.NewReader(link)))
	if a.Code != http.StatusServiceUnavailable || w.out(`["anon-1"]`) != "" {
		t.Errorf("got %d, want 503", a.Code)
	}
	w.track("$identify", `"$identified_id":"olga","$anon_id":"anon-1"`)
	if got := w.out(`["anon-1"]`); got != "1 link" {
		t.Errorf("sent again, opted out: %q", got)
	}
}

func TestADeletionThatBlocks(t *testing.T) {
	w := newGate(t)
	w.track("Seen", `"$user_id":"olga","$device_id":"d"`)
	w.want(w.do("POST", w.at(retrievals), `{"distinct_ids":["olga"],"block":true}`), http.StatusBadRequest, "block")
	task := w.create(deletions, `{"distinct_ids":["olga"],"block":true}`)
	w.finish(task)
	if got := w.do("GET", w.at(requests+"/"+task), "").results(); got["block"] != true || got["status"] != "SUCCESS" {
		t.Errorf("the detail: got %v", got)
	}
	w.track("Seen", `"distinct_id":"olga"`, `"$user_id":"olga","$device_id":"d"`, `"$user_id":"vera","$device_id":"d"`)
	if got := w.out(`["olga","$device:d","vera"]`); got != "1 deletion, 2 deletion" {
		t.Errorf("opted out: %s", got)
	}
	if olga, vera := w.found("olga"), w.found("vera"); olga != 0 || vera != 1 {
		t.Errorf("olga and vera have %v and %v events, want 0 and 1", olga, vera)
	}
}

func TestWhatOptOutsRefuse(t *testing.T) {
	w := newGate(t)
	for _, c := range []struct{ method, path string }{{"POST", optOuts}, {"DELETE", optOuts}, {"POST", optOuts + "/test"}} {
		for body, want := range map[string]string{
			"": "empty", "{": "JSON", `{"ids":["olga"]}`: "distinct_ids is missing", `{"distinct_ids":[]}`: "empty", `{"distinct_ids":["olga","null"]}`: "position 2",
			`{"distinct_ids":["` + strings.Repeat(`a","`, 2000) + `a"]}`: "2000",
		} {
			w.want(w.do(c.method, w.at(c.path), body), http.StatusBadRequest, want)
		}
		w.want(w.do(c.method, c.path+"?token=x", `{"distinct_ids":["olga"]}`), http.StatusForbidden, "")
		w.want(w.do(c.method, c.path, `{"distinct_ids":["olga"]}`), http.StatusBadRequest, "token")
		w.want(w.do(c.method, w.at(c.path), `{"distinct_ids":["olga"]}`, header{"Authorization", ""}), http.StatusUnauthorized, "")
	}
	w.want(w.do("GET", w.at(optOuts)+"&page=0", ""), http.StatusBadRequest, "page")
	w.want(w.do("PUT", w.at(optOuts), ""), http.StatusMethodNotAllowed, "")
	if got := w.out(`["olga"]`); got != "" {
		t.Error("a call that was refused opted somebody out")
	}
	// Where no source takes data in, it says so.
	plain := newWorld(t)
	plain.want(plain.do("POST", plain.at(optOuts), `{"distinct_ids":["olga"]}`), http.StatusBadRequest, "opted out")
}
