package events

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A Receipt tells what became of a batch.
type Receipt struct {
	// Stored counts the records that are durable now, also those that replaced an
	// earlier one. Dropped counts those that arrived after their subject was erased, or
	// whose subject is opted out.
	Stored, Dropped int
	// Ties are the people whom links joined to somebody who is opted out: they are to
	// be given to dsr.Service.Tie before the batch is answered.
	Ties []dsr.Tie
	// Refused are the positions of updates to a profile that would have grown beyond
	// what can be stored; nothing of them was.
	Refused []int
}

// Track stores a batch of events of a project. When it returns nil they are
// durable; after an error any part may be, and sending the batch again does no
// harm: an event with the name, time, subject and insert id of a stored one
// replaces its properties and keeps its time of receipt. (If two copies are on
// their way at the same moment, that of either copy is kept.)
//
// An event without an insert id gets one. It is a hash of the event, so that the
// same request sent again finds its own events, and counts equal events of one
// batch apart; but two equal events of the same second in two requests become
// one, since nothing tells them from a repetition. Without a time of its own an
// event is always a new one, and its insert id is random.
func (s *Store) Track(ctx context.Context, project string, batch []Event) (Receipt, error) {
	ctx, received, leave := s.enter(ctx)
	defer leave()
	receipt, err := s.track(ctx, project, received, batch)
	return receipt, kind.Wrap("store events", err)
}

func (s *Store) track(ctx context.Context, project string, received time.Time, batch []Event) (Receipt, error) {
	l := s.look(project, 3*len(batch))
	rows := make([]row, len(batch))
	equal := map[[sha256.Size]byte]int{}
	for i := range batch {
		rows[i] = newRow(project, received, &batch[i], equal)
		l.key(rows[i].key)
		if e := &batch[i]; l.subject(e.Subject) {
			l.key(table.Key{PK: rows[i].key.PK, SK: subjectSK})
		}
		for _, g := range rows[i].edges {
			l.subject(g.from)
			l.subject(g.to)
			keys := g.keys(project)
			l.key(keys[:]...)
			l.key(table.Key{PK: keys[0].PK, SK: subjectSK}, table.Key{PK: keys[1].PK, SK: subjectSK})
		}
	}
	if err := l.read(ctx); err != nil {
		return Receipt{}, err
	}
	w := writing{store: s, project: project, received: received, look: l, at: map[table.Key]int{}, subjects: map[string]bool{}}
	var edges []edge
	for _, r := range rows {
		edges = append(edges, r.edges...)
	}
	if err := w.tie(ctx, edges); err != nil {
		return Receipt{}, err
	}
	for i := range rows {
		if err := w.add(&batch[i], rows[i]); err != nil {
			return Receipt{}, err
		}
	}
	if err := w.write(ctx); err != nil {
		return Receipt{}, err
	}
	return Receipt{Stored: int(w.in.stored), Dropped: w.in.dropped(), Ties: w.ties}, nil
}

// A row is an event on its way to the table.
type row struct {
	key   table.Key
	time  time.Time
	value []byte
	edges []edge
}

func newRow(project string, received time.Time, e *Event, equal map[[sha256.Size]byte]int) row {
	r := row{time: e.Time}
	lacking := make([]byte, 0, 64) // members to go before those that were sent
	if r.time.IsZero() || r.time.After(received) {
		r.time = received
		lacking = append(lacking, `"time":`...)
		lacking = append(strconv.AppendInt(lacking, received.UnixMilli(), 10), ',')
	}
	id := e.InsertID
	if id == "" {
		id = makeInsertID(e, equal)
		lacking = append(append(append(lacking, `"$insert_id":"`...), id...), `",`...)
	}
	properties := e.Properties
	if len(lacking) > 0 {
		whole := append(append(make([]byte, 0, 1+len(lacking)+len(properties)), '{'), lacking...)
		if len(properties) == len("{}") {
			whole = whole[:len(whole)-1]
		}
		properties = append(whole, properties[1:]...)
	}
	r.key = table.Key{PK: nobodyPK(project, r.time), SK: eventSK(r.time, e.Name, id)}
	if e.Subject != "" {
		r.key.PK = subjectPK(project, e.Subject)
	}
	r.value = eventValue(e.Name, id, properties)
	for _, g := range e.edges {
		g.time = r.time
		r.edges = append(r.edges, g)
	}
	return r
}

// makeInsertID makes one as Track promises: 32 hex digits.
func makeInsertID(e *Event, equal map[[sha256.Size]byte]int) string {
	if e.Time.IsZero() {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		return hex.EncodeToString(b[:])
	}
	sum := sha256.Sum256(eventValue(e.Name, string(e.Subject), e.Properties))
	n := equal[sum]
	equal[sum] = n + 1
	if n > 0 {
		sum = sha256.Sum256(strconv.AppendInt(sum[:], int64(n), 10))
	}
	return hex.EncodeToString(sum[:16])
}
