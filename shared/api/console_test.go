package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"lethe/shared/api"
)

// What is no route goes to the console, but below /api/, where programs want JSON; and
// it goes there with the checks of all routes.
func TestTheConsoleServesTheRest(t *testing.T) {
	w := newWorld(t)
	w.parts.Hosts = []string{"example.com"}
	w.parts.Console = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	})
	w.handler = api.New(w.parts)
	for _, c := range []struct {
		method, path, text string
		status             int
	}{
		{"GET", "/", "GET /", 200},
		{"POST", "/sign-in/", "POST /sign-in/", 200},
		{"GET", "/api", "GET /api", 200},
		{"GET", "/api/", "", 404},
		{"GET", "/api/nowhere", "", 404},
		{"GET", retrievals, "", 401},
		{"PUT", "/openapi.json", "", 405},
	} {
		a := httptest.NewRecorder()
		w.handler.ServeHTTP(a, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		if a.Code != c.status || c.text != "" && a.Body.String() != c.text || a.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, a.Code, a.Body, c.status, c.text)
		}
	}
	w.parts.Hosts = []string{"lethe.example"}
	w.handler = api.New(w.parts)
	if a := w.do("GET", "/", ""); a.Code != 400 {
		t.Errorf("a foreign Host header: %d %s", a.Code, a.Body)
	}
}
