package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"

	"lethe/shared/kind"
)

// A notes collects what the access log tells of one request. A path or a query
// never goes there as it came: either may hold an identifier.
type notes struct {
	id      string // random; also answered as X-Request-Id
	pattern string
	task    string
	project string
}

func (n *notes) route(pattern, task string) {
	n.pattern = pattern
	if isTask(task) {
		n.task = task
	}
}

type notesKey struct{}

func note(r *http.Request) *notes {
	n, _ := r.Context().Value(notesKey{}).(*notes)
	if n == nil {
		return &notes{}
	}
	return n
}

// guard is around every request: an id, the headers that every answer has, the
// check of the Host header, the address of the sender, one line in the log, and
// an answer in place of a panic.
func (e *edge) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := e.Clock()
		n := &notes{id: requestID(), pattern: "none"}
		r = r.WithContext(context.WithValue(r.Context(), notesKey{}, n))
		r.RemoteAddr = sender(r, e.TrustedProxies)
		h := w.Header()
		h.Set("X-Request-Id", n.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer") // the project token stands in the address
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		counted := &counter{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				e.recovered(counted, r, p)
			}
			e.Log.LogAttrs(r.Context(), level(counted.status, n.pattern), "request",
				slog.String("request", n.id), slog.String("method", method(r)), slog.String("route", n.pattern),
				slog.Int("status", counted.status), slog.Int64("bytes", counted.bytes),
				slog.Duration("took", e.Clock().Sub(start)), slog.String("project", n.project), slog.String("task", n.task))
		}()
		if !answersTo(e.Hosts, r.Host) {
			e.fail(counted, r, kind.Say(kind.Invalid, "This server does not answer to the host name in the Host header."))
			return
		}
		next.ServeHTTP(counted, r)
	})
}

// recovered turns a panic into an answer and a line in the log. The line tells
// where it was; its value only if the Go runtime made it, since another's may
// hold an identifier.
func (e *edge) recovered(w *counter, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	what := fmt.Sprintf("%T", p)
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	e.Log.ErrorContext(r.Context(), "panic", "request", note(r).id, "what", what, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
	e.fail(w, r, kind.E(kind.Internal, "panic"))
}

// A counter notes what was answered.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) WriteHeader(status int) {
	if c.status == 0 && status >= http.StatusOK {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// level keeps single events, which may be many thousands a second, out of the
// usual log.
func level(status int, pattern string) slog.Level {
	if status < http.StatusInternalServerError && !strings.HasPrefix(pattern, "/api/") {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodPut, http.MethodPatch:
		return r.Method
	}
	return "other"
}

// answersTo compares a Host header with the names that are served.
func answersTo(hosts []string, host string) bool {
	if len(hosts) == 0 {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	for _, allowed := range hosts {
		if strings.EqualFold(allowed, host) || strings.EqualFold(allowed, name) {
			return true
		}
	}
	return false
}

// sender returns the RemoteAddr of who sent a request: the peer, or what the
// trusted proxies before it say, read from the nearest on.
func sender(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || len(trusted) == 0 {
		return r.RemoteAddr
	}
	from := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(trusted, from); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		from = hop.Unmap()
	}
	if from == peer.Addr().Unmap() {
		return r.RemoteAddr
	}
	return netip.AddrPortFrom(from, 0).String()
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// isTask reports whether s has the form of a task id, which makes it fit for the
// log; anything else in a path may be an identifier put in the wrong place.
func isTask(s string) bool {
	if len(s) != len("00000000-0000-4000-8000-000000000000") {
		return false
	}
	return strings.Trim(s, "0123456789abcdef-") == ""
}
