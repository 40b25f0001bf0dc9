package events

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
	"time"
)

// What clients sent is kept as they sent it: no value goes through a float or a
// map. So JSON is not decoded here but cut apart. All functions take text that
// has passed json.Valid; given other text they may find nonsense, but never read
// beyond it.

// maxDepth is how deep objects and lists of a record may lie in one another.
const maxDepth = 32

// space skips white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the position behind the string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		i += n
		slashes := 0
		for b[i-1-slashes] == '\\' { // ends at the opening quote at the latest
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(b)
}

// valueEnd returns the position behind the value that begins at i.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		for depth := 0; i < len(b); {
			switch b[i] {
			case '"':
				i = stringEnd(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(b)
	}
	for i < len(b) && !strings.ContainsRune(",]} \n\t\r", rune(b[i])) {
		i++
	}
	return i
}

// depth returns how deep objects and lists lie in one another.
func depth(b []byte) (deepest int) {
	now := 0
	for i := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
			continue
		case '{', '[':
			now++
			deepest = max(deepest, now)
		case '}', ']':
			now--
		}
		i++
	}
	return deepest
}

// A member is one name of an object with its value.
type member struct {
	name   []byte // as it reads
	quoted []byte // as it stands
	value  []byte // as it stands
}

// members goes through an object.
func members(object []byte) iter.Seq[member] {
	return func(yield func(member) bool) {
		for i := space(object, 1); i < len(object) && object[i] == '"'; {
			end := stringEnd(object, i)
			m := member{name: inner(object[i:end]), quoted: object[i:end]}
			i = space(object, end)
			i = space(object, i+1) // the colon
			end = valueEnd(object, i)
			if i > end {
				return
			}
			m.value = object[i:end]
			if !yield(m) {
				return
			}
			i = space(object, end)
			i = space(object, i+1) // the comma
		}
	}
}

// Elements goes through a JSON list: its values as they stand.
func Elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := space(list, space(list, 0)+1); i < len(list) && list[i] != ']'; {
			end := valueEnd(list, i)
			if end == i || !yield(list[i:end]) {
				return
			}
			i = space(list, end)
			i = space(list, i+1) // the comma
		}
	}
}

// text reads a JSON string.
func text(quoted []byte) string { return string(inner(quoted)) }

// inner is text that is cut out of quoted where that will do.
func inner(quoted []byte) []byte {
	if len(quoted) < 2 {
		return nil
	}
	if in := quoted[1 : len(quoted)-1]; bytes.IndexByte(in, '\\') < 0 {
		return in
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it was valid
	return []byte(s)
}

// appendQuoted appends s as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		return append(append(append(b, '"'), s...), '"')
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return append(b, bytes.TrimRight(out.Bytes(), "\n")...)
}

// appendMember appends one member to an object that b ends within, with a comma
// before it unless it is the first.
func appendMember(b, quoted, value []byte) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(append(b, quoted...), ':')
	return appendCompact(b, value)
}

// appendCompact appends a value without white space between its parts.
func appendCompact(b, value []byte) []byte {
	if len(value) == 0 || value[0] != '{' && value[0] != '[' || !bytes.ContainsAny(value, " \n\t\r") {
		return append(b, value...)
	}
	out := bytes.NewBuffer(b)
	if err := json.Compact(out, value); err != nil {
		return append(b, value...)
	}
	return out.Bytes()
}

func isString(v []byte) bool { return len(v) > 0 && v[0] == '"' }
func isObject(v []byte) bool { return len(v) > 0 && v[0] == '{' }
func isList(v []byte) bool   { return len(v) > 0 && v[0] == '[' }
func isNull(v []byte) bool   { return len(v) == 0 || v[0] == 'n' }
func isNumber(v []byte) bool {
	return len(v) > 0 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9')
}

// moment reads a time as clients give it: a number, or a string of one, of
// seconds or milliseconds since 1970, with or without a fraction. What would lie
// after the year 5000 in seconds is milliseconds.
func moment(v []byte) (t time.Time, ok bool) {
	if isString(v) {
		v = []byte(strings.TrimSpace(text(v)))
	}
	d, ok := parseDecimal(v)
	if !ok {
		return time.Time{}, false
	}
	ms, ok := d.scaled(3) // thousandths
	if !ok {
		return time.Time{}, false
	}
	if ms >= 100_000_000_000_000 || ms <= -100_000_000_000_000 {
		ms /= 1000
	}
	return time.UnixMilli(ms).UTC(), true
}
