package console

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/dsr"
)

// path is where a form is and is sent to, and title its heading.
func (a *ask) path() string {
	if a.of == dsr.Deletion {
		return deletionPath
	}
	return exportPath
}

func (a *ask) title() string {
	if a.of == dsr.Deletion {
		return "Delete user data"
	}
	return "Export user data"
}

// showAsk shows the form, with what was typed and what to change.
func (v *visit) showAsk(status int, a *ask) error {
	return v.show(status, a.title(), a.told(),
		html.Form(html.Method("post"), html.Action(a.path()), html.EncType("multipart/form-data"), html.AutoComplete("off"),
			hidden("key", a.key),
			a.where(), a.law(),
			gomponents.Iff(a.of == dsr.Export, a.windowOf),
			gomponents.Iff(a.of == dsr.Deletion, a.blocks),
			control{"subject_request_id", "Your own name of the request (optional)", "A UUID of version 4 (subject_request_id), by which your other systems know this request.", a.wrong["subject_request_id"]}.
				of(html.Input, html.Type("text"), html.Value(a.subject)),
			a.whom(),
			a.buttons()))
}

// told is what stands above a form: a token that was made, and why it was not submitted.
func (a *ask) told() node {
	return gomponents.Group{
		gomponents.If(a.refused != "", warn(a.refused)),
		gomponents.If(len(a.wrong) > 0, warn("Nothing was submitted yet. What to change stands beside it below.")),
		gomponents.Iff(a.token != "", a.tokenOnce),
	}
}

func (a *ask) tokenOnce() node {
	return html.Section(html.Class("card"),
		html.H2(text("Your GDPR token")),
		say("Your token was made. It is shown here once, and nobody can read it again: copy it now if a program is to use it. Lethe needs nothing more of you, and your personal settings list and revoke tokens."),
		secret{"token", "GDPR token", a.token}.node())
}

func (a *ask) where() node {
	options := []option{{"", "Choose a project"}}
	for _, p := range a.projects {
		options = append(options, option{p.ID, p.Name + " (" + p.ID + ")"})
	}
	return control{"project", "Project", "Those of which you are owner or admin. If one is missing, ask an owner or admin of it, or of the organisation, to make you one.", a.wrong["project"]}.
		oneOf(a.project.ID, options)
}

func (a *ask) law() node {
	return gomponents.Group{
		control{"compliance", "Compliance", "", a.wrong["compliance"]}.radios(string(a.compliance), []option{
			{string(dsr.GDPR), "GDPR – to be answered by " + spoken(a.due[dsr.GDPR])},
			{string(dsr.CCPA), "CCPA – to be answered by " + spoken(a.due[dsr.CCPA])},
		}),
		html.Div(html.Class("ccpa"), control{"disclosure", "Disclosure type", "Only for the CCPA; under the GDPR it is always Data. " + a.disclosures(), a.wrong["disclosure"]}.
			oneOf(string(a.disclosure), []option{
				{string(dsr.Data), "Data"}, {string(dsr.Categories), "Categories"}, {string(dsr.Sources), "Sources"},
			})),
	}
}

func (a *ask) disclosures() string {
	if a.of == dsr.Deletion {
		return "Data removes every record. Categories leaves bare events that lead to nobody. Sources removes only where the data came from."
	}
	return "Data is every record. Categories is what kinds of data there are. Sources is where the data came from."
}

func (a *ask) windowOf() node {
	day := func(name, label, value string) node {
		return control{name, label, "", a.wrong[name]}.of(html.Input, html.Type("date"), html.Value(value))
	}
	return html.Div(html.Class("ccpa"), control{"window", "When the events happened", "Only for the CCPA; under the GDPR the export holds all there is. Profiles are always in it.", a.wrong["window"]}.
		radios(a.window, []option{{windowYear, "In the last 12 months"}, {windowAll, "At any time"}, {windowDays, "From a day to a day (UTC)"}},
			html.Div(html.Class("days"), html.Div(day("from", "From", a.from)), html.Div(day("to", "To", a.to)))))
}

func (a *ask) blocks() node {
	return html.Div(html.Class("choice"),
		html.Input(html.Type("checkbox"), html.ID("block"), html.Name("block"), html.Value("1"), gomponents.If(a.block, html.Checked()), html.Aria("describedby", "block-hint")),
		html.Label(html.For("block"), text("Opt them out of everything to come")),
		html.P(html.Class("hint"), html.ID("block-hint"), text("Data of these people that is sent after the deletion is then dropped, until somebody opts them in again.")))
}

// whom asks for a single identifier or a file with several, and shows what came in one.
func (a *ask) whom() node {
	return gomponents.Group{
		html.H2(text("Who it is about")),
		control{"id", "A single user", "The distinct_id or an alias, exactly as it was sent. Everything that is known to be the same person goes with it.", a.wrong["id"]}.
			of(html.Input, html.Type("text"), html.Value(a.id)),
		gomponents.If(a.column != "", a.several("Identifiers, one on each line", "As they came in the file. You can correct them here.")),
		a.lines(),
		control{"file", "Or several users, as a CSV file", "One column, with or without a header, in UTF-8; 2000 identifiers at most. Nothing is submitted as long as a line cannot be used.", a.wrong["file"]}.
			of(html.Input, html.Type("file"), html.Accept(".csv,.txt,text/csv,text/plain")),
	}
}

// several are the identifiers of a file.
func (a *ask) several(label, hint string, attributes ...node) node {
	// The line end is the one that browsers drop at the beginning.
	attributes = append(attributes, html.Rows("8"), unspelled, text("\n"+a.column))
	return control{"column", label, hint, a.wrong["column"]}.of(html.Textarea, attributes...)
}

// mostLines is how many bad lines a page names.
const mostLines = 2000

