package archive

import (
	"strconv"
	"strings"
)

// markup is HTML that may stand on the page as it is. A constant may be markup; a
// value becomes it by text or number, and nothing else converts to it. That and
// the places of the blanks, never in a style sheet or at the beginning of a link,
// keep the page safe.
type markup string

// A layout is markup with blanks, {{name}}, in the content of elements and in
// quoted attributes.
type layout string

// text is s with everything escaped that means something in HTML.
func text(s string) markup { return markup(escapes.Replace(s)) }

// escapes are those of html/template, so that pages keep their bytes.
var escapes = strings.NewReplacer("\x00", "\ufffd", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;")

func number[N int | int64](n N) markup { return markup(strconv.FormatInt(int64(n), 10)) }

// each is what one makes of all, one after the other.
func each[T any](all []T, one func(T) markup) markup {
	var out strings.Builder
	for _, v := range all {
		out.WriteString(string(one(v)))
	}
	return markup(out.String())
}

// fill puts values into the blanks of l. What looks like a blank in a value is
// none.
func (l layout) fill(values map[string]markup) markup {
	var out strings.Builder
	for rest := string(l); ; {
		before, after, more := strings.Cut(rest, "{{")
		out.WriteString(before)
		if !more {
			return markup(out.String())
		}
		var name string
		name, rest, _ = strings.Cut(after, "}}")
		value, known := values[name]
		if !known {
			panic("archive: nothing is there for the blank " + name)
		}
		out.WriteString(string(value))
	}
}
