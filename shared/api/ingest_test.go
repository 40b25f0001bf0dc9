package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// An intake is the ingestion routes over a store in memory.
type intake struct {
	t *testing.T
	account.Credentials
	http.Handler
	store *events.Store
	now   time.Time
	log   bytes.Buffer
}

func newIntake(t *testing.T) *intake {
	in := &intake{t: t, now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return in.now }
	accounts := account.New(table.NewMemory(clock), clock)
	var err error
	if in.Credentials, err = accounts.Found(t.Context(), account.Founding{OwnerEmail: "pat@example.com"}); err != nil {
		t.Fatal(err)
	}
	in.store = events.New(table.NewMemory(clock), kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}, clock)
	in.Handler = api.NewIngestion(accounts, in.store, nil, clock, slog.New(slog.NewTextHandler(&in.log, nil)))
	return in
}

// event is one event of ann's that carries the project token.
func (in *intake) event(insertID string) string {
	return fmt.Sprintf(`{"event":"Seen","properties":{"token":%q,"time":1777892400,"distinct_id":"ann","$insert_id":%q}}`, in.ProjectToken, insertID)
}

// do sends a request; headers are pairs.
func (in *intake) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	in.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	in.ServeHTTP(w, r)
	if w.Code >= 300 && w.Code < 400 {
		in.t.Errorf("%s %s redirects", method, target)
	}
	return w
}

// send posts with the API secret and a query that may be nonsense.
func (in *intake) send(path, query, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", contentType)
	r.SetBasicAuth(in.APISecret, "")
	w := httptest.NewRecorder()
	in.ServeHTTP(w, r)
	return w
}

// stored counts the records of some ids.
func (in *intake) stored(ids ...kind.Subject) (n int) {
	in.t.Helper()
	scope := dsr.Scope{Project: in.ProjectID, Limit: in.now, Clusters: []dsr.Cluster{{Folder: 1, IDs: ids}}}
	records, err := in.store.Collect(in.t.Context(), scope, "")
	if err != nil {
		in.t.Fatal(err)
	}
	defer records.Close()
	for {
		if _, err := records.Next(in.t.Context()); err == io.EOF {
			return n
		} else if err != nil {
			in.t.Fatal(err)
		}
		n++
	}
}

func basic(name, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

func zip(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

const form = "application/x-www-form-urlencoded"

func TestFormsOfTrack(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		name string
		send func(in *intake) *httptest.ResponseRecorder
		want string
	}{
		{"npm: a GET with base64", func(in *intake) *httptest.ResponseRecorder {
			return in.do("GET", "/track?ip=0&verbose=0&data="+url.QueryEscape(b64([]byte(in.event("a")))), "")
		}, "1"},
		{"npm: a form that is not escaped", func(in *intake) *httptest.ResponseRecorder {
			// Three question marks and tildes give + and / in base64.
			e := strings.Replace(in.event("a"), `"Seen"`, `"Seen???~~~>>>"`, 1)
			data := b64([]byte("[" + e + "]"))
			if !strings.ContainsAny(data, "+") {
				in.t.Fatal("the test has no + to lose")
			}
			return in.do("POST", "/track?ip=0&verbose=0", "data="+data, "Content-Type", form)
		}, "1"},
		{"browser: a form, verbose", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track/?verbose=1&ip=1&_=1", "data="+url.QueryEscape(b64([]byte("["+in.event("a")+"]"))), "Content-Type", form)
		}, `{"status":1,"error":null}`},
		{"browser: sendBeacon", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track/?verbose=1&ip=1&_=1", "data="+url.QueryEscape(b64([]byte("["+in.event("a")+"]"))), "Content-Type", "text/plain;charset=UTF-8")
		}, `{"status":1,"error":null}`},
		{"Python: JSON in a form, verbose in it", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track", "data="+url.QueryEscape(in.event("a"))+"&verbose=1&ip=0", "Content-Type", form)
		}, `{"status":1,"error":null}`},
		{"Go: a JSON list", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track?verbose=1", "["+in.event("a")+"]", "Content-Type", "application/json")
		}, `{"status":1,"error":null}`},
		{"curl: JSON that is called a form", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track", in.event("a"), "Content-Type", form)
		}, "1"},
		{"gzip", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track", zip(in.event("a")), "Content-Type", "application/json", "Content-Encoding", "gzip")
		}, "1"},
		{"base64 for addresses, without padding", func(in *intake) *httptest.ResponseRecorder {
			return in.do("GET", "/track?data="+base64.RawURLEncoding.EncodeToString([]byte(in.event("a"))), "")
		}, "1"},
		{"a call of a function", func(in *intake) *httptest.ResponseRecorder {
			return in.do("GET", "/track?callback=mp.done&data="+url.QueryEscape(in.event("a")), "")
		}, "/**/mp.done(1);"},
		{"a call of a function, verbose", func(in *intake) *httptest.ResponseRecorder {
			return in.do("GET", "/track?verbose=1&callback=$cb&data="+url.QueryEscape(in.event("a")), "")
		}, `/**/$cb({"status":1,"error":null});`},
		{"the bad are left out", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track", `[{"event":""},`+in.event("a")+`,7]`)
		}, "1"},
		{"an unknown token beside a good one", func(in *intake) *httptest.ResponseRecorder {
			return in.do("POST", "/track", `[`+in.event("a")+`,`+strings.Replace(in.event("b"), in.ProjectToken, "other", 1)+`]`)
		}, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := newIntake(t)
			w := c.send(in)
			if got := w.Body.String(); w.Code != http.StatusOK || got != c.want {
				t.Errorf("got %d %q, want 200 %q", w.Code, got, c.want)
			}
			if got := in.stored("ann"); got != 1 {
				t.Errorf("%d events were stored, want 1", got)
			}
		})
	}
}

