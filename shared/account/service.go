package account

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

var serviceLabel = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$`)

// MakeServiceAccount makes a program's account with a role in a project, and returns
// its name and its secret, which nobody can read again. The label is 2 to 40 small
// letters, digits and hyphens. SetMember gives it roles in other projects. Kinds:
// Invalid; Forbidden; NotFound without such a project.
func (a *Accounts) MakeServiceAccount(ctx context.Context, by dsr.By, project, label string, role Role) (name, secret string, err error) {
	if !serviceLabel.MatchString(label) {
		return "", "", kind.Say(kind.Invalid, "name must be 2 to 40 small letters, digits and hyphens, and neither begin nor end with a hyphen.")
	}
	if role.rank() == 0 || role == Owner {
		return "", "", kind.Say(kind.Invalid, "role must be admin, analyst or consumer.")
	}
	name, secret = label+"."+randomHex(3)+".service-account", randomHex(32)
	err = a.changing(ctx, by, project, name, func(c *change) error {
		ops, err := give(personPK(name), secret, newServiceSecret(name, c.now))
		if err != nil {
			return err
		}
		c.ops = append(c.ops, ops...)
		c.entry.Action, c.entry.Detail = "service-account.make", name+": "+string(role)
		return c.put(project, membership{Name: name, Role: role, Since: c.now})
	})
	return name, secret, kind.Wrap("make a service account", err)
}

func newServiceSecret(name string, now time.Time) credential {
	return credential{ID: randomHex(8), Use: serviceSecret, Owner: name, Created: now}
}

// RotateServiceSecret gives a service account that has a role in the project a new
// secret, and returns it; its secrets of before go on for overlap at the most. Kinds:
// Invalid; Forbidden; NotFound.
func (a *Accounts) RotateServiceSecret(ctx context.Context, by dsr.By, project, name string, overlap time.Duration) (secret string, err error) {
	if err := checkOverlap(overlap); err != nil {
		return "", err
	}
	secret = randomHex(32)
	err = a.changing(ctx, by, project, name, func(c *change) error {
		if isHuman(name) || c.was.Role == "" {
			return kind.Say(kind.NotFound, "There is no service account of this name in this project.")
		}
		// Whoever has the secret is the account, wherever it has a role.
		if err := a.reaches(ctx, by, c.all); err != nil {
			return err
		}
		all, err := a.holdings(ctx, personPK(name), serviceSecret)
		if err != nil {
			return err
		}
		if overlap > 0 && live(all, serviceSecret, c.now) >= mostTokens {
			return kind.Say(kind.Conflict, fmt.Sprintf("This service account has %d secrets that work. Wait until one has ended, or rotate without an overlap.", mostTokens))
		}
		if c.ops, err = give(personPK(name), secret, newServiceSecret(c.person.Name, c.now)); err != nil {
			return err
		}
		more, err := replaceAll(all, personPK(name), c.now, overlap)
		c.ops = append(c.ops, more...)
		c.entry.Action, c.entry.Detail = "service-account.rotate", fmt.Sprintf("%s, with the old secret for %v", name, overlap)
		return err
	})
	return secret, kind.Wrap("rotate a secret", err)
}

// reaches returns nil if somebody is an owner or admin wherever another has a role.
func (a *Accounts) reaches(ctx context.Context, by dsr.By, all map[string]membership) error {
	for where := range all {
		power, err := a.power(ctx, by, where)
		if err != nil {
			return err
		}
		if !power.handles() {
			return kind.Say(kind.Forbidden, "This service account has a role also where you are no owner or admin. Ask one of the organisation.")
		}
	}
	return nil
}

// replaceAll makes the operations after which the credentials that work end soon.
func replaceAll(all []held, pk string, now time.Time, overlap time.Duration) ([]table.Op, error) {
	var ops []table.Op
	for _, h := range all {
		if h.ended(now) != "" {
			continue
		}
		h = h.replaced(now, overlap)
		op, err := h.change()
		if err != nil {
			return nil, err
		}
		lead, err := h.lead(pk)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op, lead)
	}
	return ops, nil
}
