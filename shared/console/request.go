package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/dsr"
)

func showRequest(v *visit) error {
	project, task, err := v.named()
	if err != nil {
		return err
	}
	return v.showDetail(http.StatusOK, project, task, refusal{})
}

// showDetail shows all there is to tell of a request, and what can be done with it.
func (v *visit) showDetail(status int, project account.Project, task string, refused refusal) error {
	d, err := v.Service.Detail(v.r.Context(), project.ID, task)
	if err != nil {
		return err
	}
	file, err := v.Service.Link(v.r.Context(), d.Request)
	if err != nil {
		return err
	}
	r := shown{visit: v, Detail: d, project: project, ready: file != "", now: v.Clock()}
	return v.show(status, typeNames[d.Type]+" of "+identifiers(d.Count),
		gomponents.If(refused.sentence != "" && !refused.byReason, warn(refused.sentence)),
		r.live(html.Div(
			r.state(), r.actions(), r.facts().list(), r.timeline(), r.findings(), r.extension(refused),
			html.P(html.Class("hint"), text("Times are in UTC; the due date is a day in "+r.zone()+". "), gomponents.If(d.Status.Open(), text("The page updates itself as long as the request is open, where scripts run. ")), link(requestsPath+"/"+task, "Reload")))))
}

// A shown request is one on its page.
type shown struct {
	*visit
	dsr.Detail
	project account.Project
	ready   bool // its file can be downloaded
	now     time.Time
}

func (r shown) zone() string {
	if r.TimeZone == "" {
		return "UTC"
	}
	return r.TimeZone
}

// held reports whether the request waits for somebody to confirm it.
func (r shown) held() bool { return r.Status.Open() && r.Hold != "" }

// cancellable reports whether dsr.Service.Cancel would take a request.
func cancellable(r dsr.Request) bool {
	return r.Status.Open() && r.Status != dsr.Started && !r.Begun() && (r.Type == dsr.Deletion || r.Hold != "")
}

// abandonable reports whether one that broke can be given up.
func abandonable(r dsr.Request) bool { return r.Broken && !r.Begun() }

// inWindow reports whether a deletion waits out the time in which it can be cancelled.
func (r shown) inWindow() bool {
	return waits(r.Request, r.now)
}

// planned reports whether it is known what a deletion would erase: the sum of what was
// found comes after the findings, and is nothing only where all of these are.
func (r shown) planned() bool {
	return !slices.ContainsFunc(r.Findings, func(f dsr.Finding) bool {
		return f.State == "" || r.Planned == (dsr.Tally{}) && f.Events+f.Profiles+f.Edges > 0
	})
}

// live is the part of the page that updates itself.
func (r shown) live(content node) node {
	every := 0
	switch {
	case r.held():
		every = 30
	case r.inWindow() && r.planned():
		every = max(1, min(30, int(r.Window.Sub(r.now)/time.Second)+1))
	case r.Status.Open():
		every = 2
	}
	return updating(r.address(pageOf(r.visit, len(r.Findings), findingsOfPage).number), every, typeNames[r.Type]+": "+statusOfRequest(r.Request, r.now), content)
}

// state is how the request stands, and why.
func (r shown) state() node {
	return gomponents.Group{
		html.P(html.Class("state"), html.Strong(text(statusOfRequest(r.Request, r.now))), progress(r.Request)),
		gomponents.If(r.Reason != "", html.P(html.Class("warning"), text(r.Reason))),
		gomponents.If(r.Overdue(r.now), html.P(html.Class("warning"), text("This request is overdue: the person should have had an answer by "+spoken(r.Day(r.Due))+"."))),
		gomponents.Iff(r.Type == dsr.Deletion && cancellable(r.Request) && r.planned(), r.preview),
		gomponents.If(r.inWindow(), html.P(text("Nothing is erased yet. It can be cancelled until "), when(r.Window), text("; then the deletion begins, and nothing brings the data back."))),
		gomponents.If(r.Type == dsr.Deletion && r.Status.Open() && !cancellable(r.Request), say("The deletion has begun, and can no longer be cancelled.")),
		gomponents.If(r.Withdrawn, html.P(text("The file was withdrawn, because data of a person in it was erased since by "), link(requestsPath+"/"+r.WithdrawnBy, "this deletion"), text(". Make a new request if a copy is needed."))),
		gomponents.If(r.Type == dsr.Export && r.Status == dsr.Success && !r.ready && !r.Withdrawn, say("The file has reached the end of its life and was deleted. Make a new request if a copy is needed.")),
	}
}

