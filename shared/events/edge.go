package events

import (
	"encoding/binary"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// An edge says that two identifiers are one person. It is stored as two items,
// one in the partition of each, written and removed together.
type edge struct {
	kind edgeKind
	// from and to are the two ends in the order of the words of kind.
	from, to kind.Subject
	time     time.Time
}

type edgeKind string

const (
	byAlias    edgeKind = "alias"    // from is an alias of to
	byIdentify edgeKind = "identify" // from is known, to was anonymous
	byMerge    edgeKind = "merge"    // from and to, both known
	byDevice   edgeKind = "device"   // from is a user, to the anonymous form of a device
)

// isIdentity reports whether an event only tells of identities.
func isIdentity(name string) bool {
	return name == "$create_alias" || name == "$identify" || name == "$merge"
}

// link adds an edge to e. An identifier needs none to itself.
func (e *Event) link(k edgeKind, from, to kind.Subject) {
	if from != to {
		e.edges = append(e.edges, edge{kind: k, from: from, to: to})
	}
}

// identity adds the edge that an event of one of Mixpanel's three names tells of,
// and returns under whom to file it if it has no distinct_id.
func (e *Event) identity(p sent, rules Rules) (kind.Subject, *Fault) {
	switch e.Name {
	case "$create_alias":
		to, f := endOf("properties.distinct_id", p.distinctID)
		if f != nil {
			return "", f
		}
		from, f := endOf("properties.alias", p.alias)
		if f != nil {
			return "", f
		}
		e.link(byAlias, from, to)
		return to, nil
	case "$identify":
		known := p.identifiedID
		if isNull(known) {
			known = p.distinctID
		}
		from, f := endOf("properties.$identified_id", known)
		if f != nil {
			return "", f
		}
		to, f := endOf("properties.$anon_id", p.anonID)
		if f != nil {
			return "", f
		}
		e.link(byIdentify, from, to)
		return from, nil
	case "$merge":
		return e.merge(p, rules)
	}
	return "", nil
}

func (e *Event) merge(p sent, rules Rules) (kind.Subject, *Fault) {
	const field = "properties.$distinct_ids"
	if !rules.Import {
		return "", fault("event", "$merge is taken by /import only")
	}
	var ids []kind.Subject
	if isList(p.merged) {
		for v := range Elements(p.merged) {
			id, f := endOf(field, v)
			if f != nil {
				return "", f
			}
			ids = append(ids, id)
		}
	}
	if len(ids) != 2 {
		return "", fault(field, "must be a list of two identifiers")
	}
	e.link(byMerge, ids[0], ids[1])
	return ids[0], nil
}

// endOf reads one end of an edge.
func endOf(field string, v []byte) (kind.Subject, *Fault) {
	if isNull(v) {
		return "", fault(field, "must not be missing")
	}
	id, err := identifier(v)
	if err != nil {
		return "", fault(field, "the identifier "+err.Error())
	}
	return id, nil
}

// back ends the sort of an edge whose from comes behind its to in the order of bytes,
// so that two edges of one kind between the same two do not take each other's place.
const back = ".back"

// keys are those of the edge's two items.
func (g edge) keys(project string) [2]table.Key {
	sort := string(g.kind)
	if g.from > g.to {
		sort += back
	}
	return [2]table.Key{
		{PK: subjectPK(project, g.from), SK: edgeSK(sort, g.to)},
		{PK: subjectPK(project, g.to), SK: edgeSK(sort, g.from)},
	}
}

// The value of an edge's item is its time in ms, 1 in the item of from and 2 in
// that of to, and the other end.
func (g edge) values() [2][]byte {
	value := func(side byte, other kind.Subject) []byte {
		b := binary.AppendUvarint(nil, uint64(g.time.UnixMilli()))
		return appendText(append(b, side), string(other))
	}
	return [2][]byte{value(1, g.to), value(2, g.from)}
}

// An end is an edge as its item in the partition of one end tells of it.
type end struct {
	sort     string
	kind     edgeKind
	outgoing bool // the partition is that of the edge's from
	other    kind.Subject
	time     time.Time
}

// readEnd reads an edge's item.
func readEnd(sk string, value []byte) (e end, err error) {
	sort, _, ok := strings.Cut(strings.TrimPrefix(sk, edgePrefix), "#")
	ms, n := binary.Uvarint(value)
	if n <= 0 || n >= len(value) || !ok {
		return e, kind.E(kind.Corrupt, "read an edge")
	}
	id, _, err := cutText(value[n+1:])
	return end{sort: sort, kind: edgeKind(strings.TrimSuffix(sort, back)), outgoing: value[n] == 1, other: kind.Subject(id), time: time.UnixMilli(int64(ms)).UTC()}, err
}

// mirror is the key of the edge's other item, where this one is in the partition of
// id.
func (e end) mirror(project string, id kind.Subject) table.Key {
	return table.Key{PK: subjectPK(project, e.other), SK: edgeSK(e.sort, id)}
}

// The item at userSK says that an identifier is a user's, once an edge that said so was
// erased with its other end. It has the time of receipt of that edge, and for its value
// its time, and goes when the edge would.
func (e end) userItem(project string, received int64) table.Item {
	h := head{received: received}
	return table.Item{
		Key:  table.Key{PK: subjectPK(project, e.other), SK: userSK},
		Data: binary.AppendUvarint(h.append(nil), uint64(e.time.UnixMilli())),
	}
}

func readUserTime(body []byte) (time.Time, error) {
	ms, n := binary.Uvarint(body)
	if n <= 0 {
		return time.Time{}, kind.E(kind.Corrupt, "read that an identifier is a user's")
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}

// tellsUsers reports which ends of an edge of this kind are user ids.
func (k edgeKind) tellsUsers() (from, to bool) {
	return k != byAlias, k == byMerge
}
