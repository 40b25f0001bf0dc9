package api

import (
	"net/http"
	"net/url"
	"strings"

	"lethe/shared/account"
	"lethe/shared/kind"
)

// admit lets a call through to a route: who is it, which project is it about, and
// may the one handle the other. It reads nothing of the body.
func (e *edge) admit(c *call, to *route) error {
	if to.open {
		return nil
	}
	var err error
	if e.Local {
		c.actor = account.Local
	} else if c.actor, err = e.authenticate(c.r, to); err != nil {
		if c.r.Header.Get("Authorization") == "" {
			return err // nothing was tried
		}
		return e.Accounts.Failed(c.r.Context(), account.AddressOf(c.r.RemoteAddr), err)
	}
	if to.people && c.actor.By == account.ByToken {
		return kind.Say(kind.Forbidden, "A GDPR token is good for requests, opt-outs and their settings alone. Sign in, or use a service account.")
	}
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return kind.Say(kind.Invalid, "The query is not well formed. Escape its values.")
	}
	if to.about == forNone {
		return nil
	}
	if c.project, err = e.projectOf(c); err != nil {
		return err
	}
	note(c.r).project = c.project.ID
	may := to.may
	if may == "" {
		may = "see or submit its requests"
	}
	return e.Accounts.MayHandle(c.r.Context(), c.actor, c.project, may)
}

func (e *edge) authenticate(r *http.Request, to *route) (account.Actor, error) {
	bearer := "a GDPR token"
	if to.people {
		bearer = "a session"
	}
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return account.Actor{}, kind.Say(kind.Unauthorized, "Send one Authorization header: Bearer and "+bearer+", or Basic with a service account.")
	}
	scheme, rest, _ := strings.Cut(headers[0], " ")
	if strings.EqualFold(scheme, "Bearer") {
		secret := strings.TrimSpace(rest)
		if strings.HasPrefix(secret, account.SessionPrefix) {
			return e.Accounts.Session(r.Context(), secret)
		}
		return e.Accounts.Bearer(r.Context(), secret)
	}
	if name, secret, ok := r.BasicAuth(); ok {
		return e.Accounts.ServiceAccount(r.Context(), name, secret)
	}
	return account.Actor{}, kind.Say(kind.Unauthorized, "The Authorization header must be Bearer and "+bearer+", or Basic with the name and the secret of a service account.")
}

func (e *edge) projectOf(c *call) (account.Project, error) {
	tokens := c.query["token"]
	if len(tokens) == 0 || tokens[0] == "" {
		return account.Project{}, kind.Say(kind.Invalid, "The query parameter token is missing. Give the project token there.")
	}
	if len(tokens) > 1 {
		return account.Project{}, kind.Say(kind.Invalid, "The query parameter token is there more than once. Give one project token.")
	}
	p, err := e.Accounts.ByToken(c.r.Context(), tokens[0])
	if kind.Of(err) == kind.NotFound {
		return account.Project{}, kind.Say(kind.Forbidden, "The project token in the query is not known. Check that it was copied whole.")
	}
	return p, err
}
