package console

import (
	"strings"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/kind"
)

// Roles, as a person and as a program can have them.
var (
	roles        = []string{string(account.Consumer), string(account.Analyst), string(account.Admin), string(account.Owner)}
	serviceRoles = roles[:3]
)

// rolesSentence tells them apart.
const rolesSentence = "A consumer signs in and sees which projects there are for them; an analyst also imports data; an admin handles requests, opt-outs, people and settings; an owner also makes and changes owners."

// people is the part of a page that is about who has a role in a place.
func (v *visit) people(p place, members []account.Member) node {
	persons, programs := []node{}, []node{}
	left := v.blank("member").wrong("")
	for _, m := range members {
		wrong := ""
		if strings.EqualFold(v.r.PostFormValue("name"), m.Name) {
			wrong, left = left, ""
		}
		row := v.memberRow(p, m, wrong)
		if m.Service {
			programs = append(programs, row)
		} else {
			persons = append(persons, row)
		}
	}
	about := "A role in the organisation holds in every project. Who is removed here loses the roles in all projects too."
	if p.ID != "" {
		about = "Whoever has a role in the organisation has it here too, and is listed there."
	}
	invite := v.blank("invite")
	columns := []string{"Name", "Role", "Since"}
	content := gomponents.Group{
		table("members", "Members", columns, persons, "Nobody has a role in "+p.name()+" alone."),
		refused(left), // of who has no row
		say(about),
		html.H2(text("Invite somebody")),
		say(v.inviteSentence()),
		form(p.path+"/members",
			invite.line("name", "Mail address", "", "", html.Type("email"), html.Required()),
			invite.choice("role", "Role", rolesSentence, string(account.Analyst), roles...), button("Invite")),
	}
	if p.ID == "" {
		if len(programs) > 0 {
			content = append(content, table("programs", "Service accounts", columns, programs, ""))
		}
		return content
	}
	service := v.blank("service")
	return append(content,
		table("programs", "Service accounts", columns, programs, "There is no service account. Programs import data, or call the API, by one."),
		html.H2(text("New service account")),
		form(p.path+"/service-accounts", service.problem(), once(),
			service.line("label", "Name", "2 to 40 small letters, digits and hyphens. Lethe adds to it, so that it is like no other.", "", html.Required()),
			service.choice("role", "Role", "An analyst can import data; an admin can also call the API.", string(account.Analyst), serviceRoles...), button("Make the service account")))
}

// memberRow is one of them, with what can be changed. Wrong is why a change was not taken.
func (v *visit) memberRow(p place, m account.Member, wrong string) node {
	words := roles
	if m.Service {
		words = serviceRoles
	}
	whose := " of " + m.Name
	changes := []node{form(p.path+"/members", hidden("name", m.Name), hidden("row", "1"),
		html.Select(html.Name("role"), html.Aria("label", "Role"+whose), options(string(m.Role), words)), button("Change", html.Class("second"), html.Aria("label", "Change the role"+whose)))}
	if m.Service && p.ID != "" {
		changes = append(changes, form(p.path+"/service-accounts/rotate", hidden("name", m.Name), button("Rotate", html.Class("second"), html.Aria("label", "Rotate the secret"+whose))))
	}
	changes = append(changes, form(p.path+"/members/remove", hidden("name", m.Name), button("Remove", html.Class("second"), html.Aria("label", "Remove "+m.Name))))
	return html.Tr(changeable(gomponents.Group{text(m.Name), refused(wrong)}, changes...), cell(string(m.Role)), dayOf(m.Since))
}

func (v *visit) inviteSentence() string {
	if !v.Mails {
		return "This server mails nobody. Whoever is new gets a link to sign in from whoever administers it, by the command " + v.LinkCommand + "."
	}
	return "Whoever is new is mailed a link to sign in."
}

