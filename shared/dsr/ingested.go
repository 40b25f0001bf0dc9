package dsr

import (
	"context"
	"fmt"
	"time"

	"lethe/shared/kind"
)

// An Ingesting source takes data in, and counts by the day what it does with it.
type Ingesting interface {
	Source
	// Days tells of every day from one to another, both included and both midnight in
	// UTC, in their order.
	Days(ctx context.Context, project string, from, to time.Time) ([]Day, error)
}

// A Day is what became of the records, events and changes of profiles, that were
// received on one day: about, since they are counted when they are stored.
type Day struct {
	Date     string `json:"date"`      // as 2026-03-31, in UTC
	Stored   int64  `json:"stored"`    // those included that took the place of an equal one
	OptedOut int64  `json:"opted_out"` // dropped, because somebody they are about is opted out
	Late     int64  `json:"late"`      // dropped, because somebody they are about was erased since
}

// MostDays is the most days that Days tells of.
const MostDays = 366

// Days tells what came in for a project on each day from one to another, both included.
// Kinds: Invalid where that is none or too many, and where no source takes data in.
func (s *Service) Days(ctx context.Context, project string, from, to time.Time) ([]Day, error) {
	switch {
	case to.Before(from):
		return nil, kind.Say(kind.Invalid, "from must not be later than to.")
	case to.Sub(from) >= MostDays*24*time.Hour:
		return nil, kind.Say(kind.Invalid, fmt.Sprintf("from and to are more than %d days apart. Ask for fewer at a time.", MostDays))
	}
	var all []Day
	for _, src := range s.Sources {
		ingesting, ok := src.(Ingesting)
		if !ok {
			continue
		}
		days, err := ingesting.Days(ctx, project, from, to)
		if err != nil {
			return nil, kind.Wrap("read what came in", err)
		}
		if all == nil {
			all = days
			continue
		}
		for i, d := range days {
			all[i].Stored, all[i].OptedOut, all[i].Late = all[i].Stored+d.Stored, all[i].OptedOut+d.OptedOut, all[i].Late+d.Late
		}
	}
	if all == nil {
		return nil, kind.Say(kind.Invalid, "Nothing comes in here: none of this deployment's sources takes data in.")
	}
	return all, nil
}
