// Package functions_test builds every function and runs them as AWS would.
package functions_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/dsr"
	"lethe/shared/table"
)

func TestFunctionsBuildForLambda(t *testing.T) {
	dir := build(t, true)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	built := map[string]bool{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		built[e.Name()] = true
		if info.Size() > 15e6 {
			t.Errorf("%s has %.1f MB, want 15 at most", e.Name(), float64(info.Size())/1e6)
		}
		// Templates call methods by names that the linker cannot know, so where one can run
		// it keeps every exported method of all that is linked: 8 MB.
		program, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || bytes.Contains(program, []byte("text/template.(*Template).Execute")) {
			t.Errorf("%s can run templates, %v", e.Name(), err)
		}
	}
	folders, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.IsDir() && !built[f.Name()] {
			t.Errorf("functions/%s gives no binary", f.Name())
		}
	}
}

func TestAFunctionTellsAllThatItsEnvironmentLacks(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), filepath.Join(build(t, false), "plan"))
	cmd.Env = []string{"AWS_REGION=eu-central-1", "LETHE_BUCKET=No Bucket"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("got %v, want exit status 1", err)
	}
	var line struct{ Level, Error string }
	if err := json.Unmarshal(out, &line); err != nil || line.Level != "ERROR" {
		t.Fatalf("got %s, want one line of JSON of level ERROR", out)
	}
	for _, name := range []string{"LETHE_BUCKET", "LETHE_CONTROL_TABLE", "LETHE_SUBJECTS_TABLE", "LETHE_KEYS", "LETHE_EXPORT_MACHINE"} {
		if !strings.Contains(line.Error, name) {
			t.Errorf("%s is not among the problems: %s", name, line.Error)
		}
	}
}

const (
	retrievals = "/api/app/data-retrievals/v3.0/"
	deletions  = "/api/app/data-deletions/v3.0/"
	requests   = "/api/app/requests/"
	optOuts    = "/api/app/opt-outs"
)

// TestRequestsRunThroughTheFunctions is one test, because a deployment takes a
// while to make, and because at its end it has seen everything that a role is for.
func TestRequestsRunThroughTheFunctions(t *testing.T) {
	d := deploy(t)
	d.ingest(t)
	d.optOut(t)
	grown := d.grow(t)
	d.exportAndErase(t, d.speakHTTP(t))
	d.disclosures(t)
	d.cancel(t)
	d.largest(t)
	d.recover(t)
	d.mail(t)
	d.account(t)
	d.console(t)
	grown()
	d.ledger(t)
	d.retire(t)
	d.putBack(t)
	for _, secret := range []string{"amelie", "bruno", "chloe", "dora", "emil", "flora", "gita", "hugo", "a rug", "nobody-of-that-name", "a lamp", "the secret of the client", d.GDPRToken, d.APISecret, d.ServiceSecret} {
		if strings.Contains(d.logs(), secret) {
			t.Errorf("the logs of the functions hold %q", secret)
		}
	}
	d.checkPolicies(t)
	if t.Failed() {
		t.Log(d.troubles())
	}
}

func (d *deployment) ingest(t *testing.T) {
	t.Helper()
	now := time.Now().Add(-time.Hour).Unix()
	for _, c := range []struct{ target, authorization, body string }{
		{"/import?strict=1", basic(d.APISecret, ""), fmt.Sprintf(
			`[{"event":"Bought","properties":{"distinct_id":"amelie","time":%d,"$insert_id":"a1","thing":"a lamp"}}]`, now)},
		{"/import?strict=1&project_id=" + d.ProjectID, basic(d.ServiceAccount, d.ServiceSecret), fmt.Sprintf(
			`[{"event":"Bought","properties":{"distinct_id":"bruno","time":%d,"$insert_id":"b1","thing":"a chair"}}]`, now)},
		{"/engage?verbose=1", "", `[{"$token":"` + d.ProjectToken + `","$distinct_id":"chloe","$set":{"plan":"free"}}]`},
		{"/engage?verbose=1", "", `[{"$token":"` + d.ProjectToken + `","$distinct_id":"chloe","$delete":""}]`},
	} {
		if out := d.call(t, http.MethodPost, c.target, c.body, headers("Authorization", c.authorization)); out.status != http.StatusOK {
			t.Fatalf("%s: %d %s", c.target, out.status, out.body)
		}
	}
}

