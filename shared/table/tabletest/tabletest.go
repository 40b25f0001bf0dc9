// Package tabletest is the conformance suite that every driver of table.Table
// runs, and the faults that its users are tested with. See Run for drivers,
// EachFault and Faulty for users.
package tabletest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Open returns a new, empty table whose items expire by the clock now. It
// cleans up after itself with t.Cleanup.
type Open func(t *testing.T, now func() time.Time) table.Table

// A Lack is what an engine that plays a database is known not to do as the
// database does. It is no fault of the driver's, and who runs the suite declares it.
type Lack string

const (
	// FullItems: the engine refuses items of less than table.MaxItem bytes, but holds
	// those of two thirds of it.
	FullItems Lack = "full items"
	// AddingZero: the engine does not tell the count after nothing was added to it.
	AddingZero Lack = "adding zero"
	// Isolation: transactions at the same time spoil one another. What the suite does
	// at the same time, it does one after the other.
	Isolation Lack = "isolation"
)

// Run tests that what open returns keeps the contract of table.Table, but for what
// its engine lacks.
func Run(t *testing.T, open Open, lacks ...Lack) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"an item comes back as it was put", roundTrip},
		{"the caller owns its slices", ownership},
		{"conditions", conditions},
		{"all or nothing", allOrNothing},
		{"a transaction of every verb", everyVerb},
		{"limits", limits},
		{"keys that cannot be", badKeys},
		{"odd keys", oddKeys},
		{"read many", readMany},
		{"read many large", readManyLarge},
		{"write many", writeMany},
		{"pages", pages},
		{"pages end at their size", largePages},
		{"queries that cannot be", badQueries},
		{"index", index},
		{"index follows its item", indexFollows},
		{"counters", counters},
		{"counters with a maximum", countersUpTo},
		{"expiry", expiry},
		{"counters do not expire", countersDoNotExpire},
		{"partitions", partitions},
		{"scrub", scrub},
		{"a context that ended", endedContext},
		{"one of many wins a swap", swapRace},
		{"concurrent counting", countRace},
		{"concurrent transfers", transferRace},
		{"every write may fail", everyFault},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 600e6, time.UTC)}
			c.test(t, &suite{Table: open(t, clock.now), clock: clock, lacks: lacks})
		})
	}
}

// A suite is one table under test.
type suite struct {
	table.Table
	clock *clock
	lacks []Lack
}

func (s *suite) lack(l Lack) bool { return slices.Contains(s.lacks, l) }

// maxItem is the size of the largest item that the engine holds.
func (s *suite) maxItem() int {
	if s.lack(FullItems) {
		return table.MaxItem * 2 / 3
	}
	return table.MaxItem
}

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// secret stands in every key and all data of the suite, and must never stand in
// an error.
const secret = "Xq7-secret"

func key(pk, sk string) table.Key { return table.Key{PK: secret + pk, SK: secret + sk} }

func item(pk, sk, data string) table.Item {
	return table.Item{Key: key(pk, sk), Data: []byte(secret + data)}
}

// data returns what item made data of.
func data(i table.Item) string { return strings.TrimPrefix(string(i.Data), secret) }

// put stores i and returns it as it is then read.
func (s *suite) put(t *testing.T, i table.Item) table.Item {
	t.Helper()
	if err := s.Write(t.Context(), table.Put(i, table.Cond{})); err != nil {
		t.Fatalf("put: %v", err)
	}
	return s.get(t, i.Key)
}

func (s *suite) putMany(t *testing.T, items []table.Item) {
	t.Helper()
	ops := make([]table.Op, len(items))
	for n, i := range items {
		ops[n] = table.Put(i, table.Cond{})
	}
	if err := s.WriteMany(t.Context(), ops); err != nil {
		t.Fatalf("write many: %v", err)
	}
}

func (s *suite) get(t *testing.T, k table.Key) table.Item {
	t.Helper()
	i, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return i
}

func (s *suite) gone(t *testing.T, k table.Key) {
	t.Helper()
	_, err := s.Get(t.Context(), k)
	wantKind(t, err, kind.NotFound)
}

// wantKind fails unless err is of kind want and its texts name no key or data.
func wantKind(t *testing.T, err error, want kind.Kind) {
	t.Helper()
	if got := kind.Of(err); got != want {
		t.Fatalf("got error %v of kind %q, want %q", err, got, want)
	}
	if err != nil && strings.Contains(err.Error()+kind.Sentence(err), secret) {
		t.Errorf("the error text holds a key or data: %v", err)
	}
}

// same fails unless got is want in everything but the version.
func same(t *testing.T, got, want table.Item) {
	t.Helper()
	if got.Key != want.Key || !bytes.Equal(got.Data, want.Data) || got.Count != want.Count ||
		got.Index != want.Index || !got.Expires.Equal(want.Expires) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Version == 0 {
		t.Error("an item that was read has no version")
	}
}

// all reads every page of q and returns the items in the order they came.
func (s *suite) all(t *testing.T, q table.Query) []table.Item {
	t.Helper()
	var items []table.Item
	for range 10000 {
		page, err := s.Query(t.Context(), q)
		if err != nil {
			t.Fatalf("query: %v", err)
		}
		if q.Limit > 0 && len(page.Items) > q.Limit {
			t.Fatalf("a page of %d items, want at most %d", len(page.Items), q.Limit)
		}
		items = append(items, page.Items...)
		if page.Next == "" {
			return items
		}
		q.After = page.Next
	}
	t.Fatal("the pages of a query do not end")
	return nil
}

// eventually polls until ok, for what may lag behind.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}
