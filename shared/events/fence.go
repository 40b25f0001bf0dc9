package events

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"lethe/shared/kind"
)

// A barrier knows the calls that are under way, so that one can wait for those
// that began before a moment without holding up those that come after it.
type barrier struct {
	mu    sync.Mutex
	under map[chan struct{}]bool // each is closed at the end of its call
}

func (b *barrier) enter() (leave func()) {
	over := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.under == nil {
		b.under = map[chan struct{}]bool{}
	}
	b.under[over] = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.under, over)
		close(over)
	}
}

// wait returns when every call has ended that had begun when it was called.
func (b *barrier) wait(ctx context.Context) error {
	b.mu.Lock()
	under := slices.Collect(maps.Keys(b.under))
	b.mu.Unlock()
	for _, over := range under {
		select {
		case <-over:
		case <-ctx.Done():
			return kind.E(kind.Unavailable, "wait for ingestion", ctx.Err())
		}
	}
	return nil
}

// Fence implements dsr.Source. With Shared it returns at once how long to wait.
func (s *Store) Fence(ctx context.Context) (time.Duration, error) {
	if s.shared {
		return lateWrite, nil
	}
	return 0, s.writers.wait(ctx)
}
