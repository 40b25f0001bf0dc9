package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A world is a deployment in memory with one project, whose requests go forward
// when a test says so.
type world struct {
	t       *testing.T
	mu      sync.Mutex
	clock   time.Time
	control table.Table
	bucket  *blob.Memory
	people  people
	service *dsr.Service
	account.Credentials
	accounts *account.Accounts
	parts    api.Parts
	handler  http.Handler
	log      *strings.Builder
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: time.Date(2020, 3, 9, 22, 28, 55, 78_000_000, time.UTC), people: people{}, log: &strings.Builder{}}
	w.control = table.NewMemory(w.now)
	w.bucket = blob.NewMemory(w.now)
	w.accounts = account.New(w.control, w.now)
	var err error
	if w.Credentials, err = w.accounts.Found(t.Context(), account.Founding{OwnerEmail: "pat@example.com"}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.service = dsr.New(dsr.Parts{
		Control: w.control, Bucket: w.bucket, Workflow: still{}, Sources: []dsr.Source{w.people}, Accounts: w.accounts,
		Keys: kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}, Clock: w.now, Log: log,
		Settings: dsr.Settings{CancelWindow: time.Hour},
	})
	w.parts = api.Parts{Accounts: w.accounts, Service: w.service, Clock: w.now, Log: log}
	w.handler = api.New(w.parts)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// An answer is what came back, its body read as JSON where it is.
type answer struct {
	*httptest.ResponseRecorder
	body struct {
		Status  string
		Error   string
		Results json.RawMessage
		Total   int
	}
}

// results is the answer's results as an object.
func (a answer) results() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(a.body.Results, &m) // nil is what a wrong answer is
	return m
}

func (a answer) task() string {
	s, _ := a.results()["task_id"].(string)
	return s
}

// A header is one that do sends in place of, or beside, its own; "" sends none.
type header struct{ name, value string }

// do sends a request as the owner and checks the answer against both
// descriptions.
func (w *world) do(method, path, body string, headers ...header) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.GDPRToken)
	for _, h := range headers {
		r.Header.Set(h.name, h.value)
		if h.value == "" {
			r.Header.Del(h.name)
		}
	}
	return w.send(r)
}

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	w.handler.ServeHTTP(a, r)
	if strings.HasPrefix(a.Header().Get("Content-Type"), "application/json") {
		// A list of results does not fit, and is looked at by who asked for it.
		if err := json.Unmarshal(a.Body.Bytes(), &a.body); err != nil {
			w.t.Errorf("%s %s: the answer is not JSON: %v", r.Method, r.URL.Path, err)
		}
	}
	if a.Code >= 400 && (a.body.Status != "error" || !strings.HasSuffix(a.body.Error, ".")) {
		w.t.Errorf("%s %s: %d is told as %q, %q; want a sentence", r.Method, r.URL.Path, a.Code, a.body.Status, a.body.Error)
	}
	checkDescribed(w.t, r, a.ResponseRecorder)
	return a
}

const (
	retrievals = "/api/app/data-retrievals/v3.0"
	deletions  = "/api/app/data-deletions/v3.0"
	requests   = "/api/app/requests"
)

// at is path with the project token.
func (w *world) at(path string) string { return path + "/?token=" + w.ProjectToken }

// create makes a request and returns its task id; each a minute after the last.
func (w *world) create(collection, body string) string {
	w.t.Helper()
	w.advance(time.Minute)
	a := w.do("POST", w.at(collection), body)
	if a.Code != http.StatusCreated || a.task() == "" {
		w.t.Fatalf("create: got %d %s", a.Code, a.Body)
	}
	return a.task()
}

// want fails unless the answer has that code and its error, if it has one, that
// text.
func (w *world) want(a answer, code int, inError string) answer {
	w.t.Helper()
	if a.Code != code || !strings.Contains(a.body.Error, inError) {
		w.t.Errorf("got %d %s, want %d with %q", a.Code, strings.TrimSpace(a.Body.String()), code, inError)
	}
	return a
}

// finish runs a request to its end, as its state machine would.
func (w *world) finish(task string) {
	w.t.Helper()
	for _, do := range w.tasks(task) {
		step := dsr.Step{Task: task, Attempt: 1}
		for step.Next = dsr.Again; step.Next == dsr.Again; {
			var err error
			if step, err = do(w.t.Context(), step); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) tasks(task string) []func(context.Context, dsr.Step) (dsr.Step, error) {
	w.t.Helper()
	r, err := w.service.Get(w.t.Context(), w.ProjectID, task)
	if err != nil {
		w.t.Fatal(err)
	}
	s := w.service
	if r.Type == dsr.Export {
		return []func(context.Context, dsr.Step) (dsr.Step, error){s.Plan, s.Collect, s.Pack, s.Finish}
	}
	w.advance(time.Hour)
	return []func(context.Context, dsr.Step) (dsr.Step, error){s.Plan, s.Begin, s.Erase, s.Verify, s.Finish}
}

// still is a workflow in which nothing happens by itself.
type still struct{}

func (still) Start(context.Context, string, string, json.RawMessage) error { return nil }
func (still) Stop(context.Context, string, string, string) error           { return nil }
func (still) Describe(context.Context, string, string) (dsr.Execution, error) {
	return dsr.Execution{Status: dsr.ExecutionRunning}, nil
}

// people is a source with one event for each person in it.
type people map[kind.Subject]bool

func (people) Name() string                                       { return "people" }
func (people) Suppress(context.Context, string, []dsr.Mark) error { return nil }
func (people) Fence(context.Context) (time.Duration, error)       { return 0, nil }
func (people) Scrub(context.Context) error                        { return nil }
func (p people) within(s dsr.Scope) (found []dsr.Found) {
	for c, cluster := range s.Clusters {
		for i, id := range cluster.IDs {
			if p[id] {
				found = append(found, dsr.Found{Cluster: c, ID: i, Events: 1})
			}
		}
	}
	return found
}

func (p people) Find(_ context.Context, s dsr.Scope, _ string) (dsr.Progress, error) {
	return dsr.Progress{Done: true, Found: p.within(s)}, nil
}

func (p people) Erase(_ context.Context, s dsr.Scope, _ string) (dsr.Progress, error) {
	for _, cluster := range s.Clusters {
		maps.DeleteFunc(p, func(id kind.Subject, _ bool) bool {
			for _, one := range cluster.IDs {
				if one == id {
					return true
				}
			}
			return false
		})
	}
	return dsr.Progress{Done: true}, nil
}

func (p people) Collect(_ context.Context, s dsr.Scope, _ string) (dsr.Records, error) {
	return &records{left: p.within(s)}, nil
}

type records struct{ left []dsr.Found }

func (r *records) Next(context.Context) (dsr.Record, error) {
	if len(r.left) == 0 {
		return dsr.Record{}, io.EOF
	}
	f := r.left[0]
	r.left = r.left[1:]
	return dsr.Record{Cluster: f.Cluster, ID: f.ID, Time: time.Unix(1_500_000_000, 0), Name: "seen", InsertID: "1", Data: []byte(`{}`)}, nil
}

func (*records) Cursor() string { return "end" }
func (*records) Close() error   { return nil }
