package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Who is let in, decided before a byte of the body is read: a body that is wrong
// answers nothing else to a caller who is not.
func TestWhoIsLetIn(t *testing.T) {
	w := newWorld(t)
	stranger := w.token(t, "mallory@example.com")
	for _, c := range []struct {
		name, authorization, query string
		code                       int
	}{
		{"the owner", "Bearer " + w.GDPRToken, "?token=" + w.ProjectToken, 400},
		{"the owner, scheme in lower case", "bearer " + w.GDPRToken, "?token=" + w.ProjectToken, 400},
		{"a service account", basic(w.ServiceAccount, w.ServiceSecret), "?token=" + w.ProjectToken, 400},
		{"nobody", "", "?token=" + w.ProjectToken, 401},
		{"an unknown token", "Bearer x", "?token=" + w.ProjectToken, 401},
		{"no token", "Bearer ", "?token=" + w.ProjectToken, 401},
		{"no scheme", w.GDPRToken, "?token=" + w.ProjectToken, 401},
		{"another scheme", "Digest " + w.GDPRToken, "?token=" + w.ProjectToken, 401},
		{"the API secret, which is for ingestion", basic(w.APISecret, ""), "?token=" + w.ProjectToken, 401},
		{"the API secret as a token", "Bearer " + w.APISecret, "?token=" + w.ProjectToken, 401},
		{"a service account with a wrong secret", basic(w.ServiceAccount, "x"), "?token=" + w.ProjectToken, 401},
		{"Basic that is not base64", "Basic ÿ", "?token=" + w.ProjectToken, 401},
		{"nobody, without a project", "", "", 401},
		{"the owner, without a project", "Bearer " + w.GDPRToken, "", 400},
		{"the owner, with an empty project", "Bearer " + w.GDPRToken, "?token=", 400},
		{"the owner, with two projects", "Bearer " + w.GDPRToken, "?token=" + w.ProjectToken + "&token=x", 400},
		{"the owner, with a broken query", "Bearer " + w.GDPRToken, "?token=" + w.ProjectToken + "&x=%zz", 400},
		{"the owner of an unknown project", "Bearer " + w.GDPRToken, "?token=x", 403},
		{"the owner, with the id of the project", "Bearer " + w.GDPRToken, "?token=" + w.ProjectID, 403},
		{"a stranger", "Bearer " + stranger, "?token=" + w.ProjectToken, 403},
	} {
		w.advance(10 * time.Minute) // from one address, so many cannot fail at once
		for _, call := range []struct{ method, path string }{
			{"POST", retrievals}, {"POST", deletions}, {"DELETE", deletions}, {"POST", requests + "/x/extension"},
		} {
			r := httptest.NewRequestWithContext(t.Context(), call.method, call.path+"/"+c.query, &untouched{t: t, name: c.name, may: c.code == 400 && strings.Contains(c.query, w.ProjectToken)})
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			if a := w.send(r); a.Code != c.code {
				t.Errorf("%s: %s %s: got %d %s, want %d", c.name, call.method, call.path, a.Code, a.body.Error, c.code)
			}
		}
		if c.code == 400 {
			continue
		}
		for _, call := range []struct{ method, path string }{
			{"GET", retrievals}, {"GET", deletions}, {"GET", retrievals + "/x"}, {"GET", deletions + "/x"}, {"DELETE", deletions + "/x"},
			{"GET", retrievals + "/x/download"}, {"GET", requests + "/x"}, {"GET", requests + "/x/certificate"}, {"GET", requests + "/x/download"},
			{"POST", requests + "/x/rerun"}, {"POST", requests + "/x/confirm"},
		} {
			r := httptest.NewRequestWithContext(t.Context(), call.method, call.path+c.query, nil)
			r.Header.Set("Authorization", c.authorization)
			if a := w.send(r); a.Code != c.code {
				t.Errorf("%s: %s %s: got %d %s, want %d", c.name, call.method, call.path, a.Code, a.body.Error, c.code)
			}
		}
	}
	if got := w.requestCount(); got != 0 {
		t.Errorf("credentials were tried out, and %d requests made", got)
	}
}

// untouched is a body that fails the test when it is read and may not be.
type untouched struct {
	t    *testing.T
	name string
	may  bool
}

func (u *untouched) Read([]byte) (int, error) {
	if !u.may {
		u.t.Errorf("%s: the body was read", u.name)
	}
	return 0, io.EOF
}

