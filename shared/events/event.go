package events

import (
	"strconv"
	"time"
	"unicode/utf8"

	"lethe/shared/kind"
)

// Limits of one record.
const (
	MaxRecord   = 1 << 20 // bytes of an event or an update as it was sent
	MaxMembers  = 255     // properties of an event
	maxInsertID = 36
	maxName     = 255 // characters of an event's name, and of a group's key or id
)

// An Event is one event as a client sent it. ParseEvent makes it.
type Event struct {
	// Token is the project token that stood in the properties, or "".
	Token string
	Name  string
	// Subject is whose event it is; empty if it belongs to nobody.
	Subject kind.Subject
	// Time is when it happened. Zero is the time of receipt: none was given, or one
	// that has yet to come.
	Time time.Time
	// InsertID tells two events apart that are equal in all else. Empty lets Track
	// make one.
	InsertID string
	// Properties is the JSON object that was sent, in its order, without the token;
	// its distinct_id is Subject.
	Properties []byte
	edges      []edge
}

// Rules are what a route asks of events.
type Rules struct {
	// Now is the time of receipt. An event may lie at most an hour ahead of it.
	Now time.Time
	// Import takes $merge and wants a time in every event but those that only tell
	// of identities.
	Import bool
	// Strict wants a distinct_id and an $insert_id in every one of those too.
	Strict bool
	// Sender stands in for a distinct_id that is missing. If it is empty too, the
	// event belongs to nobody.
	Sender kind.Subject
}

// A Fault says what is wrong with one record. Its text holds no value of it.
type Fault struct {
	Field   string // as Mixpanel names it: "properties.time"
	Message string // what to change
	// InsertID is the record's own, if it has a good one, for the sender to find it.
	InsertID string
}

// Error implements error.
func (f *Fault) Error() string { return f.Message }

func fault(field, problem string) *Fault {
	return &Fault{Field: field, Message: "'" + field + "' is invalid: " + problem}
}

// sent is what ParseEvent looks for among the properties.
type sent struct {
	token, at, distinctID, insertID []byte
	userID, deviceID                []byte
	alias                           []byte
	identifiedID, anonID, merged    []byte
}

// ParseEvent reads one event, {"event":…,"properties":{…}}. raw must have passed
// json.Valid. An error is a *Fault.
func ParseEvent(raw []byte, rules Rules) (Event, error) {
	e, f := parseEvent(raw, rules)
	if f != nil {
		f.InsertID = e.InsertID
		return Event{}, f
	}
	return e, nil
}

func parseEvent(raw []byte, rules Rules) (Event, *Fault) {
	var e Event
	var name, properties []byte
	if !isObject(raw) {
		return e, &Fault{Message: "an event must be a JSON object"}
	}
	for m := range members(raw) {
		switch string(m.name) {
		case "event":
			name = m.value
		case "properties":
			properties = m.value
		}
	}
	var p sent
	var count int
	if isObject(properties) {
		count = p.read(properties)
	}
	if !isNull(p.insertID) {
		var f *Fault
		if e.InsertID, f = insertID(p.insertID); f != nil {
			return e, f
		}
	}
	e.Token = text(p.token)
	switch e.Name = text(name); {
	case !isString(name) || e.Name == "":
		return e, fault("event", "must be a string that is not empty")
	case utf8.RuneCountInString(e.Name) > maxName:
		return e, fault("event", "must not be longer than 255 characters")
	case !isObject(properties):
		return e, fault("properties", "must be an object")
	case len(raw) > MaxRecord:
		return e, &Fault{Message: "an event must not be larger than 1 MB"}
	case count > MaxMembers:
		return e, fault("properties", "must not have more than 255 properties")
	case depth(properties) > maxDepth:
		return e, fault("properties", "must not be nested deeper than 32 levels")
	}
	if f := e.when(p, rules); f != nil {
		return e, f
	}
	if f := e.who(p, rules); f != nil {
		return e, f
	}
	if rules.Strict && e.InsertID == "" && !isIdentity(e.Name) {
		return e, fault("properties.$insert_id", "must not be missing")
	}
	e.keep(properties, p)
	return e, nil
}

// read notes what stands in an object of properties and counts its members
// without the token. Of two members of one name the later counts.
func (p *sent) read(properties []byte) (count int) {
	for m := range members(properties) {
		count++
		switch string(m.name) {
		case "token":
			p.token = m.value
			count--
		case "time":
			p.at = m.value
		case "distinct_id":
			p.distinctID = m.value
		case "$insert_id":
			p.insertID = m.value
		case "$user_id":
			p.userID = m.value
		case "$device_id":
			p.deviceID = m.value
		case "alias":
			p.alias = m.value
		case "$identified_id":
			p.identifiedID = m.value
		case "$anon_id", "$anon_distinct_id": // as documented, and as the browser library has it
			p.anonID = m.value
		case "$distinct_ids":
			p.merged = m.value
		}
	}
	return count
}

