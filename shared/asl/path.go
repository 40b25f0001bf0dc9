package asl

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/ohler55/ojg/jp"
)

// errNoMatch is what a path gives that finds nothing where it must find one value.
var errNoMatch = errors.New("the path finds nothing")

// A path is a JSONPath into the data or, led by $$, into the context object.
// Package jp reads it and decides filters. Walking is done here because Step
// Functions follows Jayway JsonPath, which differs from jp: a path made only of
// names and indices gives its one value or fails; any other gives an array of
// what it finds, which may be empty, and fails only when its leading names and
// indices lead nowhere.
type path struct {
	text     string
	context  bool // led by $$
	frags    []jp.Frag
	definite bool // only names and indices
}

// parsePath reads a path as InputPath and payload templates have it.
func parsePath(text string) (*path, error) {
	p := &path{text: text}
	body := text
	if strings.HasPrefix(text, "$$") {
		p.context, body = true, text[1:]
	}
	if !strings.HasPrefix(body, "$") {
		return nil, errors.New("a path must begin with $")
	}
	if len(body) > 1 && body[1] != '.' && body[1] != '[' {
		return nil, errors.New("a path goes on with . or [ behind $; variables are not run")
	}
	if strings.HasSuffix(body, ".") {
		return nil, errors.New("a path ends with a dot")
	}
	expr, err := jp.ParseString(body)
	if err != nil {
		return nil, errors.New("this is no JSONPath")
	}
	p.frags = expr[1:]
	p.definite = true
	for i, f := range p.frags {
		switch f := f.(type) {
		case jp.Child:
			if strings.ContainsAny(string(f), "()") && !strings.Contains(body, "['") {
				return nil, errors.New("JSONPath functions are not run")
			}
		case jp.Nth:
			if f < 0 {
				return nil, errors.New("an index below zero is not run")
			}
		case jp.Wildcard, jp.Union:
			p.definite = false
		case jp.Slice:
			if len(f) > 2 && f[2] != jp.SliceNotSet {
				return nil, errors.New("a slice with a step is not run")
			}
			p.definite = false
		case jp.Descent:
			if i == len(p.frags)-1 {
				return nil, errors.New("a path ends with ..")
			}
			p.definite = false
		case *jp.Filter:
			if err := checkFilter(f.String()); err != nil {
				return nil, err
			}
			p.definite = false
		default:
			return nil, errors.New("this JSONPath operator is not run")
		}
	}
	return p, nil
}

// parseReference reads a Reference Path, which can name one place only: names
// and indices from $.
func parseReference(text string) (*path, error) {
	p, err := parsePath(text)
	switch {
	case err != nil:
		return nil, err
	case !p.definite:
		return nil, errors.New("this must be a Reference Path: names and indices only")
	}
	return p, nil
}

// checkFilter refuses the operators that jp has and Step Functions has not.
func checkFilter(f string) error {
	for _, word := range []string{"length(", "count(", "match(", "search(", " has ", " exists ", "Nothing"} {
		if strings.Contains(f, word) {
			return errors.New("this filter operator is not run: " + strings.Trim(word, " ("))
		}
	}
	return nil
}

// in evaluates the path against the data or the context object.
func (p *path) in(data any, context func() any) (any, error) {
	if p.context {
		data = context()
	}
	if len(p.frags) == 0 {
		return data, nil
	}
	found, err := walk([]any{data}, p.frags, true)
	if err != nil {
		return nil, err
	}
	if p.definite {
		return found[0], nil
	}
	return found, nil
}

// walk follows the fragments from each of the values in at. While sure, every
// fragment so far named one place, so a place that is not there is an error.
func walk(at []any, frags []jp.Frag, sure bool) ([]any, error) {
	for i, f := range frags {
		next := []any{}
		for _, v := range at {
			if _, ok := f.(jp.Descent); ok {
				var err error
				descend(v, func(inner any) {
					// Behind .. a fragment is asked of every value below.
					found, e := walk([]any{inner}, frags[i+1:], false)
					next, err = append(next, found...), errors.Join(err, e)
				})
				if err != nil {
					return nil, err
				}
				continue
			}
			found, ok := follow(v, f)
			if !ok && sure {
				return nil, errNoMatch
			}
			next = append(next, found...)
		}
		switch f.(type) {
		case jp.Descent:
			return next, nil
		case jp.Child, jp.Nth:
		default:
			sure = false
		}
		at = next
	}
	return at, nil
}

