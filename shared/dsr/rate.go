package dsr

import "time"

// A Rate lets something be done once in every Every, and up to Burst times at once.
// What has to be kept of one is a time: when it will be full again.
type Rate struct {
	Every time.Duration
	Burst int
}

// Take does it once more, for a rate that is full again at full: it returns when it
// will be then, or for how long to wait before it may be done.
func (r Rate) Take(full, now time.Time) (next time.Time, wait time.Duration) {
	most := time.Duration(r.Burst) * r.Every
	if full.Before(now) || full.Sub(now) > most {
		full = now // the latter: the clock was put back, and would keep everybody out until then
	}
	next = full.Add(r.Every)
	return next, max(0, next.Sub(now)-most)
}
