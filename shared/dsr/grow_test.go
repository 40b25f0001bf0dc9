package dsr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// begun submits a deletion that has no window and runs it until Erase is next.
func (w *world) begun(ids ...string) dsr.Request {
	w.t.Helper()
	r := w.submit(dsr.Deletion, ids...)
	e := w.flow.get(r.Task + "-1")
	for e.state != "Map" {
		out, err := w.task(e)
		if err != nil {
			w.t.Fatal(err)
		}
		if !e.turn(out) && e.state != "Begin" {
			w.t.Fatalf("%s answers %s", e.state, out.Next)
		}
	}
	return r
}

// proved is what a deletion's certificate counts.
func (w *world) proved(r dsr.Request) dsr.Tally {
	w.t.Helper()
	var cert struct{ Sources []struct{ Before dsr.Tally } }
	if err := json.Unmarshal([]byte(read(w.t, w.bucket, "certificates/"+r.Task+".json")), &cert); err != nil {
		w.t.Fatal(err)
	}
	return cert.Sources[0].Before
}

// unanswered is a table that does one write at a mark, of those that pick says, and
// does not answer.
type unanswered struct {
	table.Table
	pick string
}

func (u *unanswered) WriteMany(ctx context.Context, ops []table.Op) error {
	err := u.Table.WriteMany(ctx, ops)
	for _, op := range ops {
		if u.pick != "" && op.Item.PK == u.pick {
			u.pick = ""
			return kind.E(kind.Unavailable, "the process died")
		}
	}
	return err
}

// Whoever a deletion takes in is found again, wherever it was cut off and whatever
// became of the link: they are erased and kept out, and nothing is left of them when
// the request goes.
func TestWhoeverWasTakenInIsFoundAgain(t *testing.T) {
	for name, cut := range map[string]func(w *world, mark string){
		"when it is kept":   func(w *world, _ string) { w.control = &dying{w.control, "grown#"} },
		"when it is marked": func(w *world, mark string) { w.control = &unanswered{w.control, mark} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settings.CancelWindow = -1
			mark := "project#" + project + "#mark#" + w.keys.Mark(project, "bob")
			cut(w, mark)
			w.build()
			w.people()
			r := w.begun("ann")
			w.source.later = [][]kind.Subject{one("ann", "bob")}
			if _, err := w.Erase(t.Context(), dsr.Step{Task: r.Task, Attempt: 1}); err == nil {
				t.Fatal("the process did not die")
			}
			w.source.later = nil // the link was erased with somebody else
			w.settle()
			done := w.want(r, dsr.Success)
			if w.left("bob") > 0 || !w.cutoffOf("bob").Equal(done.Limit) {
				t.Errorf("%d records of bob are left, and late data of his is kept out up to %v", w.left("bob"), w.cutoffOf("bob"))
			}
			text := ""
			for _, name := range files(t, w.bucket, "ledger/") {
				text += read(t, w.bucket, name)
			}
			if !strings.Contains(text, w.keys.Mark(project, "bob")) {
				t.Error("bob is not in the ledger")
			}
			for _, d := range []time.Duration{31 * aDay, 800 * aDay} {
				w.advance(d)
				w.sweep()
			}
			if n := w.mentions(mark); n > 0 {
				t.Errorf("%d rows are left at the mark of bob after the request has gone", n)
			}
		})
	}
}

// before is a table that lets something happen before the first write below a prefix.
type before struct {
	table.Table
	prefix  string
	happens func()
}

func (b *before) Write(ctx context.Context, ops ...table.Op) error {
	if f := b.happens; f != nil && strings.HasPrefix(ops[0].Item.SK, b.prefix) {
		b.happens = nil
		f()
	}
	return b.Table.Write(ctx, ops...)
}

// Somebody who is one with people of two batches is erased and counted in one.
func TestTakenInOnce(t *testing.T) {
	for name, atOnce := range map[string]bool{"one after the other": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settings.CancelWindow, w.settings.Batch = -1, 1
			w.build()
			w.people()
			r := w.begun("ann", "cem")
			w.source.later = [][]kind.Subject{one("ann", "bob"), one("cem", "bob")}
			if atOnce {
				w.control = &before{w.control, "grown#", func() { // the first batch writes whom it takes in
					if _, err := w.Erase(t.Context(), dsr.Step{Task: r.Task, Attempt: 1, Batch: 1}); err != nil {
						t.Error(err)
					}
				}}
				w.build()
				if _, err := w.Erase(t.Context(), dsr.Step{Task: r.Task, Attempt: 1}); kind.Of(err) != kind.Conflict {
					t.Errorf("got %v, want %v: the first batch has to look again", err, kind.Conflict)
				}
			}
			w.settle()
			w.want(r, dsr.Success)
			if got, want := w.proved(r), (dsr.Tally{Events: 21, Profiles: 1, Subjects: 2}); got != want {
				t.Errorf("the certificate counts %+v, want %+v", got, want)
			}
			if n := w.left("ann") + w.left("bob") + w.left("cem"); n > 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// More than an item and a transaction hold can be taken in.
func TestVeryManyAreTakenIn(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	long := strings.Repeat("\u0001", 240) // the longest in JSON
	r := w.begun("ann", "cem")
	for _, id := range []kind.Subject{"ann", "cem"} {
		group := one(id)
		for i := range 1500 {
			group = append(group, kind.Subject(fmt.Sprint(string(id[:1]), i, long)))
		}
		w.source.later = append(w.source.later, group)
	}
	last := w.source.later[1][1500]
	w.source.event(string(last), w.now(), `{}`)
	w.settle()
	w.want(r, dsr.Success)
	if w.left(last) > 0 || w.cutoffOf(last).IsZero() {
		t.Error("the last of them is left, or late data of it is let in")
	}
	if got := w.proved(r); got.Events != 1 {
		t.Errorf("the certificate counts %+v, want the one event", got)
	}
	w.advance(31 * aDay)
	w.sweep()
	if n := w.mentions(`\u0001`); n > 0 {
		t.Errorf("identifiers are in %d places after they were to go", n)
	}
}