// headers are JSON's and those of pairs.
func headers(pairs ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func basic(name, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

func (d *deployment) exportAndErase(t *testing.T, dora []string) {
	t.Helper()
	first := d.submit(t, retrievals, `{"distinct_ids":["amelie","nobody-of-that-name","dora"]}`)
	text := download(t, d.wait(t, retrievals, first, "SUCCESS")["result"].(string))
	if !strings.Contains(text, "a lamp") || strings.Contains(text, "a chair") {
		t.Error("the archive does not hold what is amelie's, or what is bruno's")
	}
	for _, name := range dora {
		if !strings.Contains(text, `{"event":"`+name+`"`) {
			t.Errorf("the archive lacks the event %q", name)
		}
	}

	task := d.submit(t, deletions, `{"distinct_ids":["amelie"]}`)
	d.wait(t, deletions, task, "SUCCESS")
	if out := d.api(t, http.MethodGet, requests+task+"/certificate", ""); out.status != http.StatusOK {
		t.Errorf("certificate: %d %s", out.status, out.body)
	}
	if link := d.wait(t, retrievals, first, "SUCCESS")["result"]; link != "" {
		t.Errorf("the archive of before is still handed out")
	}
	task = d.submit(t, retrievals, `{"distinct_ids":["amelie","bruno"]}`)
	text = download(t, d.wait(t, retrievals, task, "SUCCESS")["result"].(string))
	if strings.Contains(text, "a lamp") || !strings.Contains(text, "a chair") {
		t.Error("after the deletion the archive holds what was erased, or not what was kept")
	}
}

// disclosures asks for the types that only the CCPA has, about somebody with an
// event of several items.
func (d *deployment) disclosures(t *testing.T) {
	t.Helper()
	var b [600_000]byte
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b[:]) // never fails
	body := fmt.Sprintf(`[{"event":"Note","properties":{"distinct_id":"emil","time":%d,"$insert_id":"e1","$os":"Plan 9","thing":"a lamp %s"}}]`,
		time.Now().Add(-time.Hour).Unix(), base64.StdEncoding.EncodeToString(b[:]))
	if out := d.call(t, http.MethodPost, "/import?strict=1", body, headers("Authorization", basic(d.APISecret, ""))); out.status != http.StatusOK {
		t.Fatalf("import: %d %s", out.status, out.body)
	}
	asked := func(collection, disclosure string) map[string]any {
		task := d.submit(t, collection, `{"distinct_ids":["emil"],"compliance_type":"CCPA","disclosure_type":"`+disclosure+`"}`)
		return d.wait(t, collection, task, "SUCCESS")
	}
	if text := download(t, asked(retrievals, "Categories")["result"].(string)); !strings.Contains(text, `"name":"thing","type":"string"`) || strings.Contains(text, "a lamp") {
		t.Error("the archive of categories does not hold names, or holds values")
	}
	asked(deletions, "Sources")
	if text := download(t, asked(retrievals, "Data")["result"].(string)); !strings.Contains(text, "a lamp") || strings.Contains(text, "Plan 9") {
		t.Error("after the deletion of sources the archive lacks the event, or holds its platform")
	}
	asked(deletions, "Categories")
	task := d.submit(t, retrievals, `{"distinct_ids":["emil"],"compliance_type":"CCPA","window":"all"}`)
	d.wait(t, retrievals, task, "FAILURE") // nothing is left that leads to him
}

func (d *deployment) cancel(t *testing.T) {
	t.Helper()
	task := d.submit(t, deletions, `{"distinct_ids":["bruno"]}`)
	if out := d.api(t, http.MethodDelete, deletions+task, ""); out.status != http.StatusNoContent {
		t.Errorf("cancel: %d %s", out.status, out.body)
	}
	d.wait(t, deletions, task, "REVOKED")
}

// optOut keeps gita out, by a call, by a link and by a deletion, and lets him in again.
func (d *deployment) optOut(t *testing.T) {
	t.Helper()
	call := func(method, path, body, want string) {
		t.Helper()
		if out := d.api(t, method, path, body); out.status != http.StatusOK || !strings.Contains(out.body, want) {
			t.Errorf("%s %s: %d %s, want %s", method, path, out.status, out.body, want)
		}
	}
	call(http.MethodPost, optOuts, `{"distinct_ids":["gita","bruno"]}`, `{"distinct_id_count":2,"changed":2,"under_way_seconds":60}`)
	link := fmt.Sprintf(`[{"event":"$identify","properties":{"$identified_id":"gita","$anon_id":"gita-before","time":%d,"$insert_id":"e1"}}]`, time.Now().Unix())
	if out := d.call(t, http.MethodPost, "/import?strict=1", link, headers("Authorization", basic(d.APISecret, ""))); out.status != http.StatusOK {
		t.Errorf("a link to somebody who is opted out: %d %s", out.status, out.body)
	}
	call(http.MethodPost, optOuts+"/test", `{"distinct_ids":["gita-before"]}`, `"opted_out":true`)
	call(http.MethodDelete, optOuts, `{"distinct_ids":["bruno"]}`, `"changed":1`)
	d.wait(t, deletions, d.submit(t, deletions, `{"distinct_ids":["gita"],"block":true}`), "FAILURE") // there is nothing of his
	call(http.MethodGet, optOuts, "", `"origin":"deletion"`)
	call(http.MethodDelete, optOuts, `{"distinct_ids":["gita"]}`, `"changed":2`)
	call(http.MethodGet, optOuts, "", `"total":0`)
}

// mail lets Sweep and Remind tell people of what has happened so far.
func (d *deployment) mail(t *testing.T) {
	t.Helper()
	// A token that was made 340 days ago, and an open request.
	before := func() time.Time { return time.Now().AddDate(0, 0, -340) }
	old := account.New(cloud.NewTable(d.records, controlTable, time.Now), before)
	if _, _, err := old.MakeToken(t.Context(), dsr.By{Actor: "owner@example.com"}, "owner@example.com"); err != nil {
		t.Fatal(err)
	}
	open := d.submit(t, deletions, `{"distinct_ids":["nobody-of-that-name"]}`)
	defer d.wait(t, deletions, open, "FAILURE")
	for _, name := range []string{"sweep", "remind", "remind"} {
		if answer, err := d.running[name].Invoke(t.Context(), []byte(`{}`)); err != nil || answer.Failed {
			t.Errorf("%s: %s, %v", name, answer.Body, err)
		}
	}
	told := map[string]int{}
	sent := d.sent(t)
	for _, m := range sent {
		whole := m.whole()
		for _, subject := range []string{"An export is ready", "A deletion is complete", "A request failed", "Your GDPR token ends in 25 days"} {
			if strings.Contains(whole, "Subject: "+subject) && slices.Contains(m.Destinations, "owner@example.com") && strings.Contains(whole, "https://lethe.example/") {
				told[subject]++
			}
		}
		if strings.Contains(m.Raw, "amelie") {
			t.Error("a mail names a data subject")
		}
	}
	if len(told) != 4 || told["Your GDPR token ends in 25 days"] != 1 {
		t.Errorf("%d mails went out, by subject %v", len(sent), told)
	}
}

// A sentMail is a message as moto keeps it.
type sentMail struct {
	Destinations []string `json:"destinations"`
	Raw          string   `json:"raw_data"`
}

// whole is the message without the ends of lines that mail puts in.
func (m sentMail) whole() string {
	return strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(m.Raw)
}

// sent returns what SES has sent.
func (d *deployment) sent(t *testing.T) []sentMail {
	t.Helper()
	resp, err := http.Get(*d.moto.BaseEndpoint + "/moto-api/data.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct {
		SES struct{ RawMessage []sentMail } `json:"ses"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all.SES.RawMessage
}

// mailedLink is what the link in the one mail with a subject to somebody holds.
func (d *deployment) mailedLink(t *testing.T, to, subject string) string {
	t.Helper()
	var links []string
	for _, m := range d.sent(t) {
		if found := regexp.MustCompile(`https://lethe\.example/sign-in\?link=([0-9a-f]+)`).FindStringSubmatch(m.whole()); found != nil && slices.Contains(m.Destinations, to) && strings.Contains(m.Raw, "Subject: "+subject) {
			links = append(links, found[1])
		}
	}
	if len(links) != 1 {
		t.Fatalf("%d mails with a link say %q, want one", len(links), subject)
	}
	return links[0]
}

