package console

import (
	"net/http"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
)

// home tells somebody who they are here.
func home(v *visit) error {
	standing, err := v.Accounts.Standing(v.r.Context(), v.actor.Name)
	if err != nil {
		return err
	}
	organisation := "You have no role in the organisation as a whole."
	if standing.Organisation != "" {
		organisation = "In the organisation you are " + string(standing.Organisation) + ", and so in every project."
	}
	return v.show(http.StatusOK, "Welcome",
		html.P(text("You are signed in as "), html.Strong(text(v.actor.Name)), text(". A session ends after 8 hours.")),
		say(organisation),
		html.H2(html.ID("projects"), text("Projects")),
		// A wide table is moved by keyboard too.
		html.Div(html.Class("table"), html.TabIndex("0"), html.Role("region"), html.Aria("labelledby", "projects"), html.Table(
			html.THead(html.Tr(column("Project"), column("Id"), column("Your role"))),
			html.TBody(gomponents.Map(standing.Projects, func(p account.Place) node {
				return html.Tr(html.Td(text(p.Name)), html.Td(text(p.ID)), html.Td(text(string(p.Role))))
			})),
		)),
		html.H2(text("Sessions")),
		form(signOutPath, hidden("everywhere", "1"), button("Sign out in every browser", html.Class("second"))))
}

func column(name string) node { return html.Th(html.Scope("col"), text(name)) }
