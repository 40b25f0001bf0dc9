package account

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A Member is somebody with a role in the organisation or in a project.
type Member struct {
	Name    string    `json:"name"` // a mail address, or the name of a service account
	Role    Role      `json:"role"`
	Since   time.Time `json:"since"`
	Service bool      `json:"service_account,omitempty"`
}

// Members lists who has a role in a project, or without one in the organisation, by
// name.
func (a *Accounts) Members(ctx context.Context, project string) ([]Member, error) {
	all := []Member{}
	err := a.each(ctx, table.Query{PK: memberKey(project, "").PK, From: memberPrefix, To: afterMembers}, func(item table.Item) error {
		var m membership
		if json.Unmarshal(item.Data, &m) != nil {
			return kind.E(kind.Corrupt, "read a membership")
		}
		all = append(all, Member{Name: m.Name, Role: m.Role, Since: m.Since, Service: !isHuman(m.Name)})
		return nil
	})
	return all, kind.Wrap("list members", err)
}

// Roles tells every role that somebody has, by project; "" is the organisation.
func (a *Accounts) Roles(ctx context.Context, name string) (map[string]Role, error) {
	if name == Local.Name {
		return map[string]Role{"": Owner}, nil
	}
	all, err := a.memberships(ctx, name)
	roles := make(map[string]Role, len(all))
	for where, m := range all {
		roles[where] = m.Role
	}
	return roles, err
}

// A Standing is what somebody is here.
type Standing struct {
	Organisation Role // or ""
	Projects     []Place
}

// A Place is a project and what somebody is there, by a role in it or in the
// organisation.
type Place struct {
	Project
	Role Role
}

// Standing tells somebody's role in the organisation and every project that they have a
// role in, in the order of their ids.
func (a *Accounts) Standing(ctx context.Context, name string) (Standing, error) {
	roles, err := a.Roles(ctx, name)
	if err != nil {
		return Standing{}, err
	}
	projects, err := a.Projects(ctx)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Organisation: roles[""]}
	for _, p := range projects {
		if role := higher(roles[""], roles[p.ID]); role != "" {
			s.Projects = append(s.Projects, Place{p, role})
		}
	}
	return s, nil
}

// changes is how often a change of what is somebody's is tried again that met another.
const changes = 10

// An Invitation is what becomes of the mail to a person who gets a role.
type Invitation string

const (
	Uninvited Invitation = ""         // they had a role there before, or are a program
	Invited   Invitation = "mailed"   // it is on its way
	Withheld  Invitation = "withheld" // too many went to the address lately, so none is sent
	// Unmailable means that mail cannot be sent to the address (dsr.Mailable).
	Unmailable Invitation = "unmailable"
)

