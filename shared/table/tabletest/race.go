package tabletest

import (
	"fmt"
	"sync"
	"testing"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// together runs f in n goroutines that start at once and returns their errors.
func (s *suite) together(n int, f func(n int) error) []error {
	errs := make([]error, n)
	if s.lack(Isolation) {
		for n := range errs {
			errs[n] = f(n)
		}
		return errs
	}
	start := make(chan struct{})
	var all sync.WaitGroup
	for n := range n {
		all.Go(func() {
			<-start
			errs[n] = f(n)
		})
	}
	close(start)
	all.Wait()
	return errs
}

func swapRace(t *testing.T, s *suite) {
	k := key("p", "s")
	var version table.Version
	for round := range 10 {
		errs := s.together(16, func(n int) error {
			mine := item("p", "s", fmt.Sprintf("%d by %d", round, n))
			beside := item("beside", fmt.Sprint(n), fmt.Sprint(round))
			return s.Write(t.Context(), table.Put(beside, table.Cond{}), table.Put(mine, table.IfAt(version)))
		})
		now := s.get(t, k)
		version = now.Version
		for n, err := range errs {
			won := data(now) == fmt.Sprintf("%d by %d", round, n)
			beside, besideErr := s.Get(t.Context(), key("beside", fmt.Sprint(n)))
			if applied := besideErr == nil && data(beside) == fmt.Sprint(round); applied != won {
				t.Errorf("round %d: a transaction was applied in part", round)
			}
			switch {
			case won && err != nil:
				t.Errorf("round %d: the winner was told %v", round, err)
			case !won:
				wantKind(t, err, kind.Conflict)
			}
		}
	}
}

func countRace(t *testing.T, s *suite) {
	sums := make(chan int64, 300)
	for _, err := range s.together(15, func(int) error {
		for range 20 {
			sum, err := s.Add(t.Context(), key("p", "all"), 3)
			if err != nil {
				return err
			}
			sums <- sum
		}
		return nil
	}) {
		wantKind(t, err, "")
	}
	close(sums)
	seen := make(map[int64]bool)
	for sum := range sums {
		seen[sum] = true
	}
	if got := s.get(t, key("p", "all")).Count; got != 900 || len(seen) != 300 {
		t.Errorf("count %d over %d different sums, want 900 over 300", got, len(seen))
	}

	held := 0
	for _, err := range s.together(40, func(int) error {
		return s.Write(t.Context(), table.AddUpTo(key("p", "some"), 1, 25))
	}) {
		if err == nil {
			held++
		} else {
			wantKind(t, err, kind.Conflict)
		}
	}
	if got := s.get(t, key("p", "some")).Count; got != 25 || held != 25 {
		t.Errorf("count %d after %d successes, want 25", got, held)
	}
}

func transferRace(t *testing.T, s *suite) {
	const accounts, start = 4, 10
	account := func(n int) table.Key { return key(fmt.Sprint("account", n%accounts), "balance") }
	for n := range accounts {
		s.put(t, table.Item{Key: account(n), Count: start})
	}
	for _, err := range s.together(8, func(n int) error {
		for i := range 15 {
			err := s.Write(t.Context(),
				table.AddUpTo(account(n+i), -5, start),
				table.AddUpTo(account(n+i+1+n%3), 5, 2*start))
			if err != nil && kind.Of(err) != kind.Conflict {
				return err
			}
		}
		return nil
	}) {
		wantKind(t, err, "")
	}
	total := int64(0)
	for n := range accounts {
		total += s.get(t, account(n)).Count
	}
	if total != accounts*start {
		t.Errorf("%d in all accounts after transfers, want %d", total, accounts*start)
	}
}
