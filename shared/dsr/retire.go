package dsr

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A request that has ended, well or not, is kept for so many days with its
// identifiers, then without them, then not at all: Organisation.KeepIDs and
// KeepRecords. One that broke has not ended in this sense: half an erasure is none, and
// without its identifiers nobody could complete it. CCPA regulations §7101 ask for records of 24 months, and for no
// identifiers in them. A row of endedPartition leads to the next step; it is
// written in the transaction that ends the request, and goes in that which reopens
// it.

// Limits of one run, so that a sweep stays far below a minute. What is left is the
// next one's.
const (
	mostRetired  = 100
	retireBudget = 20 * time.Second
)

// Sizes of a page of records that retirement writes, far below an item's.
const (
	marksOfPage    = 4000
	findingsOfPage = 500
)

// retire takes the next step with requests that ended long enough ago. What it does
// twice, or does not bring to its end, changes nothing: the row goes last.
func (s *Service) retire(ctx context.Context) error {
	settled, err := s.Accounts.Organisation(ctx)
	if err != nil {
		return err
	}
	end := s.Clock().Add(retireBudget)
	goOn := func() bool { return s.Clock().Before(end) }
	now, some := s.now(), false
	var all []error
	for _, next := range []struct {
		pk     string
		before time.Time
		do     func(ctx context.Context, row table.Key, goOn func() bool) error
	}{
		{endedWithIDs, now.AddDate(0, 0, -settled.KeepIDs), s.dropIDs},
		{endedWithoutIDs, addMonths(now, -settled.KeepRecords), s.dropRecord},
	} {
		// '$' follows the '#' behind the moment.
		q := table.Query{PK: next.pk, To: moment(next.before) + "$", Limit: mostRetired}
		for more := true; more && goOn(); {
			page, err := s.Control.Query(ctx, q)
			if err != nil {
				return errors.Join(append(all, kind.Wrap("look for requests that ended long ago", err))...)
			}
			for _, row := range page.Items {
				if !goOn() {
					break
				}
				some = true
				err := next.do(ctx, row.Key, goOn)
				// After the first two another sweep was at it, or somebody ran it again.
				if k := kind.Of(err); k != kind.Conflict && k != kind.NotFound && err != nil {
					all = append(all, kind.Wrap("retire "+taskIn(row.SK), err))
				}
			}
			// Those with which it goes wrong stay in their place, and must not keep it from
			// the others.
			q.After, more = page.Next, page.Next != "" && len(all) < mostRetired
		}
	}
	if some {
		all = append(all, kind.Wrap("wipe what was retired", s.Control.Scrub(ctx)))
	}
	return errors.Join(all...)
}

// dropIDs removes everything of a request that may hold an identifier: all but its
// record. What was found for each identifier stays, under its mark, and so do the
// marks of everyone it concerned, which are the way to its rows there.
func (s *Service) dropIDs(ctx context.Context, row table.Key, _ func() bool) error {
	r, version, err := s.load(ctx, taskIn(row.SK))
	if err != nil || endedKey(r) != row {
		return err // it was run again at this moment
	}
	if !r.IDsGone {
		if err := s.keepMarks(ctx, r, version); err != nil {
			return err
		}
		r.IDsGone = true // from here on it cannot be run again
		if err := s.swap(ctx, r, version); err != nil {
			return err
		}
	}
	err = s.dropItems(ctx, r.Task, func(sk string) bool {
		return sk == requestSK || strings.HasPrefix(sk, markedPrefix) || strings.HasPrefix(sk, findingsPrefix)
	})
	if err != nil {
		return err
	}
	later := table.Item{Key: table.Key{PK: endedWithoutIDs, SK: row.SK}}
	return kind.Wrap("retire", s.Control.Write(ctx, table.Delete(row, table.Cond{}), table.Put(later, table.Cond{})))
}

