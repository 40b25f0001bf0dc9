package account_test

import (
	"errors"
	"reflect"
	"testing"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

func TestRulesAreTheDefaultsUntilSettled(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	if got, err := w.Rules(t.Context(), c.ProjectID); err != nil || !reflect.DeepEqual(got, dsr.Defaults()) {
		t.Errorf("Rules = %+v, %v; want the defaults", got, err)
	}
	if _, err := w.Rules(t.Context(), "#"); kind.Of(err) != kind.NotFound {
		t.Errorf("Rules of no project: %v, want %v", err, kind.NotFound)
	}
}

// Of two who change the settings at the same moment one is told so, and nothing of
// that change is kept.
func TestSetRulesIsACompareAndSwap(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	by := dsr.By{Actor: "pat@example.com"}
	_, err := w.SetRules(t.Context(), c.ProjectID, by, func(late *dsr.Rules) error {
		_, err := w.SetRules(t.Context(), c.ProjectID, by, func(first *dsr.Rules) error {
			first.KeepIDs = 20
			return nil
		})
		late.KeepRecords, late.Identity = 36, dsr.Original
		return err
	})
	if kind.Of(err) != kind.Conflict || kind.Sentence(err) == "" {
		t.Errorf("the second change: got %v, want %v", err, kind.Conflict)
	}
	want := dsr.Defaults()
	want.KeepIDs = 20
	if got, err := w.Rules(t.Context(), c.ProjectID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Rules = %+v, %v; want %+v", got, err, want)
	}
	if got, err := w.Organisation(t.Context()); err != nil || !reflect.DeepEqual(got, want.Organisation) {
		t.Errorf("Organisation = %+v, %v; want %+v", got, err, want.Organisation)
	}
	mine := errors.New("no")
	if _, err := w.SetRules(t.Context(), c.ProjectID, by, func(*dsr.Rules) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("a change that fails: got %v", err)
	}
}

// What is settled of one project does not hold for another.
func TestRulesOfAProjectAreItsOwn(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	if _, err := w.SetRules(t.Context(), c.ProjectID, machine, func(r *dsr.Rules) error {
		r.Identity, r.TimeZone = dsr.Original, "Asia/Tokyo"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Rules(t.Context(), c.ProjectID+"1"); err != nil || got.Identity != dsr.Simplified || got.TimeZone != "Asia/Tokyo" {
		t.Errorf("another project's rules: %+v, %v", got, err)
	}
}

// An entry of the audit trail goes with the records of its time.
func TestAuditEntriesGo(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	settle := func(months int) {
		t.Helper()
		if _, err := w.SetRules(t.Context(), c.ProjectID, machine, func(r *dsr.Rules) error { r.KeepRecords = months; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	record := func() {
		t.Helper()
		if err := w.Record(t.Context(), dsr.Entry{Project: c.ProjectID, Time: w.now, Action: "export.submit"}); err != nil {
			t.Fatal(err)
		}
	}
	entries := func() int {
		t.Helper()
		return len(w.trail(t, c.ProjectID))
	}
	record()
	settle(36)
	record()
	for _, step := range []struct{ months, left int }{{0, 3}, {23, 3}, {1, 1}, {11, 1}, {1, 0}} {
		w.now = w.now.AddDate(0, step.months, 0)
		if got := entries(); got != step.left {
			t.Errorf("%s: %d entries, want %d", w.now.Format("2006-01-02"), got, step.left)
		}
	}
}

// A program cannot let its own deletions pass the guard.
func TestOnlyPeopleLoosenTheGuard(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	for _, try := range []struct {
		by     string
		change func(*dsr.Guard)
		want   kind.Kind
	}{
		{c.ServiceAccount, func(g *dsr.Guard) { g.Share++ }, kind.Forbidden},
		{c.ServiceAccount, func(g *dsr.Guard) { g.Rows++ }, kind.Forbidden},
		{c.ServiceAccount, func(g *dsr.Guard) { g.IDs++; g.Share-- }, kind.Forbidden},
		{c.ServiceAccount, func(g *dsr.Guard) { g.Share--; g.Rows--; g.IDs-- }, ""},
		{pat, func(g *dsr.Guard) { g.Share++; g.Rows++; g.IDs++ }, ""},
		{account.Local.Name, func(g *dsr.Guard) { g.Share++ }, ""},
	} {
		_, err := w.SetRules(t.Context(), c.ProjectID, by(try.by), func(r *dsr.Rules) error { try.change(&r.Guard); return nil })
		if kind.Of(err) != try.want || err != nil && kind.Sentence(err) == "" {
			t.Errorf("%s: got %v, want %q", try.by, err, try.want)
		}
	}
}
