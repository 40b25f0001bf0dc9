package kind

import (
	"strings"
	"unicode/utf8"
)

// MaxIdentifier is the most characters of an identifier.
const MaxIdentifier = 255

// crowd holds, in lower case, the values that programs send in place of an
// identifier they do not have. A request for one would reach many people, and
// data under one belongs to nobody in particular, so both sides refuse them.
func crowd(lower string) bool {
	switch lower {
	case "00000000-0000-0000-0000-000000000000", "anon", "anonymous", "nil", "none", "null", "n/a", "na",
		"undefined", "unknown", "<nil>", "0", "-1", "true", "false", "[]", "{}":
		return true
	}
	return false
}

// ParseSubject trims s and returns it as an identifier. Ingestion and requests
// both go through it, so that whatever was stored can be asked for. It refuses,
// with kind Invalid and a sentence that goes on from "the identifier …", one
// that is empty, longer than MaxIdentifier characters, not UTF-8, or a value that
// stands for many people. Case is kept: "Bob" and "bob" are two people.
func ParseSubject(s string) (Subject, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", Say(Invalid, "is empty")
	case !utf8.ValidString(s):
		return "", Say(Invalid, "is not valid UTF-8")
	case utf8.RuneCountInString(s) > MaxIdentifier:
		return "", Say(Invalid, "is longer than 255 characters")
	case crowd(strings.ToLower(s)):
		return "", Say(Invalid, "is a placeholder that would match many people")
	}
	return Subject(s), nil
}
