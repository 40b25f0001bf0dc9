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
type profile struct {
	properties []property
	at         map[string]int // where a name stands among them
}

type property struct {
	name  string
	value []byte // JSON; nil once it is unset
}

// readProfile reads a stored profile, a JSON object; none for an empty value.
func readProfile(value []byte) *profile {
	p := &profile{at: map[string]int{}}
	for m := range members(value) {
		p.set(string(m.name), m.value)
	}
	return p
}

// object writes a profile as a JSON object.
func (p *profile) object() []byte {
	b := []byte{'{'}
	for _, prop := range p.properties {
		if prop.value != nil {
			b = appendMember(b, appendQuoted(nil, prop.name), prop.value)
		}
	}
	return append(b, '}')
}

// get returns the value of a property, nil if there is none.
func (p *profile) get(name string) []byte {
	if i, ok := p.at[name]; ok {
		return p.properties[i].value
	}
	return nil
}

func (p *profile) set(name string, value []byte) {
	if i, ok := p.at[name]; ok && p.properties[i].value != nil {
		p.properties[i].value = value
		return
	}
	p.at[name] = len(p.properties)
	p.properties = append(p.properties, property{name, value})
}

func (p *profile) unset(name string) {
	if i, ok := p.at[name]; ok {
		p.properties[i].value = nil
	}
}

// apply does one operation, as Mixpanel describes it:
// https://developer.mixpanel.com/reference/user-profiles
// Where Mixpanel leaves open what happens to a value of another type, nothing
// that was there is lost: $append and $union make it the first of a list, $add
// and $remove leave it.
func (p *profile) apply(op operation) {
	switch op.verb {
	case "$delete":
		*p = *readProfile(nil)
		return
	case "$unset":
		if isString(op.with) {
			p.unset(text(op.with))
			return
		}
		for v := range Elements(op.with) {
			p.unset(text(v))
		}
		return
	}
	for m := range members(op.with) {
		name := string(m.name)
		old := p.get(name)
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
			p.set(name, appended(old, m.value))
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

// appended is a list with one value more.
func appended(old, value []byte) []byte {
	if !isList(old) || len(old) == len("[]") {
		return list(append(listed(old), value))
	}
	return append(appendCompact(append(old[:len(old)-1:len(old)-1], ','), value), ']')
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
