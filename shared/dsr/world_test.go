package dsr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

const project = "1234567"

// world is a deployment in memory: one source, and a workflow whose executions a
// test runs by hand.
type world struct {
	t        *testing.T
	ctx      context.Context
	mu       sync.Mutex
	clock    time.Time
	step     time.Duration // how far the clock moves by itself each time it is read
	control  table.Table
	bucket   blob.Bucket
	copy     *blob.Memory
	source   *source
	store    dsr.Source // takes the place of source if it is set
	flow     *flow
	settings dsr.Settings
	rules    dsr.Rules
	handlers []string
	tokens   []dsr.ExpiringToken
	troubled string            // the project whose handlers cannot be read
	links    map[string]string // what the accounts make for whom to sign in by
	sender   dsr.Sender
	log      *slog.Logger
	keys     kind.Keyring
	twice    bool // every task runs twice with the same input
	*dsr.Service
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ctx: t.Context(), clock: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
	w.control = table.NewMemory(w.now)
	w.bucket = blob.NewMemory(w.now)
	w.copy = blob.NewMemory(w.now)
	w.source = &source{name: "events", page: 3, now: w.now}
	w.flow = &flow{executions: map[string]*execution{}}
	w.log = slog.New(slog.DiscardHandler)
	w.rules = dsr.Defaults()
	w.keys = kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}
	w.build()
	return w
}

// build makes a Service over the parts, as a process does when it starts.
func (w *world) build() {
	sources := []dsr.Source{blocker{w.source, w.keys}}
	if w.store != nil {
		sources = []dsr.Source{w.store}
	}
	settings := w.settings
	settings.Mail = w.sender != nil
	w.Service = dsr.New(dsr.Parts{
		Control: w.control, Bucket: w.bucket, Workflow: w.flow, Sources: sources, Accounts: accounts{w.control, w.rules, w.handlers, w.tokens, w.troubled, w.links},
		Keys: w.keys, Clock: w.now, Sender: w.sender, PublicURL: func() string { return "https://lethe.example/" },
		Log: w.log, LedgerCopy: w.copy, Settings: settings,
	})
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(w.step)
	return w.clock
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) submit(t dsr.Type, ids ...string) dsr.Request {
	w.t.Helper()
	w.advance(time.Minute) // past every limit on rate
	r, err := w.Submit(w.ctx, submission(t, ids...))
	if err != nil {
		w.t.Fatalf("submit: %v", err)
	}
	return r
}

func submission(t dsr.Type, ids ...string) dsr.Submission {
	return dsr.Submission{Project: project, Type: t, IDs: ids, Compliance: dsr.GDPR, Disclosure: dsr.Data, By: dsr.By{Actor: "owner@example.com"}}
}

func (w *world) status(r dsr.Request) dsr.Request {
	w.t.Helper()
	got, err := w.Get(w.ctx, project, r.Task)
	if err != nil {
		w.t.Fatalf("get: %v", err)
	}
	return got
}

func (w *world) want(r dsr.Request, status dsr.Status) dsr.Request {
	w.t.Helper()
	got := w.status(r)
	if got.Status != status {
		w.t.Fatalf("status: got %s (%s), want %s", got.Status, got.Reason, status)
	}
	return got
}

// settle runs every execution, sweeps, and moves the clock past waits, until no
// request is open or nothing moves any more.
func (w *world) settle() {
	w.t.Helper()
	for range 200 {
		w.run()
		if err := w.Sweep(w.ctx); err != nil {
			w.t.Fatalf("sweep: %v", err)
		}
		if w.flow.idle() {
			return
		}
		w.advance(time.Hour)
	}
	w.t.Fatal("requests do not come to an end")
}

// run runs every execution until it ends or waits.
func (w *world) run() {
	for _, name := range w.flow.running() {
		w.drive(name)
	}
}

// drive runs one execution as its state machine does. An error of a task is tried
// again a few times, then goes to Finish, as Retry and Catch have it.
func (w *world) drive(name string) {
	e := w.flow.get(name)
	for e.status() == dsr.ExecutionRunning {
		if w.twice {
			if _, err := w.task(e); err != nil {
				w.t.Errorf("%s: %v", e.state, err)
			}
		}
		out, err := w.task(e)
		if err != nil {
			e.failures++
			if k := kind.Of(err); e.failures < 8 && (k == kind.Unavailable || k == kind.Conflict || k == kind.Throttled) {
				continue
			}
			if e.state == "Finish" {
				e.end(dsr.ExecutionFailed)
				return
			}
			e.in.Failure = &dsr.Failed{Error: string(kind.Of(err))}
			e.state, e.failures = "Finish", 0
			continue
		}
		e.failures = 0
		if !e.turn(out) {
			return
		}
	}
}