func (r shown) preview() node {
	return html.P(text("What would go: "), html.Strong(text(tally(r.Planned))),
		text(fmt.Sprintf(" of %d of %s, %.1f %% of the project’s data.", r.Planned.Subjects, identifiers(r.Count), r.Share)))
}

// actions are what can be done with the request as it stands.
func (r shown) actions() node {
	to := requestsPath + "/" + r.Task
	act := func(name, label string, more ...node) node {
		return form(to+"/"+name, button(label, append(more, html.ID(name))...))
	}
	return html.Div(html.Class("actions"),
		gomponents.If(r.ready, html.P(leads(to+"/download", "Download the file"), text(fmt.Sprintf(" %s, until ", bytesOf(r.ArchiveSize))), when(r.Finished.Add(r.Service.Settings.ArchiveLife)))),
		gomponents.If(r.Type == dsr.Deletion && r.Begun() && !r.Status.Open(), html.P(leads(to+"/certificate", "View the certificate"))),
		gomponents.If(r.held(), act("confirm", "Confirm")),
		gomponents.If(cancellable(r.Request), act("cancel", "Cancel the "+string(r.Type), html.Class("second"))),
		gomponents.If(r.Status == dsr.Failure && !r.IDsGone, act("rerun", "Run again")),
		gomponents.If(abandonable(r.Request), gomponents.Group{
			say("Giving it up says that it is not to be completed: nobody is reminded of it any more."),
			act("cancel", "Give up", html.Class("second"))}),
	)
}

func (r shown) facts() facts {
	f := facts{
		{"Task id", html.Code(text(r.Task))},
		{"Project", text(r.project.Name + " (" + r.project.ID + ")")},
		{"Compliance", text(strings.ToUpper(string(r.Compliance)))},
		{"Disclosure type", text(disclosureNames[r.Disclosure])},
		{"Requested", gomponents.Group{when(r.Created), text(" by " + r.Requester)}},
		{"Due", onDay(r.Day(r.Due))},
	}
	add := func(is bool, name string, value node) {
		if is {
			f = append(f, fact{name, value})
		}
	}
	add(!r.AcknowledgeBy.IsZero(), "Receipt to be confirmed to the person by", onDay(r.Day(r.AcknowledgeBy)))
	add(r.Extension != "", "Extended, because", text(r.Extension))
	add(r.SubjectRequestID != "", "Your own name of it", html.Code(text(r.SubjectRequestID)))
	add(r.Type == dsr.Export && r.Compliance == dsr.CCPA, "Events", text(periodOf(r.Period)))
	add(r.Type == dsr.Export && !r.Limit.IsZero(), "Received until", when(r.Limit))
	add(r.Begun(), "Erased is what was received or happened until", when(r.Limit))
	add(r.Block, "Opted out of everything to come", text("Yes"))
	add(r.Confirmed != "", "Confirmed by", text(r.Confirmed))
	add(r.Before != (dsr.Tally{}), map[dsr.Type]string{dsr.Export: "In the file", dsr.Deletion: "Erased"}[r.Type], text(tally(r.Before)))
	add(r.Restored != (dsr.Tally{}), "Erased again after a backup was restored", text(tally(r.Restored)))
	add(r.Manifest != "", "SHA-256 of the file’s manifest.json", html.Code(text(r.Manifest)))
	return f
}

func (r shown) timeline() node {
	stands := statusOfRequest(r.Request, r.now)
	return gomponents.Group{
		html.H2(text("What happened")),
		html.Ol(html.Class("timeline"), gomponents.Map(r.Timeline, func(c dsr.Change) node {
			return html.Li(when(c.Time), text(" "+statusNames[c.Status]+" "), html.Code(text(string(c.Status))))
		}), gomponents.If(r.Status.Open() && stands != statusNames[r.Status], html.Li(text("Now: "+stands)))),
	}
}

