package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// About is what a server tells of itself to anybody.
type About struct {
	Version string        // of its API; "" where it is no Lethe
	Skew    time.Duration // how far its clock is ahead of this machine's, to a second
	Known   bool          // whether it told the time at all
}

// About asks the server for the description of its API.
func (c *Client) About(ctx context.Context) (About, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/openapi.json", nil)
	if err != nil {
		return About{}, err
	}
	began := time.Now()
	answer, err := c.config.HTTP.Do(r)
	if err != nil {
		return About{}, unanswered(ctx, err)
	}
	defer answer.Body.Close()
	var a About
	if at, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		// Half of the way there and back, and half of the second that is cut off.
		a.Known, a.Skew = true, at.Add(time.Second/2).Sub(began.Add(time.Since(began)/2))
	}
	var described struct {
		Info struct{ Title, Version string }
	}
	if answer.StatusCode == http.StatusOK && json.NewDecoder(io.LimitReader(answer.Body, 4<<20)).Decode(&described) == nil && described.Info.Title == "Lethe" {
		a.Version = described.Info.Version
	}
	return a, nil
}
