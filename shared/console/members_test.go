package console_test

import (
	"crypto/rand"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/console"
	"lethe/shared/dsr"
)

const (
	olga = "olga@example.com" // an admin of the organisation
	adam = "adam@example.com" // an admin of the one project
	cora = "cora@example.com" // a consumer of it
	eve  = "eve@example.com"  // an owner of another project
)

// A cast is a world in which people have every kind of role.
type cast struct {
	*world
	other   string // another project
	program string // a service account of the one project
	as      map[string]*browser
}

func newCast(t *testing.T) *cast {
	t.Helper()
	c := &cast{world: newWorld(t), as: map[string]*browser{}}
	c.member("", olga, account.Admin)
	c.member(c.ProjectID, adam, account.Admin)
	c.member(c.ProjectID, cora, account.Consumer)
	other, err := c.accounts.MakeProject(t.Context(), dsr.By{Actor: pat}, "Other")
	if err != nil {
		t.Fatal(err)
	}
	c.other = other.ID
	c.member(c.other, eve, account.Owner)
	c.program, _, err = c.accounts.MakeServiceAccount(t.Context(), dsr.By{Actor: pat}, c.ProjectID, "importer", account.Analyst)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{pat, sam, olga, adam, cora, eve} {
		c.as[name] = c.browser()
		c.as[name].signIn(name)
	}
	c.deliver()
	c.mails.sent = nil // the invitations of these people
	return c
}

// project is the address of a page of the one project.
func (c *cast) project(rest string) string { return "/projects/" + c.ProjectID + rest }

// post sends a form, with fields in pairs.
func (b *browser) post(path string, fields ...string) answer {
	b.w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do("POST", path, form)
}

// follow sends a form that is taken, and returns the page that it leads to.
func (b *browser) follow(path string, fields ...string) answer {
	b.w.t.Helper()
	a := b.post(path, fields...)
	if a.Code != http.StatusSeeOther {
		b.w.t.Fatalf("POST %s: %d %s", path, a.Code, a.text)
	}
	return b.get(a.Header().Get("Location"))
}

// entries are the actions in the trail of a project, or of the organisation, newest first.
func (c *cast) entries(project string) []string {
	c.t.Helper()
	found, _, err := c.accounts.Latest(c.t.Context(), project, 0, 1000, func(dsr.Entry) bool { return true })
	if err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for _, e := range found {
		all = append(all, e.Actor+" "+e.Action+" "+e.Detail+" "+e.From)
	}
	return all
}

// shown is what stands in the read-only fields of a page.
func (a answer) shown() []string {
	var all []string
	for _, found := range regexp.MustCompile(`class="secret" value="([^"]*)" readonly`).FindAllStringSubmatch(a.text, -1) {
		all = append(all, html.UnescapeString(found[1]))
	}
	return all
}

// forms are the routes that post, each with what it takes.
func (c *cast) forms() map[string][]string {
	once := func(more ...string) []string { return append(more, "once", rand.Text()) }
	return map[string][]string{
		"/personal/tokens":         once(),
		"/personal/tokens/revoke":  {"id", "x"},
		"/personal/tokens/replace": once("id", "x"),
		"/projects":                once("name", "New"),

		c.project("/name"):                    {"name", "Another"},
		c.project("/rotate"):                  once("what", "secret", "sure", "1", "overlap_days", "0"),
		c.project("/transfer"):                {"to", sam, "sure", "1"},
		c.project("/settings"):                {"identity", "original", "was-identity", "simplified"},
		c.project("/members"):                 {"name", "new@example.com", "role", "admin"},
		c.project("/members/remove"):          {"name", cora, "sure", "1"},
		c.project("/service-accounts"):        once("label", "another", "role", "admin"),
		c.project("/service-accounts/rotate"): once("name", c.program, "sure", "1", "overlap_days", "0"),
		c.project("/opt-outs"):                {"ids", "ada", "do", "out", "sure", "1"},
		c.project("/audit"):                   {},

		"/organisation/settings":       {"time_zone", "Europe/Berlin", "was-time_zone", "UTC"},
		"/organisation/members":        {"name", "new@example.com", "role", "admin"},
		"/organisation/members/remove": {"name", olga, "sure", "1"},
		"/organisation/audit":          {},
	}
}

// reading are the pages about a project.
var reading = []string{"", "/opt-outs", "/audit", "/audit/entries?from=1", "/audit/verify", "/counts"}

