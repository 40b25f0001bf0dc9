// Package api is the HTTP edge for programs: the GDPR API as Mixpanel publishes
// it, Lethe's own routes beside it, and the ingestion routes. New makes the
// handler; the table in route.go is all it serves, and openapi.json describes
// it. Who may do what is decided here, once, so that every home shares it.
package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
)

// Parts is what New builds from.
type Parts struct {
	// Accounts and Service serve the GDPR API. Without Service only ingestion is
	// served, and without Ingestion only the GDPR API.
	Accounts  *account.Accounts
	Service   *dsr.Service
	Ingestion http.Handler
	// Console serves what is no route of these, outside /api/; nil for none.
	Console http.Handler

	Clock func() time.Time
	Log   *slog.Logger

	// Hosts are the values of the Host header that are answered, with or without a
	// port; one without a port goes with any. Empty is no check.
	Hosts []string
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is believed.
	// The address found, a proxy's or the sender's own, is the RemoteAddr that all
	// handlers see.
	TrustedProxies []netip.Prefix

	// Local means that whoever can reach the handler administers the deployment, as
	// account.Local, and proves nothing: the socket in a data directory.
	Local bool
	// SignInURL makes the address of the page for what a sign-in link holds; nil where
	// nobody knows what the server is reached at.
	SignInURL func(link string) string
}

// requestTime bounds one request, from its headers on: the arrival of its body
// and the work. The AWS edge gives up after 30 seconds. Ingestion, whose bodies
// come from telephones, has its own.
const requestTime = 25 * time.Second

// New returns the handler of all routes. It never redirects but to a download,
// answers every path with and without a slash at the end alike, and tells every
// error as {"status":"error","error":"a sentence that says what to change"}.
func New(p Parts) http.Handler {
	e := &edge{Parts: p}
	e.routes = e.table()
	return e.guard(http.HandlerFunc(e.dispatch))
}

type edge struct {
	Parts
	routes []route
}
