package account

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// NewProject is a project that was just made. Its secrets can be shown now and never
// again.
type NewProject struct {
	Project
	Secret string `json:"api_secret"`
}

// MakeProject makes a project, which owners and admins of the organisation may.
// Kinds: Invalid; Forbidden.
func (a *Accounts) MakeProject(ctx context.Context, by dsr.By, name string) (NewProject, error) {
	const op = "make a project"
	if err := checkProjectName(name); err != nil {
		return NewProject{}, err
	}
	for range changes {
		power, role, err := a.stands(ctx, by, "")
		if err != nil {
			return NewProject{}, kind.Wrap(op, err)
		}
		if !power.handles() {
			return NewProject{}, kind.Say(kind.Forbidden, "Only owners and admins of the organisation may make projects.")
		}
		now := a.clock().UTC()
		p := NewProject{Project{ID: randomProjectID(), Name: name, Token: randomHex(16), Created: now}, randomHex(16)}
		ops, err := p.ops()
		if err != nil {
			return NewProject{}, err
		}
		settled, err := a.Organisation(ctx)
		if err != nil {
			return NewProject{}, err
		}
		ops = append(ops, stillStands(role)...)
		e := dsr.Entry{Time: now, Actor: by.Actor, From: by.From, Action: "project.make", Detail: p.ID}
		own := e
		own.Project = p.ID
		err = a.record(ctx, settled.KeepRecords, []dsr.Entry{e, own}, ops)
		if kind.Of(err) != kind.Conflict { // the number is somebody else's
			return p, kind.Wrap(op, err)
		}
	}
	return NewProject{}, kind.E(kind.Internal, op)
}

