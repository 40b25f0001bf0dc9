package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// ok answers {"status":"ok","results":results}.
func (c *call) ok(status int, results any) error {
	return c.json(status, struct {
		Status  string `json:"status"`
		Results any    `json:"results"`
	}{"ok", results})
}

func (c *call) json(status int, v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return kind.E(kind.Internal, "encode an answer", err)
	}
	write(c.w, status, body.Bytes())
	return nil
}

func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the other side is gone; there is nobody to tell
}

// fail answers an error. It is the one place where a kind becomes a status.
func (e *edge) fail(w http.ResponseWriter, r *http.Request, err error) {
	k := kind.Of(err)
	status, sentence := http.StatusInternalServerError, ""
	switch k {
	case kind.Invalid:
		status, sentence = http.StatusBadRequest, "The request is not valid."
	case kind.Unauthorized:
		status, sentence = http.StatusUnauthorized, "Authenticate with a GDPR token."
		w.Header().Set("WWW-Authenticate", `Bearer realm="GDPR API"`)
	case kind.Forbidden:
		status, sentence = http.StatusForbidden, "You may not do this."
	case kind.NotFound:
		status, sentence = http.StatusNotFound, "There is no such request in this project."
	case kind.NotAllowed:
		status, sentence = http.StatusMethodNotAllowed, "The request is not in a state that allows this."
	case kind.Conflict:
		status, sentence = http.StatusConflict, "Somebody changed the request at the same moment. Read it again."
	case kind.Gone:
		status, sentence = http.StatusGone, "This was withdrawn."
	case kind.TooLarge:
		status, sentence = http.StatusRequestEntityTooLarge, "The request is too large. Split it."
	case kind.Throttled:
		status, sentence = http.StatusTooManyRequests, "Too many requests. Wait and send this again."
		retryAfter(w, 1)
	case kind.Unavailable:
		status, sentence = http.StatusServiceUnavailable, "A part of Lethe does not answer. Send this again in a moment."
		retryAfter(w, 5)
	}
	var limit *dsr.LimitError
	if errors.As(err, &limit) {
		sentence = limit.Limit
		retryAfter(w, limit.Seconds())
	}
	if s := kind.Sentence(err); s != "" {
		sentence = s
	}
	if status == http.StatusInternalServerError {
		sentence = "Something went wrong inside Lethe. The log of the server tells more under the id " + note(r).id + "."
	}
	switch {
	case status < http.StatusInternalServerError:
	case errors.Is(r.Context().Err(), context.Canceled):
		e.Log.InfoContext(r.Context(), "the caller went away", "request", note(r).id)
	case k == kind.Unavailable && kind.Sentence(err) != "": // not yet, which is no fault
	default:
		e.Log.ErrorContext(r.Context(), "a request failed", "request", note(r).id, "kind", string(k), "error", err)
	}
	body, _ := json.Marshal(struct { // two strings always encode
		Status string `json:"status"`
		Error  string `json:"error"`
	}{"error", sentence})
	write(w, status, body)
}

func retryAfter(w http.ResponseWriter, seconds int) {
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
}
