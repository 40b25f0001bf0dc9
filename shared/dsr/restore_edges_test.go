package dsr_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// behind fails the test unless the records are known to be older than the ledger,
// or not to be.
func (w *world) behind(want bool) {
	w.t.Helper()
	got, err := w.Behind(w.ctx)
	if err != nil || got != want {
		w.t.Errorf("records behind the ledger: got %v, %v, want %v", got, err, want)
	}
}

// Records that were put back are told from current ones whatever became of the
// ledger beside them, until a restore has come to its end.
func TestBehindTheLedger(t *testing.T) {
	w := newWorld(t)
	w.behind(false)
	h := w.live()
	w.behind(false)
	w.restore(h.saved)
	w.behind(true) // the ledger is current, in both places
	ledger := w.bucket
	w.bucket = blob.NewMemory(w.now)
	w.restore(h.saved)
	w.behind(true) // only the copy is
	w.bucket, w.copy = ledger, blob.NewMemory(w.now)
	w.restore(h.saved)
	w.source.keep = 100
	if _, err := w.Restore(w.ctx); err == nil {
		t.Fatal("the restore should have failed")
	}
	w.behind(true)
	w.source.keep = 0
	if _, err := w.Restore(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.behind(false) // also of the deletion of ann, which the records do not know
	w.submit(dsr.Deletion, "cem")
	w.settle()
	w.behind(false)
}

// Records in which a deletion had begun and broke are behind those in which it was run
// again and came to its end: whom it erased is back in them.
func TestBehindARerun(t *testing.T) {
	w := newWorld(t)
	w.people()
	r := w.submit(dsr.Deletion, "ann")
	step := dsr.Step{Task: r.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), step))
	w.advance(25 * time.Hour)
	w.do(w.Begin(t.Context(), step))
	if _, err := w.Finish(t.Context(), dsr.Step{Task: r.Task, Attempt: 1, Failure: &dsr.Failed{Error: "Corrupt"}}); err != nil {
		t.Fatal(err)
	}
	s := w.save()
	w.behind(false)
	if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(r, dsr.Success)
	w.behind(false)
	w.restore(s)
	if w.left("ann") == 0 {
		t.Fatal("the backup does not hold ann")
	}
	w.behind(true)
	if _, err := w.Restore(w.ctx); err != nil || w.left("ann") > 0 {
		t.Errorf("%d records of ann are left, %v", w.left("ann"), err)
	}
	w.behind(false)
}

