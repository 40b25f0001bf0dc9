package api

import (
	"net/http"
	"time"

	"lethe/shared/kind"
)

// usualDays is how many days a call without from is told of.
const usualDays = 30

// ingested answers what became, each day, of what came in.
func (e *edge) ingested(c *call) error {
	to, err := c.day("to", e.Clock().UTC().Truncate(24*time.Hour))
	if err != nil {
		return err
	}
	from, err := c.day("from", to.AddDate(0, 0, 1-usualDays))
	if err != nil {
		return err
	}
	days, err := e.Service.Days(c.r.Context(), c.project.ID, from, to)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, days)
}

// day reads a query parameter that is a day, as its first moment in UTC.
func (c *call) day(name string, otherwise time.Time) (time.Time, error) {
	if !c.query.Has(name) {
		return otherwise, nil
	}
	day, err := time.Parse(time.DateOnly, c.query.Get(name))
	if err != nil {
		return day, kind.Say(kind.Invalid, name+" must be a date such as 2026-03-31.")
	}
	return day, nil
}