func (a *ask) lines() node {
	if len(a.list.Bad) == 0 {
		return nil
	}
	bad := a.list.Bad[:min(len(a.list.Bad), mostLines)]
	return html.Ul(html.Class("warning"), gomponents.Map(bad, func(b dsr.BadLine) node {
		return html.Li(text(fmt.Sprintf("Line %d %s.", b.Number, b.Reason)))
	}), gomponents.If(len(bad) < len(a.list.Bad), html.Li(text(fmt.Sprintf("And %d more lines.", len(a.list.Bad)-len(bad))))))
}

// buttons are those of the form; for a deletion it is confirmed on another page.
func (a *ask) buttons() node {
	if a.of == dsr.Deletion {
		return gomponents.Group{
			html.P(html.Class("hint"), text(withdraws)),
			press(stepCheck, "Continue"),
		}
	}
	return a.last("Export the data", "Make my token and export the data")
}

const withdraws = "When the deletion is done, undownloaded exports of these people are withdrawn: nobody can download them any more."

// last are the buttons that submit: where there is no token that works, one that makes it
// first.
func (a *ask) last(label, withToken string) node {
	if !a.tokenless {
		return press(stepSubmit, label)
	}
	return gomponents.Group{
		html.H2(text("Your GDPR token")),
		say("To submit a request you need a GDPR token of your own, as programs do, and you have none that works. The button makes one and shows it once, on the next page."),
		press(stepToken, withToken),
	}
}

func press(step, label string) node {
	return button(label, html.Name("step"), html.Value(step))
}

// showConfirm shows a deletion that is as it has to be, and asks for the number of
// identifiers.
func (v *visit) showConfirm(status int, a *ask) error {
	n := len(a.list.IDs)
	facts := facts{
		{"Project", text(a.project.Name + " (" + a.project.ID + ")")},
		{"Compliance", text(strings.ToUpper(string(a.compliance)))},
		{"Disclosure type", text(disclosureNames[a.disclosure])},
		{"To be answered by", text(spoken(a.due[a.compliance]))},
		{"Opted out of everything to come", text(yesNo(a.block))},
	}
	if a.column == "" {
		facts = append(facts, fact{"Identifier", html.Code(text(a.list.IDs[0]))})
	}
	if a.subject != "" {
		facts = append(facts, fact{"Your own name of the request", text(a.subject)})
	}
	if a.list.Header != "" {
		facts = append(facts, fact{"First line, taken for a header", text(a.list.Header)})
	}
	if a.list.Again > 0 {
		facts = append(facts, fact{"Lines that repeat an identifier", text(fmt.Sprint(a.list.Again))})
	}
	return v.show(status, "Delete user data: confirm", a.toldOfConfirm(),
		html.P(text("You are about to delete the data of "), html.Strong(text(identifiers(n))), text(".")),
		facts.list(),
		say(v.canBeCancelled()), say(withdraws),
		html.Form(html.Method("post"), html.Action(a.path()), html.EncType("multipart/form-data"), html.AutoComplete("off"),
			hidden("key", a.key), hidden("project", a.project.ID), hidden("compliance", string(a.compliance)), hidden("disclosure", string(a.disclosure)),
			hidden("subject_request_id", a.subject), gomponents.If(a.block, hidden("block", "1")), hidden("id", a.id),
			gomponents.If(a.column != "", a.several("Identifiers", "As they came in the file. “Change something” lets you correct them.", html.ReadOnly())),
			control{"count", fmt.Sprintf("Type %d, the number of identifiers, to confirm", n), "", a.wrong["count"]}.
				of(html.Input, html.Type("text"), digits, html.Value(a.count)),
			a.last("Delete the data of "+identifiers(n), "Make my token and delete the data of "+identifiers(n)),
			html.P(button("Change something", html.Name("step"), html.Value(stepChange), html.Class("second")))))
}

// toldOfConfirm is told, without what stands beside the only control there is.
func (a *ask) toldOfConfirm() node {
	return gomponents.Group{gomponents.If(a.refused != "", warn(a.refused)), gomponents.Iff(a.token != "", a.tokenOnce)}
}

// canBeCancelled says for how long a deletion can be.
func (v *visit) canBeCancelled() string {
	if v.Service.Settings.CancelWindow <= 0 {
		return "Once it is submitted it begins at once, and cannot be cancelled."
	}
	return "For " + lasting(v.Service.Settings.CancelWindow) + " after it is submitted the deletion can be cancelled on its page, which shows what would go. Then nothing brings the data back."
}

// showSubmitted shows the token that was made with a request, and leads to that. Where the
// form came a second time, as by two clicks, the answer that had the token may be lost.
func (v *visit) showSubmitted(a *ask, r dsr.Request) error {
	token := say("You had a GDPR token that works when this form came, so it made no other. If it came twice, as by two clicks, the answer to the first had the token, and it is not shown again: if a program is to use it, replace it in your personal settings.")
	if a.token != "" {
		token = a.tokenOnce()
	}
	return v.show(http.StatusOK, "Your request was submitted", token, html.P(leads(requestsPath+"/"+r.Task, "Go to the request")))
}

var disclosureNames = map[dsr.Disclosure]string{dsr.Data: "Data", dsr.Categories: "Categories", dsr.Sources: "Sources"}

func yesNo(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}

// lasting is a span of time in words.
func lasting(d time.Duration) string {
	unit, name := time.Second, "second"
	switch {
	case d%time.Hour == 0:
		unit, name = time.Hour, "hour"
	case d%time.Minute == 0:
		unit, name = time.Minute, "minute"
	}
	if n := int(d / unit); n != 1 {
		return fmt.Sprintf("%d %ss", n, name)
	}
	return "1 " + name
}
