package dsr_test

import (
	"context"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// claims is whether a request's row says that it claims somebody; there is false
// without a row.
func (w *world) row(r dsr.Request, id kind.Subject) (there, claimed bool) {
	w.t.Helper()
	item, err := w.control.Get(w.t.Context(), table.Key{PK: "project#" + project + "#mark#" + w.keys.Mark(project, id), SK: r.Task})
	if kind.Of(err) == kind.NotFound {
		return false, false
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return true, string(item.Data) == `{"type":"`+string(r.Type)+`","claim":true}`
}

// A deletion that is planned again at the end of its window keeps its claims, so that
// no export of its people starts beside it.
func TestClaimsOutliveAReplan(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "ann")
	step := dsr.Step{Task: r.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), step))
	w.source.groups = [][]kind.Subject{one("ann", "bob")}
	if out := w.do(w.Begin(t.Context(), step)); out.Next != dsr.Replan {
		t.Fatalf("Begin answers %s", out.Next)
	}
	w.do(w.Plan(t.Context(), step))
	for _, id := range []kind.Subject{"ann", "bob"} {
		if there, claimed := w.row(r, id); !there || !claimed {
			t.Errorf("%s: a row %v, a claim %v; want both", string(id), there, claimed)
		}
	}
	export := w.submit(dsr.Export, "bob")
	if out := w.do(w.Plan(t.Context(), dsr.Step{Task: export.Task, Attempt: 1})); out.Next != dsr.Later {
		t.Errorf("Plan of an export of one of them answers %s, want it to wait", out.Next)
	}
	w.settle()
	w.want(r, dsr.Success)
	if w.status(export).Withdrawn {
		t.Error("the export was withdrawn, though it waited")
	}
}

// A deletion that broke before it began and is run again has a window in which its
// people can be exported.
func TestClaimsOfAnEarlierRunAreTakenBack(t *testing.T) {
	w := newWorld(t)
	w.people()
	r := w.submit(dsr.Deletion, "ann")
	step := dsr.Step{Task: r.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), step))
	w.advance(25 * time.Hour)
	w.source.groups = [][]kind.Subject{one("ann", "bob")}
	w.do(w.Begin(t.Context(), step))
	if _, claimed := w.row(r, "ann"); !claimed {
		t.Fatal("Begin has not claimed")
	}
	if _, err := w.Finish(t.Context(), dsr.Step{Task: r.Task, Attempt: 1, Failure: &dsr.Failed{Error: "Unavailable"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.do(w.Plan(t.Context(), dsr.Step{Task: r.Task, Attempt: 2}))
	export := w.submit(dsr.Export, "ann")
	if out := w.do(w.Plan(t.Context(), dsr.Step{Task: export.Task, Attempt: 1})); out.Next != dsr.Ready {
		t.Errorf("Plan of an export in the window answers %s", out.Next)
	}
}

// A run of Plan that lags behind Begin does not take its claims back.
func TestClaimsAreNotTakenBackByAStalePlan(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	w.people()
	r := w.submit(dsr.Deletion, "ann")
	step := dsr.Step{Task: r.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), step))
	mark := table.Key{PK: "project#" + project + "#mark#" + w.keys.Mark(project, "ann"), SK: r.Task}
	if err := w.control.WriteMany(t.Context(), []table.Op{table.Delete(mark, table.Cond{})}); err != nil {
		t.Fatal(err)
	}
	// The rows are not there yet when Plan looks.
	w.control = &before{w.control, r.Task, func() { w.do(w.Begin(t.Context(), step)) }}
	w.build()
	if _, err := w.Plan(t.Context(), step); kind.Of(err) != kind.Conflict {
		t.Errorf("got %v, want %v", err, kind.Conflict)
	}
	if _, claimed := w.row(r, "ann"); !claimed {
		t.Error("the claim is gone")
	}
}

// An export that waited is no longer told to concern somebody whom it does not.
func TestMarksOfAnExportThatWaited(t *testing.T) {
	w := newWorld(t)
	w.settings.CancelWindow = -1
	w.build()
	w.people()
	w.source.groups = [][]kind.Subject{one("ann", "bob")}
	first := w.submit(dsr.Deletion, "ann")
	step := dsr.Step{Task: first.Task, Attempt: 1}
	w.do(w.Plan(t.Context(), step))
	w.do(w.Begin(t.Context(), step))
	export := w.submit(dsr.Export, "bob", "cem")
	if out := w.do(w.Plan(t.Context(), dsr.Step{Task: export.Task, Attempt: 1})); out.Next != dsr.Later {
		t.Fatalf("Plan of the export answers %s, want it to wait", out.Next)
	}
	w.source.groups = nil // the links were erased with them
	w.settle()
	w.want(export, dsr.Success)
	if there, _ := w.row(export, "ann"); there {
		t.Error("the export still says that it concerns ann, who is not in it")
	}
	for _, id := range []kind.Subject{"bob", "cem"} {
		if there, _ := w.row(export, id); !there {
			t.Errorf("no row tells that the export concerns %s", string(id))
		}
	}
	w.source.event("ann", w.now(), `{}`)
	second := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(second, dsr.Success)
	if w.status(export).Withdrawn {
		t.Error("the archive was withdrawn for somebody who is not in it")
	}
	third := w.submit(dsr.Deletion, "cem")
	w.settle()
	w.want(third, dsr.Success)
	if !w.status(export).Withdrawn {
		t.Error("the archive stands after one of its people was erased")
	}
}

// Marks are not removed by a run of Plan that another one has overtaken, which found
// out that the export concerns them after all.
func TestMarksAreKeptFromAStalePlan(t *testing.T) {
	for name, meet := range map[string]func(w *world, export dsr.Request, happens func()){
		"that has read who it was about": func(w *world, export dsr.Request, happens func()) {
			w.control = &reading{w.control, "batch#", happens}
		},
		"that is about to remove them": func(w *world, export dsr.Request, happens func()) {
			w.control = &before{w.control, export.Task, happens}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settings.CancelWindow = -1
			w.build()
			w.people()
			w.source.groups = [][]kind.Subject{one("ann", "bob")}
			first := w.begun("ann")
			export := w.submit(dsr.Export, "bob")
			plan := dsr.Step{Task: export.Task, Attempt: 1}
			w.do(w.Plan(t.Context(), plan)) // it waits, and has a row for ann
			for w.status(first).Status.Open() {
				w.advance(time.Hour)
				w.drive(first.Task + "-1")
			}
			w.source.groups = nil
			meet(w, export, func() { // the run by then is about bob alone
				w.source.groups = [][]kind.Subject{one("ann", "bob")}
				w.do(w.Plan(t.Context(), plan))
			})
			w.build()
			if _, err := w.Plan(t.Context(), plan); kind.Of(err) != kind.Conflict {
				t.Errorf("the stale run: got %v, want %v", err, kind.Conflict)
			}
			if there, claimed := w.row(export, "ann"); !there || !claimed {
				t.Errorf("ann: a row %v, a claim %v; want both", there, claimed)
			}
		})
	}
}

// reading is a table that lets something happen after the first query from there on.
type reading struct {
	table.Table
	from    string
	happens func()
}

func (r *reading) Query(ctx context.Context, q table.Query) (table.Page, error) {
	page, err := r.Table.Query(ctx, q)
	if f := r.happens; f != nil && q.From == r.from {
		r.happens = nil
		f()
	}
	return page, err
}
