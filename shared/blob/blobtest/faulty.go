package blobtest

import (
	"context"
	"io"
	"sync"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// A Fault is a way for a write to fail.
type Fault int

const (
	// NotApplied fails before the write is done: nothing has changed.
	NotApplied Fault = iota
	// Applied fails after the write was done: its answer is lost.
	Applied
)

// String returns the fault as a test names it.
func (f Fault) String() string {
	if f == Applied {
		return "failed, but applied"
	}
	return "failed, not applied"
}

// Faults are both ways, for the rows of a table.
func Faults() []Fault { return []Fault{NotApplied, Applied} }

// Faulty is a bucket of which one write fails with kind.Unavailable. Put,
// Delete, Begin, Part, CopyPart, Complete and Abort are the writes, counted from
// 1 in the order in which they are called; those after the failed one work.
//
// To put a task to the test, run it once on NewFaulty(b, 0, NotApplied) and ask
// Writes how many it makes; then, for each of them and each of Faults, run it on
// a fresh bucket until it fails, run it again, and compare what stands there.
type Faulty struct {
	blob.Bucket
	n     int
	fault Fault

	mu     sync.Mutex
	writes int
}

// NewFaulty returns b with its n-th write failing; none fails if n is 0.
func NewFaulty(b blob.Bucket, n int, fault Fault) *Faulty {
	return &Faulty{Bucket: b, n: n, fault: fault}
}

// Writes returns how many writes were called.
func (f *Faulty) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// write counts a write and does it, unless it is the one that fails.
func (f *Faulty) write(do func() error) error {
	f.mu.Lock()
	f.writes++
	fails := f.writes == f.n
	f.mu.Unlock()
	if !fails {
		return do()
	}
	if f.fault == Applied {
		if err := do(); err != nil {
			return err
		}
	}
	return kind.E(kind.Unavailable, f.fault.String())
}

// Put implements blob.Bucket.
func (f *Faulty) Put(ctx context.Context, key string, r io.Reader) error {
	return f.write(func() error { return f.Bucket.Put(ctx, key, r) })
}

// Delete implements blob.Bucket.
func (f *Faulty) Delete(ctx context.Context, keys ...string) error {
	return f.write(func() error { return f.Bucket.Delete(ctx, keys...) })
}

// Begin implements blob.Bucket.
func (f *Faulty) Begin(ctx context.Context, key string) (string, error) {
	return answered(f, func() (string, error) { return f.Bucket.Begin(ctx, key) })
}

// answered is write for what has an answer, which a failure loses.
func answered[T any](f *Faulty, do func() (T, error)) (T, error) {
	var answer, none T
	err := f.write(func() (err error) {
		answer, err = do()
		return err
	})
	if err != nil {
		return none, err
	}
	return answer, nil
}

// Part implements blob.Bucket.
func (f *Faulty) Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (blob.Part, error) {
	return answered(f, func() (blob.Part, error) { return f.Bucket.Part(ctx, key, upload, number, r, size) })
}

// CopyPart implements blob.Bucket.
func (f *Faulty) CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (blob.Part, error) {
	return answered(f, func() (blob.Part, error) { return f.Bucket.CopyPart(ctx, key, upload, number, src, off, n) })
}

// Complete implements blob.Bucket.
func (f *Faulty) Complete(ctx context.Context, key, upload string, parts []blob.Part) error {
	return f.write(func() error { return f.Bucket.Complete(ctx, key, upload, parts) })
}

// Abort implements blob.Bucket.
func (f *Faulty) Abort(ctx context.Context, key, upload string) error {
	return f.write(func() error { return f.Bucket.Abort(ctx, key, upload) })
}
