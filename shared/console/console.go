// Package console is the HTTP edge for people: pages that the server renders, which
// work without scripts. New makes the handler; its table of routes is all that it
// serves. A page is a function from a visit to markup (markup.go has the layout), and
// whoever has signed in is known by a cookie (cookie.go).
//
// It relies on what shared/api puts around every request: the check of the Host
// header, the address of the sender, the log and the answer to a panic.
package console

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// Parts is what New builds from.
type Parts struct {
	Accounts *account.Accounts
	Service  *dsr.Service
	// Mails means that sign-in links are mailed, by whatever process of the deployment
	// delivers mail. Without it nobody is mailed, and the page for signing in names
	// LinkCommand, the command that prints a link.
	Mails       bool
	LinkCommand string

	// PublicURL is the address that people reach the server at, without a path. Empty
	// means https and the Host header of the request: only for behind something that
	// answers to no foreign one.
	PublicURL string
	// OIDC is who else signs people in, or nil.
	OIDC *Provider
	// Keys sign cookies, under the last; they are not the suppression keys.
	Keys kind.Keyring

	Clock dsr.Clock
	Log   *slog.Logger
}

const (
	homePath     = "/"
	signInPath   = dsr.SignInPath
	linkPath     = "/sign-in/link"
	providerPath = "/sign-in/provider"
	// CallbackPath is where a provider sends people back to: its client has to be given
	// the address that ends in it.
	CallbackPath = "/sign-in/oidc"
	signOutPath  = "/sign-out"
)

// New returns the handler of all pages. It panics without Keys, and where PublicURL is
// no address.
func New(p Parts) http.Handler {
	if len(p.Keys) == 0 {
		panic("console: there is no key to sign cookies with")
	}
	c := &console{Parts: p, forms: http.NewCrossOriginProtection()}
	if p.PublicURL != "" {
		// A proxy may put another name into the Host header, which the Origin header is
		// compared with.
		if err := c.forms.AddTrustedOrigin(strings.TrimSuffix(p.PublicURL, "/")); err != nil {
			panic("console: PublicURL is no address: " + err.Error())
		}
	}
	mux := http.NewServeMux()
	for _, routes := range []map[string]page{signInRoutes, requestRoutes, memberRoutes} {
		for pattern, page := range routes {
			mux.HandleFunc(pattern, c.serve(page))
		}
	}
	return mux
}

// signInRoutes are the pages that anybody may open, and what all pages need.
var signInRoutes = map[string]page{
	"GET " + signInPath:   signIn,
	"POST " + signInPath:  askForLink,
	"POST " + linkPath:    useLink,
	"GET " + providerPath: toProvider,
	"GET " + CallbackPath: fromProvider,
	"POST " + signOutPath: signOut,
	"GET " + style.path:   style.serve,
	"GET " + script.path:  script.serve,
	"/":                   unknown,
}

type console struct {
	Parts
	forms *http.CrossOriginProtection
}

// A page answers one visit, or returns an error for fail to show.
type page func(*visit) error

// A visit is one request for a page.
type visit struct {
	*console
	w http.ResponseWriter
	r *http.Request
	// body is what was sent, without a limit; see filled.
	body io.ReadCloser
	// Of a page for who has signed in.
	actor   account.Actor
	session string
	// typed is the form that it brought, if that was not taken.
	typed typed
}

// mostForm is the bytes of a form.
const mostForm = 1 << 20

func (c *console) serve(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		// Not "no-referrer", with which browsers send "Origin: null" with a form.
		h.Set("Referrer-Policy", "same-origin")
		v := &visit{console: c, w: w, r: r, body: r.Body}
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		err := v.read()
		if err == nil {
			err = p(v)
		}
		if err != nil {
			v.fail(err)
		}
	}
}

// policy lets a page load its style and its script from this server and nothing else
// from anywhere, and lets nobody frame it.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// read refuses a form that another site sent, or that is none.
func (v *visit) read() error {
	if v.forms.Check(v.r) != nil {
		return kind.Say(kind.Forbidden, "This form was not sent from a page of this server. Open the page here, and send it again.")
	}
	err := v.r.ParseForm()
	if tooLarge(err) {
		return kind.Say(kind.TooLarge, "What was sent is too large: a form may have a megabyte.")
	}
	if err != nil {
		return kind.Say(kind.Invalid, "The address or the form is not well formed.")
	}
	return nil
}

// from is the network address of who visits.
func (v *visit) from() string { return account.AddressOf(v.r.RemoteAddr) }

// base is the address that the server is reached at.
func (v *visit) base() string {
	if v.PublicURL == "" {
		return "https://" + v.r.Host
	}
	return strings.TrimSuffix(v.PublicURL, "/")
}

// redirect sends the browser on, to be asked for by GET.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// going is where somebody was going when they had to sign in, as the query or the form
// tells: a path of this server, or its first page.
func (v *visit) going() string { return local(v.r.FormValue("to")) }

// mostPath is the bytes of a path that somebody is sent on to: it goes into a cookie,
// which browsers drop above 4 KB.
const mostPath = 512

// local returns to if it is a path of this server, in whatever way a browser reads it,
// and else the path of the first page.
func local(to string) string {
	u, err := url.Parse(to)
	strange := func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }
	if err != nil || len(to) > mostPath || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsFunc(to, strange) {
		return homePath
	}
	return to
}

// with is path with where somebody is going, unless that is the first page.
func with(path, to string) string {
	if to == homePath {
		return path
	}
	return path + "?to=" + url.QueryEscape(to)
}

// unknown is every page that is not there. Who has signed in finds the ways from it.
func unknown(v *visit) error {
	_ = v.know() // without a session the page is the same for everybody
	return kind.Say(kind.NotFound, "There is no page at this address.")
}