// SetMember gives somebody a role in a project, or without one in the organisation,
// in place of any they had there. A person who is new to it is mailed an invitation
// with a link to sign in, which waits in the transaction that gives the role.
// Owners and admins may, but only owners make owners or change one. A service account has to
// exist, and is never an owner. Kinds: Invalid; Forbidden; NotFound without such a
// project or service account; NotAllowed for the last owner of the organisation, who
// cannot be made less.
func (a *Accounts) SetMember(ctx context.Context, by dsr.By, project, name string, role Role) (invitation Invitation, err error) {
	if !slices.Contains([]Role{Owner, Admin, Analyst, Consumer}, role) {
		return "", kind.Say(kind.Invalid, "role must be owner, admin, analyst or consumer.")
	}
	if isHuman(name) {
		if err := CheckMail(name); err != nil {
			return "", err
		}
	} else if role == Owner {
		return "", kind.Say(kind.Invalid, "A service account cannot be an owner. Make it an admin.")
	}
	mailable := isHuman(name) && dsr.Mailable(name)
	counted, limited := false, false
	err = a.changing(ctx, by, project, name, func(c *change) error {
		invitation = Uninvited
		if !isHuman(name) && c.version == 0 {
			return kind.Say(kind.NotFound, "There is no service account of this name. A person is named by a mail address.")
		}
		if !isHuman(name) {
			if err := a.reaches(ctx, by, c.all); err != nil {
				return err
			}
		}
		if c.was.Role == role {
			return errNothing
		}
		if err := c.mayTurn(c.was.Role, role); err != nil {
			return err
		}
		if err := c.keepAnOwner(ctx, role); err != nil {
			return err
		}
		if c.was.Role == "" {
			c.was = membership{Name: name, Since: c.now}
			if mailable && !counted {
				err := a.TakeMail(ctx, name, "")
				if err != nil && kind.Of(err) != kind.Throttled {
					return err
				}
				counted, limited = true, err != nil
			}
			switch {
			case limited:
				invitation = Withheld
			case mailable:
				invitation = Invited
				where := "the organisation"
				if project != "" {
					where = "the project " + c.place
				}
				op, err := dsr.SignInMail{To: name, By: by.Actor, From: by.From, Role: string(role), Where: where}.Op(c.now)
				if err != nil {
					return err
				}
				c.ops = append(c.ops, op)
			case isHuman(name):
				invitation = Unmailable
			}
		}
		c.entry.Action, c.entry.Detail = "member.set", name+": "+or(string(c.was.Role), "none")+" → "+string(role)
		c.was.Role = role
		return c.put(project, c.was)
	})
	if err != nil {
		return "", err
	}
	if invitation == Invited {
		a.mailing()
	}
	return invitation, nil
}

// A Removed role is one that somebody had, in a project or, without one, in the
// organisation.
type Removed struct {
	Project string
	Role    Role
}

// RemoveMember takes somebody's role away, in a project or, without one, in the
// organisation and in all of its projects, and returns what it took, also where it is cut
// off between them; done again it goes on. Whoever has none left loses every session,
// token and secret with the last. Kinds: Forbidden, also for an admin who would remove
// an owner; NotFound where they have none; NotAllowed for the last owner of the
// organisation.
func (a *Accounts) RemoveMember(ctx context.Context, by dsr.By, project, name string) (removed []Removed, err error) {
	if err := checkLength(name); err != nil {
		return nil, err
	}
	where := []string{project}
	if project == "" {
		all, err := a.memberships(ctx, name)
		if err != nil {
			return nil, err
		}
		for p, m := range all {
			// All of it or nothing, as far as can be known before.
			power, _, err := a.stands(ctx, by, p)
			if err != nil {
				return nil, err
			}
			if err := (&change{power: power}).mayTurn(m.Role, ""); err != nil {
				return nil, err
			}
			if p != "" {
				where = append(where, p)
			}
		}
		slices.Sort(where)
		// The role in the organisation last: who removes themself could not go on, and
		// until then it can be done again.
		slices.Reverse(where)
	}
	for _, project := range where {
		had := Role("")
		err := a.changing(ctx, by, project, name, func(c *change) error {
			if had = c.was.Role; had == "" {
				return errNothing
			}
			if err := c.mayTurn(c.was.Role, ""); err != nil {
				return err
			}
			if err := c.keepAnOwner(ctx, ""); err != nil {
				return err
			}
			c.entry.Action, c.entry.Detail = "member.remove", name+": "+string(c.was.Role)+" → none"
			c.ops = append(c.ops, table.Delete(memberKey(project, name), table.IfAt(c.at)), table.Delete(membershipKey(project, name), table.Cond{}))
			if len(c.all) > 1 && project != "" {
				return nil
			}
			return c.end(ctx)
		})
		if err != nil {
			return removed, err
		}
		if had != "" {
			removed = append(removed, Removed{project, had})
		}
	}
	if len(removed) == 0 {
		return nil, kind.Say(kind.NotFound, "There is no member of this name here. List the members to see their names.")
	}
	return removed, nil
}

