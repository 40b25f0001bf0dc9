package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// A query says which requests the log shows, as the address of the page has it.
type query struct {
	projects   []account.Place
	project    account.Place
	of         dsr.Type
	compliance dsr.Compliance
	status     string // a dsr.Status or dsr.Only
	sort       string // the name of a column, with "-" before it the other way round
}

const newest = "-created"

const requestsOfPage = 25

// query reads the address of the log. What it does not know there is as if it were not.
func (v *visit) query() (query, error) {
	standing, err := v.Accounts.Standing(v.r.Context(), v.actor.Name)
	if err != nil {
		return query{}, err
	}
	q := query{projects: handled(standing), compliance: dsr.Compliance(v.r.FormValue("compliance")), of: dsr.Type(v.r.FormValue("type")), status: v.r.FormValue("status"), sort: v.r.FormValue("sort")}
	if len(q.projects) == 0 {
		return q, kind.Say(kind.Forbidden, "Only owners and admins of a project or of its organisation may see its requests, and you are neither. Ask one of them to make you one.")
	}
	q.project = q.projects[0]
	if id := v.r.FormValue("project"); id != "" {
		at := slices.IndexFunc(q.projects, func(p account.Place) bool { return p.ID == id })
		if at < 0 {
			return q, kind.Say(kind.NotFound, "You are owner or admin of no project of this id.")
		}
		q.project = q.projects[at]
	}
	if err := v.mayHandle(q.project.Project); err != nil {
		return q, err
	}
	if q.of != dsr.Export && q.of != dsr.Deletion {
		q.of = ""
	}
	if q.compliance != dsr.GDPR && q.compliance != dsr.CCPA {
		q.compliance = ""
	}
	if !slices.ContainsFunc(statusOptions, func(o option) bool { return o.value == q.status }) {
		q.status = ""
	}
	if columnOf(strings.TrimPrefix(q.sort, "-")).compare == nil {
		q.sort = newest
	}
	return q, nil
}

// address is that of the log with another value in the place of one.
func (q query) address(name, value string) string {
	values := url.Values{}
	for _, o := range []option{{"project", q.project.ID}, {"type", string(q.of)}, {"compliance", string(q.compliance)}, {"status", q.status}, {"sort", q.sort}} {
		if o.value == name {
			o.label = value
		}
		if o.label != "" && (o.value != "sort" || o.label != newest) {
			values.Set(o.value, o.label)
		}
	}
	if name == "page" && value != "1" {
		values.Set(name, value)
	}
	return requestsPath + "?" + values.Encode()
}

// A logColumn is a column of the log that it can be sorted by.
type logColumn struct {
	name, label string
	compare     func(a, b dsr.Request) int
}

var logColumns = []logColumn{
	{"task", "Task id", func(a, b dsr.Request) int { return cmp.Compare(a.Task, b.Task) }},
	{"type", "Type", func(a, b dsr.Request) int { return cmp.Compare(a.Type, b.Type) }},
	{"compliance", "Compliance", func(a, b dsr.Request) int { return cmp.Compare(a.Compliance, b.Compliance) }},
	{"count", "Users", func(a, b dsr.Request) int { return cmp.Compare(a.Count, b.Count) }},
	{"created", "Requested", func(a, b dsr.Request) int { return a.Created.Compare(b.Created) }},
	{"due", "Due", func(a, b dsr.Request) int { return a.Due.Compare(b.Due) }},
	{"status", "Status", func(a, b dsr.Request) int { return cmp.Compare(steps[a.Status], steps[b.Status]) }},
}

func columnOf(name string) logColumn {
	for _, c := range logColumns {
		if c.name == name {
			return c
		}
	}
	return logColumn{}
}

// steps is how far a request of a status is, of the four that it has.
var steps = map[dsr.Status]int{dsr.Pending: 1, dsr.Staging: 2, dsr.Started: 3, dsr.Success: 4, dsr.Failure: 5, dsr.Revoked: 6}

