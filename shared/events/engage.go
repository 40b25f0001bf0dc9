package events

import (
	"bytes"
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Update applies a batch of updates to profiles, those of one profile in their
// order. Each profile changes by compare-and-swap, so none of several updates at
// one moment is lost. When Update returns nil all are durable but those that the
// receipt names. After an error any profile may have been changed, each by all its
// updates or by none; to send the batch again then may add or append twice.
//
// A profile from before its subject was erased is replaced, not merged into, and
// an update that was made before that is dropped; one from before the means of
// collection were removed does not bring them back. Of somebody who is opted out
// only what takes something away from the profile is done.
func (s *Store) Update(ctx context.Context, project string, batch []Update) (Receipt, error) {
	ctx, received, leave := s.enter(ctx)
	defer leave()
	c := changing{store: s, project: project, received: received, profiles: map[string]*change{}}
	for i := range batch {
		c.add(i, &batch[i])
	}
	for n := 0; len(c.order) > 0; n++ {
		if n > 0 {
			giveWay(ctx, n)
		}
		if err := c.round(ctx); err != nil {
			return Receipt{}, kind.Wrap("update profiles", err)
		}
	}
	c.in.stored = int64(len(batch) - c.in.dropped() - len(c.refused))
	s.take(ctx, project, received, c.in, c.rows, c.subjects)
	if err := s.forget(ctx, project, c.deleted...); err != nil {
		return Receipt{}, kind.Wrap("update profiles", err)
	}
	return Receipt{Stored: int(c.in.stored), Dropped: c.in.dropped(), Refused: c.refused}, nil
}

// giveWay waits a little, by chance and longer each time, so that calls which met
// at one profile do not meet there again.
func giveWay(ctx context.Context, n int) {
	most := time.Millisecond << min(n, 6)
	select {
	case <-time.After(rand.N(most)):
	case <-ctx.Done():
	}
}

// changing is a batch of updates on its way.
type changing struct {
	store    *Store
	project  string
	received time.Time
	profiles map[string]*change // by partition
	order    []string           // partitions that are still to do

	rows, subjects int64
	in             intake
	refused        []int    // positions in the batch
	deleted        []string // partitions whose profile went
}

// A change is what happens to one profile.
type change struct {
	subject kind.Subject // empty for a group
	updates []*Update
	at      []int // their positions in the batch
}

func (c *changing) add(i int, u *Update) {
	pk := profilePK(c.project, u)
	if c.profiles[pk] == nil {
		c.profiles[pk] = &change{subject: u.Subject}
		c.order = append(c.order, pk)
	}
	c.profiles[pk].updates = append(c.profiles[pk].updates, u)
	c.profiles[pk].at = append(c.profiles[pk].at, i)
}

// A swap is one profile's change after it has looked: the operations of a
// transaction, and what to count if they are applied.
type swap struct {
	pk             string
	ops            []table.Op
	rows, subjects int64
	in             intake // what was dropped
	deleted        bool
}

// round looks at every profile that is still to do and swaps it. Those that
// somebody else changed in between stay for the next round; at least one of all
// that contend gets through, and the deadline of the call ends the rest.
func (c *changing) round(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return kind.E(kind.Throttled, "too many changes to one profile at once", err)
	}
	l := c.store.look(c.project, len(c.order))
	for _, pk := range c.order {
		l.key(profileKey(pk))
		if l.subject(c.profiles[pk].subject) {
			l.key(table.Key{PK: pk, SK: subjectSK})
		}
	}
	if err := l.read(ctx); err != nil {
		return err
	}
	var swaps []swap
	var again []string
	for _, pk := range c.order {
		sw, ok, err := c.swap(ctx, l, pk)
		if err != nil {
			return err
		}
		if !ok {
			again = append(again, pk)
			continue
		}
		swaps = append(swaps, sw)
	}
	conflicts, err := c.write(ctx, swaps)
	c.order = append(again, conflicts...)
	return err
}

func profileKey(pk string) table.Key { return table.Key{PK: pk, SK: profileSK} }

// A stored profile is what there is of one before it changes.
type stored struct {
	item   table.Item // its Version is 0 if there is none
	head   head
	value  []byte
	cutoff cutoff // of its subject
	out    bool   // its subject is opted out
}

// lives reports whether there is a profile to merge into: one from before its
// subject was erased is not.
func (o stored) lives() bool {
	return o.item.Version != 0 && time.UnixMilli(o.head.received).After(o.cutoff.gone)
}

// without is up to when the means of collection were removed from what lives.
func (o stored) without() int64 {
	if !o.lives() {
		return 0
	}
	return o.head.without
}

