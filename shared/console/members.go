package console

import (
	"net/http"
	"strings"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

const (
	projectsPath     = "/projects"
	organisationPath = "/organisation"
	personalPath     = "/personal"

	tokensPath = personalPath + "/tokens"
)

// memberRoutes are the pages about projects, people and what they hold.
var memberRoutes = map[string]page{
	"GET " + personalPath:             signedIn(personal),
	"POST " + tokensPath:              signedIn(makeToken),
	"POST " + tokensPath + "/revoke":  signedIn(revokeToken),
	"POST " + tokensPath + "/replace": signedIn(replaceToken),

	"GET " + projectsPath:                                    signedIn(projects),
	"POST " + projectsPath:                                   signedIn(makeProject),
	"GET " + projectsPath + "/{id}":                          ofProject(showProject),
	"POST " + projectsPath + "/{id}/name":                    ofProject(renameProject),
	"POST " + projectsPath + "/{id}/rotate":                  ofProject(rotateProject),
	"POST " + projectsPath + "/{id}/transfer":                ofProject(transferProject),
	"POST " + projectsPath + "/{id}/settings":                ofProject(settle),
	"POST " + projectsPath + "/{id}/members":                 ofProject(setMember),
	"POST " + projectsPath + "/{id}/members/remove":          ofProject(removeMember),
	"POST " + projectsPath + "/{id}/service-accounts":        ofProject(makeService),
	"POST " + projectsPath + "/{id}/service-accounts/rotate": ofProject(rotateService),
	"GET " + projectsPath + "/{id}/opt-outs":                 ofProject(optOuts),
	"POST " + projectsPath + "/{id}/opt-outs":                ofProject(changeOptOuts),
	"GET " + projectsPath + "/{id}/audit":                    ofProject(trail),
	"POST " + projectsPath + "/{id}/audit":                   ofProject(trail),
	"GET " + projectsPath + "/{id}/audit/entries":            ofProject(downloadTrail),
	"GET " + projectsPath + "/{id}/audit/verify":             ofProject(verifyTrail),
	"GET " + projectsPath + "/{id}/counts":                   ofProject(counts),

	"GET " + organisationPath:                      ofOrganisation(showOrganisation),
	"POST " + organisationPath + "/settings":       ofOrganisation(settle),
	"POST " + organisationPath + "/members":        ofOrganisation(setMember),
	"POST " + organisationPath + "/members/remove": ofOrganisation(removeMember),
	"GET " + organisationPath + "/mail":            ofOrganisation(mails),
	"GET " + organisationPath + "/audit":           ofOrganisation(trail),
	"POST " + organisationPath + "/audit":          ofOrganisation(trail),
	"GET " + organisationPath + "/audit/entries":   ofOrganisation(downloadTrail),
	"GET " + organisationPath + "/audit/verify":    ofOrganisation(verifyTrail),
}

// A place is what people have roles in, and what has settings and a trail: a project, or
// without one the organisation.
type place struct {
	account.Project
	path string
}

// name is how a sentence calls it.
func (p place) name() string {
	if p.ID == "" {
		return "the organisation"
	}
	return "the project " + p.Name
}

// show is its page.
func (p place) show(v *visit) error {
	if p.ID == "" {
		return showOrganisation(v, p)
	}
	return showProject(v, p)
}

// ofProject is a page about the project that its path names, for owners and admins of
// it. Who is none is not told whether there is one of this id.
func ofProject(to func(*visit, place) error) page {
	return signedIn(func(v *visit) error {
		p, err := v.Accounts.Project(v.r.Context(), v.r.PathValue("id"))
		if err != nil && kind.Of(err) != kind.NotFound {
			return err
		}
		if err := v.Accounts.MayHandle(v.r.Context(), v.actor, p, "look after it"); err != nil {
			return err
		}
		if p.ID == "" {
			return kind.Say(kind.NotFound, "There is no project of this id. The list of projects has those that there are.")
		}
		return to(v, place{p, projectsPath + "/" + p.ID})
	})
}

// ofOrganisation is a page about the organisation, for owners and admins of it.
func ofOrganisation(to func(*visit, place) error) page {
	return signedIn(func(v *visit) error {
		if err := v.Accounts.MaySettle(v.r.Context(), v.actor); err != nil {
			return err
		}
		return to(v, place{path: organisationPath})
	})
}

// parts leads to the other pages about a place.
func (v *visit) parts(p place) node {
	ways := [][2]string{{"", "People and settings"}, {"/opt-outs", "Opt-outs"}, {"/counts", "Counts"}, {"/audit", "Audit trail"}}
	if p.ID == "" {
		ways = [][2]string{{"", "People and settings"}, {"/mail", "Sent mail"}, {"/audit", "Audit trail"}}
	}
	return html.Nav(html.Aria("label", "Pages of "+p.name()), html.Ul(gomponents.Map(ways, func(w [2]string) node {
		here := v.r.URL.Path == p.path+w[0] || w[0] != "" && strings.HasPrefix(v.r.URL.Path, p.path+w[0]+"/")
		return html.Li(html.A(html.Href(p.path+w[0]), gomponents.If(here, html.Aria("current", "page")), text(w[1])))
	})))
}

// projects lists those that somebody has a role in.
func projects(v *visit) error {
	standing, err := v.Accounts.Standing(v.r.Context(), v.actor.Name)
	if err != nil {
		return err
	}
	rows := gomponents.Map(standing.Projects, func(p account.Place) node {
		name := text(p.Name)
		if handles(p.Role) {
			name = html.A(html.Href(projectsPath+"/"+p.ID), name)
		}
		return html.Tr(html.Td(name), cell(p.ID), cell(string(p.Role)))
	})
	b := v.blank("project")
	return v.show(v.status(), "Projects",
		table("projects", "Your projects", []string{"Project", "Project id", "Your role"}, rows, "You have a role in no project. Ask an owner or admin of the organisation for one."),
		gomponents.If(!handles(standing.Organisation), say("Owners and admins of a project see its name as a link, and manage it there. New projects are made by owners and admins of the organisation.")),
		gomponents.If(handles(standing.Organisation), gomponents.Group{
			html.H2(text("New project")),
			form(projectsPath, b.problem(), once(), b.line("name", "Name", "", "", html.Required()), button("Make the project")),
		}))
}

// handles reports whether a role makes somebody an owner or admin.
func handles(r account.Role) bool { return r == account.Owner || r == account.Admin }

// makeProject makes one, and shows its token and its secret.
func makeProject(v *visit) error {
	if err := v.Accounts.MaySettle(v.r.Context(), v.actor); err != nil {
		return err
	}
	var made account.NewProject
	err := v.takeOnce(func() (err error) {
		made, err = v.Accounts.MakeProject(v.r.Context(), v.by(), v.r.PostFormValue("name"))
		return err
	})
	if err != nil {
		return v.anew(err, "project", unlessSent(err, "name"), projects)
	}
	return v.showOnce("New project", projectsPath+"/"+made.ID, "The project "+made.Name+" was made. Its id is "+made.ID+".",
		secret{"token", "Project token", made.Token}, secret{"secret", "API secret", made.Secret})
}

// mails lists what was sent.
func mails(v *visit, p place) error {
	found, pages, err := paged(v, pageSize, func(page int) ([]dsr.SentMail, int, error) {
		return v.Service.SentMails(v.r.Context(), page, pageSize)
	})
	if err != nil {
		return err
	}
	var rows []node
	for _, m := range found {
		rows = append(rows, html.Tr(html.Td(moment(m.Sent)), cell(m.To), cell(m.About)))
	}
	return v.show(http.StatusOK, "Sent mail", v.parts(p),
		say("Mail of the last 400 days, newest first, without its links."),
		table("mail", "Messages", []string{"Sent", "To", "About"}, rows, "Nothing was sent."), pages.ways(pageAddress(p.path+"/mail")))
}
