package events

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/table"
)

// addBare notes an event that an erasure of Categories makes bare.
func (r *removal) addBare(ctx context.Context, item table.Item, h head) error {
	if h.isPiece() {
		// It goes with its event; if an erasure that was given up left it behind, by itself.
		r.loose = append(r.loose, swap{pk: item.PK, ops: []table.Op{table.Delete(item.Key, table.IfAt(item.Version))}})
		return nil
	}
	h, value, ok, err := r.store.load(ctx, item)
	if err != nil || !ok {
		return err // it is being replaced, and the next look finds it
	}
	put, err := r.store.bare(r.scope.Project, item.SK, value)
	if err != nil {
		return err
	}
	ops := valueOps(item.Key, item.Version, nil, nil, h.pieces)
	ops[0] = table.Delete(item.Key, table.IfAt(item.Version))
	r.swaps = append(r.swaps, swap{pk: item.PK, ops: append(ops, put)})
	return nil
}

// bare is what stays of an event of a person whose Categories are erased: one of
// its name on its day that belongs to nobody, under a random key. Its time of
// receipt is that day too, so that it leads to no other event.
func (s *Store) bare(project, sk string, value []byte) (table.Op, error) {
	name, _, _, err := readEvent(value)
	if err != nil {
		return table.Op{}, err
	}
	at, _ := eventTime(sk)
	day := at.Truncate(24 * time.Hour)
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	data, _, err := s.codec.encode(day, 0, eventValue(name, "", []byte("{}")))
	key := table.Key{PK: nobodyPK(project, day), SK: eventSK(day, name, hex.EncodeToString(b[:]))}
	return table.Put(table.Item{Key: key, Data: data}, table.IfAbsent()), err
}

// strip works out what an erasure of Sources makes of an item, and reports whether
// there is anything to remove; while it is being replaced that is so, without
// operations. A profile keeps its time of receipt and can be given new means of
// collection at once, so it says up to when they were removed.
func (s *Store) strip(ctx context.Context, scope dsr.Scope, w what, item table.Item) (sw swap, there bool, err error) {
	if w != anEvent && w != aProfile {
		return sw, false, nil
	}
	h, err := readHead(item.Data)
	limit := scope.Limit.UnixMilli()
	if err != nil || h.isPiece() || h.without >= limit {
		return sw, false, err
	}
	h, value, ok, err := s.load(ctx, item)
	if err != nil || !ok {
		return sw, !ok, err
	}
	object, without := value, limit
	if w == anEvent {
		if _, _, object, err = readEvent(value); err != nil {
			return sw, false, err
		}
		without = 0
	}
	if !hasMeans(object) {
		return sw, false, nil
	}
	if w == anEvent {
		value, err = eventWithoutMeans(value)
	} else {
		value = withoutMeans(value)
	}
	if err != nil {
		return sw, true, err
	}
	first, pieces, err := s.codec.encode(time.UnixMilli(h.received), without, value)
	return swap{pk: item.PK, ops: valueOps(item.Key, item.Version, first, pieces, h.pieces)}, true, err
}
