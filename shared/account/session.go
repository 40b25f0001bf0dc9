package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

const (
	// LinkLife is how long a sign-in link works, and SessionLife a session.
	LinkLife    = 15 * time.Minute
	SessionLife = 8 * time.Hour

	// SessionPrefix begins every session, as TokenPrefix does every token.
	SessionPrefix = "lethe_session_"
)

// MakeLink makes what a sign-in link holds for a person who has a role: a secret that
// works once, for LinkLife. Kinds: NotFound for anybody else. Who is not meant to learn
// who has one must not tell that apart.
func (a *Accounts) MakeLink(ctx context.Context, by dsr.By, name string) (string, error) {
	const op = "make a sign-in link"
	p, err := a.signer(ctx, name)
	if err != nil {
		return "", kind.Wrap(op, err)
	}
	now, secret := a.clock().UTC(), randomHex(32)
	c := credential{ID: randomHex(8), Use: signInLink, Owner: p.Name, Created: now, Expires: now.Add(LinkLife), Ended: p.Ended}
	made, err := fresh(credentialKey(secret), c)
	if err != nil {
		return "", err
	}
	made.Item.Expires = c.forgotten()
	e := dsr.Entry{Time: now, Actor: by.Actor, From: by.From, Action: "link.make", Detail: p.Name}
	return secret, kind.Wrap(op, a.Record(ctx, e, made))
}

// AskForLink has a link to sign in mailed to a person who has a role, to go on to a path
// of the console with, if there is one. Of anybody else it does nothing.
func (a *Accounts) AskForLink(ctx context.Context, by dsr.By, mail, path string) error {
	const op = "ask for a sign-in link"
	p, err := a.signer(ctx, mail)
	if kind.Of(err) == kind.NotFound {
		return nil
	}
	if err != nil {
		return kind.Wrap(op, err)
	}
	asked, err := dsr.SignInMail{To: p.Name, By: by.Actor, From: by.From, Path: path}.Op(a.clock().UTC())
	if err != nil {
		return err
	}
	if err := a.control.Write(ctx, asked); err != nil {
		return kind.Wrap(op, err)
	}
	a.mailing()
	return nil
}

// signer is a person who has a role, or kind.NotFound.
func (a *Accounts) signer(ctx context.Context, name string) (person, error) {
	none := kind.Say(kind.NotFound, "Nobody of this mail address has a role here. Look whether it is written right, or give it a role first.")
	if !isHuman(name) {
		return person{}, none
	}
	p, _, err := a.person(ctx, name)
	if kind.Of(err) == kind.NotFound {
		return person{}, none
	}
	if err != nil {
		return person{}, err
	}
	roles, err := a.memberships(ctx, name)
	if err == nil && (len(roles) == 0 || !sameAddress(p.Name, name)) {
		err = none
	}
	return p, err
}

// sameAddress is stricter than same: with letters of all scripts the Kelvin sign is a k,
// and an address with it may be somebody else's.
func sameAddress(a, b string) bool {
	lower := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	return strings.Map(lower, a) == strings.Map(lower, b)
}

// SignIn turns what a sign-in link holds into a session, and returns its secret. The
// link works once. Kinds: Unauthorized with a sentence.
func (a *Accounts) SignIn(ctx context.Context, from, link string) (Actor, string, error) {
	c, _, err := a.openLink(ctx, link)
	if err != nil {
		return Actor{}, "", err
	}
	return a.begin(ctx, dsr.By{Actor: c.Owner, From: from}, "by a link", func(p person) ([]table.Op, error) {
		c, use, err := a.openLink(ctx, link)
		if err == nil && c.Ended != p.Ended {
			err = kind.Say(kind.Unauthorized, "This sign-in link was made before its owner was removed. Ask for a new one.")
		}
		return []table.Op{use}, err
	})
}

