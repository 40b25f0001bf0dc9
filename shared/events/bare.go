package events

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

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
