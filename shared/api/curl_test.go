package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The commands as Mixpanel publishes them, and what curl sends for them: no
// Content-Type that would name JSON, and the body in one piece or in chunks.
func TestPublishedCommands(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.handler)
	defer server.Close()
	raw := func(text string) (int, string) {
		t.Helper()
		w.advance(time.Minute)
		conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		text = strings.NewReplacer("TOKEN", w.ProjectToken, "OAUTH", w.GDPRToken, "\n", "\r\n").Replace(text)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(got)
	}
	const body = `{"distinct_ids": ["1"], "compliance_type": "GDPR"}`
	for _, c := range []struct {
		name, text string
		code       int
	}{
		{"create, as a form", "POST /api/app/data-retrievals/v3.0/?token=TOKEN HTTP/1.1\nHost: x\nUser-Agent: curl/8.5.0\nAccept: */*\nAuthorization: Bearer OAUTH\nContent-Length: 50\nContent-Type: application/x-www-form-urlencoded\n\n" + body, 201},
		{"create, without a type", "POST /api/app/data-deletions/v3.0/?token=TOKEN HTTP/1.1\nHost: x\nAuthorization: Bearer OAUTH\nContent-Length: 50\n\n" + body, 201},
		{"create, in chunks", "POST /api/app/data-deletions/v3.0?token=TOKEN HTTP/1.1\nHost: x\nAuthorization: Bearer OAUTH\nTransfer-Encoding: chunked\n\n32\n" + body + "\n0\n\n", 201},
		{"create, HTTP/1.0", "POST /api/app/data-deletions/v3.0/?token=TOKEN HTTP/1.0\nAuthorization: Bearer OAUTH\nContent-Length: 50\n\n" + body, 201},
		{"create, body announced first", "POST /api/app/data-deletions/v3.0/?token=TOKEN HTTP/1.1\nHost: x\nAuthorization: Bearer nobody\nExpect: 100-continue\nContent-Length: 50\n\n", 401},
		{"probe with an empty body", "POST /api/app/data-deletions/v3.0/?token=TOKEN HTTP/1.1\nHost: x\nAuthorization: Bearer OAUTH\nContent-Length: 0\n\n", 400},
		{"body that never ends", "POST /api/app/data-deletions/v3.0/?token=TOKEN HTTP/1.1\nHost: x\nAuthorization: Bearer OAUTH\nContent-Length: 9000000\n\n{", 413},
		{"status", "GET /api/app/data-retrievals/v3.0/x/?token=TOKEN HTTP/1.1\nHost: x\nAuthorization: Bearer OAUTH\n\n", 200},
	} {
		if code, got := raw(c.text); code != c.code {
			t.Errorf("%s: got %d %s, want %d", c.name, code, got, c.code)
		}
	}
}
