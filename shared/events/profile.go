package events

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// A profile is the properties of a person or a group, in the order in which they
// were first set.
type profile []property

type property struct {
	name  string
	value []byte // JSON
}

// readProfile reads a stored profile, a JSON object.
func readProfile(value []byte) profile {
	var p profile
	for m := range members(value) {
		p = append(p, property{string(m.name), m.value})
	}
	return p
}

// object writes a profile as a JSON object.
func (p profile) object() []byte {
	b := []byte{'{'}
	for _, prop := range p {
		b = appendMember(b, appendQuoted(nil, prop.name), prop.value)
	}
	return append(b, '}')
}

func (p profile) find(name string) int {
	return slices.IndexFunc(p, func(prop property) bool { return prop.name == name })
}

func (p *profile) set(name string, value []byte) {
	if i := p.find(name); i >= 0 {
		(*p)[i].value = value
		return
	}
	*p = append(*p, property{name, value})
}

// apply does one operation, as Mixpanel describes it:
// https://developer.mixpanel.com/reference/user-profiles
// Where Mixpanel leaves open what happens to a value of another type, nothing
// that was there is lost: $append and $union make it the first of a list, $add
// and $remove leave it.
func (p *profile) apply(op operation) {
	switch op.verb {
	case "$delete":
		*p = nil
		return
	case "$unset":
		names := []string{text(op.with)}
		if isList(op.with) {
			names = names[:0]
			for v := range Elements(op.with) {
				names = append(names, text(v))
			}
		}
		*p = slices.DeleteFunc(*p, func(prop property) bool { return slices.Contains(names, prop.name) })
		return
	}
	for m := range members(op.with) {
		name := string(m.name)
		var old []byte
		if i := p.find(name); i >= 0 {
			old = (*p)[i].value
		}
		switch op.verb {
		case "$set":
			p.set(name, appendCompact(nil, m.value))
		case "$set_once":
			if old == nil {
				p.set(name, appendCompact(nil, m.value))
			}
		case "$add":
			p.add(name, old, m.value)
		case "$append":
			p.set(name, list(append(listed(old), m.value)))
		case "$union":
			p.set(name, list(union(listed(old), listed(m.value))))
		case "$remove":
			if isList(old) {
				p.set(name, list(remove(listed(old), m.value)))
			}
		}
	}
}

func (p *profile) add(name string, old, value []byte) {
	n, _ := addend(value)
	if old != nil {
		was, ok := parseDecimal(old)
		if !ok {
			return
		}
		n = n.add(was)
	}
	p.set(name, []byte(n.String()))
}

// listed are the values of a list, or the one value that is no list.
func listed(v []byte) [][]byte {
	if v == nil {
		return nil
	}
	if !isList(v) {
		return [][]byte{v}
	}
	return slices.Collect(Elements(v))
}

// list writes a list of values.
func list(values [][]byte) []byte {
	b := []byte{'['}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCompact(b, v)
	}
	return append(b, ']')
}

// union adds to values what is not equal to any.
func union(values, more [][]byte) [][]byte {
	seen := map[string]bool{}
	for _, v := range values {
		seen[canonical(v)] = true
	}
	for _, v := range more {
		if c := canonical(v); !seen[c] {
			seen[c] = true
			values = append(values, v)
		}
	}
	return values
}

// remove takes out of values what is equal to value, or, if that is a list, to
// one of its values.
func remove(values [][]byte, value []byte) [][]byte {
	gone := map[string]bool{canonical(value): true}
	if isList(value) {
		for v := range Elements(value) {
			gone[canonical(v)] = true
		}
	}
	return slices.DeleteFunc(values, func(v []byte) bool { return gone[canonical(v)] })
}

// canonical is the same for equal values: 1 and 1.0, "é" and "\u00e9", objects
// whose members are in another order.
func canonical(v []byte) string {
	switch {
	case isString(v):
		return `"` + text(v)
	case isNumber(v):
		if d, ok := parseDecimal(v); ok {
			return d.String()
		}
	case isList(v):
		var parts []string
		for e := range Elements(v) {
			parts = append(parts, canonical(e))
		}
		return marshalled("[", parts)
	case isObject(v):
		object := map[string]string{}
		for m := range members(v) {
			object[string(m.name)] = canonical(m.value)
		}
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(object)) {
			parts = append(parts, name, object[name])
		}
		return marshalled("{", parts)
	}
	return string(bytes.TrimSpace(v))
}

// marshalled joins parts so that no two lists of parts read alike.
func marshalled(kind string, parts []string) string {
	b, _ := json.Marshal(parts) // strings always encode
	return strings.Join([]string{kind, string(b)}, "")
}