var (
	typeNames   = map[dsr.Type]string{dsr.Export: "Export", dsr.Deletion: "Deletion"}
	statusNames = map[dsr.Status]string{
		dsr.Pending: "Accepted", dsr.Staging: "Being prepared", dsr.Started: "At work", dsr.Success: "Completed", dsr.Failure: "Failed", dsr.Revoked: "Cancelled",
	}
	statusOptions = []option{
		{"", "Any"},
		{string(dsr.OnlyOpen), "Open"}, {string(dsr.OnlyOverdue), "Overdue"}, {string(dsr.OnlyBroken), "Broken, to be run again"},
		{string(dsr.Pending), statusNames[dsr.Pending]}, {string(dsr.Staging), statusNames[dsr.Staging]}, {string(dsr.Started), statusNames[dsr.Started]},
		{string(dsr.Success), statusNames[dsr.Success]}, {string(dsr.Failure), statusNames[dsr.Failure]}, {string(dsr.Revoked), statusNames[dsr.Revoked]},
	}
)

// statusOfRequest is how a request stands, in words.
func statusOfRequest(r dsr.Request, now time.Time) string {
	switch {
	case r.Status.Open() && r.Hold != "":
		return "Waits to be confirmed"
	case waits(r, now):
		return "Waits, can be cancelled"
	case r.Broken:
		return "Failed, to be run again"
	}
	return statusNames[r.Status]
}

// waits reports whether a deletion is planned and waits out the time in which it can be
// cancelled.
func waits(r dsr.Request, now time.Time) bool {
	return r.Type == dsr.Deletion && r.Status == dsr.Staging && r.Hold == "" && r.Set != "" && now.Before(r.Window)
}

// progress shows how far an open request is.
func progress(r dsr.Request) node {
	if !r.Status.Open() {
		return nil
	}
	step := strconv.Itoa(steps[r.Status])
	return html.Progress(html.Max("4"), html.Value(step), html.Aria("label", "Step "+step+" of 4"))
}

func (q query) fits(r dsr.Request) bool {
	only := slices.Contains([]string{string(dsr.OnlyOpen), string(dsr.OnlyOverdue), string(dsr.OnlyBroken)}, q.status)
	return (q.of == "" || r.Type == q.of) && (q.compliance == "" || r.Compliance == q.compliance) && (only || q.status == "" || string(r.Status) == q.status)
}

// A listing is a page of the log.
type listing struct {
	requests []dsr.Request
	pages
	whole bool // nothing older was left out
}

// listed reads the page of the log that the address asks for.
func (v *visit) listed(q query) (listing, error) {
	var all []dsr.Request
	var err error
	whole := true
	switch only := dsr.Only(q.status); {
	case only == dsr.OnlyOpen || only == dsr.OnlyOverdue || only == dsr.OnlyBroken:
		all, _, err = v.Service.ListOnly(v.r.Context(), q.project.ID, only, 1, dsr.MostFiltered)
		all = slices.DeleteFunc(all, func(r dsr.Request) bool { return !q.fits(r) })
	case q.sort == newest && q.compliance == "" && q.status == "":
		found, p, err := paged(v, requestsOfPage, func(page int) ([]dsr.Request, int, error) {
			return v.Service.List(v.r.Context(), q.project.ID, q.of, page, requestsOfPage)
		})
		return listing{found, p, true}, err
	default:
		all, whole, err = v.Service.Filter(v.r.Context(), q.project.ID, q.of, q.fits)
	}
	if err != nil {
		return listing{}, err
	}
	by := columnOf(strings.TrimPrefix(q.sort, "-")).compare
	slices.SortStableFunc(all, func(a, b dsr.Request) int {
		if strings.HasPrefix(q.sort, "-") {
			a, b = b, a
		}
		return by(a, b)
	})
	p := pageOf(v, len(all), requestsOfPage)
	return listing{all[p.from:p.to], p, whole}, nil
}

