package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// A route is one line of what is served. A pattern holds at most one name in
// braces, which stands for one part of the path.
type route struct {
	method, pattern string
	serve           func(*call) error
	// open routes ask for no authentication.
	open bool
	// people routes take no GDPR token, which is good for requests alone.
	people bool
	// may is what of a project the route lets owners and admins do, for the sentence that
	// tells anybody else; without it, see or submit its requests.
	may string
	// about says what a call has to name, and the caller to have a role in.
	about about
}

// about is what a route is about.
type about int

const (
	forProject about = iota // a project that the query names, of which the caller is an owner or admin
	forNone                 // the caller, or the organisation: the route looks at roles itself
)

// A call is one request on its way through a route.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	task    string // what the name in braces stood for
	unknown bool   // it names no request of the project
	query   url.Values
	actor   account.Actor
	project account.Project
}

func (c *call) by() dsr.By {
	by := dsr.By{Actor: c.actor.Name}
	if c.actor != account.Local {
		by.From = account.AddressOf(c.r.RemoteAddr)
	}
	return by
}

// anyMethod marks routes whose handler looks at the method itself.
const anyMethod = "*"

const (
	retrievals = "/api/app/data-retrievals/v3.0"
	deletions  = "/api/app/data-deletions/v3.0"
	requests   = "/api/app/requests"
	settings   = "/api/app/settings"
	optOuts    = "/api/app/opt-outs"
	intake     = "/api/app/ingestion"
)

func (e *edge) table() []route {
	routes := []route{
		{method: http.MethodGet, pattern: "/openapi.json", serve: e.describe, open: true},
	}
	if e.Service != nil {
		routes = append(routes,
			route{method: http.MethodPost, pattern: retrievals, serve: e.create(dsr.Export)},
			route{method: http.MethodGet, pattern: retrievals, serve: e.list(dsr.Export)},
			route{method: http.MethodGet, pattern: retrievals + "/{tracking_id}", serve: e.retrieval},
			route{method: http.MethodGet, pattern: retrievals + "/{tracking_id}/download", serve: e.download},
			route{method: http.MethodPost, pattern: deletions, serve: e.create(dsr.Deletion)},
			route{method: http.MethodGet, pattern: deletions, serve: e.list(dsr.Deletion)},
			route{method: http.MethodDelete, pattern: deletions, serve: e.cancelSet},
			route{method: http.MethodGet, pattern: deletions + "/{tracking_id}", serve: e.deletion},
			route{method: http.MethodDelete, pattern: deletions + "/{tracking_id}", serve: e.cancel},
			route{method: http.MethodGet, pattern: requests, serve: e.pages(e.listOnly)},
			route{method: http.MethodPost, pattern: requests + "/rerun", serve: e.rerunAll},
			route{method: http.MethodGet, pattern: requests + "/{task_id}", serve: e.detail},
			route{method: http.MethodGet, pattern: requests + "/{task_id}/certificate", serve: e.certificate},
			route{method: http.MethodGet, pattern: requests + "/{task_id}/download", serve: e.download},
			route{method: http.MethodPost, pattern: requests + "/{task_id}/rerun", serve: e.change(e.Service.Rerun)},
			route{method: http.MethodPost, pattern: requests + "/{task_id}/cancel", serve: e.change(e.Service.GiveUp)},
			route{method: http.MethodPost, pattern: requests + "/{task_id}/confirm", serve: e.change(e.Service.Confirm)},
			route{method: http.MethodPost, pattern: requests + "/{task_id}/extension", serve: e.extend},
			route{method: http.MethodGet, pattern: settings, serve: e.settings, may: "see or change its settings"},
			route{method: http.MethodPatch, pattern: settings, serve: e.settle, may: "see or change its settings"},
			route{method: http.MethodGet, pattern: optOuts, serve: e.optOuts, may: "see or change its opt-outs"},
			route{method: http.MethodPost, pattern: optOuts, serve: e.changeOptOuts(e.Service.OptOut), may: "see or change its opt-outs"},
			route{method: http.MethodDelete, pattern: optOuts, serve: e.changeOptOuts(e.Service.OptIn), may: "see or change its opt-outs"},
			route{method: http.MethodPost, pattern: optOuts + "/test", serve: e.testOptOuts, may: "see or change its opt-outs"},
			route{method: http.MethodGet, pattern: intake, serve: e.ingested, may: "see what came in for it"},
		)
	}
	if e.Service != nil {
		routes = append(routes, e.accountRoutes()...)
	}
	if e.Ingestion != nil {
		for _, pattern := range []string{"/track", "/import", "/engage", "/groups", "/health"} {
			routes = append(routes, route{method: anyMethod, pattern: pattern, serve: e.ingest, open: true})
		}
	}
	return routes
}

