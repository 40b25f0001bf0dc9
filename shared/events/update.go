package events

import (
	"strings"
	"time"
	"unicode/utf8"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// An Update is one change of a profile as a client sent it. ParseUpdate makes it.
type Update struct {
	// Token is the project token of the record, or "".
	Token string
	// Subject is whose profile it is, unless Group is set.
	Subject kind.Subject
	Group   Group
	// Time is when the change was made, if the client says so.
	Time time.Time
	// operations in the order in which they were sent.
	operations []operation
}

// A Group is a company or another thing that many people belong to. Its profile
// is nobody's in particular.
type Group struct {
	Key string // what kind of group: "company"
	ID  kind.Subject
}

// An operation is one operator of an update with what it applies to.
type operation struct {
	verb string
	with []byte
}

// onlyTakes reports whether every operation of u takes something away.
func (u *Update) onlyTakes() bool {
	for _, op := range u.operations {
		if op.verb != "$delete" && op.verb != "$unset" && op.verb != "$remove" {
			return false
		}
	}
	return true
}

// ParseUpdate reads one update, {"$distinct_id":…,"$set":{…}}, or, with group,
// {"$group_key":…,"$group_id":…,"$set":{…}}. raw must have passed json.Valid.
// Members that are no operator are read past: $ip and the coordinates, which
// Mixpanel makes a city of, are not kept. An error is a *Fault.
func ParseUpdate(raw []byte, group bool) (Update, error) {
	u, f := parseUpdate(raw, group)
	if f != nil {
		return Update{}, f
	}
	return u, nil
}

func parseUpdate(raw []byte, group bool) (Update, *Fault) {
	var u Update
	if !isObject(raw) {
		return u, &Fault{Message: "an update must be a JSON object"}
	}
	if len(raw) > MaxRecord {
		return u, &Fault{Message: "an update must not be larger than 1 MB"}
	}
	if depth(raw) > maxDepth {
		return u, &Fault{Message: "an update must not be nested deeper than 32 levels"}
	}
	var id, key []byte
	for m := range members(raw) {
		switch name := string(m.name); name {
		case "$token":
			u.Token = text(m.value)
		case "$distinct_id", "distinct_id":
			if !group {
				id = m.value
			}
		case "$group_key":
			key = m.value
		case "$group_id":
			if group {
				id = m.value
			}
		case "$time":
			u.Time, _ = moment(m.value)
		case "$set", "$set_once", "$add", "$append", "$union", "$remove", "$unset", "$delete":
			op, f := parseOperation(name, m.value)
			if f != nil {
				return u, f
			}
			u.operations = append(u.operations, op)
		}
	}
	if len(u.operations) == 0 {
		return u, &Fault{Message: "an update must have an operator: $set, $set_once, $add, $append, $union, $remove, $unset or $delete"}
	}
	if group {
		return u, u.parseGroup(key, id)
	}
	subject, err := identifier(id)
	if err != nil {
		return u, fault("$distinct_id", "the identifier "+err.Error())
	}
	u.Subject = subject
	return u, nil
}

// parseGroup reads the two names of a group. They are no identifiers of people,
// so the placeholders of those are good names here.
func (u *Update) parseGroup(key, id []byte) *Fault {
	for _, part := range []struct {
		field string
		value []byte
	}{{"$group_key", key}, {"$group_id", id}} {
		s := string(part.value)
		if isString(part.value) {
			s = text(part.value)
		}
		s = strings.TrimSpace(s)
		switch {
		case s == "" || isObject(part.value) || isList(part.value) || isNull(part.value):
			return fault(part.field, "must be a string that is not empty")
		case !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxName:
			return fault(part.field, "must not be longer than 255 characters")
		}
		if part.field == "$group_key" {
			u.Group.Key = s
		} else {
			u.Group.ID = kind.Subject(s)
		}
	}
	if len(groupPK("", u.Group)) > table.MaxPK-maxProject {
		return fault("$group_id", "must not be that long together with $group_key")
	}
	return nil
}

func parseOperation(verb string, with []byte) (operation, *Fault) {
	op := operation{verb, append([]byte(nil), with...)}
	switch verb {
	case "$delete":
		return op, nil
	case "$unset":
		if isString(with) {
			return op, nil
		}
		if !isList(with) {
			return op, fault(verb, "must be a list of names")
		}
		for v := range Elements(with) {
			if !isString(v) {
				return op, fault(verb, "must be a list of names")
			}
		}
		return op, nil
	}
	if !isObject(with) {
		return op, fault(verb, "must be an object")
	}
	for m := range members(with) {
		if _, ok := addend(m.value); verb == "$add" && !ok {
			return op, fault(verb, "must have numbers for values")
		}
	}
	return op, nil
}

// addend reads a number, or a string of one, which some clients send.
func addend(v []byte) (decimal, bool) {
	if isString(v) {
		v = []byte(strings.TrimSpace(text(v)))
	}
	return parseDecimal(v)
}