func showLog(v *visit) error {
	q, err := v.query()
	if err != nil {
		return err
	}
	found, err := v.listed(q)
	if err != nil {
		return err
	}
	now, every, open := v.Clock(), 0, 0
	for _, r := range found.requests {
		if r.Status.Open() {
			every = 3
			open++
		}
	}
	return v.show(http.StatusOK, "Requests",
		q.tabs(), q.filters(), q.searcher("", ""),
		updating(v.r.URL.RequestURI(), every, fmt.Sprintf("%d of the requests shown are open", open), html.Div(
			html.H2(html.ID("list"), text("Requests of "+q.project.Name)),
			gomponents.If(len(found.requests) == 0, say("There are none.")),
			gomponents.Iff(len(found.requests) > 0, func() node { return q.list(q.sorters(), found.requests, now) }),
			gomponents.If(!found.whole, say(fmt.Sprintf("Only the newest %d requests were looked through.", dsr.MostFiltered))),
			found.ways(func(n int) string { return q.address("page", strconv.Itoa(n)) }))),
		html.P(html.Class("hint"), text("Times are in UTC; due dates are days in the organisation’s time zone. "), link(v.r.URL.RequestURI(), "Reload")))
}

// tabs tell all requests from those of one type.
func (q query) tabs() node {
	tab := func(of dsr.Type, label string) node {
		return html.Li(html.A(html.Href(q.address("type", string(of))), gomponents.If(q.of == of, html.Aria("current", "true")), text(label)))
	}
	return html.Nav(html.Class("tabs"), html.Aria("label", "Type of request"), html.Ul(tab("", "All"), tab(dsr.Export, "Exports"), tab(dsr.Deletion, "Deletions")))
}

func (q query) filters() node {
	projects := make([]option, len(q.projects))
	for i, p := range q.projects {
		projects[i] = option{p.ID, p.Name + " (" + p.ID + ")"}
	}
	return html.Form(html.Method("get"), html.Action(requestsPath), html.Class("filters"),
		gomponents.If(q.of != "", hidden("type", string(q.of))), gomponents.If(q.sort != newest, hidden("sort", q.sort)),
		html.Div(control{"project", "Project", "", ""}.oneOf(q.project.ID, projects)),
		html.Div(control{"compliance", "Compliance", "", ""}.oneOf(string(q.compliance), []option{{"", "Any"}, {string(dsr.GDPR), "GDPR"}, {string(dsr.CCPA), "CCPA"}})),
		html.Div(control{"status", "Status", "", ""}.oneOf(q.status, statusOptions)),
		button("Show", html.Class("second")))
}

// searcher is the form that finds requests. It is posted, so that no address has the
// identifier.
func (q query) searcher(sought, wrong string) node {
	return html.Form(html.Method("post"), html.Action(searchPath), html.Class("filters"), html.Role("search"), html.AutoComplete("off"),
		hidden("project", q.project.ID),
		html.Div(control{"sought", "Task id, distinct_id or alias", "", wrong}.of(html.Input, html.Type("text"), html.Value(sought))),
		button("Search", html.Class("second")))
}

// search shows the requests of a task id, or of whom an identifier stands for.
func search(v *visit) error {
	q, err := v.query()
	if err != nil {
		return err
	}
	sought := strings.TrimSpace(v.r.PostFormValue("sought"))
	found, err := v.Service.Concerning(v.r.Context(), q.project.ID, sought)
	if kind.Of(err) == kind.Invalid {
		return v.show(http.StatusBadRequest, "Requests", q.searcher(sought, kind.Sentence(err)+" Give the task id of a request, or what a person is known by."))
	}
	if err != nil {
		return err
	}
	switch _, err := v.projectOf(sought); {
	case err == nil && len(found) == 0:
		return v.redirect(requestsPath + "/" + sought)
	case err != nil && kind.Of(err) != kind.NotFound:
		return err
	}
	return v.show(http.StatusOK, "Requests", q.searcher(sought, ""),
		html.H2(html.ID("list"), text("Found in "+q.project.Name)),
		gomponents.If(len(found) == 0, say("There is no request of this task id, and none that concerns this identifier. A request is found by an identifier from a moment after it came in on.")),
		gomponents.Iff(len(found) > 0, func() node {
			return q.list(gomponents.Map(logColumns, func(c logColumn) node { return column(c.label) }), found, v.Clock())
		}),
		html.P(link(q.address("", ""), "All requests of the project")))
}

