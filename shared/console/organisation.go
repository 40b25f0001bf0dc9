package console

import (
	"net/url"
	"strconv"

	"maragu.dev/gomponents"
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

// pageSize is how many rows a page of a list has.
const pageSize = 50

// page is the number of the page of a list that is asked for, from 1.
func (v *visit) page() int {
	n, err := strconv.ParseInt(v.r.URL.Query().Get("page"), 10, 32)
	if err != nil || n < 1 {
		return 1
	}
	return int(min(n, 1e6))
}

// pages leads to the pages before and after one of a list.
func (v *visit) pages(path string, at, total int) node {
	last := max(1, (total+pageSize-1)/pageSize)
	if last == 1 && at == 1 {
		return nil
	}
	to := func(label string, n int) node {
		return html.Li(html.A(html.Href(path+"?"+url.Values{"page": {strconv.Itoa(n)}}.Encode()), text(label)))
	}
	return html.Nav(html.Aria("label", "Pages of the list"), html.Ul(
		gomponents.If(at > 1, to("Newer", min(at-1, last))),
		html.Li(text("Page "+strconv.Itoa(at)+" of "+strconv.Itoa(last))),
		gomponents.If(at < last, to("Older", at+1))))
}
