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
	rows := r.Planned.rows()
	total, err := s.rows(ctx, r.Project)
	if err != nil {
		return "", err
	}
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
	case g.stops(rows, total):
		return fmt.Sprintf("This deletion would take %d rows, %.1f %% of the project's.", rows, r.Share) + who, nil
	case most > g.IDs:
		return fmt.Sprintf("One of the identifiers stands for %d in this deletion.", most) + who, nil
	}
	return "", nil
}

// stops reports whether so many rows of a project are too many for one person to decide.
func (g Guard) stops(rows, total int64) bool {
	return rows > g.Rows && rows*100 > max(total, rows)*int64(g.Share)
}

// rows is how many rows the project has, about.
func (s *Service) rows(ctx context.Context, project string) (total int64, err error) {
	for _, src := range s.Sources {
		counted, ok := src.(Counted)
		if !ok {
			continue
		}
		rows, err := counted.Rows(ctx, project)
		if err != nil {
			return 0, kind.Wrap("count the rows of a project", err)
		}
		total += rows
	}
	return total, nil
}

// holds reports whether the guard may hold a deletion that was planned of others than
// whom o concerns. What was confirmed is not asked about again, but for what came to it.
func (s *Service) holds(ctx context.Context, r Request, o roster) (bool, error) {
	rules, err := s.Accounts.Rules(ctx, r.Project)
	if err != nil {
		return false, err
	}
	most := 0
	for _, b := range o.batches {
		for _, c := range b.Clusters {
			most = max(most, len(c.IDs))
		}
	}
	if o.alone || most > rules.Guard.IDs {
		return true, nil
	}
	came, all, err := s.newcomers(ctx, r, o)
	if err != nil || !all {
		return true, err
	}
	if r.Confirmed == "" {
		came += r.Planned.rows()
	}
	total, err := s.rows(ctx, r.Project)
	return rules.Guard.stops(came, total), err
}

// newcomers counts the rows of those of o whom r was not planned with. All is false if
// there is no time, or a source has no answer yet: then Plan has to count.
func (s *Service) newcomers(ctx context.Context, r Request, o roster) (rows int64, all bool, err error) {
	planned, err := s.marked(ctx, r)
	if err != nil {
		return 0, false, err
	}
	known := make(map[string]bool, len(planned))
	for _, id := range planned {
		known[string(id)] = true
	}
	goOn := s.goOn()
	for _, b := range o.batches {
		came := work{batch: batch{Source: b.Source}}
		for _, c := range b.Clusters {
			ids := slices.DeleteFunc(slices.Clone(c.IDs), func(id string) bool { return known[id] })
			if len(ids) > 0 {
				came.Clusters = append(came.Clusters, cluster{Folder: c.Folder, IDs: ids})
			}
		}
		if len(came.Clusters) == 0 {
			continue
		}
		done, _, err := s.look(ctx, &came, came.scope(r, s.now()), goOn)
		if err != nil || !done {
			return 0, false, err
		}
		var found Tally
		for _, f := range came.cursor.Partial {
			found.add(f)
		}
		rows += found.rows()
	}
	return rows, true, nil
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