func (w *world) task(e *execution) (dsr.Step, error) {
	switch e.state {
	case "Plan":
		return w.Plan(w.ctx, e.in)
	case "Begin":
		return w.Begin(w.ctx, e.in)
	case "Pack":
		return w.Pack(w.ctx, e.in)
	case "Verify":
		return w.Verify(w.ctx, e.in)
	case "Finish":
		return w.Finish(w.ctx, e.in)
	case "Map":
		f := w.Collect
		if e.machine == "deletion" {
			f = w.Erase
		}
		for _, n := range e.in.Batches {
			in := dsr.Step{Task: e.in.Task, Attempt: e.in.Attempt, Batch: n}
			for in.Next = dsr.Again; in.Next == dsr.Again || in.Next == dsr.Later; {
				out, err := f(w.ctx, in)
				if err != nil {
					return out, err
				}
				in = out
			}
		}
		out := e.in
		out.Next = "mapped"
		return out, nil
	}
	panic("no such state: " + e.state)
}

// flow is a dsr.Workflow whose executions stand still until drive moves them.
type flow struct {
	mu         sync.Mutex
	executions map[string]*execution
	lost       bool // Start fails and starts nothing
	stopping   func(name string)
}

type execution struct {
	mu       sync.Mutex
	machine  string
	state    string
	in       dsr.Step
	now      dsr.ExecutionStatus
	failures int
}

func (f *flow) Start(_ context.Context, machine, name string, input json.RawMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost {
		return kind.E(kind.Unavailable, "start")
	}
	if f.executions[name] != nil {
		return kind.E(kind.Conflict, "start")
	}
	e := &execution{machine: machine, state: "Plan", now: dsr.ExecutionRunning}
	f.executions[name] = e
	return json.Unmarshal(input, &e.in)
}

func (f *flow) Describe(_ context.Context, _, name string) (dsr.Execution, error) {
	e := f.get(name)
	if e == nil {
		return dsr.Execution{}, kind.E(kind.NotFound, "describe")
	}
	return dsr.Execution{Status: e.status()}, nil
}

func (f *flow) Stop(_ context.Context, _, name, _ string) error {
	if f.stopping != nil {
		f.stopping(name)
	}
	if e := f.get(name); e != nil && e.status() == dsr.ExecutionRunning {
		e.end(dsr.ExecutionAborted)
	}
	return nil
}

func (f *flow) get(name string) *execution {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.executions[name]
}

func (f *flow) running() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name, e := range f.executions {
		if e.status() == dsr.ExecutionRunning {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (f *flow) idle() bool { return len(f.running()) == 0 }

func (e *execution) status() dsr.ExecutionStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *execution) end(s dsr.ExecutionStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = s
}

// turn moves an execution on as the Choice after its task does. It reports
// whether the execution goes on at once.
func (e *execution) turn(out dsr.Step) bool {
	e.in = out
	if e.state == "Finish" {
		e.end(dsr.ExecutionSucceeded)
		return false
	}
	to := map[string]string{
		"export Plan ready": "Map", "export Map mapped": "Pack", "export Pack replan": "Plan", "export Pack done": "Finish",
		"deletion Plan ready": "Begin", "deletion Plan begun": "Begin", "deletion Begin ready": "Map", "deletion Begin replan": "Plan",
		"deletion Map mapped": "Verify", "deletion Verify erase": "Map", "deletion Verify done": "Finish",
	}[fmt.Sprintf("%s %s %s", e.machine, e.state, out.Next)]
	switch {
	case out.Next == dsr.Again:
		return true
	case out.Next == dsr.Later:
		return false
	case to == "":
		e.end(dsr.ExecutionSucceeded)
		return false
	}
	waits := to == "Begin" && e.state == "Plan" && out.Next == dsr.Ready
	e.state = to
	return !waits
}

type accounts struct {
	control  table.Table
	rules    dsr.Rules
	handlers []string
	tokens   []dsr.ExpiringToken
	troubled string
	links    map[string]string // by person
}

func (a accounts) MakeLink(_ context.Context, _ dsr.By, person string) (string, error) {
	if a.links[person] == "" {
		return "", kind.E(kind.NotFound, "make a link")
	}
	return a.links[person], nil
}

func (a accounts) Handlers(_ context.Context, project string) ([]string, error) {
	if project == a.troubled {
		return nil, kind.E(kind.Unavailable, "read the members")
	}
	return a.handlers, nil
}

func (a accounts) Rules(context.Context, string) (dsr.Rules, error) { return a.rules, nil }

func (a accounts) Organisation(context.Context) (dsr.Organisation, error) {
	return a.rules.Organisation, nil
}

func (a accounts) ExpiringTokens(_ context.Context, from, to time.Time, f func(dsr.ExpiringToken) error) error {
	for _, t := range a.tokens {
		if t.Expires.Before(from) || !t.Expires.Before(to) {
			continue
		}
		if err := f(t); err != nil {
			return err
		}
	}
	return nil
}

func (a accounts) Record(ctx context.Context, e dsr.Entry, ops ...table.Op) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	key := table.Key{PK: "audit", SK: fmt.Sprintf("%s %s %s", e.Time.Format(time.RFC3339Nano), e.Action, e.Task)}
	return a.control.Write(ctx, append(ops[:len(ops):len(ops)], table.Put(table.Item{Key: key, Data: data}, table.Cond{}))...)
}

