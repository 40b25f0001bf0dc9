// Package account knows who may do what: the organisation, its projects, its
// members and service accounts, the secrets they prove themselves with, and the
// audit trail. Found makes the first of each; ByToken, BySecret, Bearer and
// ServiceAccount tell who is asking; MayHandle and MayImport whether they may.
//
// A secret is shown once, when it is made; what is kept of it is its SHA-256, and
// that is also how it is found again. The project token is no secret: it stands
// in every page that sends events.
package account

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Accounts is the accounts of one deployment, in its control table. It is safe
// for concurrent use, keeps nothing in memory, and so sees at once what another
// process changed.
type Accounts struct {
	control table.Table
	clock   func() time.Time
	mailing func()
}

// New returns the accounts kept in control. The clock decides what has expired.
func New(control table.Table, clock func() time.Time, options ...Option) *Accounts {
	a := &Accounts{control: control, clock: clock, mailing: func() {}}
	for _, o := range options {
		o(a)
	}
	return a
}

// An Option is something that New does otherwise.
type Option func(*Accounts)

// Mailing has f called whenever there is a mail for dsr.Service.Sweep to deliver, for a
// process that sweeps too. It must not wait.
func Mailing(f func()) Option { return func(a *Accounts) { a.mailing = f } }

// A Project is a set of end users whose data is kept apart from every other's.
type Project struct {
	ID      string    `json:"id"` // decimal digits
	Name    string    `json:"name"`
	Token   string    `json:"token"` // names the project in ingestion and in requests; public
	Created time.Time `json:"created"`
}

// An Actor is a person or a program that has proved who it is.
type Actor struct {
	// Name is a mail address, or the name of a service account.
	Name string
	By   Proof
}

// A Proof is how an actor proved who it is.
type Proof string

const (
	ByToken   Proof = "GDPR token" // good for the GDPR API alone
	BySecret  Proof = "service account"
	BySession Proof = "session"
	// ByMachine is who administers a deployment on the machine that it runs on.
	ByMachine Proof = "machine"
)

// Project reads one project; kind.NotFound without it.
func (a *Accounts) Project(ctx context.Context, id string) (Project, error) {
	if !isProjectID(id) {
		return Project{}, kind.E(kind.NotFound, "read project")
	}
	var p Project
	return p, kind.Wrap("read project", a.read(ctx, projectKey(id), &p))
}

// Projects returns all projects, in the order of their ids.
func (a *Accounts) Projects(ctx context.Context) ([]Project, error) {
	var all []Project
	q := projectsQuery()
	for {
		page, err := a.control.Query(ctx, q)
		if err != nil {
			return nil, kind.Wrap("list projects", err)
		}
		for _, item := range page.Items {
			var p Project
			if err := json.Unmarshal(item.Data, &p); err != nil {
				return nil, kind.E(kind.Corrupt, "list projects")
			}
			all = append(all, p)
		}
		if page.Next == "" {
			return all, nil
		}
		q.After = page.Next
	}
}

// ByToken finds the project of a project token; kind.NotFound without one.
func (a *Accounts) ByToken(ctx context.Context, token string) (Project, error) {
	return a.projectBy(ctx, projectToken, token)
}

// BySecret finds the project of an API secret; kind.NotFound without one.
func (a *Accounts) BySecret(ctx context.Context, secret string) (Project, error) {
	return a.projectBy(ctx, apiSecret, secret)
}

func (a *Accounts) projectBy(ctx context.Context, u use, secret string) (Project, error) {
	op := "find project by " + string(u)
	c, err := a.credential(ctx, u, secret)
	if err != nil {
		return Project{}, kind.Wrap(op, err)
	}
	if c.ended(a.clock()) != "" {
		return Project{}, kind.E(kind.NotFound, op)
	}
	p, err := a.Project(ctx, c.Project)
	return p, kind.Wrap(op, err)
}

// Bearer tells whose GDPR token this is. One that is unknown, expired or revoked
// is kind.Unauthorized, with a sentence. What its owner may do is for MayHandle
// to say, at every use, since a role can be taken away.
func (a *Accounts) Bearer(ctx context.Context, token string) (Actor, error) {
	c, err := a.credential(ctx, gdprToken, token)
	if kind.Of(err) == kind.NotFound {
		return Actor{}, kind.Say(kind.Unauthorized, "This GDPR token is not known. Check that it was copied whole.")
	}
	if err != nil {
		return Actor{}, kind.Wrap("check GDPR token", err)
	}
	switch c.ended(a.clock()) {
	case expired:
		if c.Replaced {
			return Actor{}, kind.Say(kind.Unauthorized, "This GDPR token was replaced by another. Use the one that took its place.")
		}
		return Actor{}, kind.Say(kind.Unauthorized, "This GDPR token has expired. Make a new one.")
	case revoked:
		return Actor{}, kind.Say(kind.Unauthorized, "This GDPR token was revoked. Make a new one.")
	}
	return Actor{Name: c.Owner, By: ByToken}, nil
}

// ServiceAccount tells whether the secret is that service account's. If not, it
// is kind.Unauthorized, with a sentence that does not tell which of the two was
// wrong.
func (a *Accounts) ServiceAccount(ctx context.Context, name, secret string) (Actor, error) {
	c, err := a.credential(ctx, serviceSecret, secret)
	if err != nil && kind.Of(err) != kind.NotFound {
		return Actor{}, kind.Wrap("check service account", err)
	}
	if err != nil || c.ended(a.clock()) != "" || subtle.ConstantTimeCompare([]byte(c.Owner), []byte(name)) != 1 {
		return Actor{}, kind.Say(kind.Unauthorized, "This service account is not known, or its secret is another.")
	}
	return Actor{Name: c.Owner, By: BySecret}, nil
}

// credential reads what a secret stands for, and notes when it was used where that is
// told, to the hour.
func (a *Accounts) credential(ctx context.Context, u use, secret string) (credential, error) {
	key := credentialKey(secret)
	used := table.Key{PK: key.PK, SK: usedSK}
	keys := []table.Key{key}
	if u == gdprToken || u == serviceSecret {
		keys = append(keys, used)
	}
	items, err := a.control.GetMany(ctx, keys)
	if err != nil {
		return credential{}, err
	}
	item, ok := items[key]
	if !ok {
		return credential{}, kind.E(kind.NotFound, "read credential")
	}
	var c credential
	if json.Unmarshal(item.Data, &c) != nil {
		return credential{}, kind.E(kind.Corrupt, "read credential")
	}
	if c.Use != u {
		return credential{}, kind.E(kind.NotFound, "read credential")
	}
	now := a.clock()
	if len(keys) > 1 && c.ended(now) == "" && now.Sub(usedIn(items[used])) >= time.Hour {
		// It is told for information: without it the caller is who it is all the same.
		_ = a.control.Write(ctx, table.Put(table.Item{Key: used, Count: now.UnixMilli(), Expires: c.forgotten()}, table.Cond{}))
	}
	return c, nil
}

func (a *Accounts) read(ctx context.Context, key table.Key, into any) error {
	item, err := a.control.Get(ctx, key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(item.Data, into); err != nil {
		return kind.E(kind.Corrupt, "read account record")
	}
	return nil
}
