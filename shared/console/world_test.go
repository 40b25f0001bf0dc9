package console_test

import (
	"context"
	"encoding/json"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/blob"
	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
)

const (
	pat = "pat@example.com" // owns the organisation
	sam = "sam@example.com" // is an analyst of the one project
)

// A world is a deployment in memory, whose pages are at an address of https.
type world struct {
	t        *testing.T
	mu       sync.Mutex
	ahead    time.Duration
	control  *control
	accounts *account.Accounts
	bucket   *blob.Memory
	store    *source
	service  *dsr.Service
	account.Credentials
	mails outbox
	parts console.Parts
	pages http.Handler
	log   *strings.Builder
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, log: &strings.Builder{}}
	w.control = &control{Table: table.NewMemory(w.now)}
	w.accounts = account.New(w.control, w.now)
	var err error
	if w.Credentials, err = w.accounts.Found(t.Context(), account.Founding{ProjectName: "Shop", OwnerEmail: pat}); err != nil {
		t.Fatal(err)
	}
	w.member(w.ProjectID, sam, account.Analyst)
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys := kind.Keyring{{Version: 1, Secret: []byte("another key for tests")}}
	w.bucket = blob.NewMemory(w.now)
	w.store = &source{Store: events.New(table.NewMemory(w.now), keys, w.now)}
	w.service = dsr.New(dsr.Parts{
		Control: w.control, Bucket: w.bucket, Workflow: still{}, Sources: []dsr.Source{w.store}, Accounts: w.accounts,
		Keys: keys, Clock: w.now, Log: log, Settings: dsr.Settings{CancelWindow: time.Hour},
	})
	w.parts = console.Parts{
		Accounts: w.accounts, Service: w.service, Mails: true, LinkCommand: "lethe sign-in EMAIL", PublicURL: "https://lethe.example",
		Keys: kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}, Clock: w.now,
		Log: log,
	}
	w.pages = console.New(w.parts)
	w.deliver()
	w.mails.sent = nil // sam's invitation
	t.Cleanup(func() {
		for _, secret := range []string{pat, sam, "stranger", account.SessionPrefix, w.mails.link()} {
			if secret != "" && strings.Contains(w.log.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
	})
	return w
}

// still is a workflow in which nothing happens by itself: a test calls the tasks.
type still struct{}

func (still) Start(context.Context, string, string, json.RawMessage) error { return nil }
func (still) Stop(context.Context, string, string, string) error           { return nil }
func (still) Describe(context.Context, string, string) (dsr.Execution, error) {
	return dsr.Execution{Status: dsr.ExecutionRunning}, nil
}

// A source is the built-in one, whose counts a test can make up.
type source struct {
	*events.Store
	days func(project string, from, to time.Time) []dsr.Day
}

// Days implements dsr.Ingesting.
func (s *source) Days(ctx context.Context, project string, from, to time.Time) ([]dsr.Day, error) {
	if s.days != nil {
		return s.days(project, from, to), nil
	}
	return s.Store.Days(ctx, project, from, to)
}

// deliver delivers the mail that waits, as another process does.
func (w *world) deliver() {
	w.t.Helper()
	s := dsr.New(dsr.Parts{Control: w.control, Accounts: w.accounts, Sender: &w.mails, PublicURL: func() string { return "https://lethe.example" }, Clock: w.now, Log: w.parts.Log})
	if err := s.Sweep(w.t.Context()); err != nil {
		w.t.Error(err)
	}
}

// control is a table that can be down, or refuse some of what is written.
type control struct {
	table.Table
	down    bool
	refuses func(table.Op) bool
}

// Write implements table.Table.
func (c *control) Write(ctx context.Context, ops ...table.Op) error {
	if c.refuses != nil && c.refuses(ops[0]) {
		return kind.E(kind.Unavailable, "the table is full")
	}
	return c.Table.Write(ctx, ops...)
}

// GetMany implements table.Table.
func (c *control) GetMany(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	if c.down {
		return nil, kind.E(kind.Unavailable, "read")
	}
	return c.Table.GetMany(ctx, keys)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func (w *world) member(project, name string, role account.Role) {
	w.t.Helper()
	if _, err := w.accounts.SetMember(w.t.Context(), dsr.By{Actor: pat}, project, name, role); err != nil {
		w.t.Fatal(err)
	}
}

// link makes what a sign-in link holds.
func (w *world) link(name string) string {
	w.t.Helper()
	link, err := w.accounts.MakeLink(w.t.Context(), dsr.By{Actor: account.Local.Name}, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return link
}

// An outbox keeps what was sent.
type outbox struct {
	mu   sync.Mutex
	sent []dsr.Message
}

// Send implements dsr.Sender.
func (o *outbox) Send(_ context.Context, m dsr.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, m)
	return nil
}

// link is what the link in the last mail holds, or "".
func (o *outbox) link() string {
	if len(o.sent) == 0 {
		return ""
	}
	link := regexp.MustCompile(`\?link=([0-9a-f]+)`).FindStringSubmatch(o.sent[len(o.sent)-1].Text)
	if link == nil {
		return ""
	}
	return link[1]
}

// A browser keeps cookies, and stays where it was sent on from.
type browser struct {
	w       *world
	cookies map[string]*http.Cookie
}

func (w *world) browser() *browser { return &browser{w, map[string]*http.Cookie{}} }

type answer struct {
	*httptest.ResponseRecorder
	text string
}

// do sends a request as a page of the server would, with fields in the form and more
// headers in pairs.
func (b *browser) do(method, target string, fields url.Values, headers ...string) answer {
	b.w.t.Helper()
	return b.request(method, target, fields.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

// request sends a body as it is.
func (b *browser) request(method, target, body string, headers ...string) answer {
	b.w.t.Helper()
	r := httptest.NewRequestWithContext(b.w.t.Context(), method, "https://lethe.example"+target, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	b.w.pages.ServeHTTP(a, r)
	for _, c := range a.Result().Cookies() {
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	a.text = a.Body.String()
	return a
}

func (b *browser) get(target string) answer { return b.do("GET", target, nil) }

// signIn signs somebody in by a link.
func (b *browser) signIn(name string) answer {
	b.w.t.Helper()
	a := b.do("POST", "/sign-in/link", url.Values{"link": {b.w.link(name)}})
	if a.Code != http.StatusSeeOther {
		b.w.t.Fatalf("sign-in: %d %s", a.Code, a.text)
	}
	return a
}

// name is whom the first page calls by name, or "" where one has to sign in.
func (b *browser) name() string {
	found := regexp.MustCompile(`signed in as <strong>(.*?)</strong>`).FindStringSubmatch(b.get("/").text)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

// A surfer is a browser over HTTP, for where other servers take part. It stops before
// it would leave to one of them, unless it is told to go there.
type surfer struct {
	*http.Client
	t *testing.T
}

func newSurfer(t *testing.T) *surfer {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &surfer{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, t}
}

// ownScript is the one script that a page may have.
var ownScript = regexp.MustCompile(`<script src="/assets/[0-9a-f]{16}\.js" defer></script>`)

// names reports whether a text has an identifier as a word: random ids may have its
// letters in them.
func names(text, id string) bool {
	return regexp.MustCompile(`\b` + id + `\b`).MatchString(text)
}
