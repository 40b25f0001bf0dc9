package account

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"lethe/shared/kind"
	"lethe/shared/table"
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

// MayHandle returns nil if the actor may see and submit the project's requests:
// an owner or admin of the organisation or of the project. Anyone else gets
// kind.Forbidden with a sentence.
func (a *Accounts) MayHandle(ctx context.Context, actor Actor, p Project) error {
	ok, err := a.handles(ctx, actor, p.ID)
	if err != nil {
		return kind.Wrap("check role", err)
	}
	if !ok {
		return kind.Say(kind.Forbidden, "Only owners and admins of the project or of its organisation may see or submit its requests.")
	}
	return nil
}

// MayImport returns the project if the actor may import events into it: an owner
// or admin, as for MayHandle. A project that does not exist is kind.Forbidden with
// the same sentence, so that ids cannot be tried out.
func (a *Accounts) MayImport(ctx context.Context, actor Actor, projectID string) (Project, error) {
	refused := kind.Say(kind.Forbidden, "Only owners and admins of the project or of its organisation may import into it. Check project_id.")
	p, err := a.Project(ctx, projectID)
	if kind.Of(err) == kind.NotFound {
		return Project{}, refused
	}
	if err != nil {
		return Project{}, err
	}
	ok, err := a.handles(ctx, actor, p.ID)
	if err != nil {
		return Project{}, kind.Wrap("check role", err)
	}
	if !ok {
		return Project{}, refused
	}
	return p, nil
}

func (a *Accounts) handles(ctx context.Context, actor Actor, project string) (bool, error) {
	items, err := a.control.GetMany(ctx, []table.Key{memberKey(actor.Name), projectMemberKey(project, actor.Name)})
	if err != nil {
		return false, err
	}
	for _, item := range items {
		var m membership
		if err := json.Unmarshal(item.Data, &m); err != nil {
			return false, kind.E(kind.Corrupt, "read membership")
		}
		if m.Role.handles() {
			return true, nil
		}
	}
	return false, nil
}

// Handlers implements dsr.Accounts.
func (a *Accounts) Handlers(ctx context.Context, project string) ([]string, error) {
	var names []string
	for _, pk := range []string{directory, projectMemberKey(project, "").PK} {
		q := table.Query{PK: pk, From: memberPrefix, To: afterMembers}
		for {
			page, err := a.control.Query(ctx, q)
			if err != nil {
				return nil, kind.Wrap("list owners and admins", err)
			}
			for _, item := range page.Items {
				var m membership
				if json.Unmarshal(item.Data, &m) != nil {
					return nil, kind.E(kind.Corrupt, "read membership")
				}
				// A service account has a name that is no mail address.
				if m.Role.handles() && strings.Contains(m.Name, "@") && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, m.Name) }) {
					names = append(names, m.Name)
				}
			}
			if page.Next == "" {
				break
			}
			q.After = page.Next
		}
	}
	return names, nil
}
