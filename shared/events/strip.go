package events

import (
	"context"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/table"
)

// strip works out what an erasure of Sources makes of an item, and reports whether
// there is anything to remove; while it is being replaced that is so, without
// operations. A profile keeps its time of receipt and can be given new means of
// collection at once, so it says up to when they were removed: also where there were
// none, or a restore would take the new ones for the old.
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
	there = hasMeans(object)
	if !there && w == anEvent {
		return sw, false, nil
	}
	if w == anEvent {
		value, err = eventWithoutMeans(value)
	} else {
		value = withoutMeans(value)
	}
	if err != nil {
		return sw, there, err
	}
	first, pieces, err := s.codec.encode(time.UnixMilli(h.received), without, value)
	return swap{pk: item.PK, ops: valueOps(item.Key, item.Version, first, pieces, h.pieces)}, there, err
}
