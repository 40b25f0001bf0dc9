package dsr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/blob/blobtest"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

// A blocker is a source that can keep people out.
type blocker struct {
	*source
	keys kind.Keyring
}

func (b blocker) Words(_ context.Context, project string, ids []kind.Subject) ([][]dsr.Word, error) {
	words := make([][]dsr.Word, len(ids))
	for i, id := range ids {
		for _, mark := range b.keys.Marks(project, id) {
			if w, ok := b.words[mark]; ok {
				words[i] = append(words[i], w)
			}
		}
	}
	return words, nil
}

func (b blocker) Owners(_ context.Context, _ string, ids []kind.Subject) ([]kind.Subject, error) {
	owners := make([]kind.Subject, len(ids))
	for i, id := range ids {
		owners[i] = b.owners[id]
	}
	return owners, nil
}

func (b blocker) Follow(ctx context.Context, project string, words []dsr.Word) error {
	b.happens("follow")
	for _, w := range words {
		if !b.words[w.Because].Out {
			return kind.E(kind.Unavailable, "follow")
		}
	}
	return b.Say(ctx, project, words)
}

func (b blocker) Say(_ context.Context, _ string, words []dsr.Word) error {
	b.happens("say")
	if b.source.words == nil {
		b.source.words = map[string]dsr.Word{}
	}
	for i, w := range words {
		if b.deaf && i >= len(words)/2 {
			b.deaf = false
			return kind.E(kind.Unavailable, "say")
		}
		b.words[w.Name] = w.Over(b.words[w.Name])
	}
	return nil
}

func (b blocker) Kin(_ context.Context, _ string, marks []string) ([]dsr.Word, error) {
	kin := map[string]dsr.Word{}
	for len(marks) > 0 {
		var more []string
		for _, mark := range marks {
			if _, known := kin[mark]; known {
				continue
			}
			w := b.words[mark]
			w.Name = mark
			kin[mark] = w
			if w.Out {
				more = append(more, w.Owner, w.Because)
			}
			for name, other := range b.words {
				if other.Out && (other.Owner == mark || other.Because == mark) {
					more = append(more, name)
				}
			}
		}
		marks = slices.DeleteFunc(more, func(mark string) bool { return mark == "" })
	}
	b.happens("kin")
	return slices.Collect(maps.Values(kin)), nil
}

// happens lets a test do something once, at a moment of its choice.
func (b blocker) happens(what string) {
	if do := b.source.then[what]; do != nil {
		delete(b.source.then, what)
		do()
	}
}

func (b blocker) EachOptOut(_ context.Context, _ string, f func([]dsr.Word) error) error {
	words := slices.SortedFunc(maps.Values(b.words), func(a, b dsr.Word) int { return b.Time.Compare(a.Time) })
	return f(slices.DeleteFunc(words, func(w dsr.Word) bool { return !w.Out }))
}

var pat = dsr.By{Actor: "pat@example.com", From: "192.0.2.7"}

// out lists which of some people are opted out, as the service tells.
func (w *world) out(ids ...string) string {
	w.t.Helper()
	words, err := w.OptedOut(w.ctx, project, ids)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for i, word := range words {
		if word.Out {
			out = append(out, ids[i])
		}
	}
	return strings.Join(out, " ")
}

