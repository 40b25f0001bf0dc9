package dsr_test

import (
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Who a request concerns leads to it, by whatever identifier they have, and also when
// those are gone.
func TestRequestsAreFoundByWhoTheyConcern(t *testing.T) {
	w := newWorld(t)
	w.source.event("ada", w.now(), `{}`)
	first := w.submit(dsr.Export, "ada", "bob")
	w.settle()
	second := w.submit(dsr.Deletion, "ada")
	w.settle()
	tasks := func(project, id string) string {
		t.Helper()
		found, err := w.Concerning(w.ctx, project, id)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range found {
			all = append(all, r.Task)
		}
		return strings.Join(all, " ")
	}
	look := func(when string) {
		t.Helper()
		for _, c := range []struct{ project, id, want string }{
			{project, " ada ", second.Task + " " + first.Task}, {project, "bob", first.Task}, {project, "Ada", ""}, {"7654321", "ada", ""},
		} {
			if got := tasks(c.project, c.id); got != c.want {
				t.Errorf("%s, %q: got %q, want %q", when, c.id, got, c.want)
			}
		}
	}
	look("done")
	// A new key marks anew, and what was marked before is still found.
	w.keys = append(w.keys, kind.Key{Version: 2, Secret: []byte("the next key")})
	w.build()
	look("under another key")
	w.advance(40 * 24 * time.Hour)
	if err := w.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	if r := w.status(second); !r.IDsGone {
		t.Fatal("the identifiers are not gone")
	}
	look("without identifiers")
	w.damage(second)
	if got := tasks(project, "ada"); got != first.Task {
		t.Errorf("beside a damaged record: got %q, want %q", got, first.Task)
	}
	if _, err := w.Concerning(w.ctx, project, "null"); kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), "placeholder") {
		t.Errorf("a placeholder: %v", err)
	}
}

func TestTheProjectOfARequest(t *testing.T) {
	w := newWorld(t)
	r := w.submit(dsr.Export, "ada")
	if got, err := w.ProjectOf(w.ctx, r.Task); got != project || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, task := range []string{"", "nonsense", "00000000-0000-4000-8000-000000000000"} {
		if _, err := w.ProjectOf(w.ctx, task); kind.Of(err) != kind.NotFound {
			t.Errorf("%q: %v", task, err)
		}
	}
}

func TestFilter(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.submit(dsr.Export, "ada"), w.submit(dsr.Deletion, "ada", "bob"), w.submit(dsr.Export, "cy", "di")
	for name, q := range map[string]struct {
		of   dsr.Type
		fits func(dsr.Request) bool
		want string
	}{
		"all":     {"", func(dsr.Request) bool { return true }, c.Task + b.Task + a.Task},
		"exports": {dsr.Export, func(dsr.Request) bool { return true }, c.Task + a.Task},
		"two":     {"", func(r dsr.Request) bool { return r.Count == 2 }, c.Task + b.Task},
	} {
		found, whole, err := w.Filter(w.ctx, project, q.of, q.fits)
		got := ""
		for _, r := range found {
			got += r.Task
		}
		if got != q.want || !whole || err != nil {
			t.Errorf("%s: got %s, %v, %v; want %s", name, got, whole, err, q.want)
		}
	}
}

func TestDueDay(t *testing.T) {
	received := time.Date(2026, 1, 31, 23, 30, 0, 0, time.UTC) // in Berlin it is February
	for _, c := range []struct {
		law        dsr.Compliance
		zone, want string
	}{{dsr.GDPR, "", "2026-02-28"}, {dsr.GDPR, "Europe/Berlin", "2026-03-01"}, {dsr.GDPR, "America/Los_Angeles", "2026-02-28"}, {dsr.CCPA, "", "2026-03-17"}} {
		if got := dsr.DueDay(c.law, received, c.zone); got != c.want {
			t.Errorf("%s in %q: got %s, want %s", c.law, c.zone, got, c.want)
		}
	}
}

// damage makes the record of a request one that cannot be read.
func (w *world) damage(r dsr.Request) {
	w.t.Helper()
	item, err := w.control.Get(w.ctx, table.Key{PK: "request#" + r.Task, SK: "request"})
	if err != nil {
		w.t.Fatal(err)
	}
	item.Data = []byte(`{"task":"bob`)
	if err := w.control.Write(w.ctx, table.Put(item, table.Cond{})); err != nil {
		w.t.Fatal(err)
	}
}
