package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// statusOf is the status of a page that shows err, and its heading.
func statusOf(err error) (int, string) {
	switch kind.Of(err) {
	case kind.Invalid:
		return http.StatusBadRequest, "That cannot be"
	case kind.Unauthorized: // 401 would have to name a scheme of HTTP
		return http.StatusForbidden, "You are not signed in"
	case kind.Forbidden:
		return http.StatusForbidden, "You may not do this"
	case kind.NotFound:
		return http.StatusNotFound, "Not found"
	case kind.NotAllowed, kind.Conflict:
		return http.StatusConflict, "That is not possible now"
	case kind.Gone:
		return http.StatusGone, "This is gone"
	case kind.TooLarge:
		return http.StatusRequestEntityTooLarge, "Too large"
	case kind.Throttled:
		return http.StatusTooManyRequests, "Too many attempts"
	case kind.Unavailable:
		return http.StatusServiceUnavailable, "Not available"
	}
	return http.StatusInternalServerError, "Something went wrong"
}

// sentenceOf is what a page says of err. It sets Retry-After where it is to be waited.
func sentenceOf(h http.Header, status int, err error) string {
	var limit *dsr.LimitError
	switch {
	case status == http.StatusInternalServerError:
		return "Something went wrong inside Lethe. The log of the server tells more under the id " + h.Get("X-Request-Id") + "."
	case errors.As(err, &limit):
		h.Set("Retry-After", strconv.Itoa(limit.Seconds()))
		return limit.Limit
	case kind.Sentence(err) != "":
		return kind.Sentence(err)
	case status == http.StatusServiceUnavailable:
		return "A part of Lethe does not answer. Try again in a moment."
	}
	return "Go back, and try again."
}

// troubled logs what a person outside cannot mend.
func (v *visit) troubled(what string, err error) {
	if errors.Is(v.r.Context().Err(), context.Canceled) {
		v.Log.InfoContext(v.r.Context(), "the visitor went away", "request", v.w.Header().Get("X-Request-Id"))
		return
	}
	v.Log.ErrorContext(v.r.Context(), what, "request", v.w.Header().Get("X-Request-Id"), "kind", string(kind.Of(err)), "error", err)
}
