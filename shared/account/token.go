package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A Token is what is shown of a GDPR token, or of another secret, once it was made.
type Token struct {
	ID      string    `json:"id"`
	Prefix  string    `json:"prefix"` // the beginning of the secret
	Created time.Time `json:"created"`
	Used    time.Time `json:"last_used,omitzero"` // to the hour
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
}

func (h held) shown() Token {
	return Token{ID: h.ID, Prefix: h.Prefix, Created: h.Created, Used: h.used, Expires: h.Expires, Revoked: h.Revoked}
}

const (
	// mostTokens is how many live tokens, sessions or secrets somebody can have.
	mostTokens = 20
	// MostOverlap is how long a secret can go on beside the one that replaces it.
	MostOverlap = 90 * 24 * time.Hour

	shownOfToken = len(TokenPrefix) + 6
)

// Tokens lists the GDPR tokens of somebody, oldest first: those that work, and those
// that ended in the last 90 days.
func (a *Accounts) Tokens(ctx context.Context, owner string) ([]Token, error) {
	if err := checkLength(owner); err != nil {
		return nil, err
	}
	all, err := a.holdings(ctx, personPK(owner), gdprToken)
	tokens := make([]Token, len(all))
	for i, h := range all {
		tokens[i] = h.shown()
	}
	return tokens, kind.Wrap("list tokens", err)
}

// MakeToken makes a GDPR token for a person, which works for a year, and returns it in
// the clear: nobody can read it again. Kinds: Forbidden where the person handles no
// project's requests, or is a service account; Conflict with too many tokens.
func (a *Accounts) MakeToken(ctx context.Context, by dsr.By, owner string) (Token, string, error) {
	return a.newToken(ctx, by, owner, func([]held, time.Time) (held, error) { return held{}, nil })
}

// ReplaceToken makes a token in place of another, which goes on for overlap at the
// most. Kinds as of MakeToken; NotFound without a token of this id that works, Conflict
// where it goes on beside another that was made in its place already, Invalid for an
// overlap that cannot be.
func (a *Accounts) ReplaceToken(ctx context.Context, by dsr.By, owner, id string, overlap time.Duration) (Token, string, error) {
	if err := checkOverlap(overlap); err != nil {
		return Token{}, "", err
	}
	return a.newToken(ctx, by, owner, func(all []held, now time.Time) (held, error) {
		old, err := find(all, id, now)
		if err == nil && old.Replaced {
			err = kind.Say(kind.Conflict, "This GDPR token was replaced already, and goes on until its date. Replace the one that took its place, or revoke this one.")
		}
		return old.replaced(now, overlap), err
	})
}

// newToken makes a token, and stores the one that replacing gives, if it does.
func (a *Accounts) newToken(ctx context.Context, by dsr.By, owner string, replacing func([]held, time.Time) (held, error)) (Token, string, error) {
	const op = "make a GDPR token"
	if !isHuman(owner) {
		return Token{}, "", kind.Say(kind.Forbidden, "A service account has no GDPR token: it proves itself with its secret.")
	}
	secret := TokenPrefix + randomHex(32)
	var made credential
	err := a.holding(ctx, by, owner, func(p person, all []held, now time.Time) ([]table.Op, dsr.Entry, error) {
		if err := a.MayHoldToken(ctx, owner); err != nil {
			return nil, dsr.Entry{}, err
		}
		old, err := replacing(all, now)
		if err != nil {
			return nil, dsr.Entry{}, err
		}
		if live(all, gdprToken, now) >= mostTokens {
			return nil, dsr.Entry{}, kind.Say(kind.Conflict, fmt.Sprintf("There are %d GDPR tokens that work. Revoke those that are no longer used.", mostTokens))
		}
		made = tokenOf(p.Name, secret, now)
		ops, err := giveToken(secret, made)
		if err != nil {
			return nil, dsr.Entry{}, err
		}
		e := dsr.Entry{Action: "token.make", Detail: made.Prefix + " of " + p.Name}
		if old.hash != "" {
			op, err := old.change()
			if err != nil {
				return nil, dsr.Entry{}, err
			}
			ops = append(ops, op, table.Delete(old.expiring, table.Cond{}))
			e.Action, e.Detail = "token.replace", e.Detail+" in place of "+old.Prefix
		}
		return ops, e, nil
	})
	if err != nil {
		return Token{}, "", kind.Wrap(op, err)
	}
	return held{credential: made}.shown(), secret, nil
}

// tokenOf is what is kept of a new GDPR token.
func tokenOf(owner, secret string, now time.Time) credential {
	return credential{ID: randomHex(8), Use: gdprToken, Owner: owner, Prefix: secret[:shownOfToken], Created: now, Expires: now.Add(TokenLife)}
}

