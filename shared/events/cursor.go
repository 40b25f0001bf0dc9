package events

import (
	"strconv"
	"strings"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// A place is how far a step has come: behind the record of sort key after, in the
// partition of one id of one cluster of the scope.
type place struct {
	cluster, id int
	after       string
}

// String is a place as a cursor. It holds no identifier.
func (p place) String() string {
	return strconv.Itoa(p.cluster) + "." + strconv.Itoa(p.id) + "." + p.after
}

// readPlace reads a cursor; an empty one is the beginning.
func readPlace(cursor string, scope dsr.Scope) (p place, err error) {
	if cursor == "" {
		return place{}, nil
	}
	bad := kind.E(kind.Invalid, "read a cursor of events")
	parts := strings.SplitN(cursor, ".", 3)
	if len(parts) != 3 {
		return p, bad
	}
	var errs [2]error
	p.cluster, errs[0] = strconv.Atoi(parts[0])
	p.id, errs[1] = strconv.Atoi(parts[1])
	p.after = parts[2]
	if errs[0] != nil || errs[1] != nil || p.cluster < 0 || p.cluster >= len(scope.Clusters) ||
		p.id < 0 || p.id >= len(scope.Clusters[p.cluster].IDs) {
		return p, bad
	}
	return p, nil
}

// from is the least sort key behind after. Whatever is longer than after goes on
// with a #, which sorts behind the sign used here.
func from(after string) string {
	if after == "" {
		return ""
	}
	return after + "!"
}

// within reports whether a record belongs to what a scope is about, by its time
// of receipt and the time it tells of, if any.
func within(scope dsr.Scope, received int64, at time.Time) bool {
	limit := scope.Limit.UnixMilli()
	if !scope.Erasure && !at.IsZero() && !scope.Period.Holds(at) {
		return false
	}
	return received <= limit || scope.Erasure && !at.IsZero() && at.UnixMilli() <= limit
}