func (w *world) change(do func(context.Context, string, []string, dsr.By) (dsr.OptOutChange, error), ids ...string) dsr.OptOutChange {
	w.t.Helper()
	w.advance(time.Minute)
	c, err := do(w.ctx, project, ids, pat)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestOptingOutConcernsThePerson(t *testing.T) {
	w := newWorld(t)
	w.source.groups = [][]kind.Subject{{"ann", "anna", "$device:a"}}
	w.source.fence = time.Minute
	got := w.change(w.OptOut, "anna", "bob", "anna")
	if want := (dsr.OptOutChange{Submitted: 2, Changed: 4, Wait: time.Minute}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := w.out("ann", "anna", "cem", "bob", "$device:a"); got != "ann anna bob $device:a" {
		t.Errorf("opted out: %s", got)
	}
	if got := w.change(w.OptOut, "ann"); got.Changed != 0 {
		t.Errorf("the second time changed %d", got.Changed)
	}
	if n := len(files(t, w.bucket, "ledger/")); n != 1 {
		t.Errorf("%d entries of the ledger, want one", n)
	}
	text := read(t, w.bucket, files(t, w.bucket, "ledger/")[0])
	if text != read(t, w.copy, files(t, w.copy, "ledger/")[0]) || strings.Contains(text, "ann") || strings.Contains(text, pat.Actor) {
		t.Errorf("the ledger or its copy holds %s", text)
	}
	if behind, err := w.Behind(w.ctx); behind || err != nil {
		t.Errorf("the records are said to be behind: %v, %v", behind, err)
	}
	words, total, err := w.OptOuts(w.ctx, project, 2, 3)
	if err != nil || total != 4 || len(words) != 1 || words[0].Origin != dsr.OriginAPI || words[0].By != pat.Actor {
		t.Errorf("the second page: got %+v of %d, %v", words, total, err)
	}
	if got := w.change(w.OptIn, "$device:a", "cem"); got.Submitted != 2 || got.Changed != 3 {
		t.Errorf("got %+v, want 3 of the person changed", got)
	}
	if got := w.out("ann", "anna", "bob", "$device:a"); got != "bob" {
		t.Errorf("opted out: %s", got)
	}
	audit, err := w.control.Query(w.ctx, table.Query{PK: "audit"})
	if err != nil || len(audit.Items) != 2 {
		t.Fatalf("%d entries of the audit trail, %v; want 2", len(audit.Items), err)
	}
	for _, item := range audit.Items {
		if text := string(item.Data); !strings.Contains(text, `"opt-out.`) || !strings.Contains(text, pat.Actor) || strings.Contains(text, "ann") {
			t.Errorf("the audit trail tells %s", text)
		}
	}
}

func TestTiesAreOptedOutAndTakenBackTogether(t *testing.T) {
	w := newWorld(t)
	w.change(w.OptOut, "$device:a")
	said, err := w.OptedOut(w.ctx, project, []string{"$device:a"})
	if err != nil {
		t.Fatal(err)
	}
	w.advance(time.Minute)
	ties := []dsr.Tie{{ID: "ann", Cause: "$device:a"}, {ID: "$device:a", Owner: "ann", Cause: "$device:a"}}
	for range 2 {
		if err := w.Tie(w.ctx, project, ties); err != nil {
			t.Fatal(err)
		}
	}
	words, err := w.OptedOut(w.ctx, project, []string{"ann", "$device:a"})
	if err != nil || words[0].Origin != dsr.OriginLink || words[1].Origin != dsr.OriginAPI || words[1].Owner != w.keys.Mark(project, "ann") {
		t.Errorf("got %+v, %v", words, err)
	}
	if n := len(files(t, w.bucket, "ledger/")); n != 3 {
		t.Errorf("%d entries of the ledger, want 3: the opt-out, whose the device is, and who follows it", n)
	}
	if !words[1].Time.Equal(said[0].Time) || words[1].By != pat.Actor || !words[0].Time.Equal(said[0].Time) {
		t.Errorf("got %+v, want the word about the device to be as it was, and ann's of its time", words)
	}
	// No stored link joins the two, since what named the device was dropped.
	if got := w.change(w.OptIn, "ann"); got.Changed != 2 || w.out("ann", "$device:a") != "" {
		t.Errorf("changed %d, and %q is still opted out", got.Changed, w.out("ann", "$device:a"))
	}
}

// A clock that lags behind that of whoever opted out does not make a removal void.
func TestTheLastWordCountsByWhateverClock(t *testing.T) {
	w := newWorld(t)
	w.change(w.OptOut, "ann")
	w.advance(-time.Hour)
	w.change(w.OptIn, "ann")
	if got := w.out("ann"); got != "" {
		t.Error("ann is still opted out")
	}
	s := w.save()
	w.restore(s)
	if _, err := w.Restore(w.ctx); err != nil || w.out("ann") != "" {
		t.Errorf("a restore opts ann out again (%v)", err)
	}
}

// Whichever of two words comes first, the same stands; and whom a device was of stays
// until it is opted in.
func TestOfTwoWords(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	first := dsr.Word{Name: "m", Time: at, Out: true, Owner: "ann", Because: "ann"}
	second := dsr.Word{Name: "m", Time: at.Add(time.Second), Out: true, Owner: "bob", Because: "bob", Origin: dsr.OriginAPI}
	in := dsr.Word{Name: "m", Time: at.Add(time.Second)}
	both := second
	both.Owner = "ann"
	noted := first
	noted.Owner = "bob"
	for _, c := range []struct{ w, before, want dsr.Word }{
		{second, first, both}, {first, second, both}, {in, first, in}, {first, in, in}, {second, in, second}, {in, second, second},
		{noted, first, first}, {first, dsr.Word{}, first},
	} {
		if got := c.w.Over(c.before); got != c.want {
			t.Errorf("%+v over %+v: got %+v, want %+v", c.w, c.before, got, c.want)
		}
	}
}

func TestDeletionsThatBlock(t *testing.T) {
	for _, twice := range []bool{false, true} {
		w := newWorld(t)
		w.twice = twice
		w.people()
		w.source.groups = [][]kind.Subject{{"ann", "anna"}}
		w.source.owners = map[kind.Subject]kind.Subject{"anna": "ann"}
		w.source.later = [][]kind.Subject{{"ann", "late"}}
		w.change(w.OptOut, "bob")
		sub := submission(dsr.Deletion, "ann", "bob", "nobody")
		sub.Block = true
		w.advance(time.Minute)
		r, err := w.Submit(w.ctx, sub)
		if err != nil {
			t.Fatal(err)
		}
		if w.out("ann", "nobody") != "" {
			t.Error("the deletion blocks before it begins")
		}
		w.settle()
		r = w.want(r, dsr.Success)
		if got := w.out("ann", "anna", "bob", "cem", "late", "nobody"); got != "ann anna bob late nobody" {
			t.Errorf("opted out: %s", got)
		}
		words, err := w.OptedOut(w.ctx, project, []string{"ann", "anna"})
		if err != nil || words[0].Origin != "deletion "+r.Task || words[0].By != "owner@example.com" || !words[0].Time.Equal(r.Limit) || words[1].Owner != w.keys.Mark(project, "ann") {
			t.Errorf("got %+v, %v", words, err)
		}
		var c struct{ Blocked bool }
		if err := json.Unmarshal([]byte(read(t, w.bucket, "certificates/"+r.Task+".json")), &c); err != nil || !c.Blocked {
			t.Errorf("the certificate does not say that it blocks (%v)", err)
		}
	}
}

func TestADeletionThatFindsNothingBlocks(t *testing.T) {
	w := newWorld(t)
	sub := submission(dsr.Deletion, "nobody")
	sub.Block = true
	r, err := w.Submit(w.ctx, sub)
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.want(r, dsr.Failure); !strings.Contains(got.Reason, "Nothing was found") || !strings.Contains(got.Reason, "opted out") || w.out("nobody") == "" {
		t.Errorf("opted out: %q; the reason: %s", w.out("nobody"), got.Reason)
	}
}

// Whoever opts a person in after a deletion has begun means it, also when one of the
// deletion's tasks runs again.
func TestATaskThatRunsAgainDoesNotBlockAnew(t *testing.T) {
	w := newWorld(t)
	w.people()
	sub := submission(dsr.Deletion, "ann")
	sub.Block = true
	r, err := w.Submit(w.ctx, sub)
	if err != nil {
		t.Fatal(err)
	}
	step := dsr.Step{Task: r.Task, Attempt: 1}
	if _, err := w.Plan(w.ctx, step); err != nil {
		t.Fatal(err)
	}
	w.advance(25 * time.Hour)
	if out, err := w.Begin(w.ctx, step); err != nil || out.Next != dsr.Ready || w.out("ann") == "" {
		t.Fatalf("begin: %s, %v", out.Next, err)
	}
	w.change(w.OptIn, "ann")
	if out, err := w.Begin(w.ctx, step); err != nil || out.Next != dsr.Ready || w.out("ann") != "" {
		t.Errorf("ann is opted out again (%s, %v)", out.Next, err)
	}
}

func TestWhatCannotBlock(t *testing.T) {
	w := newWorld(t)
	sub := submission(dsr.Export, "ann")
	sub.Block = true
	if _, err := w.Submit(w.ctx, sub); kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), "block") {
		t.Errorf("a retrieval that blocks: got %v", err)
	}
	for _, ids := range [][]string{{}, {"ann", " "}, {"null"}, make([]string, 2001)} {
		for _, do := range []func(context.Context, string, []string, dsr.By) (dsr.OptOutChange, error){w.OptOut, w.OptIn} {
			if _, err := do(w.ctx, project, ids, pat); kind.Of(err) != kind.Invalid {
				t.Errorf("%d ids: got %v, want %v", len(ids), err, kind.Invalid)
			}
		}
	}
	// A lake takes nothing in.
	w.Service = dsr.New(dsr.Parts{Control: w.control, Bucket: w.bucket, Workflow: w.flow, Sources: []dsr.Source{w.source}, Accounts: accounts{control: w.control, rules: w.rules}, Keys: w.keys, Clock: w.now, Log: w.log})
	sub.Type = dsr.Deletion
	_, block := w.Submit(w.ctx, sub)
	_, add := w.OptOut(w.ctx, project, []string{"ann"}, pat)
	_, test := w.OptedOut(w.ctx, project, []string{"ann"})
	for _, err := range []error{block, add, test} {
		if kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), "opted out") {
			t.Errorf("without a source that takes data in: got %v", err)
		}
	}
}

