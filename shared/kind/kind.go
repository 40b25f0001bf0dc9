// Package kind is the closed set of error kinds, one word everywhere: the Go
// error, the errorType of a Lambda, the ErrorEquals of a state machine and the
// choice of an HTTP status. Use E to make an error and Of to act on one; never
// act on an error's message.
package kind

import (
	"context"
	"errors"
)

// A Kind classifies an error once, where it happens. It is itself an error, so
// errors.Is(err, kind.NotFound) works on anything that E made.
type Kind string

const (
	// Invalid means the input is wrong: over HTTP 400. Repeating it is useless.
	Invalid Kind = "Invalid"
	// Unauthorized means the caller is not known: over HTTP 401.
	Unauthorized Kind = "Unauthorized"
	// Forbidden means the caller is known and may not: over HTTP 403.
	Forbidden Kind = "Forbidden"
	// NotFound means the thing named does not exist: over HTTP 404.
	NotFound Kind = "NotFound"
	// NotAllowed means the state of the thing no longer permits it: over HTTP 405.
	NotAllowed Kind = "NotAllowed"
	// Conflict means a condition of a write did not hold, or a name was used
	// before: read again and decide. Over HTTP 409.
	Conflict Kind = "Conflict"
	// Gone means the thing existed and was withdrawn: over HTTP 410.
	Gone Kind = "Gone"
	// TooLarge means a limit on size was passed: over HTTP 413.
	TooLarge Kind = "TooLarge"
	// Throttled means a limit on rate was passed. Retry with back-off; over
	// HTTP 429 with Retry-After.
	Throttled Kind = "Throttled"
	// Unavailable means a part did not answer; the work may or may not have been
	// done. Retry with back-off; over HTTP 503 with Retry-After.
	Unavailable Kind = "Unavailable"
	// Corrupt means stored data is not what it must be. Retrying is useless and a
	// person has to look; over HTTP 500.
	Corrupt Kind = "Corrupt"
	// Internal is everything else, a defect in Lethe; over HTTP 500.
	Internal Kind = "Internal"
)

// Error makes a Kind usable as the target of errors.Is.
func (k Kind) Error() string { return string(k) }

// An Error is what E and Say make.
type Error struct {
	Kind Kind
	// Op is what was being done, in the words of the package that did it.
	Op string
	// Sentence is for the person who made the request: what to change, naming
	// positions and limits, never an identifier or a value. Empty when the error
	// is nothing a person outside can act on.
	Sentence string
	// Err is the cause, for the log. It must not carry identifiers either.
	Err error
}

// E returns an error of kind k that happened while doing op. A cause is
// optional; the kind of the result is k whatever the cause was.
func E(k Kind, op string, cause ...error) error {
	e := &Error{Kind: k, Op: op}
	if len(cause) > 0 {
		e.Err = cause[0]
	}
	return e
}

// Say returns an error of kind k with a sentence that may be shown to the
// person who made the request.
func Say(k Kind, sentence string) error { return &Error{Kind: k, Sentence: sentence} }

// Wrap returns err with op before it and its kind kept. Wrap(op, nil) is nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: Of(err), Op: op, Sentence: Sentence(err), Err: err}
}

func (e *Error) Error() string {
	s := e.Op
	if s != "" {
		s += ": "
	}
	switch {
	case e.Err != nil:
		var inner *Error
		if errors.As(e.Err, &inner) && inner.Kind == e.Kind {
			return s + e.Err.Error()
		}
		return s + string(e.Kind) + ": " + e.Err.Error()
	case e.Sentence != "":
		return s + e.Sentence
	default:
		return s + string(e.Kind)
	}
}

// Is reports whether target is the error's kind.
func (e *Error) Is(target error) bool { return target == e.Kind }

func (e *Error) Unwrap() error { return e.Err }

// Of returns the kind of err: of the outermost Error in its chain, Unavailable
// for a context that ended, else Internal. Of(nil) is empty.
func Of(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// Sentence returns what err says to the person who made the request, or "".
func Sentence(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Sentence != "" {
			return e.Sentence
		}
		err = e.Err
	}
	return ""
}
