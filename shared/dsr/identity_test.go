package dsr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// one says that identifiers are one person.
func one(ids ...kind.Subject) []kind.Subject { return ids }

func TestExportOfAnAlias(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.source.groups = [][]kind.Subject{one("ann", "mail"), one("ann", "phone")}
	r := w.submit(dsr.Export, "phone", "cem", "mail")
	w.settle()
	w.want(r, dsr.Success)
	var m struct {
		Subjects []struct {
			Folder              int
			Submitted, Resolved []string
			Events              int
		}
	}
	if err := json.Unmarshal([]byte(w.unzip(r)["manifest.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(m.Subjects), "[{1 [phone mail] [ann mail phone] 10} {2 [cem] [cem] 1}]"; got != want {
		t.Errorf("folders %s, want %s", got, want)
	}
	d, err := w.Detail(t.Context(), project, r.Task)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"[ann mail phone]", "[cem]", "[ann mail phone]"} {
		if f := d.Findings[i]; fmt.Sprint(f.Resolved) != want || f.State != "found" {
			t.Errorf("position %d: %s, resolved to %v; want %s", i+1, f.State, f.Resolved, want)
		}
	}
	// A deletion of any of them takes the archive back.
	del := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(del, dsr.Success)
	if !w.status(r).Withdrawn {
		t.Error("the archive stands after one of its people was erased under another name")
	}
}

// cutoffOf is up to when data of an identifier is kept out.
func (w *world) cutoffOf(id kind.Subject) (at time.Time) {
	w.source.mu.Lock()
	defer w.source.mu.Unlock()
	for _, m := range w.source.marks {
		if m.Subject == id && m.Cutoff.After(at) {
			at = m.Cutoff
		}
	}
	return at
}

func TestDeletionTakesThePerson(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *world) // the deletion is submitted
		window func(w *world) // its window is over
		begun  func(w *world) // it has begun
	}{
		"linked before":        {before: func(w *world) { w.source.groups = [][]kind.Subject{one("ann", "bob")} }},
		"linked in the window": {window: func(w *world) { w.source.groups = [][]kind.Subject{one("ann", "bob")} }},
		"linked while Begin claims": {window: func(w *world) {
			asked := 0
			w.source.resolving = func() {
				if asked++; asked == 2 {
					w.source.mu.Lock()
					defer w.source.mu.Unlock()
					w.source.groups = [][]kind.Subject{one("ann", "bob")}
				}
			}
		}},
		"by a link on its way": {begun: func(w *world) { w.source.later = [][]kind.Subject{one("ann", "bob")} }},
		"by two of them": {begun: func(w *world) {
			w.source.later = [][]kind.Subject{one("ann", "x")}
			asked := 0
			w.source.resolving = func() {
				if asked++; asked == 2 {
					w.source.mu.Lock()
					defer w.source.mu.Unlock()
					w.source.later = append(w.source.later, one("x", "bob"))
				}
			}
		}},
	} {
		for _, twice := range []bool{false, true} {
			t.Run(fmt.Sprint(name, twice), func(t *testing.T) {
				w := newWorld(t)
				w.settings.CancelWindow = time.Hour
				w.twice = twice
				w.source.fence = time.Minute
				w.build()
				w.people()
				call := func(f func(*world)) {
					if f != nil {
						f(w)
					}
				}
				call(c.before)
				r := w.submit(dsr.Deletion, "ann", "nobody")
				w.run()
				w.advance(2 * time.Hour)
				call(c.window)
				if c.begun != nil {
					e := w.flow.get(r.Task + "-1")
					for e.state != "Map" {
						out, err := w.task(e)
						if err != nil {
							t.Fatal(err)
						}
						e.turn(out)
					}
					c.begun(w)
				}
				w.settle()
				done := w.want(r, dsr.Success)
				if n := w.left("ann") + w.left("bob"); n > 0 {
					t.Errorf("%d records of the person are left", n)
				}
				if w.left("cem") != 1 {
					t.Error("somebody else was erased")
				}
				if got := w.cutoffOf("bob"); !got.Equal(done.Limit) {
					t.Errorf("late data of the other identifier is kept out up to %v, want %v", got, done.Limit)
				}
				page, err := w.control.Query(t.Context(), table.Query{PK: "project#" + project + "#mark#" + w.keys.Mark(project, "bob")})
				if err != nil || len(page.Items) != 1 || page.Items[0].SK != r.Task {
					t.Errorf("no mark tells that the deletion concerns the other identifier: %v", err)
				}
				// The ledger knows both, and the records know the ledger.
				if behind, err := w.Behind(t.Context()); behind || err != nil {
					t.Errorf("the records are behind the ledger: %v, %v", behind, err)
				}
				text := ""
				for _, name := range files(t, w.bucket, "ledger/") {
					text += read(t, w.bucket, name)
				}
				for _, id := range []kind.Subject{"ann", "bob", "nobody"} {
					if !strings.Contains(text, w.keys.Mark(project, id)) {
						t.Errorf("%s is not in the ledger", string(id))
					}
				}
				var cert struct {
					Sources []struct {
						Before      dsr.Tally
						Identifiers []struct{ Mark string }
					}
				}
				if err := json.Unmarshal([]byte(read(t, w.bucket, "certificates/"+r.Task+".json")), &cert); err != nil {
					t.Fatal(err)
				}
				if got := cert.Sources[0].Before; got.Events != 20 || got.Profiles != 1 || got.Subjects != 1 {
					t.Errorf("the certificate counts %+v, want 20 events and a profile of one", got)
				}
				if !slices.ContainsFunc(cert.Sources[0].Identifiers, func(i struct{ Mark string }) bool { return i.Mark == w.keys.Mark(project, "bob") }) {
					t.Error("the certificate does not name the other identifier")
				}
			})
		}
	}
}

