package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

const (
	// maxBody lets 2000 identifiers of 255 characters through when each character
	// is escaped in twelve bytes, with room to spare.
	maxBody = 8 << 20
	// maxKey is the most characters of an Idempotency-Key.
	maxKey = 255
)

// readBody reads a whole body of at most maxBody bytes.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := kind.Say(kind.TooLarge, "The body is larger than 8 MB. Put fewer identifiers into one request.")
	if r.ContentLength > maxBody {
		return nil, tooLarge
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, kind.Say(kind.Invalid, "Send the body as it is, without a Content-Encoding.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil:
		return nil, kind.Say(kind.Invalid, "The body did not arrive whole.")
	}
	return body, nil
}

// parseObject reads a body as one JSON object and returns its known fields, but
// those that are null, which are as good as absent. Other fields are ignored. A
// field that differs from a known one only in case, or is there twice, is refused:
// to ignore either could mean to erase more than was meant.
func parseObject(body []byte, known ...string) (map[string]json.RawMessage, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, kind.Say(kind.Invalid, `The body is empty. Send a JSON object with the field "`+known[0]+`".`)
	}
	if at := invalidUTF8(body); at >= 0 {
		return nil, kind.Say(kind.Invalid, fmt.Sprintf("The body is not UTF-8: see byte %d.", at+1))
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			return nil, kind.Say(kind.Invalid, "The body is not JSON.")
		}
		return nil, kind.Say(kind.Invalid, fmt.Sprintf("The body is not JSON: see byte %d of %d.", syntax.Offset, len(body)))
	}
	in := json.NewDecoder(bytes.NewReader(body))
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return nil, kind.Say(kind.Invalid, `The body must be a JSON object with the field "`+known[0]+`".`)
	}
	fields := make(map[string]json.RawMessage)
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return nil, kind.Say(kind.Invalid, "The body is not JSON.")
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, kind.Say(kind.Invalid, "The body is not JSON.")
		}
		name, _ := key.(string)
		for _, k := range known {
			if !strings.EqualFold(name, k) {
				continue
			}
			if name != k {
				return nil, kind.Say(kind.Invalid, "The body has "+k+" in another case. Write it in lower case.")
			}
			if fields[k] != nil {
				return nil, kind.Say(kind.Invalid, "The body has "+k+" more than once. Give it once.")
			}
			fields[k] = value
		}
	}
	for k, v := range fields {
		if string(v) == "null" {
			delete(fields, k)
		}
	}
	return fields, nil
}

// parseKnown is parseObject where a field that is not known is refused too: one that
// is misspelt must not seem to have done something.
func parseKnown(body []byte, known ...string) (map[string]json.RawMessage, error) {
	fields, err := parseObject(body, known...)
	if err != nil {
		return nil, err
	}
	all, err := everyField(body)
	if err != nil {
		return nil, err
	}
	for name := range all {
		if !slices.Contains(known, name) {
			return nil, kind.Say(kind.Invalid, "The body has a field that is not known beside "+strings.Join(known, ", ")+". Take it out or correct it.")
		}
	}
	return fields, nil
}

// parseStrict is parseKnown where a field that is null is refused too: nothing is
// settled or made from nothing.
func parseStrict(body []byte, known ...string) (map[string]json.RawMessage, error) {
	fields, err := parseKnown(body, known...)
	if err != nil {
		return nil, err
	}
	all, err := everyField(body)
	if err != nil {
		return nil, err
	}
	for _, name := range known {
		if _, there := all[name]; there && fields[name] == nil {
			return nil, kind.Say(kind.Invalid, name+" is null. Give it a value, or leave it out.")
		}
	}
	return fields, nil
}

// everyField reads an object with the fields that are null or not known.
func everyField(body []byte) (all map[string]json.RawMessage, err error) {
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &all) != nil {
		return nil, kind.Say(kind.Invalid, "The body is not JSON.")
	}
	return all, nil
}

// parseSubmission reads the body of a create. What it says of the identifiers is
// left to dsr.Submit; their number is not, so that no list grows without bound.
func parseSubmission(body []byte) (dsr.Submission, error) {
	s := dsr.Submission{Compliance: dsr.GDPR, Disclosure: dsr.Data}
	fields, err := parseObject(body, "distinct_ids", "compliance_type", "disclosure_type",
		"subject_request_id", "status_callback_urls", "window", "block")
	if err != nil {
		return s, err
	}
	if s.IDs, err = parseIDs(fields["distinct_ids"]); err != nil {
		return s, err
	}
	if s.Compliance, s.Disclosure, err = parseLaw(fields); err != nil {
		return s, err
	}
	if raw := fields["subject_request_id"]; raw != nil {
		if s.SubjectRequestID, err = text("subject_request_id", raw); err != nil {
			return s, err
		}
		if s.SubjectRequestID == "" {
			return s, kind.Say(kind.Invalid, "subject_request_id is empty. Give a UUID of version 4 in lower case, or leave it out.")
		}
	}
	if raw := fields["status_callback_urls"]; raw != nil && !emptyList(raw) {
		return s, kind.Say(kind.Invalid, "status_callback_urls cannot be used: Lethe does not deliver callbacks yet. Leave it out and ask for the status.")
	}
	if raw := fields["window"]; raw != nil {
		if s.Period, err = parseWindow(raw); err != nil {
			return s, err
		}
	}
	if raw := fields["block"]; raw != nil && json.Unmarshal(raw, &s.Block) != nil {
		return s, kind.Say(kind.Invalid, "block must be true or false.")
	}
	return s, nil
}

