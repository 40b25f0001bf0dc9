package console_test

import (
	"bufio"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/console"
	"lethe/shared/peertest"
)

const clients = "../../testdata/clients"

// A site is the pages of a world on a server, with the OpenID Connect provider of
// testdata in a process of its own.
type site struct {
	*world
	url    string
	port   string // of the provider
	env    []string
	secret string
}

// newSite starts a server and lets it know of a provider that does not run yet.
func newSite(t *testing.T, secret string, env ...string) *site {
	t.Helper()
	s := &site{world: newWorld(t), secret: secret}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		pages := s.pages
		s.mu.Unlock()
		pages.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, s.port, _ = net.SplitHostPort(free.Addr().String())
	free.Close()
	s.parts.PublicURL = s.url
	s.parts.OIDC = console.NewProvider("http://127.0.0.1:"+s.port, "lethe", secret)
	s.show()
	s.env = append(os.Environ(), append([]string{"LETHE_PORT=" + s.port, "LETHE_CALLBACK=" + s.url + console.CallbackPath, "LETHE_SECRET=" + secret}, env...)...)
	return s
}

// show has the server answer as parts say, which may have changed.
func (s *site) show() {
	pages := console.New(s.parts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = pages
}

// provide runs the provider until the test ends or stop is called.
func (s *site) provide(t *testing.T) (stop func()) {
	t.Helper()
	node := peertest.Program(t, "install-clients", "node")
	peertest.Needs(t, "install-clients", clients+"/provider.js")
	peertest.Needs(t, "install-clients", clients+"/node_modules/oidc-provider")
	cmd := exec.Command(node, clients+"/provider.js")
	cmd.Env = s.env
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || !json.Valid(line) {
		t.Fatalf("the provider does not start: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return stop
}

// visit asks for an address, follows redirects as long as follow allows, and returns
// the last answer with its text.
func (s *surfer) visit(method, address string, fields url.Values, follow func(*url.URL) bool) (*http.Response, string) {
	s.t.Helper()
	for {
		r, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(fields.Encode()))
		if err != nil {
			s.t.Fatal(err)
		}
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		out, err := s.Do(r)
		if err != nil {
			s.t.Fatal(err)
		}
		text, err := io.ReadAll(out.Body)
		out.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		next, err := out.Location()
		if err != nil || !follow(next) {
			return out, string(text)
		}
		method, address, fields = http.MethodGet, next.String(), nil
	}
}

// authorize signs somebody in at the provider, from the address that the console sent
// them to, and returns the address that the provider sends them back to.
func (s *surfer) authorize(site *site, begin, name string) *url.URL {
	s.t.Helper()
	outside := func(u *url.URL) bool { return !strings.HasPrefix(u.String(), site.url) }
	out, page := s.visit("GET", begin, nil, outside)
	for range 3 {
		if back, err := out.Location(); err == nil {
			return back
		}
		action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
		prompt := regexp.MustCompile(`name="prompt" value="(\w+)"`).FindStringSubmatch(page)
		if action == nil || prompt == nil {
			s.t.Fatalf("the provider shows %d %s", out.StatusCode, page)
		}
		to, err := out.Request.URL.Parse(html.UnescapeString(action[1]))
		if err != nil {
			s.t.Fatal(err)
		}
		out, page = s.visit("POST", to.String(), url.Values{"prompt": prompt[1:], "login": {name}, "password": {"any"}}, outside)
	}
	s.t.Fatalf("the provider does not come to an end: %s", page)
	return nil
}

// begin begins a sign-in by the provider and returns the address there.
func (s *surfer) begin(site *site, to string) *url.URL {
	s.t.Helper()
	out, text := s.visit("GET", site.url+"/sign-in/provider?to="+url.QueryEscape(to), nil, func(*url.URL) bool { return false })
	there, err := out.Location()
	if err != nil {
		s.t.Fatalf("%d %s", out.StatusCode, text)
	}
	return there
}

func nowhere(*url.URL) bool { return false }

// end comes back from the provider.
func (s *surfer) end(back *url.URL) (*http.Response, string) {
	s.t.Helper()
	return s.visit("GET", back.String(), nil, nowhere)
}

// signedIn reports whether the first page is there.
func (s *surfer) signedIn(site *site) bool {
	s.t.Helper()
	out, _ := s.visit("GET", site.url+"/", nil, nowhere)
	return out.StatusCode == http.StatusOK
}

func TestSignInByTheProvider(t *testing.T) {
	for name, c := range map[string]struct{ secret, auth, claims string }{
		"a public client, claims in the token":      {"", "none", "token"},
		"a secret in the header, claims asked for":  {"s3cret+/=& s3cret of enough length", "client_secret_basic", ""},
		"a secret in the form, claims in the token": {"s3cret+/=& s3cret of enough length", "client_secret_post", "token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.secret, "LETHE_AUTH="+c.auth, "LETHE_CLAIMS="+c.claims)
			s.provide(t)
			for who, says := range map[string]string{
				"pat": "", "sam": "",
				"mallory": "has not verified", "eve": "has not verified", "vague": "has not verified", "stranger": "has no role here",
			} {
				b := newSurfer(t)
				there := b.begin(s, "/?from=there")
				q := there.Query()
				if q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != s.url+"/sign-in/oidc" || q.Get("scope") != "openid email" || q.Get("state") == "" || q.Get("nonce") == "" {
					t.Fatalf("sent to %s", there)
				}
				out, text := b.end(b.authorize(s, there.String(), who))
				if says == "" && (out.StatusCode != http.StatusSeeOther || out.Header.Get("Location") != "/?from=there" || !b.signedIn(s)) {
					t.Errorf("%s: %d %s", who, out.StatusCode, text)
				}
				if says != "" && (out.StatusCode != http.StatusForbidden || !strings.Contains(text, says) || b.signedIn(s)) {
					t.Errorf("%s: %d %s, want it to say %q", who, out.StatusCode, text, says)
				}
			}
		})
	}
}

// One browser signs in as pat while others meddle with what passes through them.
func TestSignInsThatAreMeddledWith(t *testing.T) {
	s := newSite(t, "", "LETHE_AUTH=none", "LETHE_CLAIMS=token")
	s.provide(t)
	changed := func(u *url.URL, name, value string) *url.URL {
		q := u.Query()
		q.Set(name, value)
		c := *u
		c.RawQuery = q.Encode()
		return &c
	}
	refused := func(what string, b *surfer, back *url.URL, status int, says string) {
		t.Helper()
		out, text := b.end(back)
		if out.StatusCode != status || !strings.Contains(text, says) || b.signedIn(s) {
			t.Errorf("%s: %d %s, want %d and %q", what, out.StatusCode, text, status, says)
		}
	}
	const again = "Begin again."

	b := newSurfer(t)
	refused("another state", b, changed(b.authorize(s, b.begin(s, "/").String(), "pat"), "state", "other"), http.StatusBadRequest, again)

	b = newSurfer(t)
	refused("another nonce", b, b.authorize(s, changed(b.begin(s, "/"), "nonce", "other").String(), "pat"), http.StatusForbidden, again)

	b = newSurfer(t)
	refused("another challenge", b, b.authorize(s, changed(b.begin(s, "/"), "code_challenge", strings.Repeat("x", 43)).String(), "pat"), http.StatusForbidden, again)

	b = newSurfer(t)
	refused("another issuer", b, changed(b.authorize(s, b.begin(s, "/").String(), "pat"), "iss", "https://evil.example"), http.StatusBadRequest, again)

	b = newSurfer(t)
	refused("another code", b, changed(b.authorize(s, b.begin(s, "/").String(), "pat"), "code", "other"), http.StatusForbidden, again)

	b = newSurfer(t)
	back := b.authorize(s, b.begin(s, "/").String(), "pat")
	refused("another browser", newSurfer(t), back, http.StatusBadRequest, again)
	another := newSurfer(t)
	another.begin(s, "/")
	refused("another browser that has begun, too", another, back, http.StatusBadRequest, again)

	// A code that was redeemed is not redeemed again, not even with the cookie of then.
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	cookies := b.Jar.Cookies(at)
	if out, _ := b.end(back); out.StatusCode != http.StatusSeeOther {
		t.Fatalf("the sign-in itself: %d", out.StatusCode)
	}
	left := newSurfer(t)
	refused("the same address once more, without its cookie", left, back, http.StatusBadRequest, again)
	thief := newSurfer(t)
	thief.Jar.SetCookies(at, cookies)
	refused("a code that was redeemed, with its cookie", thief, back, http.StatusForbidden, again)
	for _, c := range b.Jar.Cookies(at) {
		if c.Name == "lethe-oidc" {
			t.Error("the cookie of the sign-in is still there")
		}
	}

	b = newSurfer(t)
	back = b.authorize(s, b.begin(s, "/").String(), "pat")
	s.advance(10*time.Minute + time.Second)
	refused("after more than ten minutes", b, back, http.StatusBadRequest, again)

	for code, says := range map[string]string{
		"access_denied": "did not let you in", "server_error": "could not sign you in", "<script>alert(1)</script>": "could not sign you in",
	} {
		b = newSurfer(t)
		state := b.begin(s, "/").Query().Get("state")
		back := &url.URL{Scheme: "http", Host: at.Host, Path: "/sign-in/oidc", RawQuery: url.Values{"state": {state}, "error": {code}, "error_description": {"raw-text"}}.Encode()}
		out, text := b.end(back)
		if out.StatusCode < 400 || !strings.Contains(text, says) || strings.Contains(text, "raw-text") || strings.Contains(text, "alert(1)") {
			t.Errorf("the provider's error %s: %d %s", code, out.StatusCode, text)
		}
	}
	if log := s.log.String(); strings.Contains(log, "raw-text") || strings.Contains(log, "alert(1)") || !strings.Contains(log, "server_error") {
		t.Errorf("the log has the provider's text, or not the code that is known: %s", log)
	}
}

// A provider's tokens live an hour; its clock may be a little behind or ahead.
func TestTheProvidersClockMayDiffer(t *testing.T) {
	for ahead, want := range map[time.Duration]int{
		-time.Minute: http.StatusSeeOther, time.Hour + 30*time.Second: http.StatusSeeOther, time.Hour + 2*time.Minute: http.StatusForbidden,
	} {
		s := newSite(t, "", "LETHE_AUTH=none")
		s.provide(t)
		s.advance(ahead)
		b := newSurfer(t)
		if out, text := b.end(b.authorize(s, b.begin(s, "/").String(), "pat")); out.StatusCode != want {
			t.Errorf("%v ahead: %d %s, want %d", ahead, out.StatusCode, text, want)
		}
	}
}

// A person is known by what the provider calls them, whatever their address becomes.
func TestWhoSignedInOnceIsKnownByTheProvider(t *testing.T) {
	s := newSite(t, "", "LETHE_AUTH=none")
	s.provide(t)
	if _, _, err := s.accounts.SignInAs(t.Context(), "", account.Identity{Issuer: "http://127.0.0.1:" + s.port, Subject: "stranger", Email: sam, Verified: true}); err != nil {
		t.Fatal(err)
	}
	b := newSurfer(t)
	if out, text := b.end(b.authorize(s, b.begin(s, "/").String(), "stranger")); out.StatusCode != http.StatusSeeOther {
		t.Errorf("%d %s", out.StatusCode, text)
	}
	if _, text := b.visit("GET", s.url+"/", nil, nowhere); !strings.Contains(text, "<strong>"+sam+"</strong>") {
		t.Errorf("signed in as somebody else: %s", text)
	}
}

func TestTheServerDoesWithoutTheProvider(t *testing.T) {
	s := newSite(t, "", "LETHE_AUTH=none")
	b := newSurfer(t)
	down := func() {
		t.Helper()
		out, text := b.visit("GET", s.url+"/sign-in/provider", nil, nowhere)
		if out.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "does not answer as it should") || strings.Contains(text, "refused") {
			t.Errorf("%d %s", out.StatusCode, text)
		}
	}
	if out, text := b.visit("GET", s.url+"/sign-in?to=%2Fa", nil, nowhere); out.StatusCode != http.StatusOK || !strings.Contains(text, `href="/sign-in/provider?to=%2Fa"`) || !strings.Contains(text, `name="email"`) {
		t.Errorf("the page for signing in: %d %s", out.StatusCode, text)
	}
	down()
	stop := s.provide(t)
	back := b.authorize(s, b.begin(s, "/").String(), "pat")
	stop()
	out, text := b.end(back)
	if out.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "does not answer as it should") {
		t.Errorf("gone while somebody signs in: %d %s", out.StatusCode, text)
	}
	s.provide(t)
	if out, text := b.end(b.authorize(s, b.begin(s, "/").String(), "pat")); out.StatusCode != http.StatusSeeOther {
		t.Errorf("back again: %d %s", out.StatusCode, text)
	}
	if !strings.Contains(s.log.String(), "connection refused") {
		t.Errorf("the log does not tell what is wrong: %s", s.log)
	}
}

// The commonest mistake is an issuer that differs by a slash.
func TestAnIssuerThatIsNotTheProvidersIsInTheLog(t *testing.T) {
	s := newSite(t, "", "LETHE_AUTH=none")
	s.parts.OIDC = console.NewProvider(s.parts.OIDC.Issuer+"/", "lethe", "")
	s.show()
	s.provide(t)
	out, text := newSurfer(t).visit("GET", s.url+"/sign-in/provider", nil, nowhere)
	if out.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "does not answer as it should") || !strings.Contains(s.log.String(), "name the issuer to the letter") {
		t.Errorf("%d %s\n%s", out.StatusCode, text, s.log)
	}
}

func TestWithoutAProviderThereIsNoSuchPage(t *testing.T) {
	w := newWorld(t)
	if console.NewProvider("", "", "") != nil {
		t.Error("there is a provider without an issuer")
	}
	for _, path := range []string{"/sign-in/provider", "/sign-in/oidc?code=a&state=b"} {
		if a := w.browser().get(path); a.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
	if a := w.browser().get("/sign-in"); strings.Contains(a.text, "provider") {
		t.Errorf("the page names a provider: %s", a.text)
	}
}