// What was counted before the set changed is not told of the new one.
func TestFindingsOfASetThatChanged(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "cem", "ann", "bob")
	state := func(i int) string {
		t.Helper()
		d, err := w.Detail(t.Context(), project, r.Task)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(d.Findings[i].State, d.Findings[i].Events, d.Findings[i].Sources)
	}
	step := dsr.Step{Task: r.Task, Attempt: 1}
	if _, err := w.Plan(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	if got := state(1); got != "found10 [{events {10 1 0}}]" {
		t.Errorf("after Plan: %s", got)
	}
	for n := range 5 { // whoever it is about changes again and again, as among very many
		w.source.groups = [][]kind.Subject{one("cem", "bob", kind.Subject(fmt.Sprint("x", n)))}
		out, err := w.Begin(t.Context(), step)
		if err != nil {
			t.Fatal(err)
		}
		if got := state(1); got != "0 []" {
			t.Errorf("after Begin: %s, want nothing yet", got)
		}
		if out.Next == dsr.Ready {
			return
		}
		if out.Next != dsr.Replan {
			t.Fatalf("try %d of Begin answers %s", n, out.Next)
		}
		if _, err := w.Plan(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		if got := state(1); got != "found10 [{events {10 1 0}}]" {
			t.Errorf("after Plan: %s", got)
		}
	}
	t.Error("the deletion does not begin")
}

// A deletion that grew in its window is looked at by the guard again.
func TestGuardOfADeletionThatGrew(t *testing.T) {
	w := newWorld(t)
	w.rules.Guard = dsr.Guard{Share: 20, Rows: 5, IDs: 50}
	w.source.total = 30
	w.settings.CancelWindow = time.Hour
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "cem")
	w.run()
	w.source.groups = [][]kind.Subject{one("cem", "bob")}
	w.settle()
	if got := w.want(r, dsr.Staging); got.Hold != dsr.HoldGuard || got.Planned.Events != 11 {
		t.Errorf("held %q, planned %+v; want the guard to see both", got.Hold, got.Planned)
	}
}