// ops are the operations that store a new project with its secrets.
func (p NewProject) ops() ([]table.Op, error) {
	op, err := fresh(projectKey(p.ID), p.Project)
	if err != nil {
		return nil, err
	}
	ops := []table.Op{op}
	for _, c := range []struct {
		secret string
		use    use
	}{{p.Token, projectToken}, {p.Secret, apiSecret}} {
		more, err := give(projectPK(p.ID), c.secret, credential{ID: randomHex(8), Use: c.use, Project: p.ID, Created: p.Created})
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

// RenameProject gives a project another name. Kinds: Invalid; Forbidden; NotFound.
func (a *Accounts) RenameProject(ctx context.Context, by dsr.By, id, name string) (Project, error) {
	if err := checkProjectName(name); err != nil {
		return Project{}, err
	}
	return a.changeProject(ctx, by, id, func(p *Project, now time.Time) ([]table.Op, dsr.Entry, error) {
		if p.Name == name {
			return nil, dsr.Entry{}, errNothing
		}
		e := dsr.Entry{Action: "project.rename", Detail: p.Name + " → " + name}
		p.Name = name
		return nil, e, nil
	})
}

// A Part is what of a project can be rotated.
type Part string

const (
	PartToken  Part = "token"
	PartSecret Part = "secret"
)

// RotateProject gives a project a new token or API secret, and returns it with the
// project; the ones of before go on for overlap at the most. Kinds: Invalid;
// Forbidden; NotFound; Conflict with too many that still go on.
func (a *Accounts) RotateProject(ctx context.Context, by dsr.By, id string, part Part, overlap time.Duration) (Project, string, error) {
	if err := checkOverlap(overlap); err != nil {
		return Project{}, "", err
	}
	u := projectToken
	if part == PartSecret {
		u = apiSecret
	} else if part != PartToken {
		return Project{}, "", kind.Say(kind.Invalid, "what must be token or secret.")
	}
	secret := randomHex(16)
	p, err := a.changeProject(ctx, by, id, func(p *Project, now time.Time) ([]table.Op, dsr.Entry, error) {
		e := dsr.Entry{Action: "project.rotate", Detail: fmt.Sprintf("%s, with the old one for %v", part, overlap)}
		all, err := a.holdings(ctx, projectPK(id), u)
		if err != nil {
			return nil, e, err
		}
		if overlap > 0 && live(all, u, now) >= mostTokens {
			return nil, e, kind.Say(kind.Conflict, fmt.Sprintf("This project has %d of them that work. Wait until one has ended, or rotate without an overlap.", mostTokens))
		}
		ops, err := give(projectPK(id), secret, credential{ID: randomHex(8), Use: u, Project: id, Created: now})
		if err != nil {
			return nil, e, err
		}
		more, err := replaceAll(all, projectPK(id), now, overlap)
		if u == projectToken {
			p.Token = secret
		}
		return append(ops, more...), e, err
	})
	return p, secret, err
}

func (a *Accounts) changeProject(ctx context.Context, by dsr.By, id string, f func(p *Project, now time.Time) ([]table.Op, dsr.Entry, error)) (Project, error) {
	const op = "change a project"
	for range changes {
		power, role, err := a.stands(ctx, by, id)
		if err != nil {
			return Project{}, kind.Wrap(op, err)
		}
		if !power.handles() {
			return Project{}, kind.Say(kind.Forbidden, "Only owners and admins of the project or of its organisation may change it.")
		}
		var p Project
		item, err := a.control.Get(ctx, projectKey(id))
		if err != nil {
			return p, kind.Wrap(op, err)
		}
		if json.Unmarshal(item.Data, &p) != nil {
			return p, kind.E(kind.Corrupt, op)
		}
		now := a.clock().UTC()
		ops, e, err := f(&p, now)
		if err == errNothing {
			return p, nil
		}
		if err != nil {
			return p, err
		}
		data, err := json.Marshal(p)
		if err != nil {
			return p, kind.E(kind.Internal, op, err)
		}
		ops = append(ops, stillStands(role)...)
		e.Project, e.Time, e.Actor, e.From = id, now, by.Actor, by.From
		err = a.Record(ctx, e, append(ops, table.Put(table.Item{Key: item.Key, Data: data}, table.IfAt(item.Version)))...)
		if kind.Of(err) != kind.Conflict {
			return p, kind.Wrap(op, err)
		}
	}
	return Project{}, kind.E(kind.Unavailable, op+": it kept changing")
}

// TransferProject makes a person the owner of a project, and admins of all who were;
// owners of the project or of the organisation may. Somebody without a role in either,
// as a mistyped address is, gets it only if they may be new. Done again it completes what
// was cut off. It reports what becomes of an invitation, as SetMember does.
// Kinds: Invalid; Forbidden; NotFound.
func (a *Accounts) TransferProject(ctx context.Context, by dsr.By, id, to string, mayBeNew bool) (invitation Invitation, err error) {
	const op = "transfer a project"
	power, err := a.power(ctx, by, id)
	if err != nil {
		return "", kind.Wrap(op, err)
	}
	if power != Owner {
		return "", kind.Say(kind.Forbidden, "Only an owner of the project or of its organisation may hand it over.")
	}
	if !isHuman(to) || CheckMail(to) != nil {
		return "", kind.Say(kind.Invalid, "to must be the mail address of the person who is to own the project.")
	}
	role, err := a.power(ctx, dsr.By{Actor: to}, id)
	if err != nil {
		return "", kind.Wrap(op, err)
	}
	if role == "" && !mayBeNew {
		return "", kind.Say(kind.Invalid, "Nobody of this mail address has a role in the project or in the organisation. Look whether it is written right; if it is, say that the person is new: \"new\":true, or --new.")
	}
	// The new owner first, so that there is one at any moment; who hands it over goes
	// last, or could not complete it.
	if invitation, err = a.SetMember(ctx, by, id, to, Owner); err != nil {
		return "", err
	}
	members, err := a.Members(ctx, id)
	if err != nil {
		return invitation, err
	}
	self := ""
	for _, m := range members {
		switch {
		case m.Role != Owner || same(m.Name, to):
		case same(m.Name, by.Actor):
			self = m.Name
		default:
			if _, err := a.SetMember(ctx, by, id, m.Name, Admin); err != nil {
				return invitation, err
			}
		}
	}
	if self == "" {
		return invitation, nil
	}
	_, err = a.SetMember(ctx, by, id, self, Admin)
	return invitation, err
}
