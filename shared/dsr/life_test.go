package dsr_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/archive"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// people puts some data of ann, bob and cem into the source.
func (w *world) people() {
	for i := range 10 {
		at := w.now().Add(-time.Duration(i) * 24 * time.Hour)
		w.source.event("ann", at, `{"who":"ann"}`)
		w.source.event("bob", at, `{"who":"bob"}`)
	}
	w.source.event("cem", w.now(), `{"who":"cem"}`)
	w.source.rows = append([]row{{id: "ann", profile: true, received: w.now(), data: `{"$distinct_id":"ann"}`}}, w.source.rows...)
}

// unzip reads the names and contents of an export.
func (w *world) unzip(r dsr.Request) map[string]string {
	w.t.Helper()
	data := read(w.t, w.bucket, archive.Key(archive.Work(r.Task, w.status(r).Plan)))
	z, err := zip.NewReader(bytes.NewReader([]byte(data)), int64(len(data)))
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		body, err := f.Open()
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			w.t.Fatal(err)
		}
		out[f.Name] = string(text)
	}
	return out
}

func TestExportHoldsThePersonAndNobodyElse(t *testing.T) {
	for name, change := range map[string]func(*world){
		"in one run":       func(*world) {},
		"every task twice": func(w *world) { w.twice = true },
		"one segment to a run": func(w *world) {
			w.settings = dsr.Settings{Budget: 1, SegmentSize: 1, Laps: 3}
			w.step = time.Millisecond
		},
		"one subject to the batch":   func(w *world) { w.settings.Batch = 1 },
		"a source that answers late": func(w *world) { w.source.notYet = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			w.build()
			w.people()
			r := w.submit(dsr.Export, "ann", "nobody", "cem")
			if link, err := w.Link(t.Context(), r); link != "" || err != nil {
				t.Errorf("a link before SUCCESS: %q, %v", link, err)
			}
			w.settle()
			done := w.want(r, dsr.Success)
			if got, want := done.Before, (dsr.Tally{Events: 11, Profiles: 1, Subjects: 2}); got != want {
				t.Errorf("tally: got %+v, want %+v", got, want)
			}
			all := w.unzip(r)
			var text strings.Builder
			for name, body := range all {
				if strings.HasPrefix(name, "subjects/1/events/") || strings.HasPrefix(name, "subjects/3/events/") {
					text.WriteString(body)
				}
			}
			if got := strings.Count(text.String(), `"who":"ann"`); got != 10 {
				t.Errorf("events of ann: got %d, want 10", got)
			}
			if got := strings.Count(text.String(), `"who":"cem"`); got != 1 {
				t.Errorf("events of cem: got %d, want 1", got)
			}
			for name, body := range all {
				if strings.Contains(body, "bob") {
					t.Errorf("%s tells of bob, who was not asked for", name)
				}
			}
			if link, err := w.Link(t.Context(), done); link == "" || err != nil {
				t.Errorf("no link after SUCCESS: %q, %v", link, err)
			}
			if left := files(t, w.bucket, "segments/"); len(left) > 0 {
				t.Errorf("segments left after the end: %v", left)
			}
			d, err := w.Detail(t.Context(), project, r.Task)
			if err != nil {
				t.Fatal(err)
			}
			var states []string
			for _, f := range d.Findings {
				states = append(states, f.State)
			}
			if want := []string{"found", "nothing found", "found"}; !slices.Equal(states, want) {
				t.Errorf("findings: got %v, want %v", states, want)
			}
			w.advance(14 * 24 * time.Hour)
			if _, err := w.Download(t.Context(), project, r.Task, dsr.By{}); kind.Of(err) != kind.Gone {
				t.Errorf("download after 14 days: got %v, want Gone", err)
			}
		})
	}
}