// A deletion waits for the export of one of its people under another name, and an
// export that waited for a deletion sees who is left.
func TestClaimsReachEveryName(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	w.people()
	w.source.groups = [][]kind.Subject{one("ann", "bob")}
	export := w.submit(dsr.Export, "bob")
	out, err := w.Plan(t.Context(), dsr.Step{Task: export.Task, Attempt: 1})
	if err != nil || out.Next != dsr.Ready {
		t.Fatalf("plan: %s, %v", out.Next, err)
	}
	deletion := w.submit(dsr.Deletion, "ann")
	for _, f := range []func() (dsr.Step, error){
		func() (dsr.Step, error) { return w.Plan(t.Context(), dsr.Step{Task: deletion.Task, Attempt: 1}) },
		func() (dsr.Step, error) { return w.Begin(t.Context(), dsr.Step{Task: deletion.Task, Attempt: 1}) },
	} {
		if out, err = f(); err != nil {
			t.Fatal(err)
		}
	}
	if out.Next != dsr.Later || w.status(deletion).Begun() {
		t.Errorf("Begin answers %s beside an export of the same person under another name", out.Next)
	}
	late := w.submit(dsr.Export, "ann")
	if out, err := w.Plan(t.Context(), dsr.Step{Task: late.Task, Attempt: 1}); err != nil || out.Next != dsr.Later {
		t.Errorf("plan of an export beside the deletion: %s, %v; want it to wait", out.Next, err)
	}
	w.source.mu.Lock()
	w.source.groups = nil // as if the links had been erased
	w.source.mu.Unlock()
	w.settle()
	d, err := w.Detail(t.Context(), project, late.Task)
	if err != nil || fmt.Sprint(d.Findings[0].Resolved) != "[ann]" {
		t.Errorf("the export that waited is about %v, %v; want who is left", d.Findings[0].Resolved, err)
	}
}

// crowd is an identifier, another of the same person, and more than a person can have.
func crowd(ids ...kind.Subject) []kind.Subject {
	for i := range dsr.MaxPerson {
		ids = append(ids, kind.Subject(fmt.Sprint(string(ids[0]), "-", i)))
	}
	return ids
}

