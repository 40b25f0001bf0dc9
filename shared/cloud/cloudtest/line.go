package cloudtest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// A Line is the way to an engine, an HTTP proxy that can break.
type Line struct {
	Address string

	mu     sync.Mutex
	broken func(*http.Request) bool
	fault  Fault
	left   int
}

// A Fault is what becomes of a request whose connection ends without an answer.
type Fault string

const (
	NotApplied Fault = "failed, not applied" // it never reaches the engine
	Applied    Fault = "failed, but applied" // the engine has done it
)

// Faults are both, for tests in pairs.
var Faults = []Fault{NotApplied, Applied}

// NewLine opens a line to the engine at that address until the test ends.
func NewLine(t testing.TB, engine string) *Line {
	t.Helper()
	target, err := url.Parse(engine)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		Transport: &http.Transport{DisableCompression: true},
	}
	l := &Line{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch l.next(r) {
		case NotApplied:
			panic(http.ErrAbortHandler) // ends the connection
		case Applied:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	l.Address = server.URL
	return l
}

// Break makes the next so many requests of a sort fail.
func (l *Line) Break(f Fault, times int, which func(*http.Request) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.left, l.broken = f, times, which
}

// Mend ends what Break began, and returns how many requests did not fail that
// were to.
func (l *Line) Mend() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.left
	l.left = 0
	return left
}

func (l *Line) next(r *http.Request) Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 || !l.broken(r) {
		return ""
	}
	l.left--
	return l.fault
}