// sorters are the heads of columns, each of which sorts the log by it.
func (q query) sorters() node {
	return gomponents.Map(logColumns, func(c logColumn) node {
		to, sorted := c.name, ""
		switch q.sort {
		case c.name:
			to, sorted = "-"+c.name, "ascending"
		case "-" + c.name:
			sorted = "descending"
		}
		return html.Th(html.Scope("col"), gomponents.If(sorted != "", html.Aria("sort", sorted)), link(q.address("sort", to), c.label))
	})
}

// list is a table of requests.
func (q query) list(head node, found []dsr.Request, now time.Time) node {
	return scrolled("list", head, gomponents.Map(found, func(r dsr.Request) node {
		kindOf := typeNames[r.Type]
		if r.Disclosure != dsr.Data {
			kindOf += " of " + disclosureNames[r.Disclosure]
		}
		return html.Tr(
			html.Td(html.Class("task"), html.A(html.Href(requestsPath+"/"+r.Task), html.ID("task-"+r.Task), text(r.Task))),
			html.Td(text(kindOf)), html.Td(text(strings.ToUpper(string(r.Compliance)))), html.Td(text(strconv.Itoa(r.Count))),
			html.Td(moment(r.Created)),
			html.Td(onDay(r.Day(r.Due)), gomponents.If(r.Overdue(now), html.Strong(html.Class("warning"), text(" Overdue")))),
			html.Td(text(statusOfRequest(r, now)+" "), progress(r)))
	}))
}

// pageSize is how many entries a page of a list has that nobody sorts.
const pageSize = 50

// pageAddress is where the pages of such a list are.
func pageAddress(path string) func(n int) string {
	return func(n int) string {
		if n == 1 {
			return path
		}
		return path + "?page=" + strconv.Itoa(n)
	}
}

// Pages are where a long list is cut.
type pages struct{ number, all, from, to, total int }

// pageOf is the page that the address asks for, of so many entries.
func pageOf(v *visit, total, size int) pages {
	p := pages{all: max(1, (total+size-1)/size), total: total}
	p.number, _ = strconv.Atoi(v.r.FormValue("page"))
	p.number = min(max(p.number, 1), p.all)
	p.from = (p.number - 1) * size
	p.to = min(p.from+size, total)
	return p
}

// paged reads the page of a list that the address asks for, or the last there is.
func paged[T any](v *visit, size int, list func(page int) ([]T, int, error)) ([]T, pages, error) {
	number, _ := strconv.Atoi(v.r.FormValue("page"))
	found, total, err := list(min(max(number, 1), 1_000_000))
	p := pageOf(v, total, size)
	if len(found) == 0 && total > 0 && err == nil { // beyond the last
		found, _, err = list(p.number)
	}
	return found, p, err
}

// ways leads to the pages around, by their address.
func (p pages) ways(address func(n int) string) node {
	if p.all == 1 {
		return nil
	}
	return html.Nav(html.Class("pages"), html.Aria("label", "Pages"),
		html.P(gomponents.If(p.number > 1, link(address(p.number-1), "Previous page")),
			text(fmt.Sprintf(" Page %d of %d, %d in all ", p.number, p.all, p.total)),
			gomponents.If(p.number < p.all, link(address(p.number+1), "Next page"))))
}