// Whoever links thousands of identifiers with somebody's does not keep that one from
// being served: alone, and erased once a second person has agreed.
func TestAnIdentifierOfTooManyIsServedAlone(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.handlers = []string{"owner@example.com", "other@example.com"}
	w.build()
	w.people()
	w.source.groups = [][]kind.Subject{crowd("bob", "ben")}
	found := func(r dsr.Request) {
		t.Helper()
		d, err := w.Detail(t.Context(), project, r.Task)
		if err != nil || len(d.Findings) != 3 {
			t.Fatalf("findings %+v, %v", d.Findings, err)
		}
		for i, want := range []string{"[ann] 0 false", "[bob] 2001 true", "[ben] 2001 true"} {
			if f := d.Findings[i]; fmt.Sprint(f.Resolved, f.NotFollowedCount, f.Alone) != want {
				t.Errorf("position %d: %v, %d not followed, alone %v; want %s", i+1, f.Resolved, f.NotFollowedCount, f.Alone, want)
			}
		}
	}
	export := w.submit(dsr.Export, "ann", "bob", "ben")
	w.settle()
	w.want(export, dsr.Success)
	found(export)
	deletion := w.submit(dsr.Deletion, "ann", "bob", "ben")
	w.settle()
	got := w.want(deletion, dsr.Staging)
	if got.Hold != dsr.HoldGuard || !strings.Contains(got.Reason, "Of 2 of the identifiers") || w.left("bob") == 0 || w.left("ann") == 0 {
		t.Errorf("held %q: %s", got.Hold, got.Reason)
	}
	found(deletion)
	if _, err := w.Confirm(t.Context(), project, deletion.Task, dsr.By{Actor: "other@example.com"}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(deletion, dsr.Success)
	if w.left("ann")+w.left("bob") > 0 {
		t.Error("something is left")
	}
	if !w.cutoffOf("bob-1").IsZero() {
		t.Error("somebody whom a link led to was erased")
	}
}

// However often others are linked while it waits, a deletion of somebody who came to be
// served alone, or to stand for very many, is not done before that is confirmed.
func TestWhoComesToBeHeldIsConfirmed(t *testing.T) {
	for name, bob := range map[string][]kind.Subject{"alone": crowd("bob"), "of more than one person decides": crowd("bob")[:51], "with much": one("cem", "ann")} {
		t.Run(name, func(t *testing.T) { testWhoComesToBeHeld(t, bob) })
	}
}

func testWhoComesToBeHeld(t *testing.T, bob []kind.Subject) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.rules.Guard = dsr.Guard{Share: 40, Rows: 12, IDs: 50} // of which ann and bob together are too many
	w.source.total = 40
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "cem", "bob")
	step := dsr.Step{Task: r.Task, Attempt: 1}
	for n := range 3 {
		if _, err := w.Plan(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		w.source.groups = [][]kind.Subject{one("cem", kind.Subject(fmt.Sprint("x", n)))}
		if out, err := w.Begin(t.Context(), step); err != nil || out.Next != dsr.Replan {
			t.Fatalf("try %d of Begin answers %s, %v", n, out.Next, err)
		}
	}
	if _, err := w.Plan(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	w.source.groups = [][]kind.Subject{w.source.groups[0], bob}
	if out, err := w.Begin(t.Context(), step); err != nil || out.Next != dsr.Replan {
		t.Errorf("Begin answers %s, %v", out.Next, err)
	}
	if _, err := w.Plan(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	if got := w.want(r, dsr.Staging); got.Hold != dsr.HoldGuard || w.left("bob") == 0 {
		t.Errorf("held %q: %s", got.Hold, got.Reason)
	}
}

// Links that come when a deletion has begun do not stop it, however many they are, and
// who was confirmed to be served alone stays so.
func TestTooManyLinksOnTheirWay(t *testing.T) {
	var log strings.Builder
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.handlers = []string{"owner@example.com", "other@example.com"}
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	w.build()
	w.people()
	w.source.groups = [][]kind.Subject{crowd("cem")}
	r := w.submit(dsr.Deletion, "ann", "cem")
	w.settle()
	if _, err := w.Confirm(t.Context(), project, r.Task, dsr.By{Actor: "other@example.com"}); err != nil {
		t.Fatal(err)
	}
	e := w.flow.get(r.Task + "-2")
	for e.state != "Map" {
		out, err := w.task(e)
		if err != nil {
			t.Fatal(err)
		}
		e.turn(out)
	}
	w.source.groups = [][]kind.Subject{one("cem", "c2")}
	w.source.later = [][]kind.Subject{crowd("ann")}
	w.settle()
	w.want(r, dsr.Success)
	if w.left("ann")+w.left("cem") > 0 || !w.cutoffOf("ann-1").IsZero() || !w.cutoffOf("c2").IsZero() {
		t.Errorf("%d of ann and %d of cem are left, or others were erased", w.left("ann"), w.left("cem"))
	}
	if text := log.String(); !strings.Contains(text, "left out") || strings.Contains(text, "ann") {
		t.Errorf("the log says %s", text)
	}
}

func TestTooManyIdentifiersInAllAreRefused(t *testing.T) {
	w := newWorld(t)
	w.source.persons = map[kind.Subject][]kind.Subject{}
	var ids []string
	for i := range 51 {
		id := kind.Subject(fmt.Sprint("p", i))
		w.source.persons[id] = crowd(id)[1:]
		ids = append(ids, string(id))
	}
	for _, typ := range []dsr.Type{dsr.Export, dsr.Deletion} {
		r := w.submit(typ, ids...)
		w.settle()
		if got := w.want(r, dsr.Failure); got.Broken || !strings.Contains(got.Reason, "several requests") {
			t.Errorf("broken %v: %s", got.Broken, got.Reason)
		}
	}
}

// 2000 identifiers that stand for 10 each fit the batches of one Map, and their
// records.
func TestManyPeopleOfManyIdentifiers(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("\u0001", 240) // the longest in JSON
	var ids []string
	w.source.persons = map[kind.Subject][]kind.Subject{}
	for i := range dsr.MaxIDs {
		id := kind.Subject(fmt.Sprint(i, long))
		group := one(id)
		for j := range 9 {
			group = append(group, kind.Subject(fmt.Sprint(i, "-", j, long)))
		}
		w.source.persons[id] = group
		ids = append(ids, string(id))
	}
	w.source.event(ids[7], w.now(), `{}`)
	w.source.event("7-5"+long, w.now(), `{}`)
	r := w.submit(dsr.Deletion, ids...)
	w.settle()
	got := w.want(r, dsr.Success)
	if got.Batches > 100 || got.Before.Events != 2 || got.Before.Subjects != 1 {
		t.Errorf("%d batches, erased %+v; want at most 100, and the two events", got.Batches, got.Before)
	}
}

// More identifiers than one request can be about are not all read before it is
// refused.
func TestFarTooManyIdentifiers(t *testing.T) {
	w := newWorld(t)
	var ids []string
	w.source.persons = map[kind.Subject][]kind.Subject{}
	for i := range dsr.MaxIDs {
		id := kind.Subject(fmt.Sprint("p", i))
		group := one(id)
		for j := range 500 {
			group = append(group, kind.Subject(fmt.Sprint("p", i, "-", j)))
		}
		w.source.persons[id] = group
		ids = append(ids, string(id))
	}
	asked := 0
	w.source.resolving = func() { asked++ }
	r := w.submit(dsr.Deletion, ids...)
	w.settle()
	got := w.want(r, dsr.Failure)
	if !strings.Contains(got.Reason, "several requests") || len(files(t, w.bucket, "ledger/")) > 0 {
		t.Errorf("ended for: %s", got.Reason)
	}
	if asked > 3 {
		t.Errorf("asked %d times who some of them are, of which each may be told of 200,000", asked)
	}
}

// A deletion that the ledger knows to have begun is not refused any more, whatever
// links have come in since: it is about whom it names, and Erase takes the others in.
func TestFarTooManyOfADeletionThatHasBegun(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = time.Hour
	w.build()
	w.people()
	var ids []string
	for i := range 60 {
		ids = append(ids, fmt.Sprint("p", i))
	}
	r := w.submit(dsr.Deletion, append(ids, "ann")...)
	w.run()
	s := w.save()
	w.settle()
	w.want(r, dsr.Success)
	w.restore(s)
	if _, err := w.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.source.persons = map[kind.Subject][]kind.Subject{"ann": one("ann")}
	for _, id := range ids {
		group := one(kind.Subject(id))
		for j := range dsr.MaxPerson - 1 {
			group = append(group, kind.Subject(fmt.Sprint(id, "-", j)))
		}
		w.source.persons[kind.Subject(id)] = group
	}
	back, err := w.Confirm(t.Context(), project, r.Task, dsr.By{})
	if err != nil {
		t.Fatal(err)
	}
	if out := w.do(w.Plan(t.Context(), dsr.Step{Task: r.Task, Attempt: back.Attempt})); out.Next != dsr.Begun {
		t.Errorf("Plan answers %s: %s", out.Next, w.status(r).Reason)
	}
}

// A link that comes in between two questions makes one person of two that were found
// to be two.
func TestPeopleThatBecomeOneWhileTheyAreAskedAbout(t *testing.T) {
	w := newWorld(t)
	w.people()
	ids := []string{"ann"}
	for i := range 150 {
		ids = append(ids, fmt.Sprint("x", i))
	}
	ids = append(ids, "bob")
	asked := 0
	w.source.resolving = func() {
		if asked++; asked == 2 {
			w.source.mu.Lock()
			defer w.source.mu.Unlock()
			w.source.groups = [][]kind.Subject{one("ann", "bob")}
		}
	}
	r := w.submit(dsr.Export, ids...)
	w.settle()
	w.want(r, dsr.Success)
	d, err := w.Detail(t.Context(), project, r.Task)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, len(ids) - 1} {
		if f := d.Findings[i]; fmt.Sprint(f.Resolved) != "[ann bob]" || f.Events != 20 {
			t.Errorf("position %d: resolved to %v with %d events, want both and 20", i+1, f.Resolved, f.Events)
		}
	}
}

// A deletion that has begun keeps the rule by which it found whom it is about, whatever
// the project settles afterwards.
func TestADeletionKeepsItsRule(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.rules.Identity = dsr.Original
	w.build()
	w.people()
	r := w.begun("ann")
	if got := w.status(r).Identity; got != dsr.Original {
		t.Errorf("begun by rule %q, want %q", got, dsr.Original)
	}
	w.rules.Identity = dsr.Simplified
	w.build()
	w.source.rules = nil
	w.settle()
	w.want(r, dsr.Success)
	if asked := w.source.rules; len(asked) == 0 || slices.Contains(asked, dsr.Simplified) {
		t.Errorf("asked by %v, want %q alone", asked, dsr.Original)
	}
}

func TestGuard(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = time.Hour
	w.rules.Guard = dsr.Guard{Share: 20, Rows: 10, IDs: 2}
	w.handlers = []string{"owner@example.com", "other@example.com"}
	w.source.total = 50
	w.build()
	w.people()
	big := w.submit(dsr.Deletion, "ann") // 11 rows are 22 %
	w.settle()
	got := w.want(big, dsr.Staging)
	if got.Hold != dsr.HoldGuard || got.Share != 22 || !strings.Contains(got.Reason, "22.0 %") || w.left("ann") == 0 {
		t.Errorf("held %q, %v %%: %s", got.Hold, got.Share, got.Reason)
	}
	refused := func(who, says string) {
		t.Helper()
		if _, err := w.Confirm(t.Context(), project, big.Task, dsr.By{Actor: who}); kind.Of(err) != kind.NotAllowed || !strings.Contains(kind.Sentence(err), says) {
			t.Errorf("confirmed by %s: %v, want it refused", who, err)
		}
	}
	refused("OWNER@example.com", "Another owner")
	refused("robot.service-account", "A person")
	w.advance(48 * time.Hour)
	refused("owner@example.com", "Another owner")
	if _, err := w.Confirm(t.Context(), project, big.Task, dsr.By{Actor: "other@example.com"}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.want(big, dsr.Success); !got.Window.Equal(big.Window) || got.Confirmed != "other@example.com" || w.left("ann") > 0 {
		t.Errorf("confirmed by %q, window until %v, %d left", got.Confirmed, got.Window, w.left("ann"))
	}
	w.source.total = 51
	small := w.submit(dsr.Deletion, "cem")
	w.settle()
	w.want(small, dsr.Success)

	w.source.groups = [][]kind.Subject{one("bob", "b1", "b2")}
	w.source.total = 1000
	wide := w.submit(dsr.Deletion, "bob")
	w.settle()
	if got := w.want(wide, dsr.Staging); !strings.Contains(got.Reason, "stands for 3") {
		t.Errorf("held: %s", got.Reason)
	}
	// Where there is nobody else, the same person may after a day.
	w.handlers = []string{"owner@example.com"}
	w.build()
	big = wide
	refused("owner@example.com", "There is no other")
	w.advance(24 * time.Hour)
	if _, err := w.Confirm(t.Context(), project, wide.Task, dsr.By{Actor: "owner@example.com"}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(wide, dsr.Success)
}

// A backup knows less of who a deletion concerns than the ledger: going on with it
// takes nothing out of the ledger, and lets nobody back in.
func TestRestoreOfADeletionThatGrew(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = time.Hour
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "ann")
	w.run()
	s := w.save()
	w.source.groups = [][]kind.Subject{one("ann", "bob")}
	w.settle()
	w.want(r, dsr.Success)
	w.source.groups = nil
	for range 2 { // the second time from what the first left of the ledger
		w.restore(s)
		if got, err := w.Restore(t.Context()); err != nil || got.Erased.Subjects != 2 {
			t.Fatalf("got %+v, %v; want both erased again", got, err)
		}
		if _, err := w.Confirm(t.Context(), project, r.Task, dsr.By{}); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.want(r, dsr.Success)
		if behind, err := w.Behind(t.Context()); behind || err != nil {
			t.Errorf("the records are behind the ledger: %v, %v", behind, err)
		}
		if w.cutoffOf("bob").IsZero() && !slices.ContainsFunc(w.source.marks, func(m dsr.Mark) bool { return m.Name == w.keys.Mark(project, "bob") }) {
			t.Error("late data of the other identifier is let in")
		}
	}
}

// What was confirmed is confirmed of those it was about, and a deletion that is run
// again is about those of now.
func TestGuardLooksAtWhoItIsAboutNow(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.rules.Guard = dsr.Guard{Share: 20, Rows: 5, IDs: 2}
	w.handlers = []string{"owner@example.com", "other@example.com"}
	w.source.total = 30
	w.build()
	w.people()
	held := func(r dsr.Request, events int64) {
		t.Helper()
		w.settle()
		if got := w.want(r, dsr.Staging); got.Hold != dsr.HoldGuard || got.Planned.Events != events {
			t.Errorf("held %q, planned %+v; want %d events", got.Hold, got.Planned, events)
		}
	}
	w.source.groups = [][]kind.Subject{one("cem", "c1", "c2")}
	r := w.submit(dsr.Deletion, "cem")
	held(r, 1)
	w.source.groups = [][]kind.Subject{one("cem", "c1", "c2", "bob")}
	if _, err := w.Confirm(t.Context(), project, r.Task, dsr.By{Actor: "other@example.com"}); err != nil {
		t.Fatal(err)
	}
	held(r, 11)

	w.source.groups = nil
	failed := w.submit(dsr.Deletion, "nobody")
	e := w.flow.get(failed.Task + "-1")
	e.state, e.in.Failure = "Finish", &dsr.Failed{Error: "Unavailable"}
	w.settle()
	w.want(failed, dsr.Failure)
	w.source.groups = [][]kind.Subject{one("nobody", "ann")}
	if _, err := w.Rerun(t.Context(), project, failed.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	held(failed, 10)
}

// Whoever runs a deletion again and again does not get it past the guard when it grows.
func TestGuardOfADeletionRunAgainOften(t *testing.T) {
	w := newWorld(t)
	w.rules.Guard = dsr.Guard{Share: 20, Rows: 5, IDs: 50}
	w.source.total = 30
	w.settings.CancelWindow = time.Hour
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "cem")
	for attempt := 1; attempt <= 3; attempt++ {
		e := w.flow.get(fmt.Sprintf("%s-%d", r.Task, attempt))
		e.state, e.in.Failure = "Finish", &dsr.Failed{Error: "Unavailable"}
		w.run()
		w.want(r, dsr.Failure)
		if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); err != nil {
			t.Fatal(err)
		}
	}
	w.run()
	w.source.groups = [][]kind.Subject{one("cem", "bob")}
	w.settle()
	if got := w.want(r, dsr.Staging); got.Hold != dsr.HoldGuard || got.Planned.Events != 11 {
		t.Errorf("held %q, planned %+v; want the guard to see both", got.Hold, got.Planned)
	}
}

// The only owner does not get round the guard by a program.
func TestGuardOfAProgramsDeletion(t *testing.T) {
	w := newWorld(t)
	w.rules.Guard = dsr.Guard{Share: 20, Rows: 5, IDs: 50}
	w.source.total = 30
	w.handlers = []string{"owner@example.com"}
	w.build()
	w.people()
	sub := submission(dsr.Deletion, "ann")
	sub.By.Actor = "robot.service-account"
	r, err := w.Submit(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	owner := dsr.By{Actor: "owner@example.com"}
	if _, err := w.Confirm(t.Context(), project, r.Task, owner); kind.Of(err) != kind.NotAllowed {
		t.Errorf("the only owner confirms at once: %v, want it refused", err)
	}
	w.advance(24 * time.Hour)
	if _, err := w.Confirm(t.Context(), project, r.Task, owner); err != nil {
		t.Errorf("after a day: %v", err)
	}
}

// A backup thinks that bob is ann, which he turned out not to be before she was
// erased: he stays.
func TestRestoreOfADeletionThatShrank(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = time.Hour
	w.build()
	w.people()
	w.source.groups = [][]kind.Subject{one("ann", "bob")}
	r := w.submit(dsr.Deletion, "ann")
	w.run()
	s := w.save()
	w.source.groups = nil
	w.settle()
	w.want(r, dsr.Success)
	w.restore(s)
	if _, err := w.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Confirm(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.status(r); w.left("ann") > 0 || w.left("bob") != 10 || !w.cutoffOf("bob").IsZero() {
		t.Errorf("%s; %d of ann and %d of bob are left, want 0 and 10", got.Status, w.left("ann"), w.left("bob"))
	}
}

// Whatever links apart two runs saw, they store pieces that fit together.
func TestPiecesGoByIdentifiers(t *testing.T) {
	w := newWorld(t)
	w.settings.Batch = 2000
	w.build()
	w.source.persons = map[kind.Subject][]kind.Subject{}
	var ids []string
	for i := range 50 {
		id := kind.Subject(fmt.Sprint("p", i))
		w.source.persons[id] = one(id)
		ids = append(ids, string(id))
	}
	w.source.apart = 20
	r := w.submit(dsr.Export, ids...)
	if _, err := w.Plan(t.Context(), dsr.Step{Task: r.Task, Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	page, err := w.control.Query(t.Context(), table.Query{PK: "request#" + r.Task, From: "batch#", To: "batch$"})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%d items hold a batch of few identifiers, %v; want 1 whatever links they have", len(page.Items), err)
	}
}

// dying is a table whose next write below a prefix is done and not answered.
type dying struct {
	table.Table
	prefix string
}

func (d *dying) Write(ctx context.Context, ops ...table.Op) error {
	err := d.Table.Write(ctx, ops...)
	if err == nil && d.prefix != "" && strings.HasPrefix(ops[0].Item.SK, d.prefix) {
		d.prefix = ""
		return kind.E(kind.Unavailable, "the process died")
	}
	return err
}

// Killed when it has taken somebody in, Erase still waits for writes about them.
func TestEraseWaitsForWhomItTookIn(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.source.fence = time.Minute
	w.control = &dying{w.control, "grown#"}
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "ann")
	e := w.flow.get(r.Task + "-1")
	for e.state != "Map" {
		out, err := w.task(e)
		if err != nil {
			t.Fatal(err)
		}
		e.turn(out)
	}
	w.source.later = [][]kind.Subject{one("ann", "bob")}
	step := dsr.Step{Task: r.Task, Attempt: 1}
	if _, err := w.Erase(t.Context(), step); err == nil {
		t.Fatal("the process did not die")
	}
	for range 2 {
		if out, err := w.Erase(t.Context(), step); err != nil || out.Next != dsr.Later || w.left("bob") == 0 {
			t.Errorf("Erase answers %s, %v, and %d of bob are left; want it to wait", out.Next, err, w.left("bob"))
		}
	}
	w.settle()
	w.want(r, dsr.Success)
	if w.left("bob") > 0 {
		t.Error("bob is left")
	}
}
