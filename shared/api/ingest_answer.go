package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
)

// An answer is what ingestion answers, in the form that the request asked for:
// as an image, as a call of a function, as an object, as the bare 1 or 0, or
// record by record.
type answer struct {
	w        http.ResponseWriter
	strict   bool
	verbose  bool
	image    bool
	callback string

	stored   int
	rejected []rejected
}

// A rejected record, as /import tells of it.
type rejected struct {
	Index    int    `json:"index"`
	InsertID string `json:"insert_id"`
	Field    string `json:"field"`
	Message  string `json:"message"`
}

// callbackName is a name in JavaScript, or members of one; also the function that
// does nothing, with which old browsers are called.
var callbackName = regexp.MustCompile(`^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*$|^\(function\(\)\{\}\)$`)

// shape takes from the parameters how to answer.
func (a *answer) shape(params url.Values) error {
	on := func(name string) bool { return params.Get(name) == "1" || params.Get(name) == "true" }
	a.verbose = on("verbose")
	a.image = on("img")
	callback := params.Get("callback")
	if len(callback) > 128 || callback != "" && !callbackName.MatchString(callback) {
		return kind.Say(kind.Invalid, "The callback is not a name of a JavaScript function.")
	}
	a.callback = callback
	return nil
}

// reject notes what is wrong with record i.
func (a *answer) reject(i int, err error) {
	var f *events.Fault
	if !errors.As(err, &f) {
		f = &events.Fault{Message: kind.Sentence(err)}
	}
	a.rejected = append(a.rejected, rejected{i, f.InsertID, f.Field, f.Message})
}

// done answers that records were stored, and which were not.
func (a *answer) done() {
	slices.SortFunc(a.rejected, func(x, y rejected) int { return cmp.Compare(x.Index, y.Index) })
	const some = "Some data points in the request failed validation."
	switch {
	case a.strict && len(a.rejected) > 0:
		a.byRecord(http.StatusBadRequest, some)
	case a.strict:
		a.json(http.StatusOK, struct {
			Code     int    `json:"code"`
			Imported int    `json:"num_records_imported"`
			Status   string `json:"status"`
		}{http.StatusOK, a.stored, "OK"})
	case a.stored == 0:
		a.say(http.StatusOK, 0, "record "+strconv.Itoa(a.rejected[0].Index)+": "+a.rejected[0].Message)
	case len(a.rejected) > 0:
		a.say(http.StatusOK, 1, some+" The first is record "+strconv.Itoa(a.rejected[0].Index)+": "+a.rejected[0].Message)
	default:
		a.say(http.StatusOK, 1, "")
	}
}

// byRecord answers an error in the form of /import.
func (a *answer) byRecord(status int, sentence string) {
	failed := a.rejected
	if failed == nil {
		failed = []rejected{} // a list, also where no single record is to blame
	}
	a.json(status, struct {
		Code     int        `json:"code"`
		Error    string     `json:"error"`
		Status   string     `json:"status"`
		Imported int        `json:"num_records_imported"`
		Failed   []rejected `json:"failed_records"`
	}{status, sentence, http.StatusText(status), a.stored, failed})
}

// fail answers that nothing, or not everything, could be stored.
func (a *answer) fail(err error) {
	status, sentence := http.StatusInternalServerError, "Something went wrong inside Lethe."
	switch kind.Of(err) {
	case kind.Invalid:
		status, sentence = http.StatusBadRequest, "The request is not valid."
	case kind.Unauthorized:
		status, sentence = http.StatusUnauthorized, "Invalid credentials."
	case kind.Forbidden:
		status, sentence = http.StatusForbidden, "You may not do this."
	case kind.NotFound:
		status, sentence = http.StatusNotFound, "There is no such thing."
	case kind.NotAllowed:
		status, sentence = http.StatusMethodNotAllowed, "The method is not allowed."
	case kind.TooLarge:
		status, sentence = http.StatusRequestEntityTooLarge, "The request is too large. Split it."
	case kind.Throttled, kind.Conflict:
		status, sentence = http.StatusTooManyRequests, "Too many requests. Send this again."
		retryAfter(a.w, 1)
	case kind.Unavailable:
		status, sentence = http.StatusServiceUnavailable, "The store does not answer. Send this again."
		retryAfter(a.w, 5)
	}
	var limit *dsr.LimitError
	if errors.As(err, &limit) {
		sentence = limit.Limit
		retryAfter(a.w, limit.Seconds())
	}
	if s := kind.Sentence(err); s != "" && status != http.StatusInternalServerError {
		sentence = s
	}
	switch {
	case a.strict:
		a.byRecord(status, sentence)
	case a.verbose || a.image || a.callback != "" || status == http.StatusBadRequest:
		if status == http.StatusBadRequest {
			status = http.StatusOK // as Mixpanel answers data it cannot use: with 0
		}
		a.say(status, 0, sentence)
	default:
		a.json(status, struct {
			Error  string `json:"error"`
			Status string `json:"status"`
		}{sentence, "error"})
	}
}

// pixel is a transparent GIF of one by one.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// say answers 1 or 0, with what is wrong where the form has room for it.
func (a *answer) say(status, ok int, wrong string) {
	if a.image {
		a.write(status, "image/gif", []byte(pixel))
		return
	}
	text := strconv.AppendInt(nil, int64(ok), 10)
	contentType := "text/plain; charset=utf-8"
	if a.verbose {
		var about *string
		if wrong != "" {
			about = &wrong
		}
		contentType = "application/json"
		text = marshal(struct {
			Status int     `json:"status"`
			Error  *string `json:"error"`
		}{ok, about})
	}
	if a.callback != "" {
		contentType = "text/javascript; charset=utf-8"
		text = []byte("/**/" + a.callback + "(" + string(text) + ");")
	}
	a.write(status, contentType, text)
}

func (a *answer) json(status int, v any) { a.write(status, "application/json", marshal(v)) }

func marshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // only structs of strings and numbers come here
	return bytes.TrimRight(b.Bytes(), "\n")
}

func (a *answer) write(status int, contentType string, text []byte) {
	h := a.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	a.w.WriteHeader(status)
	_, _ = a.w.Write(text) // the other side is gone; there is nobody to tell
}