// source is a dsr.Source over a slice.
type source struct {
	mu     sync.Mutex
	name   string
	now    func() time.Time
	page   int // records to a step
	rows   []row
	marks  []dsr.Mark
	marked map[dsr.Mark]bool
	fence  time.Duration
	// notYet makes every second question be answered "not yet".
	notYet, asked bool
	// groups are identifiers that are one person; later ones are known to an erasure
	// only.
	groups, later [][]kind.Subject
	persons       map[kind.Subject][]kind.Subject // of very many, who is who
	apart         int                             // links of each that are not followed
	resolving     func()                          // is called when somebody asks
	rules         []dsr.Identity                  // by which somebody asked
	total         int64                           // what Rows tells
	broken        bool                            // Collect fails for good
	words         map[string]dsr.Word             // of opt-outs, by mark
	owners        map[kind.Subject]kind.Subject
	then          map[string]func() // what happens at a call of that name, once
	deaf          bool              // Say fails after half of what it is told
	// keep makes Erase leave that many records behind, once each.
	keep int
}

type row struct {
	id       kind.Subject
	profile  bool
	at       time.Time
	received time.Time
	data     string
}

func (s *source) event(id string, at time.Time, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, row{id: kind.Subject(id), at: at, received: at, data: data})
	slices.SortStableFunc(s.rows, func(a, b row) int {
		if a.profile != b.profile {
			if a.profile {
				return -1
			}
			return 1
		}
		return a.at.Compare(b.at)
	})
}

func (s *source) Name() string { return s.name }

func (s *source) Suppress(_ context.Context, _ string, marks []dsr.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marked == nil {
		s.marked = map[dsr.Mark]bool{}
	}
	for _, m := range marks {
		if !s.marked[m] {
			s.marked[m] = true
			s.marks = append(s.marks, m)
		}
	}
	return nil
}