// A backup of before an opt-out keeps the person out all the same, and one of before
// a removal does not.
func TestRestoreKnowsTheLastWord(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.change(w.OptOut, "ann", "bob")
	s := w.save()
	w.change(w.OptIn, "bob")
	w.change(w.OptOut, "cem")
	w.change(w.OptOut, "dan")
	w.change(w.OptIn, "dan")
	if err := w.Tie(w.ctx, project, []dsr.Tie{{ID: "$device:e", Owner: "ann", Cause: "ann"}}); err != nil {
		t.Fatal(err)
	}
	sub := submission(dsr.Deletion, "nobody")
	sub.Block = true
	w.advance(time.Minute)
	if _, err := w.Submit(w.ctx, sub); err != nil {
		t.Fatal(err)
	}
	w.settle()
	// The key is renewed before the restore, and once more somebody is opted in.
	w.keys = append(w.keys, kind.Key{Version: 2, Secret: []byte("a newer key")})
	w.build()
	w.change(w.OptIn, "cem")
	w.change(w.OptOut, "fay")
	w.restore(s)
	if behind, err := w.Behind(w.ctx); !behind || err != nil {
		t.Errorf("the records are not said to be behind: %v", err)
	}
	for range 2 {
		got, err := w.Restore(w.ctx)
		if err != nil || got.OptOuts != 4 || got.Erasures != 1 {
			t.Errorf("got %+v, %v; want 4 opted out and one erasure", got, err)
		}
		if got := w.out("ann", "bob", "cem", "dan", "$device:e", "nobody", "fay"); got != "ann $device:e nobody fay" {
			t.Errorf("opted out after the restore: %s", got)
		}
		words, err := w.OptedOut(w.ctx, project, []string{"$device:e"})
		if err != nil || words[0].Origin != dsr.OriginLink || words[0].Owner != w.keys[:1].Mark(project, "ann") {
			t.Errorf("the device: got %+v, %v; want it to be ann's", words, err)
		}
		if behind, err := w.Behind(w.ctx); behind || err != nil {
			t.Errorf("after the restore the records are said to be behind: %v, %v", behind, err)
		}
		// The ledger is only in the second place.
		w.bucket = blob.NewMemory(w.now)
		w.restore(s)
	}
	name := files(t, w.copy, "ledger/")[0]
	if err := w.bucket.Put(t.Context(), name, strings.NewReader(strings.Replace(read(t, w.copy, name), `"opt_out":"add"`, `"opt_out":"remove"`, 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Restore(w.ctx); kind.Of(err) != kind.Corrupt {
		t.Errorf("an entry that was changed: got %v, want %v", err, kind.Corrupt)
	}
}

// Every write of opting out and in fails once, in each way it can, and is done again.
func TestOptingOutSurvivesFaults(t *testing.T) {
	again := func(t *testing.T, do func() error) {
		t.Helper()
		for range 3 {
			err := do()
			if err == nil {
				return
			}
			if k := kind.Of(err); k != kind.Unavailable {
				t.Fatal(err)
			}
		}
		t.Fatal("it fails again and again")
	}
	run := func(t *testing.T, w *world) {
		w.source.deaf = true
		s := w.save()
		again(t, func() error { _, err := w.OptOut(w.ctx, project, []string{"ann", "bob"}, pat); return err })
		if got := w.out("ann", "bob"); got != "ann bob" {
			t.Errorf("opted out: %s", got)
		}
		w.advance(time.Minute)
		again(t, func() error { _, err := w.OptIn(w.ctx, project, []string{"bob"}, pat); return err })
		for _, restored := range []bool{false, true} {
			if restored {
				w.restore(s)
				again(t, func() error { _, err := w.Restore(w.ctx); return err })
			}
			if got := w.out("ann", "bob"); got != "ann" {
				t.Errorf("restored %v, opted out: %s, want ann", restored, got)
			}
			if behind, err := w.Behind(w.ctx); behind || err != nil {
				t.Errorf("restored %v, the records are said to be behind: %v", restored, err)
			}
		}
	}
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		w := newWorld(t)
		w.control = tabletest.Faulty(w.control, f)
		w.build()
		run(t, w)
	})
	for _, mode := range blobtest.Faults() {
		for n := 1; ; n++ {
			w := newWorld(t)
			faulty := blobtest.NewFaulty(w.bucket, n, mode)
			w.bucket = faulty
			w.build()
			run(t, w)
			if faulty.Writes() < n {
				break
			}
		}
	}
}

// Whatever comes first, whoever is opted in is not opted out again by a link that was on
// its way, neither in the records nor by the ledger.
func TestALinkOnItsWayDoesNotUndoOptingIn(t *testing.T) {
	for name, meet := range map[string]func(w *world, optIn, tie func()){
		"the link after it":                  func(_ *world, optIn, tie func()) { optIn(); tie() },
		"the link before it":                 func(_ *world, optIn, tie func()) { tie(); optIn() },
		"while the link is being told":       func(w *world, optIn, tie func()) { w.source.then["follow"] = optIn; tie() },
		"the link while it looks for others": func(w *world, optIn, tie func()) { w.source.then["kin"] = tie; optIn() },
	} {
		for _, who := range []string{"ann", "$device:a"} { // each is out, and the other follows
			t.Run(name+" of "+who, func(t *testing.T) {
				w := newWorld(t)
				w.source.then = map[string]func(){}
				w.change(w.OptIn, "ann", "$device:a") // an earlier word does not count
				s := w.save()
				w.change(w.OptOut, who)
				tie := func() {
					err := w.Tie(w.ctx, project, []dsr.Tie{{ID: "ann", Cause: kind.Subject(who)}, {ID: "$device:a", Owner: "ann", Cause: kind.Subject(who)}})
					if err != nil && kind.Of(err) != kind.Unavailable {
						t.Fatal(err)
					}
				}
				meet(w, func() { w.change(w.OptIn, who) }, tie)
				if got := w.out("ann", "$device:a"); got != "" {
					t.Errorf("opted out: %s", got)
				}
				w.restore(s)
				if _, err := w.Restore(w.ctx); err != nil || w.out("ann", "$device:a") != "" {
					t.Errorf("opted out after a restore: %s (%v)", w.out("ann", "$device:a"), err)
				}
				// What is said later of each counts for itself.
				w.change(w.OptOut, "ann")
				w.change(w.OptOut, "$device:a")
				w.change(w.OptIn, who)
				want := w.out("ann", "$device:a")
				w.restore(s)
				if _, err := w.Restore(w.ctx); err != nil || w.out("ann", "$device:a") != want || want == "" {
					t.Errorf("opted out after another restore: %q (%v), want %q", w.out("ann", "$device:a"), err, want)
				}
			})
		}
	}
}

// A link takes who was opted in earlier along, and those who were linked meanwhile.
func TestALinkOptsOutThePerson(t *testing.T) {
	w := newWorld(t)
	w.source.then = map[string]func(){}
	w.change(w.OptOut, "ann")
	w.change(w.OptIn, "mail")
	w.source.then["follow"] = func() { w.source.groups = [][]kind.Subject{{"mail", "phone"}} }
	if err := w.Tie(w.ctx, project, []dsr.Tie{{ID: "ann", Cause: "ann"}, {ID: "mail", Cause: "ann"}}); err != nil {
		t.Fatal(err)
	}
	if got := w.out("ann", "mail", "phone"); got != "ann mail phone" {
		t.Errorf("opted out: %s", got)
	}
	sub := submission(dsr.Deletion, "mail")
	sub.Block = true
	if _, err := w.Submit(w.ctx, sub); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.change(w.OptIn, "ann"); got.Changed != 3 {
		t.Errorf("opted in again: %d, want all three", got.Changed)
	}
}

// A client that hangs up has stored what it sent, and the link counts.
func TestALinkCountsThoughTheClientHangsUp(t *testing.T) {
	w := newWorld(t)
	w.change(w.OptOut, "ann")
	ctx, hangUp := context.WithCancel(w.ctx)
	hangUp()
	if err := w.Tie(ctx, project, []dsr.Tie{{ID: "$device:a", Owner: "ann", Cause: "ann"}}); err != nil || w.out("$device:a") == "" {
		t.Errorf("the device is not opted out (%v)", err)
	}
}

func TestOptingOutFindsWhatIsLinkedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.source.then = map[string]func(){"say": func() { w.source.groups = [][]kind.Subject{{"ann", "mail"}} }}
	if got := w.change(w.OptOut, "ann"); got.Changed != 2 || w.out("ann", "mail") != "ann mail" {
		t.Errorf("opted out: %s, %d in all", w.out("ann", "mail"), got.Changed)
	}
	w.source.resolving = func() {
		w.source.groups = append(w.source.groups, one("bob", kind.Subject(fmt.Sprint("b", len(w.source.groups)))))
	}
	if _, err := w.OptOut(w.ctx, project, []string{"bob"}, pat); kind.Of(err) != kind.Unavailable || kind.Sentence(err) == "" {
		t.Errorf("of somebody who grows without end: %v", err)
	}
}