// when sets the time of e.
func (e *Event) when(p sent, rules Rules) *Fault {
	if isNull(p.at) {
		if (rules.Import || rules.Strict) && !isIdentity(e.Name) {
			return fault("properties.time", "must not be missing")
		}
		return nil
	}
	t, ok := moment(p.at)
	switch {
	case !ok:
		return fault("properties.time", "must be seconds or milliseconds since 1970")
	case !t.After(time.Date(1971, time.January, 1, 0, 0, 0, 0, time.UTC)):
		return fault("properties.time", "must lie after 1971-01-01")
	case t.After(rules.Now.Add(time.Hour)):
		return fault("properties.time", "must not lie more than an hour ahead")
	case t.After(rules.Now):
		return nil
	}
	e.Time = t
	return nil
}

// who sets the subject and the edges of e.
func (e *Event) who(p sent, rules Rules) *Fault {
	const field = "properties.distinct_id"
	user, _ := identifier(p.userID)
	device, ok := deviceName(p.deviceID)
	if ok && user != "" {
		e.link(byDevice, user, device)
	}
	if id, f := e.identity(p, rules); f != nil {
		return f
	} else if id != "" && isNull(p.distinctID) {
		e.Subject = id
		return nil
	}
	empty := isString(p.distinctID) && len(p.distinctID) == len(`""`)
	switch {
	case !isNull(p.distinctID) && !empty:
		id, err := identifier(p.distinctID)
		if err != nil {
			return fault(field, "the identifier "+err.Error())
		}
		e.Subject = id
	case user != "":
		e.Subject = user
	case device != "":
		e.Subject = device
	case empty:
	case rules.Strict:
		return fault(field, "must not be missing; an empty one belongs to nobody")
	default:
		e.Subject = rules.Sender
	}
	return nil
}

// keep copies the properties that are stored.
func (e *Event) keep(properties []byte, p sent) {
	out := make([]byte, 1, len(properties)+len(`"distinct_id":"",`)+len(e.Subject))
	out[0] = '{'
	same := isString(p.distinctID) && string(inner(p.distinctID)) == string(e.Subject)
	if !same {
		out = append(out, `"distinct_id":`...)
		out = appendQuoted(out, string(e.Subject))
	}
	for m := range members(properties) {
		switch string(m.name) {
		case "token":
			continue
		case "time":
			if e.Time.IsZero() || !isLast(m, p.at) {
				continue
			}
			if isString(m.value) {
				m.value = strconv.AppendInt(nil, e.Time.UnixMilli(), 10)
			}
		case "distinct_id":
			if !same || !isLast(m, p.distinctID) {
				continue
			}
		case "$insert_id":
			if e.InsertID == "" || !isLast(m, p.insertID) {
				continue
			}
			if !isString(m.value) {
				m.value = appendQuoted(nil, e.InsertID)
			}
		}
		out = appendMember(out, m.quoted, m.value)
	}
	e.Properties = append(out, '}')
}

// isLast reports whether m's value is the very bytes of last.
func isLast(m member, last []byte) bool {
	return len(m.value) > 0 && len(last) > 0 && &m.value[0] == &last[0]
}

// identifier reads an identifier, a string or a number.
func identifier(v []byte) (kind.Subject, error) {
	switch {
	case isString(v):
		return kind.ParseSubject(text(v))
	case isNumber(v):
		return kind.ParseSubject(string(v))
	}
	return "", kind.Say(kind.Invalid, "is neither a string nor a number")
}

// deviceName is the anonymous form of a $device_id.
func deviceName(v []byte) (kind.Subject, bool) {
	const prefix = "$device:"
	id, err := identifier(v)
	if err != nil {
		return "", false
	}
	if len(id) <= len(prefix) || id[:len(prefix)] != prefix {
		id, err = kind.ParseSubject(prefix + string(id))
	}
	return id, err == nil
}

func insertID(v []byte) (string, *Fault) {
	const field = "properties.$insert_id"
	id, err := identifier(v)
	if err != nil {
		return "", fault(field, "the identifier "+err.Error())
	}
	if len(id) > maxInsertID {
		return "", fault(field, "must not be longer than 36 characters")
	}
	for i := range len(id) {
		c := id[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", fault(field, "must consist of letters, digits and -")
		}
	}
	return string(id), nil
}