// Resolve joins the groups that share an identifier.
func (s *source) Resolve(_ context.Context, _ string, rule dsr.Identity, ids []kind.Subject, until time.Time) ([]dsr.Person, error) {
	s.rules = append(s.rules, rule)
	if s.resolving != nil {
		s.resolving()
	}
	if s.persons != nil {
		people := make([]dsr.Person, len(ids))
		for i, id := range ids {
			people[i] = dsr.Person{Submitted: ids[i : i+1], IDs: s.persons[id], ApartCount: s.apart}
			for range s.apart {
				people[i].Apart = append(people[i].Apart, dsr.Link{Kind: "alias", ID: id, To: kind.Subject(strings.Repeat("x", 250))})
			}
		}
		return people, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := s.groups
	if !until.IsZero() {
		groups = slices.Concat(groups, s.later)
	}
	var people []dsr.Person
	for _, id := range ids {
		at := slices.IndexFunc(people, func(p dsr.Person) bool { return slices.Contains(p.IDs, id) })
		if at < 0 {
			members := map[kind.Subject]bool{id: true}
			for range groups {
				for _, g := range groups {
					if slices.ContainsFunc(g, func(m kind.Subject) bool { return members[m] }) {
						for _, m := range g {
							members[m] = true
						}
					}
				}
			}
			at = len(people)
			p := dsr.Person{IDs: slices.Sorted(maps.Keys(members))}
			if len(members) > dsr.MaxPerson {
				p = dsr.Person{IDs: []kind.Subject{id}, TooMany: true, ApartCount: len(members) - 1}
			}
			people = append(people, p)
		}
		people[at].Submitted = append(people[at].Submitted, id)
	}
	return people, nil
}

func (s *source) Rows(context.Context, string) (int64, error) { return s.total, nil }

func (s *source) Fence(context.Context) (time.Duration, error) { return s.fence, nil }
func (s *source) Scrub(context.Context) error                  { return nil }

func (s *source) wait() bool {
	s.asked = !s.asked
	return s.notYet && s.asked
}

// in gives the rows in scope in the order of Collect.
func (s *source) in(scope dsr.Scope, f func(cluster, id int, r row) bool) {
	for c, cluster := range scope.Clusters {
		for _, r := range s.rows {
			i := slices.Index(cluster.IDs, r.id)
			late := r.received.After(scope.Limit) && (!scope.Erasure || r.profile || r.at.After(scope.Limit))
			if i >= 0 && !late && !f(c, i, r) {
				return
			}
		}
	}
}

func (s *source) Find(_ context.Context, scope dsr.Scope, cursor string) (dsr.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait() {
		return dsr.Progress{Cursor: cursor, Wait: time.Minute}, nil
	}
	var skip, n int
	_, _ = fmt.Sscan(cursor, &skip)
	p := dsr.Progress{Done: true}
	s.in(scope, func(c, i int, r row) bool {
		n++
		if n <= skip {
			return true
		}
		if n > skip+s.page {
			p.Done, p.Cursor = false, fmt.Sprint(n-1)
			return false
		}
		found := dsr.Found{Cluster: c, ID: i}
		if r.profile {
			found.Profiles++
		} else {
			found.Events++
		}
		p.Found = append(p.Found, found)
		return true
	})
	return p, nil
}

func (s *source) Erase(_ context.Context, scope dsr.Scope, _ string) (dsr.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait() {
		return dsr.Progress{Wait: time.Minute}, nil
	}
	var gone []row
	p := dsr.Progress{Done: true}
	s.in(scope, func(_, _ int, r row) bool {
		if len(gone) == s.page {
			p.Done = false
			return false
		}
		gone = append(gone, r)
		return true
	})
	if s.keep > 0 && len(gone) > 0 {
		s.keep--
		gone, p.Done = gone[1:], true
	}
	s.rows = slices.DeleteFunc(s.rows, func(r row) bool { return slices.Contains(gone, r) })
	return p, nil
}

func (s *source) Collect(_ context.Context, scope dsr.Scope, cursor string) (dsr.Records, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return nil, kind.E(kind.Corrupt, "collect")
	}
	if s.wait() {
		return nil, dsr.NotYet(time.Minute)
	}
	out := &records{}
	_, _ = fmt.Sscan(cursor, &out.at)
	s.in(scope, func(c, i int, r row) bool {
		out.all = append(out.all, dsr.Record{Cluster: c, ID: i, Profile: r.profile, Time: r.at, Name: "x", InsertID: "i", Data: []byte(r.data)})
		return true
	})
	return out, nil
}

type records struct {
	all []dsr.Record
	at  int
}

func (r *records) Next(context.Context) (dsr.Record, error) {
	if r.at == len(r.all) {
		return dsr.Record{}, io.EOF
	}
	r.at++
	return r.all[r.at-1], nil
}

func (r *records) Cursor() string { return fmt.Sprint(r.at) }
func (r *records) Close() error   { return nil }

// files lists the keys in a bucket that begin with prefix.
func files(t *testing.T, b blob.Bucket, prefix string) []string {
	t.Helper()
	found, err := b.List(t.Context(), prefix, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, f := range found {
		keys = append(keys, f.Key)
	}
	return keys
}

func read(t *testing.T, b blob.Bucket, key string) string {
	t.Helper()
	f, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out strings.Builder
	if _, err := io.Copy(&out, f); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