const (
	// findingsOfPage is how many identifiers a page of findings has, and mostNamed how
	// many others it names with one.
	findingsOfPage = 100
	mostNamed      = 20
)

// findings are what was found for each identifier, a page of them.
func (r shown) findings() node {
	p := pageOf(r.visit, len(r.Findings), findingsOfPage)
	head := gomponents.Group{column("No."), column("Identifier"), column("Found"), column("By source")}
	return gomponents.Group{
		html.H2(html.ID("findings"), text("What was found")),
		gomponents.If(r.IDsGone, say("The identifiers were removed a set time after the request had ended. Each is named by its mark, as in a certificate.")),
		scrolled("findings", head, gomponents.Map(r.Findings[p.from:p.to], func(f dsr.Finding) node {
			return html.Tr(html.Td(text(strconv.Itoa(f.Position))), html.Td(identified(f)), html.Td(text(stateOf(f.State))),
				html.Td(gomponents.Map(f.Sources, func(s dsr.SourceFinding) node {
					return html.Div(text(s.Name + ": " + tally(dsr.Tally{Events: s.Events, Profiles: s.Profiles, Edges: s.Edges})))
				})))
		})),
		p.ways(r.address),
	}
}

// address is that of the page, with a page of its findings.
func (r shown) address(page int) string { return pageAddress(requestsPath + "/" + r.Task)(page) }

// identified is an identifier with the others of the same person.
func identified(f dsr.Finding) node {
	if f.Mark != "" {
		return html.Code(text(f.Mark))
	}
	var others []string
	for _, id := range f.Resolved {
		if id != f.DistinctID {
			others = append(others, id)
		}
	}
	left := len(others) - mostNamed
	others = others[:min(len(others), mostNamed)]
	return gomponents.Group{
		html.Code(text(f.DistinctID)),
		gomponents.Iff(len(others) > 0, func() node {
			return html.Div(text("the same person as "), gomponents.Map(others, func(id string) node {
				return gomponents.Group{html.Code(text(id)), text(" ")}
			}), gomponents.If(left > 0, text(fmt.Sprintf("and %d more", left))))
		}),
		gomponents.If(f.NotFollowedCount > 0, html.Div(text(fmt.Sprintf("linked with %d identifiers of other people, which were left alone", f.NotFollowedCount)))),
		gomponents.If(f.Alone, html.Div(html.Class("warning"), text("linked with more identifiers than one person can have, so it was looked for by itself"))),
	}
}

func stateOf(s string) string {
	switch s {
	case "":
		return "Not looked for yet"
	case "found":
		return "Found"
	}
	return "Nothing found"
}

// extension is the form that moves the due date, as long as that is possible.
func (r shown) extension(refused refusal) node {
	if !r.Status.Open() || r.Extension != "" || r.Overdue(r.now) {
		return nil
	}
	wrong := ""
	if refused.byReason {
		wrong = refused.sentence
	}
	return gomponents.Group{
		html.H2(text("More time")),
		say("The law lets you extend the due date once: by two months under the GDPR, by 45 days under the CCPA. The person has to be told why before it is due."),
		form(requestsPath+"/"+r.Task+"/extension",
			control{"reason", "Why more time is needed", "It is what the person is told. It is kept with the request: do not name the person.", wrong}.of(html.Input, html.Type("text"), html.Value(refused.reason)),
			button("Extend the due date", html.Class("second"))),
	}
}

// tally is what was found in words. An export counts no links.
func tally(t dsr.Tally) string {
	words := []string{count(int(t.Events), "event", "events"), count(int(t.Profiles), "profile", "profiles")}
	if t.Edges > 0 {
		words = append(words, count(int(t.Edges), "link between identifiers", "links between identifiers"))
	}
	return strings.Join(words, ", ")
}

func bytesOf(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}

// periodOf is when events happened that an export has.
func periodOf(p dsr.Period) string {
	day := func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
	switch {
	case p == dsr.Period{}:
		return "Of any time"
	case p.From.IsZero():
		return "Until " + day(p.To)
	case p.To.IsZero():
		return "From " + day(p.From) + " on"
	}
	return "From " + day(p.From) + " until " + day(p.To)
}
