package dsr_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"lethe/shared/archive"
	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Tasks that outlive their execution: a Lambda goes on for minutes after the state
// machine has given it up.

// other is a second process over the same parts, with a source and a bucket of its
// own.
func (w *world) other(src dsr.Source, b blob.Bucket) *dsr.Service {
	return dsr.New(dsr.Parts{
		Control: w.control, Bucket: b, Workflow: w.flow, Sources: []dsr.Source{src}, Accounts: accounts{w.control, w.rules, w.handlers, w.tokens, w.troubled, w.links},
		Keys: kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}, Clock: w.now,
		Log: slog.New(slog.DiscardHandler), LedgerCopy: w.copy, Settings: w.settings,
	})
}

// slow is a source that lets something else happen before its first record.
type slow struct {
	*source
	hook func()
}

func (s *slow) Collect(ctx context.Context, scope dsr.Scope, cursor string) (dsr.Records, error) {
	r, err := s.source.Collect(ctx, scope, cursor)
	return &slowRecords{r, s}, err
}

type slowRecords struct {
	dsr.Records
	s *slow
}

func (r *slowRecords) Next(ctx context.Context) (dsr.Record, error) {
	if h := r.s.hook; h != nil {
		r.s.hook = nil
		h()
	}
	return r.Records.Next(ctx)
}

func (w *world) sweep() {
	w.t.Helper()
	if err := w.Sweep(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) do(out dsr.Step, err error) dsr.Step {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestOldCollectPutsNothingIntoALaterArchive(t *testing.T) {
	w := newWorld(t)
	w.people()
	e := w.submit(dsr.Export, "ann", "bob")
	one := dsr.Step{Task: e.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), one))
	stale := w.other(&slow{w.source, func() {
		w.flow.get(e.Task + "-1").end(dsr.ExecutionFailed) // another batch failed; this Lambda lives on
		w.sweep()
		w.want(e, dsr.Failure)
		d := w.submit(dsr.Deletion, "ann")
		w.settle()
		w.want(d, dsr.Success)
		w.advance(time.Second)
		if _, err := w.Rerun(t.Context(), project, e.Task, dsr.By{}); err != nil {
			t.Fatal(err)
		}
		w.do(w.Plan(t.Context(), dsr.Step{Task: e.Task, Attempt: 2}))
	}}, w.bucket)
	_, _ = stale.Collect(t.Context(), one) // whatever it says, nobody listens
	w.settle()
	w.want(e, dsr.Success)
	for name, body := range w.unzip(e) {
		if strings.Contains(body, `"who":"ann"`) {
			t.Errorf("%s of an archive made after the deletion holds ann", name)
		}
	}
}

func TestOldCollectLeavesNothingOfTheErased(t *testing.T) {
	w := newWorld(t)
	w.people()
	e := w.submit(dsr.Export, "ann", "bob")
	one := dsr.Step{Task: e.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), one))
	stale := w.other(&slow{w.source, func() {
		w.flow.get(e.Task + "-1").end(dsr.ExecutionFailed)
		w.sweep()
		d := w.submit(dsr.Deletion, "ann")
		w.settle()
		w.want(d, dsr.Success)
	}}, w.bucket)
	_, _ = stale.Collect(t.Context(), one) // whatever it says, nobody listens
	w.settle()
	if got := files(t, w.bucket, "segments/"); len(got) > 0 {
		t.Errorf("after SUCCESS of the deletion: %v", got)
	}
}

// slowBucket lets something else happen before it looks for the first segment.
type slowBucket struct {
	blob.Bucket
	hook func()
}

func (b *slowBucket) Head(ctx context.Context, key string) (blob.Info, error) {
	if h := b.hook; h != nil && strings.HasPrefix(key, "segments/") {
		b.hook = nil
		h()
	}
	return b.Bucket.Head(ctx, key)
}