// account lets the owner sign in by a link, make a token with it, and look at the
// audit trail.
func (d *deployment) account(t *testing.T) {
	t.Helper()
	accounts := account.New(cloud.NewTable(d.records, controlTable, time.Now), time.Now)
	link, err := accounts.MakeLink(t.Context(), dsr.By{Actor: account.Local.Name}, "owner@example.com")
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		Results struct{ Session, Token string }
	}
	out := d.call(t, http.MethodPost, "/api/app/session", `{"link":"`+link+`"}`, headers())
	if err := json.Unmarshal([]byte(out.body), &in); err != nil || out.status != http.StatusCreated {
		t.Fatalf("sign in: %d %s", out.status, out.body)
	}
	as := headers("Authorization", "Bearer "+in.Results.Session)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/api/app/tokens", "", 201},
		{http.MethodPut, "/api/app/members?token=" + d.ProjectToken, `{"name":"sam@example.com","role":"admin"}`, 200},
		{http.MethodDelete, "/api/app/organisation/members", `{"name":"sam@example.com"}`, 200},
		{http.MethodPut, "/api/app/members?token=" + d.ProjectToken, `{"name":"kim@example.com","role":"analyst"}`, 200},
		{http.MethodGet, "/api/app/organisation/mail", "", 200},
		{http.MethodGet, "/api/app/audit?token=" + d.ProjectToken, "", 200},
	} {
		if out := d.call(t, c.method, c.path, c.body, as); out.status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, out.status, out.body)
		}
	}
	for _, path := range []string{"/api/app/audit/verify?token=" + d.ProjectToken, "/api/app/organisation/audit/verify"} {
		out := d.call(t, http.MethodGet, path, "", as)
		if out.status != http.StatusOK || !strings.Contains(out.body, `"faults":[]`) || !strings.Contains(out.body, `"heads":1`) {
			t.Errorf("%s: %d %s", path, out.status, out.body)
		}
	}
}