// A change is of what somebody has, as it stands.
type change struct {
	a       *Accounts
	now     time.Time
	power   Role // of who changes it, where it is changed
	project string
	place   string // name of the project
	person  person
	version table.Version // of the person; 0 for a new one
	all     map[string]membership
	was     membership // the one in question; zero without
	at      table.Version
	ops     []table.Op
	entry   dsr.Entry
}

// errNothing ends a change that would change nothing.
var errNothing = kind.E(kind.Internal, "nothing to change")

// changing lets f put operations together that change what is somebody's, and
// writes them with an entry of the audit trail, again from the beginning where
// somebody else changed it meanwhile.
func (a *Accounts) changing(ctx context.Context, by dsr.By, project, name string, f func(*change) error) error {
	const op = "change a member"
	if err := checkLength(name); err != nil {
		return err
	}
	var in Project
	if project != "" {
		var err error
		if in, err = a.Project(ctx, project); err != nil {
			return err
		}
	}
	for range changes {
		power, role, err := a.stands(ctx, by, project)
		if err != nil {
			return kind.Wrap(op, err)
		}
		if !power.handles() {
			return kind.Say(kind.Forbidden, "Only owners and admins may change who has a role here.")
		}
		c := &change{a: a, now: a.clock().UTC(), power: power, project: project, place: in.Name}
		c.entry = dsr.Entry{Project: project, Time: c.now, Actor: by.Actor, From: by.From}
		c.person, c.version, err = a.person(ctx, name)
		if kind.Of(err) == kind.NotFound {
			c.person, err = person{Name: name, Since: c.now}, nil
		}
		if err != nil {
			return kind.Wrap(op, err)
		}
		if c.all, err = a.memberships(ctx, name); err != nil {
			return kind.Wrap(op, err)
		}
		item, err := a.control.Get(ctx, memberKey(project, name))
		if err != nil && kind.Of(err) != kind.NotFound {
			return kind.Wrap(op, err)
		}
		if err == nil && json.Unmarshal(item.Data, &c.was) != nil {
			return kind.E(kind.Corrupt, op)
		}
		c.at = item.Version
		if err := f(c); err != nil {
			if err == errNothing {
				return nil
			}
			return err
		}
		turned, err := touched(c.person, c.version)
		if err != nil {
			return err
		}
		c.ops = append(c.ops, turned)
		// Who changes it must be who may until it is changed.
		if !slices.ContainsFunc(c.ops, func(o table.Op) bool { return o.Item.Key == role.Key }) {
			c.ops = append(c.ops, stillStands(role)...)
		}
		err = a.Record(ctx, c.entry, c.ops...)
		if kind.Of(err) != kind.Conflict {
			return kind.Wrap(op, err)
		}
	}
	return kind.E(kind.Unavailable, op+": it kept changing")
}

// mayTurn returns nil if who changes c may turn one role into another.
func (c *change) mayTurn(was, role Role) error {
	if (was == Owner || role == Owner) && c.power != Owner {
		return kind.Say(kind.Forbidden, "Only an owner may make an owner, or take that role from one.")
	}
	return nil
}

// keepAnOwner refuses to take the last owner from the organisation, and makes sure
// that the one who stays is not taken at the same moment.
func (c *change) keepAnOwner(ctx context.Context, role Role) error {
	if c.project != "" || c.was.Role != Owner || role == Owner {
		return nil
	}
	members, err := c.a.Members(ctx, "")
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Role != Owner || same(m.Name, c.was.Name) {
			continue
		}
		item, err := c.a.control.Get(ctx, memberKey("", m.Name))
		if err != nil && kind.Of(err) != kind.NotFound {
			return err
		}
		var still membership // since the list was read
		if err != nil || json.Unmarshal(item.Data, &still) != nil || still.Role != Owner {
			continue
		}
		c.ops = append(c.ops, table.Check(item.Key, table.IfAt(item.Version)))
		return nil
	}
	return kind.Say(kind.NotAllowed, "This is the last owner of the organisation. Make somebody else an owner first.")
}

