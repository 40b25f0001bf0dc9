package account

import (
	"context"
	"slices"
	"strings"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// A Role is what a member is in the organisation or in a project. A role in the
// organisation holds in every project.
type Role string

const (
	Owner    Role = "owner"
	Admin    Role = "admin"
	Analyst  Role = "analyst"
	Consumer Role = "consumer"
)

// handles reports whether the role may see and submit requests and make tokens.
func (r Role) handles() bool { return r == Owner || r == Admin }

// imports reports whether the role may send in events and profiles.
func (r Role) imports() bool { return r.handles() || r == Analyst }

// rank orders roles by what they may; 0 is none.
func (r Role) rank() int { return 1 + slices.Index([]Role{Consumer, Analyst, Admin, Owner}, r) }

// MayHandle returns nil if the actor may see and submit the project's requests, and
// manage it: an owner or admin of the organisation or of the project. Anyone else gets
// kind.Forbidden with a sentence that says what they may not: to, as in "see its requests".
func (a *Accounts) MayHandle(ctx context.Context, actor Actor, p Project, to string) error {
	role, err := a.power(ctx, dsr.By{Actor: actor.Name}, p.ID)
	if err != nil {
		return kind.Wrap("check role", err)
	}
	if !role.handles() {
		return kind.Say(kind.Forbidden, "Only owners and admins of the project or of its organisation may "+to+".")
	}
	return nil
}

// MaySettle returns nil if the actor may change what holds for all projects: an
// owner or admin of the organisation. Anyone else gets kind.Forbidden with a
// sentence.
func (a *Accounts) MaySettle(ctx context.Context, actor Actor) error {
	role, err := a.power(ctx, dsr.By{Actor: actor.Name}, "")
	if err != nil {
		return kind.Wrap("check role", err)
	}
	if !role.handles() {
		return kind.Say(kind.Forbidden, "Only owners and admins of the organisation may see or change what holds for all of its projects.")
	}
	return nil
}

// MayImport returns the project if the actor may import events into it: an owner,
// admin or analyst of it or of the organisation, so that what sends data in needs no
// right to erase any. A project that does not exist is kind.Forbidden with the same
// sentence, so that ids cannot be tried out.
func (a *Accounts) MayImport(ctx context.Context, actor Actor, projectID string) (Project, error) {
	refused := kind.Say(kind.Forbidden, "Only owners, admins and analysts of the project or of its organisation may import into it. Check project_id.")
	p, err := a.Project(ctx, projectID)
	if kind.Of(err) == kind.NotFound {
		return Project{}, refused
	}
	if err != nil {
		return Project{}, err
	}
	role, err := a.power(ctx, dsr.By{Actor: actor.Name}, p.ID)
	if err != nil {
		return Project{}, kind.Wrap("check role", err)
	}
	if !role.imports() {
		return Project{}, refused
	}
	return p, nil
}

// Handlers implements dsr.Accounts.
func (a *Accounts) Handlers(ctx context.Context, project string) ([]string, error) {
	var names []string
	for _, where := range []string{"", project} {
		members, err := a.Members(ctx, where)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if m.Role.handles() && !m.Service && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, m.Name) }) {
				names = append(names, m.Name)
			}
		}
	}
	return names, nil
}

// higher is the one of two roles that may more; "" is none.
func higher(a, b Role) Role {
	if b.rank() > a.rank() {
		return b
	}
	return a
}
