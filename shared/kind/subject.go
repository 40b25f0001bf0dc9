package kind

import (
	"fmt"
	"log/slog"
)

// A Subject is an identifier of a data subject: a distinct_id, an alias or
// another name for one person. It prints "[subject]" under every verb, in slog
// and in JSON, so that an identifier cannot reach a log or an error text by
// accident. string(s) is the one way to the value and is meant to be seen in
// review.
type Subject string

const hidden = "[subject]"

// Format prints "[subject]" whatever the verb.
func (Subject) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// String returns "[subject]".
func (Subject) String() string { return hidden }

// GoString returns "[subject]".
func (Subject) GoString() string { return hidden }

// LogValue hides the identifier from slog.
func (Subject) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the identifier from JSON as a value. Package json writes a
// key of a map as it is, so a map by Subject is never marshalled or logged.
func (Subject) MarshalText() ([]byte, error) { return []byte(hidden), nil }
