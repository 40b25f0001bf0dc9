package local_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/events"
)

// holding counts how often a text stands in the files below dir.
func holding(t *testing.T, dir, text string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		n += bytes.Count(b, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Once the identifiers of requests that ended have gone, no byte of them is left in
// the data directory, while the server has it.
func TestNoByteOfAnIdentifierIsLeft(t *testing.T) {
	const trace = "subject-of-a-request-" // in every identifier
	var later atomic.Int64
	c := config(t)
	c.Clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	p := open(t, c)
	accounts := account.New(p.Control, p.Clock)
	service, err := p.Service(accounts, dsr.Settings{CancelWindow: -1}, events.New(p.Subjects, p.Keys, p.Clock))
	if err != nil {
		t.Fatal(err)
	}
	found, err := accounts.Found(t.Context(), account.Founding{OwnerEmail: "owner@test.example"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var all []dsr.Request
	for n := range 6 {
		sub := dsr.Submission{
			Project: found.ProjectID, Type: dsr.Export, Compliance: dsr.GDPR, Disclosure: dsr.Data, By: dsr.By{Actor: "owner@test.example"},
		}
		if n%2 == 0 {
			sub.Type = dsr.Deletion
		}
		for i := range 300 {
			sub.IDs = append(sub.IDs, fmt.Sprintf("%s%d-%d", trace, n, i))
		}
		later.Add(int64(time.Minute))
		r, err := service.Submit(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	for _, r := range all {
		for r.Status.Open() {
			time.Sleep(10 * time.Millisecond)
			if r, err = service.Get(t.Context(), found.ProjectID, r.Task); err != nil {
				t.Fatal(err)
			}
		}
	}
	if holding(t, c.Data, trace) == 0 {
		t.Fatal("no file shows an identifier before: this test would see nothing")
	}
	later.Add(int64(30 * 24 * time.Hour))
	if err := service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := holding(t, c.Data, trace); n > 0 {
		t.Errorf("identifiers stand %d times in the files", n)
	}
	for _, r := range all {
		if got, err := service.Get(t.Context(), found.ProjectID, r.Task); err != nil || !got.IDsGone {
			t.Errorf("got %+v, %v; want its record without identifiers", got, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
