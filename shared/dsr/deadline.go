package dsr

import "time"

// due is the day by which a request has to be answered: GDPR art. 12(3), one
// month from receipt, counted as Regulation 1182/71 art. 3 does (the same day of
// the next month, or its last day); CCPA §1798.130(a)(2)(A), 45 calendar days.
func due(c Compliance, received time.Time) time.Time {
	if c == CCPA {
		return received.AddDate(0, 0, 45)
	}
	return addMonths(received, 1)
}

// extended is the day to which the one extension moves it: two further months
// (GDPR art. 12(3)), or 45 further days (CCPA §1798.130(a)(2)(A)).
func extended(c Compliance, received time.Time) time.Time {
	if c == CCPA {
		return received.AddDate(0, 0, 90)
	}
	return addMonths(received, 3)
}

// addMonths keeps to the end of a shorter month, where time.AddDate would run
// over into the next.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}
