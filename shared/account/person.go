package account

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A person is somebody who has, or had, a role: a human being, named by a mail
// address, or a service account, named without an "@". All that is theirs stands in
// one partition, and the version of this record changes with every change of it.
type person struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	// Ended is how often everything that proves who they are was ended. What was made
	// under another number proves nothing.
	Ended int `json:"ended,omitempty"`
}

// checkLength keeps what nobody is called out of keys.
func checkLength(name string) error {
	if len(name) > 254 {
		return kind.Say(kind.NotFound, "Nobody has a name of more than 254 characters. Give a mail address, or the name of a service account.")
	}
	return nil
}

// isHuman tells people from service accounts.
func isHuman(name string) bool { return strings.Contains(name, "@") }

// same reports whether two names are one: case does not count, as in keys.
func same(a, b string) bool { return strings.EqualFold(a, b) }

// Local is who administers a deployment on the machine that it runs on, and may do
// everything: whoever can open the data directory could change all of it by hand.
// Nobody else can have its name, which is neither an address nor a service account's.
var Local = Actor{Name: "local administrator", By: ByMachine}

// A holding leads from whoever has a secret, a person or a project, to the credential,
// in their partition.
type holding struct {
	Use  use    `json:"use"`
	Hash string `json:"hash"` // of the secret: the credential's place
}

// person reads somebody as they stand, and the version to change it at.
func (a *Accounts) person(ctx context.Context, name string) (person, table.Version, error) {
	item, err := a.control.Get(ctx, personKey(name))
	if err != nil {
		return person{}, 0, err
	}
	var p person
	if json.Unmarshal(item.Data, &p) != nil {
		return person{}, 0, kind.E(kind.Corrupt, "read a person")
	}
	return p, item.Version, nil
}

// touched is the operation that changes the version of a person, so that of two
// changes of what is theirs at the same moment one fails.
func touched(p person, version table.Version) (table.Op, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return table.Op{}, kind.E(kind.Internal, "write a person", err)
	}
	return table.Put(table.Item{Key: personKey(p.Name), Data: data}, table.IfAt(version)), nil
}

// memberships reads every role of a person, by where: a project, or "" for the
// organisation.
func (a *Accounts) memberships(ctx context.Context, name string) (map[string]membership, error) {
	all := map[string]membership{}
	err := a.each(ctx, table.Query{PK: personKey(name).PK, From: memberPrefix, To: afterMembers}, func(item table.Item) error {
		var m membership
		if json.Unmarshal(item.Data, &m) != nil {
			return kind.E(kind.Corrupt, "read a membership")
		}
		where := strings.TrimPrefix(item.SK, memberPrefix)
		if where == organisationTrail {
			where = ""
		}
		all[where] = m
		return nil
	})
	return all, kind.Wrap("read roles", err)
}

// MayHoldToken returns nil if a person may have a GDPR token: whoever may handle the
// requests of some project. Anyone else gets kind.Forbidden with a sentence.
func (a *Accounts) MayHoldToken(ctx context.Context, name string) error {
	all, err := a.memberships(ctx, name)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.Role.handles() {
			return nil
		}
	}
	return kind.Say(kind.Forbidden, "Only owners and admins of the organisation or of a project may have a GDPR token.")
}

// held is a credential that somebody has, as it stands.
type held struct {
	credential
	hash     string
	item     table.Item
	used     time.Time
	expiring table.Key // where it stood to be reminded of, before a change
}

// holdings reads the credentials of some uses that stand in a partition, oldest first.
func (a *Accounts) holdings(ctx context.Context, pk string, uses ...use) ([]held, error) {
	var hashes []string
	var keys []table.Key
	err := a.each(ctx, table.Query{PK: pk, From: holdingPrefix, To: afterHoldings}, func(item table.Item) error {
		var h holding
		if json.Unmarshal(item.Data, &h) != nil {
			return kind.E(kind.Corrupt, "read a holding")
		}
		if slices.Contains(uses, h.Use) {
			hashes = append(hashes, h.Hash)
			keys = append(keys, credentialAt(h.Hash), usedAt(h.Hash))
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	items, err := a.control.GetMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	var all []held
	for _, hash := range hashes {
		h := held{hash: hash, item: items[credentialAt(hash)], used: usedIn(items[usedAt(hash)])}
		if h.item.Version == 0 {
			continue // the time in which to tell of it has passed
		}
		if json.Unmarshal(h.item.Data, &h.credential) != nil {
			return nil, kind.E(kind.Corrupt, "read a credential")
		}
		all = append(all, h)
	}
	return all, nil
}

// give makes the operations that store a new credential and lead to it from pk.
func give(pk, secret string, c credential) ([]table.Op, error) {
	hash := hashOf([]byte(secret))
	made, err := fresh(credentialAt(hash), c)
	if err != nil {
		return nil, err
	}
	made.Item.Expires = c.forgotten()
	lead, err := held{credential: c, hash: hash}.lead(pk)
	return []table.Op{made, lead}, err
}

// lead is the operation that makes pk lead to a credential for as long as it is told of.
func (h held) lead(pk string) (table.Op, error) {
	data, err := json.Marshal(holding{Use: h.Use, Hash: h.hash})
	if err != nil {
		return table.Op{}, kind.E(kind.Internal, "write a holding", err)
	}
	return table.Put(table.Item{Key: holdingKey(pk, h.credential), Data: data, Expires: h.forgotten()}, table.Cond{}), nil
}

// change is the operation that stores a credential that was changed. What leads to it
// stays for as long as it was to when it was made.
func (h held) change() (table.Op, error) {
	data, err := json.Marshal(h.credential)
	if err != nil {
		return table.Op{}, kind.E(kind.Internal, "write a credential", err)
	}
	h.item.Data, h.item.Expires = data, h.forgotten()
	return table.Put(h.item, table.IfAt(h.item.Version)), nil
}

// each calls f with every item that a query finds.
func (a *Accounts) each(ctx context.Context, q table.Query, f func(table.Item) error) error {
	for {
		page, err := a.control.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := f(item); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}
