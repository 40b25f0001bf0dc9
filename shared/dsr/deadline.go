package dsr

import (
	"slices"
	"sort"
	"time"
)

// How long the laws give to answer. All periods begin with receipt, are counted in
// days of the organisation's time zone without the day of receipt, and end with the
// last hour of their last day (Regulation (EEC, Euratom) 1182/71 art. 3(1) and (2);
// California Civil Code §10).
//
//	GDPR art. 12(3)               an answer within one month
//	GDPR art. 12(3)               extended by two further months, the person being told within the first
//	CCPA §1798.130(a)(2)(A)       an answer within 45 days
//	CCPA §1798.130(a)(2)(A)       extended once by 45 further days, the person being told within the first 45
//	CCPA regulations §7021(a)     receipt confirmed within 10 business days
//	CCPA regulations §7021(b)     45 calendar days, 90 in all, from receipt
//
// CCPA is the California Civil Code, its regulations are California Code of
// Regulations, title 11. A last day that is no working day is not moved to the next,
// as art. 3(4) would: what is shown is never later than what the law gives.
const (
	gdprMonths       = 1
	gdprExtended     = 3 // one and two further
	ccpaDays         = 45
	ccpaExtended     = 90
	ccpaBusinessDays = 10 // to confirm receipt
)

// due is the last millisecond of the day by which a request has to be answered.
func due(c Compliance, received time.Time, zone *time.Location) time.Time {
	if c == CCPA {
		return endOf(dayOf(received, zone).AddDate(0, 0, ccpaDays))
	}
	return endOf(addMonths(dayOf(received, zone), gdprMonths))
}

// DueDay is the day, as 2026-03-31, by which a request has to be answered that comes in
// at a time, in a zone by its IANA name.
func DueDay(c Compliance, received time.Time, zone string) string {
	return due(c, received, location(zone)).In(location(zone)).Format(time.DateOnly)
}

// extended is due with the one extension.
func extended(c Compliance, received time.Time, zone *time.Location) time.Time {
	if c == CCPA {
		return endOf(dayOf(received, zone).AddDate(0, 0, ccpaExtended))
	}
	return endOf(addMonths(dayOf(received, zone), gdprExtended))
}

// acknowledgeBy is the last millisecond of the day by which the person has to be
// told that the request has come in; zero under the GDPR, which asks for none.
func acknowledgeBy(c Compliance, received time.Time, zone *time.Location, holidays []string) time.Time {
	if c != CCPA {
		return zeroTime
	}
	day := dayOf(received, zone)
	for left := ccpaBusinessDays; left > 0; {
		day = day.AddDate(0, 0, 1)
		if day.Weekday() != time.Saturday && day.Weekday() != time.Sunday && !slices.Contains(holidays, day.Format(time.DateOnly)) {
			left--
		}
	}
	return endOf(day)
}

// dayOf is noon of the day on which t falls in a zone. No clock is changed at noon,
// so days can be counted from there.
func dayOf(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, zone)
}

// endOf is the last millisecond of the day of which noon is given. The next midnight
// may be skipped or come twice where a clock is changed, so it is looked for.
func endOf(noon time.Time) time.Time {
	day := noon.Day()
	const most = int(36 * time.Hour / time.Millisecond)
	after := sort.Search(most, func(ms int) bool { return noon.Add(time.Duration(ms)*time.Millisecond).Day() != day })
	return noon.Add(time.Duration(after-1) * time.Millisecond).UTC()
}

// addMonths keeps to the end of a shorter month (Regulation 1182/71 art. 3(2)),
// where time.AddDate would run over into the next.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// Overdue reports whether r is unanswered past its due day: open, or to be run again.
func (r Request) Overdue(now time.Time) bool {
	return (r.Status.Open() || r.Broken) && now.After(r.Due)
}

// Day is the day, as 2026-03-31, on which one of r's deadlines falls in the zone
// that they were counted in; "" for the zero time.
func (r Request) Day(deadline time.Time) string {
	if deadline.IsZero() {
		return ""
	}
	return deadline.In(location(r.TimeZone)).Format(time.DateOnly)
}
