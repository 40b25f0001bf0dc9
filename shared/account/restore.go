package account

import (
	"context"
	"encoding/json"
	"strings"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// EndTokens ends every GDPR token there is, since a backup that was restored does
// not know which were revoked after it, and makes one new token for an owner of
// the organisation, without which nobody could confirm a request. Keep is given
// it, in the clear and once, before anything is changed; if it fails nothing is.
// When EndTokens returns an error a part may have been done, and doing it again
// is safe. It returns how many tokens it ended, and reads the whole table.
func (a *Accounts) EndTokens(ctx context.Context, keep func(token string) error) (ended int, err error) {
	const op = "end tokens"
	owner, err := a.owner(ctx)
	if err != nil {
		return 0, kind.Wrap(op, err)
	}
	token := TokenPrefix + randomHex(32)
	if err := keep(token); err != nil {
		return 0, kind.Wrap("keep the new token", err)
	}
	now := a.clock().UTC()
	err = a.control.Partitions(ctx, func(pk string) error {
		if !strings.HasPrefix(pk, credentialPrefix) {
			return nil
		}
		n, err := a.endToken(ctx, pk)
		ended += n
		return err
	})
	if err != nil {
		return ended, kind.Wrap(op, err)
	}
	made, err := fresh(credentialKey(token), credential{Use: gdprToken, Owner: owner, Created: now, Expires: now.Add(TokenLife)})
	if err != nil {
		return ended, kind.Wrap(op, err)
	}
	ops := []table.Op{made}
	projects, err := a.Projects(ctx)
	if err != nil {
		return ended, kind.Wrap(op, err)
	}
	for _, p := range projects {
		entry, err := a.Record(ctx, dsr.Entry{Project: p.ID, Time: now, Actor: "lethe", Action: "tokens.end"})
		if err != nil {
			return ended, kind.Wrap(op, err)
		}
		ops = append(ops, entry...)
	}
	for len(ops) > 0 {
		n := min(len(ops), table.MaxOps)
		if err := a.control.Write(ctx, ops[:n]...); err != nil {
			return ended, kind.Wrap(op, err)
		}
		ops = ops[n:]
	}
	return ended, nil
}

// endToken ends the GDPR token of one partition, unless it has ended or is a
// credential of another use.
func (a *Accounts) endToken(ctx context.Context, pk string) (int, error) {
	item, err := a.control.Get(ctx, table.Key{PK: pk, SK: credentialSK})
	if kind.Of(err) == kind.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var c credential
	if err := json.Unmarshal(item.Data, &c); err != nil {
		return 0, kind.E(kind.Corrupt, "read a credential")
	}
	now := a.clock().UTC()
	if c.Use != gdprToken || c.ended(now) != "" {
		return 0, nil
	}
	c.Revoked = now
	if item.Data, err = json.Marshal(c); err != nil {
		return 0, kind.E(kind.Internal, "write a credential")
	}
	return 1, a.control.Write(ctx, table.Put(item, table.IfAt(item.Version)))
}

// owner is the first owner of the organisation, by name.
func (a *Accounts) owner(ctx context.Context) (string, error) {
	q := table.Query{PK: directory, From: memberPrefix, To: afterMembers}
	for {
		page, err := a.control.Query(ctx, q)
		if err != nil {
			return "", err
		}
		for _, item := range page.Items {
			var m membership
			if err := json.Unmarshal(item.Data, &m); err != nil {
				return "", kind.E(kind.Corrupt, "read a member")
			}
			if m.Role == Owner {
				return m.Name, nil
			}
		}
		if page.Next == "" {
			return "", kind.Say(kind.NotFound, "The organisation has no owner.")
		}
		q.After = page.Next
	}
}
