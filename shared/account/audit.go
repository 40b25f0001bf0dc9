package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// An audit trail is a chain: every entry holds the SHA-256 of the one before it, as
// it is stored, and the head holds that of the last. An entry is written in the
// transaction that swaps the head and changes what the entry tells of. There is one
// trail for each project, and one for what concerns the organisation.
//
// An entry goes by itself when it is as old as the records that are kept. Entries go
// in their order, oldest first, whatever period is settled meanwhile, and each tells
// when the one before it goes: what is missing earlier was taken away.

// An entry is a link of the chain, as it is stored.
type entry struct {
	Number int64 `json:"number"` // from 1, without a gap
	dsr.Entry
	Previous        string    `json:"previous"`                  // SHA-256 in hex of the entry before; empty in the first
	PreviousExpires time.Time `json:"previous_expires,omitzero"` // when that one goes
}

// A head is where a trail stands.
type head struct {
	Number  int64     `json:"number"`
	Hash    string    `json:"hash"`    // SHA-256 in hex of the last entry
	Expires time.Time `json:"expires"` // when that one goes
}

// mostTurns is how often an entry is put behind one that somebody else appended at
// the same moment.
const mostTurns = 60

// Record implements dsr.Auditor: it writes ops and an entry of the audit trail of
// e.Project, or without one of the organisation's, all or nothing. The entry goes by
// what is settled at that moment. Where another entry is written at the same time it
// tries again; table.Failed of the error it returns are positions in ops.
func (a *Accounts) Record(ctx context.Context, e dsr.Entry, ops ...table.Op) error {
	if e.Project != "" && !isProjectID(e.Project) {
		return kind.E(kind.Invalid, "audit: an entry of no project")
	}
	settled, err := a.Organisation(ctx)
	if err != nil {
		return err
	}
	return a.record(ctx, settled.KeepRecords, []dsr.Entry{e}, ops)
}

// record is Record for entries of different trails, which go after so many months.
func (a *Accounts) record(ctx context.Context, months int, entries []dsr.Entry, ops []table.Op) error {
	for turn := range mostTurns {
		all := slices.Clone(ops)
		for _, e := range entries {
			more, err := a.appended(ctx, months, e)
			if err != nil {
				return kind.Wrap("audit", err)
			}
			all = append(all, more...)
		}
		err := a.control.Write(ctx, all...)
		failed := table.Failed(err)
		if len(failed) == 0 {
			return err
		}
		// The trail may have changed too, which is nothing to the caller.
		if failed = slices.DeleteFunc(failed, func(op int) bool { return op >= len(ops) }); len(failed) > 0 {
			return kind.E(kind.Conflict, "audit", table.ConflictError{Ops: failed})
		}
		pause := time.Duration(rand.Int64N(int64(min(turn+1, 20)) * int64(5*time.Millisecond)))
		select {
		case <-ctx.Done():
			return kind.Wrap("audit", ctx.Err())
		case <-time.After(pause):
		}
	}
	return kind.E(kind.Unavailable, "audit: the trail kept changing")
}

// appended makes the operations that append e to its trail as it stands.
func (a *Accounts) appended(ctx context.Context, months int, e dsr.Entry) ([]table.Op, error) {
	trail := trailOf(e.Project)
	was, version, err := a.head(ctx, trail)
	if err != nil {
		return nil, err
	}
	next := entry{Number: was.Number + 1, Entry: e, Previous: was.Hash, PreviousExpires: was.Expires}
	data, err := json.Marshal(next)
	if err != nil {
		return nil, kind.E(kind.Internal, "encode an entry", err)
	}
	now := head{Number: next.Number, Hash: hashOf(data), Expires: e.Time.AddDate(0, months, 0).UTC()}
	if now.Expires.Before(was.Expires) {
		now.Expires = was.Expires
	}
	swapped, err := json.Marshal(now)
	if err != nil {
		return nil, kind.E(kind.Internal, "encode the head of a trail", err)
	}
	return []table.Op{
		table.Put(table.Item{Key: headKey(trail), Data: swapped}, table.IfAt(version)),
		table.Put(table.Item{Key: entryKey(trail, next.Number), Data: data, Expires: now.Expires}, table.IfAbsent()),
	}, nil
}

// head reads where a trail stands; the zero head of one that has no entry yet.
func (a *Accounts) head(ctx context.Context, trail string) (head, table.Version, error) {
	item, err := a.control.Get(ctx, headKey(trail))
	if kind.Of(err) == kind.NotFound {
		return head{}, 0, nil
	}
	if err != nil {
		return head{}, 0, err
	}
	var h head
	if json.Unmarshal(item.Data, &h) != nil {
		return head{}, 0, kind.E(kind.Corrupt, "read the head of a trail")
	}
	return h, item.Version, nil
}

func trailOf(project string) string {
	if project == "" {
		return organisationTrail
	}
	return project
}

func hashOf(stored []byte) string {
	sum := sha256.Sum256(stored)
	return hex.EncodeToString(sum[:])
}