func TestExportOfNobody(t *testing.T) {
	w := newWorld(t)
	r := w.submit(dsr.Export, "nobody")
	w.settle()
	got := w.want(r, dsr.Failure)
	if !strings.Contains(got.Reason, "Nothing was found") {
		t.Errorf("reason: got %q", got.Reason)
	}
	w.source.event("nobody", w.now(), `{}`)
	w.advance(time.Second)
	if _, err := w.Rerun(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.want(r, dsr.Success); got.Before.Events != 1 {
		t.Errorf("run again, it found %d events, want 1", got.Before.Events)
	}
}

func TestDeletion(t *testing.T) {
	for name, change := range map[string]func(*world){
		"at once":                    func(*world) {},
		"a source that answers late": func(w *world) { w.source.notYet = true },
		"one step to a run":          func(w *world) { w.settings = dsr.Settings{Budget: 1, Laps: 2, Batch: 1}; w.step = time.Millisecond },
		"every task twice":           func(w *world) { w.twice = true },
		"something left once":        func(w *world) { w.source.keep = 1 },
		"something left three times": func(w *world) { w.source.keep = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			w.build()
			w.people()
			r := w.submit(dsr.Deletion, "ann", "nobody")
			w.settle()
			done := w.want(r, dsr.Success)
			if got, want := done.Planned, (dsr.Tally{Events: 10, Profiles: 1, Subjects: 1}); got != want {
				t.Errorf("preview: got %+v, want %+v", got, want)
			}
			if got, want := done.Before, done.Planned; got != want {
				t.Errorf("erased: got %+v, want %+v", got, want)
			}
			for _, row := range w.source.rows {
				if string(row.id) == "ann" {
					t.Fatal("a record of ann is left")
				}
			}
			if got, want := len(w.source.rows), 11; got != want {
				t.Errorf("records of others: got %d, want %d", got, want)
			}
			if got, want := len(w.source.marks), 2; got != want {
				t.Errorf("tombstones: got %d, want %d: of every id, found or not", got, want)
			}
			ledger := files(t, w.bucket, "ledger/")
			if len(ledger) != 1 || !slices.Equal(ledger, files(t, w.copy, "ledger/")) {
				t.Errorf("ledger: got %v, want one entry in both places", ledger)
			}
			checkCertificate(t, w, r, 2)
		})
	}
}

