package dsr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

const aDay = 24 * time.Hour

// stored is every key and record of the control table, as text.
func (w *world) stored() string {
	w.t.Helper()
	var all strings.Builder
	err := w.control.Partitions(w.ctx, func(pk string) error {
		q := table.Query{PK: pk}
		for {
			page, err := w.control.Query(w.ctx, q)
			if err != nil {
				return err
			}
			for _, item := range page.Items {
				fmt.Fprintf(&all, "%s / %s = %s\n", item.PK, item.SK, item.Data)
			}
			if page.Next == "" {
				return nil
			}
			q.After = page.Next
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all.String()
}

// mentions counts the records that have a text in their key or in themselves.
func (w *world) mentions(text string) int { return strings.Count(w.stored(), text) }

// people of TestRetire, who are mentioned nowhere else.
const (
	anna = "anna-7f3a"
	bert = "bert-91c2" // is found through anna
	carl = "carl-5d0e" // nothing is found
	dora = "dora-2b6f" // is found through bert, once a deletion has begun
)

func (w *world) retiring() {
	w.source.groups = [][]kind.Subject{{anna, bert}}
	w.source.later = [][]kind.Subject{{bert, dora}}
	w.source.event(anna, w.now(), `{}`)
	w.source.event(bert, w.now(), `{}`)
	w.source.event(bert, w.now().Add(-aDay), `{}`)
}

// A request that has ended loses its identifiers, then its record; what proves that
// somebody was erased stays.
func TestRetire(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		submit func(*world) dsr.Request
		status dsr.Status
		found  int64
	}{
		"an export": {func(*world) {}, func(w *world) dsr.Request { return w.submit(dsr.Export, anna, carl) }, dsr.Success, 3},
		"a deletion": {func(*world) {}, func(w *world) dsr.Request {
			sub := submission(dsr.Deletion, anna, carl)
			sub.SubjectRequestID = "a1b2c3d4-0000-4000-8000-000000000001"
			r, err := w.Submit(w.ctx, sub)
			if err != nil {
				w.t.Fatal(err)
			}
			return r
		}, dsr.Success, 3},
		"a deletion in many small steps": {func(w *world) {
			w.settings = dsr.Settings{Budget: 1, Laps: 2, Batch: 1}
			w.step = time.Millisecond
		}, func(w *world) dsr.Request { return w.submit(dsr.Deletion, anna, carl) }, dsr.Success, 3},
		"an export that broke and was given up": {func(w *world) { w.source.broken = true }, func(w *world) dsr.Request {
			r := w.submit(dsr.Export, anna, carl)
			w.settle()
			if _, err := w.GiveUp(w.ctx, project, r.Task, dsr.By{}); err != nil {
				w.t.Fatal(err)
			}
			return r
		}, dsr.Failure, 0},
		"a deletion that was cancelled": {func(*world) {}, func(w *world) dsr.Request {
			r := w.submit(dsr.Deletion, anna, carl)
			w.run()
			if _, err := w.Cancel(w.ctx, project, r.Task, dsr.By{}); err != nil {
				w.t.Fatal(err)
			}
			return r
		}, dsr.Revoked, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			w.build()
			w.retiring()
			r := c.submit(w)
			w.settle()
			done := w.want(r, c.status)
			w.step = 0
			ledger, tombstones := files(t, w.bucket, "ledger/"), len(w.source.marks)

			w.clock = done.Finished.Add(30*aDay - 1)
			w.sweep()
			if w.mentions(anna) == 0 || w.status(r).IDsGone {
				t.Fatal("its identifiers went before 30 days")
			}
			w.advance(1)
			w.sweep()
			w.sweep()
			text := w.stored()
			for _, id := range []string{anna, bert, carl, dora} {
				if strings.Contains(text, id) {
					t.Errorf("after 30 days %s is still there in\n%s", id, text)
				}
			}
			if strings.Contains(text, "cursor#") {
				t.Error("a cursor, which can hold parts of records, is still there")
			}
			if ids, err := w.IDs(t.Context(), w.want(r, c.status)); len(ids) > 0 || err != nil {
				t.Errorf("identifiers: got %v, %v; want none", ids, err)
			}
			d, err := w.Detail(t.Context(), project, r.Task)
			if err != nil || len(d.Findings) != 2 {
				t.Fatalf("findings: got %+v, %v; want two", d.Findings, err)
			}
			for i, id := range []kind.Subject{anna, carl} {
				f := d.Findings[i]
				if f.Position != i+1 || f.DistinctID != "" || f.Resolved != nil || f.Mark != w.keys.Mark(project, id) {
					t.Errorf("finding %d: got %+v, want its mark and no identifier", i, f)
				}
			}
			if d.Findings[0].Events != c.found {
				t.Errorf("found %d events, want %d", d.Findings[0].Events, c.found)
			}
			if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); c.status == dsr.Failure && (kind.Of(err) != kind.Conflict || !strings.Contains(kind.Sentence(err), "new request")) {
				t.Errorf("run again: got %v, want Conflict and a sentence", err)
			}
			marks := w.mentions("#mark#")
			if marks == 0 && c.status != dsr.Failure {
				t.Error("the rows by which the request is found for a person went with the identifiers")
			}

			w.clock = done.Finished.AddDate(0, 24, 0).Add(-1)
			w.sweep()
			if w.status(r).Status != c.status || w.mentions("#mark#") != marks {
				t.Error("its record went before 24 months")
			}
			w.advance(1)
			w.sweep()
			w.sweep()
			if _, err := w.Get(t.Context(), project, r.Task); kind.Of(err) != kind.NotFound {
				t.Errorf("after 24 months: got %v, want NotFound", err)
			}
			if _, total, err := w.List(t.Context(), project, "", 1, 10); total != 0 || err != nil {
				t.Errorf("after 24 months the list has %d, %v", total, err)
			}
			for line := range strings.Lines(w.stored()) {
				if !strings.HasPrefix(line, "audit /") && !strings.HasPrefix(line, "ledger /") && !strings.HasPrefix(line, "project#"+project+" / ") {
					t.Errorf("after 24 months there still is %s", line)
				}
			}
			if left := files(t, w.bucket, "certificates/"); len(left) > 0 {
				t.Errorf("after 24 months there still is %v", left)
			}
			if got := files(t, w.bucket, "ledger/"); !slices.Equal(got, ledger) || len(w.source.marks) != tombstones {
				t.Errorf("ledger %v, tombstones %d; want %v, %d, for good", got, len(w.source.marks), ledger, tombstones)
			}
		})
	}
}

