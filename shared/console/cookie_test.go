package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"lethe/shared/account"
	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

func TestTheCookieOfASession(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		public, name string
		secure       bool
	}{
		{"https://lethe.example", "__Host-lethe", true},
		{"", "__Host-lethe", true},
		{"http://127.0.0.1:8080", "lethe", false},
	} {
		w.parts.PublicURL = c.public
		w.pages = console.New(w.parts)
		b := w.browser()
		cookies := b.signIn(pat).Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%s: %d cookies", c.public, len(cookies))
		}
		got := cookies[0]
		if got.Name != c.name || got.Secure != c.secure || !got.HttpOnly || got.SameSite != http.SameSiteLaxMode || got.Path != "/" || got.Domain != "" || got.MaxAge != 8*60*60 {
			t.Errorf("%s: got %s", c.public, got)
		}
		if b.name() != pat {
			t.Errorf("%s: the cookie does not sign in", c.public)
		}
	}
}

func TestOnlyCookiesThatWereSetHereAreLookedAt(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn(pat)
	good := b.cookies["__Host-lethe"].Value
	secret, seal, _ := strings.Cut(good, ".")
	other := kind.Keyring{{Version: 1, Secret: []byte("another key")}}
	for name, value := range map[string]string{
		"no seal": secret, "an empty seal": secret + ".", "another key's": secret + "." + other.Seal("lethe", []byte(secret)),
		"another purpose's": secret + "." + w.parts.Keys.Seal("lethe-oidc", []byte(secret)), "another's": strings.Replace(secret, "0", "1", 1) + "." + seal,
		"a seal of nothing": "." + w.parts.Keys.Seal("lethe", nil), "empty": "",
	} {
		b.cookies["__Host-lethe"].Value = value
		if got := b.name(); got != "" {
			t.Errorf("%s: signed in as %s", name, got)
		}
	}
	// A new key signs from now on, and the old one counts until its cookies are over.
	b.cookies["__Host-lethe"].Value = good
	w.parts.Keys = append(w.parts.Keys, kind.Key{Version: 2, Secret: []byte("the next key")})
	w.pages = console.New(w.parts)
	if b.name() != pat {
		t.Error("a cookie under the key of before is not taken")
	}
	delete(b.cookies, "__Host-lethe")
	b.cookies["lethe"] = &http.Cookie{Name: "lethe", Value: good} // as another host of the domain could set it
	if got := b.name(); got != "" {
		t.Error("over https a cookie without the prefix is taken")
	}
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.browser(), w.browser(), w.browser()
	for _, b := range []*browser{one, two, three} {
		b.signIn(pat)
	}
	kept := *one.cookies["__Host-lethe"]
	a := one.do("POST", "/sign-out", nil)
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/sign-in" || len(one.cookies) != 0 {
		t.Errorf("sign-out: %d to %q, %d cookies", a.Code, a.Header().Get("Location"), len(one.cookies))
	}
	one.cookies[kept.Name] = &kept
	if one.name() != "" || two.name() != pat {
		t.Error("the session that was ended works, or another does not")
	}
	if a := one.do("POST", "/sign-out", nil); a.Code != http.StatusSeeOther {
		t.Errorf("sign-out again: %d", a.Code)
	}
	two.do("POST", "/sign-out", url.Values{"everywhere": {"1"}})
	if three.name() != "" {
		t.Error("signed out everywhere, another browser is signed in")
	}
	three.signIn(pat)
	w.advance(account.SessionLife)
	if three.name() != "" {
		t.Error("after 8 hours the session works")
	}
	// A role that is taken away takes the session with it.
	last := w.browser()
	last.signIn(sam)
	if _, err := w.accounts.RemoveMember(t.Context(), dsr.By{Actor: pat}, w.ProjectID, sam); err != nil {
		t.Fatal(err)
	}
	if last.name() != "" {
		t.Error("a member who was removed is signed in")
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn(pat)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		stranger := w.browser()
		for path, fields := range map[string]url.Values{"/sign-in": {"email": {pat}}, "/sign-in/link": {"link": {w.link(sam)}}} {
			if a := stranger.do("POST", path, fields, headers...); a.Code != http.StatusForbidden || len(stranger.cookies) != 0 || !strings.Contains(a.text, "not sent from a page of this server") {
				t.Errorf("%s with %q: %d", path, headers, a.Code)
			}
		}
		if a := b.do("POST", "/sign-out", nil, headers...); a.Code != http.StatusForbidden || b.name() != pat {
			t.Errorf("/sign-out with %q: %d, and then signed in as %q", headers, a.Code, b.name())
		}
	}
	if len(w.mails.sent) != 0 {
		t.Error("another site had a mail sent")
	}
	// A browser of before Sec-Fetch-Site, behind a proxy that sets another Host.
	if a := b.do("POST", "/sign-out", nil, "Sec-Fetch-Site", "", "Origin", "https://lethe.example"); a.Code != http.StatusSeeOther {
		t.Errorf("from a page of this server: %d", a.Code)
	}
	w.parts.PublicURL = "https://public.example"
	w.pages = console.New(w.parts)
	if a := b.do("POST", "/sign-out", nil, "Sec-Fetch-Site", "", "Origin", "https://public.example"); a.Code != http.StatusSeeOther {
		t.Errorf("from a page of this server, by a proxy: %d", a.Code)
	}
}

