package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/kind"
)

// Ingestion answers in the forms that the description tells, whatever was sent
// and however it was asked for.
func TestIngestionIsDescribed(t *testing.T) {
	in := newIntake(t)
	parts := newWorld(t).parts
	seen := map[int]bool{}
	described := func(ingestion http.Handler) http.Handler {
		all := api.New(api.Parts{Ingestion: ingestion, Clock: parts.Clock, Log: parts.Log})
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			a := httptest.NewRecorder()
			all.ServeHTTP(a, r)
			seen[a.Code] = true
			if checkDescribed(t, r, a); t.Failed() {
				t.Fatalf("by %s %.200s", r.Method, r.URL)
			}
		})
	}
	stored := described(in.Handler)
	away := described(api.NewIngestion(noProjects{}, in.store, nil, parts.Clock, parts.Log))

	right := in.event("a")
	bodies := []string{"", right, "[" + right + `,{"event":7}]`, `{"event":7}`, strings.ReplaceAll(right, in.ProjectToken, "x"), "{"}
	for _, path := range []string{"/track", "/import", "/engage", "/groups"} {
		for _, query := range []string{"", "verbose=1", "img=1", "callback=f", "strict=1&verbose=1", "callback=" + url.QueryEscape("</script>")} {
			target := path + "?" + query
			for _, body := range bodies {
				form := "data=" + url.QueryEscape(body)
				for _, in.Handler = range []http.Handler{stored, away} {
					in.do("POST", target, body)
					in.do("POST", target, form)
					in.do("POST", target, body, "Authorization", basic(in.APISecret, ""))
					in.do("POST", target, body, "Authorization", basic(in.ServiceAccount, in.ServiceSecret))
					in.do("POST", target+"&project_id=1", body, "Authorization", basic(in.ServiceAccount, in.ServiceSecret))
					in.do("GET", target+"&"+form, "")
					in.do("GET", target+"&"+form, "", "Authorization", basic(in.APISecret, ""))
					in.do("DELETE", target, "")
				}
			}
			in.Handler = stored
			in.do("POST", target, "["+strings.Repeat(right+",", 2000)+right+"]", "Authorization", basic(in.APISecret, ""))
		}
	}
	in.Handler = stored
	in.do("GET", "/health", "")
	for _, code := range []int{200, 400, 401, 403, 405, 413, 503} {
		if !seen[code] {
			t.Errorf("no answer was %d; this test proves too little", code)
		}
	}
}

// noProjects is accounts that do not answer.
type noProjects struct{ api.Projects }

func (noProjects) Failed(_ context.Context, _ string, err error) error { return err }

func (noProjects) ByToken(context.Context, string) (account.Project, error) {
	return account.Project{}, kind.E(kind.Unavailable, "read")
}

func (noProjects) BySecret(context.Context, string) (account.Project, error) {
	return account.Project{}, kind.E(kind.Unavailable, "read")
}

func (noProjects) ServiceAccount(context.Context, string, string) (account.Actor, error) {
	return account.Actor{}, kind.E(kind.Unavailable, "read")
}
