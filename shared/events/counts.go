package events

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Counts are what a project's store holds, for people to look at: they are kept
// as it goes, and after a crash or an error they can be a little off.
type Counts struct {
	Rows     int64 // events and profiles
	Subjects int64 // identifiers with anything stored
}

// Counts reads the counters of a project.
func (s *Store) Counts(ctx context.Context, project string) (Counts, error) {
	keys := []table.Key{counterKey(project, rowsCounter), counterKey(project, subjectsCounter)}
	items, err := s.subjects.GetMany(ctx, keys)
	if err != nil {
		return Counts{}, kind.Wrap("read counters", err)
	}
	return Counts{Rows: items[keys[0]].Count, Subjects: items[keys[1]].Count}, nil
}

// Rows implements dsr.Counted.
func (s *Store) Rows(ctx context.Context, project string) (int64, error) {
	c, err := s.Counts(ctx, project)
	return c.Rows, err
}

// Days implements dsr.Ingesting.
func (s *Store) Days(ctx context.Context, project string, from, to time.Time) ([]dsr.Day, error) {
	var days []dsr.Day
	at := map[string]int{} // the place of a date
	for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		at[date] = len(days)
		days = append(days, dsr.Day{Date: date})
	}
	q := table.Query{PK: counterKey(project, "").PK, From: dayCounter(from, ""), To: behind(dayPrefix + to.Format(time.DateOnly))}
	for {
		page, err := s.subjects.Query(ctx, q)
		if err != nil {
			return nil, kind.Wrap("read counters", err)
		}
		for _, item := range page.Items {
			date, counter, _ := strings.Cut(strings.TrimPrefix(item.SK, dayPrefix), "#")
			i, ok := at[date]
			if !ok {
				continue
			}
			switch counter {
			case storedCounter:
				days[i].Stored = item.Count
			case optedOutCounter:
				days[i].OptedOut = item.Count
			case lateCounter:
				days[i].Late = item.Count
			}
		}
		if page.Next == "" {
			return days, nil
		}
		q.After = page.Next
	}
}

// An intake is what became of some records. A day's counts are of those that came in
// on it.
type intake struct {
	stored, optedOut, late int64
}

func (i intake) dropped() int { return int(i.optedOut + i.late) }

// take counts what came in at a time.
func (s *Store) take(ctx context.Context, project string, received time.Time, in intake, rows, subjects int64) {
	s.count(ctx, project, map[string]int64{
		rowsCounter: rows, subjectsCounter: subjects,
		dayCounter(received, storedCounter): in.stored, dayCounter(received, optedOutCounter): in.optedOut, dayCounter(received, lateCounter): in.late,
	})
}

// count adds to the counters of a project. What is counted is durable by now, so
// an error is only told in the log.
func (s *Store) count(ctx context.Context, project string, counters map[string]int64) {
	group, ctx := errgroup.WithContext(ctx)
	for counter, n := range counters {
		if n != 0 {
			group.Go(func() error {
				_, err := s.subjects.Add(ctx, counterKey(project, counter), n)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		s.log.WarnContext(ctx, "a counter may be off", "project", project, "error", err)
	}
}
