package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// roleOf is somebody's role in a project, or without one in the organisation.
func (c *cast) roleOf(project, name string) account.Role {
	c.t.Helper()
	roles, err := c.accounts.Roles(c.t.Context(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	return roles[project]
}

const newcomer = "newcomer@example.com"

func TestInvitations(t *testing.T) {
	c := newCast(t)
	b := c.as[adam]
	a := b.follow(c.project("/members"), "name", " "+newcomer+" ", "role", "analyst")
	if !strings.Contains(a.text, "an invitation is on its way") || !strings.Contains(a.text, "<td>analyst</td>") || c.roleOf(c.ProjectID, newcomer) != account.Analyst {
		t.Errorf("invited: %s", a.text)
	}
	c.deliver()
	if len(c.mails.sent) != 1 || c.mails.sent[0].To != newcomer || !strings.Contains(c.mails.sent[0].Text, adam+" gave you the role analyst in the project Shop.") {
		t.Fatalf("sent %+v", c.mails.sent)
	}
	guest := c.browser()
	if a := guest.post("/sign-in/link", "link", c.mails.link()); a.Code != http.StatusSeeOther || guest.name() != newcomer {
		t.Errorf("the link that was mailed: %d", a.Code)
	}
	// Who has a role here already is not invited again, and nor is a program.
	if a := b.follow(c.project("/members"), "name", newcomer, "role", "consumer"); !strings.Contains(a.text, "The role was given.") || len(c.mails.sent) != 1 {
		t.Errorf("a change of role: %s", a.text)
	}
	if a := c.as[pat].follow("/projects/"+c.other+"/members", "name", c.program, "role", "analyst"); !strings.Contains(a.text, "The role was given.") || len(c.mails.sent) != 1 {
		t.Errorf("a program: %s", a.text)
	}
	// Whom no mail can reach, or had too many, is told to who gave the role.
	if a := b.follow(c.project("/members"), "name", "max@exämple.com", "role", "analyst"); !strings.Contains(a.text, "ASCII characters alone") || !strings.Contains(a.text, c.parts.LinkCommand) {
		t.Errorf("an address that mail is not sent to: %s", a.text)
	}
	for range 5 {
		if err := c.accounts.TakeMail(t.Context(), "busy@example.com", ""); err != nil {
			t.Fatal(err)
		}
	}
	if a := b.follow(c.project("/members"), "name", "busy@example.com", "role", "analyst"); !strings.Contains(a.text, "too many went to this address lately") {
		t.Errorf("an address with too many mails: %s", a.text)
	}
	c.deliver()
	if len(c.mails.sent) != 1 {
		t.Errorf("sent %+v", c.mails.sent[1:])
	}
	// Where no mail goes out the page names the command that makes a link.
	c.parts.Mails = false
	c.pages = console.New(c.parts)
	if a := b.get(c.project("")); !strings.Contains(a.text, "This server mails nobody.") {
		t.Errorf("without mail: %s", a.text)
	}
	if a := b.follow(c.project("/members"), "name", "third@example.com", "role", "consumer"); !strings.Contains(a.text, "makes a link to sign in by the command lethe sign-in EMAIL") {
		t.Errorf("without mail: %s", a.text)
	}
}

func TestInvitationsOfOneAddressAreLimited(t *testing.T) {
	c := newCast(t)
	for range 5 {
		if err := c.accounts.TakeMail(t.Context(), newcomer, ""); err != nil {
			t.Fatal(err)
		}
	}
	a := c.as[pat].follow("/organisation/members", "name", newcomer, "role", "consumer")
	c.deliver()
	if strings.Contains(a.text, "on its way") || !strings.Contains(a.text, "but no invitation was mailed") || len(c.mails.sent) != 0 {
		t.Errorf("a sixth mail: %s", a.text)
	}
}

func TestWhatCannotBeOfMembersIsToldAndKept(t *testing.T) {
	c := newCast(t)
	hostile := `"><script>alert('x')</script>@example.com`
	for name, form := range map[string]struct {
		by     string
		path   string
		fields []string
		status int
		says   string
		field  string // that says so
	}{
		"no address":        {pat, c.project("/members"), []string{"name", hostile, "role", "admin"}, http.StatusBadRequest, "plain mail address", "invite-name"},
		"no role":           {pat, c.project("/members"), []string{"name", newcomer, "role", "king"}, http.StatusBadRequest, "This must be", "invite-role"},
		"no program":        {pat, c.project("/members"), []string{"name", "nobody", "role", "admin"}, http.StatusNotFound, "no service account of this name", "invite-name"},
		"an owner by admin": {adam, c.project("/members"), []string{"name", newcomer, "role", "owner"}, http.StatusForbidden, "Only an owner may make an owner", "invite-role"},
		"a program's name":  {pat, c.project("/service-accounts"), []string{"label", "No Good", "role", "admin", "once", "1"}, http.StatusBadRequest, "This must be 2 to 40 small letters", "service-label"},
		"a project's name":  {pat, "/projects", []string{"name", "", "once", "2"}, http.StatusBadRequest, "", "project-name"},
		"another name":      {pat, c.project("/name"), []string{"name", strings.Repeat("x", 300)}, http.StatusBadRequest, "", "rename-name"},
		"no new owner":      {pat, c.project("/transfer"), []string{"to", "nobody"}, http.StatusBadRequest, "mail address", "transfer-to"},
	} {
		a := c.as[form.by].post(form.path, form.fields...)
		if a.Code != form.status || !strings.Contains(a.text, form.says) || !strings.Contains(a.text, `id="`+form.field+`-wrong"`) ||
			!strings.Contains(a.text, `aria-invalid="true" autofocus`) || strings.Contains(ownScript.ReplaceAllString(a.text, ""), "<script") {
			t.Errorf("%s: %d %s", name, a.Code, a.text)
		}
		if name == "no address" && !strings.Contains(a.text, `value="&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;@example.com"`) {
			t.Errorf("what was typed is not kept: %s", a.text)
		}
	}
	if len(c.mails.sent) != 0 {
		t.Error("somebody was mailed")
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	c := newCast(t)
	const says = "This is the last owner of the organisation. Make somebody else an owner first."
	for path, fields := range map[string][]string{
		"/organisation/members":        {"name", pat, "role", "admin", "row", "1"},
		"/organisation/members/remove": {"name", pat, "sure", "1"},
	} {
		a := c.as[pat].post(path, fields...)
		// In the row of the one whom it is about.
		if a.Code != http.StatusConflict || !strings.Contains(a.text, pat+`<p class="warning" role="alert" tabindex="-1" autofocus>`+says) || strings.Count(a.text, says) != 1 || c.roleOf("", pat) != account.Owner {
			t.Errorf("%s: %d %s", path, a.Code, a.text)
		}
	}
	if a := c.as[olga].post("/organisation/members", "name", pat, "role", "consumer", "row", "1"); a.Code != http.StatusForbidden || !strings.Contains(a.text, "Only an owner may make an owner") {
		t.Errorf("an admin makes less of an owner: %d", a.Code)
	}
	c.as[pat].follow("/organisation/members", "name", olga, "role", "owner", "row", "1")
	if a := c.as[pat].post("/organisation/members", "name", pat, "role", "consumer", "row", "1"); a.Code != http.StatusSeeOther || c.roleOf("", pat) != account.Consumer {
		t.Errorf("with a second owner: %d", a.Code)
	}
	if a := c.as[pat].get("/organisation"); a.Code != http.StatusForbidden {
		t.Errorf("who is no owner any more: %d", a.Code)
	}
}

func TestWhoIsRemovedIsOut(t *testing.T) {
	c := newCast(t)
	ask := c.as[adam].post(c.project("/members/remove"), "name", cora)
	if ask.Code != http.StatusOK || !strings.Contains(ask.text, cora+" loses the role in the project Shop at once.") || !strings.Contains(ask.text, `name="sure"`) || c.roleOf(c.ProjectID, cora) == "" {
		t.Errorf("before it is sure: %d %s", ask.Code, ask.text)
	}
	a := c.as[adam].follow(c.project("/members/remove"), "name", cora, "sure", "1")
	if !strings.Contains(a.text, "The role was taken away.") || strings.Contains(a.text, cora) || c.as[cora].get("/personal").Code != http.StatusSeeOther {
		t.Errorf("removed: %s", a.text)
	}
	if a := c.as[adam].post(c.project("/members/remove"), "name", cora, "sure", "1"); a.Code != http.StatusNotFound || !strings.Contains(a.text, "no member of this name") {
		t.Errorf("once more: %d", a.Code)
	}
	// Out of the organisation is out of its projects.
	c.member(c.other, olga, account.Owner)
	c.as[pat].follow("/organisation/members/remove", "name", olga, "sure", "1")
	if c.roleOf("", olga) != "" || c.roleOf(c.other, olga) != "" {
		t.Error("who was removed from the organisation has a role")
	}
}

func TestServiceAccounts(t *testing.T) {
	c := newCast(t)
	shown := c.as[adam].post(c.project("/service-accounts"), "label", "reader", "role", "admin", "once", "1").shown()
	if len(shown) != 2 {
		t.Fatalf("shown %q", shown)
	}
	works := func(secret string) bool {
		_, err := c.accounts.ServiceAccount(t.Context(), shown[0], secret)
		return err == nil
	}
	if !works(shown[1]) || !strings.Contains(c.as[adam].get(c.project("")).text, shown[0]) {
		t.Error("the account does not work, or is not listed")
	}
	next := c.as[adam].post(c.project("/service-accounts/rotate"), "name", shown[0], "sure", "1", "overlap_days", "2", "once", "2").shown()
	if len(next) != 2 || next[0] != shown[0] || !works(shown[1]) || !works(next[1]) {
		t.Fatalf("rotated: %q", next)
	}
	c.advance(48*time.Hour + time.Second)
	if works(shown[1]) || !works(next[1]) {
		t.Error("after the overlap the old secret works, or the new one does not")
	}
	c.as[adam].signIn(adam)
	if a := c.as[adam].post(c.project("/service-accounts/rotate"), "name", "nobody.service-account", "sure", "1", "overlap_days", "2", "once", "3"); a.Code != http.StatusNotFound {
		t.Errorf("an account that is not there: %d", a.Code)
	}
	c.as[adam].follow(c.project("/members/remove"), "name", shown[0], "sure", "1")
	if works(next[1]) {
		t.Error("the account was removed and works")
	}
}

func TestAProjectsNameTokenAndOwner(t *testing.T) {
	c := newCast(t)
	const hostile = `<script>alert("&")</script>`
	a := c.as[adam].follow(c.project("/name"), "name", hostile)
	if !strings.Contains(a.text, "The project has its new name.") || !strings.Contains(a.text, `<h1>&lt;script&gt;alert(&#34;&amp;&#34;)&lt;/script&gt;</h1>`) {
		t.Errorf("renamed: %s", a.text)
	}
	for _, path := range []string{"/projects", c.project(""), c.project("/opt-outs"), c.project("/audit"), c.project("/counts"), "/"} {
		if a := c.as[pat].get(path); a.Code != http.StatusOK || !strings.Contains(a.text, "&lt;script&gt;") || strings.Contains(ownScript.ReplaceAllString(a.text, ""), "<script") {
			t.Errorf("%s: %d %s", path, a.Code, a.text)
		}
	}
	before, _ := c.accounts.Project(t.Context(), c.ProjectID)
	made := c.as[adam].post(c.project("/rotate"), "what", "token", "sure", "1", "overlap_days", "1", "once", "1").shown()
	for _, token := range append(made, before.Token) {
		if p, err := c.accounts.ByToken(t.Context(), token); err != nil || p.ID != c.ProjectID {
			t.Errorf("within the overlap a token does not work: %v", err)
		}
	}
	c.advance(24*time.Hour + time.Second)
	if _, err := c.accounts.ByToken(t.Context(), before.Token); kind.Of(err) != kind.NotFound {
		t.Errorf("after the overlap the old token: %v", err)
	}
	for _, name := range []string{pat, adam} {
		c.as[name].signIn(name)
	}
	if a := c.as[pat].post(c.project("/rotate"), "what", "everything", "sure", "1", "overlap_days", "1", "once", "2"); a.Code != http.StatusBadRequest {
		t.Errorf("of a project, everything: %d", a.Code)
	}
	if a := c.as[adam].post(c.project("/transfer"), "to", sam, "sure", "1"); a.Code != http.StatusForbidden || !strings.Contains(a.text, "Only an owner of the project") {
		t.Errorf("a transfer by an admin: %d", a.Code)
	}
	c.member(c.ProjectID, cora, account.Owner)
	if a := c.as[pat].post(c.project("/transfer"), "to", sam); a.Code != http.StatusOK || !strings.Contains(a.text, sam+" becomes the owner") || c.roleOf(c.ProjectID, sam) != account.Analyst {
		t.Errorf("before it is sure: %d", a.Code)
	}
	a = c.as[pat].follow(c.project("/transfer"), "to", sam, "sure", "1")
	if !strings.Contains(a.text, "The project has a new owner.") || c.roleOf(c.ProjectID, sam) != account.Owner || c.roleOf(c.ProjectID, cora) != account.Admin {
		t.Errorf("transferred: %s", a.text)
	}
	if e := c.entries(c.ProjectID)[0]; !strings.HasPrefix(e, pat+" member.set ") || !strings.HasSuffix(e, " 192.0.2.1") {
		t.Errorf("the trail ends with %q", e)
	}
}

func TestSettings(t *testing.T) {
	c := newCast(t)
	rules := func() dsr.Rules {
		t.Helper()
		r, err := c.accounts.Rules(t.Context(), c.ProjectID)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	was := []string{"was-identity", "simplified", "was-guard.share_percent", "20", "was-guard.rows", "10000", "was-guard.ids", "50"}
	a := c.as[adam].post(c.project("/settings"), append([]string{"identity", "none", "guard.share_percent", "101", "guard.rows", "many", "guard.ids", "7"}, was...)...)
	for _, says := range []string{`id="settings-identity-wrong">This must be`, `wrong">This must be a number from 1 to 100.`, `wrong">Give a whole number.`, `value="many"`, `value="101"`, `value="7"`} {
		if a.Code != http.StatusBadRequest || !strings.Contains(a.text, says) {
			t.Errorf("%d, the page lacks %s: %s", a.Code, says, a.text)
		}
	}
	if got := rules(); got.Guard.IDs != 50 {
		t.Error("a part was changed")
	}
	// What somebody else changed since the page was opened stays.
	if _, err := c.accounts.SetRules(t.Context(), c.ProjectID, dsr.By{Actor: pat}, func(r *dsr.Rules) error { r.Guard.Rows = 5; return nil }); err != nil {
		t.Fatal(err)
	}
	a = c.as[adam].follow(c.project("/settings"), append([]string{"identity", "original", "guard.share_percent", "20", "guard.rows", "10000", "guard.ids", " 7 "}, was...)...)
	if got := rules(); !strings.Contains(a.text, "The settings were changed.") || got.Identity != dsr.Original || got.Guard != (dsr.Guard{Share: 20, Rows: 5, IDs: 7}) {
		t.Errorf("got %+v: %s", got, a.text)
	}
	if e := c.entries(c.ProjectID)[0]; !strings.HasPrefix(e, adam+" settings.change ") {
		t.Errorf("the trail ends with %q", e)
	}
	a = c.as[olga].follow("/organisation/settings", "time_zone", "Europe/Berlin", "was-time_zone", "UTC", "holidays", "2026-12-25\r\n\r\n2026-12-24\r\n", "was-holidays", "",
		"keep_ids_days", "60", "was-keep_ids_days", "30", "keep_records_months", "24", "was-keep_records_months", "24")
	if got := rules(); got.TimeZone != "Europe/Berlin" || strings.Join(got.Holidays, " ") != "2026-12-24 2026-12-25" || got.KeepIDs != 60 || got.KeepRecords != 24 || !strings.Contains(a.text, "2026-12-24\n2026-12-25</textarea>") {
		t.Errorf("got %+v: %s", got, a.text)
	}
	// A browser sends the lines of a list with other ends.
	a = c.as[olga].follow("/organisation/settings", "holidays", "2026-12-24\r\n2026-12-25", "was-holidays", "2026-12-24\n2026-12-25")
	if !strings.Contains(a.text, "Nothing was changed.") {
		t.Errorf("sent as it was: %s", a.text)
	}
}