func TestPixel(t *testing.T) {
	in := newIntake(t)
	w := in.do("GET", "/track?img=1&data="+url.QueryEscape(in.event("a")), "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/gif" || !strings.HasPrefix(w.Body.String(), "GIF89a") || in.stored("ann") != 1 {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

func TestWhatTrackRefuses(t *testing.T) {
	in := newIntake(t)
	good := in.event("a")
	many := "[" + strings.Repeat(good+",", 2000) + good + "]"
	for _, c := range []struct {
		name, target, body string
		headers            []string
		status             int
		want               string
	}{
		{"broken JSON", "/track", `{"event":`, nil, 200, "0"},
		{"broken JSON, verbose", "/track?verbose=1", `[{"event":`, nil, 200, `{"status":0,"error":"The body is not valid JSON."}`},
		{"nothing", "/track", ``, nil, 200, "0"},
		{"an empty list", "/track", `[]`, nil, 200, "0"},
		{"neither JSON nor base64", "/track", `data=%%%`, nil, 200, "0"},
		{"a text", "/track", "data=" + base64.StdEncoding.EncodeToString([]byte(`"x"`)), nil, 200, "0"},
		{"not UTF-8", "/track", "{\"event\":\"\xff\"}", nil, 200, "0"},
		{"only bad records", "/track?verbose=1", `[{"event":1,"properties":{}}]`, nil, 200, `{"status":0,"error":"record 0: 'event' is invalid: must be a string that is not empty"}`},
		{"an unknown token", "/track", strings.Replace(good, in.ProjectToken, "other", 1), nil, 401, `{"error":"The project token is missing or not known. Check that it was copied whole.","status":"error"}`},
		{"an unknown token, verbose", "/track?verbose=1", strings.Replace(good, in.ProjectToken, "other", 1), nil, 401, `{"status":0,"error":"The project token is missing or not known. Check that it was copied whole."}`},
		{"no token", "/track", `{"event":"e","properties":{"distinct_id":"ann"}}`, nil, 401, ""},
		{"2001 events", "/track", many, nil, 413, ""},
		{"a large body", "/track", strings.Repeat(" ", 11<<20) + good, nil, 413, ""},
		{"a bomb", "/track", zip(strings.Repeat(" ", 64<<20)), []string{"Content-Encoding", "gzip"}, 413, ""},
		{"half of gzip", "/track", zip(good)[:30], []string{"Content-Encoding", "gzip"}, 200, "0"},
		{"an unknown encoding", "/track?verbose=1", good, []string{"Content-Encoding", "br"}, 200, `{"status":0,"error":"The Content-Encoding is not known. Send gzip, or nothing."}`},
		{"a callback that is code", "/track?callback=alert(1)//", good, nil, 200, "0"},
	} {
		w := in.do("POST", c.target, c.body, c.headers...)
		if got := w.Body.String(); w.Code != c.status || c.want != "" && got != c.want {
			t.Errorf("%s: got %d %.200s, want %d %s", c.name, w.Code, got, c.status, c.want)
		}
	}
	if got := in.stored("ann"); got != 0 {
		t.Errorf("%d events were stored, want none", got)
	}
	if w := in.do("PUT", "/track", good); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("PUT: got %d", w.Code)
	}
	if w := in.do("GET", "/trackers", ""); w.Code != http.StatusNotFound {
		t.Errorf("another path: got %d", w.Code)
	}
}

// A body that grows a thousandfold is given up before it is in memory.
func TestABombIsNotUnpacked(t *testing.T) {
	in := newIntake(t)
	bomb := strings.Repeat(zip(strings.Repeat(" ", 4<<20)), 250) // gzip may go on after its end
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := in.do("POST", "/track", bomb, "Content-Encoding", "gzip")
	runtime.ReadMemStats(&after)
	if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; w.Code != http.StatusRequestEntityTooLarge || grown > 500 {
		t.Errorf("got %d after %d MB, want 413 long before the 1000 MB in it", w.Code, grown)
	}
}

func TestWhoMayImport(t *testing.T) {
	in := newIntake(t)
	for _, c := range []struct {
		name, target string
		auth         string
		status       int
	}{
		{"API secret", "/import?strict=1", basic(in.APISecret, ""), 200},
		{"project token as the user", "/import?strict=1", basic(in.ProjectToken, ""), 200},
		{"service account", "/import?strict=1&project_id=" + in.ProjectID, basic(in.ServiceAccount, in.ServiceSecret), 200},
		{"api_key", "/import?strict=1&api_key=" + in.APISecret, "", 200},
		{"service account without a project", "/import?strict=1", basic(in.ServiceAccount, in.ServiceSecret), 400},
		{"service account for another project", "/import?strict=1&project_id=77", basic(in.ServiceAccount, in.ServiceSecret), 403},
		{"service account with another secret", "/import?strict=1&project_id=" + in.ProjectID, basic(in.ServiceAccount, "x"), 401},
		{"another secret", "/import?strict=1", basic("x", ""), 401},
		{"nothing", "/import?strict=1", "", 401},
		{"another api_key", "/import?strict=1&api_key=x", "", 401},
		{"a GDPR token", "/import?strict=1", "Bearer " + in.GDPRToken, 401},
		{"a GDPR token as the user", "/import?strict=1", basic(in.GDPRToken, ""), 401},
	} {
		var headers []string
		if c.auth != "" {
			headers = []string{"Authorization", c.auth}
		}
		if w := in.do("POST", c.target, "["+in.event("a")+"]", headers...); w.Code != c.status || !strings.Contains(w.Body.String(), fmt.Sprintf(`"code":%d`, c.status)) {
			t.Errorf("%s: got %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
	}
}

// Wrong secrets from one network address are refused after a while, good ones are not.
func TestWrongSecretsOfImportAreLimited(t *testing.T) {
	in := newIntake(t)
	limited := 0
	for n := range 40 {
		auth := basic("x", "")
		if n%2 == 1 {
			auth = basic(in.ServiceAccount, "x")
		}
		w := in.do("POST", "/import?strict=1&project_id="+in.ProjectID, "["+in.event("a")+"]", "Authorization", auth)
		if w.Code == http.StatusTooManyRequests {
			limited++
			if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "wrong tokens, secrets") {
				t.Errorf("Retry-After %q, got %s without which limit", w.Header().Get("Retry-After"), w.Body)
			}
		}
	}
	if limited != 10 {
		t.Errorf("%d of 40 were refused, want 10", limited)
	}
	if w := in.do("POST", "/import?strict=1", "["+in.event("a")+"]", "Authorization", basic(in.APISecret, "")); w.Code != http.StatusOK {
		t.Errorf("the API secret beside it: %d %s", w.Code, w.Body)
	}
}

func TestAnswersOfImport(t *testing.T) {
	in := newIntake(t)
	auth := []string{"Authorization", basic(in.APISecret, "")}
	ndjson := append([]string{"Content-Type", "application/x-ndjson"}, auth...)
	bad := `{"event":"Seen","properties":{"time":"noon","distinct_id":"ann","$insert_id":"bad-1"}}`
	for _, c := range []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		want                       string
	}{
		{"JSON", "POST", "/import?strict=1", "[" + in.event("a") + "," + in.event("b") + "]", auth, 200, `{"code":200,"num_records_imported":2,"status":"OK"}`},
		{"lines", "POST", "/import/", in.event("c") + "\n\n" + in.event("d") + "\n", ndjson, 200, `{"code":200,"num_records_imported":2,"status":"OK"}`},
		{"lines in gzip", "POST", "/import", zip(in.event("c")), append([]string{"Content-Encoding", "gzip"}, ndjson...), 200, `{"code":200,"num_records_imported":1,"status":"OK"}`},
		{"a bad record", "POST", "/import?strict=1", "[" + bad + "," + in.event("e") + "]", auth, 400,
			`{"code":400,"error":"Some data points in the request failed validation.","status":"Bad Request","num_records_imported":1,"failed_records":[{"index":0,"insert_id":"bad-1","field":"properties.time","message":"'properties.time' is invalid: must be seconds or milliseconds since 1970"}]}`},
		{"a bad line", "POST", "/import", in.event("f") + "\n{\n", ndjson, 400,
			`{"code":400,"error":"Some data points in the request failed validation.","status":"Bad Request","num_records_imported":1,"failed_records":[{"index":1,"insert_id":"","field":"","message":"the line is not valid JSON"}]}`},
		{"strict about what is missing", "POST", "/import?strict=1", `{"event":"e","properties":{"time":1777892400,"distinct_id":"ann"}}`, auth, 400,
			`{"code":400,"error":"Some data points in the request failed validation.","status":"Bad Request","num_records_imported":0,"failed_records":[{"index":0,"insert_id":"","field":"properties.$insert_id","message":"'properties.$insert_id' is invalid: must not be missing"}]}`},
		{"broken JSON", "POST", "/import", "[", auth, 400, `{"code":400,"error":"The body is not valid JSON.","status":"Bad Request","num_records_imported":0,"failed_records":[]}`},
		{"a library's form", "POST", "/import", "data=" + url.QueryEscape(in.event("g")), append([]string{"Content-Type", form}, auth...), 200, "1"},
		{"a library's form, verbose", "POST", "/import", "data=" + url.QueryEscape(in.event("g")) + "&verbose=1", append([]string{"Content-Type", form}, auth...), 200, `{"status":1,"error":null}`},
		{"a library's key in its form", "POST", "/import", "verbose=1&api_key=" + in.APISecret + "&data=" + url.QueryEscape(in.event("g")), []string{"Content-Type", form}, 200, `{"status":1,"error":null}`},
		{"a library's GET", "GET", "/import?api_key=" + in.APISecret + "&data=" + base64.StdEncoding.EncodeToString([]byte(in.event("h"))), "", nil, 200, "1"},
		{"a library's wrong key", "GET", "/import?api_key=x&data=e30=", "", nil, 401, ""},
		{"too large", "POST", "/import", strings.Repeat(" ", 31<<20), auth, 413, `{"code":413,"error":"The request is too large. Send at most 10 MB of JSON at once.","status":"Request Entity Too Large","num_records_imported":0,"failed_records":[]}`},
		{"nobody", "POST", "/import", "[]", nil, 401, `{"code":401,"error":"Invalid credentials. Authenticate by Basic with the API secret, or with a service account and ?project_id=….","status":"Unauthorized","num_records_imported":0,"failed_records":[]}`},
	} {
		w := in.do(c.method, c.target, c.body, c.headers...)
		if got := w.Body.String(); w.Code != c.status || c.want != "" && got != c.want {
			t.Errorf("%s: got %d %s, want %d %s", c.name, w.Code, got, c.status, c.want)
		}
	}
	if got := in.stored("ann"); got != 8 {
		t.Errorf("%d events were stored, want 8, the good ones", got)
	}
}

func TestEngageAndGroups(t *testing.T) {
	in := newIntake(t)
	token := `"$token":"` + in.ProjectToken + `"`
	for _, c := range []struct {
		target, body string
		status       int
		want         string
	}{
		{"/engage", `{` + token + `,"$distinct_id":"ann","$set":{"a":1}}`, 200, "1"},
		{"/engage/?verbose=1", `[{` + token + `,"$distinct_id":"ann","$add":{"a":1}}]`, 200, `{"status":1,"error":null}`},
		{"/engage?strict=1", `[{` + token + `,"$distinct_id":"ann","$add":{"a":"x"}},{` + token + `,"$distinct_id":"ann","$add":{"a":1}}]`, 400,
			`{"code":400,"error":"Some data points in the request failed validation.","status":"Bad Request","num_records_imported":1,"failed_records":[{"index":0,"insert_id":"","field":"$add","message":"'$add' is invalid: must have numbers for values"}]}`},
		{"/engage", `{"$token":"x","$distinct_id":"ann","$set":{"a":1}}`, 401, ""},
		{"/engage", `{` + token + `,"$distinct_id":"null","$set":{"a":1}}`, 200, "0"},
		{"/groups", `{` + token + `,"$group_key":"company","$group_id":"Acme","$set":{"a":1}}`, 200, "1"},
		{"/groups", `{` + token + `,"$distinct_id":"ann","$set":{"a":1}}`, 200, "0"},
	} {
		if w := in.do("POST", c.target, c.body); w.Code != c.status || c.want != "" && w.Body.String() != c.want {
			t.Errorf("%s %s: got %d %s, want %d %s", c.target, c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	if got := in.stored("ann"); got != 1 {
		t.Errorf("%d profiles were stored, want 1", got)
	}
}

func TestPagesOfAnyOriginMaySend(t *testing.T) {
	in := newIntake(t)
	const origin = "https://shop.example"
	w := in.do("OPTIONS", "/track/?verbose=1", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type, x-own")
	h := w.Header()
	if w.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") || h.Get("Access-Control-Allow-Headers") != "content-type, x-own" {
		t.Errorf("preflight: got %d %v", w.Code, h)
	}
	for _, body := range []string{in.event("a"), "{", strings.Replace(in.event("a"), in.ProjectToken, "x", 1)} {
		h := in.do("POST", "/track", body, "Origin", origin).Header()
		if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin" {
			t.Errorf("the answer to %.20s cannot be read by the page: %v", body, h)
		}
	}
	if h := in.do("POST", "/track", in.event("a")).Header(); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("an origin is allowed that nobody named: %v", h)
	}
}

func TestAnEventWithoutIDBelongsToItsSender(t *testing.T) {
	in := newIntake(t)
	in.do("POST", "/track?ip=1", `{"event":"Seen","properties":{"token":"`+in.ProjectToken+`"}}`)
	if got := in.stored(in.store.Sender("192.0.2.1")); got != 1 { // httptest's address
		t.Errorf("%d events were stored under the sender, want 1", got)
	}
}

func TestHealth(t *testing.T) {
	in := newIntake(t)
	for _, target := range []string{"/health", "/health/"} {
		if w := in.do("GET", target, ""); w.Code != http.StatusOK || w.Body.String() != `{"status":"ok"}` {
			t.Errorf("%s: got %d %s", target, w.Code, w.Body)
		}
	}
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	in := newIntake(t)
	clock := func() time.Time { return in.now }
	accounts := account.New(table.NewMemory(clock), clock)
	var err error
	if in.Credentials, err = accounts.Found(t.Context(), account.Founding{OwnerEmail: "pat@example.com"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind   kind.Kind
		status int
	}{{kind.Unavailable, 503}, {kind.Throttled, 429}, {kind.Corrupt, 500}} {
		store := events.New(deaf{table.NewMemory(clock), c.kind}, kind.Keyring{{Version: 1, Secret: []byte("k")}}, clock)
		in.Handler = api.NewIngestion(accounts, store, nil, clock, slog.New(slog.NewTextHandler(&in.log, nil)))
		for _, target := range []string{"/track", "/track?verbose=1", "/track?img=1"} {
			w := in.do("POST", target, in.event("a"))
			if w.Code != c.status || c.status != 500 && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s at %s: got %d %v, want %d", target, c.kind, w.Code, w.Header(), c.status)
			}
		}
		if w := in.do("GET", "/health", ""); w.Code != c.status {
			t.Errorf("/health at %s: got %d, want %d", c.kind, w.Code, c.status)
		}
	}
	if in.log.Len() == 0 || strings.Contains(in.log.String(), "ann") || strings.Contains(in.log.String(), in.ProjectToken) {
		t.Errorf("the log tells nothing, or too much: %s", in.log.String())
	}
}
