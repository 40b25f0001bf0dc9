package account_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/kind"
)

func TestAKeyIsGoodOnce(t *testing.T) {
	w := newWorld()
	var taken, refused atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			switch err := w.Once(t.Context(), pat, "key"); {
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
		if err := w.Once(t.Context(), other[0], other[1]); err != nil {
			t.Errorf("%q: %v", other, err)
		}
	}
	if err := w.Once(t.Context(), pat, ""); kind.Of(err) != kind.Invalid {
		t.Errorf("no key: %v", err)
	}
	w.now = w.now.Add(account.OnceLife - time.Second)
	if err := w.Once(t.Context(), pat, "key"); kind.Of(err) != kind.Conflict {
		t.Errorf("after a day, less a second: %v", err)
	}
}