// dispatch finds the route of a request and runs it. http.ServeMux is not used
// because it redirects paths that it would clean, and a client that follows a
// redirect turns a POST into a GET.
func (e *edge) dispatch(w http.ResponseWriter, r *http.Request) {
	found, task, methods := e.match(r)
	if found == nil || found.method != anyMethod {
		// Also where the body is not looked at: the server reads what is left of it
		// before the next request. In a Lambda there is no deadline to set, and the
		// body is there already.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime))
	}
	if len(methods) == 0 && e.Console != nil && !strings.HasPrefix(r.URL.Path, "/api/") {
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		note(r).route("console", "")
		e.Console.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	if len(methods) == 0 {
		e.fail(w, r, kind.Say(kind.NotFound, "There is nothing at this path. See /openapi.json for what there is."))
		return
	}
	if found == nil {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		e.fail(w, r, kind.Say(kind.NotAllowed, "This path does not take the method. It takes "+strings.Join(methods, ", ")+"."))
		return
	}
	note(r).route(found.pattern, "")
	if found.method != anyMethod {
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		r = r.WithContext(ctx)
	}
	c := &call{w: w, r: r, task: task}
	err := e.admit(c, found)
	if err == nil {
		err = found.serve(c)
		// A path can hold anything, an identifier too: only what names a request is
		// fit for the log.
		if k := kind.Of(err); !c.unknown && (k == "" || k == kind.NotAllowed || k == kind.Gone || k == kind.Conflict) && task != "" {
			note(r).route(found.pattern, task)
		}
	}
	if err != nil {
		if kind.Of(err) == kind.NotAllowed {
			// The method would do in another state of the request; these do in any.
			w.Header().Set("Allow", strings.Join(otherThan(methods, r.Method), ", "))
		}
		e.fail(w, r, err)
	}
}

// match returns the route of a request and what stood for the name in its
// pattern, and the methods that the path takes, none for a path that is unknown.
func (e *edge) match(r *http.Request) (found *route, task string, methods []string) {
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // the server leaves the body out
	}
	for i := range e.routes {
		value, ok := fits(e.routes[i].pattern, path)
		if !ok {
			continue
		}
		switch m := e.routes[i].method; m {
		case anyMethod:
			return &e.routes[i], "", []string{anyMethod}
		case http.MethodGet:
			methods = append(methods, http.MethodGet, http.MethodHead)
		default:
			methods = append(methods, m)
		}
		if e.routes[i].method == method {
			found, task = &e.routes[i], value
		}
	}
	if len(methods) > 0 {
		methods = append(methods, http.MethodOptions)
	}
	return found, task, methods
}

// fits compares an escaped path, without a slash at the end, with a pattern.
func fits(pattern, path string) (value string, ok bool) {
	for pattern != "" && path != "" {
		var want, got string
		want, pattern = part(pattern)
		got, path = part(path)
		if strings.HasPrefix(want, "{") {
			v, err := url.PathUnescape(got)
			if err != nil || v == "" {
				return "", false
			}
			value = v
		} else if want != got {
			return "", false
		}
	}
	return value, pattern == "" && path == ""
}

// part cuts "/one/two" into "one" and "/two".
func part(path string) (first, rest string) {
	first = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(first, '/'); i >= 0 {
		return first[:i], first[i:]
	}
	return first, ""
}

// otherThan leaves one method out; HEAD goes with GET.
func otherThan(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		return s == one || one == http.MethodGet && s == http.MethodHead
	})
}

func (e *edge) ingest(c *call) error {
	e.Ingestion.ServeHTTP(c.w, c.r)
	return nil
}