func TestOptingOutTooMany(t *testing.T) {
	w := newWorld(t)
	w.source.persons = map[kind.Subject][]kind.Subject{}
	var ids []string
	for i := range 51 {
		id := fmt.Sprint("p", i)
		ids = append(ids, id)
		for j := range dsr.MaxPerson {
			w.source.persons[kind.Subject(id)] = append(w.source.persons[kind.Subject(id)], kind.Subject(fmt.Sprint(id, "-", j)))
		}
	}
	if _, err := w.OptOut(w.ctx, project, ids, pat); kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), "several calls") {
		t.Errorf("got %v, want it refused", err)
	}
	if len(w.source.words) > 0 {
		t.Error("some are opted out")
	}
}

// An opt-in whose time lies ahead, by another clock, does not win against a deletion
// that blocks and came later; nor by the ledger, nor for whom the deletion takes in.
func TestADeletionBlocksAgainstAFastClock(t *testing.T) {
	for _, twice := range []bool{false, true} {
		w := newWorld(t)
		w.settings.CancelWindow = -1
		w.twice = twice
		w.build()
		w.people()
		w.advance(time.Hour)
		w.change(w.OptIn, "ann", "late")
		w.advance(-2 * time.Hour)
		s := w.save()
		sub := submission(dsr.Deletion, "ann")
		sub.Block = true
		r, err := w.Submit(w.ctx, sub)
		if err != nil {
			t.Fatal(err)
		}
		w.source.later = [][]kind.Subject{{"ann", "late"}}
		w.settle()
		w.want(r, dsr.Success)
		if got := w.out("ann", "late"); got != "ann late" {
			t.Errorf("opted out: %s", got)
		}
		w.restore(s)
		if _, err := w.Restore(w.ctx); err != nil || w.out("ann", "late") != "ann late" {
			t.Errorf("opted out after a restore: %s (%v)", w.out("ann", "late"), err)
		}
		w.change(w.OptIn, "ann", "late")
		if w.out("ann", "late") != "" {
			t.Error("they cannot be opted in again")
		}
	}
}

