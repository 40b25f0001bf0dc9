// Command bench measures a Lethe on one machine from outside: it builds the
// program, starts it as a process of its own, fills it over HTTP, submits requests
// and prints what it saw. It asserts nothing.
//
//	go run ./cmd/lethe/bench -events 10000000
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// milestones are the sizes of the store, in events, at which one person's export
// is measured.
var milestones = [...]int{100_000, 1_000_000, 10_000_000}

const (
	many    = 2000 // ids in a large request
	samples = 10   // submissions of each size
)

func main() {
	events := flag.Int("events", 1_000_000, "events to fill the store with")
	users := flag.Int("users", 200_000, "people that the events belong to")
	clients := flag.Int("clients", 4, "batches sent at the same time")
	dir := flag.String("dir", "", "directory for the data, removed afterwards; a temporary one if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *dir, load{events: *events, users: *users, clients: *clients}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, dir string, l load) error {
	s, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Printf("%d events of %d people, batches of %d, %d at a time\n\n", l.events, l.users, batch, l.clients)
	for _, size := range append(slices.Clone(milestones[:]), l.events) {
		if size <= l.sent || size > l.events {
			continue
		}
		if err := l.fill(ctx, s, size); err != nil {
			return err
		}
		if err := one(ctx, s, l); err != nil {
			return err
		}
		fmt.Println()
	}
	for _, ids := range []int{1, many} {
		if err := submits(ctx, s, ids); err != nil {
			return err
		}
	}
	fmt.Println()
	if err := s.again(); err != nil {
		return err
	}
	if err := s.backup(ctx); err != nil {
		return err
	}
	if err := large(ctx, s, l); err != nil {
		return err
	}
	return s.restore(ctx)
}

// one measures the export of a single person.
func one(ctx context.Context, s *server, l load) error {
	before := s.usage()
	sub, err := s.submit(ctx, "data-retrievals", []string{l.user(0)})
	if err != nil {
		return err
	}
	took, err := s.ended(ctx, sub, "SUCCESS")
	if err != nil {
		return err
	}
	s.report(fmt.Sprintf("export of one person, %d events in the store", l.sent), took, before)
	return nil
}

// submits measures how long a submission takes to be answered. The ids have no
// data, so that the work behind one does not slow the next.
func submits(ctx context.Context, s *server, ids int) error {
	var took []time.Duration
	for n := range samples {
		var list []string
		for i := range ids {
			list = append(list, fmt.Sprintf("nothing-%d-%d", n, i))
		}
		sub, err := s.submit(ctx, "data-retrievals", list)
		if err != nil {
			return err
		}
		took = append(took, sub.answered)
		if _, err := s.ended(ctx, sub, "FAILURE"); err != nil {
			return err
		}
	}
	slices.Sort(took)
	fmt.Printf("%-56s median %v, slowest of %d %v\n", fmt.Sprintf("submit %d ids", ids),
		took[len(took)/2].Round(10*time.Microsecond), len(took), took[len(took)-1].Round(10*time.Microsecond))
	return nil
}

// large measures the export and then the deletion of 2000 people.
func large(ctx context.Context, s *server, l load) error {
	var ids []string
	for n := range min(many, l.users) {
		ids = append(ids, l.user(n*(l.users/min(many, l.users))))
	}
	for _, c := range []struct{ what, calls string }{{"export", "data-retrievals"}, {"deletion", "data-deletions"}} {
		before := s.usage()
		sub, err := s.submit(ctx, c.calls, ids)
		if err != nil {
			return err
		}
		took, err := s.ended(ctx, sub, "SUCCESS")
		if err != nil {
			return err
		}
		s.report(fmt.Sprintf("%s of %d of %d people", c.what, len(ids), l.users), took, before)
		if err := s.steps(ctx, sub); err != nil {
			return err
		}
		if c.what == "export" {
			if err := archived(ctx, s, sub.task); err != nil {
				return err
			}
		}
	}
	return nil
}
