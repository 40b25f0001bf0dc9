package tabletest

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

func counters(t *testing.T, s *suite) {
	k := key("p", "count")
	for _, c := range []struct{ add, want int64 }{{1, 1}, {41, 42}, {-50, -8}, {0, -8}, {1 << 50, 1<<50 - 8}} {
		got, err := s.Add(t.Context(), k, c.add)
		told := c.add != 0 || !s.lack(AddingZero)
		if err != nil || told && got != c.want {
			t.Errorf("add %d: got %d (%v), want %d", c.add, got, err, c.want)
		}
		if got := s.get(t, k).Count; got != c.want {
			t.Errorf("add %d: read %d, want %d", c.add, got, c.want)
		}
	}

	full := item("p", "full", "kept")
	full.Index, full.Count = key("ip", "is"), 3
	before := s.put(t, full)
	if got, err := s.Add(t.Context(), full.Key, 2); err != nil || got != 5 {
		t.Errorf("got %d (%v), want 5", got, err)
	}
	after := s.get(t, full.Key)
	full.Count = 5
	same(t, after, full)
	if before.Version == after.Version {
		t.Error("counting left the version as it was")
	}
}

func countersUpTo(t *testing.T, s *suite) {
	for n, c := range []struct {
		start, add, max int64
		holds           bool
	}{
		{0, 1, 1, true}, {0, 1, 0, false}, {0, 0, 0, true}, {0, 0, -1, false}, {0, 5, 4, false},
		{7, 3, 10, true}, {7, 4, 10, false}, {7, -1, 6, true}, {7, -1, 5, false}, {7, -8, -1, true},
		{-5, 5, 0, true}, {-5, 6, 0, false}, {0, -1, math.MaxInt64, true}, {0, 1, math.MaxInt64, true},
		{-1, 1, math.MinInt64, false}, {1, -1, math.MaxInt64, true},
	} {
		k := key("p", fmt.Sprint(n))
		if c.start != 0 {
			s.put(t, table.Item{Key: k, Count: c.start})
		}
		err := s.Write(t.Context(), table.AddUpTo(k, c.add, c.max))
		want := c.start
		if c.holds {
			want += c.add
		}
		found, readErr := s.GetMany(t.Context(), []table.Key{k})
		if (err == nil) != c.holds || readErr != nil || found[k].Count != want {
			t.Errorf("%d + %d up to %d: count %d (%v, %v), want %d", c.start, c.add, c.max, found[k].Count, err, readErr, want)
		}
		if !c.holds {
			wantKind(t, err, kind.Conflict)
		}
		if exists := len(found) == 1; exists != (c.start != 0 || c.holds) {
			t.Errorf("%d + %d up to %d: exists %v", c.start, c.add, c.max, exists)
		}
	}
}

func countersDoNotExpire(t *testing.T, s *suite) {
	i := item("p", "mortal", "")
	i.Count, i.Expires = 1, s.clock.now().Add(time.Hour)
	s.put(t, i)
	_, err := s.Add(t.Context(), i.Key, 1)
	wantKind(t, err, kind.Conflict)
	err = s.Write(t.Context(), table.AddUpTo(i.Key, 1, 10))
	wantKind(t, err, kind.Conflict)
	same(t, s.get(t, i.Key), table.Item{Key: i.Key, Data: i.Data, Count: 1, Expires: i.Expires.Truncate(time.Second)})
}

func scrub(t *testing.T, s *suite) {
	i := s.put(t, item("p", "s", "kept"))
	if err := s.Write(t.Context(), table.Delete(s.put(t, item("p", "gone", "")).Key, table.Cond{})); err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, s.get(t, i.Key), i)
	s.gone(t, key("p", "gone"))
}

func endedContext(t *testing.T, s *suite) {
	i := s.put(t, item("p", "s", ""))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"get":        func() error { _, err := s.Get(ctx, i.Key); return err },
		"get many":   func() error { _, err := s.GetMany(ctx, []table.Key{i.Key}); return err },
		"query":      func() error { _, err := s.Query(ctx, table.Query{PK: i.PK}); return err },
		"write":      func() error { return s.Write(ctx, table.Delete(i.Key, table.Cond{})) },
		"write many": func() error { return s.WriteMany(ctx, []table.Op{table.Delete(i.Key, table.Cond{})}) },
		"add":        func() error { _, err := s.Add(ctx, i.Key, 1); return err },
		"partitions": func() error { return s.Partitions(ctx, func(string) error { return nil }) },
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, call(), kind.Unavailable) })
	}
	same(t, s.get(t, i.Key), i)
}