// parseWindow reads "all", or {"from":…,"to":…} of dates or times, both part of
// the window; one of them may be missing.
func parseWindow(raw json.RawMessage) (*dsr.Period, error) {
	bad := kind.Say(kind.Invalid, `window must be "all", or an object with from and to: dates as 2026-01-31 or times as 2026-01-31T12:00:00Z.`)
	if s, ok := unquote(raw); ok {
		if !strings.EqualFold(s, "all") {
			return nil, bad
		}
		return &dsr.Period{}, nil
	}
	if raw[0] != '{' {
		return nil, bad
	}
	fields, err := parseKnown(raw, "from", "to")
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, bad
	}
	var p dsr.Period
	for name, end := range map[string]*time.Time{"from": &p.From, "to": &p.To} {
		if fields[name] == nil {
			continue
		}
		s, ok := unquote(fields[name])
		if !ok {
			return nil, bad
		}
		at, err := time.Parse(time.RFC3339, s)
		if err == nil {
			*end = at.UTC().Truncate(time.Millisecond)
			continue
		}
		if at, err = time.Parse(time.DateOnly, s); err != nil {
			return nil, bad
		}
		if name == "to" { // the whole day
			at = at.AddDate(0, 0, 1).Add(-time.Millisecond)
		}
		*end = at
	}
	return &p, nil
}

// parseLaw reads the two fields that say under which law, and how much. A type
// that is not known is refused, since to serve a wider one in its place could
// erase a whole person.
func parseLaw(fields map[string]json.RawMessage) (dsr.Compliance, dsr.Disclosure, error) {
	law, much := dsr.GDPR, dsr.Data
	if raw := fields["compliance_type"]; raw != nil {
		s, err := text("compliance_type", raw)
		if err != nil {
			return law, much, err
		}
		law = dsr.Compliance(strings.ToLower(s))
		if law != dsr.GDPR && law != dsr.CCPA {
			return law, much, kind.Say(kind.Invalid, "compliance_type must be GDPR or CCPA.")
		}
	}
	if raw := fields["disclosure_type"]; raw != nil {
		s, err := text("disclosure_type", raw)
		if err != nil {
			return law, much, err
		}
		much = dsr.Disclosure(strings.ToUpper(s))
		if much != dsr.Data && much != dsr.Categories && much != dsr.Sources {
			return law, much, kind.Say(kind.Invalid, "disclosure_type must be Data, Categories or Sources.")
		}
	}
	return law, much, nil
}

// parseIDs reads the list of identifiers. A number becomes the string of its own
// digits, so that none is lost.
func parseIDs(raw json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, kind.Say(kind.Invalid, `distinct_ids is missing. Give a list of 1 to 2000 identifiers: {"distinct_ids":["…"]}.`)
	}
	if raw[0] != '[' {
		return nil, kind.Say(kind.Invalid, "distinct_ids must be a list, also for a single identifier.")
	}
	in := json.NewDecoder(bytes.NewReader(raw))
	if _, err := in.Token(); err != nil {
		return nil, kind.Say(kind.Invalid, "distinct_ids is not a list.")
	}
	var ids []string
	for in.More() {
		var one json.RawMessage
		if err := in.Decode(&one); err != nil {
			return nil, kind.Say(kind.Invalid, "distinct_ids is not a list.")
		}
		if len(ids) == dsr.MaxIDs {
			return nil, kind.Say(kind.Invalid, fmt.Sprintf("distinct_ids has more than %d entries. Put the rest into further requests.", dsr.MaxIDs))
		}
		id, ok := identifier(one)
		if !ok {
			return nil, kind.Say(kind.Invalid, fmt.Sprintf("distinct_ids must hold only strings and numbers: see position %d, counted from 1.", len(ids)+1))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func identifier(raw json.RawMessage) (string, bool) {
	if c := raw[0]; c == '-' || '0' <= c && c <= '9' {
		return string(raw), true
	}
	return unquote(raw)
}

func text(field string, raw json.RawMessage) (string, error) {
	s, ok := unquote(raw)
	if !ok {
		return "", kind.Say(kind.Invalid, field+" must be a string.")
	}
	return s, nil
}

// unquote reads a JSON string. Half of a surrogate pair, which package json would
// replace in silence, makes it no string: the replacement is another identifier.
func unquote(raw json.RawMessage) (string, bool) {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil || halfPair(raw) {
		return "", false
	}
	return s, true
}

// halfPair looks for an escaped surrogate without its other half in a valid JSON
// string.
func halfPair(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		first, ok := escaped(raw, i)
		if !ok || !utf16.IsSurrogate(first) {
			continue
		}
		second, ok := escaped(raw, i+6)
		if !ok || raw[i+5] != '\\' || utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += 10
	}
	return false
}

// escaped reads uXXXX at i.
func escaped(raw []byte, i int) (rune, bool) {
	if i+5 > len(raw) || raw[i] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
	return rune(v), err == nil
}

func emptyList(raw json.RawMessage) bool {
	var list []json.RawMessage
	return json.Unmarshal(raw, &list) == nil && len(list) == 0
}

// invalidUTF8 returns where b ceases to be UTF-8, or -1.
func invalidUTF8(b []byte) int {
	for at := 0; at < len(b); {
		r, size := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}