// console lets the owner sign in in a browser, by a link that was mailed, and out again.
func (d *deployment) console(t *testing.T) {
	t.Helper()
	cookie := ""
	form := func() http.Header {
		return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {cookie}}
	}
	if out := d.call(t, "POST", "/sign-in", "email=owner@example.com", form()); out.status != http.StatusOK || !strings.Contains(out.body, "Look into your mail") {
		t.Errorf("ask for a link: %d %s", out.status, out.body)
	}
	if answer, err := d.running["sweep"].Invoke(t.Context(), []byte(`{}`)); err != nil || answer.Failed {
		t.Errorf("sweep: %s, %v", answer.Body, err)
	}
	link := d.mailedLink(t, "owner@example.com", "Sign in to Lethe")
	d.mailedLink(t, "kim@example.com", "You are invited to Lethe")
	for _, c := range []struct {
		method, target, body string
		status               int
		holds, location      string
	}{
		{"GET", "/", "", 303, "", "/sign-in"},
		{"GET", "/sign-in", "", 200, `name="email"`, ""},
		{"GET", "/sign-in/provider", "", 503, "does not answer", ""},
		{"GET", "/sign-in?link=" + link, "", 200, `action="/sign-in/link"`, ""},
		{"POST", "/sign-in/link", "link=" + link, 303, "", "/"},
		{"GET", "/", "", 200, "<strong>owner@example.com</strong>", ""},
		{"GET", "/exports/new", "", 200, `name="key"`, ""},
		{"POST", "/exports/new", "key=k&project=" + d.ProjectID + "&compliance=gdpr&disclosure=DATA&window=year&id=null&step=submit", 400, `id="id-wrong"`, ""},
		{"POST", "/requests/search", "sought=amelie", 200, "/requests/", ""},
		{"POST", "/sign-in/link", "link=" + link, 403, "used before", ""},
		{"POST", "/sign-out", "", 303, "", "/sign-in"},
		{"GET", "/", "", 303, "", "/sign-in"},
	} {
		out := d.call(t, c.method, c.target, c.body, form())
		if out.status != c.status || !strings.Contains(out.body, c.holds) || out.header.Get("Location") != c.location {
			t.Errorf("%s %s: %d to %q %s", c.method, c.target, out.status, out.header.Get("Location"), out.body)
		}
		if set := out.header.Get("Set-Cookie"); set != "" {
			cookie, _, _ = strings.Cut(set, ";")
			if !strings.HasPrefix(cookie, "__Host-lethe=") {
				t.Errorf("%s %s sets %s", c.method, c.target, set)
			}
		}
		if c.target == "/requests/search" {
			d.forms(t, form())
		}
	}
	style := regexp.MustCompile(`/assets/\w+\.css`).FindString(d.call(t, "GET", "/sign-in", "", form()).body)
	if out := d.call(t, "GET", style, "", form()); out.status != 200 || out.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("the style at %q: %d", style, out.status)
	}
}