func TestWhoMaySeeAndChangeWhat(t *testing.T) {
	c := newCast(t)
	pages := map[string][]string{ // who may
		"/projects": {pat, olga, adam, sam, cora, eve}, "/personal": {pat, olga, adam, sam, cora, eve},
		"/organisation": {pat, olga}, "/organisation/audit": {pat, olga}, "/organisation/audit/entries?from=1": {pat, olga}, "/organisation/audit/verify": {pat, olga}, "/organisation/mail": {pat, olga},
	}
	for _, rest := range reading {
		pages[c.project(rest)] = []string{pat, olga, adam}
	}
	for path, may := range pages {
		for name, b := range c.as {
			want := http.StatusForbidden
			if slices.Contains(may, name) {
				want = http.StatusOK
			}
			if a := b.get(path); a.Code != want || want == http.StatusForbidden && !strings.Contains(a.text, "Only owners and admins") {
				t.Errorf("%s as %s: %d, want %d", path, name, a.Code, want)
			}
		}
		if a := c.browser().get(path); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/sign-in?to="+url.QueryEscape(path) {
			t.Errorf("%s as nobody: %d to %q", path, a.Code, a.Header().Get("Location"))
		}
	}
	before := slices.Concat(c.entries(""), c.entries(c.ProjectID), c.entries(c.other))
	for path, fields := range c.forms() {
		refused := []string{sam, cora}
		switch {
		case strings.HasPrefix(path, c.project("")):
			refused = append(refused, eve)
		case strings.HasPrefix(path, "/organisation"), path == "/projects":
			refused = append(refused, eve, adam)
		}
		if strings.HasSuffix(path, "/revoke") {
			continue // of a token of somebody's own
		}
		for _, name := range refused {
			a := c.as[name].post(path, fields...)
			if a.Code != http.StatusForbidden || !strings.Contains(a.text, "Only owners and admins") {
				t.Errorf("POST %s as %s: %d %s", path, name, a.Code, a.text)
			}
		}
		if a := c.browser().post(path, fields...); a.Code != http.StatusForbidden {
			t.Errorf("POST %s as nobody: %d", path, a.Code)
		}
	}
	if after := slices.Concat(c.entries(""), c.entries(c.ProjectID), c.entries(c.other)); !slices.Equal(before, after) || len(c.mails.sent) != 0 {
		t.Errorf("what was refused was done: %q", after)
	}
	// There is no telling a project that is not there from one that is somebody else's.
	for _, id := range []string{"1", "0000000", "x", c.other} {
		if a := c.as[adam].get("/projects/" + id); a.Code != http.StatusForbidden {
			t.Errorf("project %s as another's admin: %d", id, a.Code)
		}
	}
	if a := c.as[pat].get("/projects/1"); a.Code != http.StatusNotFound || !strings.Contains(a.text, "no project of this id") {
		t.Errorf("a project that is not there: %d", a.Code)
	}
}

func TestEveryFormIsOfThisServer(t *testing.T) {
	c := newCast(t)
	forms := c.forms()
	for _, pattern := range console.Patterns() {
		if path, ok := strings.CutPrefix(pattern, "POST "); ok {
			path = regexp.MustCompile(`{\w+}`).ReplaceAllString(path, c.ProjectID)
			if _, known := forms[path]; !known {
				forms[path] = nil
			}
		}
	}
	before := slices.Concat(c.entries(""), c.entries(c.ProjectID))
	for path, fields := range forms {
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
			form := url.Values{}
			for i := 0; i < len(fields); i += 2 {
				form.Set(fields[i], fields[i+1])
			}
			if a := c.as[pat].do("POST", path, form, headers...); a.Code != http.StatusForbidden || !strings.Contains(a.text, "not sent from a page of this server") {
				t.Errorf("%s with %q: %d", path, headers, a.Code)
			}
		}
	}
	if after := slices.Concat(c.entries(""), c.entries(c.ProjectID)); !slices.Equal(before, after) {
		t.Errorf("another site changed something: %q", after[:len(after)-len(before)])
	}
}