// Who was claimed by a deletion that was then cancelled is forgotten with it too.
func TestRetireOfWhoWasClaimedAlone(t *testing.T) {
	w := newWorld(t)
	w.source.event(anna, w.now(), `{}`)
	w.source.event(dora, w.now(), `{}`)
	r := w.submit(dsr.Deletion, anna)
	w.run()
	w.source.groups = [][]kind.Subject{{anna, dora}} // since it was planned
	export := w.submit(dsr.Export, dora)
	if _, err := w.Plan(t.Context(), dsr.Step{Task: export.Task, Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	w.want(export, dsr.Started)
	w.advance(25 * time.Hour)
	w.drive(r.Task + "-1")
	if got := w.status(r); !strings.Contains(got.Reason, "Waits for an export") {
		t.Fatalf("got %s, %q; want it to wait for the export", got.Status, got.Reason)
	}
	if _, err := w.Cancel(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.advance(31 * aDay)
	w.sweep()
	w.clock = w.clock.AddDate(2, 0, 0)
	w.sweep()
	if n := w.mentions("#mark#"); n > 0 {
		t.Errorf("%d rows at marks are left", n)
	}
}

// Both periods are settings, and hold at the next sweep, also for what ended before.
func TestRetireAsSettled(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	r := w.submit(dsr.Export, anna)
	w.settle()
	settle := func(days, months int) dsr.Request {
		w.rules.KeepIDs, w.rules.KeepRecords = days, months
		w.build()
		w.sweep()
		return w.status(r)
	}
	w.advance(20 * aDay)
	if settle(21, 24).IDsGone || !settle(20, 24).IDsGone {
		t.Error("the days were not those that were settled")
	}
	w.clock = w.clock.AddDate(2, 6, 0)
	settle(30, 36)
	w.rules.KeepRecords = 30
	w.build()
	w.sweep()
	if _, err := w.Get(t.Context(), project, r.Task); kind.Of(err) != kind.NotFound {
		t.Errorf("after 30 months: got %v, want NotFound", err)
	}
}

// What is open is nobody's to retire, however old it is: overdue, extended, held or
// run again.
func TestRetireNothingOpen(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	waits := w.submit(dsr.Deletion, anna)
	if _, err := w.Extend(t.Context(), project, waits.Task, "much to look through", dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.source.event(carl, w.now(), `{}`)
	w.source.broken = true
	failed := w.submit(dsr.Export, carl)
	w.run()
	w.sweep()
	w.want(failed, dsr.Failure)
	w.advance(29 * aDay)
	if _, err := w.Rerun(t.Context(), project, failed.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	// What broke waits for somebody to do something about it, and is overdue until then.
	if n := w.mentions("ended#"); n != 0 {
		t.Errorf("%d requests are on their way out, want none", n)
	}
	w.clock = w.clock.AddDate(3, 0, 0)
	w.sweep()
	for _, r := range []dsr.Request{waits, failed} {
		if got := w.status(r); !got.Status.Open() || got.IDsGone {
			t.Errorf("got %s, identifiers gone: %v", got.Status, got.IDsGone)
		}
	}
	// And it has its 30 days again from when it ends again.
	w.source.broken = false
	w.settle()
	done := w.want(failed, dsr.Success)
	w.clock = done.Finished.Add(29 * aDay)
	w.sweep()
	if w.status(failed).IDsGone {
		t.Error("the days were counted from the first end")
	}
}

// Whoever runs a request again at the moment of its retirement, gets it whole or is
// told that it is too late.
func TestRetireMeetsRerun(t *testing.T) {
	for name, pk := range map[string]func(dsr.Request) string{
		"before it is read": func(dsr.Request) string { return "ended#with-ids" },
		"after it was read": func(r dsr.Request) string { return "request#" + r.Task },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.retiring()
			r := w.submit(dsr.Export, carl)
			w.settle()
			w.want(r, dsr.Failure) // nothing was found
			for range 3 {
				w.advance(time.Second)
				w.source.event(carl, w.now(), `{}`)
			}
			w.advance(31 * aDay)
			w.meet(pk(r), func() {
				if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); err != nil {
					t.Errorf("run again: %v", err)
				}
			})
			w.sweep()
			w.settle()
			if got := w.want(r, dsr.Success); got.IDsGone || got.Before.Events != 3 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Two sweeps at once take the same steps, and neither takes it for an error.
func TestRetireTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	r := w.submit(dsr.Deletion, anna)
	w.settle()
	for _, c := range []struct {
		pk    string
		after time.Duration
		left  string
	}{{"ended#with-ids", 31 * aDay, anna}, {"ended#without-ids", 800 * aDay, r.Task + " / request"}} {
		w.advance(c.after)
		w.meet(c.pk, w.sweep)
		w.sweep()
		if w.mentions(c.left) > 0 {
			t.Errorf("%s is still there", c.left)
		}
	}
}

// meet lets something happen, on the table as it is, when somebody has asked for a
// partition.
func (w *world) meet(pk string, happens func()) {
	whole := w.control
	w.control = &meeting{whole, pk, func() {
		w.control = whole
		w.build()
		happens()
	}}
	w.build()
}

type meeting struct {
	table.Table
	pk      string
	happens func()
}

func (m *meeting) Query(ctx context.Context, q table.Query) (table.Page, error) {
	page, err := m.Table.Query(ctx, q)
	if q.PK == m.pk && len(page.Items) > 0 && m.happens != nil {
		happens := m.happens
		m.happens = nil
		happens()
	}
	return page, err
}

func TestRerunAll(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	w.settings.Outstanding = 3
	w.build()
	fail := func(n int) (all []dsr.Request) {
		t.Helper()
		w.source.broken = true
		for range n {
			r := w.submit(dsr.Export, anna)
			w.settle()
			all = append(all, w.want(r, dsr.Failure))
		}
		w.source.broken = false
		return all
	}
	rerun := func(want dsr.Reruns) {
		t.Helper()
		got, err := w.RerunAll(t.Context(), project, dsr.By{Actor: "owner@example.com"})
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	rerun(dsr.Reruns{})
	givenUp := fail(2)
	for _, r := range givenUp {
		if _, err := w.GiveUp(t.Context(), project, r.Task, dsr.By{}); err != nil {
			t.Fatal(err)
		}
	}
	w.advance(31 * aDay)
	w.sweep()
	empty := w.submit(dsr.Export, carl) // nothing is found, and would not be
	w.settle()
	w.want(empty, dsr.Failure)
	later := fail(5)
	if got, err := w.RerunAll(t.Context(), "7654321", dsr.By{}); got != (dsr.Reruns{}) || err != nil {
		t.Errorf("another project: got %+v, %v", got, err)
	}
	rerun(dsr.Reruns{Rerun: 3, Left: 2})
	rerun(dsr.Reruns{Left: 2})
	for i, r := range later {
		if got := w.status(r).Status.Open(); got != (i < 3) {
			t.Errorf("request %d is open: %v; the oldest come first", i, got)
		}
	}
	w.settle()
	rerun(dsr.Reruns{Rerun: 2})
	w.settle()
	rerun(dsr.Reruns{})
	for _, r := range later {
		w.want(r, dsr.Success)
	}
	for _, r := range append(givenUp, empty) {
		w.want(r, dsr.Failure)
	}
	if n := strings.Count(w.stored(), `.rerun"`); n != 5 {
		t.Errorf("the audit trail has %d reruns, want 5", n)
	}
}

// Each write of a retirement fails once, in every way, and the next sweep goes on.
func TestEveryWriteOfARetirementMayFail(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, fault *tabletest.Fault) {
		w := newWorld(t)
		w.retiring()
		r := w.submit(dsr.Deletion, anna, carl)
		w.settle()
		done := w.want(r, dsr.Success)
		w.control = tabletest.Faulty(w.control, fault)
		w.build()
		sweep := func() {
			t.Helper()
			before := fault.Happened()
			if err := w.Sweep(w.ctx); err != nil && (before || !fault.Happened()) {
				t.Errorf("sweep: %v", err)
			}
		}
		w.clock = done.Finished.Add(30 * aDay)
		sweep()
		sweep()
		for _, id := range []string{anna, bert, carl, dora} {
			if w.mentions(id) > 0 {
				t.Errorf("%s is still there", id)
			}
		}
		if d, err := w.Detail(t.Context(), project, r.Task); err != nil || len(d.Findings) != 2 || d.Findings[0].Events != 3 {
			t.Errorf("findings: got %+v, %v", d.Findings, err)
		}
		w.clock = done.Finished.AddDate(2, 0, 0)
		sweep()
		sweep()
		if text := w.stored(); strings.Contains(text, "#mark#") || strings.Contains(text, "ended#") || strings.Contains(text, "request#") {
			t.Errorf("still there is\n%s", text)
		}
	})
}

// A sweep that runs out of time leaves the rest to the next.
func TestRetireInManySweeps(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	var all []dsr.Request
	for range 3 {
		all = append(all, w.submit(dsr.Export, anna))
		w.settle()
	}
	left := func() (n int) {
		for _, r := range all {
			if got, err := w.Get(t.Context(), project, r.Task); err == nil && !got.IDsGone {
				n++
			}
		}
		return n
	}
	w.advance(31 * aDay)
	w.step = time.Second // each time the clock is read
	var were []int
	for range 4 {
		w.sweep()
		were = append(were, left())
	}
	if were[0] == 0 || were[0] == 3 || were[3] > 0 {
		t.Errorf("left after each sweep: %v, want fewer and fewer", were)
	}
	w.clock = w.clock.AddDate(2, 0, 0)
	for range 12 {
		w.sweep()
	}
	if n := w.mentions("request#"); n > 0 {
		t.Errorf("%d records are left", n)
	}
}

// A request of the most identifiers is retired in pages, and all its marks go.
func TestRetireOfMany(t *testing.T) {
	w := newWorld(t)
	ids := make([]string, dsr.MaxIDs)
	for i := range ids {
		ids[i] = fmt.Sprintf("%d-%s", i, strings.Repeat("\u0001", 200))
	}
	w.source.event(ids[1999], w.now(), `{}`)
	r := w.submit(dsr.Export, ids...)
	w.settle()
	w.want(r, dsr.Success)
	w.advance(30 * aDay)
	w.sweep()
	d, err := w.Detail(t.Context(), project, r.Task)
	if err != nil || len(d.Findings) != len(ids) || d.Findings[1999].Position != 2000 || d.Findings[1999].Events != 1 {
		t.Fatalf("findings: %d, %v", len(d.Findings), err)
	}
	if n := w.mentions("#mark#"); n != len(ids) {
		t.Fatalf("rows at marks: got %d, want %d", n, len(ids))
	}
	w.clock = w.clock.AddDate(2, 0, 0)
	w.sweep()
	if n := w.mentions("#mark#"); n != 0 {
		t.Errorf("rows at marks: got %d, want none", n)
	}
	if data, _ := json.Marshal(d.Findings); strings.Contains(string(data), "\\u0001") {
		t.Error("a finding has an identifier")
	}
}

// A deletion that broke half-way keeps what is needed to complete it, and is overdue
// until somebody has.
func TestHalfADeletionIsNeverRetired(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	r := w.submit(dsr.Deletion, anna)
	step := dsr.Step{Task: r.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), step))
	w.advance(25 * time.Hour)
	w.do(w.Begin(t.Context(), step))
	w.want(r, dsr.Started)
	if _, err := w.Finish(t.Context(), dsr.Step{Task: r.Task, Attempt: 1, Failure: &dsr.Failed{Error: "Corrupt"}}); err != nil {
		t.Fatal(err)
	}
	w.advance(400 * aDay)
	w.sweep()
	got := w.want(r, dsr.Failure)
	if got.IDsGone || !got.Overdue(w.now()) {
		t.Errorf("identifiers gone: %v, overdue: %v", got.IDsGone, got.Overdue(w.now()))
	}
	if _, err := w.GiveUp(t.Context(), project, r.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed || kind.Sentence(err) == "" {
		t.Errorf("giving it up: got %v, want %v", err, kind.NotAllowed)
	}
	if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	done := w.want(r, dsr.Success)
	if left := w.left(anna); left != 0 {
		t.Errorf("%d records are left", left)
	}
	w.clock = done.Finished.Add(31 * aDay)
	w.sweep()
	if !w.want(r, dsr.Success).IDsGone {
		t.Error("its identifiers are still there 31 days after it was completed")
	}
}

// An export that broke and was given up can be run again until its identifiers go,
// and nobody is warned of it.
func TestGiveUp(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	w.source.broken = true
	r := w.submit(dsr.Export, anna)
	w.settle()
	w.advance(50 * aDay)
	given, err := w.GiveUp(t.Context(), project, r.Task, dsr.By{Actor: "owner@example.com"})
	if err != nil || given.Broken || given.Status != dsr.Failure || given.Overdue(w.now()) || !strings.Contains(given.Reason, "given up") {
		t.Errorf("got %+v, %v", given, err)
	}
	if _, err := w.GiveUp(t.Context(), project, r.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed {
		t.Errorf("a second time: got %v, want %v", err, kind.NotAllowed)
	}
	w.source.broken = false
	if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(r, dsr.Success)
	open := w.submit(dsr.Deletion, bert)
	if got, err := w.GiveUp(t.Context(), project, open.Task, dsr.By{}); err != nil || got.Status != dsr.Revoked {
		t.Errorf("an open deletion: got %+v, %v", got.Status, err)
	}
}

// A record that is damaged goes with the rest, and keeps nobody else's.
func TestRetireWhatIsDamaged(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	bad, good := w.submit(dsr.Export, anna, carl), w.submit(dsr.Export, bert)
	w.settle()
	damage := func(r dsr.Request) {
		t.Helper()
		damaged := 0
		page, err := w.control.Query(t.Context(), table.Query{PK: "request#" + r.Task})
		for _, item := range page.Items {
			if item.SK != "request" {
				item.Data = []byte(`{"` + anna)
				damaged++
				if err := w.control.Write(t.Context(), table.Put(item, table.Cond{})); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err != nil || damaged == 0 {
			t.Fatal(damaged, err)
		}
	}
	damage(bad)
	w.advance(31 * aDay)
	w.sweep()
	for _, r := range []dsr.Request{bad, good} {
		if !w.status(r).IDsGone {
			t.Error("still has identifiers")
		}
	}
	if n := w.mentions(anna) + w.mentions(bert); n > 0 {
		t.Errorf("identifiers are still in %d places", n)
	}
	damage(good)
	w.advance(800 * aDay)
	w.sweep()
	if n := w.mentions("request#"); n > 0 {
		t.Errorf("%d records of requests are left after 27 months", n)
	}
}

// A request that breaks each time, at once, is run again once by a call.
func TestRerunAllEnds(t *testing.T) {
	w := newWorld(t)
	w.source.broken = true
	for range 2 {
		r := w.submit(dsr.Export, anna)
		w.settle()
		w.want(r, dsr.Failure)
		w.advance(time.Second)
	}
	w.step = time.Millisecond // the clock goes on
	pages := 0
	w.control = &paging{w.control, func() {
		if pages++; pages > 20 {
			t.Fatal("it goes on and on")
		}
		w.run()
	}}
	w.build()
	got, err := w.RerunAll(t.Context(), project, dsr.By{Actor: "owner@example.com"})
	if err != nil || got != (dsr.Reruns{Rerun: 2}) {
		t.Errorf("got %+v, %v; want each run again once", got, err)
	}
}

// paging hands out the index of broken requests one by one, and lets something happen
// before each.
type paging struct {
	table.Table
	before func()
}

func (p *paging) Query(ctx context.Context, q table.Query) (table.Page, error) {
	if q.PK == "broken" {
		q.Limit = 1
		p.before()
	}
	return p.Table.Query(ctx, q)
}

// A sweep that read a request while another one retired it does not write over what
// that one kept.
func TestRetireMeetsASweepInItsMiddle(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	r := w.submit(dsr.Export, anna, carl)
	w.settle()
	findings := func() string {
		t.Helper()
		d, err := w.Detail(t.Context(), project, r.Task)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(d.Findings[0].State, d.Findings[0].Events, d.Findings[1].State, len(d.Findings))
	}
	want := findings()
	w.advance(31 * aDay)
	w.meet("request#"+r.Task, w.sweep)
	w.sweep()
	if got := findings(); got != want || !w.status(r).IDsGone {
		t.Errorf("findings: got %s, want %s as before", got, want)
	}
}

// An export whose record goes while a deletion takes archives back is no obstacle.
func TestRetireMeetsAWithdrawal(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	w.retiring()
	export := w.submit(dsr.Export, anna)
	w.settle()
	r := w.begun(anna)
	w.control = &going{w.control, table.Key{PK: "request#" + export.Task, SK: "request"}}
	w.build()
	w.settle()
	w.want(r, dsr.Success)
}

// going is a table whose item goes when it is read by itself.
type going struct {
	table.Table
	key table.Key
}

func (g *going) Get(ctx context.Context, key table.Key) (table.Item, error) {
	if key == g.key {
		if err := g.WriteMany(ctx, []table.Op{table.Delete(key, table.Cond{})}); err != nil {
			return table.Item{}, err
		}
	}
	return g.Table.Get(ctx, key)
}

// A store that asks to slow down is no limit on open requests: nothing counts as left.
func TestRerunAllIsThrottled(t *testing.T) {
	w := newWorld(t)
	w.source.broken = true
	w.submit(dsr.Export, anna)
	w.settle()
	w.control = throttling{w.control}
	w.build()
	if got, err := w.RerunAll(t.Context(), project, dsr.By{}); kind.Of(err) != kind.Throttled || got.Left > 0 {
		t.Errorf("got %+v, %v; want %v", got, err, kind.Throttled)
	}
}

type throttling struct{ table.Table }

func (throttling) Write(context.Context, ...table.Op) error {
	return kind.E(kind.Throttled, "write")
}

// A request that cannot be read keeps nobody else's identifiers.
func TestRetireGoesOn(t *testing.T) {
	w := newWorld(t)
	w.retiring()
	bad := w.submit(dsr.Export, anna)
	w.settle()
	w.advance(time.Minute)
	good := w.submit(dsr.Export, bert)
	w.settle()
	item := table.Item{Key: table.Key{PK: "request#" + bad.Task, SK: "request"}, Data: []byte("{")}
	if err := w.control.Write(t.Context(), table.Put(item, table.Cond{})); err != nil {
		t.Fatal(err)
	}
	w.advance(31 * aDay)
	if err := w.Sweep(t.Context()); kind.Of(err) != kind.Corrupt {
		t.Errorf("got %v, want %v", err, kind.Corrupt)
	}
	if !w.status(good).IDsGone {
		t.Error("the other one still has its identifiers")
	}
}

// The record of a request is kept for whole months, also where the day that they began
// on is longer than the month that they are counted back to.
func TestRetireAtTheEndOfAMonth(t *testing.T) {
	for _, c := range []struct {
		ended, kept, gone time.Time
		months            int
	}{
		{time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC), time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC), time.Date(2028, 3, 1, 12, 0, 0, 0, time.UTC), 24},
		{time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC), time.Date(2028, 3, 31, 12, 0, 0, 0, time.UTC), time.Date(2028, 4, 2, 12, 0, 0, 0, time.UTC), 25},
	} {
		w := newWorld(t)
		w.rules.KeepRecords = c.months
		w.clock = c.ended
		w.build()
		r := w.submit(dsr.Export, anna)
		w.settle()
		w.advance(31 * aDay)
		w.sweep()
		w.clock = c.kept
		w.sweep()
		if _, err := w.Get(t.Context(), project, r.Task); err != nil {
			t.Errorf("at %s: %v, want it kept for %d months", c.kept, err, c.months)
		}
		w.clock = c.gone
		w.sweep()
		if _, err := w.Get(t.Context(), project, r.Task); kind.Of(err) != kind.NotFound {
			t.Errorf("at %s: got %v, want NotFound", c.gone, err)
		}
	}
}