// forms exports somebody by a file and deletes them, as a browser with the headers does.
func (d *deployment) forms(t *testing.T, as http.Header) {
	t.Helper()
	event := fmt.Sprintf(`[{"event":"Bought","properties":{"distinct_id":"hugo","time":%d,"$insert_id":"h1","thing":"a rug"}}]`, time.Now().Add(-time.Hour).Unix())
	if out := d.call(t, http.MethodPost, "/import?strict=1", event, headers("Authorization", basic(d.APISecret, ""))); out.status != http.StatusOK {
		t.Fatalf("import: %d %s", out.status, out.body)
	}
	send := func(target string, fields ...string) (task string) {
		var body bytes.Buffer
		parts := multipart.NewWriter(&body)
		for i := 0; i < len(fields); i += 2 {
			_ = parts.WriteField(fields[i], fields[i+1]) // a buffer takes all
		}
		file, _ := parts.CreateFormFile("file", "people.csv")
		_, _ = file.Write([]byte("\ufeffdistinct_id\r\nhugo\r\n"))
		_ = parts.Close()
		as.Set("Content-Type", parts.FormDataContentType())
		out := d.call(t, http.MethodPost, target, body.String(), as)
		task, ok := strings.CutPrefix(out.header.Get("Location"), "/requests/")
		if out.status != http.StatusSeeOther || !ok {
			t.Fatalf("%s: %d %s", target, out.status, out.body)
		}
		return task
	}
	form := []string{"key", "k", "project", d.ProjectID, "compliance", "gdpr", "disclosure", "DATA", "window", "year", "step", "submit"}
	task := send("/exports/new", form...)
	d.wait(t, retrievals, task, "SUCCESS")
	link := d.call(t, http.MethodGet, "/requests/"+task+"/download", "", as)
	if link.status != http.StatusSeeOther || !strings.Contains(download(t, link.header.Get("Location")), "a rug") {
		t.Errorf("download: %d to %q", link.status, link.header.Get("Location"))
	}
	task = send("/deletions/new", append(form, "count", "1")...)
	d.wait(t, deletions, task, "SUCCESS")
	for path, holds := range map[string]string{"": "Completed", "/certificate": "<td>1 event, 0 profiles</td><td>0 events, 0 profiles</td>", "/certificate.json": `"effect"`} {
		if out := d.call(t, http.MethodGet, "/requests/"+task+path, "", as); out.status != http.StatusOK || !strings.Contains(out.body, holds) {
			t.Errorf("%s of the deletion: %d %s", path, out.status, out.body)
		}
	}
}

// grow lets a link of somebody appear when their deletion has begun, as one that was on
// its way then: whom it leads to is erased too. That takes the minute for which others
// may be on their way, so what it returns is to be called when other things are done.
func (d *deployment) grow(t *testing.T) (ended func()) {
	t.Helper()
	body := fmt.Sprintf(`[{"event":"$identify","properties":{"$identified_id":"flora","$anon_id":"flora-before","time":%[1]d,"$insert_id":"f1"}},
		{"event":"Bought","properties":{"distinct_id":"flora-before","time":%[1]d,"$insert_id":"f2","thing":"a lamp"}}]`, time.Now().Add(-time.Hour).Unix())
	if out := d.call(t, http.MethodPost, "/import?strict=1", body, headers("Authorization", basic(d.APISecret, ""))); out.status != http.StatusOK {
		t.Fatalf("import: %d %s", out.status, out.body)
	}
	subjects := cloud.NewTable(d.records, subjectsTable, time.Now)
	var hide, show []table.Op
	for _, id := range []string{"flora", "flora-before"} {
		page, err := subjects.Query(t.Context(), table.Query{PK: d.ProjectID + "#id#" + id, From: "edge#", To: "edge$"})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("%d ends of the link, %v", len(page.Items), err)
		}
		hide, show = append(hide, table.Delete(page.Items[0].Key, table.Cond{})), append(show, table.Put(page.Items[0], table.Cond{}))
	}
	if err := subjects.Write(t.Context(), hide...); err != nil {
		t.Fatal(err)
	}
	d.once("begin", func(answer []byte) bool {
		begun := strings.Contains(string(answer), `"next":"ready"`)
		if begun {
			if err := subjects.Write(t.Context(), show...); err != nil {
				t.Error(err)
			}
		}
		return begun
	})
	task := d.submit(t, deletions, `{"distinct_ids":["flora"],"block":true}`)
	d.wait(t, deletions, task, "STARTED")
	return func() {
		t.Helper()
		d.wait(t, deletions, task, "SUCCESS")
		out := d.api(t, http.MethodGet, requests+task+"/certificate", "")
		if n := strings.Count(out.body, `"mark"`); n != 2 {
			t.Errorf("the certificate has %d identifiers, want both: %d", n, out.status)
		}
		d.wait(t, retrievals, d.submit(t, retrievals, `{"distinct_ids":["flora-before"]}`), "FAILURE") // nothing is left
		if out := d.api(t, http.MethodPost, optOuts+"/test", `{"distinct_ids":["flora-before"]}`); !strings.Contains(out.body, `"opted_out":true`) {
			t.Errorf("whom the deletion took in is not opted out: %d %s", out.status, out.body)
		}
	}
}

