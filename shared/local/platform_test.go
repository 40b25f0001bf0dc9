package local_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/local"
)

func config(t *testing.T) local.Config {
	return local.Config{Data: filepath.Join(t.TempDir(), "data"), Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, c local.Config) *local.Platform {
	t.Helper()
	p, err := local.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOneProcessHasTheDirectory(t *testing.T) {
	c := config(t)
	if local.Holds(c.Data) {
		t.Error("an absent directory holds something")
	}
	p := open(t, c)
	if !local.Holds(c.Data) {
		t.Error("an open directory holds nothing")
	}
	if _, err := local.Open(c); kind.Of(err) != kind.Conflict {
		t.Errorf("got %v, want Conflict", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, c).Close(); err != nil {
		t.Fatal(err)
	}
}

// Under a new suppression key the erased would be let in again.
func TestDataIsNotOpenedWithoutItsKey(t *testing.T) {
	c := config(t)
	if err := open(t, c).Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(c.Data, "keys", "suppression")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	_, err := local.Open(c)
	if kind.Of(err) != kind.Corrupt || !strings.Contains(kind.Sentence(err), "keys/suppression") {
		t.Errorf("got %v, want Corrupt and the name of the file", err)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a new key was made")
	}
}

// A request that was accepted by a process that then died is started by the
// sweep of the next one, and what one run leaves another finishes.
func TestRunFinishesWhatAnEarlierProcessAccepted(t *testing.T) {
	c := config(t)
	p := open(t, c)
	accounts := account.New(p.Control, c.Clock)
	store := events.New(p.Subjects, p.Keys, c.Clock)
	service, err := p.Service(accounts, dsr.Settings{}, store)
	if err != nil {
		t.Fatal(err)
	}
	found, err := accounts.Found(t.Context(), account.Founding{OwnerEmail: "owner@test.example"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := service.Submit(t.Context(), dsr.Submission{
		Project: found.ProjectID, Type: dsr.Export, Compliance: dsr.GDPR, Disclosure: dsr.Data, IDs: []string{"nobody-here"}, By: dsr.By{Actor: "owner@test.example"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil { // without ever having run
		t.Fatal(err)
	}

	p = open(t, c)
	service, err = p.Service(account.New(p.Control, c.Clock), dsr.Settings{}, events.New(p.Subjects, p.Keys, c.Clock))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for r.Status.Open() {
		if r, err = service.Get(t.Context(), found.ProjectID, r.Task); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := r.Status, dsr.Failure; got != want || !r.Afresh {
		t.Errorf("got %v, want %v since nothing was found", got, want)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
