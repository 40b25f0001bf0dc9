package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// MostEvents and MostBytes are the most events, and bytes of them, of one import.
const (
	MostEvents = 2000
	MostBytes  = 9 << 20
)

// An Imported is what became of events that were sent in.
type Imported struct {
	Stored int           `json:"num_records_imported"`
	Failed []FailedEvent `json:"failed_records"`
}

// A FailedEvent was not stored. The others that were sent with it were.
type FailedEvent struct {
	Index    int    `json:"index"` // in what was sent, from 0 on
	InsertID string `json:"insert_id"`
	Field    string `json:"field"`
	Message  string `json:"message"`
}

// Import sends events in as Mixpanel's raw export has them, one JSON object with "event"
// and "properties" each. It is proved by the project's token, or its API secret. Events
// with an $insert_id can be sent in again, and are stored once.
func (c *Client) Import(ctx context.Context, events []json.RawMessage) (Imported, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if err := json.NewEncoder(w).Encode(events); err != nil {
		return Imported{}, errors.New("an event is no JSON")
	}
	if err := w.Close(); err != nil {
		return Imported{}, err
	}
	var done Imported
	err := c.do(ctx, call{method: http.MethodPost, path: "/import", query: url.Values{"strict": {"1"}}, packed: packed.Bytes(), twice: true}, &done)
	var answered *Error
	if errors.As(err, &answered) && answered.Status == http.StatusBadRequest && json.Unmarshal(answered.body, &done) == nil && len(done.Failed) > 0 {
		return done, nil
	}
	return done, err
}