// Whoever a deletion takes in belongs to somebody who was opted in since it began.
func TestADeletionThatGrowsDoesNotBlockAnew(t *testing.T) {
	for _, twice := range []bool{false, true} {
		w := newWorld(t)
		w.settings.CancelWindow = -1
		w.twice = twice
		w.build()
		w.people()
		s := w.save()
		sub := submission(dsr.Deletion, "ann", "cem")
		sub.Block = true
		r, err := w.Submit(w.ctx, sub)
		if err != nil {
			t.Fatal(err)
		}
		e := w.flow.get(r.Task + "-1")
		for e.state != "Map" {
			out, err := w.task(e)
			if err != nil {
				t.Fatal(err)
			}
			e.turn(out)
		}
		w.change(w.OptIn, "ann")
		w.source.later = [][]kind.Subject{{"ann", "late"}, {"cem", "c2"}}
		step := dsr.Step{Task: r.Task, Attempt: 1}
		for _, task := range []func(context.Context, dsr.Step) (dsr.Step, error){w.Erase, w.Begin} { // as when it is run again
			if _, err := task(w.ctx, step); err != nil {
				t.Fatal(err)
			}
		}
		w.settle()
		w.want(r, dsr.Success)
		if got := w.out("ann", "late", "cem", "c2"); got != "cem c2" {
			t.Errorf("opted out: %s, want those who were not opted in since", got)
		}
		w.restore(s)
		if _, err := w.Restore(w.ctx); err != nil || w.out("ann", "late", "cem", "c2") != "cem c2" {
			t.Errorf("opted out after a restore: %s (%v)", w.out("ann", "late", "cem", "c2"), err)
		}
	}
}

