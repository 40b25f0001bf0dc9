package dsr_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"lethe/shared/blob"
	"lethe/shared/blob/blobtest"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

// outcome is what a user can see at the end of exports and a deletion.
type outcome struct {
	statuses string
	files    map[string]string // of bob's archive, but what tells of task and time
	archives int
	records  int
	marks    int
	open     int64
}

// answer runs an export of bob, an export of ann and bob, and a deletion of ann,
// each sent again under its Idempotency-Key when the answer was an error.
func (w *world) answer() outcome {
	w.t.Helper()
	w.people()
	send := func(key string, sub dsr.Submission) dsr.Request {
		sub.IdempotencyKey = key
		for range 3 {
			if r, err := w.Submit(w.ctx, sub); err == nil {
				return r
			} else if kind.Of(err) != kind.Unavailable {
				w.t.Fatalf("submit: %v", err)
			}
		}
		w.t.Fatal("submit fails again and again")
		return dsr.Request{}
	}
	bob := send("1", submission(dsr.Export, "bob"))
	both := send("2", submission(dsr.Export, "ann", "bob"))
	w.run()
	ann := send("3", submission(dsr.Deletion, "ann"))
	for range 100 {
		w.run()
		if err := w.Sweep(w.ctx); err != nil && kind.Of(err) == kind.Internal {
			w.t.Fatalf("sweep: %v", err)
		}
		w.advance(1e12)
		if w.flow.idle() && !w.status(bob).Status.Open() && !w.status(both).Status.Open() && !w.status(ann).Status.Open() {
			break
		}
	}
	out := outcome{
		statuses: fmt.Sprint(w.status(bob).Status, w.status(both).Status, w.status(both).Withdrawn, w.status(ann).Status, w.status(ann).Before),
		files:    w.unzip(bob), archives: len(files(w.t, w.bucket, "exports/")), records: len(w.source.rows), marks: len(w.source.marks),
	}
	maps.DeleteFunc(out.files, func(name, _ string) bool { return !strings.HasPrefix(name, "subjects/") })
	checkCertificate(w.t, w, ann, 1)
	count, err := w.control.Get(w.ctx, table.Key{PK: "project#" + project, SK: "outstanding"})
	if err != nil {
		w.t.Fatal(err)
	}
	out.open = count.Count
	if left := files(w.t, w.bucket, "segments/"); len(left) > 0 {
		w.t.Errorf("segments are left: %d", len(left))
	}
	return out
}

func (o outcome) differs(want outcome) string {
	switch {
	case o.statuses != want.statuses:
		return fmt.Sprintf("statuses: got %s, want %s", o.statuses, want.statuses)
	case !maps.Equal(o.files, want.files):
		return "the archive differs"
	case o.archives != want.archives || o.records != want.records || o.marks != want.marks:
		return fmt.Sprintf("archives, records, tombstones: got %d %d %d, want %d %d %d", o.archives, o.records, o.marks, want.archives, want.records, want.marks)
	case o.open != 0:
		return fmt.Sprintf("the count of open requests ends at %d, want 0", o.open)
	}
	return ""
}

// Every write of a request's life fails once, in each way a write can fail, and
// nothing a user sees is different.
func TestEveryWriteMayFail(t *testing.T) {
	small := dsr.Settings{SegmentSize: 1, Batch: 1}
	start := func(t *testing.T) *world {
		w := newWorld(t)
		w.settings = small
		return w
	}
	plain := start(t)
	plain.build()
	want := plain.answer()
	if want.open != 0 || want.archives != 1 {
		t.Fatalf("without a fault: %+v", want)
	}
	t.Run("records", func(t *testing.T) {
		for _, mode := range []tabletest.Mode{tabletest.Lost, tabletest.Unanswered, tabletest.Torn} {
			for n := 1; ; n++ {
				w := start(t)
				fault := tabletest.NewFault(n, mode)
				w.control = tabletest.Faulty(w.control, fault)
				w.build()
				got := w.answer()
				if diff := got.differs(want); diff != "" {
					t.Errorf("write %d %v: %s", n, mode, diff)
				}
				if !fault.Happened() {
					break
				}
			}
		}
	})
	t.Run("files", func(t *testing.T) {
		for _, mode := range blobtest.Faults() {
			for n := 1; ; n++ {
				w := start(t)
				faulty := blobtest.NewFaulty(w.bucket, n, mode)
				w.bucket = blob.Bucket(faulty)
				w.build()
				got := w.answer()
				if diff := got.differs(want); diff != "" {
					t.Errorf("write %d %v: %s", n, mode, diff)
				}
				if faulty.Writes() < n {
					break
				}
			}
		}
	})
}