// openLink reads a link that works, and makes the operation that uses it up.
func (a *Accounts) openLink(ctx context.Context, link string) (credential, table.Op, error) {
	key := credentialKey(link)
	item, err := a.control.Get(ctx, key)
	if err != nil && kind.Of(err) != kind.NotFound {
		return credential{}, table.Op{}, kind.Wrap("read a sign-in link", err)
	}
	var c credential
	if err == nil && json.Unmarshal(item.Data, &c) != nil {
		return credential{}, table.Op{}, kind.E(kind.Corrupt, "read a sign-in link")
	}
	switch {
	case c.Use != signInLink:
		return c, table.Op{}, kind.Say(kind.Unauthorized, "This sign-in link is not known. Ask for a new one.")
	case c.ended(a.clock()) == expired:
		return c, table.Op{}, kind.Say(kind.Unauthorized, "This sign-in link is older than 15 minutes. Ask for a new one.")
	case c.ended(a.clock()) == revoked:
		return c, table.Op{}, kind.Say(kind.Unauthorized, "This sign-in link was used before, and works once. Ask for a new one.")
	}
	next := c
	next.Revoked = a.clock().UTC()
	data, err := json.Marshal(next)
	if err != nil {
		return c, table.Op{}, kind.E(kind.Internal, "use a sign-in link", err)
	}
	return c, table.Put(table.Item{Key: key, Data: data, Expires: next.forgotten()}, table.IfAt(item.Version)), nil
}

// begin begins a session of by.Actor in the transaction of what first makes.
func (a *Accounts) begin(ctx context.Context, by dsr.By, how string, first func(person) ([]table.Op, error)) (Actor, string, error) {
	secret := SessionPrefix + randomHex(32)
	actor := Actor{By: BySession}
	err := a.holding(ctx, by, by.Actor, func(p person, all []held, now time.Time) ([]table.Op, dsr.Entry, error) {
		e := dsr.Entry{Action: "session.begin", Detail: how}
		actor.Name = p.Name
		roles, err := a.memberships(ctx, p.Name)
		if err != nil {
			return nil, e, err
		}
		if len(roles) == 0 {
			return nil, e, kind.E(kind.NotFound, "begin a session")
		}
		ops, err := first(p)
		if err != nil {
			return nil, e, err
		}
		given, err := give(personPK(p.Name), secret, credential{ID: randomHex(8), Use: session, Owner: p.Name, Created: now, Expires: now.Add(SessionLife)})
		if err != nil {
			return nil, e, err
		}
		ops = append(ops, given...)
		if live(all, session, now) >= mostTokens {
			oldest := all[slices.IndexFunc(all, func(h held) bool { return h.Use == session && h.ended(now) == "" })]
			oldest.Revoked = now
			op, err := oldest.change()
			if err != nil {
				return nil, e, err
			}
			ops = append(ops, op)
		}
		return ops, e, nil
	})
	if kind.Of(err) == kind.NotFound {
		err = kind.Say(kind.Unauthorized, "Whoever this was for has no role here any more. Ask an owner or admin.")
	}
	if err != nil {
		return Actor{}, "", kind.Wrap("begin a session", err)
	}
	return actor, secret, nil
}

// Session tells whose session this is. One that is unknown or has ended is
// kind.Unauthorized, with a sentence.
func (a *Accounts) Session(ctx context.Context, secret string) (Actor, error) {
	c, err := a.credential(ctx, session, secret)
	if err != nil && kind.Of(err) != kind.NotFound {
		return Actor{}, kind.Wrap("check a session", err)
	}
	if err != nil || c.ended(a.clock()) != "" {
		return Actor{}, kind.Say(kind.Unauthorized, "This session has ended. Sign in again.")
	}
	return Actor{Name: c.Owner, By: BySession}, nil
}

