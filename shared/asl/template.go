package asl

import "strings"

// A template is a payload template (Parameters, ResultSelector, ItemSelector):
// JSON in which each member whose name ends in .$ is computed.
type template struct {
	// One of these is set; none is null.
	members  []member
	list     []*template
	literal  any
	isObject bool
	isList   bool
}

type member struct {
	name   string
	inner  *template  // for a plain member
	filled expression // for one whose name ended in .$
}

// fill evaluates the template.
func (t *template) fill(s scope) (any, error) {
	switch {
	case t.isObject:
		o := newObject()
		for _, m := range t.members {
			var v any
			var err error
			if m.filled != nil {
				if v, err = m.filled.eval(s); err != nil {
					return nil, fieldError{m.name + ".$", err}
				}
			} else if v, err = m.inner.fill(s); err != nil {
				return nil, err
			}
			o.set(m.name, v)
		}
		return o, nil
	case t.isList:
		list := make([]any, len(t.list))
		for i, e := range t.list {
			v, err := e.fill(s)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	return t.literal, nil
}

// fieldError says in which field of a template an expression failed.
type fieldError struct {
	field string
	err   error
}

func (e fieldError) Error() string { return e.err.Error() }
func (e fieldError) Unwrap() error { return e.err }

// template reads a payload template from the definition.
func (l *loader) template(n *node) *template {
	switch v := n.value.(type) {
	case *fields:
		t := &template{isObject: true}
		for _, key := range v.keys {
			inner := v.values[key]
			name, computed := strings.CutSuffix(key, ".$")
			if !computed {
				t.members = append(t.members, member{name: name, inner: l.template(inner)})
				continue
			}
			text, ok := inner.value.(string)
			if !ok {
				l.say(inner, "%q must be a string: a path or an intrinsic function", key)
				continue
			}
			e, err := parseExpression(text)
			if err != nil {
				l.say(inner, "%q: %v", key, err)
				continue
			}
			t.members = append(t.members, member{name: name, filled: e})
		}
		return t
	case []*node:
		t := &template{isList: true}
		for _, e := range v {
			t.list = append(t.list, l.template(e))
		}
		return t
	}
	return &template{literal: n.value}
}
