package console

import (
	"strings"

	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/kind"
)

// showProject is what there is to manage of a project.
func showProject(v *visit, p place) error {
	members, err := v.Accounts.Members(v.r.Context(), p.ID)
	if err != nil {
		return err
	}
	rules, err := v.Accounts.Rules(v.r.Context(), p.ID)
	if err != nil {
		return err
	}
	rename, transfer := v.blank("rename"), v.blank("transfer")
	return v.show(v.status(), p.Name, v.parts(p), v.news(v.memberNews()),
		html.Dl(
			html.Div(html.Dt(text("Project id")), html.Dd(text(p.ID))),
			html.Div(html.Dt(text("Made")), html.Dd(text(day(p.Created)))),
			html.Div(html.Dt(text("Project token")), html.Dd(html.Code(text(p.Token)), text(" – no secret: it stands in every page and app that sends data"))),
		),
		v.people(p, members),
		v.settings(p, projectSettings, rules),
		html.H2(text("Token and secret")),
		say("Rotate them if they came into other hands, or if somebody left who knew the API secret."),
		html.Div(html.Class("row"),
			form(p.path+"/rotate", hidden("what", string(account.PartToken)), button("Rotate the project token", html.Class("second"))),
			form(p.path+"/rotate", hidden("what", string(account.PartSecret)), button("Rotate the API secret", html.Class("second")))),
		html.H2(text("Name")),
		form(p.path+"/name", rename.line("name", "Name of the project", "", p.Name, html.Required()), button("Rename")),
		html.H2(text("Transfer")),
		form(p.path+"/transfer", transfer.line("to", "Mail address of the new owner", "Who owns the project now becomes an admin of it.", "", html.Type("email"), html.Required()), button("Transfer", html.Class("second"))))
}

func renameProject(v *visit, p place) error {
	if _, err := v.Accounts.RenameProject(v.r.Context(), v.by(), p.ID, v.r.PostFormValue("name")); err != nil {
		return v.anew(err, "rename", "name", p.show)
	}
	return v.done(p.path, "renamed")
}

// rotateProject gives a project another token or API secret, and shows it.
func rotateProject(v *visit, p place) error {
	part := account.Part(v.r.PostFormValue("what"))
	label, title, consequence := "API secret", "Rotate the API secret", "Programs that import by the old API secret go on for the days that you give, and are refused from then on, for good."
	if part == account.PartToken {
		label, title, consequence = "Project token", "Rotate the project token", "Pages and apps that send the old token go on for the days that you give. What they send later is refused and lost: apps that nobody updates go on sending it."
	}
	ask := func(v *visit) error {
		return v.ask(title, "Make a new one", p.path, []string{consequence}, hidden("what", string(part)), once(), v.blank("rotate").overlap())
	}
	if !v.sure() {
		return ask(v)
	}
	var made string
	overlap, err := v.overlap()
	if err == nil {
		err = v.takeOnce(func() (err error) {
			_, made, err = v.Accounts.RotateProject(v.r.Context(), v.by(), p.ID, part, overlap)
			return err
		})
	}
	if err != nil {
		return v.anew(err, "rotate", "overlap_days", ask)
	}
	return v.showOnce("New "+strings.ToLower(label[:1])+label[1:], p.path, "It takes the place of the old one in the project "+p.Name+".", secret{"secret", label, made})
}

// transferProject makes somebody its owner.
func transferProject(v *visit, p place) error {
	to := strings.TrimSpace(v.r.PostFormValue("to"))
	if err := account.CheckMail(to); err != nil {
		return v.anew(err, "transfer", "to", p.show)
	}
	if !v.sure() {
		return v.ask("Transfer the project", "Transfer", p.path, []string{
			to + " becomes the owner of the project " + p.Name + ". Who owns it now becomes an admin of it at once, and can then neither make nor change its owners.",
			"Only the new owner, or an owner of the organisation, can undo that.",
			"Look whether the address is written right. Whoever has no role here yet is invited.",
		}, hidden("to", to))
	}
	invitation, err := v.Accounts.TransferProject(v.r.Context(), v.by(), p.ID, to, true)
	if err != nil && kind.Of(err) != kind.Forbidden {
		return v.anew(err, "transfer", "to", p.show)
	}
	if err != nil {
		return err
	}
	return v.given(p, invitation, "transferred")
}
