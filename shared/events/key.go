package events

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Every key of the subjects table. A partition is that of a subject, of the
// events of one day that belong to nobody, of a group, of a mark, of who is opted
// out, or of the counters of a project; a project is named by decimal digits, so no partition
// can be taken for another's.
//
//	<project>#id#<distinct_id>    event#<ms>#<hash>[#<piece>] | profile[#<piece>] | edge#<kind>[.back]#<hash> | edge#user | subject
//	<project>#none#<yyyy-mm-dd>   event#…
//	<project>#group#<key>#<id>    profile…
//	<project>#hmac#<mark>         tombstone | owns#<mark of a device or an alias of its that is opted out, or of who is because of it>
//	<project>#out                 <13-digit ms>#<mark>
//	<project>#count               rows | subjects | day#<yyyy-mm-dd>#stored | …#opted-out | …#late
const (
	eventPrefix = "event#"
	eventEnd    = "event$" // the least sort key that sorts behind all events
	edgePrefix  = "edge#"
	userSK      = "edge#user" // beside edges, so that whoever reads them reads it too
	profileSK   = "profile"
	subjectSK   = "subject"
	tombstoneSK = "tombstone"
	kinPrefix   = "owns#"

	// maxProject is the most bytes of the name of a project.
	maxProject = 20

	rowsCounter     = "rows"
	subjectsCounter = "subjects"

	dayPrefix       = "day#"
	storedCounter   = "stored"
	optedOutCounter = "opted-out"
	lateCounter     = "late"
)

func subjectPK(project string, id kind.Subject) string { return project + "#id#" + string(id) }

// readSubjectPK is the reverse of subjectPK; ok is false for any other partition.
func readSubjectPK(pk string) (project string, id kind.Subject, ok bool) {
	project, rest, _ := strings.Cut(pk, "#")
	name, ok := strings.CutPrefix(rest, "id#")
	return project, kind.Subject(name), ok && name != ""
}

func nobodyPK(project string, at time.Time) string {
	return project + "#none#" + at.UTC().Format(time.DateOnly)
}

func groupPK(project string, g Group) string {
	return project + "#group#" + strings.NewReplacer("%", "%25", "#", "%23").Replace(g.Key) + "#" + string(g.ID)
}

// profilePK is the partition of a subject's or a group's profile.
func profilePK(project string, u *Update) string {
	if u.Group != (Group{}) {
		return groupPK(project, u.Group)
	}
	return subjectPK(project, u.Subject)
}

func tombstoneKey(project, mark string) table.Key {
	return table.Key{PK: project + "#hmac#" + mark, SK: tombstoneSK}
}

// markOf is the mark in a tombstoneKey.
func markOf(key table.Key) string {
	_, mark, _ := strings.Cut(key.PK, "#hmac#")
	return mark
}

// kinKey is that of the item which tells that other is the Owner of mark, or that mark
// is opted out Because of it.
func kinKey(project, other, mark string) table.Key {
	return table.Key{PK: tombstoneKey(project, other).PK, SK: kinPrefix + mark}
}

func outPK(project string) string { return project + "#out" }

// outKey is that of the item which lists an opt-out.
func outKey(project string, w dsr.Word) table.Key {
	return table.Key{PK: outPK(project), SK: fmt.Sprintf("%013d#%s", w.Time.UnixMilli(), w.Name)}
}

func counterKey(project, counter string) table.Key {
	return table.Key{PK: project + "#count", SK: counter}
}

// dayCounter is the name of a counter of what came in on a day.
func dayCounter(received time.Time, counter string) string {
	return dayPrefix + received.UTC().Format(time.DateOnly) + "#" + counter
}

// eventSK orders the events of a partition by time. Two events are one and the
// same if their partition and eventSK are equal: that is Mixpanel's rule of
// (event, time, distinct_id, $insert_id).
func eventSK(at time.Time, name, insertID string) string {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(insertID))
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	sk := append(appendTimeSK(make([]byte, 0, len(eventPrefix)+13+1+22), at), '#')
	return string(base64.RawURLEncoding.AppendEncode(sk, sum[:16]))
}

// appendTimeSK appends what the eventSK of every event of a time begins with.
func appendTimeSK(sk []byte, at time.Time) []byte {
	sk = append(sk, eventPrefix...)
	ms := strconv.AppendInt(nil, at.UnixMilli(), 10)
	for range 13 - len(ms) {
		sk = append(sk, '0')
	}
	return append(sk, ms...)
}

// eventTime is the time in an eventSK or in that of a piece.
func eventTime(sk string) (time.Time, bool) {
	ms, err := strconv.ParseInt(strings.TrimLeft(between(sk, len(eventPrefix), len(eventPrefix)+13), "0"), 10, 64)
	return time.UnixMilli(ms).UTC(), err == nil
}

// edgeSK is the sort key of an edge's item in the partition of one end. The sort is that
// of both its items: its kind, and which way it goes.
func edgeSK(sort string, other kind.Subject) string {
	sum := sha256.Sum256([]byte(other))
	return edgePrefix + sort + "#" + hex.EncodeToString(sum[:])
}

// pieceSK is the key of the n-th item, from 1, that a value was cut into; it
// sorts behind the first, which has the key of the value.
func pieceSK(sk string, n int) string {
	digits := strconv.Itoa(n)
	return sk + "#" + "00"[:max(0, 2-len(digits))] + digits
}

// behind is the least sort key that sorts behind sk and its pieces.
func behind(sk string) string { return sk + "$" }

func between(s string, from, to int) string {
	if len(s) < to {
		return ""
	}
	return s[from:to]
}