// memberNews is what a change of members says on the page that follows.
func (v *visit) memberNews() map[string]string {
	return map[string]string{
		"changed": "The role was given. It holds from now on.", "removed": "The role was taken away.",
		string(account.Invited):    "The role was given, and an invitation is on its way.",
		string(account.Withheld):   "The role was given, but no invitation was mailed: too many went to this address lately. Tell the person to ask for a link on the page for signing in, in ten minutes.",
		string(account.Unmailable): "The role was given, but no invitation was mailed: mail can be sent to addresses of ASCII characters alone. Whoever administers Lethe makes a link to sign in by the command " + v.LinkCommand + ".",
		"unmailed":                 "The role was given. This server mails nobody: whoever administers Lethe makes a link to sign in by the command " + v.LinkCommand + ".",
		"renamed":                  "The project has its new name.", "settled": "The settings were changed.", "same": "Nothing was changed.",
		"transferred": "The project has a new owner.",
	}
}

// setMember gives somebody a role, and invites who is new.
func setMember(v *visit, p place) error {
	name, role := strings.TrimSpace(v.r.PostFormValue("name")), account.Role(v.r.PostFormValue("role"))
	invitation, err := v.Accounts.SetMember(v.r.Context(), v.by(), p.ID, name, role)
	if err != nil && v.r.PostFormValue("row") != "" {
		return v.anew(err, "member", "", p.show)
	}
	if err != nil {
		field := "role"
		if kind.Of(err) == kind.NotFound || strings.Contains(name, "@") && account.CheckMail(name) != nil {
			field = "name"
		}
		return v.anew(err, "invite", field, p.show)
	}
	return v.given(p, invitation, "changed")
}

// given leads to the page that says that a role was given, and what became of the
// invitation; without one it says what was done.
func (v *visit) given(p place, invitation account.Invitation, done string) error {
	switch {
	case invitation == account.Uninvited:
		return v.done(p.path, done)
	case !v.Mails:
		return v.done(p.path, "unmailed")
	}
	return v.done(p.path, string(invitation))
}

// removeMember takes somebody's role away.
func removeMember(v *visit, p place) error {
	name := v.r.PostFormValue("name")
	if !v.sure() {
		where := p.name()
		if p.ID == "" {
			where += ", and those in all of its projects,"
		}
		title, ends := "Remove a member", "all sessions and GDPR tokens, for good: an invitation later brings none of them back. Requests that were submitted go on."
		if !strings.Contains(name, "@") {
			title, ends = "Remove a service account", "its secrets, for good. Programs that use them are refused from then on."
		}
		return v.ask(title, "Remove", p.path, []string{name + " loses the role in " + where + " at once.", "With the last role go " + ends}, hidden("name", name))
	}
	if _, err := v.Accounts.RemoveMember(v.r.Context(), v.by(), p.ID, name); err != nil {
		return v.anew(err, "member", "", p.show)
	}
	return v.done(p.path, "removed")
}

// makeService makes a program's account and shows its secret.
func makeService(v *visit, p place) error {
	var name, made string
	err := v.takeOnce(func() (err error) {
		name, made, err = v.Accounts.MakeServiceAccount(v.r.Context(), v.by(), p.ID, v.r.PostFormValue("label"), account.Role(v.r.PostFormValue("role")))
		return err
	})
	if err != nil {
		return v.anew(err, "service", unlessSent(err, "label"), p.show)
	}
	return v.showService(p, "New service account", name, made)
}

func (v *visit) showService(p place, title, name, made string) error {
	return v.showOnce(title, p.path, "A program proves who it is by HTTP Basic, with the name and the secret.",
		secret{"name", "Name", name}, secret{"secret", "Secret", made})
}

// rotateService gives it another secret.
func rotateService(v *visit, p place) error {
	name := v.r.PostFormValue("name")
	ask := func(v *visit) error {
		return v.ask("Rotate a secret", "Make the new secret", p.path, []string{
			"A new secret takes the place of the one of " + name + ". The old one goes on for the days that you give, to change programs over, and then ends for good.",
		}, hidden("name", name), once(), v.blank("rotate").overlap())
	}
	if !v.sure() {
		return ask(v)
	}
	var made string
	overlap, err := v.overlap()
	if err == nil {
		err = v.takeOnce(func() (err error) {
			made, err = v.Accounts.RotateServiceSecret(v.r.Context(), v.by(), p.ID, name, overlap)
			return err
		})
	}
	if kind.Of(err) == kind.NotFound || kind.Of(err) == kind.Forbidden {
		return err
	}
	if err != nil {
		return v.anew(err, "rotate", "overlap_days", ask)
	}
	return v.showService(p, "New secret", name, made)
}
