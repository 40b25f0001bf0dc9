package blobtest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// testConcurrency lets writers, readers and deleters meet on a few keys: a file
// is always one that somebody wrote, whole.
func testConcurrency(t *testing.T, d Driver) {
	const workers, rounds, size = 6, 25, 40_000
	written := make([][]byte, workers)
	for i := range written {
		written[i] = some(byte(i), size+int64(i))
	}
	whole := func(data []byte) bool {
		i := len(data) - size
		return 0 <= i && i < workers && bytes.Equal(data, written[i])
	}
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range rounds {
				key := fmt.Sprintf("meet-%d.bin", random.IntN(3))
				if err := meet(t, d.Bucket, random.IntN(6), key, written[i], whole); err != nil {
					t.Errorf("concurrent work: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := d.Bucket.Delete(t.Context(), "meet-0.bin", "meet-1.bin", "meet-2.bin"); err != nil {
		t.Error(err)
	}
	infos, err := d.Bucket.List(t.Context(), "", "", 10)
	if err != nil || len(infos) > 0 {
		t.Errorf("List at the end: got %v, %v; want nothing", infos, err)
	}
}

// meet does one thing to a key that others work on too.
func meet(t *testing.T, b blob.Bucket, what int, key string, data []byte, whole func([]byte) bool) error {
	ctx := t.Context()
	switch what {
	case 0, 1:
		return b.Put(ctx, key, bytes.NewReader(data))
	case 2:
		upload, err := b.Begin(ctx, key)
		if err != nil {
			return err
		}
		part, err := b.Part(ctx, key, upload, 1, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return err
		}
		return b.Complete(ctx, key, upload, []blob.Part{part})
	case 3:
		return b.Delete(ctx, key)
	case 4:
		_, err := b.List(ctx, "meet", "", 10)
		return err
	}
	r, err := b.Get(ctx, key, 0, -1)
	if kind.Of(err) == kind.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !whole(got) {
		t.Errorf("a file of %d bytes is not what anybody wrote", len(got))
	}
	return err
}
