package local

import (
	"context"
	"errors"
	"sync"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// A job is a line of the schedule: what is done at every start and then again
// each time that long after it ended, or once a day at dailyHour. Done at a start it
// makes up for days on which nothing ran.
type job struct {
	name  string
	every time.Duration // 0 for once a day
	run   func(context.Context) error
	early <-chan struct{} // runs it before its time; nil for never
}

// dailyHour is the hour of the day, in UTC, of what is done once a day; on AWS it is the same.
const dailyHour = 6

const (
	sweepEvery  = time.Minute
	expireEvery = 10 * time.Minute
)

func (p *Platform) schedule() []job {
	return append([]job{
		{"sweep", sweepEvery, p.service.Sweep, p.early},
		{"keep the time", keepClockEvery, p.clock.keep, nil},
		{"remind", 0, p.service.Remind, nil},
		{"expire records", expireEvery, p.db.Expire, nil},
		{"expire files", expireEvery, func(ctx context.Context) error { return expireFiles(ctx, p.Bucket, p.Clock()) }, nil},
	}, p.daily...)
}

// keepSchedule runs the jobs, each in its own time, until ctx ends. A job that
// fails is told in the log and tried again when its time comes.
func (p *Platform) keepSchedule(ctx context.Context) {
	var running sync.WaitGroup
	for _, j := range p.schedule() {
		running.Go(func() { p.keep(ctx, j) })
	}
	running.Wait()
}

// keep runs one job in its time until ctx ends.
func (p *Platform) keep(ctx context.Context, j job) {
	for ctx.Err() == nil {
		next := nextDay(p.Clock())
		if err := j.run(ctx); err != nil && ctx.Err() == nil {
			p.config.Log.ErrorContext(ctx, "a scheduled job failed", "job", j.name, "error", err)
		}
		if j.every == 0 {
			p.waitUntil(ctx, next)
			continue
		}
		select {
		case <-ctx.Done():
		case <-j.early:
		case <-time.After(j.every):
		}
	}
}

// waitUntil returns when it is next, or ctx ends. It looks at the clock each minute: that
// goes on while a machine sleeps, and a timer may not.
func (p *Platform) waitUntil(ctx context.Context, next time.Time) {
	for ctx.Err() == nil && p.Clock().Before(next) {
		select {
		case <-ctx.Done():
		case <-time.After(min(next.Sub(p.Clock()), time.Minute)):
		}
	}
}

// nextDay is the first time after t at which it is dailyHour.
func nextDay(t time.Time) time.Time {
	t = t.UTC()
	next := time.Date(t.Year(), t.Month(), t.Day(), dailyHour, 0, 0, 0, time.UTC)
	if !next.After(t) {
		next = next.AddDate(0, 0, 1)
	}
	return next
}

// lives says how long files stay, by how their keys begin. What stands in none of
// these places stays for good. On AWS the bucket has the same rules.
func lives() map[string]time.Duration {
	const day = 24 * time.Hour
	return map[string]time.Duration{
		"exports/":  14 * day,
		"segments/": 14 * day,
		// A certificate goes with the record of its request, which is kept for 60 months
		// at most; this is for one whose record was lost to a restore.
		"certificates/": 1860 * day,
		// Heads of audit trails, whose entries are kept for 60 months at most.
		"audit/": 1860 * day,
	}
}

// expireFiles removes files that have lived their time.
func expireFiles(ctx context.Context, b blob.Bucket, now time.Time) error {
	var all []error
	for prefix, life := range lives() {
		all = append(all, expireUnder(ctx, b, prefix, now.Add(-life)))
	}
	return kind.Wrap("expire files", errors.Join(all...))
}

func expireUnder(ctx context.Context, b blob.Bucket, prefix string, before time.Time) error {
	return blob.Each(ctx, b, prefix, func(f blob.Info) error {
		if f.Changed.Before(before) {
			return b.Delete(ctx, f.Key)
		}
		return nil
	})
}
