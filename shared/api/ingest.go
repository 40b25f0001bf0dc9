package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
)

// Projects is what ingestion asks of account.Accounts.
type Projects interface {
	ByToken(ctx context.Context, token string) (account.Project, error)
	BySecret(ctx context.Context, secret string) (account.Project, error)
	ServiceAccount(ctx context.Context, name, secret string) (account.Actor, error)
	MayImport(ctx context.Context, actor account.Actor, projectID string) (account.Project, error)
	Failed(ctx context.Context, address string, err error) error
}

// OptOuts is what ingestion asks of dsr.Service.
type OptOuts interface {
	Tie(ctx context.Context, project string, ties []dsr.Tie) error
}

// NewIngestion returns the handler of /track, /import, /engage, /groups and
// /health, as Mixpanel's client libraries call them; each with and without a
// slash at the end, and never with a redirect. When it answers success, what was
// sent is durable. It reads no cookies, so it lets any origin in.
//
// What is wrong with one record does not concern the others: they are stored, and
// the answer tells of the one where its form allows that.
func NewIngestion(projects Projects, store *events.Store, optOuts OptOuts, clock func() time.Time, log *slog.Logger) http.Handler {
	return &ingestion{projects, store, optOuts, clock, log}
}

type ingestion struct {
	projects Projects
	store    *events.Store
	optOuts  OptOuts
	clock    func() time.Time
	log      *slog.Logger
}

// ServeHTTP implements http.Handler.
func (in *ingestion) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowOrigin(w, r)
	a := &answer{w: w}
	serve := in.route(strings.TrimSuffix(r.URL.Path, "/"))
	switch {
	case serve == nil:
		a.fail(kind.Say(kind.NotFound, "There is nothing at this path."))
		return
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		w.Header().Set("Allow", methods)
		a.fail(kind.Say(kind.NotAllowed, "Use GET or POST."))
		return
	}
	if err := serve(a, r); err != nil {
		if k := kind.Of(err); k == kind.Internal || k == kind.Corrupt || k == kind.Unavailable {
			in.log.ErrorContext(r.Context(), "ingestion failed", "request", note(r).id, "kind", string(k), "error", err)
		}
		a.fail(err)
	}
}

func (in *ingestion) route(path string) func(*answer, *http.Request) error {
	switch path {
	case "/track":
		return in.track
	case "/import":
		return in.imports
	case "/engage":
		return in.engage
	case "/groups":
		return in.groups
	case "/health":
		return in.health
	}
	return nil
}

const methods = "GET, HEAD, POST, OPTIONS"

// allowOrigin lets pages of any site send here, with credentials since
// mixpanel-browser sends some: https://fetch.spec.whatwg.org/#http-cors-protocol
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		return
	}
	h.Set("Access-Control-Allow-Methods", methods)
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "86400")
}

func (in *ingestion) health(a *answer, r *http.Request) error {
	if err := in.store.Ready(r.Context()); err != nil {
		return err
	}
	a.json(http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
	return nil
}

func (in *ingestion) track(a *answer, r *http.Request) error {
	sent, err := in.read(a, r)
	if err != nil {
		return err
	}
	return in.storeEvents(a, r, sent, nil, events.Rules{Sender: in.store.Sender(account.AddressOf(r.RemoteAddr))})
}

// imports knows who sends before it reads the body, unless the key stands in it.
func (in *ingestion) imports(a *answer, r *http.Request) error {
	a.strict = r.Method == http.MethodPost // until the body shows a library's form
	project, err := in.importer(r)
	if err != nil && kind.Of(err) != kind.NotFound {
		return err
	}
	sent, readErr := in.read(a, r)
	if err != nil {
		if project, err = in.byKey(r, sent.params.Get("api_key")); err != nil {
			return err
		}
	}
	if readErr != nil {
		return readErr
	}
	rules := events.Rules{Import: true, Strict: sent.flag("strict")}
	if sent.library {
		rules.Sender = in.store.Sender(account.AddressOf(r.RemoteAddr))
	}
	a.strict = !sent.library || rules.Strict
	return in.storeEvents(a, r, sent, &project, rules)
}

// storeEvents stores the events that were sent: in one project, or each in that
// of its token.
func (in *ingestion) storeEvents(a *answer, r *http.Request, sent *body, project *account.Project, rules events.Rules) error {
	rules.Now = in.clock()
	var b batches[events.Event]
	for i, raw := range sent.records {
		var e events.Event
		err := sent.faults[i]
		if err == nil {
			e, err = events.ParseEvent(raw, rules)
		}
		if err != nil {
			a.reject(i, err)
			continue
		}
		if err := b.add(r.Context(), in.projects, i, project, e.Token, e); err != nil {
			return err
		}
	}
	return b.store(a, r, in.keep)
}

// keep stores events of a project, and opts out whom they join to somebody who is.
func (in *ingestion) keep(ctx context.Context, project string, batch []events.Event) (events.Receipt, error) {
	receipt, err := in.store.Track(ctx, project, batch)
	if err != nil || len(receipt.Ties) == 0 {
		return receipt, err
	}
	return receipt, in.optOuts.Tie(ctx, project, receipt.Ties)
}

func (in *ingestion) engage(a *answer, r *http.Request) error { return in.update(a, r, false) }
func (in *ingestion) groups(a *answer, r *http.Request) error { return in.update(a, r, true) }

func (in *ingestion) update(a *answer, r *http.Request, group bool) error {
	sent, err := in.read(a, r)
	if err != nil {
		return err
	}
	var b batches[events.Update]
	for i, raw := range sent.records {
		var u events.Update
		err := sent.faults[i]
		if err == nil {
			u, err = events.ParseUpdate(raw, group)
		}
		if err != nil {
			a.reject(i, err)
			continue
		}
		if err := b.add(r.Context(), in.projects, i, nil, u.Token, u); err != nil {
			return err
		}
	}
	return b.store(a, r, in.store.Update)
}
