package tabletest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A Mode is how a write fails.
type Mode int

const (
	// Lost is "failed, not applied": the request never arrived.
	Lost Mode = iota + 1
	// Unanswered is "failed, but applied": the answer never arrived.
	Unanswered
	// Torn is "failed, half applied": of a WriteMany only every other operation
	// was applied. Any other write is whole, and is Lost.
	Torn
)

func (m Mode) String() string {
	return [...]string{"no fault", "failed, not applied", "failed, but applied", "failed, half applied"}[m]
}

// A Fault lets one write fail with kind.Unavailable, of all the writes that go
// through it. It is safe for concurrent use.
type Fault struct {
	at     int64
	mode   Mode
	writes atomic.Int64
}

// NewFault returns a fault that befalls the n-th write, counted from 1; for 0
// it only counts.
func NewFault(n int, mode Mode) *Fault { return &Fault{at: int64(n), mode: mode} }

// Writes returns how many writes there were.
func (f *Fault) Writes() int { return int(f.writes.Load()) }

// Happened reports whether the fault has befallen a write.
func (f *Fault) Happened() bool { return f.at > 0 && f.writes.Load() >= f.at }

// Do counts one write and does it, or fails as f is meant to. It is for writes
// to something other than a table; Faulty calls it for those of a table.
func (f *Fault) Do(write func() error) error { return f.do(write, nil) }

func (f *Fault) do(write, half func() error) error {
	if f.writes.Add(1) != f.at {
		return write()
	}
	var err error
	switch {
	case f.mode == Unanswered:
		err = write()
	case f.mode == Torn && half != nil:
		err = half()
	}
	if err != nil {
		return err
	}
	return kind.E(kind.Unavailable, f.mode.String())
}

// Faulty returns t with f in its writes. Several tables may share one fault.
func Faulty(t table.Table, f *Fault) table.Table { return faulty{t, f} }

type faulty struct {
	table.Table
	fault *Fault
}

func (f faulty) Write(ctx context.Context, ops ...table.Op) error {
	return f.fault.Do(func() error { return f.Table.Write(ctx, ops...) })
}

func (f faulty) WriteMany(ctx context.Context, ops []table.Op) error {
	var half []table.Op
	for n := 1; n < len(ops); n += 2 {
		half = append(half, ops[n])
	}
	return f.fault.do(
		func() error { return f.Table.WriteMany(ctx, ops) },
		func() error { return f.Table.WriteMany(ctx, half) })
}

func (f faulty) Add(ctx context.Context, key table.Key, n int64) (int64, error) {
	sum := int64(0)
	err := f.fault.Do(func() (err error) {
		sum, err = f.Table.Add(ctx, key, n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

// EachFault calls run with a fault in the first write, then in the second, and
// so on in every mode, until a run ends before its fault happened; each run as a
// subtest. Run makes its tables anew, wraps them with Faulty and does its work,
// as often as its user would after an error, then checks that all is as if there
// had been no fault.
func EachFault(t *testing.T, run func(t *testing.T, f *Fault)) {
	for _, mode := range []Mode{Lost, Unanswered, Torn} {
		for n := 1; ; n++ {
			f := NewFault(n, mode)
			if !t.Run(fmt.Sprintf("write %d %v", n, mode), func(t *testing.T) { run(t, f) }) {
				return
			}
			if !f.Happened() {
				break
			}
			if n == 10000 {
				t.Fatal("a run that makes more than 10000 writes")
			}
		}
	}
}

// everyFault adds names to a list by compare-and-swap, counts them in the same
// transaction and writes a record for each, over a table in which a write fails.
func everyFault(t *testing.T, s *suite) {
	EachFault(t, func(t *testing.T, f *Fault) {
		ctx, faulty := t.Context(), Faulty(s.Table, f)
		list, count := item(t.Name(), "list", ""), key(t.Name(), "count")
		add := func(name string) error {
			old, err := faulty.Get(ctx, list.Key)
			if err != nil && kind.Of(err) != kind.NotFound {
				return err
			}
			if len(old.Data) > 0 && old.Data[len(old.Data)-1] == name[0] {
				return nil // an earlier attempt was applied
			}
			next := list
			next.Data = append(old.Data, name...)
			return faulty.Write(ctx, table.Put(next, table.IfAt(old.Version)), table.AddUpTo(count, 1, 3))
		}
		again := func(step func() error) {
			t.Helper()
			for range 3 {
				err := step()
				if err == nil {
					return
				}
				wantKind(t, err, kind.Unavailable)
			}
			t.Fatal("one fault failed three attempts")
		}
		for _, name := range []string{"a", "b", "c"} {
			again(func() error { return add(name) })
		}
		again(func() error {
			return faulty.WriteMany(ctx, []table.Op{
				table.Put(item(t.Name(), "first", "1"), table.Cond{}),
				table.Put(item(t.Name(), "second", "2"), table.Cond{}),
			})
		})
		before := f.Writes()
		sum, err := faulty.Add(ctx, key(t.Name(), "off"), 1)
		if failed := f.Happened() && before < int(f.at); failed != (err != nil) || err == nil && sum != 1 {
			t.Errorf("add: %d, %v", sum, err)
		}

		if got := string(s.get(t, list.Key).Data); got != "abc" {
			t.Errorf("got the list %q, want each name once", got)
		}
		if got := s.get(t, count).Count; got != 3 {
			t.Errorf("got the count %d, want 3", got)
		}
		if got := data(s.get(t, key(t.Name(), "second"))); got != "2" {
			t.Errorf("got %q, want 2", got)
		}
		s.get(t, key(t.Name(), "first"))
	})
}