// checkCertificate checks the certificate of a deletion of ann and others, ids in
// all.
func checkCertificate(t *testing.T, w *world, r dsr.Request, ids int) {
	t.Helper()
	text := read(t, w.bucket, "certificates/"+r.Task+".json")
	var c struct {
		Sources []struct {
			Name        string
			Identifiers []struct {
				Mark          string
				Before, After struct{ Events, Profiles, Edges int }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	w.checksum(text)
	if strings.Contains(text, `"earlier"`) {
		t.Error("the certificate holds one that it took for another's")
	}
	if len(c.Sources) != 1 || len(c.Sources[0].Identifiers) != ids {
		t.Fatalf("certificate: got %s", text)
	}
	ann := c.Sources[0].Identifiers[0]
	if ann.Before.Events != 10 || ann.Before.Profiles != 1 || ann.After.Events != 0 {
		t.Errorf("certificate of ann: got %+v", ann)
	}
	if strings.Contains(text, "ann") || strings.Contains(text, "nobody") {
		t.Error("the certificate holds an identifier")
	}
}

func TestDeletionThatCannotErase(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.source.keep = 4
	r := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(r, dsr.Failure)
	w.source.keep = 0
	again, err := w.Rerun(t.Context(), project, r.Task, dsr.By{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Status != dsr.Started {
		t.Errorf("run again: got %s, want STARTED: it had begun", again.Status)
	}
	if _, err := w.Cancel(t.Context(), project, r.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed {
		t.Errorf("cancel: got %v, want NotAllowed", err)
	}
	w.settle()
	got := w.want(r, dsr.Success)
	if got.Before.Events != 10 {
		t.Errorf("erased: got %d events, want the 10 that were there at the cutoff", got.Before.Events)
	}
}

func TestDeletionOfNobodyKeepsItsTombstone(t *testing.T) {
	w := newWorld(t)
	r := w.submit(dsr.Deletion, "nobody")
	w.settle()
	w.want(r, dsr.Failure)
	if got := len(w.source.marks); got != 1 {
		t.Errorf("tombstones: got %d, want 1", got)
	}
	if got := files(t, w.bucket, "certificates/"); len(got) != 1 {
		t.Errorf("certificates: got %v, want one", got)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.people()
	r := w.submit(dsr.Deletion, "ann")
	if _, err := w.Cancel(t.Context(), "7654321", r.Task, dsr.By{}); kind.Of(err) != kind.NotFound {
		t.Errorf("cancel from another project: got %v, want NotFound", err)
	}
	w.run() // plan it
	w.want(r, dsr.Staging)
	if _, err := w.Cancel(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(r, dsr.Revoked)
	if got, want := len(w.source.rows), 22; got != want {
		t.Errorf("records: got %d, want all %d", got, want)
	}
	if _, err := w.Cancel(t.Context(), project, r.Task, dsr.By{}); err != nil {
		t.Errorf("cancel twice: %v", err)
	}

	set := w.submit(dsr.Deletion, "ann", "bob")
	other := w.submit(dsr.Deletion, "ann")
	if err := w.CancelSet(t.Context(), project, []string{"bob", " ann"}, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.want(set, dsr.Revoked)
	w.want(other, dsr.Pending)
	if err := w.CancelSet(t.Context(), project, []string{"bob", "ann"}, dsr.By{}); kind.Of(err) != kind.NotFound {
		t.Errorf("cancel a set with none open: got %v, want NotFound", err)
	}
	w.settle()
	w.want(other, dsr.Success)
	if _, err := w.Cancel(t.Context(), project, other.Task, dsr.By{}); kind.Of(err) != kind.NotAllowed {
		t.Errorf("cancel after SUCCESS: got %v, want NotAllowed", err)
	}
}

func TestDeletionWithdrawsArchives(t *testing.T) {
	w := newWorld(t)
	w.people()
	both := w.submit(dsr.Export, "ann", "bob")
	bob := w.submit(dsr.Export, "bob")
	w.settle()
	deletion := w.submit(dsr.Deletion, "ann")
	w.settle()
	w.want(deletion, dsr.Success)
	got := w.want(both, dsr.Success)
	if link, _ := w.Link(t.Context(), got); link != "" {
		t.Error("a withdrawn archive still has a link")
	}
	if _, err := w.Download(t.Context(), project, both.Task, dsr.By{}); kind.Of(err) != kind.Gone {
		t.Errorf("download of a withdrawn archive: got %v, want Gone", err)
	}
	if got, want := files(t, w.bucket, "exports/"), []string{archive.Key(archive.Work(bob.Task, 0))}; !slices.Equal(got, want) {
		t.Errorf("archives: got %v, want %v", got, want)
	}
	if text := read(t, w.bucket, "certificates/"+deletion.Task+".json"); !strings.Contains(text, both.Task) || strings.Contains(text, bob.Task) {
		t.Error("the certificate does not name exactly the withdrawn archive")
	}
}

// An export and a deletion of one person never work at the same time.
func TestClaims(t *testing.T) {
	t.Run("a deletion waits for an export", func(t *testing.T) {
		w := newWorld(t)
		w.people()
		w.source.notYet = true
		export := w.submit(dsr.Export, "ann")
		deletion := w.submit(dsr.Deletion, "ann")
		exec := "/" // the export stands after Plan
		for _, name := range w.flow.running() {
			if w.flow.get(name).machine == "export" {
				exec = name
			}
		}
		out, err := w.Plan(t.Context(), w.flow.get(exec).in)
		if err != nil {
			t.Fatal(err)
		}
		w.flow.get(exec).turn(out)
		w.flow.get(exec).end("HELD")
		w.run()
		w.advance(25 * time.Hour)
		for range 5 {
			w.run()
			w.advance(time.Minute)
		}
		if got := w.want(deletion, dsr.Staging); !strings.Contains(got.Reason, "export") {
			t.Errorf("it does not say what it waits for: %q", got.Reason)
		}
		w.flow.get(exec).end(dsr.ExecutionRunning)
		w.settle()
		w.want(export, dsr.Success)
		if got := w.want(deletion, dsr.Success); got.Before.Events != 10 || got.Reason != "" {
			t.Errorf("erased %d events, want 10; reason %q", got.Before.Events, got.Reason)
		}
	})
	t.Run("an export waits for a deletion", func(t *testing.T) {
		w := newWorld(t)
		w.people()
		deletion := w.submit(dsr.Deletion, "ann")
		w.run()
		w.advance(25 * time.Hour)
		name := w.flow.running()[0]
		in := w.flow.get(name).in
		if out, err := w.Begin(t.Context(), in); err != nil || out.Next != dsr.Ready {
			t.Fatalf("begin: %v, %v", out.Next, err)
		}
		w.flow.get(name).end("HELD")
		export := w.submit(dsr.Export, "ann", "bob")
		for range 5 {
			w.run()
			w.advance(time.Minute)
		}
		if got := w.want(export, dsr.Staging); !strings.Contains(got.Reason, "deletion") {
			t.Errorf("it does not say what it waits for: %q", got.Reason)
		}
		w.flow.get(name).end(dsr.ExecutionRunning)
		w.settle()
		w.want(deletion, dsr.Success)
		if got := w.want(export, dsr.Success); got.Before.Events != 10 {
			t.Errorf("exported %d events, want the 10 of bob alone", got.Before.Events)
		}
	})
}

func TestSweepBringsBackWhatWasCutOff(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.flow.lost = true
	lost := w.submit(dsr.Export, "ann")
	w.flow.lost = false
	if !w.flow.idle() {
		t.Fatal("the execution was started")
	}
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(lost, dsr.Success)

	died := w.submit(dsr.Export, "bob")
	w.flow.get(died.Task + "-1").end(dsr.ExecutionFailed)
	w.settle()
	got := w.want(died, dsr.Failure)
	if got.Reason == "" {
		t.Error("a request whose execution died does not say what to do")
	}
	if _, err := w.Rerun(t.Context(), project, died.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	old := w.flow.get(died.Task + "-1").in
	w.settle()
	w.want(died, dsr.Success)
	if out, err := w.Plan(t.Context(), old); err != nil || out.Next != dsr.Closed {
		t.Errorf("a task of an older attempt: got %v, %v; want it to do nothing", out.Next, err)
	}
}

// The alarms on overdue, on broken and on newly broken requests look in the log for the
// words and the number of these lines, as template.yaml has them.
func TestSweepWarnsOfWhatIsNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.people()
	var lines bytes.Buffer
	w.log = slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w.build()
	type line struct {
		Msg                   string
		Overdue, Open, Broken int
	}
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	says := func(do func() error, want ...line) {
		t.Helper()
		lines.Reset()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		var got []line
		for text := range strings.Lines(lines.String()) {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatal(err)
			}
			got = append(got, l)
			if !strings.Contains(string(template), `FilterPattern: '{ $.msg = "`+l.Msg+`" }'`) {
				t.Errorf("template.yaml does not look for %q", l.Msg)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	warns := func(want ...line) {
		t.Helper()
		says(func() error { return w.Sweep(w.ctx) }, want...)
	}
	nobody := w.submit(dsr.Export, "nobody")
	broken := w.submit(dsr.Export, "ann")
	step := dsr.Step{Task: broken.Task, Attempt: 1, Failure: &dsr.Failed{Error: "Corrupt"}}
	finish := func() error {
		_, err := w.Finish(w.ctx, step)
		return err
	}
	warns()
	says(finish, line{Msg: "a request broke"})
	says(finish) // once
	w.settle()
	w.want(nobody, dsr.Failure) // which is an answer
	warns(line{Msg: "requests are broken", Broken: 1})
	if _, err := w.Rerun(w.ctx, project, broken.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	warns()
	step.Attempt = 2
	says(finish, line{Msg: "a request broke"})
	died := w.submit(dsr.Export, "bob")
	w.flow.get(died.Task + "-1").end(dsr.ExecutionFailed)
	warns(line{Msg: "a request broke"}, line{Msg: "requests are broken", Broken: 1})
	warns(line{Msg: "requests are broken", Broken: 2})
	if _, err := w.GiveUp(w.ctx, project, died.Task, dsr.By{}); err != nil {
		t.Fatal(err)
	}
	w.submit(dsr.Deletion, "ann")
	w.advance(29 * 24 * time.Hour) // past the due date of both
	w.submit(dsr.Deletion, "bob")
	warns(line{Msg: "requests are overdue", Overdue: 2, Open: 2}, line{Msg: "requests are broken", Broken: 1})
	w.advance(90 * 24 * time.Hour) // for as long as nobody does anything about it
	warns(line{Msg: "requests are overdue", Overdue: 3, Open: 2}, line{Msg: "requests are broken", Broken: 1})
	for _, want := range []string{"MetricValue: $.overdue }", "MetricValue: $.broken }"} {
		if !strings.Contains(string(template), want) {
			t.Errorf("template.yaml does not have %s", want)
		}
	}
}

// A record that cannot be read counts as broken, and keeps nobody from the others.
func TestSweepPassesOverWhatIsDamaged(t *testing.T) {
	w := newWorld(t)
	w.people()
	var lines bytes.Buffer
	w.log = slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w.build()
	w.flow.lost = true
	var all []dsr.Request
	for _, id := range []string{"ann", "bob", "cem"} {
		all = append(all, w.submit(dsr.Export, id))
	}
	w.flow.lost = false
	w.damage(all[1])
	lines.Reset()
	if err := w.Sweep(w.ctx); err != nil {
		t.Error(err)
	}
	said := lines.String()
	for _, want := range []string{`"msg":"the record of a request is damaged","list":"open","position":2`, `"msg":"requests are broken","broken":1`} {
		if !strings.Contains(said, want) {
			t.Errorf("the log does not say %s: %s", want, said)
		}
	}
	if strings.Contains(said, "bob") {
		t.Errorf("the log has an identifier: %s", said)
	}
	w.run()
	for _, r := range []dsr.Request{all[0], all[2]} {
		w.want(r, dsr.Success)
	}
	if listed, total, err := w.List(w.ctx, project, "", 1, 10); err != nil || len(listed) != 2 || total != 3 {
		t.Errorf("listed %d of %d (%v), want those that can be read", len(listed), total, err)
	}
	gone := w.submit(dsr.Deletion, "dan")
	other := w.submit(dsr.Deletion, "eve")
	w.damage(other)
	if err := w.CancelSet(w.ctx, project, []string{"dan"}, dsr.By{}); err != nil {
		t.Errorf("cancel: %v", err)
	}
	w.want(gone, dsr.Revoked)
	if open, _, err := w.ListOnly(w.ctx, project, dsr.OnlyOpen, 1, 10); err != nil || len(open) != 0 {
		t.Errorf("open: %d (%v), want none", len(open), err)
	}
}