func TestOldPackDoesNotTouchTheArchive(t *testing.T) {
	w := newWorld(t)
	w.people()
	e := w.submit(dsr.Export, "ann")
	one := dsr.Step{Task: e.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), one))
	w.do(w.Collect(t.Context(), one))
	first := w.other(w.source, &slowBucket{w.bucket, func() { // retried by the machine: Lambda.Unknown
		w.settle()
		w.want(e, dsr.Success)
	}})
	_, _ = first.Pack(t.Context(), one) // whatever it says, nobody listens
	w.want(e, dsr.Success)
	if _, err := w.bucket.Head(t.Context(), archive.Key(archive.Work(e.Task, w.status(e).Plan))); err != nil {
		t.Errorf("a SUCCESS without its file: %v", err)
	}
}

func TestRerunAfterWithdrawalFindsNothing(t *testing.T) {
	w := newWorld(t)
	w.people()
	e := w.submit(dsr.Export, "ann")
	one := dsr.Step{Task: e.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), one))
	w.do(w.Collect(t.Context(), one))
	w.do(w.Pack(t.Context(), one))
	w.flow.get(e.Task + "-1").end(dsr.ExecutionFailed)
	w.sweep()
	w.want(e, dsr.Failure)
	d := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(d, dsr.Success)
	if _, err := w.Rerun(t.Context(), project, e.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(e, dsr.Failure)
}

func TestDeletionRunAgainWaitsForExports(t *testing.T) {
	w := newWorld(t)
	w.settings.Batch = 1
	w.build()
	w.people()
	w.source.keep = 4
	d := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(d, dsr.Failure)
	if len(w.source.rows) < 12 {
		t.Fatal("nothing of ann is left")
	}
	w.source.keep = 0
	e := w.submit(dsr.Export, "ann", "bob")
	one := dsr.Step{Task: e.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), one))
	w.want(e, dsr.Started)
	r, err := w.Rerun(t.Context(), project, d.Task, dsr.By{})
	if err != nil {
		t.Fatal(err)
	}
	stale := w.other(&slow{w.source, func() {
		out := w.do(w.Begin(t.Context(), dsr.Step{Task: d.Task, Attempt: r.Attempt}))
		if out.Next != dsr.Later {
			t.Errorf("begin: %s, though an export that holds a claim is STARTED", out.Next)
		}
		w.drive(fmt.Sprintf("%s-%d", d.Task, r.Attempt))
		w.want(d, dsr.Started)
		w.flow.get(e.Task + "-1").end(dsr.ExecutionFailed)
	}}, w.bucket)
	_, _ = stale.Collect(t.Context(), one)
	w.settle()
	w.want(d, dsr.Success)
	for _, row := range w.source.rows {
		if string(row.id) == "ann" {
			t.Fatal("a record of ann is left")
		}
	}
}

// endless is a source whose Erase leaves something once and then is never done.
type endless struct {
	*source
	rounds int
}

func (s *endless) Erase(ctx context.Context, scope dsr.Scope, c string) (dsr.Progress, error) {
	if s.rounds == 0 {
		s.rounds++
		return dsr.Progress{Done: true}, nil
	}
	return dsr.Progress{Wait: time.Hour}, nil
}

func TestRedoEndsTheExecution(t *testing.T) {
	w := newWorld(t)
	w.people()
	s := w.other(&endless{source: w.source}, w.bucket)
	d := w.submit(dsr.Deletion, "ann")
	w.advance(25 * time.Hour)
	step := dsr.Step{Task: d.Task, Attempt: 1}
	step = w.do(s.Plan(t.Context(), step))
	step = w.do(s.Begin(t.Context(), step))
	asks := 0
	redos := 0
	for {
		for _, n := range step.Batches {
			in := dsr.Step{Task: d.Task, Attempt: 1, Batch: n}
			for in.Next = dsr.Again; in.Next == dsr.Again || in.Next == dsr.Later; asks++ {
				in = w.do(s.Erase(t.Context(), in))
			}
		}
		step = w.do(s.Verify(t.Context(), step))
		if step.Next != dsr.Redo {
			break
		}
		if redos++; redos > 1 {
			t.Fatalf("%d rounds, %d asks of one batch in one execution", redos, asks)
		}
	}
	if step.Next != dsr.Yield {
		t.Errorf("got %s, want the next execution to go on", step.Next)
	}
}

