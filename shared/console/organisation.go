package console

import (
	"maragu.dev/gomponents/html"

	"lethe/shared/dsr"
)

// showOrganisation is what there is to manage of the organisation.
func showOrganisation(v *visit, p place) error {
	members, err := v.Accounts.Members(v.r.Context(), "")
	if err != nil {
		return err
	}
	settled, err := v.Accounts.Organisation(v.r.Context())
	if err != nil {
		return err
	}
	return v.show(v.status(), "Organisation", v.parts(p), v.news(v.memberNews()),
		v.people(p, members),
		v.settings(p, organisationSettings, dsr.Rules{Organisation: settled, Project: dsr.Defaults().Project}),
		html.H2(text("Reminders")),
		say("Nothing is to be set: who has a GDPR token is reminded 30, 14, 7 and 1 days before it ends and on the day, and who handles requests 14, 7, 3 and 1 days before one is due and on the day. Days are those of the time zone above."))
}