// token makes a GDPR token for somebody who is a member of nothing here, by
// founding another deployment and taking its credential over.
func (w *world) token(t *testing.T, mail string) string {
	t.Helper()
	other := table.NewMemory(w.now)
	c, err := account.New(other, w.now).Found(t.Context(), account.Founding{OwnerEmail: mail})
	if err != nil {
		t.Fatal(err)
	}
	err = other.Partitions(t.Context(), func(pk string) error {
		if !strings.HasPrefix(pk, "account#credential#") {
			return nil
		}
		page, err := other.Query(t.Context(), table.Query{PK: pk})
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := w.control.Write(t.Context(), table.Put(item, table.IfAbsent())); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.GDPRToken
}

// Two Authorization headers could be read one way by a proxy and another here.
func TestTwoAuthorizations(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequestWithContext(t.Context(), "GET", w.at(deletions), nil)
	r.Header.Add("Authorization", "Bearer "+w.GDPRToken)
	r.Header.Add("Authorization", "Bearer x")
	w.want(w.send(r), http.StatusUnauthorized, "one Authorization")
}

// Every path answers with and without a slash at the end alike, and what is not
// there is not there: no path leads to another by a redirect.
func TestPathsAndMethods(t *testing.T) {
	w := newWorld(t)
	w.people["bob"] = true
	task := w.create(deletions, `{"distinct_ids":["bob"]}`)
	query := "?token=" + w.ProjectToken
	for _, c := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{"GET", retrievals, 200, ""},
		{"HEAD", retrievals, 200, ""},
		{"PUT", retrievals, 405, "POST, GET, HEAD, OPTIONS"},
		{"DELETE", retrievals, 405, "POST, GET, HEAD, OPTIONS"},
		{"OPTIONS", retrievals, 204, "POST, GET, HEAD, OPTIONS"},
		{"PATCH", deletions, 405, "POST, GET, HEAD, DELETE, OPTIONS"},
		{"GET", deletions + "/" + task, 200, ""},
		{"POST", deletions + "/" + task, 405, "GET, HEAD, DELETE, OPTIONS"},
		{"DELETE", retrievals + "/" + task, 405, "GET, HEAD, OPTIONS"},
		{"GET", requests + "/" + task, 200, ""},
		{"DELETE", requests + "/" + task, 405, "GET, HEAD, OPTIONS"},
		{"GET", requests + "/" + task + "/rerun", 405, "POST, OPTIONS"},
		{"HEAD", requests + "/" + task + "/rerun", 405, "POST, OPTIONS"},
		{"POST", "/openapi.json", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/openapi.json", 200, ""},
		{"GET", requests, 200, ""},
		{"POST", requests, 405, "GET, HEAD, OPTIONS"},
		{"GET", "", 404, ""},
		{"GET", "/api/app", 404, ""},
		{"GET", "/api/app/data-deletions", 404, ""},
		{"GET", "/api/app/data-deletions/v2.0", 404, ""},
		{"POST", "/api/app//data-deletions/v3.0", 404, ""},
		{"POST", "//api/app/data-deletions/v3.0", 404, ""},
		{"POST", "/api/app/x/../data-deletions/v3.0", 404, ""},
		{"POST", "/api/app/data-deletions/v3.0/.", 405, "GET, HEAD, DELETE, OPTIONS"},
		{"DELETE", "/api/app/data-deletions/v3.0//", 404, ""},
		{"GET", "/API/app/data-deletions/v3.0", 404, ""},
	} {
		for _, slash := range []string{"", "/"} {
			path := c.path + slash
			if path == "" {
				continue
			}
			a := w.do(c.method, path+query, "")
			if a.Code != c.code || a.Header().Get("Allow") != c.allow {
				t.Errorf("%s %s: got %d, Allow %q; want %d, %q", c.method, path, a.Code, a.Header().Get("Allow"), c.code, c.allow)
			}
			if a.Header().Get("Location") != "" {
				t.Errorf("%s %s: redirected", c.method, path)
			}
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for _, path := range []string{w.at(deletions), deletions, "/nothing", "/openapi.json"} {
		h := w.do("GET", path, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Content-Type": "application/json",
			"Access-Control-Allow-Origin": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, got, want)
			}
		}
		id := h.Get("X-Request-Id")
		if id == "" || seen[id] {
			t.Errorf("%s: X-Request-Id %q is empty or was used before", path, id)
		}
		seen[id] = true
	}
	h := w.do("GET", deletions, "", header{"Authorization", ""}).Header()
	if got := h.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
		t.Errorf("WWW-Authenticate: got %q", got)
	}
}

func TestHostHeader(t *testing.T) {
	for _, c := range []struct {
		hosts []string
		host  string
		code  int
	}{
		{nil, "anything.example", 200},
		{[]string{"lethe.example"}, "lethe.example", 200},
		{[]string{"lethe.example"}, "LETHE.example:8080", 200},
		{[]string{"lethe.example:8080"}, "lethe.example:8080", 200},
		{[]string{"lethe.example:8080"}, "lethe.example:8081", 400},
		{[]string{"127.0.0.1", "::1", "localhost"}, "[::1]:8080", 200},
		{[]string{"127.0.0.1"}, "rebound.example", 400},
		{[]string{"127.0.0.1"}, "", 400},
		{[]string{"lethe.example"}, "lethe.example.evil.example", 400},
	} {
		w := newWorld(t)
		w.parts.Hosts = c.hosts
		w.handler = api.New(w.parts)
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/openapi.json", nil)
		r.Host = c.host
		a := httptest.NewRecorder()
		if w.handler.ServeHTTP(a, r); a.Code != c.code {
			t.Errorf("hosts %v, Host %q: got %d, want %d", c.hosts, c.host, a.Code, c.code)
		}
	}
}

// The audit trail tells where a request came from: the peer's address, or what a
// trusted proxy tells, never what the sender made up.
func TestSender(t *testing.T) {
	for _, c := range []struct{ trusted, peer, forwarded, want string }{
		{"", "192.0.2.1:5", "198.51.100.7", "192.0.2.1:5"},
		{"10.0.0.0/8", "10.1.2.3:5", "", "10.1.2.3:5"},
		{"10.0.0.0/8", "10.1.2.3:5", "198.51.100.7", "198.51.100.7:0"},
		{"10.0.0.0/8", "10.1.2.3:5", "6.6.6.6, 198.51.100.7", "198.51.100.7:0"},
		{"10.0.0.0/8", "10.1.2.3:5", "198.51.100.7, 10.9.9.9", "198.51.100.7:0"},
		{"10.0.0.0/8", "10.1.2.3:5", "10.8.8.8, 10.9.9.9", "10.8.8.8:0"},
		{"10.0.0.0/8", "10.1.2.3:5", "not an address", "10.1.2.3:5"},
		{"10.0.0.0/8", "192.0.2.1:5", "198.51.100.7", "192.0.2.1:5"},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]:5", "2001:db8::1", "[2001:db8::1]:0"},
		{"10.0.0.0/8", "@", "198.51.100.7", "@"},
	} {
		var got string
		parts := api.Parts{Clock: time.Now, Log: newWorld(t).parts.Log, Ingestion: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })}
		if c.trusted != "" {
			parts.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(c.trusted)}
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/track", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		api.New(parts).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("from %s by %q: got %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

