package dsr_test

import (
	"testing"

	"lethe/shared/dsr"
)

// Whoever changes a request is not told that a task, or somebody else, changed it at the
// same moment: the change is made on what became of it.
func TestChangesMeet(t *testing.T) {
	owner := dsr.By{Actor: "owner@example.com"}
	for name, c := range map[string]struct {
		prepare       func(w *world) dsr.Request
		change, meets func(w *world, r dsr.Request) error
		status        dsr.Status
		extended      bool
	}{
		"an extension and Plan": {
			prepare: func(w *world) dsr.Request { return w.submit(dsr.Deletion, "ann") },
			change: func(w *world, r dsr.Request) error {
				_, err := w.Extend(w.ctx, project, r.Task, "many systems", owner)
				return err
			},
			meets: func(w *world, r dsr.Request) error {
				_, err := w.Plan(w.ctx, dsr.Step{Task: r.Task, Attempt: 1})
				return err
			},
			status: dsr.Staging, extended: true,
		},
		"a confirmation and an extension": {
			prepare: func(w *world) dsr.Request {
				w.rules.Guard.Rows, w.rules.Guard.Share = 1, 1
				w.handlers = []string{"owner@example.com", "other@example.com"}
				w.build()
				r := w.submit(dsr.Deletion, "ann")
				w.settle()
				return r
			},
			change: func(w *world, r dsr.Request) error {
				_, err := w.Confirm(w.ctx, project, r.Task, dsr.By{Actor: "other@example.com"})
				return err
			},
			meets: func(w *world, r dsr.Request) error {
				_, err := w.Extend(w.ctx, project, r.Task, "many systems", owner)
				return err
			},
			status: dsr.Pending, extended: true,
		},
		"a rerun and a giving up": {
			prepare: func(w *world) dsr.Request {
				w.source.broken = true
				r := w.submit(dsr.Export, "ann")
				w.settle()
				return r
			},
			change: func(w *world, r dsr.Request) error { _, err := w.Rerun(w.ctx, project, r.Task, owner); return err },
			meets:  func(w *world, r dsr.Request) error { _, err := w.GiveUp(w.ctx, project, r.Task, owner); return err },
			status: dsr.Pending,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.people()
			r := c.prepare(w)
			w.control = &before{w.control, "request", func() {
				if err := c.meets(w, r); err != nil {
					t.Error(err)
				}
			}}
			w.build()
			if err := c.change(w, r); err != nil {
				t.Fatal(err)
			}
			if got := w.want(r, c.status); (got.Extension != "") != c.extended {
				t.Errorf("extended for %q", got.Extension)
			}
		})
	}
}
