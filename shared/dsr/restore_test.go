package dsr_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

// saved is a backup of a world: its records and those of its source.
type saved struct {
	items []table.Item
	rows  []row
	words map[string]dsr.Word
}

func (w *world) save() saved {
	w.t.Helper()
	s := saved{rows: slices.Clone(w.source.rows), words: maps.Clone(w.source.words)}
	err := w.control.Partitions(w.ctx, func(pk string) error {
		for q := (table.Query{PK: pk}); ; {
			page, err := w.control.Query(w.ctx, q)
			if err != nil {
				return err
			}
			s.items = append(s.items, page.Items...)
			if q.After = page.Next; q.After == "" {
				return nil
			}
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// restore puts a backup back, as at a point in time: the bucket and the executions
// are those of today.
func (w *world) restore(s saved) {
	w.t.Helper()
	w.control = table.NewMemory(w.now)
	for _, item := range s.items {
		if err := w.control.Write(w.ctx, table.Put(item, table.Cond{})); err != nil {
			w.t.Fatal(err)
		}
	}
	w.source.rows, w.source.marks, w.source.marked, w.source.words = slices.Clone(s.rows), nil, nil, maps.Clone(s.words)
	w.build()
}

func (w *world) left(id kind.Subject) (n int) {
	for _, r := range w.source.rows {
		if r.id == id {
			n++
		}
	}
	return n
}

// history is a deployment with a backup in the middle of its life: ann is exported
// before it and erased after it; a deletion of bob is accepted before it and ends
// after it; an export of cem is accepted before it and ends after it.
type history struct {
	saved
	ofAnn, ofCem, bob dsr.Request
	certified         bool // the certificate of bob is there
}

func (w *world) live() history {
	w.people()
	h := history{ofAnn: w.submit(dsr.Export, "ann")}
	w.settle()
	h.bob, h.ofCem = w.submit(dsr.Deletion, "bob"), w.submit(dsr.Export, "cem")
	h.saved = w.save()
	w.settle()
	w.want(w.submit(dsr.Deletion, "ann"), dsr.Pending)
	w.settle()
	w.want(h.bob, dsr.Success)
	w.want(h.ofCem, dsr.Success)
	if w.left("ann")+w.left("bob") > 0 {
		w.t.Fatal("ann and bob should be gone")
	}
	h.certified = true
	return h
}

// afterwards checks what holds after a restore, and lets everything come to its end.
func (w *world) afterwards(h history) {
	w.t.Helper()
	if w.left("ann")+w.left("bob") > 0 || w.left("cem") != 1 {
		w.t.Errorf("ann, bob and cem have %d, %d and %d records, want 0, 0 and 1", w.left("ann"), w.left("bob"), w.left("cem"))
	}
	if got := len(w.source.marks); got < 2 {
		w.t.Errorf("%d tombstones, want those of ann and bob", got)
	}
	if e := w.status(h.ofAnn); !e.Withdrawn || len(files(w.t, w.bucket, "exports/"+h.ofAnn.Task)) > 0 {
		w.t.Error("the archive that holds ann was not taken back")
	}
	// Nothing moves until it is confirmed, however often the sweep comes by.
	w.settle()
	for _, r := range []dsr.Request{h.bob, h.ofCem} {
		if got := w.want(r, dsr.Staging); got.Hold != dsr.HoldRestore || !strings.Contains(got.Reason, "backup") {
			w.t.Errorf("the %s is not held: %q", r.Type, got.Reason)
		}
	}
	// Not even a task of an execution that was stopped does anything.
	held := w.status(h.bob)
	if out, err := w.Plan(w.ctx, dsr.Step{Task: held.Task, Attempt: held.Attempt}); err != nil || out.Next != dsr.Closed {
		w.t.Errorf("a task of a held request answers %s, %v", out.Next, err)
	}
	// That of bob had begun in the life that was lost: it cannot be cancelled.
	if _, err := w.Cancel(w.ctx, project, h.bob.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed {
		w.t.Errorf("cancelling a deletion that had begun: got %v, want %v", err, kind.NotAllowed)
	}
	// Bob is back since, which concerns neither the restore nor his old deletion.
	w.advance(time.Hour)
	w.source.event("bob", w.now(), `{"who":"the new bob"}`)
	for _, r := range []dsr.Request{h.bob, h.ofCem} {
		got, err := w.Confirm(w.ctx, project, r.Task, dsr.By{Actor: "owner@example.com"})
		if err != nil || got.Hold != "" {
			w.t.Errorf("confirm: %v", err)
		}
		if _, err := w.Confirm(w.ctx, project, r.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed {
			w.t.Errorf("confirming twice: got %v, want %v", err, kind.NotAllowed)
		}
	}
	w.settle()
	bob := w.want(h.bob, dsr.Success)
	if w.left("bob") != 1 {
		w.t.Errorf("%d records of the new bob, want 1", w.left("bob"))
	}
	text := read(w.t, w.bucket, "certificates/"+bob.Task+".json")
	var c struct {
		Restored dsr.Tally
		Earlier  struct{ Sources []struct{ Before dsr.Tally } }
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil || c.Restored.Events != 10 || c.Restored.Subjects != 1 {
		w.t.Errorf("the certificate tells of %+v erased by the restore, want 10 events of one person (%v)", c.Restored, err)
	}
	if h.certified && (len(c.Earlier.Sources) != 1 || c.Earlier.Sources[0].Before.Events != 10) {
		w.t.Errorf("the certificate tells of the one before the restore: %+v, want its 10 events", c.Earlier)
	}
	w.checksum(text)
	w.want(h.ofCem, dsr.Success)
	if got := w.unzip(h.ofCem); len(got) == 0 {
		w.t.Error("the export that was confirmed has no archive")
	}
}

// checksum checks a certificate as docs/format.md says.
func (w *world) checksum(text string) {
	w.t.Helper()
	field := regexp.MustCompile(`(?m)^  "sha256": "([0-9a-f]{64})"`)
	found := field.FindStringSubmatch(text)
	sum := sha256.Sum256([]byte(field.ReplaceAllString(text, `  "sha256": ""`)))
	if len(found) != 2 || found[1] != hex.EncodeToString(sum[:]) {
		w.t.Error("the checksum of the certificate is wrong")
	}
}

func TestRestoreErasesAgain(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	w.restore(h.saved)
	if w.left("ann") == 0 || w.left("bob") == 0 {
		t.Fatal("the backup does not hold ann and bob")
	}
	got, err := w.Restore(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := dsr.Restoration{Erasures: 2, Erased: dsr.Tally{Events: 20, Profiles: 1, Subjects: 2}, Archives: 1, Held: 2, Alone: got.Alone}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	again, err := w.Restore(w.ctx)
	if want := (dsr.Restoration{Erasures: 2, Held: 2, Alone: got.Alone}); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("a second time: got %+v, %v, want %+v", again, err, want)
	}
	w.afterwards(h)
}

// The key was rotated between an export and the erasure of who is in it: the ledger
// knows them under the new key, and the export is marked under the old.
func TestRestoreOverARotationOfTheKey(t *testing.T) {
	w := newWorld(t)
	w.people()
	export := w.submit(dsr.Export, "ann")
	w.settle()
	s := w.save()
	w.keys = append(w.keys, kind.Key{Version: 2, Secret: []byte("a newer key")})
	w.build()
	w.submit(dsr.Deletion, "ann")
	w.settle()
	w.restore(s)
	got, err := w.Restore(w.ctx)
	if err != nil || got.Erased.Subjects != 1 || got.Archives != 1 || !w.status(export).Withdrawn {
		t.Errorf("got %+v, %v; want ann erased again and her archive taken back", got, err)
	}
}

// The ledger is only in the second place, as when the bucket was lost too.
func TestRestoreFromTheCopyOfTheLedger(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	lost := w.bucket
	w.bucket = blob.NewMemory(w.now)
	w.restore(h.saved)
	if err := w.Adopt(w.ctx, blob.NewMemory(w.now)); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Restore(w.ctx); err != nil || got.Erased.Subjects != 2 {
		t.Fatalf("got %+v, %v, want two people erased again", got, err)
	}
	if got, want := files(t, w.bucket, "ledger/"), files(t, lost, "ledger/"); !slices.Equal(got, want) {
		t.Errorf("the ledger has %d entries, want %d", len(got), len(want))
	}
	if err := w.Adopt(w.ctx, lost); err != nil {
		t.Fatal(err)
	}
	if got := files(t, w.bucket, "certificates/"); len(got) != 2 {
		t.Errorf("%d certificates were taken over, want 2", len(got))
	}
	w.afterwards(h)
}

func TestRestoreStopsAtADamagedLedger(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	name := files(t, w.bucket, "ledger/")[1]
	for text, want := range map[string]kind.Kind{"": kind.Corrupt, "{}": kind.Corrupt, strings.Replace(read(t, w.bucket, name), `"version":1`, `"version":2`, 1): kind.Invalid} {
		if err := w.bucket.Put(t.Context(), name, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		w.restore(h.saved)
		_, err := w.Restore(w.ctx)
		if kind.Of(err) != want || !strings.Contains(kind.Sentence(err), strings.TrimPrefix(name, "ledger/")) {
			t.Errorf("got %v, want %v that names the entry", err, want)
		}
		if w.left("ann") == 0 || w.status(h.ofCem).Hold != "" {
			t.Error("something was done")
		}
	}
}

// Each write of a restore fails once, in both ways, and running it again comes to
// the same end.
func TestEveryWriteOfARestoreMayFail(t *testing.T) {
	for _, mode := range []tabletest.Mode{tabletest.Lost, tabletest.Unanswered} {
		for n := 1; ; n++ {
			w := newWorld(t)
			h := w.live()
			w.restore(h.saved)
			fault := tabletest.NewFault(n, mode)
			whole := w.control
			w.control = tabletest.Faulty(whole, fault)
			w.build()
			_, err := w.Restore(w.ctx)
			if err == nil && fault.Happened() {
				t.Errorf("write %d %v: the restore says that it ended well", n, mode)
			}
			w.control = whole
			w.build()
			if _, err := w.Restore(w.ctx); err != nil {
				t.Errorf("write %d %v: the restore fails again: %v", n, mode, err)
			}
			if w.left("ann")+w.left("bob") > 0 {
				t.Errorf("write %d %v: ann or bob is back", n, mode)
			}
			for _, r := range []dsr.Request{h.bob, h.ofCem} {
				w.want(r, dsr.Staging)
				if _, err := w.Confirm(w.ctx, project, r.Task, dsr.By{}); err != nil {
					t.Errorf("write %d %v: confirm: %v", n, mode, err)
				}
			}
			w.settle()
			w.want(h.bob, dsr.Success)
			w.want(h.ofCem, dsr.Success)
			if !fault.Happened() {
				break
			}
		}
	}
}

// A source that cannot erase ends the restore, and nobody is told that it is done.
func TestRestoreThatCannotErase(t *testing.T) {
	w := newWorld(t)
	h := w.live()
	w.restore(h.saved)
	w.source.keep = 100
	if _, err := w.Restore(w.ctx); kind.Of(err) != kind.Corrupt {
		t.Errorf("got %v, want %v", err, kind.Corrupt)
	}
}

// A request that is held stands in nobody's way.
func TestHeldRequestsDoNotBlock(t *testing.T) {
	w := newWorld(t)
	w.people()
	export := w.submit(dsr.Export, "ann")
	w.settings = dsr.Settings{Budget: 1, SegmentSize: 1, Laps: 2}
	w.step = time.Millisecond
	w.build()
	w.run() // it has claimed ann and read a part
	w.want(export, dsr.Started)
	w.restore(w.save())
	if _, err := w.Restore(w.ctx); err != nil {
		t.Fatal(err)
	}
	deletion := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(deletion, dsr.Success)
	if _, err := w.Confirm(w.ctx, project, export.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(export, dsr.Failure) // nothing is left of her
}

func (s *source) EachSubject(_ context.Context, f func(project string, id kind.Subject) error) error {
	s.mu.Lock()
	rows := slices.Clone(s.rows)
	s.mu.Unlock()
	for _, r := range rows {
		if err := f(project, r.id); err != nil {
			return err
		}
	}
	return nil
}