func TestSecretsAreShownOnce(t *testing.T) {
	c := newCast(t)
	b := c.as[pat]
	token := b.post("/personal/tokens", "once", "1")
	secret := token.shown()
	if token.Code != http.StatusOK || len(secret) != 1 || token.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", token.Code, token.text)
	}
	if actor, err := c.accounts.Bearer(t.Context(), secret[0]); err != nil || actor.Name != pat {
		t.Errorf("the token that is shown: %v %v", actor, err)
	}
	for name, form := range map[string]struct {
		path   string
		fields []string
		of     string // the trail
		action string
		shown  int
	}{
		"token":   {"/personal/tokens", nil, "", "token.make", 1},
		"project": {"/projects", []string{"name", "New"}, "", "project.make", 2},
		"rotate":  {c.project("/rotate"), []string{"what", "secret", "sure", "1", "overlap_days", "3"}, c.ProjectID, "project.rotate", 1},
		"rename":  {c.project("/rotate"), []string{"what", "token", "sure", "1", "overlap_days", "3"}, c.ProjectID, "project.rotate", 1},
		"service": {c.project("/service-accounts"), []string{"label", "another", "role", "admin"}, c.ProjectID, "service-account.make", 2},
		"again":   {c.project("/service-accounts/rotate"), []string{"name", c.program, "sure", "1", "overlap_days", "3"}, c.ProjectID, "service-account.rotate", 2},
	} {
		before := len(c.entries(form.of))
		fields := append(slices.Clone(form.fields), "once", rand.Text())
		a := b.post(form.path, fields...)
		shown := a.shown()
		if a.Code != http.StatusOK || len(shown) != form.shown || !strings.Contains(a.text, "never again") {
			t.Errorf("%s: %d %s", name, a.Code, a.text)
			continue
		}
		entries := c.entries(form.of)
		if len(entries) != before+1 || !strings.HasPrefix(entries[0], pat+" "+form.action+" ") || !strings.HasSuffix(entries[0], " 192.0.2.1") {
			t.Errorf("%s: the trail has %q", name, entries[:len(entries)-before])
		}
		// As a browser does that loads the page anew.
		again := b.post(form.path, fields...)
		if again.Code != http.StatusConflict || len(again.shown()) != 0 || len(c.entries(form.of)) != before+1 || !strings.Contains(again.text, "sent before") {
			t.Errorf("%s, sent again: %d %s", name, again.Code, again.text)
		}
		if a := b.post(form.path, form.fields...); a.Code != http.StatusBadRequest || len(c.entries(form.of)) != before+1 {
			t.Errorf("%s, without a key: %d", name, a.Code)
		}
		last := shown[len(shown)-1]
		for _, path := range []string{"/personal", "/projects", c.project(""), c.project("/audit"), "/organisation/audit"} {
			if strings.Contains(b.get(path).text, last) && name != "rename" { // a project token is no secret
				t.Errorf("%s: the secret stands on %s too", name, path)
			}
		}
		if strings.Contains(c.log.String(), last) {
			t.Errorf("%s: the secret is in the log", name)
		}
	}
}

func TestTokensOfSomebody(t *testing.T) {
	c := newCast(t)
	b := c.as[adam]
	if a := b.get("/personal"); !strings.Contains(a.text, "You have no token.") || !strings.Contains(a.text, "Generate a token") {
		t.Errorf("before: %s", a.text)
	}
	first := b.post("/personal/tokens", "once", "1").shown()[0]
	list, err := c.accounts.Tokens(t.Context(), adam)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	if a := b.get("/personal"); !strings.Contains(a.text, "<code>"+list[0].Prefix+"…</code>") || !strings.Contains(a.text, ">works<") || !strings.Contains(a.text, ">never<") {
		t.Errorf("the list: %s", a.text)
	}
	// Nobody else's can be named.
	if a := c.as[pat].post("/personal/tokens/revoke", "id", list[0].ID, "sure", "1"); a.Code != http.StatusNotFound {
		t.Errorf("somebody else's token: %d", a.Code)
	}
	ask := b.post("/personal/tokens/replace", "id", list[0].ID)
	if ask.Code != http.StatusOK || !strings.Contains(ask.text, list[0].Prefix) || !strings.Contains(ask.text, `name="overlap_days"`) {
		t.Errorf("asked: %d %s", ask.Code, ask.text)
	}
	for _, days := range []string{"", "91", "-1", "many", "1.5"} {
		a := b.post("/personal/tokens/replace", "id", list[0].ID, "sure", "1", "once", rand.Text(), "overlap_days", days)
		if a.Code != http.StatusBadRequest || !strings.Contains(a.text, `value="`+days+`"`) || !strings.Contains(a.text, `aria-describedby="replace-overlap_days-hint replace-overlap_days-wrong"`) {
			t.Errorf("an overlap of %q: %d %s", days, a.Code, a.text)
		}
	}
	c.advance(time.Second) // the list is in the order of time
	second := b.post("/personal/tokens/replace", "id", list[0].ID, "sure", "1", "once", "2", "overlap_days", "7").shown()
	if len(second) != 1 {
		t.Fatal("no token was made in its place")
	}
	works := func(token string) bool { _, err := c.accounts.Bearer(t.Context(), token); return err == nil }
	if !works(first) || !works(second[0]) {
		t.Error("within the overlap one of both does not work")
	}
	c.advance(7*24*time.Hour + time.Second)
	b.signIn(adam)
	if works(first) || !works(second[0]) || !strings.Contains(b.get("/personal").text, ">expired<") {
		t.Error("after the overlap the old one works, or the new one does not")
	}
	list, _ = c.accounts.Tokens(t.Context(), adam)
	if a := b.post("/personal/tokens/revoke", "id", list[1].ID); a.Code != http.StatusOK || !strings.Contains(a.text, "ends at once") || !works(second[0]) {
		t.Errorf("before it is sure: %d %s", a.Code, a.text)
	}
	if a := b.follow("/personal/tokens/revoke", "id", list[1].ID, "sure", "1"); !strings.Contains(a.text, "The token was revoked.") || works(second[0]) || !strings.Contains(a.text, ">revoked on ") {
		t.Errorf("revoked: %s", a.text)
	}
	c.as[sam].signIn(sam)
	if a := c.as[sam].get("/personal"); strings.Contains(a.text, "Generate a token") || !strings.Contains(a.text, "Only owners and admins of the organisation or of a project may have a GDPR token.") {
		t.Errorf("an analyst: %s", a.text)
	}
}