// No identifier, token or address reaches the log, whatever was sent where.
func TestLogHoldsNothingPersonal(t *testing.T) {
	w := newWorld(t)
	const person = "amelie@example.org"
	w.people[person] = true
	body := `{"distinct_ids":["` + person + `"]}`
	task := w.create(retrievals, body)
	w.finish(task)
	w.do("GET", w.at(retrievals+"/"+task), "")
	w.do("GET", w.at(retrievals+"/"+person), "")
	const device = "3f0d0b0e-5f5c-4c6f-9d7e-0a1b2c3d4e5f" // an identifier that looks like a task's
	w.do("GET", w.at(retrievals+"/"+device), "")
	w.do("GET", w.at(requests+"/"+device), "")
	w.do("DELETE", w.at(deletions+"/"+device), "")
	w.do("GET", retrievals+"/"+device, "")
	w.do("GET", "/"+person+"?"+person, "")
	w.do("AMELIE", w.at(retrievals), body)
	w.do("POST", w.at(retrievals), `{"distinct_ids":["`+person+`","0"]}`)
	w.do("GET", w.at(retrievals)+"&page="+person, "")
	w.do("GET", w.at(retrievals), "", header{"X-Request-Id", person}, header{"User-Agent", person}, header{"Authorization", "Bearer " + person})
	w.panicking(person)
	log := w.log.String()
	for name, secret := range map[string]string{
		"identifier": person, "identifier of a device": device, "made-up method": "AMELIE", "GDPR token": w.GDPRToken, "project token": w.ProjectToken, "requester": "pat@example.com", "network address": "192.0.2.1",
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds an %s:\n%s", name, log)
		}
	}
	for _, want := range []string{"task=" + task, "route=" + retrievals + "/{tracking_id}", "status=201", "method=other", "project=" + w.ProjectID, "panic"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %s:\n%s", want, log)
		}
	}
}