// follow returns what one fragment finds in v; false when v cannot be asked, or
// the one place named is not there.
func follow(v any, f jp.Frag) ([]any, bool) {
	list, isList := v.([]any)
	obj, isObject := v.(*object)
	switch f := f.(type) {
	case jp.Child:
		if !isObject {
			return nil, false
		}
		got, ok := obj.get(string(f))
		if !ok {
			return nil, false
		}
		return []any{got}, true
	case jp.Nth:
		if !isList || int(f) >= len(list) {
			return nil, false
		}
		return []any{list[f]}, true
	case jp.Wildcard:
		return members(v), true
	case jp.Slice:
		if !isList {
			return nil, false
		}
		return slice(list, f), true
	case jp.Union:
		return union(v, f)
	case *jp.Filter:
		if !isList && !isObject {
			return nil, false
		}
		if isObject {
			list = []any{obj}
		}
		found := []any{}
		for _, e := range list {
			if f.Match(shadow(e)) {
				found = append(found, e)
			}
		}
		return found, true
	}
	return nil, false
}

func members(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case *object:
		all := make([]any, len(v.keys))
		for i, k := range v.keys {
			all[i] = v.values[k]
		}
		return all
	}
	return nil
}

func slice(list []any, f jp.Slice) []any {
	bound := func(i, unset int) int {
		if i == jp.SliceNotSet {
			return unset
		}
		if i < 0 {
			i += len(list)
		}
		return max(0, min(i, len(list)))
	}
	from, to := 0, len(list)
	if len(f) > 0 {
		from = bound(f[0], 0)
	}
	if len(f) > 1 {
		to = bound(f[1], len(list))
	}
	if from >= to {
		return nil
	}
	return list[from:to]
}

func union(v any, f jp.Union) ([]any, bool) {
	found := []any{}
	for _, member := range f {
		switch m := member.(type) {
		case string:
			o, ok := v.(*object)
			if !ok {
				return nil, false
			}
			if got, ok := o.get(m); ok {
				found = append(found, got)
			}
		case int64:
			l, ok := v.([]any)
			if !ok {
				return nil, false
			}
			if m < 0 {
				m += int64(len(l))
			}
			if 0 <= m && m < int64(len(l)) {
				found = append(found, l[m])
			}
		}
	}
	return found, true
}

// descend calls f with v and then with every value below it, parents first.
func descend(v any, f func(any)) {
	f(v)
	for _, m := range members(v) {
		descend(m, f)
	}
}

// shadow returns v in the types that jp compares in filters.
func shadow(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		return float(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = shadow(e)
		}
		return list
	case *object:
		m := make(map[string]any, len(v.keys))
		for k, e := range v.values {
			m[k] = shadow(e)
		}
		return m
	}
	return v
}

// put returns root with v at the place the path names, and leaves root as it
// was. Names that are missing are made; an index must exist, or be the one
// behind the last. A place inside something that is neither is errNoMatch.
func (p *path) put(root, v any) (any, error) { return putAt(root, p.frags, v) }

func putAt(at any, frags []jp.Frag, v any) (any, error) {
	if len(frags) == 0 {
		return v, nil
	}
	switch f := frags[0].(type) {
	case jp.Child:
		o, ok := at.(*object)
		if at == nil {
			o, ok = newObject(), true
		}
		if !ok {
			return nil, errNoMatch
		}
		inner, err := putAt(o.values[string(f)], frags[1:], v)
		if err != nil {
			return nil, err
		}
		o = o.clone()
		o.set(string(f), inner)
		return o, nil
	case jp.Nth:
		list, ok := at.([]any)
		i := int(f)
		if !ok || i > len(list) {
			return nil, errNoMatch
		}
		list = slices.Clone(list)
		if i == len(list) {
			list = append(list, nil)
		}
		inner, err := putAt(list[i], frags[1:], v)
		if err != nil {
			return nil, err
		}
		list[i] = inner
		return list, nil
	}
	return nil, errNoMatch
}
