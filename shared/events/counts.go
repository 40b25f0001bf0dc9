package events

import (
	"context"

	"golang.org/x/sync/errgroup"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Counts are what a project's store holds, for people to look at: they are kept
// as it goes, and after a crash or an error they can be a little off.
type Counts struct {
	Rows     int64 // events and profiles
	Subjects int64 // identifiers with anything stored
	Dropped  int64 // records that arrived after their subject was erased or opted out, ever
}

// Counts reads the counters of a project.
func (s *Store) Counts(ctx context.Context, project string) (Counts, error) {
	keys := []table.Key{counterKey(project, rowsCounter), counterKey(project, subjectsCounter), counterKey(project, droppedCounter)}
	items, err := s.subjects.GetMany(ctx, keys)
	if err != nil {
		return Counts{}, kind.Wrap("read counters", err)
	}
	return Counts{Rows: items[keys[0]].Count, Subjects: items[keys[1]].Count, Dropped: items[keys[2]].Count}, nil
}

// Rows implements dsr.Counted.
func (s *Store) Rows(ctx context.Context, project string) (int64, error) {
	c, err := s.Counts(ctx, project)
	return c.Rows, err
}

// count adds to the counters of a project. What is counted is durable by now, so
// an error is only told in the log.
func (s *Store) count(ctx context.Context, project string, rows, subjects, dropped int64) {
	group, ctx := errgroup.WithContext(ctx)
	add := func(counter string, n int64) {
		if n != 0 {
			group.Go(func() error {
				_, err := s.subjects.Add(ctx, counterKey(project, counter), n)
				return err
			})
		}
	}
	add(rowsCounter, rows)
	add(subjectsCounter, subjects)
	add(droppedCounter, dropped)
	if err := group.Wait(); err != nil {
		s.log.WarnContext(ctx, "a counter may be off", "project", project, "error", err)
	}
}
