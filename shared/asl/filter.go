package asl

import (
	"encoding/json"
	"errors"
	"strings"
)

// A filter is the predicate in [?(…)], as Jayway JsonPath decides it. Those of
// package jp are not used: they differ (numbers against strings, what is missing,
// the reach of !) and panic where two arrays are compared.
type filter struct {
	op          string // ||, &&, !, a comparison, or "" for: left is there
	left, right *filter
	from, to    *operand // of a comparison; from alone of a test for presence
}

// An operand is a path from @ or a value.
type operand struct {
	path  *path
	value any
	list  []any // of in
}

func (f *filter) match(v any) bool {
	switch f.op {
	case "||":
		return f.left.match(v) || f.right.match(v)
	case "&&":
		return f.left.match(v) && f.right.match(v)
	case "!":
		return !f.left.match(v)
	}
	a, ok := f.from.in(v)
	if f.op == "" {
		return ok
	}
	if f.op == "in" {
		for _, e := range f.to.list {
			if ok && alike(a, e) {
				return true
			}
		}
		return false
	}
	b, also := f.to.in(v)
	same := ok && also && alike(a, b)
	switch f.op {
	case "==":
		return same
	case "!=":
		return !same
	}
	order, comparable := compareNumeric(a, b)
	if !comparable {
		order, comparable = compareStrings(a, b)
	}
	return ok && also && comparable && (f.op[0] == '<' && order < 0 || f.op[0] == '>' && order > 0 || len(f.op) == 2 && order == 0)
}

func (o *operand) in(v any) (any, bool) {
	if o.path == nil {
		return o.value, true
	}
	got, err := o.path.in(v, nil)
	return got, err == nil
}

// alike is equality in a filter: what stands on the left decides whether a number
// and a string are compared as numbers or as text.
func alike(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		switch b := b.(type) {
		case json.Number:
			return compareNumbers(a, b) == 0
		case string:
			r := expressionReader{text: b}
			_, err := r.number()
			return err == nil && r.at == len(b) && compareNumbers(a, json.Number(b)) == 0
		}
		return false
	case string:
		if n, ok := b.(json.Number); ok {
			return a == string(n)
		}
	}
	return equal(a, b)
}

// readFilter reads what stands inside [?( )].
func readFilter(text string) (*filter, error) {
	r := &filterReader{expressionReader{text: text}}
	read, err := r.either(0)
	if err != nil {
		return nil, err
	}
	if r.skip(); r.at < len(text) {
		return nil, errors.New("this filter operator is not run")
	}
	return read, nil
}

type filterReader struct{ expressionReader }

func (r *filterReader) taking(word string) bool {
	if r.skip(); strings.HasPrefix(r.text[r.at:], word) {
		r.at += len(word)
		return true
	}
	return false
}

func (r *filterReader) either(depth int) (*filter, error) {
	return r.chain(depth, "||", func(depth int) (*filter, error) { return r.chain(depth, "&&", r.single) })
}

func (r *filterReader) chain(depth int, op string, inner func(int) (*filter, error)) (*filter, error) {
	left, err := inner(depth)
	for err == nil && r.taking(op) {
		var right *filter
		right, err = inner(depth)
		left = &filter{op: op, left: left, right: right}
	}
	return left, err
}

func (r *filterReader) single(depth int) (*filter, error) {
	if depth > maxCalls {
		return nil, errors.New("a filter nests deeper than 10")
	}
	switch {
	case r.taking("!"):
		inner, err := r.single(depth + 1)
		return &filter{op: "!", left: inner}, err
	case r.taking("("):
		inner, err := r.either(depth + 1)
		if err == nil && !r.taking(")") {
			err = errors.New("a filter's closing ) is missing")
		}
		return inner, err
	}
	from, err := r.operand()
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">", "in "} {
		if !r.taking(op) {
			continue
		}
		op = strings.TrimSpace(op)
		var to *operand
		if op == "in" {
			to, err = r.list()
		} else {
			to, err = r.operand()
		}
		return &filter{op: op, from: from, to: to}, err
	}
	if from.path == nil {
		return nil, errors.New("a filter must test a path")
	}
	return &filter{from: from}, nil
}

func (r *filterReader) operand() (*operand, error) {
	r.skip()
	rest := r.text[r.at:]
	if strings.HasPrefix(rest, "@") {
		end := pathEnd(rest)
		r.at += end
		p, err := parsePath("$" + rest[1:end])
		if err != nil || !p.definite {
			return nil, errors.New("a filter takes only names and indices behind @")
		}
		return &operand{path: p}, nil
	}
	if strings.HasPrefix(rest, "$") {
		return nil, errors.New("a filter that looks outside its element is not run")
	}
	e, err := r.literal()
	if err != nil {
		return nil, errors.New("this filter is not run")
	}
	return &operand{value: e.value}, nil
}

func (r *filterReader) list() (*operand, error) {
	if !r.taking("[") {
		return nil, errors.New("in takes a list")
	}
	o := &operand{}
	for !r.taking("]") {
		if len(o.list) > 0 && !r.taking(",") {
			return nil, errors.New("this list is not run")
		}
		e, err := r.operand()
		if err != nil || e.path != nil {
			return nil, errors.New("a list holds only values")
		}
		o.list = append(o.list, e.value)
	}
	return o, nil
}

// literal reads a value; a string may stand in either quotes.
func (r *filterReader) literal() (literal, error) {
	rest := r.text[r.at:]
	if rest == "" {
		return literal{}, errors.New("a value is missing")
	}
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		end := 1 + strings.IndexByte(rest[1:], c)
		if end == 0 || strings.Contains(rest[:end], `\`) {
			return literal{}, errors.New("this string is not run")
		}
		r.at += end + 1
		return literal{rest[1:end]}, nil
	case c == '-' || '0' <= c && c <= '9':
		e, err := r.number()
		if err != nil || strings.ContainsAny(string(e.(literal).value.(json.Number)), "eE") {
			return literal{}, errors.New("this number is not run")
		}
		return e.(literal), nil
	}
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if r.taking(word) {
			return literal{v}, nil
		}
	}
	return literal{}, errors.New("a value is missing")
}

// pathEnd is where a path that begins with @ ends.
func pathEnd(text string) int {
	var quote byte
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte(" \t()=!<>&|,", c) >= 0:
			return i
		}
	}
	return len(text)
}
