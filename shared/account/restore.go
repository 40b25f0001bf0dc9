package account

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// EndTokens ends every GDPR token, session and sign-in link there is, since a backup
// that was restored does not know which were ended after it, and makes one new token
// for an owner of the organisation, without which nobody could confirm a request. Keep
// is given it, in the clear and once, and whose it is, before anything is changed; if it
// fails nothing is. When EndTokens returns an error a part may have been done, and doing it again is
// safe. It returns how many it ended, and reads the whole table.
func (a *Accounts) EndTokens(ctx context.Context, keep func(owner, token string) error) (ended int, err error) {
	const op = "end tokens"
	owner, err := a.owner(ctx)
	if err != nil {
		return 0, kind.Wrap(op, err)
	}
	token := TokenPrefix + randomHex(32)
	if err := keep(owner, token); err != nil {
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
	made, err := giveToken(token, tokenOf(owner, token, now))
	if err != nil {
		return ended, kind.Wrap(op, err)
	}
	e := dsr.Entry{Time: now, Actor: "lethe", Action: "token.end", Detail: fmt.Sprintf("%d tokens, sessions and sign-in links, after a restore", ended)}
	return ended, kind.Wrap(op, a.Record(ctx, e, made...))
}

// endToken ends what one partition holds, unless it has ended or is a credential of
// another use.
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
	if !slices.Contains([]use{gdprToken, session, signInLink}, c.Use) || c.ended(now) != "" {
		return 0, nil
	}
	c.Revoked = now
	if item.Data, err = json.Marshal(c); err != nil {
		return 0, kind.E(kind.Internal, "write a credential")
	}
	item.Expires = c.forgotten()
	ops := []table.Op{table.Put(item, table.IfAt(item.Version))}
	if c.Use == gdprToken {
		ops = append(ops, table.Delete(expiringKey(c), table.Cond{}))
	}
	return 1, a.control.Write(ctx, ops...)
}

// owner is the first owner of the organisation, by name.
func (a *Accounts) owner(ctx context.Context) (string, error) {
	members, err := a.Members(ctx, "")
	if err != nil {
		return "", err
	}
	for _, m := range members {
		if m.Role == Owner {
			return m.Name, nil
		}
	}
	return "", kind.Say(kind.NotFound, "The organisation has no owner.")
}
