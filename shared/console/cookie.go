package console

import (
	"net/http"
	"strings"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// What a cookie is for, which is sealed with it.
const (
	sessionCookie  = "lethe"
	providerCookie = "lethe-oidc" // a sign-in by the provider that is under way
)

// cookie is a signed cookie of this host alone: the value, which has no dot, and its
// seal. It is sent over HTTPS only wherever people reach the server by that, and then
// its name says so, so that no other host can set it.
//
// Lax, not Strict: who comes from a link in a mail, or back from the provider, comes
// from another site and still has to be known. Lax sends it with links, never with
// forms of another site.
func (v *visit) cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: v.cookieName(name), Value: value + "." + v.Keys.Seal(name, []byte(value)), Path: "/", MaxAge: int(life / time.Second),
		Secure: v.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func (v *visit) secure() bool { return strings.HasPrefix(v.base(), "https://") }

func (v *visit) cookieName(name string) string {
	if v.secure() {
		return "__Host-" + name
	}
	return name
}

// sealed reads the value of a cookie that this server set.
func (v *visit) sealed(name string) (value string, ok bool) {
	c, err := v.r.Cookie(v.cookieName(name))
	if err != nil {
		return "", false
	}
	value, seal, _ := strings.Cut(c.Value, ".")
	return value, v.Keys.Sealed(name, []byte(value), seal)
}

// forget has the browser drop a cookie.
func (v *visit) forget(name string) {
	c := v.cookie(name, "", 0)
	c.Value, c.MaxAge = "", -1
	http.SetCookie(v.w, c)
}

// begin hands the secret of a new session to the browser.
func (v *visit) begin(secret string) {
	http.SetCookie(v.w, v.cookie(sessionCookie, secret, account.SessionLife))
}

// know finds out whose session the browser has; kind.Unauthorized without one.
func (v *visit) know() error {
	secret, ok := v.sealed(sessionCookie)
	if !ok {
		return kind.Say(kind.Unauthorized, "Sign in first.")
	}
	actor, err := v.Accounts.Session(v.r.Context(), secret)
	v.actor, v.session = actor, secret
	return err
}

// by is who visits, for the audit trail.
func (v *visit) by() dsr.By { return dsr.By{Actor: v.actor.Name, From: v.from()} }

// signedIn is a page for who has signed in. Anybody else is sent to do so, and comes
// back to it afterwards; of a form, what was typed is kept meanwhile.
func signedIn(p page) page {
	return func(v *visit) error {
		err := v.know()
		if kind.Of(err) == kind.Unauthorized && v.r.Method != http.MethodPost {
			return v.redirect(with(signInPath, local(v.r.URL.RequestURI())))
		}
		if kind.Of(err) == kind.Unauthorized {
			return v.again(err)
		}
		if err != nil {
			return err
		}
		return p(v)
	}
}
