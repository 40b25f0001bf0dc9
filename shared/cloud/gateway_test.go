package cloud_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"lethe/shared/cloud"
)

// httpEvent is an event as API Gateway sends it; the documented example, cut to what
// Lethe's routes see.
const httpEvent = `{
  "version": "2.0", "routeKey": "$default",
  "rawPath": "/api/app/data-retrievals/v3.0/", "rawQueryString": "token=a%2Bb&page=1&page=2",
  "cookies": ["session=one", "theme=dark"],
  "headers": {"host": "abc.execute-api.eu-central-1.amazonaws.com", "content-type": "application/json",
    "x-forwarded-for": "203.0.113.7,198.51.100.4", "authorization": "Bearer t"},
  "requestContext": {"domainName": "abc.execute-api.eu-central-1.amazonaws.com", "stage": "$default",
    "http": {"method": "POST", "path": "/api/app/data-retrievals/v3.0/", "protocol": "HTTP/1.1", "sourceIp": "198.51.100.4"}},
  "body": "{\"distinct_ids\":[\"é\"]}", "isBase64Encoded": false
}`

func serve(t *testing.T, h http.HandlerFunc, in events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	t.Helper()
	out, err := cloud.HTTP(h)(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parseEvent(t *testing.T, text string) events.APIGatewayV2HTTPRequest {
	t.Helper()
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	return in
}

func TestHandlerSeesTheRequestAsAServerShowsIt(t *testing.T) {
	serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		session, err := r.Cookie("theme")
		if err != nil || session.Value != "dark" {
			t.Errorf("cookie theme: %v, %v", session, err)
		}
		for _, c := range []struct{ what, got, want string }{
			{"method", r.Method, "POST"},
			{"path", r.URL.Path, "/api/app/data-retrievals/v3.0/"},
			{"query", strings.Join(r.URL.Query()["page"], "+"), "1+2"},
			{"token", r.URL.Query().Get("token"), "a+b"},
			{"request target", r.RequestURI, "/api/app/data-retrievals/v3.0/?token=a%2Bb&page=1&page=2"},
			{"host", r.Host, "abc.execute-api.eu-central-1.amazonaws.com"},
			{"host header", r.Header.Get("Host"), ""},
			{"authorization", r.Header.Get("Authorization"), "Bearer t"},
			{"forwarded", r.Header.Get("X-Forwarded-For"), "203.0.113.7,198.51.100.4"},
			{"peer", r.RemoteAddr, "198.51.100.4:0"},
			{"body", string(body), `{"distinct_ids":["é"]}`},
		} {
			if c.got != c.want {
				t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
			}
		}
		if r.TLS == nil {
			t.Error("the connection does not count as encrypted")
		}
		if r.ContentLength != int64(len(body)) {
			t.Errorf("content length: got %d, want %d", r.ContentLength, len(body))
		}
	}, parseEvent(t, httpEvent))
}

func TestPaths(t *testing.T) {
	for _, c := range []struct{ raw, path, escaped string }{
		{"/track/", "/track/", "/track/"},
		{"/a%2Fb", "/a/b", "/a%2Fb"},
		{"/a b", "/a b", "/a%20b"},
		{"/100%", "/100%", "/100%25"},
		{"/%C3%A9", "/é", "/%C3%A9"},
	} {
		in := parseEvent(t, httpEvent)
		in.RawPath = c.raw
		serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path != c.path || r.URL.EscapedPath() != c.escaped {
				t.Errorf("%s: got path %q and %q, want %q and %q", c.raw, r.URL.Path, r.URL.EscapedPath(), c.path, c.escaped)
			}
		}, in)
	}
}

func TestBinaryBodiesPassBothWays(t *testing.T) {
	gzip := []byte{0x1f, 0x8b, 0xff, 0, '\n'}
	in := parseEvent(t, httpEvent)
	in.Body, in.IsBase64Encoded = base64.StdEncoding.EncodeToString(gzip), true
	out := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/gif")
		_, _ = io.Copy(w, r.Body)
	}, in)
	got, err := base64.StdEncoding.DecodeString(out.Body)
	if err != nil || !out.IsBase64Encoded || string(got) != string(gzip) {
		t.Errorf("got %q (base64 %v), want the same bytes back", out.Body, out.IsBase64Encoded)
	}
	in.Body = "no base64!"
	if out := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("served") }, in); out.StatusCode != http.StatusBadRequest {
		t.Errorf("a body that is not base64: got %d, want 400", out.StatusCode)
	}
}

func TestAnswers(t *testing.T) {
	out := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		w.Header().Add("Vary", "Origin")
		w.Header().Add("Vary", "Accept")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		w.Header().Set("Too", "late")
		_, _ = io.WriteString(w, `{"ok":"é"}`)
		w.WriteHeader(http.StatusTeapot)
	}, parseEvent(t, httpEvent))
	if out.StatusCode != http.StatusCreated || out.Body != `{"ok":"é"}` || out.IsBase64Encoded {
		t.Errorf("got %d %q, want the text as it is with 201", out.StatusCode, out.Body)
	}
	if got, want := strings.Join(out.Cookies, "; "), "a=1; b=2"; got != want {
		t.Errorf("cookies: got %q, want %q", got, want)
	}
	if got, want := out.Headers["Vary"], "Origin, Accept"; got != want {
		t.Errorf("vary: got %q, want %q", got, want)
	}
	if _, late := out.Headers["Too"]; late {
		t.Error("a header set after the status was sent")
	}
	silent := serve(t, func(http.ResponseWriter, *http.Request) {}, parseEvent(t, httpEvent))
	if silent.StatusCode != http.StatusOK || silent.Body != "" {
		t.Errorf("a handler that writes nothing: got %d %q, want an empty 200", silent.StatusCode, silent.Body)
	}
	head := parseEvent(t, httpEvent)
	head.RequestContext.HTTP.Method = http.MethodHead
	if out := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "body") }, head); out.Body != "" {
		t.Errorf("HEAD: got the body %q, want none", out.Body)
	}
}

func TestAnswersThatLambdaWouldRefuse(t *testing.T) {
	for _, c := range []struct {
		name string
		body string
		want int
	}{
		{"text within the limit", strings.Repeat("x", 5<<20), 200},
		{"text beyond", strings.Repeat("x", 6<<20), 413},
		{"text that JSON makes longer", strings.Repeat("\x01", 2<<20), 413},
		{"bytes that base64 makes longer", strings.Repeat("\xff", 5<<20), 413},
	} {
		out := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) }, parseEvent(t, httpEvent))
		if out.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", c.name, out.StatusCode, c.want)
		}
		if text, err := json.Marshal(out); err != nil || len(text) > 6<<20 {
			t.Errorf("%s: the answer has %d bytes, %v", c.name, len(text), err)
		}
	}
}

func TestAPanicFailsTheInvocationWithoutItsText(t *testing.T) {
	_, err := cloud.HTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(secret) }))(t.Context(), parseEvent(t, httpEvent))
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v, want an error without what the panic said", err)
	}
}

func FuzzHTTP(f *testing.F) {
	f.Add([]byte(httpEvent))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"rawPath":"%zz","requestContext":{"http":{"method":"a b"}},"isBase64Encoded":true,"body":"====","cookies":["\r\n"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var in events.APIGatewayV2HTTPRequest
		if json.Unmarshal(text, &in) != nil {
			return
		}
		out, err := cloud.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
			_ = r.URL.Query()
			_ = r.Cookies()
		}))(t.Context(), in)
		if err != nil || out.StatusCode != http.StatusOK && out.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d, %v", out.StatusCode, err)
		}
	})
}
