package console

import (
	"net/http"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
)

// home is where a request begins, and tells somebody who they are here.
func home(v *visit) error {
	standing, err := v.Accounts.Standing(v.r.Context(), v.actor.Name)
	if err != nil {
		return err
	}
	organisation := "You have no role in the organisation as a whole."
	if standing.Organisation != "" {
		organisation = "In the organisation you are " + string(standing.Organisation) + ", and so in every project."
	}
	cards := say("Owners and admins of a project make requests for it. You are neither in any project: ask one of them, or an owner or admin of the organisation.")
	if len(handled(standing)) > 0 {
		cards = html.Div(html.Class("cards"),
			card("Export user data from a project", "A copy of what a project holds of one person or of several, as a file to hand over: access and portability.", exportPath, "Export user data"),
			card("Delete user data from a project", "The erasure of what a project holds of one person or of several, with a certificate: the right to be forgotten.", deletionPath, "Delete user data"))
	}
	return v.show(http.StatusOK, "Data & Privacy",
		cards,
		html.H2(text("You")),
		html.P(text("You are signed in as "), html.Strong(text(v.actor.Name)), text(". A session ends after 8 hours. To end all of them now, go to your "), link(personalPath, "personal settings"), text(".")),
		say(organisation),
		html.H3(html.ID("projects"), text("Your projects")),
		scrolled("projects", gomponents.Group{column("Project"), column("Project id"), column("Your role")},
			gomponents.Map(standing.Projects, func(p account.Place) node {
				return html.Tr(html.Td(text(p.Name)), html.Td(text(p.ID)), html.Td(text(string(p.Role))))
			})))
}

func card(title, what, to, label string) node {
	return html.Section(html.Class("card"), html.H2(text(title)), say(what), html.P(leads(to, label)))
}

// handled are the projects whose requests somebody may make and see.
func handled(s account.Standing) (projects []account.Place) {
	for _, p := range s.Projects {
		if handles(p.Role) {
			projects = append(projects, p)
		}
	}
	return projects
}
