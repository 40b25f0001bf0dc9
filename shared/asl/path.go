package asl

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/ohler55/ojg/jp"
)

// errNoMatch is what a path gives that finds nothing where it must find one value.
var errNoMatch = errors.New("the path finds nothing")

// A path is a JSONPath into the data or, led by $$, into the context object.
// Package jp reads it. Walking is done here because Step
// Functions follows Jayway JsonPath, which differs from jp: a path made only of
// names and indices gives its one value or fails; any other gives an array of
// what it finds, which may be empty, and fails only when its leading names and
// indices lead nowhere.
type path struct {
	text     string
	context  bool // led by $$
	frags    []jp.Frag
	filters  map[int]*filter // by the position of their fragment
	definite bool            // only names and indices
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
	if strings.HasSuffix(body, ".") || strings.Contains(body, "...") {
		return nil, errors.New("a path has a dot too many")
	}
	if err := p.read(body); err != nil {
		return nil, err
	}
	p.definite = true
	for i, f := range p.frags {
		switch f := f.(type) {
		case jp.Child:
			if strings.ContainsAny(string(f), "()") && !strings.Contains(body, "['") {
				return nil, errors.New("JSONPath functions are not run")
			}
		case jp.Nth:
		case jp.Wildcard:
			if _, ok := p.frags[max(i-1, 0)].(jp.Descent); ok && i < len(p.frags)-1 {
				return nil, errors.New("a wildcard right behind .. may only stand last")
			}
			p.definite = false
		case jp.Union:
			for _, m := range f {
				if _, ok := m.(string); ok {
					return nil, errors.New("a choice of names is not run")
				}
			}
			p.definite = false
		case jp.Slice:
			if f[2] != jp.SliceNotSet || f[0] == jp.SliceNotSet && f[1] == jp.SliceNotSet {
				return nil, errors.New("a slice must have a start or an end, and no step")
			}
			p.definite = false
		case jp.Descent:
			if i == len(p.frags)-1 {
				return nil, errors.New("a path ends with two dots")
			}
			p.definite = false
		case *jp.Filter:
			p.definite = false
		default:
			return nil, errors.New("this JSONPath operator is not run")
		}
	}
	return p, nil
}

// read takes a path apart into fragments: by package jp, but for the filters.
func (p *path) read(body string) error {
	p.filters = map[int]*filter{}
	for {
		steps, predicate, rest, err := cutFilter(body)
		if err != nil {
			return err
		}
		expr, err := jp.ParseString(steps)
		if err != nil {
			return errors.New("this is no JSONPath; a name with other characters than letters, digits and _ stands as ['name']")
		}
		p.frags = append(p.frags, expr[1:]...)
		if predicate == "" {
			return nil
		}
		if strings.HasSuffix(steps, ".") {
			return errors.New("a filter right behind .. is not run")
		}
		f, err := readFilter(predicate)
		if err != nil {
			return err
		}
		p.filters[len(p.frags)] = f
		p.frags = append(p.frags, &jp.Filter{})
		if rest == "" {
			return nil
		}
		body = "$" + rest
	}
}

// cutFilter cuts a path at its first filter. Without one, all of it is steps.
func cutFilter(body string) (steps, predicate, rest string, err error) {
	var quote byte
	depth, start := 0, -1
	for i := range len(body) {
		c := body[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case start < 0 && strings.HasPrefix(body[i:], "[?("):
			start = i
		case start >= 0 && c == '(':
			depth++
		case start >= 0 && c == ')':
			if depth--; depth > 0 {
				continue
			}
			if !strings.HasPrefix(body[i:], ")]") {
				return "", "", "", errors.New("a filter must end with )]")
			}
			return body[:start], body[start+3 : i], body[i+2:], nil
		}
	}
	if start >= 0 {
		return "", "", "", errors.New("a filter must end with )]")
	}
	return body, "", "", nil
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

// in evaluates the path against the data or the context object.
func (p *path) in(data any, context func() any) (any, error) {
	if p.context {
		data = context()
	}
	if len(p.frags) == 0 {
		return data, nil
	}
	found, err := p.walk([]any{data}, 0, true)
	if err != nil {
		return nil, err
	}
	if p.definite {
		return found[0], nil
	}
	return found, nil
}

// walk follows the fragments from one on, from each of the values in at. While sure, every
// fragment so far named one place, so a place that is not there is an error.
func (p *path) walk(at []any, from int, sure bool) ([]any, error) {
	for i := from; i < len(p.frags); i++ {
		f := p.frags[i]
		next := []any{}
		for _, v := range at {
			if _, ok := f.(jp.Descent); ok {
				var err error
				descend(v, func(inner any) {
					// Behind .. a fragment is asked of every value below.
					found, e := p.walk([]any{inner}, i+1, false)
					next, err = append(next, found...), errors.Join(err, e)
				})
				if err != nil {
					return nil, err
				}
				continue
			}
			found, ok := p.follow(v, i)
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

// follow returns what fragment i finds in v; false when v cannot be asked, or the
// one place named is not there.
func (p *path) follow(v any, i int) ([]any, bool) {
	list, isList := v.([]any)
	obj, isObject := v.(*object)
	switch f := p.frags[i].(type) {
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
		i := int(f)
		if i < 0 {
			i += len(list)
		}
		if !isList || i < 0 || i >= len(list) {
			return nil, false
		}
		return []any{list[i]}, true
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
			if p.filters[i].match(e) {
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

// slice gives what Jayway gives: with both ends written out, indices are counted
// from start to end one by one, and one below zero counts from the end.
func slice(list []any, f jp.Slice) []any {
	n := len(list)
	fromEnd := func(i int) int {
		if i < 0 {
			i += n
		}
		return max(0, min(i, n))
	}
	switch {
	case f[1] == jp.SliceNotSet:
		return list[fromEnd(f[0]):]
	case f[0] == jp.SliceNotSet:
		return list[:fromEnd(f[1])]
	}
	var found []any
	for i := max(f[0], -n); i < min(f[1], n); i++ {
		found = append(found, list[(i+n)%n])
	}
	return found
}

// union gives the elements that some indices name.
func union(v any, f jp.Union) ([]any, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	found := []any{}
	for _, member := range f {
		i, _ := member.(int64)
		if i < 0 {
			i += int64(len(list))
		}
		if 0 <= i && i < int64(len(list)) {
			found = append(found, list[i])
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

// bracketed writes the path as Jayway JsonPath does in its errors.
func (p *path) bracketed() string {
	var b strings.Builder
	b.WriteByte('$')
	for _, f := range p.frags {
		switch f := f.(type) {
		case jp.Child:
			b.WriteString("['" + string(f) + "']")
		case jp.Nth:
			b.WriteString("[" + strconv.Itoa(int(f)) + "]")
		default:
			return p.text
		}
	}
	return b.String()
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
		if !ok || i < 0 || i > len(list) {
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