func TestClockPutBack(t *testing.T) {
	w := newWorld(t)
	w.submit(dsr.Export, "ann")
	w.advance(-24 * time.Hour)
	_, err := w.Submit(t.Context(), submission(dsr.Export, "bob"))
	if err != nil {
		t.Errorf("%v", err)
	}
}

func TestSegmentsThatDisagreeAreMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.settings = dsr.Settings{SegmentSize: 1}
	w.build()
	w.people()
	e := w.submit(dsr.Export, "ann")
	one := dsr.Step{Task: e.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), one))
	stale := w.other(&slow{w.source, func() {
		// The client sends an event again with more properties; received_at stays.
		for i := range w.source.rows {
			w.source.rows[i].data = strings.Replace(w.source.rows[i].data, "{", `{"more":"xxxxxxxxxxxxxxxx",`, 1)
		}
		w.do(w.Collect(t.Context(), one)) // the retry
	}}, w.bucket)
	_, _ = stale.Collect(t.Context(), one) // whatever it says, nobody listens
	w.settle()
	w.want(e, dsr.Success)
	for name, body := range w.unzip(e) {
		if strings.HasSuffix(name, ".jsonl") && strings.Count(body, "who") != strings.Count(body, "more") {
			t.Errorf("%s is of two minds", name)
		}
	}
}

func TestNoCursorKeepsWhatWasErased(t *testing.T) {
	w := newWorld(t)
	w.settings = dsr.Settings{Budget: 1, SegmentSize: 1, Laps: 30}
	w.step = time.Millisecond
	w.build()
	for i := range 3 {
		w.source.event("ann", w.now().Add(-time.Duration(i)*time.Minute), `{"who":"ann","iban":"DE8937040044"}`)
	}
	e := w.submit(dsr.Export, "ann")
	one := dsr.Step{Task: e.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), one))
	w.do(w.Collect(t.Context(), one))
	w.flow.get(e.Task + "-1").end(dsr.ExecutionFailed)
	w.sweep()
	w.want(e, dsr.Failure)
	d := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(d, dsr.Success)
	page, err := w.control.Query(t.Context(), table.Query{PK: "request#" + e.Task})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		for _, m := range regexp.MustCompile(`"sum":"([^"]+)"`).FindAllStringSubmatch(string(item.Data), -1) {
			b, _ := base64.StdEncoding.DecodeString(m[1])
			if strings.Contains(string(b), "ann") || strings.Contains(string(b), "DE8937040044") {
				t.Errorf("after SUCCESS the record %s of the export holds what was erased", item.SK)
			}
		}
	}
}

// Runs again count as open requests too.
func TestRerunKeepsToTheCap(t *testing.T) {
	w := newWorld(t)
	w.settings.Outstanding = 3
	w.build()
	var all []dsr.Request
	for range 2 {
		for range 3 {
			all = append(all, w.submit(dsr.Export, "nobody"))
		}
		w.settle()
	}
	for i, r := range all {
		_, err := w.Rerun(t.Context(), project, r.Task, dsr.By{})
		if refused := kind.Of(err) == kind.Throttled; refused != (i >= 3) || err != nil && !refused {
			t.Fatalf("run again number %d: %v", i+1, err)
		}
	}
}

// What was there before the request is in its export, wherever the clock is put.
func TestSnapshotIsNotBeforeTheRequest(t *testing.T) {
	w := newWorld(t)
	w.source.event("dan", w.now(), `{"who":"dan"}`)
	r, err := w.Submit(t.Context(), submission(dsr.Export, "dan"))
	if err != nil {
		t.Fatal(err)
	}
	w.advance(-2 * time.Minute)
	w.settle()
	if got := w.want(r, dsr.Success); got.Before.Events != 1 {
		t.Errorf("got %d events, want the one that was there", got.Before.Events)
	}
}
