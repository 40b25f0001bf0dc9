package archive

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// tableHeader is the first line of events.csv.
const tableHeader = "time,event,distinct_id,insert_id,properties\r\n"

// rowTime is how events.csv writes a time, in UTC.
const rowTime = "2006-01-02T15:04:05.000Z"

// appendLine appends an event as one line of JSON in the shape of Mixpanel's raw
// export: https://developer.mixpanel.com/reference/raw-event-export
func appendLine(b []byte, e Event, properties []byte) []byte {
	b = append(b, `{"event":`...)
	b = appendString(b, e.Name)
	b = append(b, `,"properties":`...)
	b = append(b, properties...)
	return append(b, "}\n"...)
}

// oneLine returns a JSON object without line breaks; white space between tokens
// is the only place where JSON can have them.
func oneLine(object []byte) ([]byte, error) {
	if len(object) == 0 {
		return []byte("{}"), nil
	}
	if bytes.IndexByte(object, '\n') < 0 && bytes.IndexByte(object, '\r') < 0 {
		return object, nil
	}
	var b bytes.Buffer
	err := json.Compact(&b, object)
	return b.Bytes(), err
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			if c >= ' ' {
				b = append(b, '\\', c)
			} else {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[from:i]...)
			b = append(b, "\ufffd"...)
			from = i + 1
		}
		i += size
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// appendRow appends an event as a row of RFC 4180.
func appendRow(b []byte, e Event, properties []byte) []byte {
	b = appendTime(b, e.Time)
	b = append(b, ',')
	b = appendCell(b, e.Name)
	b = append(b, ',')
	b = appendCell(b, string(e.DistinctID))
	b = append(b, ',')
	b = appendCell(b, e.InsertID)
	b = append(b, ',')
	b = appendQuoted(b, properties)
	return append(b, "\r\n"...)
}

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, rowTime) }

// appendCell appends a cell of free text. One that a spreadsheet would run as a
// formula is led by an apostrophe, which makes it text there; so is one that
// would be taken for such a cell when read back, so that
// "drop a leading apostrophe if the rest is risky" restores every value.
func appendCell(b []byte, s string) []byte {
	if risky(s) {
		b = append(b, `"'`...)
		return append(appendDoubled(b, s), '"')
	}
	for i := range len(s) {
		switch s[i] {
		case '"', ',', '\r', '\n':
			return appendQuoted(b, s)
		}
	}
	return append(b, s...)
}

func appendQuoted[S string | []byte](b []byte, s S) []byte {
	b = append(b, '"')
	b = appendDoubled(b, s)
	return append(b, '"')
}

// appendDoubled appends s with every quote doubled.
func appendDoubled[S string | []byte](b []byte, s S) []byte {
	from := 0
	for i := range len(s) {
		if s[i] == '"' {
			b = append(b, s[from:i+1]...)
			from = i
		}
	}
	return append(b, s[from:]...)
}

// risky reports whether a spreadsheet may run a cell: it begins with one of
// = + - @ (or their full-width forms), a tab or a line break, or does once the
// quotes and white space are gone that some programs drop when they import.
func risky(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case '\t', '\r', '\n':
		return true
	}
	s = strings.TrimLeft(s, "'\"\t\r\n\v\f \u0000\u0085\u00a0\u200b\u2028\u2029\u3000\ufeff")
	r, _ := utf8.DecodeRuneInString(s)
	return strings.ContainsRune("=+-@＝＋－＠", r) && s != ""
}
