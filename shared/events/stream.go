package events

import (
	"context"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

var noTime time.Time

// rereads is how often a value is read again whose pieces do not fit together,
// because it is being replaced.
const rereads = 10

// A stream is the events of one id by time, those that are in scope.
type stream struct {
	store *Store
	scope dsr.Scope
	id    int
	query table.Query
	more  int          // items of later pages
	items []table.Item // of the page, those behind the present event
	last  bool         // there is no page behind this one

	// The present event, if ready.
	ready bool
	sk    string
	value []byte
}

// record is the present event as it goes out. It is good until the page is gone.
func (s *stream) record(cluster int) (dsr.Record, error) {
	name, insertID, properties, err := readEvent(s.value)
	if err != nil {
		return dsr.Record{}, err
	}
	at, ok := eventTime(s.sk)
	if !ok {
		return dsr.Record{}, kind.E(kind.Corrupt, "read the key of an event")
	}
	return dsr.Record{Cluster: cluster, ID: s.id, Time: at, Name: name, InsertID: insertID, Data: properties}, nil
}

// advance goes to the next event.
func (s *stream) advance(ctx context.Context) error {
	s.ready = false
	for {
		item, ok, err := s.next(ctx)
		if err != nil || !ok {
			return err
		}
		h, err := readHead(item.Data)
		if err != nil {
			return err
		}
		at, _ := eventTime(item.SK)
		if h.isPiece() || !within(s.scope, h.received, at) {
			continue
		}
		if s.value, ok, err = s.whole(ctx, item, h); err != nil {
			return err
		}
		if ok {
			s.ready, s.sk = true, item.SK
			return nil
		}
	}
}

// next takes one item.
func (s *stream) next(ctx context.Context) (table.Item, bool, error) {
	for len(s.items) == 0 {
		if s.last {
			return table.Item{}, false, nil
		}
		p, err := s.store.subjects.Query(ctx, s.query)
		if err != nil {
			return table.Item{}, false, err
		}
		s.items, s.last = p.Items, p.Next == ""
		s.query.After, s.query.Limit = p.Next, s.more
	}
	item := s.items[0]
	s.items = s.items[1:]
	return item, true, nil
}

// whole returns the value of an event; ok is false if it is gone by now. Its
// pieces are read by themselves: they are rare, and would make a page of one.
func (s *stream) whole(ctx context.Context, item table.Item, h head) (value []byte, ok bool, err error) {
	if h.pieces == 0 {
		value, err = s.store.codec.value(h)
		return value, err == nil, err
	}
	for tries := 0; ; tries++ {
		_, value, ok, err = s.store.load(ctx, item)
		if err != nil || ok {
			return value, ok, err
		}
		if item, ok, err = s.store.again(ctx, item.Key, tries); err != nil || !ok {
			return nil, false, err
		}
	}
}

// again reads an item anew; ok is false if there is none any more.
func (s *Store) again(ctx context.Context, key table.Key, tries int) (item table.Item, ok bool, err error) {
	if tries == rereads {
		return item, false, kind.E(kind.Unavailable, "read a value that is being replaced")
	}
	item, err = s.subjects.Get(ctx, key)
	if kind.Of(err) == kind.NotFound {
		return item, false, nil
	}
	return item, err == nil, err
}
