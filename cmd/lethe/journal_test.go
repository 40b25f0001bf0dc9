package main

import (
	"errors"
	"path/filepath"
	"testing"
)

// Where the same command begins twice at once, only one of them goes on to send in.
func TestJournalsAtOnce(t *testing.T) {
	a := &asking{of: "deletion", state: filepath.Join(t.TempDir(), "state")}
	one, err := a.openJournal([]string{"ada"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.openJournal([]string{"ada"})
	if err != nil {
		t.Fatal(err)
	}
	if err := one.write(); err != nil {
		t.Fatal(err)
	}
	var f failure
	if err := two.write(); !errors.As(err, &f) || f.status != statusRefused {
		t.Errorf("the second one: %v", err)
	}
	one.Parts[0].Task = "task"
	if err := one.write(); err != nil {
		t.Fatal(err)
	}
	if kept, err := a.openJournal([]string{"ada"}); err != nil || kept.Parts[0] != one.Parts[0] || kept.write() != nil {
		t.Errorf("what is kept: %+v, %v", kept, err)
	}
}