// put stores a membership in both of its places.
func (c *change) put(project string, m membership) error {
	data, err := json.Marshal(m)
	if err != nil {
		return kind.E(kind.Internal, "write a membership", err)
	}
	c.ops = append(c.ops,
		table.Put(table.Item{Key: memberKey(project, m.Name), Data: data}, table.IfAt(c.at)),
		table.Put(table.Item{Key: membershipKey(project, m.Name), Data: data}, table.Cond{}))
	return nil
}

// mostElse is how many operations a change of a member has beside its own: the person,
// the role of who changes it, and an entry of the trail with its head.
const mostElse = 4

// end ends everything that somebody proves with who they are.
func (c *change) end(ctx context.Context) error {
	pk := personPK(c.person.Name)
	all, err := c.a.holdings(ctx, pk, gdprToken, session, serviceSecret)
	if err != nil {
		return err
	}
	ended := 0
	for _, h := range all {
		if h.ended(c.now) != "" {
			continue
		}
		h.Revoked = c.now
		op, err := h.change()
		if err != nil {
			return err
		}
		if c.ops = append(c.ops, op); h.Use == gdprToken {
			c.ops = append(c.ops, table.Delete(expiringKey(h.credential), table.Cond{}))
		}
		ended++
	}
	var unbound []table.Op
	err = c.a.each(ctx, table.Query{PK: pk, From: bindingPrefix, To: afterBindings}, func(item table.Item) error {
		bound := table.Key{PK: item.SK[len(bindingPrefix):], SK: identitySK}
		unbound = append(unbound, table.Delete(item.Key, table.Cond{}), table.Delete(bound, table.Cond{}))
		return nil
	})
	if err != nil {
		return err
	}
	// Of tokens, sessions and secrets there are few (mostTokens), of bindings as many as
	// there were providers. Those that do not fit go before: whoever is still a member
	// when that is cut off is bound anew at the next sign-in.
	fit := max(0, table.MaxOps-len(c.ops)-mostElse) &^ 1 // a binding is two
	if rest := len(unbound) - fit; rest > 0 {
		if err := c.a.control.WriteMany(ctx, unbound[:rest]); err != nil {
			return err
		}
		unbound = unbound[rest:]
	}
	c.ops = append(c.ops, unbound...)
	c.person.Ended++ // sign-in links, and who is about to sign in
	if ended > 0 {
		c.entry.Detail += fmt.Sprintf("; %d sessions, tokens or secrets ended", ended)
	}
	return nil
}

// power is the higher of the roles that somebody has in the organisation and in a
// project; "" without any.
func (a *Accounts) power(ctx context.Context, by dsr.By, project string) (Role, error) {
	role, _, err := a.stands(ctx, by, project)
	return role, err
}

// stands is power, with the record that it is by.
func (a *Accounts) stands(ctx context.Context, by dsr.By, project string) (Role, table.Item, error) {
	if by.Actor == Local.Name {
		return Owner, table.Item{}, nil
	}
	keys := []table.Key{memberKey("", by.Actor)}
	if project != "" {
		keys = append(keys, memberKey(project, by.Actor))
	}
	items, err := a.control.GetMany(ctx, keys)
	if err != nil {
		return "", table.Item{}, err
	}
	highest, from := Role(""), table.Item{}
	for _, key := range keys {
		item, ok := items[key]
		if !ok {
			continue
		}
		var m membership
		if json.Unmarshal(item.Data, &m) != nil {
			return "", from, kind.E(kind.Corrupt, "read a membership")
		}
		if m.Role.rank() > highest.rank() {
			highest, from = m.Role, item
		}
	}
	return highest, from, nil
}

// stillStands holds that somebody has the role by which they change something until it
// is changed; of who needs none it holds nothing.
func stillStands(role table.Item) []table.Op {
	if role.Version == 0 {
		return nil
	}
	return []table.Op{table.Check(role.Key, table.IfAt(role.Version))}
}
