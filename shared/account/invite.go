package account

import (
	"context"
	"crypto/rand"
	"strings"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// Invite mails a person whom SetMember told to be new, in a project or with the zero
// Project in the organisation, how to sign in; url makes an address of what a link holds.
// They have the role also if that fails: they can ask for a link by themselves. Kinds:
// Throttled, with a *dsr.LimitError, for an address that was mailed too often; else as of
// MakeLink and dsr.Sender.
func (a *Accounts) Invite(ctx context.Context, by dsr.By, to dsr.Sender, url func(link string) string, p Project, name string, role Role) error {
	if err := a.TakeMail(ctx, name, ""); err != nil {
		return err
	}
	link, err := a.MakeLink(ctx, by, name)
	if err != nil {
		return err
	}
	where := "the organisation"
	if p.ID != "" {
		where = "the project " + p.Name
	}
	address := url(link)
	page, _, _ := strings.Cut(address, "?")
	return kind.Wrap("mail an invitation", to.Send(ctx, dsr.Message{
		ID: "invitation-" + rand.Text(), To: name, Subject: "You are invited to Lethe",
		Text: by.Actor + " gave you the role " + string(role) + " in " + where + ".\n\n" +
			"This link signs you in, once, within 15 minutes:\n\n" + address + "\n\n" +
			"Later, ask for another one at " + page + " with this mail address.\n",
	}))
}