// Every page has the same headers, loads nothing from elsewhere, and does without
// scripts.
func TestEveryPageIsStrict(t *testing.T) {
	w := newWorld(t)
	signedIn := w.browser()
	signedIn.signIn(pat)
	for name, a := range map[string]answer{
		"refused": signedIn.send("/exports/new", w.filled("null"), nil), "confirm": signedIn.send("/deletions/new", but(w.filled("ada"), "step", "check"), nil),
		"ended": w.browser().send("/deletions/new", w.filled("ada"), nil), "found": signedIn.do("POST", "/requests/search", url.Values{"sought": {"ada"}}),
		"request": signedIn.get("/requests/" + w.submit(dsr.Export, "ada").Task),
		"sign in": w.browser().get("/sign-in"), "link": w.browser().get("/sign-in?link=abc"), "home": signedIn.get("/"),
		"export": signedIn.get("/exports/new"), "deletion": signedIn.get("/deletions/new"), "log": signedIn.get("/requests"), "no request": signedIn.get("/requests/x"),
		"wrong link": w.browser().do("POST", "/sign-in/link", nil), "nowhere": w.browser().get("/nowhere/at/all"),
		"method": signedIn.do("DELETE", "/", nil), "preflight": w.browser().do("OPTIONS", "/sign-in", nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"),
	} {
		h := a.Header()
		if h.Get("Content-Security-Policy") != "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "same-origin" ||
			h.Get("Cross-Origin-Opener-Policy") != "same-origin" || h.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: the headers are %v", name, h)
		}
		for header := range h {
			if strings.HasPrefix(header, "Access-Control-") {
				t.Errorf("%s: %s is set", name, header)
			}
		}
		for _, part := range []string{"<script", "style=", "http://", " onclick", "//cdn"} {
			if strings.Contains(ownScript.ReplaceAllString(a.text, ""), part) {
				t.Errorf("%s: the page has %s", name, part)
			}
		}
		if strings.Count(a.text, "<h1>") != 1 || !strings.Contains(a.text, `<html lang="en">`) || !strings.Contains(a.text, "<title>") {
			t.Errorf("%s: %s", name, a.text)
		}
	}
	if a := signedIn.get("/nowhere"); a.Code != http.StatusNotFound || !strings.Contains(a.text, pat) || !strings.Contains(a.text, "Back to the first page") || strings.Contains(a.text, ">Sign in<") {
		t.Errorf("a page that is not there: %d", a.Code)
	}
	_, rest, _ := strings.Cut(signedIn.get("/").text, `<link rel="stylesheet" href="`)
	path, _, _ := strings.Cut(rest, `"`)
	if a := w.browser().get(path); a.Code != http.StatusOK || a.Header().Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(a.Header().Get("Cache-Control"), "immutable") || strings.Contains(a.text, "url(") || strings.Contains(a.text, "@import") {
		t.Errorf("the style at %s: %d %v", path, a.Code, a.Header())
	}
}

func TestWhatIsTooLargeOrNoFormIsRefused(t *testing.T) {
	w := newWorld(t)
	if a := w.browser().do("POST", "/sign-in/link", url.Values{"link": {strings.Repeat("x", 1<<20)}}); a.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("more than a megabyte: %d", a.Code)
	}
	if a := w.browser().do("POST", "/sign-in/link?a=%zz", nil); a.Code != http.StatusBadRequest {
		t.Errorf("a query that is not well formed: %d", a.Code)
	}
}

// What a person cannot mend is in the log with the id that the page tells.
func TestTroublesAreInTheLog(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("GET", "https://lethe.example/", nil)
	b := w.browser()
	b.signIn(pat)
	r.AddCookie(b.cookies["__Host-lethe"])
	a := httptest.NewRecorder()
	a.Header().Set("X-Request-Id", "0123456789abcdef")
	w.control.down = true
	w.pages.ServeHTTP(a, r)
	if a.Code != http.StatusServiceUnavailable || !strings.Contains(a.Body.String(), "does not answer") || !strings.Contains(w.log.String(), "0123456789abcdef") {
		t.Errorf("%d %s\n%s", a.Code, a.Body, w.log)
	}
}
