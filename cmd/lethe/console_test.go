package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A link that the machine's administrator made signs somebody in in a browser, for as
// long as the server keeps its keys.
func TestSignInInABrowser(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data, "--oidc-issuer", "http://127.0.0.1:9", "--oidc-client-id", "lethe")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	read := func(out *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Body.Close()
		text, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		return out.StatusCode, string(text)
	}
	if status, text := read(browser.Get(p.URL + "/")); status != 200 || !strings.Contains(text, "<code>lethe sign-in EMAIL --data DIRECTORY</code>") || !strings.Contains(text, `href="/sign-in/provider"`) {
		t.Errorf("before: %d %s", status, text)
	}
	link := strings.TrimSpace(must(t, "sign-in", demoOwner, "--data", data))
	if status, text := read(browser.Get(link)); status != 200 || !strings.Contains(text, `action="/sign-in/link"`) {
		t.Fatalf("the link: %d %s", status, text)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := read(browser.PostForm(p.URL+"/sign-in/link", url.Values{"link": {u.Query().Get("link")}})); status != 200 || !strings.Contains(text, "<strong>"+demoOwner+"</strong>") {
		t.Errorf("the button: %d %s", status, text)
	}
	// The routes of programs are as they were.
	for path, want := range map[string]int{"/health": 200, "/api/nowhere": 404, "/api/app/me": 401, "/nowhere": 404} {
		out, err := browser.Get(p.URL + path)
		status, text := read(out, err)
		html := strings.HasPrefix(out.Header.Get("Content-Type"), "text/html")
		if status != want || html != (path == "/nowhere") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if a := p.do(t, http.MethodGet, "/sign-in", "", "Host", "evil.example"); a.status != http.StatusBadRequest {
		t.Errorf("a foreign Host: %d", a.status)
	}
	p.stop(t, syscall.SIGTERM)
	p = startDemo(t, data, "--listen", strings.TrimPrefix(p.URL, "http://"))
	if status, text := read(browser.Get(p.URL + "/")); status != 200 || !strings.Contains(text, "<strong>"+demoOwner+"</strong>") {
		t.Errorf("after a new start: %d %s", status, text)
	}
	p.stop(t, syscall.SIGTERM)
	if err := os.Remove(filepath.Join(data, "keys", "session")); err != nil {
		t.Fatal(err)
	}
	p = startDemo(t, data, "--listen", strings.TrimPrefix(p.URL, "http://"))
	if _, text := read(browser.Get(p.URL + "/")); strings.Contains(text, demoOwner) {
		t.Error("with another key the cookie is taken")
	}
	p.stop(t, syscall.SIGTERM)
}

// Behind a proxy with TLS, everything that leads to the server leads to the proxy.
func TestPublicURL(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data, "--public-url", "https://lethe.example/")
	link := strings.TrimSpace(must(t, "sign-in", demoOwner, "--data", data))
	if !strings.HasPrefix(link, "https://lethe.example/sign-in?link=") {
		t.Errorf("the link is %s", link)
	}
	a := p.do(t, http.MethodPost, "/sign-in/link", url.Values{"link": {link[len("https://lethe.example/sign-in?link="):]}}.Encode(),
		"Host", "lethe.example", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://lethe.example")
	if cookie := a.header.Get("Set-Cookie"); a.status != http.StatusSeeOther || !strings.HasPrefix(cookie, "__Host-lethe=") || !strings.Contains(cookie, "; Secure") {
		t.Errorf("%d, the cookie is %s", a.status, cookie)
	}
	task := p.submit(t, retrievals, "user-0001")
	if result, _ := p.await(t, retrievals, task, "SUCCESS")["result"].(string); !strings.HasPrefix(result, "https://lethe.example/") {
		t.Errorf("the link to the archive is %s", result)
	}
	p.stop(t, syscall.SIGTERM)
}

// A link is mailed where mail goes out, here by an outbox that was named.
func TestSignInLinksAreMailed(t *testing.T) {
	outbox := filepath.Join(t.TempDir(), "mail")
	p := startDemo(t, filepath.Join(t.TempDir(), "data"), "--outbox", outbox, "--public-url", "https://lethe.example")
	a := p.do(t, http.MethodPost, "/sign-in", "email="+demoOwner, "Content-Type", "application/x-www-form-urlencoded")
	if a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if text := mailIn(t, outbox); !strings.Contains(text, "https://lethe.example/sign-in?link=3D") {
		t.Error(text)
	}
	p.stop(t, syscall.SIGTERM)
}

// mailIn waits for the one mail in an outbox.
func mailIn(t *testing.T, outbox string) string {
	t.Helper()
	for range 100 {
		found, err := filepath.Glob(filepath.Join(outbox, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 {
			text, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			return strings.ReplaceAll(string(text), "=\r\n", "")
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no mail, or several")
	return ""
}

// Who is given a role while no server runs is invited when one does.
func TestInvitedWithoutAServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data)
	p.stop(t, syscall.SIGTERM)
	status, out, diag := lethe(t, "member", "set", "sam@example.com", "admin", "--data", data)
	if status != 0 || !strings.Contains(out, "sam@example.com") || !strings.Contains(diag, "lethe sign-in sam@example.com --data "+data) {
		t.Errorf("%d %s %s", status, out, diag)
	}
	if status, _, diag := lethe(t, "member", "set", "sam@example.com", "analyst", "--data", data); status != 0 || diag != "" {
		t.Errorf("another role: %d %s", status, diag)
	}
	p = startDemo(t, data)
	if text := mailIn(t, filepath.Join(data, "outbox")); !strings.Contains(text, "To: sam@example.com") || !strings.Contains(text, p.URL+"/sign-in?link=3D") {
		t.Error(text)
	}
	p.stop(t, syscall.SIGTERM)
}

// What somebody makes in the browser a program can use at once.
func TestATokenMadeInABrowser(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	read := func(out *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Body.Close()
		text, err := io.ReadAll(out.Body)
		if err != nil || out.StatusCode != http.StatusOK {
			t.Fatalf("%d %v %s", out.StatusCode, err, text)
		}
		return string(text)
	}
	u, err := url.Parse(strings.TrimSpace(must(t, "sign-in", demoOwner, "--data", data)))
	if err != nil {
		t.Fatal(err)
	}
	read(browser.PostForm(p.URL+"/sign-in/link", url.Values{"link": {u.Query().Get("link")}}))
	page := read(browser.Get(p.URL + "/personal"))
	once := regexp.MustCompile(`name="once" value="(\w+)"`).FindStringSubmatch(page)
	if once == nil {
		t.Fatalf("the form has no key: %s", page)
	}
	made := regexp.MustCompile(`value="(lethe_gdpr_\w+)"`).FindStringSubmatch(read(browser.PostForm(p.URL+"/personal/tokens", url.Values{"once": once[1:]})))
	if made == nil {
		t.Fatal("no token is shown")
	}
	if a := p.do(t, http.MethodGet, deletions+"?token="+p.Token, "", "Authorization", "Bearer "+made[1]); a.status != http.StatusOK {
		t.Errorf("with the token: %d %s", a.status, a.body)
	}
	read(browser.PostForm(fmt.Sprintf("%s/projects/%v/opt-outs", p.URL, p.ProjectID), url.Values{"ids": {"user-0001"}, "do": {"out"}, "sure": {"1"}}))
	if page := read(browser.Get(fmt.Sprintf("%s/projects/%v/opt-outs", p.URL, p.ProjectID))); !strings.Contains(page, "By way of") {
		t.Errorf("nobody is opted out: %s", page)
	}
	for _, path := range []string{"/projects", "/organisation", "/organisation/audit", "/organisation/audit/verify", fmt.Sprintf("/projects/%v/counts", p.ProjectID)} {
		read(browser.Get(p.URL + path))
	}
	p.stop(t, syscall.SIGTERM)
}