// Whoever a deletion takes in follows the person that it began with: not somebody else
// whom it took in before, who was opted out alone.
func TestADeletionThatGrowsFollowsWhomItBeganWith(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	w.people()
	sub := submission(dsr.Deletion, "ann")
	sub.Block = true
	r, err := w.Submit(w.ctx, sub)
	if err != nil {
		t.Fatal(err)
	}
	e := w.flow.get(r.Task + "-1")
	for e.state != "Map" {
		out, err := w.task(e)
		if err != nil {
			t.Fatal(err)
		}
		e.turn(out)
	}
	w.change(w.OptOut, "alone")
	w.change(w.OptIn, "ann")
	for _, later := range [][]kind.Subject{{"ann", "alone"}, {"ann", "alone", "late"}} {
		w.source.later = [][]kind.Subject{later}
		if _, err := w.Erase(w.ctx, dsr.Step{Task: r.Task, Attempt: 1}); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	w.want(r, dsr.Success)
	if got := w.out("ann", "alone", "late"); got != "alone" {
		t.Errorf("opted out: %s, want who was alone", got)
	}
}

// An opt-out from before the key was renewed is found by whatever is said later.
func TestOptOutsAcrossARenewedKey(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.change(w.OptOut, "ann", "bob", "cem")
	w.keys = append(w.keys, kind.Key{Version: 2, Secret: []byte("a newer key")})
	w.build()
	sub := submission(dsr.Deletion, "bob")
	sub.Block = true
	w.advance(time.Minute)
	if _, err := w.Submit(w.ctx, sub); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if _, total, err := w.OptOuts(w.ctx, project, 1, 10); err != nil || total != 3 {
		t.Errorf("%d are listed, %v; want 3", total, err)
	}
	if err := w.Tie(w.ctx, project, []dsr.Tie{{ID: "$device:a", Owner: "ann", Cause: "bob"}}); err != nil {
		t.Fatal(err)
	}
	w.source.owners = map[kind.Subject]kind.Subject{"$device:b": "cem"}
	w.change(w.OptOut, "$device:b")
	if got := w.change(w.OptIn, "$device:a", "$device:b"); got.Changed != 5 || w.out("ann", "bob", "cem", "$device:a", "$device:b") != "" {
		t.Errorf("opted in %d; still out: %s", got.Changed, w.out("ann", "bob", "cem", "$device:a", "$device:b"))
	}
}

// The audit trail tells who was opted out and in, by their marks alone.
func TestOptOutsInTheAuditTrail(t *testing.T) {
	w := newWorld(t)
	w.people()
	by := dsr.By{Actor: "pat@example.com"}
	if _, err := w.OptOut(t.Context(), project, []string{"ann"}, by); err != nil {
		t.Fatal(err)
	}
	if _, err := w.OptIn(t.Context(), project, []string{"ann"}, by); err != nil {
		t.Fatal(err)
	}
	text := w.stored()
	for _, action := range []string{"opt-out.add", "opt-out.remove"} {
		want := `"action":"` + action + `","subjects":["` + w.keys.Mark(project, "ann") + `"]`
		if !strings.Contains(text, want) {
			t.Errorf("the trail does not have %s", want)
		}
	}
}