// ledger compares the ledger with its copy, also when that lacks something.
func (d *deployment) ledger(t *testing.T) {
	t.Helper()
	list := func(name string) (keys []string) {
		prefix := "ledger/"
		out, err := d.files.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &name, Prefix: &prefix})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Contents {
			keys = append(keys, *o.Key)
		}
		return keys
	}
	same := func() []string {
		t.Helper()
		ours, theirs := list(bucket), list(ledgerCopy)
		if len(ours) == 0 || !slices.Equal(ours, theirs) {
			t.Fatalf("the ledger has %v, its copy %v", ours, theirs)
		}
		return ours
	}
	name, copied := same()[0], ledgerCopy
	if _, err := d.files.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &copied, Key: &name}); err != nil {
		t.Fatal(err)
	}
	if answer, err := d.running["remind"].Invoke(t.Context(), []byte(`{}`)); err != nil || answer.Failed {
		t.Errorf("remind: %s, %v", answer.Body, err)
	}
	same()
}

// retire moves the end of a deletion back, and lets Sweep take its identifiers and then
// its record away.
func (d *deployment) retire(t *testing.T) {
	t.Helper()
	task := d.submit(t, deletions, `{"distinct_ids":["bruno"]}`)
	d.wait(t, deletions, task, "FAILURE") // nothing of his is left
	control := cloud.NewTable(d.records, controlTable, time.Now)
	key := table.Key{PK: "request#" + task, SK: "request"}
	for _, c := range []struct {
		row  string
		ago  time.Duration
		says string
	}{{"ended#with-ids", 31 * 24 * time.Hour, `"distinct_ids":[]`}, {"ended#without-ids", 800 * 24 * time.Hour, "NOT_FOUND"}} {
		item, err := control.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		var request map[string]any
		if err := json.Unmarshal(item.Data, &request); err != nil {
			t.Fatal(err)
		}
		ended, err := time.Parse(time.RFC3339Nano, request["finished"].(string))
		if err != nil {
			t.Fatal(err)
		}
		earlier := time.Now().Add(-c.ago).UTC().Truncate(time.Millisecond)
		request["finished"] = earlier
		if item.Data, err = json.Marshal(request); err != nil {
			t.Fatal(err)
		}
		row := func(at time.Time) table.Key {
			return table.Key{PK: c.row, SK: fmt.Sprintf("%013d#%s", at.UnixMilli(), task)}
		}
		if _, err := control.Get(t.Context(), row(ended)); err != nil {
			t.Fatalf("%s: %v", c.row, err)
		}
		if err := control.Write(t.Context(), table.Put(item, table.IfAt(item.Version)), table.Delete(row(ended), table.Cond{}), table.Put(table.Item{Key: row(earlier)}, table.Cond{})); err != nil {
			t.Fatal(err)
		}
		if answer, err := d.running["sweep"].Invoke(t.Context(), []byte(`{}`)); err != nil || answer.Failed {
			t.Errorf("sweep: %s, %v", answer.Body, err)
		}
		if out := d.api(t, http.MethodGet, deletions+task, ""); !strings.Contains(out.body, c.says) {
			t.Errorf("%s: %d %s, want %s", c.row, out.status, out.body, c.says)
		}
	}
}

