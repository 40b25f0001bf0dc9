package console_test

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// track stores events of somebody, some minutes old.
func (w *world) track(id string, n int) {
	w.t.Helper()
	var batch []events.Event
	for i := range n {
		e, err := events.ParseEvent(fmt.Appendf(nil, `{"event":"Looked","properties":{"distinct_id":%q,"time":%d,"$insert_id":"e%d"}}`, id, w.now().Add(-time.Hour).Unix(), i), events.Rules{Now: w.now(), Import: true, Strict: true})
		if err != nil {
			w.t.Fatal(err)
		}
		batch = append(batch, e)
	}
	if _, err := w.store.Track(w.t.Context(), w.ProjectID, batch); err != nil {
		w.t.Fatal(err)
	}
}

// submit makes a request as its page does; a deletion is confirmed.
func (w *world) submit(of dsr.Type, ids ...string) dsr.Request {
	w.t.Helper()
	w.advance(time.Minute) // past every limit on rate
	r, err := w.service.Submit(w.t.Context(), dsr.Submission{
		Project: w.ProjectID, ProjectName: "Shop", Type: of, IDs: ids, Compliance: dsr.GDPR, Disclosure: dsr.Data, By: dsr.By{Actor: pat},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// run does the work of a request by the task given, as its state machine does, until it
// answers with another word than that it goes on.
func (w *world) task(do func(context.Context, dsr.Step) (dsr.Step, error), in dsr.Step) dsr.Step {
	w.t.Helper()
	for in.Next = dsr.Again; in.Next == dsr.Again || in.Next == dsr.Later; {
		out, err := do(w.t.Context(), in)
		if err != nil {
			w.t.Fatal(err)
		}
		in = out
	}
	return in
}

// plan does the first task of a request, and finish the others.
func (w *world) plan(r dsr.Request) dsr.Step {
	w.t.Helper()
	return w.task(w.service.Plan, dsr.Step{Task: r.Task, Attempt: r.Attempt})
}

func (w *world) finish(r dsr.Request) dsr.Request {
	w.t.Helper()
	step := w.plan(r)
	each := func(do func(context.Context, dsr.Step) (dsr.Step, error)) {
		for _, batch := range step.Batches {
			w.task(do, dsr.Step{Task: r.Task, Attempt: r.Attempt, Batch: batch})
		}
	}
	if r.Type == dsr.Export {
		each(w.service.Collect)
		step = w.task(w.service.Pack, step)
	} else {
		w.advance(2 * time.Hour)
		step = w.task(w.service.Begin, step)
		each(w.service.Erase)
		step = w.task(w.service.Verify, step)
	}
	w.task(w.service.Finish, step)
	got, err := w.service.Get(w.t.Context(), w.ProjectID, r.Task)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// broken lets a request end by a fault of ours.
func (w *world) broken(r dsr.Request) dsr.Request {
	w.t.Helper()
	step := w.plan(r)
	step.Failure = &dsr.Failed{Error: "Internal"}
	w.task(w.service.Finish, step)
	return r
}

// wants reports what a page lacks of parts, and has of those that begin with "!".
func (a answer) wants(t *testing.T, what string, status int, parts ...string) {
	t.Helper()
	if a.Code != status {
		t.Errorf("%s: %d, want %d", what, a.Code, status)
	}
	for _, part := range parts {
		not, without := strings.CutPrefix(part, "!")
		if strings.Contains(html.UnescapeString(a.text), not) == without {
			t.Errorf("%s: the page fails %q: %s", what, part, a.text)
		}
	}
}

const every = `data-every="`

func TestThePageOfAnExport(t *testing.T) {
	w := newWorld(t)
	w.track("ada", 3)
	alias, err := events.ParseEvent([]byte(`{"event":"$create_alias","properties":{"distinct_id":"ada","alias":"ada's other"}}`), events.Rules{Now: w.now(), Import: true})
	if err == nil {
		_, err = w.store.Track(t.Context(), w.ProjectID, []events.Event{alias})
	}
	if err != nil {
		t.Fatal(err)
	}
	b := w.as(pat)
	r := w.submit(dsr.Export, "ada", "<script>alert(1)</script>")
	page := "/requests/" + r.Task
	b.get(page).wants(t, "accepted", 200, "Accepted", `data-every="2"`, `data-from="`+page+`"`, `<progress max="4" value="1" aria-label="Step 1 of 4">`, "Not looked for yet",
		"Due", w.now().UTC().AddDate(0, 1, 0).Format("January 2006"), "!Cancel the export", "!Download", "!Run again", "Extend the due date", ">Reload</a>")
	b.get(page+"/download").wants(t, "download too early", 503, "The file is not ready", "<h1>Export of 2 identifiers</h1>")
	r = w.finish(r)
	a := b.get(page)
	a.wants(t, "done", 200, "Completed", "!"+every, "Download the file", "<td>Found</td>", "<td>Nothing found</td>", "events: 4 events, 0 profiles</div>", "<dt>In the file</dt><dd>4 events, 0 profiles</dd>", "the same person as <code>ada's other</code>", "STAGING", "SUCCESS", "!Extend", "!<progress")
	if strings.Contains(ownScript.ReplaceAllString(a.text, ""), "<script") || !strings.Contains(a.text, "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>") {
		t.Errorf("the identifier is not escaped: %s", a.text)
	}
	a = b.get(page + "/download")
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(a.Header().Get("Location"), "memory:///exports/"+r.Task+"/") {
		t.Errorf("download: %d to %q", a.Code, a.Header().Get("Location"))
	}
	b.get(page+"/certificate").wants(t, "an export's certificate", 404, "There is no certificate")
	b.do("POST", page+"/cancel", nil).wants(t, "cancel", 409, "has ended", "<h1>Export of 2 identifiers</h1>")
	b.do("POST", page+"/rerun", nil).wants(t, "rerun", 409, "Only a request that ended FAILURE")
	// A deletion takes it back.
	deletion := w.finish(w.submit(dsr.Deletion, "ada"))
	b = w.as(pat)
	b.get(page).wants(t, "withdrawn", 200, "!Download", `<a href="/requests/`+deletion.Task+`">this deletion</a>`)
	b.get(page+"/download").wants(t, "download of what was withdrawn", 410, "This export was withdrawn")
	other := w.submit(dsr.Export, "bob")
	w.track("bob", 1)
	w.finish(other)
	w.advance(15 * 24 * time.Hour)
	b = w.as(pat)
	b.get("/requests/"+other.Task).wants(t, "old", 200, "!Download", "has reached the end of its life")
	b.get("/requests/"+other.Task+"/download").wants(t, "download of what is old", 410, "has reached the end of its life")
}

func TestThePageOfADeletion(t *testing.T) {
	w := newWorld(t)
	w.track("hugo", 3)
	w.track("bob", 7)
	b := w.as(pat)
	r := w.submit(dsr.Deletion, "hugo")
	page := "/requests/" + r.Task
	w.plan(r)
	b.get(page).wants(t, "in its window", 200, "Waits, can be cancelled", `data-every="30"`, "What would go: <strong>3 events, 0 profiles</strong> of 1 of 1 identifier, 30.0 % of the project’s data", "It can be cancelled until", "<li>Now: Waits, can be cancelled</li>", "Cancel the deletion", "!Run again", "!certificate")
	w.advance(2 * time.Hour)
	b = w.as(pat)
	w.task(w.service.Begin, dsr.Step{Task: r.Task, Attempt: r.Attempt})
	b.get(page).wants(t, "begun", 200, "At work", `data-every="2"`, "The deletion has begun, and can no longer be cancelled", "!Cancel the deletion", "!certificate")
	w.finish(r)
	b.get(page).wants(t, "done", 200, "Completed", "!Cancel", "View the certificate", "Erased", "3 events", "!"+every)
	b.get(page+"/certificate").wants(t, "certificate", 200, "<td>events</td><td>3 events, 0 profiles</td><td>0 events, 0 profiles</td>", page+"/certificate.json", "!hugo")
	a := b.get(page + "/certificate.json")
	if a.Code != 200 || a.Header().Get("Content-Type") != "application/json" || a.Header().Get("Content-Disposition") != `attachment; filename="`+r.Task+`.json"` || !strings.HasPrefix(a.text, "{") {
		t.Errorf("the file: %d %v %s", a.Code, a.Header(), a.text)
	}
	b.do("POST", page+"/cancel", nil).wants(t, "cancel too late", 409, "can no longer be cancelled")
	b.get(page+"/download").wants(t, "download", 404, "A deletion has no file")

	cancelled := w.submit(dsr.Deletion, "bob")
	w.plan(cancelled)
	page = "/requests/" + cancelled.Task
	b.do("POST", page+"/cancel", nil).wants(t, "cancel asks", 200, "<h1>Cancel the deletion</h1>", "It can be cancelled until ", "no data is erased", "1 identifier in the project Shop", `href="`+page+`">No, go back`, "!bob")
	b.get(page).wants(t, "not cancelled yet", 200, "Cancel the deletion")
	if a := b.do("POST", page+"/cancel", url.Values{"sure": {"1"}}); a.Code != http.StatusSeeOther || a.Header().Get("Location") != page {
		t.Errorf("cancel: %d to %q", a.Code, a.Header().Get("Location"))
	}
	b.get(page).wants(t, "cancelled", 200, "Cancelled", "!Cancel the deletion", "!certificate")
}

// Between the last look of a plan and its sum nothing is said to go, which would be told
// for the whole window else.
func TestAPreviewWaitsForItsSum(t *testing.T) {
	w := newWorld(t)
	w.track("hugo", 3)
	r := w.submit(dsr.Deletion, "hugo")
	w.control.refuses = func(op table.Op) bool { return bytes.Contains(op.Item.Data, []byte(`"planned":`)) }
	if _, err := w.service.Plan(t.Context(), dsr.Step{Task: r.Task, Attempt: r.Attempt}); kind.Of(err) != kind.Unavailable {
		t.Fatal(err)
	}
	b := w.as(pat)
	b.get("/requests/"+r.Task).wants(t, "without the sum", 200, "<td>Found</td>", "!What would go", `data-every="2"`)
	w.control.refuses = nil
	w.plan(r)
	b.get("/requests/"+r.Task).wants(t, "with the sum", 200, "What would go: <strong>3 events", `data-every="30"`)
	none := w.submit(dsr.Deletion, "nobody")
	w.plan(none)
	b.get("/requests/"+none.Task).wants(t, "nothing found", 200, "What would go: <strong>0 events", `data-every="30"`)
}

// A deletion that the guard holds is confirmed by somebody else than who made it.
func TestAHeldDeletionIsConfirmed(t *testing.T) {
	w := newWorld(t)
	w.member(w.ProjectID, kim, account.Admin)
	if _, err := w.accounts.SetRules(t.Context(), w.ProjectID, dsr.By{Actor: pat}, func(r *dsr.Rules) error {
		r.Guard = dsr.Guard{Share: 1, Rows: 1, IDs: 100}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.track("ada", 5)
	r := w.submit(dsr.Deletion, "ada")
	w.plan(r)
	page := "/requests/" + r.Task
	own, other := w.as(pat), w.as(kim)
	own.get(page).wants(t, "held", 200, "Waits to be confirmed", "This deletion would take 5 rows", "Another owner or admin", ">Confirm</button>", "Cancel the deletion", `data-every="30"`)
	own.get("/requests").wants(t, "the log", 200, "Waits to be confirmed")
	own.do("POST", page+"/confirm", nil).wants(t, "confirmed by who made it", 409, "Another owner or admin than the one")
	if a := other.do("POST", page+"/confirm", nil); a.Code != http.StatusSeeOther {
		t.Errorf("confirm: %d %s", a.Code, a.text)
	}
	own.get(page).wants(t, "confirmed", 200, "Accepted", "!>Confirm<", "<dt>Confirmed by</dt><dd>"+kim+"</dd>")
	entries := ""
	if err := w.accounts.Entries(t.Context(), w.ProjectID, 0, func(_ int64, stored []byte) error {
		entries += string(stored) + "\n"
		return nil
	}); err != nil || !regexp.MustCompile(`"actor":"`+kim+`","action":"deletion.confirm".*"from":"192\.0\.2\.1"`).MatchString(entries) {
		t.Errorf("%v, the trail: %s", err, entries)
	}
}

func TestARequestIsExtendedOnce(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	r := w.submit(dsr.Export, "ada")
	page := "/requests/" + r.Task
	b.do("POST", page+"/extension", nil).wants(t, "without a reason", 400, `id="reason-wrong">This is empty`, `aria-describedby="reason-hint reason-wrong"`)
	long := strings.Repeat("why ", 300)
	b.do("POST", page+"/extension", url.Values{"reason": {long}}).wants(t, "a long reason", 400, "longer than 1000", `value="`+long+`"`)
	if a := b.do("POST", page+"/extension", url.Values{"reason": {"Many <b>requests</b>"}}); a.Code != http.StatusSeeOther {
		t.Errorf("%d %s", a.Code, a.text)
	}
	a := b.get(page)
	a.wants(t, "extended", 200, "Many <b>requests</b>", w.now().UTC().AddDate(0, 3, 0).Format("January 2006"), "!Extend the due date")
	if strings.Contains(a.text, "<b>") {
		t.Error("the reason is not escaped")
	}
	b.do("POST", page+"/extension", url.Values{"reason": {"again"}}).wants(t, "again", 409, "was extended before")
}

func TestWhatBrokeIsRunAgainOrGivenUp(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	again, given := w.broken(w.submit(dsr.Export, "ada")), w.broken(w.submit(dsr.Export, "bob"))
	b.get("/requests/"+again.Task).wants(t, "broken", 200, "Failed, to be run again", "Run again", "Give up", "!Cancel the")
	if a := b.do("POST", "/requests/"+again.Task+"/rerun", nil); a.Code != http.StatusSeeOther {
		t.Errorf("rerun: %d %s", a.Code, a.text)
	}
	b.get("/requests/"+again.Task).wants(t, "run again", 200, "Accepted")
	b.do("POST", "/requests/"+given.Task+"/cancel", nil).wants(t, "giving up asks", 200, "<h1>Give up the export</h1>", "cannot be run again")
	if a := b.do("POST", "/requests/"+given.Task+"/cancel", url.Values{"sure": {"1"}}); a.Code != http.StatusSeeOther {
		t.Errorf("give up: %d %s", a.Code, a.text)
	}
	b.get("/requests/"+given.Task).wants(t, "given up", 200, "It was given up", "!Give up<")
	w.advance(60 * 24 * time.Hour)
	w.as(pat).get("/requests/"+again.Task).wants(t, "overdue", 200, "This request is overdue", "!Extend the due date")
}

// A request that somebody may not see is no other than one that is not there, whatever
// they ask of it.
func TestRequestsOfOthers(t *testing.T) {
	w := newWorld(t)
	foreign, err := w.accounts.MakeProject(t.Context(), dsr.By{Actor: pat}, "Foreign")
	if err != nil {
		t.Fatal(err)
	}
	w.member(foreign.ID, kim, account.Admin)
	r := w.submit(dsr.Deletion, "ada")
	text := regexp.MustCompile(r.Task + "|" + kim + "|" + sam + `|<span>[^<]*</span>`)
	for name, b := range map[string]*browser{"an analyst": w.as(sam), "an admin of another project": w.as(kim)} {
		for _, call := range []string{"GET ", "GET /download", "GET /certificate", "GET /certificate.json", "POST /cancel", "POST /confirm", "POST /rerun", "POST /extension"} {
			method, rest, _ := strings.Cut(call, " ")
			a := b.do(method, "/requests/"+r.Task+rest, url.Values{"reason": {"why"}})
			none := b.do(method, "/requests/0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e"+rest, url.Values{"reason": {"why"}})
			strange := b.do(method, "/requests/%3Cscript%3E"+rest, nil)
			if a.Code != http.StatusNotFound || text.ReplaceAllString(a.text, "") != text.ReplaceAllString(none.text, "") || none.Code != a.Code || strange.Code != a.Code || strings.Contains(strange.text, "<script>") {
				t.Errorf("%s, %s: %d\n%s\nnone: %d\n%s", name, call, a.Code, a.text, none.Code, none.text)
			}
		}
	}
	if got := w.requests()[0]; got.Status != dsr.Pending || got.Extension != "" {
		t.Errorf("it was changed: %+v", got)
	}
	if a := w.browser().get("/requests/" + r.Task); a.Header().Get("Location") != "/sign-in?to=%2Frequests%2F"+r.Task {
		t.Errorf("from a mail, without a session: %d to %q", a.Code, a.Header().Get("Location"))
	}
}

func TestManyFindingsHavePages(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for n := range 201 {
		ids = append(ids, fmt.Sprintf("user-%d", n))
	}
	r := w.submit(dsr.Export, ids...)
	b := w.as(pat)
	page := "/requests/" + r.Task
	b.get(page).wants(t, "first", 200, "<code>user-99</code>", "!<code>user-100</code>", "Page 1 of 3, 201 in all", `href="`+page+`?page=2"`)
	b.get(page+"?page=3").wants(t, "last", 200, "<code>user-200</code>", "!<code>user-199</code>", `href="`+page+`?page=2"`, `data-from="`+page+`?page=3"`)
	b.get(page+"?page=99").wants(t, "beyond", 200, "Page 3 of 3")
}
