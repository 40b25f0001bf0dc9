package functions_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const page = "https://shop.example"

// speakHTTP sends what only the way through the gateway could spoil. It stores
// events of dora's, which it returns by their names.
func (d *deployment) speakHTTP(t *testing.T) (stored []string) {
	t.Helper()
	event := func(name string) string {
		stored = append(stored, name)
		return fmt.Sprintf(`{"event":%q,"properties":{"token":%q,"distinct_id":"dora","$insert_id":"dora-%d","time":%d}}`,
			name, d.ProjectToken, len(stored), time.Now().Unix())
	}
	form := func(event string) string {
		return url.Values{"data": {base64.StdEncoding.EncodeToString([]byte(event))}}.Encode()
	}
	typed := func(contentType string, pairs ...string) http.Header {
		return headers(append(pairs, "Content-Type", contentType)...)
	}
	gdpr := headers("Authorization", "Bearer "+d.GDPRToken)
	cookies := http.Header{"Cookie": {"session=one; theme=dark", "third=" + d.GDPRToken}}
	const formed = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, method, target, body string
		header                     http.Header
		status                     int
		want                       map[string]string // of the answer's header
		holds                      string            // the beginning of the answer
	}{
		{
			"a compressed import", "POST", "/import?strict=1", compress(t, "["+event("compressed €")+"]"),
			headers("Authorization", basic(d.APISecret, ""), "Content-Encoding", "gzip"), 200,
			map[string]string{"Content-Type": "application/json"}, `{"code":200,"num_records_imported":1,`,
		},
		{
			"an import of JSON lines", "POST", "/import?strict=1", event("a line") + "\n" + event("another line") + "\n",
			typed("application/x-ndjson", "Authorization", basic(d.APISecret, "")), 200, nil, `{"code":200,"num_records_imported":2,`,
		},
		{
			"a form, as pages of mixpanel-browser send it", "POST", "/track/?verbose=1&ip=1&_=1", form(event("a form+&=% é")),
			typed(formed, "Origin", page, "Cookie", "session=one; theme=dark"), 200,
			map[string]string{"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true", "Vary": "Origin", "Set-Cookie": ""},
			`{"status":1,"error":null}`,
		},
		{"JSON without its type", "POST", "/track", event("no type"), http.Header{}, 200, nil, "1"},
		{"a query", "GET", "/track?" + form(event("a query + / é")), "", http.Header{}, 200, map[string]string{"Content-Type": "text/plain; charset=utf-8"}, "1"},
		{
			"a query of JSON", "GET", "/track/?ip=0&data=" + url.QueryEscape(event("a query of JSON, & more")), "", http.Header{}, 200, nil, "1",
		},
		{"a pixel", "GET", "/track?img=1&" + form(event("a pixel")), "", http.Header{}, 200, map[string]string{"Content-Type": "image/gif"}, "GIF89a\x01\x00\x01\x00\x80"},
		{
			"a preflight", "OPTIONS", "/track/?verbose=1", "",
			http.Header{"Origin": {page}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type", "x-own"}},
			204, map[string]string{
				"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "86400",
				"Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS", "Access-Control-Allow-Headers": "content-type,x-own",
			}, "",
		},
		{"a page may not call the API", "OPTIONS", retrievals, "", headers("Origin", page), 204, map[string]string{"Access-Control-Allow-Origin": "", "Allow": "POST, GET, HEAD, OPTIONS"}, ""},
		{"the store's health", "GET", "/health", "", http.Header{}, 200, nil, `{"status":"ok"}`},
		{"the description", "GET", "/openapi.json", "", http.Header{}, 200, map[string]string{"Content-Type": "application/json"}, "{\n  \"openapi\": \"3.1."},
		{"HEAD", "HEAD", "/openapi.json", "", http.Header{}, 200, map[string]string{"Content-Type": "application/json"}, ""},
		{"a path that is unknown", "GET", "/nowhere/%2e%2e/x?y=z", "", http.Header{}, 404, nil, `{`},
		{"a path of the API's that is unknown", "GET", "/api/nowhere", "", gdpr, 404, map[string]string{"Content-Type": "application/json"}, `{"status":"error",`},
		{"a method that is not taken", "PUT", "/track", "{}", headers(), 405, map[string]string{"Allow": "GET, HEAD, POST, OPTIONS"}, `{`},
		{"a token twice in the query", "GET", retrievals + "?token=" + d.ProjectToken + "&token=" + d.ProjectToken, "", gdpr, 400, nil, `{"status":"error","error":"The query parameter token is there more than once.`},
		{"an escaped token", "GET", retrievals + "?%74oken=%" + fmt.Sprintf("%02x", d.ProjectToken[0]) + d.ProjectToken[1:], "", gdpr, 200, nil, `{"status":"ok","results":[]`},
		{"cookies do not sign in", "GET", retrievals + "?token=" + d.ProjectToken, "", cookies, 401, map[string]string{"Www-Authenticate": `Bearer realm="GDPR API"`}, `{"status":"error",`},
	} {
		out := d.call(t, c.method, c.target, c.body, c.header)
		if out.status != c.status || !strings.HasPrefix(out.body, c.holds) || c.holds == "" && out.body != "" {
			t.Errorf("%s: got %d %q, want %d and %q", c.name, out.status, out.body[:min(len(out.body), 200)], c.status, c.holds)
		}
		for name, want := range c.want {
			if got := strings.Join(out.header.Values(name), "; "); got != want {
				t.Errorf("%s: the header %s is %q, want %q", c.name, name, got, want)
			}
		}
	}
	return stored
}

func compress(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// largest makes a request of the most identifiers of the most bytes as JSON, and
// takes it back: it and the answer that repeats them pass through Lambda.
func (d *deployment) largest(t *testing.T) {
	t.Helper()
	ids := make([]string, 2000)
	for i := range ids {
		ids[i] = fmt.Sprintf("%04d", i) + strings.Repeat("\u2028", 250) + "."
	}
	body, err := json.Marshal(map[string]any{"distinct_ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	task := d.submit(t, deletions, string(body))
	out := d.api(t, http.MethodGet, deletions+task+"/", "")
	if out.status != http.StatusOK || strings.Count(out.body, "\\u2028") != 2000*250 {
		t.Errorf("the status of the largest request: %d, %d bytes", out.status, len(out.body))
	}
	if out := d.api(t, http.MethodDelete, deletions+task, ""); out.status != http.StatusNoContent {
		t.Errorf("cancel: %d %s", out.status, out.body)
	}
}
