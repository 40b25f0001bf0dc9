package console_test

import (
	"bytes"
	"fmt"
	"html"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"lethe/shared/account"
	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

const kim = "kim@example.com" // is an admin of the one project, without a token

// send posts a form that can carry a file, as a browser does; a nil file is none.
func (b *browser) send(target string, fields url.Values, file []byte) answer {
	b.w.t.Helper()
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for name, values := range fields {
		for _, value := range values {
			if err := parts.WriteField(name, value); err != nil {
				b.w.t.Fatal(err)
			}
		}
	}
	name := "people.csv"
	if file == nil {
		name = ""
	}
	part, err := parts.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil {
		err = parts.Close()
	}
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.request("POST", target, body.String(), "Content-Type", parts.FormDataContentType())
}

// as is a browser in which somebody is signed in.
func (w *world) as(name string) *browser {
	w.t.Helper()
	b := w.browser()
	b.signIn(name)
	return b
}

// filled is a form as it is when nothing was changed but the project and a person.
func (w *world) filled(id string) url.Values {
	return url.Values{"key": {"K"}, "project": {w.ProjectID}, "compliance": {"gdpr"}, "disclosure": {"DATA"}, "window": {"year"}, "id": {id}, "step": {"submit"}}
}

// but is a copy of a form with other values, in pairs.
func but(fields url.Values, changes ...string) url.Values {
	out := url.Values{}
	for name, values := range fields {
		out[name] = values
	}
	for i := 0; i < len(changes); i += 2 {
		out.Set(changes[i], changes[i+1])
	}
	return out
}

// requests are all of the one project, newest first.
func (w *world) requests() []dsr.Request {
	w.t.Helper()
	all, _, err := w.service.List(w.t.Context(), w.ProjectID, "", 1, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// submitted is the request that an answer leads to.
func (w *world) submitted(a answer) dsr.Request {
	w.t.Helper()
	task, ok := strings.CutPrefix(a.Header().Get("Location"), "/requests/")
	if a.Code != http.StatusSeeOther || !ok {
		w.t.Fatalf("nothing was submitted: %d to %q %s", a.Code, a.Header().Get("Location"), a.text)
	}
	r, err := w.service.Get(w.t.Context(), w.ProjectID, task)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) idsOf(r dsr.Request) string {
	w.t.Helper()
	ids, err := w.service.IDs(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, id := range ids {
		all = append(all, string(id))
	}
	return strings.Join(all, "|")
}

func TestTheFormOfAnExport(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	a := b.get("/exports/new")
	key := regexp.MustCompile(`name="key" value="(\w+)"`).FindStringSubmatch(a.text)
	for _, part := range []string{
		`<option value="` + w.ProjectID + `" selected>Shop (` + w.ProjectID + `)</option>`, `enctype="multipart/form-data"`, "If one is missing",
		`value="gdpr" checked`, `id="window-year" name="window" value="year" checked`, "by " + w.now().UTC().AddDate(0, 0, 45).Format("2 January 2006"), "Only for the CCPA",
	} {
		if !strings.Contains(a.text, part) {
			t.Errorf("the form has no %q: %s", part, a.text)
		}
	}
	if key == nil || strings.Contains(b.get("/exports/new").text, key[1]) {
		t.Fatalf("the key of a form is not its own: %v", key)
	}
	const name = "0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e"
	form := but(w.filled(" ada "), "subject_request_id", name)
	r := w.submitted(b.send("/exports/new", form, nil))
	if r.Type != dsr.Export || r.Compliance != dsr.GDPR || r.Disclosure != dsr.Data || r.Requester != pat || r.SubjectRequestID != name || r.ProjectName != "Shop" || w.idsOf(r) != "ada" {
		t.Errorf("got %+v of %q", r, w.idsOf(r))
	}
	// As the script sends it, which leaves out what counts only under the CCPA.
	without := w.filled("eve")
	delete(without, "disclosure")
	delete(without, "window")
	if r := w.submitted(b.send("/exports/new", without, nil)); r.Disclosure != dsr.Data || r.Period != (dsr.Period{}) {
		t.Errorf("got %+v", r)
	}
	// As a browser of before forms with files.
	r = w.submitted(b.do("POST", "/exports/new", but(w.filled("bob"), "compliance", "ccpa", "disclosure", "SOURCES", "window", "days", "from", "2026-01-31", "to", "2026-02-01")))
	if from, to := "2026-01-31 00:00:00 +0000 UTC", "2026-02-01 23:59:59.999 +0000 UTC"; r.Compliance != dsr.CCPA || r.Disclosure != dsr.Sources || r.Period.From.String() != from || r.Period.To.String() != to {
		t.Errorf("got %+v", r)
	}
	r = w.submitted(b.send("/exports/new", but(w.filled(""), "compliance", "ccpa", "window", "all"), []byte("\ufeffdistinct_id\r\n\"cy\"\r\n\r\ndi\r\ncy\r\n")))
	if (r.Period != dsr.Period{}) || r.Count != 2 || w.idsOf(r) != "cy|di" {
		t.Errorf("got %+v of %q", r, w.idsOf(r))
	}
}

// Each refusal is a sentence beside its field, keeps what was typed, and submits nothing.
func TestFormsThatCannotBeSubmitted(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	tomorrow := w.now().UTC().AddDate(0, 0, 1).Format("2006-01-02")
	days := []string{"compliance", "ccpa", "window", "days", "from", "2026-01-31", "to", "2026-02-01"}
	for name, c := range map[string]struct {
		form  string
		typed []string
		file  string
		field string
		says  string
	}{
		"no project":          {"exports", []string{"project", ""}, "", "project", "Choose the project"},
		"no law":              {"exports", []string{"compliance", ""}, "", "compliance", "GDPR or the CCPA"},
		"no such law":         {"deletions", []string{"compliance", "hipaa"}, "", "compliance", "GDPR or the CCPA"},
		"sources and GDPR":    {"deletions", []string{"disclosure", "SOURCES"}, "", "disclosure", "only under the CCPA"},
		"categories and GDPR": {"exports", []string{"disclosure", "CATEGORIES"}, "", "disclosure", "only under the CCPA"},
		"no disclosure":       {"exports", []string{"disclosure", ""}, "", "disclosure", "Choose Data"},
		"window and GDPR":     {"exports", []string{"window", "all"}, "", "window", "only under the CCPA"},
		"days and GDPR":       {"exports", []string{"from", "2026-01-31"}, "", "window", "only under the CCPA"},
		"days not chosen":     {"exports", []string{"compliance", "ccpa", "from", "2026-01-31"}, "", "window", "for these days to count"},
		"no window":           {"exports", []string{"compliance", "ccpa", "window", ""}, "", "window", "last 12 months, all, or"},
		"no first day":        {"exports", append(days[:4:4], "to", "2026-02-01"), "", "from", "first day"},
		"no last day":         {"exports", append(days[:4:4], "from", "2026-02-01"), "", "to", "last day"},
		"no day":              {"exports", append(days[:6:6], "to", "2026-02-30"), "", "to", "last day"},
		"days turned round":   {"exports", append(days[:4:4], "from", "2026-02-02", "to", "2026-02-01"), "", "from", "later than the last"},
		"days to come":        {"exports", append(days[:6:6], "to", tomorrow), "", "to", "in the future"},
		"a bad name":          {"exports", []string{"subject_request_id", "7"}, "", "subject_request_id", "no UUID"},
		"nobody":              {"deletions", []string{"id", "  "}, "", "id", "Give the distinct_id"},
		"a placeholder":       {"deletions", []string{"id", "undefined"}, "", "id", "This identifier is a placeholder"},
		"too long":            {"exports", []string{"id", strings.Repeat("x", 256)}, "", "id", "longer than 255"},
		"one and several":     {"exports", nil, "bob", "id", "not both"},
		"a bad line":          {"exports", []string{"id", ""}, "bob\nnull\n", "column", "One line cannot be used"},
		"no text":             {"deletions", []string{"id", ""}, "b\x00", "file", "CSV UTF-8"},
		"no identifiers":      {"deletions", []string{"id", ""}, "distinct_id\n", "column", "no identifier"},
		"an empty file":       {"exports", []string{"id", ""}, "\ufeff\r\n \r\n", "file", "The file is empty"},
		"a huge file":         {"exports", []string{"id", ""}, strings.Repeat("0123456789\n", 400_000), "file", "more than 3 megabytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var file []byte
			if c.file != "" {
				file = []byte(c.file)
			}
			form := but(w.filled("ada"), c.typed...)
			a := b.send("/"+c.form+"/new", form, file)
			wrong := regexp.MustCompile(`<p class="warning" id="` + c.field + `-wrong">([^<]*)</p>`).FindStringSubmatch(a.text)
			if a.Code != http.StatusBadRequest || wrong == nil || !strings.Contains(html.UnescapeString(wrong[1]), c.says) {
				t.Fatalf("%d, beside it stands %q", a.Code, wrong)
			}
			if !regexp.MustCompile(`aria-describedby="[^"]*\b` + c.field + `-wrong"`).MatchString(a.text) {
				t.Errorf("the sentence is not told with its field: %s", a.text)
			}
			if !strings.Contains(a.text, `role="alert"`) || strings.Count(a.text, `<p class="warning" id="`) != 1 || !strings.Contains(a.text, " autofocus") || !strings.Contains(a.text, `name="key" value="K"`) {
				t.Errorf("%s", a.text)
			}
			for _, field := range []string{"id", "subject_request_id", "from", "to"} {
				if value := form.Get(field); value != "" && !strings.Contains(a.text, fmt.Sprintf(`value="%s"`, html.EscapeString(value))) {
					t.Errorf("%s is not kept: %s", field, a.text)
				}
			}
			if c.field == "column" && !strings.Contains(a.text, "spellcheck=\"false\">\n"+c.file+"</textarea>") {
				t.Errorf("the file is not kept: %s", a.text)
			}
		})
	}
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests were submitted", n)
	}
	if names(w.log.String(), "ada") || strings.Contains(w.log.String(), "bob") {
		t.Errorf("the log holds an identifier: %s", w.log)
	}
}

func TestADeletionIsConfirmedByItsNumber(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	form := but(w.filled(""), "step", "check", "block", "1", "compliance", "ccpa", "disclosure", "CATEGORIES", "subject_request_id", "0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e")
	a := b.send("/deletions/new", form, []byte("distinct_id\r\nada\r\n\"o\"\"neil\"\r\nada\r\n"))
	for _, part := range []string{
		"<strong>2 identifiers</strong>", "Type 2, the number of identifiers", "can be cancelled", "For 1 hour after", "withdrawn", `name="block" value="1"`, `name="compliance" value="ccpa"`,
		`name="disclosure" value="CATEGORIES"`, `name="key" value="K"`, "<dd>distinct_id</dd>", "readonly", "\ndistinct_id\nada\n&#34;o&#34;&#34;neil&#34;\nada\n</textarea>", "Delete the data of 2 identifiers",
	} {
		if !strings.Contains(a.text, part) {
			t.Errorf("the page has no %q: %s", part, a.text)
		}
	}
	if a.Code != http.StatusOK || len(w.requests()) != 0 {
		t.Fatalf("%d, %d requests", a.Code, len(w.requests()))
	}
	// What the page has, as a browser sends it.
	form = but(form, "column", "distinct_id\r\nada\r\n\"o\"\"neil\"\r\nada\r\n", "step", "submit")
	for _, count := range []string{"", "3", "two", "1"} {
		a := b.send("/deletions/new", but(form, "count", count), nil)
		if a.Code != http.StatusBadRequest || !strings.Contains(a.text, `id="count-wrong">This deletion is of 2 identifiers. Type 2`) || len(w.requests()) != 0 {
			t.Errorf("%q: %d %s", count, a.Code, a.text)
		}
	}
	if a := b.send("/deletions/new", but(form, "step", "change"), nil); a.Code != http.StatusOK || !strings.Contains(a.text, "<h1>Delete user data</h1>") || !strings.Contains(a.text, `value="1" checked`) || !strings.Contains(a.text, "neil") {
		t.Errorf("back to the form: %d %s", a.Code, a.text)
	}
	r := w.submitted(b.send("/deletions/new", but(form, "count", " 2 "), nil))
	if r.Type != dsr.Deletion || !r.Block || r.Compliance != dsr.CCPA || r.Disclosure != dsr.Categories || w.idsOf(r) != `ada|o"neil` {
		t.Errorf("got %+v of %q", r, w.idsOf(r))
	}
	single := w.filled("cy")
	if a := b.send("/deletions/new", but(single, "step", "check"), nil); !strings.Contains(a.text, "Type 1,") || !strings.Contains(a.text, `name="id" value="cy"`) {
		t.Errorf("a single one: %s", a.text)
	}
	if r := w.submitted(b.send("/deletions/new", but(single, "count", "1"), nil)); w.idsOf(r) != "cy" || r.Block {
		t.Errorf("got %+v of %q", r, w.idsOf(r))
	}
}

// The same form twice is one request, as of a double click; changed, it is another.
func TestAFormIsSubmittedOnce(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	first := w.submitted(b.send("/exports/new", w.filled("ada"), nil))
	if again := w.submitted(b.send("/exports/new", w.filled("ada"), nil)); again.Task != first.Task {
		t.Error("the same form made two requests")
	}
	if a := b.send("/exports/new", but(w.filled("cy"), "key", ""), nil); a.Code != http.StatusBadRequest || !strings.Contains(a.text, "This form is not whole") {
		t.Errorf("without its key: %d %s", a.Code, a.text)
	}
	for _, changed := range []url.Values{w.filled("bob"), but(w.filled("ada"), "key", "L"), but(w.filled("ada"), "compliance", "ccpa"), but(w.filled("ada"), "subject_request_id", "0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e")} {
		if w.submitted(b.send("/exports/new", changed, nil)).Task == first.Task {
			t.Errorf("%v is taken for another", changed)
		}
		w.advance(2e9)
	}
	if a := b.send("/exports/new", but(w.filled("cy"), "subject_request_id", "0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e"), nil); a.Code != http.StatusConflict || !strings.Contains(a.text, `id="subject_request_id-wrong">This name was given`) || !strings.Contains(a.text, `value="cy"`) {
		t.Errorf("a name of another: %d %s", a.Code, a.text)
	}
	w.advance(10e9)
	var a answer
	for n := range 7 {
		a = b.send("/exports/new", but(w.filled("ada"), "key", fmt.Sprint(n)), nil)
	}
	if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") == "" || !strings.Contains(a.text, "one new request a second") || !strings.Contains(a.text, `value="ada"`) {
		t.Errorf("too many: %d %s", a.Code, a.text)
	}
}

// Who has no token that works makes one with the form, is shown it once, and loses
// nothing of what they typed.
func TestATokenIsMadeInPlace(t *testing.T) {
	w := newWorld(t)
	w.member(w.ProjectID, kim, account.Admin)
	b := w.as(kim)
	file := []byte("ada\nbob")
	if a := b.get("/exports/new"); !strings.Contains(a.text, "Make my token and export the data") || strings.Contains(a.text, `value="submit"`) {
		t.Errorf("the form: %s", a.text)
	}
	a := b.send("/exports/new", w.filled(""), file)
	if a.Code != http.StatusForbidden || !strings.Contains(a.text, "needs a GDPR token of your own") || !strings.Contains(a.text, "\nada\nbob</textarea>") || len(w.requests()) != 0 {
		t.Errorf("without: %d %s", a.Code, a.text)
	}
	form := but(w.filled(""), "column", "ada\r\nbob", "step", "token")
	if a := b.send("/exports/new", but(form, "project", ""), nil); a.Code != http.StatusBadRequest || strings.Contains(a.text, account.TokenPrefix) {
		t.Errorf("a token is made for a form that cannot be submitted: %d %s", a.Code, a.text)
	}
	// While another click makes the token, the form makes no second.
	if err := w.accounts.Once(t.Context(), kim, "token export "+form.Get("key"), func() error {
		a = b.send("/exports/new", form, nil)
		return kind.E(kind.Unavailable, "make the token")
	}); kind.Of(err) != kind.Unavailable {
		t.Fatal(err)
	}
	if tokens, err := w.accounts.Tokens(t.Context(), kim); a.Code != http.StatusConflict || !strings.Contains(a.text, "This form was sent before") || len(tokens) != 0 || len(w.requests()) != 0 || err != nil {
		t.Errorf("a second click: %d, %d tokens, %d requests, %v: %s", a.Code, len(tokens), len(w.requests()), err, a.text)
	}
	a = b.send("/exports/new", form, nil)
	token := regexp.MustCompile(account.TokenPrefix + `\w+`).FindString(a.text)
	if a.Code != http.StatusOK || len(w.requests()) != 1 || !strings.Contains(a.text, `href="/requests/`+w.requests()[0].Task+`"`) {
		t.Fatalf("%d, %d requests: %s", a.Code, len(w.requests()), a.text)
	}
	if who, err := w.accounts.Bearer(t.Context(), token); err != nil || who.Name != kim {
		t.Errorf("the token is of %q, %v", who.Name, err)
	}
	// The page loaded again, or a second click, makes nothing, and says where the token is.
	a = b.send("/exports/new", form, nil)
	if a.Code != http.StatusOK || len(w.requests()) != 1 || !strings.Contains(a.text, `href="/requests/`+w.requests()[0].Task+`"`) || !strings.Contains(a.text, "made no other") || strings.Contains(a.text, account.TokenPrefix) {
		t.Errorf("again: %d, %d requests: %s", a.Code, len(w.requests()), a.text)
	}
	if tokens, err := w.accounts.Tokens(t.Context(), kim); err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
	if strings.Contains(w.log.String(), token) {
		t.Error("the log holds the token")
	}
	// One that ended does not count.
	tokens, _ := w.accounts.Tokens(t.Context(), kim)
	if err := w.accounts.RevokeToken(t.Context(), dsr.By{Actor: kim}, kim, tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	if a := b.send("/deletions/new", but(w.filled("ada"), "step", "check"), nil); !strings.Contains(a.text, "Make my token and delete the data of 1 identifier") {
		t.Errorf("after it was revoked: %s", a.text)
	}
	if a := b.send("/deletions/new", but(w.filled("ada"), "step", "token", "count", "1"), nil); a.Code != http.StatusOK || !strings.Contains(a.text, account.TokenPrefix) || len(w.requests()) != 2 {
		t.Errorf("a deletion: %d %s", a.Code, a.text)
	}
}

// A token that was made is shown also where the request is then refused.
func TestATokenIsNotLost(t *testing.T) {
	w := newWorld(t)
	w.member(w.ProjectID, kim, account.Admin)
	for n := range 5 {
		w.submitted(w.as(pat).send("/exports/new", but(w.filled("ada"), "key", fmt.Sprint(n)), nil))
	}
	a := w.as(kim).send("/exports/new", but(w.filled("bob"), "step", "token"), nil)
	if a.Code != http.StatusTooManyRequests || !strings.Contains(a.text, account.TokenPrefix) || !strings.Contains(a.text, `value="bob"`) || !strings.Contains(a.text, `value="submit"`) {
		t.Errorf("%d %s", a.Code, a.text)
	}
}

func TestWhoMayNotAsk(t *testing.T) {
	w := newWorld(t)
	foreign, err := w.accounts.MakeProject(t.Context(), dsr.By{Actor: pat}, "Foreign")
	if err != nil {
		t.Fatal(err)
	}
	w.member(w.ProjectID, kim, account.Admin)
	analyst, admin := w.as(sam), w.as(kim)
	for _, form := range []string{"/exports/new", "/deletions/new"} {
		for name, c := range map[string]struct {
			answer
			want int
		}{
			"an analyst looks": {analyst.get(form), 403}, "an analyst sends": {analyst.send(form, w.filled("ada"), nil), 403},
			"an admin of another": {admin.send(form, but(w.filled("ada"), "project", foreign.ID, "count", "1"), nil), 404},
			"no such project":     {admin.send(form, but(w.filled("ada"), "project", "1", "count", "1"), nil), 404},
			"nobody":              {w.browser().send(form, w.filled("ada"), nil), 403},
		} {
			if c.Code != c.want || strings.Contains(c.text, "Foreign") {
				t.Errorf("%s, %s: %d %s", form, name, c.Code, c.text)
			}
		}
	}
	// As an analyst of one project and an admin of another.
	w.member(foreign.ID, sam, account.Admin)
	if a := w.as(sam).send("/exports/new", w.filled("ada"), nil); a.Code != http.StatusForbidden {
		t.Errorf("an analyst of it: %d", a.Code)
	}
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests were submitted", n)
	}
}

// What was typed into a form outlives the session.
func TestAFormIsKeptWhenTheSessionEnds(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	kept := func(a answer) url.Values {
		form := url.Values{}
		for _, found := range regexp.MustCompile(`(?s)<textarea name="(\w+)"[^>]*>\n(.*?)</textarea>`).FindAllStringSubmatch(a.text, -1) {
			form.Add(found[1], html.UnescapeString(found[2]))
		}
		return form
	}
	w.advance(account.SessionLife)
	a := b.send("/exports/new", w.filled(""), []byte("<script>\n\"bob\""))
	if a.Code != http.StatusForbidden || !strings.Contains(a.text, `action="/exports/new" enctype="multipart/form-data"`) || !strings.Contains(a.text, ">\n&lt;script&gt;\n&#34;bob&#34;</textarea>") ||
		!strings.Contains(a.text, `name="step" hidden`) || !strings.Contains(a.text, `target="_blank"`) {
		t.Fatalf("%d %s", a.Code, a.text)
	}
	// All but a large file, without which nothing is submitted.
	large := w.browser().send("/exports/new", w.filled("ada"), make([]byte, 2<<20))
	large.wants(t, "a large file", 403, "Sign in first", "The file is too large to be kept", `target="_blank"`)
	b.signIn(pat)
	b.send("/exports/new", kept(large), nil).wants(t, "sent again without it", 200, "<h1>Export user data</h1>", `value="ada"`)
	if r := w.submitted(b.send("/exports/new", kept(a), nil)); w.idsOf(r) != "<script>|bob" {
		t.Errorf("got %q", w.idsOf(r))
	}
	if a := w.browser().do("POST", "/requests/x/extension", url.Values{"reason": {"many"}}); a.Code != http.StatusForbidden || strings.Contains(a.text, "enctype") || !strings.Contains(a.text, ">\nmany</textarea>") {
		t.Errorf("%d %s", a.Code, a.text)
	}
}

// Forms of another site do nothing, whichever page they are sent to.
func TestNoFormOfAnotherSiteIsTaken(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	r := w.submitted(b.send("/deletions/new", but(w.filled("ada"), "count", "1"), nil))
	posts := 0
	for _, pattern := range console.Patterns() {
		path, ok := strings.CutPrefix(pattern, "POST ")
		if !ok {
			continue
		}
		posts++
		path = strings.ReplaceAll(path, "{task}", r.Task)
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
			a := b.do("POST", path, but(w.filled("bob"), "count", "1", "reason", "why", "sought", "ada"), headers...)
			if a.Code != http.StatusForbidden || !strings.Contains(a.text, "not sent from a page of this server") {
				t.Errorf("%s with %q: %d", path, headers, a.Code)
			}
		}
	}
	if got := w.requests(); posts < 10 || len(got) != 1 || got[0].Status != dsr.Pending || got[0].Extension != "" {
		t.Errorf("%d routes, %+v", posts, got)
	}
}

func TestFormsThatAreTooLarge(t *testing.T) {
	w := newWorld(t)
	b := w.as(pat)
	b.send("/exports/new", but(w.filled(""), "column", strings.Repeat("0123456789\n", 400_000)), nil).wants(t, "what is typed", 413, "it may have 4 megabytes")
	many := url.Values{}
	for n := range 5000 {
		many.Set(fmt.Sprint(n), "")
	}
	b.send("/exports/new", many, nil).wants(t, "many parts", 413, "it may have 4 megabytes")
	b.send("/exports/new", but(w.filled(""), "subject_request_id", "ours"), make([]byte, 65<<20)).wants(t, "a file", 400, `id="file-wrong">The file has more than 3 megabytes`, `value="ours"`)
	b.request("POST", "/exports/new", "--x\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\nada", "Content-Type", "multipart/form-data; boundary=x").wants(t, "cut off", 400, "did not arrive whole")
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests were submitted", n)
	}
}
