package account_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/kind"
)

func done() error { return nil }

func TestAKeyIsGoodOnce(t *testing.T) {
	w := newWorld()
	var taken, refused atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			switch err := w.Once(t.Context(), pat, "key", done); {
			case err == nil:
				taken.Add(1)
			case kind.Of(err) == kind.Conflict && kind.Sentence(err) != "":
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 || refused.Load() != 19 {
		t.Errorf("taken %d times, refused %d times", taken.Load(), refused.Load())
	}
	for _, other := range [][2]string{{pat, "another"}, {sam, "key"}, {pat + "\x00", "key"}} {
		if err := w.Once(t.Context(), other[0], other[1], done); err != nil {
			t.Errorf("%q: %v", other, err)
		}
	}
	if err := w.Once(t.Context(), pat, "", done); kind.Of(err) != kind.Invalid {
		t.Errorf("no key: %v", err)
	}
	// What failed can be done again.
	broke := kind.E(kind.Unavailable, "something")
	if err := w.Once(t.Context(), pat, "fails", func() error { return broke }); err != broke {
		t.Errorf("what fails: %v", err)
	}
	if err := w.Once(t.Context(), pat, "fails", done); err != nil {
		t.Errorf("after it failed: %v", err)
	}
	w.now = w.now.Add(account.OnceLife - time.Second)
	if err := w.Once(t.Context(), pat, "key", done); kind.Of(err) != kind.Conflict {
		t.Errorf("after a day, less a second: %v", err)
	}
}