// swap works out one profile's change; ok is false if it was changed while its
// pieces were being read.
func (c *changing) swap(ctx context.Context, l *look, pk string) (sw swap, ok bool, err error) {
	ch := c.profiles[pk]
	var old stored
	if old.cutoff, err = l.cutoff(ch.subject); err != nil {
		return sw, false, err
	}
	said, err := l.word(ch.subject)
	if err != nil {
		return sw, false, err
	}
	old.out = said.Out
	if old.item, ok = l.items[profileKey(pk)]; ok {
		if old.head, old.value, ok, err = c.store.load(ctx, old.item); err != nil || !ok {
			return sw, false, err
		}
	}
	sw.pk = pk
	value, received, touched := ch.apply(old, c.received, &sw)
	switch {
	case !touched || old.lives() && bytes.Equal(value, old.value):
	case value == nil && old.item.Version != 0:
		sw.ops = valueOps(old.item.Key, old.item.Version, nil, nil, old.head.pieces)
		sw.ops[0] = table.Delete(old.item.Key, table.IfAt(old.item.Version))
		sw.rows, sw.deleted = -1, true
	case value != nil:
		data, pieces, err := c.store.codec.encode(received, old.without(), value)
		if kind.Of(err) == kind.TooLarge {
			c.refused = append(c.refused, ch.at...)
			return swap{pk: pk}, true, nil
		}
		if err != nil {
			return sw, false, err
		}
		sw.ops = valueOps(profileKey(pk), old.item.Version, data, pieces, old.head.pieces)
		if old.item.Version == 0 {
			sw.rows = 1
		}
		if marker := (table.Key{PK: pk, SK: subjectSK}); ch.subject != "" && !l.has(marker) {
			sw.ops = append(sw.ops, table.Put(subjectItem(pk, c.received), table.IfAbsent()))
			sw.subjects = 1
		}
	}
	return sw, true, nil
}

// apply does all updates of a change one after the other. It returns the profile
// that comes of it, nil for none, and its time of receipt; touched is false if
// every update stays out.
func (ch *change) apply(old stored, now time.Time, sw *swap) (value []byte, received time.Time, touched bool) {
	p := readProfile(nil)
	there := old.lives()
	received = now
	if there {
		p, received = readProfile(old.value), time.UnixMilli(old.head.received)
	}
	for _, u := range ch.updates {
		late := func(cutoff time.Time) bool { return !u.Time.IsZero() && !u.Time.After(cutoff) }
		operations := u.operations
		if late(old.cutoff.bare) {
			operations = operationsWithoutMeans(operations)
		}
		switch {
		case old.out && !u.onlyTakes():
			sw.in.optedOut++
			continue
		case late(old.cutoff.gone) || len(operations) == 0:
			sw.in.late++
			continue
		}
		touched = true
		for _, op := range operations {
			p.apply(op)
			switch op.verb {
			case "$delete":
				there, received = false, now
			case "$unset", "$remove": // nothing comes of them where nothing is
			default:
				there = true
			}
		}
	}
	if !there {
		return nil, received, touched
	}
	return p.object(), received, touched
}

// load reads the whole value of an item; ok is false if its pieces are of another
// value, because somebody wrote between the two reads.
func (s *Store) load(ctx context.Context, item table.Item) (h head, value []byte, ok bool, err error) {
	if h, err = readHead(item.Data); err != nil {
		return h, nil, false, err
	}
	if h.pieces > 0 {
		keys := make([]table.Key, h.pieces)
		for i := range keys {
			keys[i] = table.Key{PK: item.PK, SK: pieceSK(item.SK, i+1)}
		}
		found, err := s.subjects.GetMany(ctx, keys)
		if err != nil {
			return h, nil, false, err
		}
		var pieces []table.Item
		for _, key := range keys {
			if piece, ok := found[key]; ok {
				pieces = append(pieces, piece)
			}
		}
		if ok, err := h.join(pieces); err != nil || !ok {
			return h, nil, false, err
		}
	}
	value, err = s.codec.value(h)
	return h, value, err == nil, err
}

// write applies swaps, several to a transaction, and returns the partitions of
// those that have to be done again.
func (c *changing) write(ctx context.Context, swaps []swap) (again []string, err error) {
	parts := pack(swaps)
	failed := make([]bool, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, part := range parts {
		group.Go(func() error {
			var ops []table.Op
			for _, sw := range part {
				ops = append(ops, sw.ops...)
			}
			if len(ops) == 0 {
				return nil
			}
			err := c.store.subjects.Write(ctx, ops...)
			if kind.Of(err) == kind.Conflict {
				failed[i] = true
				return nil
			}
			return err
		})
	}
	err = group.Wait()
	for i, part := range parts {
		for _, sw := range part {
			if failed[i] {
				again = append(again, sw.pk)
				continue
			}
			c.rows += sw.rows
			c.subjects += sw.subjects
			c.in.optedOut, c.in.late = c.in.optedOut+sw.in.optedOut, c.in.late+sw.in.late
			if sw.deleted {
				c.deleted = append(c.deleted, sw.pk)
			}
		}
	}
	return again, err
}

// pack groups swaps so that each group fits one transaction and names no key twice.
func pack(swaps []swap) [][]swap {
	var parts [][]swap
	var ops, bytes int
	var named map[table.Key]bool
	for _, sw := range swaps {
		size, twice := 0, false
		for _, op := range sw.ops {
			size += table.Size(op.Item)
			twice = twice || named[op.Item.Key]
		}
		if len(parts) == 0 || twice || ops+len(sw.ops) > table.MaxOps || bytes+size > table.MaxWrite {
			parts = append(parts, nil)
			ops, bytes, named = 0, 0, map[table.Key]bool{}
		}
		for _, op := range sw.ops {
			named[op.Item.Key] = true
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], sw)
		ops += len(sw.ops)
		bytes += size
	}
	return parts
}
