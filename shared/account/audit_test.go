package account_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

var seals = kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}

// A line is an entry of the trail as it is exported.
type line struct {
	Number   int64
	Previous string
	dsr.Entry
}

// trail is every entry of a trail.
func (w *world) trail(t *testing.T, project string) []line {
	t.Helper()
	var all []line
	err := w.Entries(t.Context(), project, 1, func(n int64, stored []byte) error {
		var l line
		if err := json.Unmarshal(stored, &l); err != nil || l.Number != n {
			t.Errorf("entry %d: %s, %v", n, stored, err)
		}
		all = append(all, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (w *world) record(t *testing.T, project, action string) {
	t.Helper()
	if err := w.Record(t.Context(), dsr.Entry{Project: project, Time: w.now, Actor: "pat@example.com", Action: action}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) verify(t *testing.T, files blob.Bucket, project string) account.Verified {
	t.Helper()
	v, err := w.Verify(t.Context(), files, seals, project)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What is recorded is written with what it tells of, or not at all.
func TestRecordIsOneWithTheChange(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	key := table.Key{PK: "something", SK: "else"}
	e := dsr.Entry{Project: c.ProjectID, Time: w.now, Actor: "pat@example.com", Action: "try", Task: "t", From: "192.0.2.1"}
	before := len(w.trail(t, c.ProjectID))
	if err := w.Record(t.Context(), e, table.Put(table.Item{Key: key}, table.IfAbsent())); err != nil {
		t.Fatal(err)
	}
	err := w.Record(t.Context(), e, table.Check(table.Key{PK: "a", SK: "b"}, table.IfAbsent()), table.Put(table.Item{Key: key}, table.IfAbsent()))
	if failed := table.Failed(err); kind.Of(err) != kind.Conflict || len(failed) != 1 || failed[0] != 1 {
		t.Errorf("an operation that conflicts: got %v, want %v at position 1", err, kind.Conflict)
	}
	got := w.trail(t, c.ProjectID)
	if len(got) != before+1 {
		t.Fatalf("%d entries, want one of what was done and none of what was not", len(got)-before)
	}
	if last := got[before]; last.Action != "try" || last.From != "192.0.2.1" || last.Task != "t" || last.Actor != "pat@example.com" {
		t.Errorf("got %+v", last)
	}
	for _, id := range []string{"x", "1#2"} {
		if err := w.Record(t.Context(), dsr.Entry{Project: id}); kind.Of(err) != kind.Invalid {
			t.Errorf("project %q: got %v, want %v", id, err, kind.Invalid)
		}
	}
}

// An operation and the trail may meet others at once: the caller is told of their
// operation alone.
func TestRecordTellsOfNoConflictOfItsOwn(t *testing.T) {
	w := newWorld()
	project := w.found(t).ProjectID
	key := table.Key{PK: "something", SK: "else"}
	met := &meeting{Table: w.control}
	met.after = func(read table.Key) {
		if !strings.Contains(read.SK, "head") {
			return
		}
		met.after = nil
		w.record(t, project, "another")
		if err := w.control.Write(t.Context(), table.Put(table.Item{Key: key}, table.IfAbsent())); err != nil {
			t.Error(err)
		}
	}
	a := account.New(met, func() time.Time { return w.now })
	err := a.Record(t.Context(), dsr.Entry{Project: project, Time: w.now, Actor: "pat@example.com", Action: "try"}, table.Put(table.Item{Key: key}, table.IfAbsent()))
	if failed := table.Failed(err); kind.Of(err) != kind.Conflict || len(failed) != 1 || failed[0] != 0 {
		t.Errorf("got %v at %v, want %v at position 0 alone", err, failed, kind.Conflict)
	}
}

// Many processes write at once, and the trail is whole all the same.
func TestRecordInAStorm(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	before := len(w.trail(t, c.ProjectID))
	const writers, each = 20, 5
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			a := account.New(w.control, func() time.Time { return start })
			for n := range each {
				if err := a.Record(t.Context(), dsr.Entry{Project: c.ProjectID, Time: start, Action: fmt.Sprint(i, " ", n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if v := w.verify(t, blob.NewMemory(func() time.Time { return w.now }), c.ProjectID); len(v.Faults) > 0 || v.Entries != int64(before+writers*each) {
		t.Errorf("got %+v, want %d entries and no fault", v, before+writers*each)
	}
}

// Whoever changes a trail by hand is found out, whatever they do.
func TestVerifyFindsWhatWasChanged(t *testing.T) {
	const entries = 8
	put := func(w *world, item table.Item) { _ = w.control.Write(t.Context(), table.Put(item, table.Cond{})) }
	for name, c := range map[string]struct {
		tamper func(w *world, at func(n int) table.Item, head table.Item)
		says   string // "" is a good trail
	}{
		"nothing": {func(*world, func(int) table.Item, table.Item) {}, ""},
		"a word": {func(w *world, at func(int) table.Item, _ table.Item) {
			item := at(4)
			item.Data = bytes.Replace(item.Data, []byte("pat@"), []byte("sam@"), 1)
			put(w, item)
		}, "Entry 4 was changed"},
		"a word of the last": {func(w *world, at func(int) table.Item, _ table.Item) {
			item := at(entries)
			item.Data = bytes.Replace(item.Data, []byte("pat@"), []byte("sam@"), 1)
			put(w, item)
		}, "Entry 8 was changed"},
		"one taken away": {func(w *world, at func(int) table.Item, _ table.Item) {
			_ = w.control.Write(t.Context(), table.Delete(at(4).Key, table.Cond{}))
		}, "from 4 to 4 are missing"},
		"the last taken away": {func(w *world, at func(int) table.Item, _ table.Item) {
			_ = w.control.Write(t.Context(), table.Delete(at(entries).Key, table.Cond{}))
		}, "from 8 to 8 are missing"},
		"the first taken away": {func(w *world, at func(int) table.Item, _ table.Item) {
			_ = w.control.Write(t.Context(), table.Delete(at(1).Key, table.Cond{}), table.Delete(at(2).Key, table.Cond{}))
		}, "before entry 3 are missing"},
		"all taken away": {func(w *world, at func(int) table.Item, _ table.Item) {
			for n := 1; n <= entries; n++ {
				_ = w.control.Write(t.Context(), table.Delete(at(n).Key, table.Cond{}))
			}
		}, "All 8 entries are missing"},
		"cut off, with its head": {func(w *world, at func(int) table.Item, head table.Item) {
			for n := 5; n <= entries; n++ {
				_ = w.control.Write(t.Context(), table.Delete(at(n).Key, table.Cond{}))
			}
			var next line
			_ = json.Unmarshal(at(4).Data, &next)
			head.Data = []byte(fmt.Sprintf(`{"number":4,"hash":%q,"expires":"2030-01-01T00:00:00Z"}`, sum(at(4).Data)))
			put(w, head)
		}, "the trail went to entry 8; now it ends at entry 4"},
		"written anew from an entry on": {func(w *world, at func(int) table.Item, head table.Item) {
			item := at(5)
			item.Data = bytes.Replace(item.Data, []byte("pat@"), []byte("sam@"), 1)
			put(w, item)
			hash := sum(item.Data)
			for n := 6; n <= entries; n++ {
				next := at(n)
				var l line
				_ = json.Unmarshal(next.Data, &l)
				next.Data = bytes.Replace(next.Data, []byte(l.Previous), []byte(hash), 1)
				put(w, next)
				hash = sum(next.Data)
			}
			head.Data = []byte(fmt.Sprintf(`{"number":8,"hash":%q,"expires":"2030-01-01T00:00:00Z"}`, hash))
			put(w, head)
		}, "Entry 8 is not the one that it was on 2026-03-09"},
	} {
		w := newWorld()
		found := w.found(t)
		project := found.ProjectID
		for len(w.trail(t, project)) < entries {
			w.record(t, project, "do something")
		}
		files := blob.NewMemory(func() time.Time { return w.now })
		if err := w.KeepHeads(t.Context(), files, seals); err != nil {
			t.Fatal(err)
		}
		get := func(sk string) table.Item {
			item, err := w.control.Get(t.Context(), table.Key{PK: "account#audit#" + project, SK: sk})
			if err != nil {
				t.Fatal(err)
			}
			return item
		}
		at := func(n int) table.Item { return get(fmt.Sprintf("entry#%012d", n)) }
		c.tamper(w, at, get("head"))
		v := w.verify(t, files, project)
		if c.says == "" && (len(v.Faults) > 0 || v.Entries != entries || v.Heads != 1) || !strings.Contains(strings.Join(v.Faults, " "), c.says) {
			t.Errorf("%s: got %+v, want a fault saying %q", name, v, c.says)
		}
		// The daily job sees some of it by itself, and never writes over what it kept.
		w.now = w.now.AddDate(0, 0, 1)
		err := w.KeepHeads(t.Context(), files, seals)
		if wrong := strings.Contains(c.says, "is not the one") || strings.Contains(c.says, "the trail went to"); wrong != (kind.Of(err) == kind.Corrupt) {
			t.Errorf("%s: KeepHeads = %v", name, err)
		}
	}
}

func sum(data []byte) string { return account.HashOf(data) }

// A head that was forged in the bucket, or comes from another deployment, proves
// nothing and is told.
func TestForgedHeads(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	files := blob.NewMemory(func() time.Time { return w.now })
	other := kind.Keyring{{Version: 1, Secret: []byte("another key")}}
	if err := w.KeepHeads(t.Context(), files, other); err != nil {
		t.Fatal(err)
	}
	if v := w.verify(t, files, c.ProjectID); len(v.Faults) != 1 || !strings.Contains(v.Faults[0], "not of this deployment") {
		t.Errorf("got %+v", v)
	}
}

// Entries go by their time, and what is left is still a good trail.
func TestVerifyAfterEntriesWent(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	files := blob.NewMemory(func() time.Time { return w.now })
	for range 5 {
		w.record(t, c.ProjectID, "early")
		if err := w.KeepHeads(t.Context(), files, seals); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.AddDate(0, 6, 0)
	}
	all := w.trail(t, c.ProjectID)
	if len(all) == 0 || all[0].Number == 1 {
		t.Fatalf("nothing went: %+v", all)
	}
	v := w.verify(t, files, c.ProjectID)
	if len(v.Faults) > 0 || v.First != all[0].Number || v.Last != 6 || v.Heads < 2 {
		t.Errorf("got %+v, want a good trail from %d to 6", v, all[0].Number)
	}
	w.now = w.now.AddDate(5, 0, 0)
	if v := w.verify(t, files, c.ProjectID); len(v.Faults) > 0 || v.Entries != 0 || v.Last != 6 {
		t.Errorf("when all went: got %+v, want no fault", v)
	}
	w.record(t, c.ProjectID, "late")
	if v := w.verify(t, files, c.ProjectID); len(v.Faults) > 0 || v.First != 7 {
		t.Errorf("a new entry behind those that went: got %+v", v)
	}
}

// A shorter period does not let later entries go before earlier ones.
func TestEntriesGoInOrder(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	settle := func(months int) {
		if _, err := w.SetRules(t.Context(), c.ProjectID, machine, func(r *dsr.Rules) error { r.KeepRecords = months; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	settle(60)
	w.record(t, c.ProjectID, "long")
	settle(24)
	w.record(t, c.ProjectID, "short")
	w.now = w.now.AddDate(0, 30, 0)
	files := blob.NewMemory(func() time.Time { return w.now })
	if v := w.verify(t, files, c.ProjectID); len(v.Faults) > 0 {
		t.Errorf("got %+v", v)
	}
}

// After a restore of an older backup the trail says what it lost, and is good again.
func TestTrailAfterARestore(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	files := blob.NewMemory(func() time.Time { return w.now })
	old := w.snapshot(t)
	for range 3 {
		w.record(t, c.ProjectID, "after the backup")
	}
	if err := w.KeepHeads(t.Context(), files, seals); err != nil {
		t.Fatal(err)
	}
	w.control = old
	w.Accounts = account.New(old, func() time.Time { return w.now })
	w.now = w.now.Add(time.Hour)
	if v := w.verify(t, files, c.ProjectID); len(v.Faults) == 0 {
		t.Error("a trail that was put back looks good")
	}
	for range 2 { // it can be cut off and done again
		if err := w.Restored(t.Context(), files, seals, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		w.record(t, c.ProjectID, "go on")
	}
	w.now = w.now.AddDate(0, 0, 1)
	if err := w.KeepHeads(t.Context(), files, seals); err != nil {
		t.Errorf("KeepHeads after a restore: %v", err)
	}
	v := w.verify(t, files, c.ProjectID)
	if len(v.Faults) > 0 {
		t.Errorf("after a restore: %+v", v)
	}
	told := 0
	for _, e := range w.trail(t, c.ProjectID) {
		if e.Action == "backup.restore" && strings.Contains(e.Detail, "entries 2 to 4") {
			told++
		}
	}
	if told == 0 {
		t.Errorf("no entry tells what was lost: %+v", w.trail(t, c.ProjectID))
	}
}

// A restore is for when records are damaged: what cannot be read of a trail tells nothing,
// and stops nothing.
func TestTrailAfterARestoreOfWhatIsDamaged(t *testing.T) {
	for _, row := range []string{"head", "entry#000000000002"} {
		w := newWorld()
		c := w.found(t)
		clock := func() time.Time { return w.now }
		old := w.snapshot(t)
		w.record(t, c.ProjectID, "after the backup")
		w.record(t, c.ProjectID, "and another")
		damaged := table.Item{Key: table.Key{PK: "account#audit#" + c.ProjectID, SK: row}, Data: []byte("{")}
		if err := w.control.Write(t.Context(), table.Put(damaged, table.Cond{})); err != nil {
			t.Fatal(err)
		}
		before := w.Accounts
		w.control = old
		w.Accounts = account.New(old, clock)
		if err := w.Restored(t.Context(), blob.NewMemory(clock), seals, before); err != nil {
			t.Errorf("with a damaged %s: %v", row, err)
		}
		if trail := w.trail(t, c.ProjectID); trail[len(trail)-1].Action != "backup.restore" || trail[len(trail)-1].Detail != "" {
			t.Errorf("with a damaged %s: %+v", row, trail)
		}
	}
}

// The records that a backup takes the place of tell how far the trail had gone, of which
// no head was kept; and those of another trail tell nothing.
func TestTrailAfterARestoreOfWhatCanBeRead(t *testing.T) {
	for lost, want := range map[int]string{0: "", 1: "entries 2 to 2,", 3: "entries 2 to 4,"} {
		w := newWorld()
		c := w.found(t)
		clock := func() time.Time { return w.now }
		files := blob.NewMemory(clock)
		old, other := w.snapshot(t), w.snapshot(t)
		for range lost {
			w.record(t, c.ProjectID, "after the backup")
		}
		before := w.Accounts
		w.control = other
		w.Accounts = account.New(other, clock)
		w.record(t, c.ProjectID, "another trail")
		if err := w.Restored(t.Context(), files, seals, before); err != nil {
			t.Fatal(err)
		}
		if trail := w.trail(t, c.ProjectID); trail[len(trail)-1].Detail != "" {
			t.Errorf("by another trail %s", trail[len(trail)-1].Detail)
		}
		w.control = old
		w.Accounts = account.New(old, clock)
		for range 2 { // it can be cut off and done again
			if err := w.Restored(t.Context(), files, seals, before); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(time.Minute)
		}
		trail := w.trail(t, c.ProjectID)
		if len(trail) != 3 || !strings.HasPrefix(trail[1].Detail, want) || (trail[1].Detail == "") != (want == "") || trail[2].Detail != "" {
			t.Errorf("%d entries lost: got %+v, want %q once", lost, trail, want)
		}
		if v := w.verify(t, files, c.ProjectID); len(v.Faults) > 0 {
			t.Errorf("%d entries lost: %+v", lost, v)
		}
	}
}

// A restore of a backup that has its own heads takes over those of the bucket that it
// takes the place of, as far as they are of this deployment.
func TestHeadsAreAdopted(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	clock := func() time.Time { return w.now }
	replaced, restored := blob.NewMemory(clock), blob.NewMemory(clock)
	for _, files := range []blob.Bucket{replaced, restored} {
		if err := w.KeepHeads(t.Context(), files, seals); err != nil {
			t.Fatal(err)
		}
	}
	old := w.snapshot(t)
	for range 3 { // the last head is of the day of the backup's, the others are not
		w.record(t, c.ProjectID, "after the backup")
		if err := w.KeepHeads(t.Context(), replaced, seals); err != nil {
			t.Fatal(err)
		}
	}
	w.control = old
	w.Accounts = account.New(old, clock)
	// One that somebody else has sealed, or nobody, tells nothing.
	for name, text := range map[string]string{"2026-03-10": `{"trail":"` + c.ProjectID + `","number":99,"seal":"x"}`, "2026-03-11": "{"} {
		if err := replaced.Put(t.Context(), "audit/"+c.ProjectID+"/"+name+".json", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.now.Add(time.Minute)
	for range 2 {
		if err := account.AdoptHeads(t.Context(), restored, replaced, seals); err != nil {
			t.Fatal(err)
		}
		if err := w.Restored(t.Context(), restored, seals, nil); err != nil {
			t.Fatal(err)
		}
	}
	if v := w.verify(t, restored, c.ProjectID); len(v.Faults) > 0 {
		t.Errorf("after the restore: %+v", v)
	}
	if trail := w.trail(t, c.ProjectID); !strings.Contains(trail[1].Detail, "entries 2 to 4") {
		t.Errorf("nothing tells what was lost: %+v", trail)
	}
}

func TestVerifyExport(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	for range 3 {
		w.record(t, c.ProjectID, "do something")
	}
	var lines []string
	if err := w.Entries(t.Context(), c.ProjectID, 1, func(_ int64, stored []byte) error {
		lines = append(lines, string(stored))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lines []string
		says  string
	}{
		"whole":          {lines, ""},
		"a word changed": {[]string{lines[0], strings.Replace(lines[1], "pat", "sam", 1), lines[2]}, "Entry 2 was changed"},
		"one left out":   {[]string{lines[0], lines[2]}, "from 2 to 2 are missing"},
		"out of order":   {[]string{lines[0], lines[2], lines[1]}, "Entry 2 stands behind entry 3."},
		"one twice":      {[]string{lines[0], lines[1], lines[1], lines[2]}, "Entry 2 stands behind entry 2."},
	} {
		v, err := account.VerifyExport(strings.NewReader(strings.Join(c.lines, "\n")+"\n"), w.now)
		if err != nil || !strings.Contains(strings.Join(v.Faults, " "), c.says) || c.says == "" && len(v.Faults) > 0 {
			t.Errorf("%s: got %+v, %v, want %q", name, v, err, c.says)
		}
	}
	for _, empty := range []string{"", "\n"} {
		if v, err := account.VerifyExport(strings.NewReader(empty), w.now); err != nil || len(v.Faults) != 1 || !strings.Contains(v.Faults[0], "holds no entry") {
			t.Errorf("an empty file: got %+v, %v", v, err)
		}
	}
	if _, err := account.VerifyExport(strings.NewReader("hello\n"), w.now); kind.Of(err) != kind.Invalid {
		t.Errorf("something else: got %v, want %v", err, kind.Invalid)
	}
}

// snapshot is a copy of the control table.
func (w *world) snapshot(t *testing.T) *table.Memory {
	t.Helper()
	copied := table.NewMemory(func() time.Time { return w.now })
	err := w.control.Partitions(t.Context(), func(pk string) error {
		page, err := w.control.Query(t.Context(), table.Query{PK: pk})
		for _, item := range page.Items {
			if err := copied.Write(t.Context(), table.Put(item, table.Cond{})); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// headOf reads the head of a trail to change it by hand.
func (w *world) headOf(t *testing.T, project string) (table.Item, map[string]any) {
	t.Helper()
	item := w.stored(t, project, "head")
	var h map[string]any
	if err := json.Unmarshal(item.Data, &h); err != nil {
		t.Fatal(err)
	}
	return item, h
}

func (w *world) stored(t *testing.T, project, sk string) table.Item {
	t.Helper()
	item, err := w.control.Get(t.Context(), table.Key{PK: "account#audit#" + project, SK: sk})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func (w *world) write(t *testing.T, ops ...table.Op) {
	t.Helper()
	if err := w.control.Write(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
}

// Entries that were taken away do not pass for gone by their time, whatever the
// records are made to say of it: the heads in the bucket know when they go.
func TestTakenAwayIsNotGoneByItsTime(t *testing.T) {
	for name, tamper := range map[string]func(w *world, project string, last int){
		"all of them, with a head that has expired": func(w *world, project string, last int) {
			for n := 1; n <= last; n++ {
				w.write(t, table.Delete(w.stored(t, project, fmt.Sprintf("entry#%012d", n)).Key, table.Cond{}))
			}
			item, h := w.headOf(t, project)
			h["expires"] = "2020-01-01T00:00:00Z"
			item.Data, _ = json.Marshal(h)
			w.write(t, table.Put(item, table.Cond{}))
		},
		"all but the last, which is made to say so": func(w *world, project string, last int) {
			for n := 1; n < last; n++ {
				w.write(t, table.Delete(w.stored(t, project, fmt.Sprintf("entry#%012d", n)).Key, table.Cond{}))
			}
			e := w.stored(t, project, fmt.Sprintf("entry#%012d", last))
			e.Data = bytes.Replace(e.Data, []byte(`"previous_expires":"2028`), []byte(`"previous_expires":"2020`), 1)
			item, h := w.headOf(t, project)
			h["hash"] = sum(e.Data)
			item.Data, _ = json.Marshal(h)
			w.write(t, table.Put(e, table.Cond{}), table.Put(item, table.Cond{}))
		},
	} {
		w := newWorld()
		project := w.found(t).ProjectID
		files := blob.NewMemory(func() time.Time { return w.now })
		for range 3 {
			w.record(t, project, "do something")
			if err := w.KeepHeads(t.Context(), files, seals); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.AddDate(0, 0, 1)
		}
		w.record(t, project, "the last")
		tamper(w, project, len(w.trail(t, project)))
		if v := w.verify(t, files, project); len(v.Faults) == 0 {
			t.Errorf("%s: got %+v, want a fault", name, v)
		}
	}
}

// A trail in which nothing was written for longer than entries are kept is good.
func TestHeadsAfterALongRest(t *testing.T) {
	w := newWorld()
	project := w.found(t).ProjectID
	files := blob.NewMemory(func() time.Time { return w.now })
	if err := w.KeepHeads(t.Context(), files, seals); err != nil {
		t.Fatal(err)
	}
	w.record(t, project, "before")
	w.now = w.now.AddDate(0, 25, 0)
	w.record(t, project, "after")
	for range 2 {
		if v := w.verify(t, files, project); len(v.Faults) > 0 {
			t.Errorf("got %+v, want no fault", v)
		}
		if err := w.KeepHeads(t.Context(), files, seals); err != nil {
			t.Errorf("KeepHeads = %v", err)
		}
		w.now = w.now.AddDate(0, 0, 1)
	}
}

// A meeting lets something happen before a query and after a read.
type meeting struct {
	table.Table
	before func(table.Query)
	after  func(table.Key)
}

func (m *meeting) Query(ctx context.Context, q table.Query) (table.Page, error) {
	if m.before != nil {
		m.before(q)
	}
	return m.Table.Query(ctx, q)
}

func (m *meeting) Get(ctx context.Context, k table.Key) (table.Item, error) {
	item, err := m.Table.Get(ctx, k)
	if m.after != nil {
		m.after(k)
	}
	return item, err
}

func TestVerifyWhileAnEntryGoes(t *testing.T) {
	w := newWorld()
	project := w.found(t).ProjectID
	w.now = w.now.Add(time.Hour)
	w.record(t, project, "later")
	w.now = start.AddDate(0, 24, 0).Add(-time.Millisecond)
	slow := &meeting{Table: w.control, before: func(table.Query) { w.now = w.now.Add(20 * time.Millisecond) }}
	v, err := account.New(slow, func() time.Time { return w.now }).Verify(t.Context(), blob.NewMemory(func() time.Time { return w.now }), seals, project)
	if err != nil || len(v.Faults) > 0 {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestLatest(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	first := int64(len(w.trail(t, c.ProjectID)))
	for i := range int64(2100) {
		w.record(t, c.ProjectID, []string{"often", "seldom"}[max(0, 1-i)]) // the first alone
	}
	latest := func(before int64, most int, action string) (numbers []int64, next int64) {
		t.Helper()
		found, next, err := w.Latest(t.Context(), c.ProjectID, before, most, func(e dsr.Entry) bool { return action == "" || e.Action == action })
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			numbers = append(numbers, f.Number)
		}
		return numbers, next
	}
	last := first + 2100
	if got, next := latest(0, 3, ""); fmt.Sprint(got) != fmt.Sprint([]int64{last, last - 1, last - 2}) || next != last-2 {
		t.Errorf("the newest: %d, to go on before %d", got, next)
	}
	if got, next := latest(last-2, 2, ""); fmt.Sprint(got) != fmt.Sprint([]int64{last - 3, last - 4}) || next != last-4 {
		t.Errorf("the next: %d, to go on before %d", got, next)
	}
	if got, next := latest(first+1, 50, ""); len(got) != int(first) || next != 0 {
		t.Errorf("the oldest: %d, to go on before %d", got, next)
	}
	// It looks at 2000 and no more, and can go on from there.
	got, next := latest(0, 50, "seldom")
	if len(got) != 0 || next != last-1999 {
		t.Errorf("found %d, to go on before %d", got, next)
	}
	if got, next = latest(next, 50, "seldom"); fmt.Sprint(got) != fmt.Sprint([]int64{first + 1}) || next != 0 {
		t.Errorf("found %d, to go on before %d", got, next)
	}
	if got, next := latest(1, 50, ""); len(got) != 0 || next != 0 {
		t.Errorf("before the first: %d, to go on before %d", got, next)
	}
}

// A trail is read in parts that fit an answer.
func TestLines(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	marks := make([]string, 4000)
	for i := range marks {
		marks[i] = fmt.Sprintf("1.%064d", i)
	}
	for range 20 { // of some 280 KB each
		if err := w.Record(t.Context(), dsr.Entry{Project: c.ProjectID, Time: w.now, Actor: pat, Action: "opt out", Subjects: marks}); err != nil {
			t.Fatal(err)
		}
	}
	for range account.MostLines + 10 {
		w.record(t, c.ProjectID, "do something")
	}
	var whole bytes.Buffer
	parts := 0
	for next := int64(1); next > 0; parts++ {
		lines, n, err := w.Lines(t.Context(), c.ProjectID, next)
		if err != nil || len(lines) == 0 || len(lines) > 4<<20+8<<10 || bytes.Count(lines, []byte("\n")) > account.MostLines || n > 0 && n <= next {
			t.Fatalf("%d bytes, to go on from %d, %v", len(lines), n, err)
		}
		whole.Write(lines)
		next = n
	}
	if v, err := account.VerifyExport(&whole, w.now); err != nil || len(v.Faults) > 0 || v.Last != int64(len(w.trail(t, c.ProjectID))) || parts != 3 {
		t.Errorf("in %d parts: %+v, %v", parts, v, err)
	}
}