// giveToken makes the operations that store a GDPR token, of which its owner will be
// reminded.
func giveToken(secret string, c credential) ([]table.Op, error) {
	ops, err := give(personPK(c.Owner), secret, c)
	return append(ops, table.Put(table.Item{Key: expiringKey(c), Data: []byte(c.Owner + "\n" + c.Prefix), Expires: c.forgotten()}, table.Cond{})), err
}

// RevokeToken ends a token at once. One that has ended is no error; without one it is
// kind.NotFound.
func (a *Accounts) RevokeToken(ctx context.Context, by dsr.By, owner, id string) error {
	return a.holding(ctx, by, owner, func(p person, all []held, now time.Time) ([]table.Op, dsr.Entry, error) {
		i := slices.IndexFunc(all, func(h held) bool { return h.Use == gdprToken && h.ID == id })
		if i < 0 {
			return nil, dsr.Entry{}, noToken()
		}
		h := all[i]
		if h.ended(now) != "" {
			return nil, dsr.Entry{}, errNothing
		}
		h.Revoked = now
		op, err := h.change()
		return []table.Op{op, table.Delete(expiringKey(h.credential), table.Cond{})}, dsr.Entry{Action: "token.revoke", Detail: h.Prefix + " of " + p.Name}, err
	})
}

func noToken() error {
	return kind.Say(kind.NotFound, "There is no such token that works. List the tokens to see their ids.")
}

// holding changes what somebody holds: what f makes of it is written with its entry,
// in the trail of the organisation, again where somebody else changed it meanwhile.
func (a *Accounts) holding(ctx context.Context, by dsr.By, name string, f func(p person, all []held, now time.Time) ([]table.Op, dsr.Entry, error)) error {
	if err := checkLength(name); err != nil {
		return err
	}
	for range changes {
		now := a.clock().UTC()
		p, version, err := a.person(ctx, name)
		if kind.Of(err) == kind.NotFound {
			return kind.Say(kind.NotFound, "Nobody of this name has a role here. Look whether it is written right, or give it a role first.")
		}
		if err != nil {
			return err
		}
		all, err := a.holdings(ctx, personPK(name), gdprToken, session, serviceSecret)
		if err != nil {
			return err
		}
		ops, e, err := f(p, all, now)
		if err == errNothing {
			return nil
		}
		if err != nil {
			return err
		}
		turned, err := touched(p, version)
		if err != nil {
			return err
		}
		e.Time, e.Actor, e.From = now, by.Actor, by.From
		err = a.Record(ctx, e, append(ops, turned)...)
		if kind.Of(err) != kind.Conflict {
			return err
		}
	}
	return kind.E(kind.Unavailable, "change a token: it kept changing")
}

// find returns the credential of an id that works.
func find(all []held, id string, now time.Time) (held, error) {
	for _, h := range all {
		if h.ID == id && h.Use == gdprToken && h.ended(now) == "" {
			return h, nil
		}
	}
	return held{}, noToken()
}

// live is how many credentials of a use work.
func live(all []held, u use, now time.Time) int {
	n := 0
	for _, h := range all {
		if h.Use == u && h.ended(now) == "" {
			n++
		}
	}
	return n
}

// replaced is h with its end no later than overlap from now.
func (h held) replaced(now time.Time, overlap time.Duration) held {
	h.expiring = expiringKey(h.credential)
	if end := now.Add(overlap); h.Expires.IsZero() || end.Before(h.Expires) {
		h.Expires = end
	}
	h.Replaced = true
	return h
}

func checkOverlap(d time.Duration) error {
	if d < 0 || d > MostOverlap {
		return kind.Say(kind.Invalid, fmt.Sprintf("The overlap must be from 0 to %d days.", int(MostOverlap/(24*time.Hour))))
	}
	return nil
}

// ExpiringTokens implements dsr.Accounts: tokens that were revoked or replaced are
// not among them.
func (a *Accounts) ExpiringTokens(ctx context.Context, from, to time.Time, f func(dsr.ExpiringToken) error) error {
	q := table.Query{PK: expiringPK, From: fmt.Sprintf("%013d", from.UnixMilli()), To: fmt.Sprintf("%013d", to.UnixMilli())}
	return kind.Wrap("list expiring tokens", a.each(ctx, q, func(item table.Item) error {
		var ms int64
		var id string
		if _, err := fmt.Sscanf(item.SK, "%013d#%s", &ms, &id); err != nil {
			return kind.E(kind.Corrupt, "list expiring tokens")
		}
		owner, prefix, _ := strings.Cut(string(item.Data), "\n")
		return f(dsr.ExpiringToken{ID: id, Owner: owner, Prefix: prefix, Expires: time.UnixMilli(ms).UTC()})
	}))
}
