package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/api"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// What a create answers, byte by byte, as programs written for Mixpanel read it.
func TestCreateAnswers(t *testing.T) {
	for _, c := range []struct{ collection, body, want string }{
		{retrievals, `{"distinct_ids":["bob","eve"]}`,
			`{"status":"ok","results":{"task_id":"T","tracking_id":"T","status":"PENDING","project_id":P,"compliance_type":"gdpr","disclosure_type":"DATA","date_requested":"2020-03-09T22:28:55.078000","requesting_user":"pat@example.com","destination_url":null,"distinct_id_count":2}}`},
		{deletions, `{"distinct_ids":["bob"],"compliance_type":"CCPA","disclosure_type":"Data"}`,
			`{"status":"ok","results":{"task_id":"T","tracking_id":"T","status":"PENDING","project_id":P,"compliance_type":"ccpa","disclosure_type":"DATA","date_requested":"2020-03-09T22:28:55.078000","requesting_user":"pat@example.com","destination_url":null,"distinct_id_count":1}}`},
	} {
		w := newWorld(t)
		a := w.want(w.do("POST", w.at(c.collection), c.body), http.StatusCreated, "")
		want := strings.NewReplacer(`"T"`, `"`+a.task()+`"`, ":P,", ":"+w.ProjectID+",").Replace(c.want)
		if got := strings.TrimSpace(a.Body.String()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestRetrievalStatus(t *testing.T) {
	w := newWorld(t)
	w.people["bob"] = true
	task := w.create(retrievals, `{"distinct_ids":["bob"," eve "]}`)
	path := w.at(retrievals + "/" + task)
	a := w.want(w.do("GET", path, ""), http.StatusOK, "")
	if got, want := strings.TrimSpace(a.Body.String()), `{"status":"ok","results":{"status":"PENDING","result":"","results":"","distinct_ids":["bob","eve"]}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.finish(task)
	r := w.do("GET", path, "").results()
	link, _ := r["results"].(string)
	if r["status"] != "SUCCESS" || link == "" || r["result"] != link {
		t.Errorf("after the export: %v; want SUCCESS and one link under both names", r)
	}
	w.advance(15 * 24 * time.Hour)
	if r := w.do("GET", path, "").results(); r["status"] != "SUCCESS" || r["results"] != "" || r["result"] != "" {
		t.Errorf("after the archive's life: %v; want SUCCESS and empty links", r)
	}
}

func TestDeletionStatus(t *testing.T) {
	w := newWorld(t)
	w.people["bob"] = true
	const own = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
	for _, c := range []struct{ body, more string }{
		{`{"distinct_ids":["bob"],"compliance_type":"ccpa"}`, ``},
		{`{"distinct_ids":["bob"],"compliance_type":"ccpa","subject_request_id":"` + own + `"}`, `,"subject_request_id":"` + own + `"`},
	} {
		task := w.create(deletions, c.body)
		a := w.want(w.do("GET", w.at(deletions+"/"+task), ""), http.StatusOK, "")
		want := fmt.Sprintf(`{"status":"ok","results":{"tracking_id":%q,"status":"PENDING","requesting_user":"pat@example.com","compliance_type":"ccpa","project_id":%s,"date_requested":%q,"distinct_ids":["bob"]%s}}`,
			task, w.ProjectID, w.now().Format("2006-01-02T15:04:05.000000"), c.more)
		if got := strings.TrimSpace(a.Body.String()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		w.finish(task)
	}
}

// A poller that got 404 would ask for ever; one that got an answer without a key
// would crash.
func TestStatusOfWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	export := w.create(retrievals, `{"distinct_ids":["bob"]}`)
	erasure := w.create(deletions, `{"distinct_ids":["bob"]}`)
	foreign := w.foreign()
	const (
		noExport  = `{"status":"ok","results":{"status":"NOT_FOUND","result":"","results":"","distinct_ids":[]}}`
		noErasure = `{"status":"ok","results":{"tracking_id":"","status":"NOT_FOUND","requesting_user":"","compliance_type":"","project_id":0,"date_requested":"","distinct_ids":[]}}`
	)
	for _, id := range []string{"x", "00000000-0000-4000-8000-000000000000", "..", "%2e%2e%2f", "%00", "a%2Fb", "%F0%9F%98%80", foreign} {
		if got := strings.TrimSpace(w.want(w.do("GET", w.at(retrievals+"/"+id), ""), http.StatusOK, "").Body.String()); got != noExport {
			t.Errorf("retrieval %s: got %s, want %s", id, got, noExport)
		}
		if got := strings.TrimSpace(w.want(w.do("GET", w.at(deletions+"/"+id), ""), http.StatusOK, "").Body.String()); got != noErasure {
			t.Errorf("deletion %s: got %s, want %s", id, got, noErasure)
		}
		w.want(w.do("DELETE", w.at(deletions+"/"+id), ""), http.StatusNotFound, "")
		for _, own := range []string{"", "/certificate", "/download"} {
			w.want(w.do("GET", w.at(requests+"/"+id+own), ""), http.StatusNotFound, "")
		}
		w.want(w.do("GET", w.at(retrievals+"/"+id+"/download"), ""), http.StatusNotFound, "")
		for _, own := range []string{"/rerun", "/confirm", "/extension"} {
			w.want(w.do("POST", w.at(requests+"/"+id+own), `{"reason":"x"}`), http.StatusNotFound, "")
		}
	}
	if got := w.do("GET", w.at(retrievals+"/"+erasure), "").results()["status"]; got != "NOT_FOUND" {
		t.Errorf("a deletion asked for as a retrieval: got %v, want NOT_FOUND", got)
	}
	if got := w.do("GET", w.at(deletions+"/"+export), "").results()["status"]; got != "NOT_FOUND" {
		t.Errorf("a retrieval asked for as a deletion: got %v, want NOT_FOUND", got)
	}
	w.want(w.do("DELETE", w.at(deletions+"/"+export), ""), http.StatusNotFound, "")
}

// foreign is a deletion of another project.
func (w *world) foreign() string {
	w.t.Helper()
	r, err := w.service.Submit(w.t.Context(), dsr.Submission{Project: "1", Type: dsr.Deletion, IDs: []string{"bob"}, Compliance: dsr.GDPR, Disclosure: dsr.Data})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Task
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.people["bob"] = true
	task := w.create(deletions, `{"distinct_ids":["bob"]}`)
	path := w.at(deletions + "/" + task)
	for range 2 { // a second time changes nothing and is no error
		a := w.want(w.do("DELETE", path, ""), http.StatusNoContent, "")
		if a.Body.Len() > 0 {
			t.Errorf("204 with a body: %s", a.Body)
		}
		if got := w.do("GET", path, "").results()["status"]; got != "REVOKED" {
			t.Errorf("got %v, want REVOKED", got)
		}
	}
	for _, status := range []string{"STARTED", "SUCCESS", "FAILURE"} {
		task := w.create(deletions, `{"distinct_ids":["bob"]}`) // who is gone by the last
		if status == "STARTED" {
			w.begin(task)
		} else {
			w.finish(task)
		}
		a := w.want(w.do("DELETE", w.at(deletions+"/"+task), ""), http.StatusMethodNotAllowed, "")
		if got, want := a.Header().Get("Allow"), "GET, HEAD, OPTIONS"; got != want {
			t.Errorf("Allow of a deletion that is %s: got %q, want %q", status, got, want)
		}
		if got := w.do("GET", w.at(deletions+"/"+task), "").results()["status"]; got != status {
			t.Errorf("got %v, want %s still", got, status)
		}
		if status == "STARTED" {
			w.want(w.do("DELETE", w.at(deletions), `{"distinct_ids":["bob"]}`), http.StatusMethodNotAllowed, "")
		}
	}
}

// A request made by a program stands in the name of its service account.
func TestRequestOfAServiceAccount(t *testing.T) {
	w := newWorld(t)
	a := w.do("POST", w.at(deletions), `{"distinct_ids":["bob"]}`, header{"Authorization", basic(w.ServiceAccount, w.ServiceSecret)})
	task := w.want(a, http.StatusCreated, "").task()
	if got := w.do("GET", w.at(deletions+"/"+task), "").results()["requesting_user"]; got != w.ServiceAccount {
		t.Errorf("requesting_user: got %v, want %s", got, w.ServiceAccount)
	}
}

// begin takes a deletion past the point of no return.
func (w *world) begin(task string) {
	w.t.Helper()
	for _, do := range w.tasks(task)[:2] {
		if _, err := do(w.t.Context(), dsr.Step{Task: task, Attempt: 1}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestCancelBySet(t *testing.T) {
	w := newWorld(t)
	both := w.create(deletions, `{"distinct_ids":["bob","eve"]}`)
	again := w.create(deletions, `{"distinct_ids":["eve","bob"]}`)
	one := w.create(deletions, `{"distinct_ids":["bob"]}`)
	export := w.create(retrievals, `{"distinct_ids":["bob","eve"]}`)
	w.want(w.do("DELETE", w.at(deletions), `{"distinct_ids":["eve"]}`), http.StatusNotFound, "exactly")
	w.want(w.do("DELETE", w.at(deletions), ``), http.StatusBadRequest, "empty")
	w.want(w.do("DELETE", w.at(deletions), `{}`), http.StatusBadRequest, "distinct_ids")
	w.want(w.do("DELETE", w.at(deletions), `{"distinct_ids":["eve"," bob "," eve"]}`), http.StatusNoContent, "")
	for task, want := range map[string]string{both: "REVOKED", again: "REVOKED", one: "PENDING"} {
		if got := w.do("GET", w.at(deletions+"/"+task), "").results()["status"]; got != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	if got := w.do("GET", w.at(retrievals+"/"+export), "").results()["status"]; got != "PENDING" {
		t.Errorf("a retrieval of the same set: got %v, want PENDING", got)
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	var made []string
	for range 5 {
		made = append(made, w.create(deletions, `{"distinct_ids":["bob"]}`))
	}
	w.create(retrievals, `{"distinct_ids":["bob"]}`)
	w.foreign()
	read := func(a answer) (tasks []string) {
		var entries []struct {
			Task string `json:"task_id"`
			Type string `json:"type"`
		}
		if err := json.Unmarshal(a.body.Results, &entries); err != nil {
			t.Fatalf("results of a list: %v in %s", err, a.Body)
		}
		for _, e := range entries {
			if e.Type != "deletion" {
				t.Errorf("the list of deletions holds a %s", e.Type)
			}
			tasks = append(tasks, e.Task)
		}
		return tasks
	}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"", []string{made[4], made[3], made[2], made[1], made[0]}},
		{"&page=1&page_size=2", []string{made[4], made[3]}},
		{"&page=3&page_size=2", []string{made[0]}},
		{"&page=4&page_size=2", nil},
		{"&page=1000000&page_size=1000", nil},
	} {
		a := w.want(w.do("GET", w.at(deletions)+c.query, ""), http.StatusOK, "")
		if got := read(a); strings.Join(got, " ") != strings.Join(c.want, " ") || a.body.Total != 5 {
			t.Errorf("%q: got %v of %d, want %v of 5", c.query, got, a.body.Total, c.want)
		}
		if strings.Contains(a.Body.String(), "bob") {
			t.Errorf("%q: the list holds identifiers", c.query)
		}
	}
	for _, query := range []string{"&page=0", "&page=-1", "&page=x", "&page=", "&page_size=0", "&page_size=1001", "&page=99999999999999999999"} {
		w.want(w.do("GET", w.at(deletions)+query, ""), http.StatusBadRequest, "must be a number")
	}
}

// All requests in one list, or those that somebody has to look at.
func TestListOfAll(t *testing.T) {
	w := newWorld(t)
	w.people["ann"] = true
	late := w.create(deletions, `{"distinct_ids":["ann"]}`)
	failed := w.create(retrievals, `{"distinct_ids":["ann"]}`)
	if _, err := w.service.Finish(t.Context(), dsr.Step{Task: failed, Attempt: 1, Failure: &dsr.Failed{Error: "States.Timeout"}}); err != nil {
		t.Fatal(err)
	}
	nothing := w.create(retrievals, `{"distinct_ids":["nobody"]}`)
	w.finish(nothing)
	w.advance(40 * 24 * time.Hour)
	open := w.create(retrievals, `{"distinct_ids":["ann"]}`)
	for query, want := range map[string][]string{
		"":                           {open, nothing, failed, late},
		"&page=2&page_size=3":        {late},
		"&only=open":                 {open, late},
		"&only=open&page_size=1":     {open},
		"&only=open&page=3":          {},
		"&only=overdue":              {failed, late},
		"&only=broken":               {failed},
		"&only=broken&page_size=100": {failed},
	} {
		a := w.want(w.do("GET", w.at(requests)+query, ""), http.StatusOK, "")
		var list []struct {
			Task    string `json:"task_id"`
			Overdue bool
		}
		if err := json.Unmarshal(a.body.Results, &list); err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, r := range list {
			got = append(got, r.Task)
			if r.Overdue != (r.Task == late || r.Task == failed) {
				t.Errorf("%q: %s is overdue: %v", query, r.Task, r.Overdue)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", query, got, want)
		}
	}
	w.want(w.do("GET", w.at(requests)+"&only=all", ""), http.StatusBadRequest, "open, overdue or broken")
}

func TestDownload(t *testing.T) {
	w := newWorld(t)
	w.people["bob"] = true
	task := w.create(retrievals, `{"distinct_ids":["bob"]}`)
	paths := []string{w.at(retrievals + "/" + task + "/download"), w.at(requests + "/" + task + "/download")}
	for _, path := range paths {
		if a := w.want(w.do("GET", path, ""), http.StatusServiceUnavailable, "PENDING"); a.Header().Get("Retry-After") == "" {
			t.Error("a file that is not ready comes without Retry-After")
		}
	}
	if strings.Contains(w.log.String(), "level=ERROR") {
		t.Error("a file that is not ready stands in the log as an error")
	}
	w.finish(task)
	for _, path := range paths {
		a := w.want(w.do("GET", path, ""), http.StatusFound, "")
		if got := a.Header().Get("Location"); !strings.Contains(got, task) {
			t.Errorf("Location %q is not the archive's", got)
		}
	}
	erasure := w.create(deletions, `{"distinct_ids":["bob"]}`)
	w.want(w.do("GET", w.at(requests+"/"+erasure+"/download"), ""), http.StatusNotFound, "")
	w.finish(erasure)
	for _, path := range paths {
		w.want(w.do("GET", path, ""), http.StatusGone, "")
	}
	if r := w.do("GET", w.at(retrievals+"/"+task), "").results(); r["status"] != "SUCCESS" || r["results"] != "" {
		t.Errorf("a withdrawn export: got %v, want SUCCESS and an empty link", r)
	}
}

func TestDetailAndCertificate(t *testing.T) {
	w := newWorld(t)
	w.people["bob"] = true
	task := w.create(deletions, `{"distinct_ids":["bob","nobody"]}`)
	w.want(w.do("GET", w.at(requests+"/"+task+"/certificate"), ""), http.StatusNotFound, "")
	w.finish(task)
	d := w.want(w.do("GET", w.at(requests+"/"+task), ""), http.StatusOK, "")
	var detail struct {
		Status   string
		Findings []struct {
			Position int
			ID       string `json:"distinct_id"`
			State    string
		}
		Timeline []struct{ Status string }
	}
	if err := json.Unmarshal(d.body.Results, &detail); err != nil {
		t.Fatal(err)
	}
	if len(detail.Findings) != 2 || detail.Findings[0].ID != "bob" || detail.Findings[0].State != "found" || detail.Findings[1].State != "nothing found" {
		t.Errorf("findings: got %+v", detail.Findings)
	}
	if detail.Status != "SUCCESS" || len(detail.Timeline) != 4 {
		t.Errorf("got %s by %v, want SUCCESS in four steps", detail.Status, detail.Timeline)
	}
	a := w.want(w.do("GET", w.at(requests+"/"+task+"/certificate"), ""), http.StatusOK, "")
	if got := a.Header().Get("Content-Disposition"); got != `attachment; filename="`+task+`.json"` {
		t.Errorf("Content-Disposition: got %q", got)
	}
	if strings.Contains(a.Body.String(), "bob") {
		t.Error("the certificate names a person")
	}
}

func TestRerunConfirmExtension(t *testing.T) {
	w := newWorld(t)
	task := w.create(retrievals, `{"distinct_ids":["nobody"]}`)
	own := requests + "/" + task
	w.want(w.do("POST", w.at(own+"/confirm"), ""), http.StatusMethodNotAllowed, "not waiting")
	w.want(w.do("POST", w.at(own+"/rerun"), ""), http.StatusMethodNotAllowed, "PENDING")
	w.want(w.do("POST", w.at(own+"/extension"), ``), http.StatusBadRequest, "empty")
	w.want(w.do("POST", w.at(own+"/extension"), `{}`), http.StatusBadRequest, "reason")
	w.want(w.do("POST", w.at(own+"/extension"), `{"reason":3}`), http.StatusBadRequest, "reason")
	before := w.do("GET", w.at(requests+"/"+task), "").results()["date_due"]
	a := w.want(w.do("POST", w.at(own+"/extension"), `{"reason":"many requests of one person"}`), http.StatusOK, "")
	if got := a.results()["task_id"]; got != task {
		t.Errorf("the extension answers task %v, want %s", got, task)
	}
	if after := w.do("GET", w.at(requests+"/"+task), "").results()["date_due"]; after == before {
		t.Errorf("due %v before and after the extension", after)
	}
	w.want(w.do("POST", w.at(own+"/extension"), `{"reason":"again"}`), http.StatusMethodNotAllowed, "once")
	w.finish(task) // nothing found
	r := w.want(w.do("POST", w.at(own+"/rerun"), ""), http.StatusOK, "").results()
	if r["status"] != "PENDING" || r["type"] != "export" {
		t.Errorf("a rerun answers %v, want PENDING", r)
	}
}

func TestRerunAll(t *testing.T) {
	w := newWorld(t)
	w.people["ann"] = true
	var tasks []string
	for range 2 {
		task := w.create(retrievals, `{"distinct_ids":["ann"]}`)
		if _, err := w.service.Finish(t.Context(), dsr.Step{Task: task, Attempt: 1, Failure: &dsr.Failed{Error: "States.Timeout"}}); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	w.finish(w.create(retrievals, `{"distinct_ids":["nobody"]}`))
	counts := func(want string) {
		t.Helper()
		if got := string(w.do("POST", w.at(requests+"/rerun"), "").body.Results); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	counts(`{"rerun":2,"left":0}`)
	counts(`{"rerun":0,"left":0}`) // an answer that was lost
	for _, task := range tasks {
		if got := w.do("GET", w.at(requests+"/"+task), "").results()["status"]; got != "PENDING" {
			t.Errorf("status: got %v", got)
		}
	}
}

// Once its identifiers are gone a request tells of marks and counts.
func TestWithoutIdentifiers(t *testing.T) {
	w := newWorld(t)
	w.people["ann"] = true
	export, deletion := w.create(retrievals, `{"distinct_ids":["ann","nobody"]}`), ""
	w.finish(export)
	failed := w.create(retrievals, `{"distinct_ids":["nobody"]}`)
	w.finish(failed)
	deletion = w.create(deletions, `{"distinct_ids":["ann","nobody"]}`)
	w.finish(deletion)
	w.advance(31 * 24 * time.Hour)
	if err := w.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{retrievals + "/" + export, deletions + "/" + deletion} {
		if ids, ok := w.do("GET", w.at(path), "").results()["distinct_ids"].([]any); !ok || len(ids) > 0 {
			t.Errorf("distinct_ids: got %v, want an empty list", ids)
		}
	}
	d := w.do("GET", w.at(requests+"/"+deletion), "")
	if strings.Contains(d.Body.String(), "ann") || !strings.Contains(d.Body.String(), `"ids_gone":true`) || !strings.Contains(d.Body.String(), `"distinct_id_count":2`) {
		t.Errorf("got %s", d.Body)
	}
	findings, _ := d.results()["findings"].([]any)
	if len(findings) != 2 {
		t.Fatalf("got %d findings, want 2", len(findings))
	}
	first, _ := findings[0].(map[string]any)
	mark := kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}.Mark(w.ProjectID, "ann")
	if first["position"] != 1.0 || first["mark"] != mark || first["state"] != "found" || first["events"] != 1.0 || first["distinct_id"] != "" {
		t.Errorf("got %v", first)
	}
	w.want(w.do("POST", w.at(requests+"/"+failed+"/rerun"), ""), http.StatusConflict, "identifiers of this request were removed")
	w.want(w.do("GET", w.at(requests+"/"+deletion+"/certificate"), ""), http.StatusOK, "")
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	key := header{"Idempotency-Key", "a key"}
	first := w.want(w.do("POST", w.at(deletions), `{"distinct_ids":["bob"]}`, key), http.StatusCreated, "")
	w.finish(first.task())
	again := w.want(w.do("POST", w.at(deletions), `{"distinct_ids":["bob"]}`, key), http.StatusCreated, "")
	if got, want := again.Body.String(), first.Body.String(); got != want {
		t.Errorf("repeated: got %s, want %s", got, want)
	}
	w.want(w.do("POST", w.at(deletions), `{"distinct_ids":["bob","eve"]}`, key), http.StatusConflict, "Idempotency-Key")
	// Not the deletion's answer: its caller would wait for an export that nobody makes.
	w.want(w.do("POST", w.at(retrievals), `{"distinct_ids":["bob"]}`, key), http.StatusConflict, "Idempotency-Key")
	w.advance(24 * time.Hour)
	if later := w.do("POST", w.at(deletions), `{"distinct_ids":["bob"]}`, key); later.Code != http.StatusCreated || later.task() == first.task() {
		t.Errorf("a day later: got %d %s, want another request", later.Code, later.task())
	}
	for _, bad := range []string{strings.Repeat("x", 256), "é"} {
		w.want(w.do("POST", w.at(deletions), `{"distinct_ids":["bob"]}`, header{"Idempotency-Key", bad}), http.StatusBadRequest, "Idempotency-Key")
	}
}

func TestSubjectRequestIDIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	const body = `{"distinct_ids":["bob"],"subject_request_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7"}`
	w.create(deletions, body)
	w.want(w.do("POST", w.at(deletions), body), http.StatusConflict, "subject_request_id")
	w.want(w.do("POST", w.at(retrievals), body), http.StatusConflict, "subject_request_id")
}

func TestLimitsSayWhich(t *testing.T) {
	w := newWorld(t)
	const body = `{"distinct_ids":["bob"]}`
	for range 5 {
		w.want(w.do("POST", w.at(deletions), body), http.StatusCreated, "")
	}
	a := w.want(w.do("POST", w.at(retrievals), body), http.StatusTooManyRequests, "one new request a second")
	if got := a.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After: got %q, want 1", got)
	}
	for range 95 {
		w.create(deletions, body)
	}
	w.advance(time.Minute)
	a = w.want(w.do("POST", w.at(deletions), body), http.StatusTooManyRequests, "open requests")
	if got := a.Header().Get("Retry-After"); got == "" || got == "0" {
		t.Errorf("Retry-After: got %q, want seconds", got)
	}
}

// With the store away nothing is answered as though it were not there.
func TestStoreAway(t *testing.T) {
	w := newWorld(t)
	task := w.create(deletions, `{"distinct_ids":["bob"]}`)
	parts := dsr.Parts{Control: away{w.control}, Bucket: w.bucket, Workflow: still{}, Sources: []dsr.Source{w.people}, Accounts: w.accounts,
		Keys: kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}, Clock: w.now, Log: w.parts.Log}
	w.parts.Service = dsr.New(parts)
	w.handler = api.New(w.parts)
	for _, c := range []struct{ method, path, body string }{
		{"GET", retrievals + "/" + task, ""}, {"GET", deletions + "/" + task, ""}, {"GET", deletions, ""},
		{"DELETE", deletions + "/" + task, ""}, {"DELETE", deletions, `{"distinct_ids":["bob"]}`},
		{"POST", deletions, `{"distinct_ids":["bob"]}`}, {"GET", requests + "/" + task, ""},
		{"GET", requests + "/" + task + "/certificate", ""}, {"POST", requests + "/" + task + "/rerun", ""},
	} {
		a := w.want(w.do(c.method, w.at(c.path), c.body), http.StatusServiceUnavailable, "")
		if a.Header().Get("Retry-After") == "" {
			t.Errorf("%s %s: 503 without Retry-After", c.method, c.path)
		}
	}
}

// The window of a retrieval under the CCPA, as it is sent and as the detail tells it.
func TestWindow(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ body, want string }{
		{`{"distinct_ids":["bob"]}`, `{"from":null,"to":null}`},
		{`{"distinct_ids":["bob"],"compliance_type":"CCPA"}`, `{"from":"A YEAR AGO","to":null}`},
		{`{"distinct_ids":["bob"],"compliance_type":"CCPA","window":null}`, `{"from":"A YEAR AGO","to":null}`},
		{`{"distinct_ids":["bob"],"compliance_type":"CCPA","window":"All","disclosure_type":"categories"}`, `{"from":null,"to":null}`},
		{`{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"from":"2018-01-01"},"disclosure_type":"SOURCES"}`, `{"from":"2018-01-01T00:00:00.000000","to":null}`},
		{`{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"from":"2018-01-01","to":"2018-12-31"}}`, `{"from":"2018-01-01T00:00:00.000000","to":"2018-12-31T23:59:59.999000"}`},
		{`{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"to":"2018-12-31"}}`, `{"from":null,"to":"2018-12-31T23:59:59.999000"}`},
		{`{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"from":null,"to":"2018-12-31T12:00:00+02:00"}}`, `{"from":null,"to":"2018-12-31T10:00:00.000000"}`},
	} {
		task := w.create(retrievals, c.body)
		a := w.want(w.do("GET", w.at(requests+"/"+task), ""), http.StatusOK, "")
		want := `"window":` + strings.ReplaceAll(c.want, "A YEAR AGO", w.now().AddDate(-1, 0, 0).Format("2006-01-02T15:04:05.000000"))
		if !strings.Contains(a.Body.String(), want) {
			t.Errorf("%s: got %s, want %s", c.body, a.Body, want)
		}
	}
	task := w.create(deletions, `{"distinct_ids":["bob"],"compliance_type":"CCPA","disclosure_type":"Sources"}`)
	if a := w.do("GET", w.at(requests+"/"+task), ""); strings.Contains(a.Body.String(), `"window"`) || !strings.Contains(a.Body.String(), `"disclosure_type":"SOURCES"`) {
		t.Errorf("a deletion of sources: got %s", a.Body)
	}
}
