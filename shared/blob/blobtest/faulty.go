package blobtest

import (
	"context"
	"io"
	"sync/atomic"

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
	return [...]string{"failed, not applied", "failed, but applied"}[f]
}

// Faults are both ways, for the rows of a table.
func Faults() []Fault { return []Fault{NotApplied, Applied} }

// Faulty is a bucket of which one write fails with kind.Unavailable. Put,
// Delete, Begin, Part, CopyPart, Complete and Abort are the writes, counted from
// 1 in the order in which they are called; those after the failed one work.
//
// To put a task to the test, run it once on NewFaulty(b, 0, NotApplied) and ask Writes how
// many it makes; then, for each of them and each of Faults, run it on a fresh
// bucket until it fails, run it again, and compare what stands there.
type Faulty struct {
	blob.Bucket
	writes atomic.Int64
}

// NewFaulty returns b with its n-th write failing; none fails if n is 0.
func NewFaulty(b blob.Bucket, n int, fault Fault) *Faulty {
	f := &Faulty{}
	f.Bucket = Through(b, func(write func() error) error {
		if f.writes.Add(1) != int64(n) {
			return write()
		}
		if fault == Applied {
			if err := write(); err != nil {
				return err
			}
		}
		return kind.E(kind.Unavailable, fault.String())
	})
	return f
}

// Writes returns how many writes were called.
func (f *Faulty) Writes() int { return int(f.writes.Load()) }

// Through returns b with every write done by do, which may leave it out and may
// lose its answer. So one fault can befall the writes to a bucket and to tables
// in one count: Through(b, fault.Do) with a Fault of package tabletest.
func Through(b blob.Bucket, do func(write func() error) error) blob.Bucket { return through{b, do} }

type through struct {
	blob.Bucket
	do func(write func() error) error
}

// answered does a write that has an answer, which a failure loses.
func answered[T any](t through, write func() (T, error)) (T, error) {
	var answer, none T
	err := t.do(func() (err error) {
		answer, err = write()
		return err
	})
	if err != nil {
		return none, err
	}
	return answer, nil
}

func (t through) Put(ctx context.Context, key string, r io.Reader) error {
	return t.do(func() error { return t.Bucket.Put(ctx, key, r) })
}

func (t through) Delete(ctx context.Context, keys ...string) error {
	return t.do(func() error { return t.Bucket.Delete(ctx, keys...) })
}

func (t through) Begin(ctx context.Context, key string) (string, error) {
	return answered(t, func() (string, error) { return t.Bucket.Begin(ctx, key) })
}

func (t through) Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (blob.Part, error) {
	return answered(t, func() (blob.Part, error) { return t.Bucket.Part(ctx, key, upload, number, r, size) })
}

func (t through) CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (blob.Part, error) {
	return answered(t, func() (blob.Part, error) { return t.Bucket.CopyPart(ctx, key, upload, number, src, off, n) })
}

func (t through) Complete(ctx context.Context, key, upload string, parts []blob.Part) error {
	return t.do(func() error { return t.Bucket.Complete(ctx, key, upload, parts) })
}

func (t through) Abort(ctx context.Context, key, upload string) error {
	return t.do(func() error { return t.Bucket.Abort(ctx, key, upload) })
}
