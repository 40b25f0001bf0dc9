package dsr

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
)

// A Counted source knows how many rows a project has, events and profiles, for the
// guard: about.
type Counted interface {
	Source
	Rows(ctx context.Context, project string) (int64, error)
}

// aloneAfter is how long somebody who is the only one to handle a project has to
// wait before confirming their own deletion.
const aloneAfter = 24 * time.Hour

// guard sets what share of the project a deletion would take, and returns why it
// has to wait for a second person, or "".
func (s *Service) guard(ctx context.Context, r *Request) (string, error) {
	var total int64
	for _, src := range s.Sources {
		counted, ok := src.(Counted)
		if !ok {
			continue
		}
		rows, err := counted.Rows(ctx, r.Project)
		if err != nil {
			return "", kind.Wrap("count the rows of a project", err)
		}
		total += rows
	}
	rows := r.Planned.Events + r.Planned.Profiles
	// The count of the project can be a little off.
	total = max(total, rows)
	if total > 0 {
		r.Share = math.Round(1000*float64(rows)/float64(total)) / 10
	}
	rules, err := s.Accounts.Rules(ctx, r.Project)
	if err != nil || r.Confirmed != "" && r.ConfirmedSet == r.Set {
		return "", err
	}
	g := rules.Guard
	who := fmt.Sprintf(" Another owner or admin has to confirm it; where there is none, who made it can after %d hours. Until then nothing is erased, and it can be cancelled.", int(aloneAfter.Hours()))
	most, alone := 0, 0
	err = s.allWork(ctx, *r, func(w *work) error {
		for _, c := range w.Clusters {
			most = max(most, len(c.IDs))
			if c.Alone {
				alone++
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case alone > 0:
		return fmt.Sprintf("Of %d of the identifiers this deletion would take what is stored under that one alone: each is linked with more than %d others, which no one person has. If others belong to the same person, cancel it and make one that names them too.", alone, MaxPerson) + who, nil
	case rows > g.Rows && rows*100 > total*int64(g.Share):
		return fmt.Sprintf("This deletion would take %d rows, %.1f %% of the project's.", rows, r.Share) + who, nil
	case most > g.IDs:
		return fmt.Sprintf("One of the identifiers stands for %d in this deletion.", most) + who, nil
	}
	return "", nil
}

// holds reports whether the guard holds a deletion of whom o concerns, whatever they
// have.
func (s *Service) holds(ctx context.Context, r Request, o roster) (bool, error) {
	rules, err := s.Accounts.Rules(ctx, r.Project)
	most := 0
	for _, b := range o.batches {
		for _, c := range b.Clusters {
			most = max(most, len(c.IDs))
		}
	}
	return o.alone || most > rules.Guard.IDs, err
}

// mayConfirm returns nil if by may let a deletion pass the guard.
func (s *Service) mayConfirm(ctx context.Context, r Request, by By) error {
	people, err := s.Accounts.Handlers(ctx, r.Project)
	if err != nil {
		return err
	}
	is := func(name string) func(string) bool {
		return func(other string) bool { return strings.EqualFold(name, other) }
	}
	if !slices.ContainsFunc(people, is(by.Actor)) {
		return kind.Say(kind.NotAllowed, "A person has to confirm this deletion, not a program.")
	}
	others := slices.ContainsFunc(people, func(p string) bool { return !strings.EqualFold(p, by.Actor) })
	switch own := strings.EqualFold(by.Actor, r.Requester); {
	case own && others:
		return kind.Say(kind.NotAllowed, "Another owner or admin than the one who made this deletion has to confirm it.")
	case !own && (others || slices.ContainsFunc(people, is(r.Requester))):
		return nil // where there is nobody else, a program that made it is this person's
	}
	if left := r.Held.Add(aloneAfter).Sub(s.now()); left > 0 {
		return kind.Say(kind.NotAllowed, "There is no other owner or admin who could confirm this deletion. You can do it yourself from "+r.Held.Add(aloneAfter).Format(time.RFC3339)+" on.")
	}
	return nil
}
