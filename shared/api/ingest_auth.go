package api

import (
	"net/http"

	"lethe/shared/account"
	"lethe/shared/kind"
)

// importer tells into which project a request to /import goes, from its header
// and query: that of an API secret or a project token as the user of Basic or as
// api_key, or the one named by project_id for a service account. It returns
// kind.NotFound where neither says anything.
func (in *ingestion) importer(r *http.Request) (account.Project, error) {
	p, err := in.proved(r)
	return p, in.projects.Failed(r.Context(), account.AddressOf(r.RemoteAddr), err)
}

func (in *ingestion) proved(r *http.Request) (account.Project, error) {
	query := r.URL.Query()
	name, secret, ok := r.BasicAuth()
	switch {
	case ok && secret != "":
		actor, err := in.projects.ServiceAccount(r.Context(), name, secret)
		if err != nil {
			return account.Project{}, err
		}
		id := query.Get("project_id")
		if id == "" {
			return account.Project{}, kind.Say(kind.Invalid, "A service account has to name the project: ?project_id=…")
		}
		return in.projects.MayImport(r.Context(), actor, id)
	case ok:
		return in.byKey(r, name)
	case r.Header.Get("Authorization") != "":
		return account.Project{}, invalidCredentials()
	case query.Has("api_key"):
		return in.byKey(r, query.Get("api_key"))
	}
	return account.Project{}, kind.E(kind.NotFound, "find the importer")
}

// byKey finds the project of an API secret or a project token.
func (in *ingestion) byKey(r *http.Request, key string) (account.Project, error) {
	if key == "" {
		return account.Project{}, invalidCredentials()
	}
	p, err := in.projects.BySecret(r.Context(), key)
	if kind.Of(err) == kind.NotFound {
		p, err = in.projects.ByToken(r.Context(), key)
	}
	if kind.Of(err) == kind.NotFound {
		return account.Project{}, invalidCredentials()
	}
	return p, err
}

func invalidCredentials() error {
	return kind.Say(kind.Unauthorized, "Invalid credentials. Authenticate by Basic with the API secret, or with a service account and ?project_id=….")
}