// SignOut ends a session, or with everywhere all sessions of its owner. One that has
// ended is no error.
func (a *Accounts) SignOut(ctx context.Context, by dsr.By, secret string, everywhere bool) error {
	hash := hashOf([]byte(secret))
	return a.holding(ctx, by, by.Actor, func(p person, all []held, now time.Time) ([]table.Op, dsr.Entry, error) {
		var ops []table.Op
		for _, h := range all {
			if h.Use != session || h.ended(now) != "" || !everywhere && h.hash != hash {
				continue
			}
			h.Revoked = now
			op, err := h.change()
			if err != nil {
				return nil, dsr.Entry{}, err
			}
			ops = append(ops, op)
		}
		if len(ops) == 0 {
			return nil, dsr.Entry{}, errNothing
		}
		return ops, dsr.Entry{Action: "session.end"}, nil
	})
}

// An Identity is what an OIDC provider says of somebody who signed in there. Issuer
// and Subject name them for good; a mail address may be given to another one day.
type Identity struct {
	Issuer, Subject string
	Email           string
	Verified        bool // the provider says that the address is theirs
}

// identity is whom a provider's user was bound to.
type identity struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Ended int       `json:"ended,omitempty"` // of the person, as in a credential
}

const identitySK = "identity"

func identityKey(id Identity) table.Key {
	sum := sha256.Sum256([]byte(id.Issuer + "\x00" + id.Subject))
	return table.Key{PK: directory + "#identity#" + hex.EncodeToString(sum[:]), SK: identitySK}
}

// bindingKey leads from a person to a provider's user, so that who is removed can no
// longer sign in when the address is invited again for somebody else.
func bindingKey(name string, key table.Key) table.Key {
	return table.Key{PK: personPK(name), SK: bindingPrefix + key.PK}
}

// SignInAs begins a session of whom a provider vouched for, and returns its secret.
// Who signs in for the first time is bound to the member of their mail address, if the
// provider has verified that. Kinds: Forbidden with a sentence.
func (a *Accounts) SignInAs(ctx context.Context, from string, id Identity) (Actor, string, error) {
	const op = "sign in by OIDC"
	key := identityKey(id)
	var bound identity
	switch err := a.read(ctx, key, &bound); {
	case err == nil:
		return a.begin(ctx, dsr.By{Actor: bound.Name, From: from}, "by OIDC", func(p person) ([]table.Op, error) {
			if bound.Ended != p.Ended {
				return nil, kind.E(kind.NotFound, "the binding was ended")
			}
			return nil, nil
		})
	case kind.Of(err) != kind.NotFound:
		return Actor{}, "", kind.Wrap(op, err)
	}
	if !id.Verified {
		return Actor{}, "", kind.Say(kind.Forbidden, "The sign-in provider has not verified your mail address, so it cannot be told whether you are a member. Have it verified there.")
	}
	p, err := a.signer(ctx, id.Email)
	if kind.Of(err) == kind.NotFound {
		return Actor{}, "", kind.Say(kind.Forbidden, "The mail address that the sign-in provider knows you by has no role here. Ask an owner or admin to invite it.")
	}
	if err != nil {
		return Actor{}, "", kind.Wrap(op, err)
	}
	return a.begin(ctx, dsr.By{Actor: p.Name, From: from}, "by OIDC, for the first time", func(p person) ([]table.Op, error) {
		// An address that passed to somebody else opens nothing.
		err := a.each(ctx, table.Query{PK: personPK(p.Name), From: bindingPrefix, To: afterBindings}, func(item table.Item) error {
			if string(item.Data) == id.Issuer {
				return kind.Say(kind.Forbidden, "Another user of the sign-in provider is known by this mail address. Ask an owner or admin to remove you and to invite you again.")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		bind, err := fresh(key, identity{Name: p.Name, Since: a.clock().UTC(), Ended: p.Ended})
		return []table.Op{bind, table.Put(table.Item{Key: bindingKey(p.Name, key), Data: []byte(id.Issuer)}, table.Cond{})}, err
	})
}
