package dsr_test

import (
	"encoding/json"
	"strings"
	"testing"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// What a request says of itself tells people what to do next.
func TestWhatARequestSays(t *testing.T) {
	for name, c := range map[string]struct {
		says func(w *world) string
		want []string
		not  string
	}{
		"a deletion that found nothing": {func(w *world) string {
			r := w.submit(dsr.Deletion, "nobody")
			w.settle()
			return w.want(r, dsr.Failure).Reason
		}, []string{"Nothing was found", "Make a new request"}, ""},
		"its certificate": {func(w *world) string {
			r := w.submit(dsr.Deletion, "nobody")
			w.settle()
			var cert struct{ Effect string }
			if err := json.Unmarshal([]byte(read(w.t, w.bucket, "certificates/"+r.Task+".json")), &cert); err != nil {
				w.t.Fatal(err)
			}
			return cert.Effect
		}, []string{"Nothing was removed"}, "were removed"},
		"the certificate of one that found something": {func(w *world) string {
			r := w.submit(dsr.Deletion, "ann")
			w.settle()
			return read(w.t, w.bucket, "certificates/"+r.Task+".json")
		}, []string{"were removed"}, "Nothing"},
		"the file of an export that is held": {func(w *world) string {
			r := w.submit(dsr.Export, "ann")
			s := w.save()
			w.restore(s)
			if _, err := w.Restore(w.ctx); err != nil {
				w.t.Fatal(err)
			}
			_, err := w.Download(w.ctx, project, r.Task, dsr.By{})
			if kind.Of(err) != kind.Unavailable {
				w.t.Errorf("got %v, want %v", err, kind.Unavailable)
			}
			return kind.Sentence(err)
		}, []string{"held", "owner or admin"}, "Try again"},
		"a deletion that the guard holds": {func(w *world) string {
			w.rules.Guard = dsr.Guard{Share: 1, Rows: 1, IDs: 50}
			w.build()
			r := w.submit(dsr.Deletion, "ann")
			w.settle()
			return w.want(r, dsr.Staging).Reason
		}, []string{"Another owner or admin", "after 24 hours"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.people()
			got := c.says(w)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("says %q, want %q in it", got, want)
				}
			}
			if c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("says %q, want no %q in it", got, c.not)
			}
		})
	}
}