// panicking answers what a handler that panics with a value leads to.
func (w *world) panicking(value string) *httptest.ResponseRecorder {
	parts := w.parts
	parts.Ingestion = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(value) })
	a := httptest.NewRecorder()
	api.New(parts).ServeHTTP(a, httptest.NewRequest("POST", "/track", nil))
	return a
}

func TestPanicIsAnAnswer(t *testing.T) {
	w := newWorld(t)
	a := w.panicking("boom")
	if got := a.Body.String(); a.Code != http.StatusInternalServerError || !strings.Contains(got, `"status":"error"`) || strings.Contains(got, "boom") {
		t.Errorf("got %d %s, want 500 and a sentence without the cause", a.Code, got)
	}
	if id := a.Header().Get("X-Request-Id"); !strings.Contains(a.Body.String(), id) || !strings.Contains(w.log.String(), "request="+id) {
		t.Errorf("answer and log do not share the id %s", id)
	}
}

// Half an answer must not look whole: the connection breaks.
func TestPanicInTheMiddle(t *testing.T) {
	parts := newWorld(t).parts
	parts.Ingestion = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "half")
		_ = http.NewResponseController(rw).Flush()
		panic("boom")
	})
	server := httptest.NewUnstartedServer(api.New(parts))
	server.Config.ErrorLog = nil
	server.Start()
	defer server.Close()
	a, err := server.Client().Post(server.URL+"/track", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if _, err := io.ReadAll(a.Body); err == nil {
		t.Error("the answer ended as though it were whole")
	}
}

// A caller who hangs up is no fault of the server, and no reason to wake anybody.
func TestCallerGoesAway(t *testing.T) {
	w := newWorld(t)
	w.parts.Service = dsr.New(dsr.Parts{Control: failing{w.control, kind.Unavailable}, Clock: w.now, Log: w.parts.Log})
	w.handler = api.New(w.parts)
	for _, gone := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		if gone {
			w.log.Reset()
			// The accounts still answer; then the service does not.
			w.parts.Accounts = account.New(hangUp{w.control, cancel}, w.now)
			w.handler = api.New(w.parts)
		}
		r := httptest.NewRequestWithContext(ctx, "GET", w.at(requests+"/00000000-0000-4000-8000-000000000000"), nil)
		r.Header.Set("Authorization", "Bearer "+w.GDPRToken)
		w.handler.ServeHTTP(httptest.NewRecorder(), r)
		if got := strings.Contains(w.log.String(), "level=ERROR"); got == gone {
			t.Errorf("hung up: %v, error in the log: %v", gone, got)
		}
		cancel()
	}
}

// hangUp is a table during whose reads the caller goes away.
type hangUp struct {
	table.Table
	cancel func()
}

func (h hangUp) GetMany(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	found, err := h.Table.GetMany(ctx, keys)
	h.cancel()
	return found, err
}

func TestStatusOfKinds(t *testing.T) {
	for k, want := range map[kind.Kind]int{
		kind.Invalid: 400, kind.Unauthorized: 401, kind.Forbidden: 403, kind.NotFound: 404, kind.NotAllowed: 405, kind.Conflict: 409,
		kind.Gone: 410, kind.TooLarge: 413, kind.Throttled: 429, kind.Unavailable: 503, kind.Corrupt: 500, kind.Internal: 500, "Another": 500,
	} {
		w := newWorld(t)
		w.parts.Service = dsr.New(dsr.Parts{Control: failing{w.control, k}, Clock: w.now, Log: w.parts.Log})
		w.handler = api.New(w.parts)
		const task = "/00000000-0000-4000-8000-000000000000"
		r := httptest.NewRequestWithContext(t.Context(), "GET", w.at(requests+task), nil)
		r.Header.Set("Authorization", "Bearer "+w.GDPRToken)
		a := httptest.NewRecorder()
		if w.handler.ServeHTTP(a, r); a.Code != want {
			t.Errorf("%s: got %d, want %d", k, a.Code, want)
		}
		if strings.Contains(a.Body.String(), "secret cause") {
			t.Errorf("%s: the answer tells the cause: %s", k, a.Body)
		}
	}
}

type failing struct {
	table.Table
	kind kind.Kind
}

func (f failing) Get(context.Context, table.Key) (table.Item, error) {
	return table.Item{}, kind.E(f.kind, "get", fmt.Errorf("secret cause"))
}
