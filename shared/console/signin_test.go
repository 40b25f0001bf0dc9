package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lethe/shared/account"
	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/table"
)

func TestSignInByMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		if a := b.get("/?project=1"); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/sign-in?to=%2F%3Fproject%3D1" {
			t.Errorf("without a session: %d to %q, want the page for signing in", a.Code, a.Header().Get("Location"))
		}
		form := b.get("/sign-in?to=%2F%3Fproject%3D1")
		if form.Code != http.StatusOK || !strings.Contains(form.text, `name="email"`) || !strings.Contains(form.text, `name="to" value="/?project=1"`) {
			t.Errorf("the form: %d %s", form.Code, form.text)
		}
		b.do("POST", "/sign-in", url.Values{"email": {strings.ToUpper(sam)}, "to": {"/?project=1"}})
		w.deliver()
		if len(w.mails.sent) != 1 || w.mails.sent[0].To != sam || !strings.Contains(w.mails.sent[0].Text, dsr.LinkURL("https://lethe.example", w.mails.link())+"&to=%2F%3Fproject%3D1\n") {
			t.Fatalf("got the mails %+v", w.mails.sent)
		}
		// Programs that look through mail open every link.
		for range 3 {
			a := b.get("/sign-in?link=" + w.mails.link() + "&to=%2F%3Fproject%3D1")
			if a.Code != http.StatusOK || len(b.cookies) != 0 || !strings.Contains(a.text, `name="link" value="`+w.mails.link()+`"`) || !strings.Contains(a.text, `name="to" value="/?project=1"`) {
				t.Errorf("the page of the link: %d %s", a.Code, a.text)
			}
		}
		use := url.Values{"link": {w.mails.link()}, "to": {"/?project=1"}}
		if a := b.do("POST", "/sign-in/link", use); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/?project=1" {
			t.Errorf("the button: %d to %q", a.Code, a.Header().Get("Location"))
		}
		if got := b.name(); got != sam {
			t.Errorf("signed in as %q, want %s", got, sam)
		}
		another := w.browser()
		if a := another.do("POST", "/sign-in/link", use); a.Code != http.StatusForbidden || len(another.cookies) != 0 || !strings.Contains(a.text, "used before") || !strings.Contains(a.text, `href="https://lethe.example/sign-in"`) {
			t.Errorf("a second time: %d %s", a.Code, a.text)
		}
	})
}

func TestLinksThatDoNotSignIn(t *testing.T) {
	w := newWorld(t)
	old := w.link(pat)
	w.advance(account.LinkLife + time.Second)
	for link, says := range map[string]string{old: "older than 15 minutes", "": "not known", "nonsense": "not known"} {
		b := w.browser()
		a := b.do("POST", "/sign-in/link", url.Values{"link": {link}})
		if a.Code != http.StatusForbidden || len(b.cookies) != 0 || !strings.Contains(a.text, says) || !strings.Contains(a.text, `>Sign in</a>`) {
			t.Errorf("%d %s, want it to say %q", a.Code, a.text, says)
		}
	}
}

// Who asks for a link with an address learns nothing of who has a role.
func TestAnswersToWhoAsksForALinkAreAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ask := func(mail string) string {
			began := time.Now()
			a := w.browser().do("POST", "/sign-in", url.Values{"email": {mail}})
			return fmt.Sprint(a.Code, a.Header(), time.Since(began), a.text)
		}
		known, stranger := ask(pat), ask("stranger@example.com")
		w.deliver()
		if len(w.mails.sent) != 1 {
			t.Fatalf("%d mails were sent, want the one to who has a role", len(w.mails.sent))
		}
		if known != stranger {
			t.Errorf("with a role\n%s\nwithout\n%s", known, stranger)
		}
		w.control.refuses = func(op table.Op) bool { return op.Item.PK == "news" }
		if failed := ask(pat); failed != stranger {
			t.Errorf("where it goes wrong\n%s\nwithout a role\n%s", failed, stranger)
		}
		if !strings.Contains(w.log.String(), "the table is full") {
			t.Errorf("the log does not tell that a link will not be mailed: %s", w.log)
		}
	})
}

func TestLinksAreNotMailedTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var a answer
		for range 6 {
			a = w.browser().do("POST", "/sign-in", url.Values{"email": {sam}})
		}
		w.deliver()
		if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") == "" || len(w.mails.sent) != 4 || // and the invitation before
			!strings.Contains(a.text, `id="email-wrong">Too many sign-in links`) || !strings.Contains(a.text, `value="`+sam+`"`) {
			t.Errorf("%d, Retry-After %q, %d mails: %s", a.Code, a.Header().Get("Retry-After"), len(w.mails.sent), a.text)
		}
		for range 31 {
			a = w.browser().do("POST", "/sign-in/link", url.Values{"link": {"guess"}})
		}
		if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") == "" {
			t.Errorf("guesses: %d, Retry-After %q", a.Code, a.Header().Get("Retry-After"))
		}
	})
}

func TestAMailAddressThatCannotBeIsToldAndKept(t *testing.T) {
	w := newWorld(t)
	hostile := `"><script>alert('x')</script>@example.com`
	a := w.browser().do("POST", "/sign-in", url.Values{"email": {hostile}})
	if a.Code != http.StatusBadRequest || len(w.mails.sent) != 0 || !strings.Contains(a.text, `aria-invalid="true"`) || !strings.Contains(a.text, "plain mail address") {
		t.Errorf("%d %s", a.Code, a.text)
	}
	if strings.Contains(ownScript.ReplaceAllString(a.text, ""), "<script") || !strings.Contains(a.text, `value="&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;@example.com"`) {
		t.Errorf("the address is not escaped: %s", a.text)
	}
}

func TestWithoutMailThePageTellsHowToGetALink(t *testing.T) {
	w := newWorld(t)
	w.parts.Mails = false
	w.pages = console.New(w.parts)
	for _, a := range []answer{w.browser().get("/sign-in"), w.browser().do("POST", "/sign-in", url.Values{"email": {pat}})} {
		if a.Code != http.StatusOK || !strings.Contains(a.text, "<code>lethe sign-in EMAIL</code>") || strings.Contains(a.text, `name="email"`) {
			t.Errorf("%d %s", a.Code, a.text)
		}
	}
}

func TestNobodyIsSentOnToAnotherSite(t *testing.T) {
	w := newWorld(t)
	for _, to := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "javascript:alert(1)", "evil.example",
		"/\n/evil.example", "https:/evil.example", "///evil.example", " //evil.example", "http:evil.example", "", "/evil" + strings.Repeat("l", 1000),
	} {
		b := w.browser()
		a := b.do("POST", "/sign-in/link", url.Values{"link": {w.link(pat)}, "to": {to}})
		if got := a.Header().Get("Location"); got != "/" {
			t.Errorf("%q: sent on to %q, want the first page", to, got)
		}
		if a := b.get("/sign-in?to=" + url.QueryEscape(to)); strings.Contains(a.text, "evil") || strings.Contains(a.text, "javascript") {
			t.Errorf("%q stands on the page", to)
		}
	}
	a := w.browser().do("POST", "/sign-in/link", url.Values{"link": {w.link(pat)}, "to": {"/requests?a=b&c=%2F%2Fd#e"}})
	if got := a.Header().Get("Location"); got != "/requests?a=b&c=%2F%2Fd#e" {
		t.Errorf("a page of this server: sent on to %q", got)
	}
}

func TestTheFirstPageTellsWhoOneIs(t *testing.T) {
	w := newWorld(t)
	const hostile = `<img src=x onerror=alert(1)>`
	if _, err := w.accounts.MakeProject(t.Context(), dsr.By{Actor: pat}, hostile); err != nil {
		t.Fatal(err)
	}
	const odd = "o'neil&co@example.com"
	w.member("", odd, account.Admin)
	b := w.browser()
	b.signIn(odd)
	a := b.get("/")
	if a.Code != http.StatusOK || b.name() != odd || strings.Contains(a.text, odd) || strings.Contains(a.text, "<img") ||
		!strings.Contains(a.text, "&lt;img") || !strings.Contains(a.text, "you are admin") || !strings.Contains(a.text, "<td>Shop</td><td>"+w.ProjectID+"</td><td>admin</td>") {
		t.Errorf("%d %s", a.Code, a.text)
	}
	analyst := w.browser()
	analyst.signIn(sam)
	if a := analyst.get("/"); !strings.Contains(a.text, "<td>Shop</td><td>"+w.ProjectID+"</td><td>analyst</td>") || strings.Contains(a.text, "&lt;img") || strings.Contains(a.text, "you are") {
		t.Errorf("an analyst of one project: %s", a.text)
	}
}