// keepMarks stores what Detail tells of a request, and the marks of everyone it
// concerned in any of its tries, without an identifier.
func (s *Service) keepMarks(ctx context.Context, r Request, version table.Version) error {
	d, err := s.detail(ctx, r)
	if kind.Of(err) == kind.Corrupt {
		// Its identifiers have to go all the same.
		s.Log.ErrorContext(ctx, "a request is retired of which not all records can be read", "task", r.Task, "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	for i, f := range d.Findings {
		d.Findings[i] = Finding{
			Position: f.Position, Mark: s.Keys.Mark(r.Project, kind.Subject(f.DistinctID)), State: f.State, Alone: f.Alone,
			counts: f.counts, Sources: f.Sources, NotFollowedCount: f.NotFollowedCount,
		}
	}
	marks := map[string]bool{}
	err = s.eachItem(ctx, requestKey(r.Task).PK, "", func(item table.Item) error {
		ids, err := namedIn(item)
		for _, id := range ids {
			for _, mark := range s.Keys.Marks(r.Project, kind.Subject(id)) {
				marks[mark] = true
			}
		}
		if kind.Of(err) == kind.Corrupt {
			s.Log.ErrorContext(ctx, "a record of identifiers cannot be read; it goes all the same", "task", r.Task, "error", err)
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	// Another sweep may have removed some of it while it was read.
	if _, now, err := s.load(ctx, r.Task); err != nil || now != version {
		return cmp.Or(err, kind.E(kind.Conflict, "keep marks"))
	}
	var ops []table.Op
	add := func(key table.Key, page any) error {
		item, err := encode(key, page)
		ops = append(ops, table.Put(item, table.Cond{}))
		return err
	}
	page := 0
	for part := range slices.Chunk(d.Findings, findingsOfPage) {
		if err := add(findingsKey(r.Task, page), part); err != nil {
			return err
		}
		page++
	}
	page = 0
	for part := range slices.Chunk(slices.Sorted(maps.Keys(marks)), marksOfPage) {
		if err := add(markedKey(r.Task, page), part); err != nil {
			return err
		}
		page++
	}
	return kind.Wrap("keep marks", s.Control.WriteMany(ctx, ops))
}

// namedIn gives the identifiers that a request concerns by one of its items.
func namedIn(item table.Item) ([]string, error) {
	switch {
	case strings.HasPrefix(item.SK, idsPrefix):
		return decode[[]string](item)
	case strings.HasPrefix(item.SK, batchPrefix):
		b, err := decode[batch](item)
		var ids []string
		for _, c := range b.Clusters {
			ids = append(append(ids, c.Submitted...), c.IDs...)
		}
		return ids, err
	case strings.HasPrefix(item.SK, grownPrefix):
		more, err := decode[[]grown](item)
		var ids []string
		for _, g := range more {
			ids = append(ids, g.ID)
		}
		return ids, err
	}
	return nil, nil
}

// dropRecord removes what is left of a request: its rows at the marks of those it
// concerned, its certificate, its places in lists and its record. The ledger and
// the tombstones stay. Where there is a certificate alone (Restore), that goes.
func (s *Service) dropRecord(ctx context.Context, row table.Key, goOn func() bool) error {
	r, version, err := s.load(ctx, taskIn(row.SK))
	if kind.Of(err) == kind.NotFound {
		if err := s.Bucket.Delete(ctx, certificateObject(taskIn(row.SK))); err != nil {
			return kind.Wrap("delete the certificate", err)
		}
		return s.Control.Write(ctx, table.Delete(row, table.Cond{}))
	}
	if err != nil {
		return err
	}
	done := errors.New("no time is left")
	err = s.eachItem(ctx, requestKey(r.Task).PK, markedPrefix, func(item table.Item) error {
		if !goOn() {
			return done
		}
		marks, err := decode[[]string](item)
		if err != nil {
			s.Log.ErrorContext(ctx, "a record of marks cannot be read; it goes all the same", "task", r.Task, "error", err)
		}
		ops := make([]table.Op, len(marks))
		for i, mark := range marks {
			ops[i] = table.Delete(table.Key{PK: markPartition(r.Project, mark), SK: r.Task}, table.Cond{})
		}
		if err := s.Control.WriteMany(ctx, ops); err != nil {
			return err
		}
		return s.Control.WriteMany(ctx, []table.Op{table.Delete(item.Key, table.Cond{})})
	})
	if errors.Is(err, done) {
		return nil
	}
	if err != nil {
		return kind.Wrap("delete marks", err)
	}
	if r.Type == Deletion {
		if err := s.Bucket.Delete(ctx, certificateObject(r.Task)); err != nil {
			return kind.Wrap("delete the certificate", err)
		}
	}
	if err := s.dropItems(ctx, r.Task, func(sk string) bool { return sk == requestSK }); err != nil {
		return err
	}
	ops := []table.Op{table.Delete(requestKey(r.Task), table.IfAt(version)), table.Delete(row, table.Cond{})}
	for _, key := range listKeys(r) {
		ops = append(ops, table.Delete(key, table.Cond{}))
	}
	if r.SubjectRequestID != "" {
		ops = append(ops, table.Delete(subjectRequestKey(r.Project, r.SubjectRequestID), table.Cond{}))
	}
	return kind.Wrap("delete the request", s.Control.Write(ctx, ops...))
}

// dropItems deletes a request's items but those that keep says.
func (s *Service) dropItems(ctx context.Context, task string, keep func(sk string) bool) error {
	var ops []table.Op
	err := s.eachItem(ctx, requestKey(task).PK, "", func(item table.Item) error {
		if !keep(item.SK) {
			ops = append(ops, table.Delete(item.Key, table.Cond{}))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return kind.Wrap("delete records of a request", s.Control.WriteMany(ctx, ops))
}
