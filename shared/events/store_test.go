package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/local"
	"lethe/shared/table"
)

const project = "1"

// noon is when the tests' clock begins.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// A shop is a store in memory with a clock.
type shop struct {
	*events.Store
	t     *testing.T
	table table.Table
	mu    sync.Mutex
	now   time.Time
}

func newShop(t *testing.T) *shop {
	return openShop(t, func(now func() time.Time) table.Table { return table.NewMemory(now) })
}

// eachHome runs a test over the table in memory and over that on a disk.
func eachHome(t *testing.T, run func(t *testing.T, s *shop)) {
	t.Run("memory", func(t *testing.T) { run(t, newShop(t)) })
	t.Run("disk", func(t *testing.T) {
		run(t, openShop(t, func(now func() time.Time) table.Table {
			db, err := local.OpenDB(filepath.Join(t.TempDir(), "lethe.db"), now)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			return db.Table("subjects")
		}))
	})
}

func openShop(t *testing.T, open func(now func() time.Time) table.Table) *shop {
	s := &shop{t: t, now: noon}
	s.table = open(s.clock)
	s.Store = events.New(s.table, keys, s.clock)
	return s
}

func (s *shop) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shop) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// event stores events as /import takes them.
func (s *shop) event(raw ...string) events.Receipt {
	s.t.Helper()
	var batch []events.Event
	for _, r := range raw {
		e, err := events.ParseEvent([]byte(r), events.Rules{Now: s.clock(), Import: true})
		if err != nil {
			s.t.Fatalf("%s: %v", r, err)
		}
		batch = append(batch, e)
	}
	receipt, err := s.Track(s.t.Context(), project, batch)
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

// update stores updates as /engage takes them.
func (s *shop) update(raw ...string) events.Receipt {
	s.t.Helper()
	var batch []events.Update
	for _, r := range raw {
		u, err := events.ParseUpdate([]byte(r), false)
		if err != nil {
			s.t.Fatalf("%s: %v", r, err)
		}
		batch = append(batch, u)
	}
	receipt, err := s.Update(s.t.Context(), project, batch)
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

// seen is a simple event of a person at so many seconds after an hour before noon.
func seen(id, insertID string, seconds int) string {
	return fmt.Sprintf(`{"event":"Seen","properties":{"time":%d,"distinct_id":%q,"$insert_id":%q}}`,
		noon.Add(-time.Hour).Unix()+int64(seconds), id, insertID)
}

// people makes a scope of one cluster per argument, whose ids are separated by
// spaces.
func (s *shop) people(clusters ...string) dsr.Scope {
	scope := dsr.Scope{Project: project, Limit: s.clock()}
	for i, ids := range clusters {
		c := dsr.Cluster{Folder: i + 1}
		for _, id := range strings.Fields(ids) {
			c.IDs = append(c.IDs, kind.Subject(id))
		}
		scope.Clusters = append(scope.Clusters, c)
	}
	return scope
}

// export collects scope and writes a line for each record.
func (s *shop) export(scope dsr.Scope) []string {
	s.t.Helper()
	lines, _ := s.exportFrom(scope, "", -1)
	return lines
}

// exportFrom collects at most n records from a cursor on.
func (s *shop) exportFrom(scope dsr.Scope, cursor string, n int) (lines []string, next string) {
	s.t.Helper()
	records, err := s.Collect(s.t.Context(), scope, cursor)
	if err != nil {
		s.t.Fatal(err)
	}
	defer records.Close()
	for ; n != 0; n-- {
		r, err := records.Next(s.t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if !json.Valid(r.Data) {
			s.t.Fatalf("a record is no JSON: %s", r.Data)
		}
		line := fmt.Sprintf("%d.%d %s", r.Cluster, r.ID, r.Data)
		if !r.Profile {
			line = fmt.Sprintf("%d.%d %s %s %s", r.Cluster, r.ID, r.Name, r.Time.Format("15:04:05.000"), r.Data)
		}
		lines = append(lines, line)
	}
	return lines, records.Cursor()
}

// steps runs Find or Erase to the end and adds up what it found.
func (s *shop) steps(step func(context.Context, dsr.Scope, string) (dsr.Progress, error), scope dsr.Scope) (found [][5]int64, steps int) {
	s.t.Helper()
	cursor := ""
	for {
		p, err := step(s.t.Context(), scope, cursor)
		if err != nil {
			s.t.Fatal(err)
		}
		if steps++; steps > 10_000 {
			s.t.Fatal("the steps do not end")
		}
		for _, f := range p.Found {
			at := slices.IndexFunc(found, func(x [5]int64) bool { return x[0] == int64(f.Cluster) && x[1] == int64(f.ID) })
			if at < 0 {
				found, at = append(found, [5]int64{int64(f.Cluster), int64(f.ID)}), len(found)
			}
			found[at][2] += f.Events
			found[at][3] += f.Profiles
			found[at][4] += f.Edges
		}
		if p.Done {
			return found, steps
		}
		cursor = p.Cursor
	}
}

// items lists all that the table holds, without counters.
func (s *shop) items() []table.Item {
	s.t.Helper()
	pks := map[string]bool{}
	if err := s.table.Partitions(s.t.Context(), func(pk string) error { pks[pk] = true; return nil }); err != nil {
		s.t.Fatal(err)
	}
	var all []table.Item
	for pk := range pks {
		q := table.Query{PK: pk}
		for {
			page, err := s.table.Query(s.t.Context(), q)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, item := range page.Items {
				if !strings.HasSuffix(pk, "#count") {
					all = append(all, item)
				}
			}
			if q.After = page.Next; page.Next == "" {
				break
			}
		}
	}
	return all
}

func (s *shop) counts() events.Counts {
	s.t.Helper()
	c, err := s.Counts(s.t.Context(), project)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// day is what became of what came in today.
func (s *shop) day() dsr.Day {
	s.t.Helper()
	today := s.clock().Truncate(24 * time.Hour)
	days, err := s.Days(s.t.Context(), project, today, today)
	if err != nil || len(days) != 1 {
		s.t.Fatal(days, err)
	}
	return days[0]
}

// keys is what tests suppress under.
var keys = kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}

func (s *shop) suppress(task string, cutoff time.Time, ids ...kind.Subject) {
	s.t.Helper()
	var marks []dsr.Mark
	for _, id := range ids {
		marks = append(marks, dsr.Mark{Name: keys.Mark(project, id), Subject: id, Task: task, Cutoff: cutoff, Disclosure: dsr.Data})
	}
	if err := s.Suppress(s.t.Context(), project, marks); err != nil {
		s.t.Fatal(err)
	}
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
