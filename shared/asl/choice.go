package asl

import (
	"encoding/json"
	"strings"
	"time"
)

// A rule is an element of Choices.
type rule struct {
	when condition
	next string
}

// A condition is a Choice Rule without its Next. Its failure is that of the
// whole execution.
type condition interface {
	holds(s scope) (bool, *failure)
}

type both struct{ all []condition } // And

func (c both) holds(s scope) (bool, *failure) {
	for _, inner := range c.all {
		if ok, err := inner.holds(s); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

type either struct{ any []condition } // Or

func (c either) holds(s scope) (bool, *failure) {
	for _, inner := range c.any {
		if ok, err := inner.holds(s); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

type negation struct{ of condition }

func (c negation) holds(s scope) (bool, *failure) {
	ok, err := c.of.holds(s)
	return !ok && err == nil, err
}

// presence is IsPresent.
type presence struct {
	variable *path
	want     bool
}

func (c presence) holds(s scope) (bool, *failure) {
	_, err := c.variable.eval(s)
	return (err == nil) == c.want, nil
}

// A comparison is any operator but IsPresent: test is given the variable and the
// operand, which comes from operandPath where the operator's name ends in Path.
type comparison struct {
	variable    *path
	operand     any
	operandPath *path
	test        test
}

type test func(variable, operand any) bool

func (c comparison) holds(s scope) (bool, *failure) {
	v, err := c.variable.eval(s)
	if err != nil {
		return false, invalidChoice(c.variable)
	}
	operand := c.operand
	if c.operandPath != nil {
		if operand, err = c.operandPath.eval(s); err != nil {
			return false, invalidChoice(c.operandPath)
		}
	}
	return c.test(v, operand), nil
}

func invalidChoice(p *path) *failure {
	return &failure{name: errRuntime, cause: "Invalid path '" + p.text +
		"': The choice state's condition path references an invalid value."}
}

// An operator is what a comparison operator's name stands for: what kind of
// value it takes in the definition, and its test.
type operator struct {
	operand operandKind
	test    test
}

type operandKind string

const (
	textOperand  operandKind = "a string"
	numOperand   operandKind = "a number"
	boolOperand  operandKind = "true or false"
	timeOperand  operandKind = "a timestamp such as 2016-03-14T01:59:00Z"
	presenceTest operandKind = "a test of presence" // IsPresent alone
)

// operatorOf finds a comparison operator by its name; byPath tells that the
// operand is a path into the data.
func operatorOf(name string) (op operator, byPath, ok bool) {
	switch name {
	case "IsPresent":
		return operator{operand: presenceTest}, false, true
	case "StringMatches":
		return operator{textOperand, func(v, pattern any) bool {
			text, ok := v.(string)
			return ok && like(text, pattern.(string))
		}}, false, true
	}
	if is, ok := typeTest(name); ok {
		return operator{boolOperand, func(v, want any) bool { return is(v) == want.(bool) }}, false, true
	}
	base, byPath := strings.CutSuffix(name, "Path")
	for _, family := range []struct {
		prefix  string
		operand operandKind
		compare func(a, b any) (int, bool)
	}{
		{"String", textOperand, compareStrings},
		{"Numeric", numOperand, compareNumeric},
		{"Timestamp", timeOperand, compareTimes},
		{"Boolean", boolOperand, compareBooleans},
	} {
		relation, isFamily := strings.CutPrefix(base, family.prefix)
		if !isFamily {
			continue
		}
		want, known := relationOf(relation)
		if !known || family.prefix == "Boolean" && relation != "Equals" {
			return operator{}, false, false
		}
		return operator{family.operand, func(a, b any) bool {
			order, comparable := family.compare(a, b)
			return comparable && want(order)
		}}, byPath, true
	}
	return operator{}, false, false
}

func relationOf(name string) (func(order int) bool, bool) {
	switch name {
	case "Equals":
		return func(o int) bool { return o == 0 }, true
	case "LessThan":
		return func(o int) bool { return o < 0 }, true
	case "LessThanEquals":
		return func(o int) bool { return o <= 0 }, true
	case "GreaterThan":
		return func(o int) bool { return o > 0 }, true
	case "GreaterThanEquals":
		return func(o int) bool { return o >= 0 }, true
	}
	return nil, false
}

func typeTest(name string) (func(any) bool, bool) {
	switch name {
	case "IsNull":
		return func(v any) bool { return v == nil }, true
	case "IsBoolean":
		return func(v any) bool { _, ok := v.(bool); return ok }, true
	case "IsNumeric":
		return func(v any) bool { _, ok := v.(json.Number); return ok }, true
	case "IsString":
		return func(v any) bool { _, ok := v.(string); return ok }, true
	case "IsTimestamp":
		return func(v any) bool { _, ok := timestamp(v); return ok }, true
	}
	return nil, false
}

func compareStrings(a, b any) (int, bool) {
	x, ok := a.(string)
	y, also := b.(string)
	return strings.Compare(x, y), ok && also
}

func compareNumeric(a, b any) (int, bool) {
	x, ok := a.(json.Number)
	y, also := b.(json.Number)
	if !ok || !also {
		return 0, false
	}
	return compareNumbers(x, y), true
}

func compareBooleans(a, b any) (int, bool) {
	x, ok := a.(bool)
	y, also := b.(bool)
	if x == y {
		return 0, ok && also
	}
	return 1, ok && also
}

func compareTimes(a, b any) (int, bool) {
	x, ok := timestamp(a)
	y, also := timestamp(b)
	return x.Compare(y), ok && also
}

// timestamp reads the RFC 3339 form that the language asks for: an upper-case T
// between date and time, and an upper-case Z or an offset.
func timestamp(v any) (time.Time, bool) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// like matches text against a pattern of StringMatches, in which * stands for any
// characters and a backslash makes * or a backslash plain.
func like(text, pattern string) bool {
	// Greedy with one way back: the last * can always take more.
	t, p := 0, 0
	star, mark := -1, 0
	for {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, t
			p++
			continue
		}
		if t == len(text) && p == len(pattern) {
			return true
		}
		if p < len(pattern) && t < len(text) {
			width := 1
			if pattern[p] == '\\' && p+1 < len(pattern) && (pattern[p+1] == '*' || pattern[p+1] == '\\') {
				width = 2
			}
			if pattern[p+width-1] == text[t] {
				p, t = p+width, t+1
				continue
			}
		}
		if star < 0 || mark >= len(text) {
			return false
		}
		mark++
		p, t = star+1, mark
	}
}