// What is no entry by its name lies in the ledger's folder and keeps nobody from
// anything.
func TestJunkInTheLedger(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	for _, b := range []blob.Bucket{w.bucket, w.copy} {
		for _, key := range []string{"ledger/.DS_Store", "ledger/notes.txt", "ledger/old/1769950860519-92e62e26-3d6f-4d11-b106-29bbaa26d623-3425cb7c584a95c1.json"} {
			if err := b.Put(t.Context(), key, strings.NewReader("junk")); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.behind(false)
	w.restore(h.saved)
	w.behind(true)
	if _, err := w.Restore(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.afterwards(h)
	// One that looks like an entry, of this release or another, could be one that was damaged.
	for _, name := range []string{"92e62e26-3d6f-4d11-b106-29bbaa26d623-3425cb7c584a95c1", "92e62e26-3d6f-4d11-b106-29bbaa26d623"} {
		key := "ledger/1769950860519-" + name + ".json"
		if err := w.bucket.Put(t.Context(), key, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Behind(t.Context()); kind.Of(err) != kind.Corrupt || !strings.Contains(kind.Sentence(err), "put it back from another copy") {
			t.Errorf("a damaged entry: got %v, want %v that says what to do", err, kind.Corrupt)
		}
		if err := w.bucket.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}

// A copy of the ledger that is set up late gets what was there before.
func TestCopyLedger(t *testing.T) {
	w := newWorld(t)
	if err := w.CopyLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.live()
	want := files(t, w.bucket, "ledger/")
	w.copy = blob.NewMemory(w.now)
	w.build()
	for range 2 {
		if err := w.CopyLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := files(t, w.copy, "ledger/"); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("the copy has %v, want %v", got, want)
		}
	}
}

// A certificate whose deletion came in after the backup is told of, and goes when its
// request would have gone.
func TestCertificatesAlone(t *testing.T) {
	w := newWorld(t)
	w.people()
	s := w.save()
	deletion := w.submit(dsr.Deletion, "ann")
	w.settle()
	completed := w.want(deletion, dsr.Success).Finished
	w.advance(time.Hour)
	const damaged = "92e62e26-3d6f-4d11-b106-29bbaa26d623"
	for _, name := range []string{damaged + ".json", ".DS_Store", "notes.json"} {
		if err := w.bucket.Put(t.Context(), "certificates/"+name, strings.NewReader("junk")); err != nil {
			t.Fatal(err)
		}
	}
	w.restore(s)
	for range 2 {
		got, err := w.Restore(w.ctx)
		if err != nil || len(got.Alone) != 2 || got.Alone[0] != (dsr.Alone{Task: deletion.Task, Project: project, Completed: completed}) || got.Alone[1].Task != damaged {
			t.Fatalf("got %+v, %v, want the certificate of the deletion, and the damaged one", got.Alone, err)
		}
	}
	for _, c := range []struct {
		months int
		want   []string
	}{
		{23, []string{"certificates/.DS_Store", "certificates/" + damaged + ".json", "certificates/" + deletion.Task + ".json", "certificates/notes.json"}},
		{2, []string{"certificates/.DS_Store", "certificates/notes.json"}},
	} {
		w.advance(w.now().AddDate(0, c.months, 0).Sub(w.now()))
		if err := w.Sweep(w.ctx); err != nil {
			t.Fatal(err)
		}
		slices.Sort(c.want)
		if got := files(t, w.bucket, "certificates/"); !slices.Equal(got, c.want) {
			t.Errorf("%d months later there are %v, want %v", c.months, got, c.want)
		}
	}
	if w.mentions("ended#") > 0 {
		t.Error("what went is still looked for")
	}
}

// What has to be sent in again after a restore is what was open or had broken; what
// was answered has not.
func TestLostRequests(t *testing.T) {
	w := newWorld(t)
	w.people()
	s := w.save()
	w.source.broken = true
	broken := w.submit(dsr.Export, "ann")
	w.settle()
	w.source.broken = false
	for _, id := range []string{"nobody", "bob"} { // a FAILURE that is an answer, and a SUCCESS
		w.submit(dsr.Export, id)
	}
	w.settle()
	open := w.submit(dsr.Deletion, "ann")
	after := w.control
	w.restore(s)
	lost, err := w.Lost(t.Context(), after)
	if err != nil || len(lost) != 2 || lost[0].Task != broken.Task || lost[1].Task != open.Task || !lost[1].Due.Equal(open.Due) {
		t.Errorf("got %+v, %v, want the broken and the open one", lost, err)
	}
}

// A ledger under a key that is not there finds nobody: it is refused.
func TestRestoreNeedsEveryKey(t *testing.T) {
	w := newWorld(t)
	w.people()
	s := w.save()
	all := append(w.keys, kind.Key{Version: 2, Secret: []byte("a newer key")})
	w.keys = all
	w.build()
	w.submit(dsr.Deletion, "ann")
	w.settle()
	w.keys = all[:1]
	w.restore(s)
	for _, act := range []func() error{
		func() error { _, err := w.Restore(w.ctx); return err },
		func() error { _, err := w.Behind(w.ctx); return err },
	} {
		if err := act(); kind.Of(err) != kind.Corrupt || !strings.Contains(kind.Sentence(err), `version "2"`) {
			t.Errorf("got %v, want %v that names version 2", err, kind.Corrupt)
		}
	}
	w.keys = all
	w.restore(s)
	if got, err := w.Restore(w.ctx); err != nil || got.Erased.Subjects != 1 {
		t.Errorf("with both keys: got %+v, %v", got, err)
	}
}

// The ledger of another deployment is neither taken over nor added to.
func TestRestoreRefusesTheLedgerOfAnother(t *testing.T) {
	other := newWorld(t)
	other.keys = kind.Keyring{{Version: 1, Secret: []byte("the key of another deployment")}}
	other.build()
	other.live()
	w := newWorld(t)
	h := w.live()
	w.copy = other.copy
	w.restore(h.saved)
	theirs, ours := files(t, w.copy, "ledger/"), files(t, w.bucket, "ledger/")
	for _, act := range []func() error{
		func() error { _, err := w.Restore(w.ctx); return err },
		func() error { _, err := w.Behind(w.ctx); return err },
		func() error { return w.Adopt(w.ctx, other.bucket) },
	} {
		if err := act(); kind.Of(err) != kind.Corrupt || !strings.Contains(kind.Sentence(err), "another deployment") {
			t.Errorf("got %v, want %v", err, kind.Corrupt)
		}
	}
	if !slices.Equal(files(t, w.copy, "ledger/"), theirs) || !slices.Equal(files(t, w.bucket, "ledger/"), ours) {
		t.Error("the ledgers were mixed")
	}
	if w.status(h.ofCem).Hold != "" {
		t.Error("something was done")
	}
}

// An entry that was changed is not believed.
func TestLedgerEntriesAreSealed(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	name := files(t, w.bucket, "ledger/")[0]
	entry := read(t, w.bucket, name)
	changed := strings.Replace(entry, `"project":"1234567"`, `"project":"7654321"`, 1)
	if changed == entry {
		t.Fatal("the entry is not as expected")
	}
	if err := w.bucket.Put(t.Context(), name, strings.NewReader(changed)); err != nil {
		t.Fatal(err)
	}
	w.restore(h.saved)
	if _, err := w.Restore(w.ctx); kind.Of(err) != kind.Corrupt || !strings.Contains(kind.Sentence(err), "damaged") {
		t.Errorf("got %v, want %v", err, kind.Corrupt)
	}
}

// A deletion that begins while the restore stops executions is not missed.
func TestRestoreSeesADeletionThatBegins(t *testing.T) {
	w := newWorld(t)
	w.people()
	deletion := w.submit(dsr.Deletion, "ann")
	w.restore(w.save())
	w.run() // into its window
	w.advance(100 * 60 * 60 * 1e9)
	w.flow.stopping = func(string) {
		w.flow.stopping = nil
		w.run()
		w.source.event("ann", w.status(deletion).Created, `{}`) // and she came back
	}
	got, err := w.Restore(w.ctx)
	if err != nil || got.Erasures != 1 || got.Erased.Subjects != 1 || w.left("ann") > 0 {
		t.Errorf("got %+v, %v, and %d records of ann; want her erased", got, err, w.left("ann"))
	}
	w.behind(false)
}

// What exports read out after the backup goes, since no record leads to it.
func TestRestoreRemovesUnknownArchives(t *testing.T) {
	w := newWorld(t)
	w.people()
	kept, tried := w.submit(dsr.Export, "cem"), w.submit(dsr.Export, "nobody")
	w.settle()
	w.want(tried, dsr.Failure)
	s := w.save()
	unknown := w.submit(dsr.Export, "ann")
	// The one that found nothing is run again, and hands out a file of its second try.
	w.source.event("nobody", w.now(), `{}`)
	if _, err := w.Rerun(w.ctx, project, tried.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	for _, r := range []dsr.Request{unknown, tried} {
		w.want(r, dsr.Success)
	}
	for _, key := range []string{"segments/" + unknown.Task + "/0/000000/000000.events", "exports/" + kept.Task + "/7.zip"} {
		if err := w.bucket.Put(w.ctx, key, strings.NewReader("of ann")); err != nil {
			t.Fatal(err)
		}
	}
	w.restore(s)
	got, err := w.Restore(w.ctx)
	if err != nil || got.Unknown != 3 {
		t.Errorf("got %+v, %v, want three unknown archives removed", got, err)
	}
	if left := append(files(t, w.bucket, "exports/"), files(t, w.bucket, "segments/")...); len(left) != 1 || !strings.Contains(left[0], kept.Task) {
		t.Errorf("left: %d files, want the archive of the export that is known", len(left))
	}
	if len(w.unzip(kept)) == 0 {
		t.Error("the archive that was kept cannot be read")
	}
}

// What waits after a restore can be ended, but for a deletion that had begun, and
// its reason says so.
func TestCancelWhatIsHeld(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	if _, err := w.Cancel(w.ctx, project, h.ofAnn.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed {
		t.Errorf("cancelling an export that ended: got %v, want %v", err, kind.NotAllowed)
	}
	running := w.submit(dsr.Export, "cem")
	if _, err := w.Cancel(w.ctx, project, running.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed {
		t.Errorf("cancelling an export at work: got %v, want %v", err, kind.NotAllowed)
	}
	w.restore(h.saved)
	if _, err := w.Restore(w.ctx); err != nil {
		t.Fatal(err)
	}
	if reason := w.status(h.bob).Reason; !strings.Contains(reason, "cannot be cancelled") {
		t.Errorf("the deletion that had begun says %q", reason)
	}
	if reason := w.status(h.ofCem).Reason; !strings.Contains(reason, "or cancel it") {
		t.Errorf("the export says %q", reason)
	}
	got, err := w.Cancel(w.ctx, project, h.ofCem.Task, dsr.By{Actor: "owner@example.com"})
	if err != nil || got.Status != dsr.Revoked || got.Hold != "" || got.Reason != "" {
		t.Errorf("cancel: got %s held %q because %q, %v", got.Status, got.Hold, got.Reason, err)
	}
	w.settle()
	w.want(h.ofCem, dsr.Revoked)
}

// A request that was held in the backup, confirmed after it and is held again has
// the execution stopped that the confirmation started, and goes on under a name
// that was not used.
func TestRestoreHoldsAgain(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	w.restore(h.saved)
	if _, err := w.Restore(w.ctx); err != nil {
		t.Fatal(err)
	}
	held := w.save()
	if _, err := w.Confirm(w.ctx, project, h.ofCem.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.restore(held)
	if _, err := w.Restore(w.ctx); err != nil {
		t.Fatal(err)
	}
	if !w.flow.idle() {
		t.Error("the execution of the life that was lost still runs")
	}
	if _, err := w.Confirm(w.ctx, project, h.ofCem.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	if w.flow.idle() {
		t.Error("confirming started nothing")
	}
	w.settle()
	w.want(h.ofCem, dsr.Success)
}