// recover lets Sweep find an execution that died, and one that never started.
func (d *deployment) recover(t *testing.T) {
	t.Helper()
	task := d.submit(t, deletions, `{"distinct_ids":["bruno"]}`)
	execution := strings.Replace(machineARN("deletion"), ":stateMachine:", ":execution:", 1) + ":" + task + "-1"
	stop := func() error {
		_, err := sfn.NewFromConfig(d.moto).StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &execution})
		return err
	}
	err := stop()
	for tries := 0; err != nil && tries < 50; tries++ {
		time.Sleep(100 * time.Millisecond) // moto fails with 500 until its thread for the execution runs
		err = stop()
	}
	if err != nil {
		t.Fatal(err)
	}
	d.sweepUntil(t, deletions, task, "FAILURE")

	d.recorders["api"].refuse("states:StartExecution")
	if out := d.api(t, http.MethodPost, requests+"rerun/", ""); out.status != http.StatusOK || !strings.Contains(out.body, `"rerun":1`) {
		t.Errorf("rerun of all: %d %s", out.status, out.body)
	}
	d.wait(t, deletions, task, "PENDING")
	d.sweepUntil(t, deletions, task, "SUCCESS")

	d.recorders["api"].refuse("states:StartExecution")
	task = d.submit(t, retrievals, `{"distinct_ids":["amelie"]}`)
	d.sweepUntil(t, retrievals, task, "FAILURE") // nothing is left of her
}

// putBack plays a deployment whose tables were put back to a point in time at which
// two exports were open: no function starts on them before infra/restore has run.
func (d *deployment) putBack(t *testing.T) {
	t.Helper()
	var held []string
	for range 2 {
		d.recorders["api"].refuse("states:StartExecution")
		held = append(held, d.submit(t, retrievals, `{"distinct_ids":["dora"]}`))
	}
	const restored = "LETHE_RESTORED=true"
	for name, r := range d.recorders {
		cmd := exec.CommandContext(t.Context(), filepath.Join(d.programs, name))
		cmd.Env = append(environment(r.server.URL), restored)
		var exit *exec.ExitError
		if out, err := cmd.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "infra/restore") {
			t.Errorf("%s before the restore: %v, %s", name, err, out)
		}
	}
	program := filepath.Join(t.TempDir(), "restore")
	command(t, nil, "build", "-o", program, "./infra/restore")
	cmd := exec.CommandContext(t.Context(), program, "-control", controlTable, "-subjects", subjectsTable, "-bucket", bucket, "-keys", keysPath,
		"-key-versions", "1", "-ledger-copy", ledgerCopy, "-export", machineARN("export"), "-deletion", machineARN("deletion"))
	cmd.Env = environment(record(t, d.aws).server.URL)
	out, err := cmd.Output()
	var told struct {
		Held  int    `json:"requests_held"`
		Token string `json:"gdpr_token"`
	}
	if err == nil {
		err = json.Unmarshal(out, &told)
	}
	if err != nil || told.Held != len(held) {
		t.Fatalf("restore: %v, %d held", err, told.Held)
	}
	if out := d.api(t, http.MethodGet, requests+held[0], ""); out.status != http.StatusUnauthorized {
		t.Errorf("a token of before: %d", out.status)
	}
	d.GDPRToken = told.Token
	for name, r := range d.recorders {
		d.running[name] = d.start(t, name, r.server.URL, restored)
	}
	if out := d.api(t, http.MethodPost, requests+held[0]+"/cancel", ""); out.status != http.StatusOK {
		t.Errorf("cancel of what is held: %d %s", out.status, out.body)
	}
	d.wait(t, retrievals, held[0], "REVOKED")
	if out := d.api(t, http.MethodPost, requests+held[1]+"/confirm", ""); out.status != http.StatusOK {
		t.Errorf("confirm: %d %s", out.status, out.body)
	}
	d.wait(t, retrievals, held[1], "SUCCESS")
}

// sweepUntil plays the schedule of Sweep until a request has that status.
func (d *deployment) sweepUntil(t *testing.T, collection, task, want string) {
	t.Helper()
	d.waitWhile(t, collection, task, want, func() {
		answer, err := d.running["sweep"].Invoke(t.Context(), []byte(`{}`))
		if err != nil || answer.Failed {
			t.Errorf("sweep: %s, %v", answer.Body, err)
		}
	})
}

// api calls a path of the project's as its owner.
func (d *deployment) api(t *testing.T, method, path, body string) reply {
	t.Helper()
	return d.call(t, method, path+"?token="+d.ProjectToken, body, headers("Authorization", "Bearer "+d.GDPRToken))
}

// submit makes a request and returns its task.
func (d *deployment) submit(t *testing.T, collection, body string) string {
	t.Helper()
	for range 30 {
		out := d.api(t, http.MethodPost, collection, body)
		if out.status == http.StatusTooManyRequests {
			time.Sleep(time.Second)
			continue
		}
		var created struct {
			Results struct {
				Task string `json:"task_id"`
			} `json:"results"`
		}
		if err := json.Unmarshal([]byte(out.body), &created); err != nil || out.status != http.StatusCreated {
			t.Fatalf("create: %d %s\n%s", out.status, out.body, d.troubles())
		}
		return created.Results.Task
	}
	t.Fatal("create: throttled for too long")
	return ""
}

// wait returns the status of a request once it is the one that is wanted.
func (d *deployment) wait(t *testing.T, collection, task, want string) map[string]any {
	t.Helper()
	return d.waitWhile(t, collection, task, want, func() {})
}

func (d *deployment) waitWhile(t *testing.T, collection, task, want string, meanwhile func()) map[string]any {
	t.Helper()
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		meanwhile()
		out := d.api(t, http.MethodGet, collection+task+"/", "")
		var s struct{ Results map[string]any }
		if err := json.Unmarshal([]byte(out.body), &s); err != nil {
			t.Fatalf("status: %d %s", out.status, out.body)
		}
		last, _ = s.Results["status"].(string)
		switch last {
		case want:
			return s.Results
		case "SUCCESS", "FAILURE", "REVOKED", "NOT_FOUND":
			t.Fatalf("the request ended %s, want %s\n%s", last, want, d.troubles())
		}
	}
	t.Fatalf("the request is still %s, want %s\n%s", last, want, d.troubles())
	return nil
}

// download returns the text of all files in an archive.
func download(t *testing.T, link string) string {
	t.Helper()
	r, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("download: %d, %v", r.StatusCode, err)
	}
	if as := r.Header.Get("Content-Disposition"); !strings.HasPrefix(as, "attachment;") {
		t.Errorf("the archive is not to be saved but %q", as)
	}
	longer, err := http.Get(strings.Replace(link, "X-Amz-Expires=", "X-Amz-Expires=1", 1))
	if err != nil {
		t.Fatal(err)
	}
	longer.Body.Close()
	if longer.StatusCode != http.StatusForbidden {
		t.Errorf("a link that lives longer than it was signed for: got %d, want 403", longer.StatusCode)
	}
	files, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range files.File {
		open, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&text, open); err != nil {
			t.Fatal(err)
		}
		open.Close()
	}
	return text.String()
}

// BenchmarkFunctions tells of every function how large it is for Lambda, and how
// long it takes from the start of the process to the first event it asks for, on
// top of the two calls that it makes for its keys.
func BenchmarkFunctions(b *testing.B) {
	binaries, err := os.ReadDir(build(b, true))
	if err != nil {
		b.Fatal(err)
	}
	here := &deployment{programs: build(b, false)}
	keys := httptest.NewServer(http.HandlerFunc(atOnce))
	b.Cleanup(keys.Close)
	for _, f := range binaries {
		info, err := f.Info()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(f.Name(), func(b *testing.B) {
			var ready time.Duration
			for range b.N {
				started := here.start(b, f.Name(), keys.URL)
				ready += started.Ready
				started.Stop()
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(ready.Microseconds())/1e3/float64(b.N), "ms/start")
			b.ReportMetric(float64(info.Size())/1e6, "MB")
		})
	}
}

// atOnce answers for SSM and KMS without the time that they take.
func atOnce(w http.ResponseWriter, r *http.Request) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetParameter") {
		fmt.Fprintf(w, `{"Parameter":{"Value":%q}}`, key)
		return
	}
	fmt.Fprintf(w, `{"Plaintext":%q}`, key)
}
