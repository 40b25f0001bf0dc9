package console

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// optOuts lists who is opted out of a project, and opts people out and in.
func optOuts(v *visit, p place) error { return showOptOuts(v, p, nil) }

// showOptOuts is that page, with what a test found.
func showOptOuts(v *visit, p place, tested node) error {
	path := p.path + "/opt-outs"
	found, pages, err := paged(v, pageSize, func(page int) ([]dsr.Word, int, error) {
		return v.Service.OptOuts(v.r.Context(), p.ID, page, pageSize)
	})
	if err != nil {
		return err
	}
	rows := gomponents.Map(found, func(w dsr.Word) node {
		return html.Tr(html.Td(html.Code(text(w.Name))), html.Td(moment(w.Time)), cell(originOf(w)), cell(cmp.Or(w.By, "a restore of a backup")))
	})
	b := v.blank("ids")
	does := func(what, label string, more ...node) node {
		return button(label, append(more, html.Name("do"), html.Value(what))...)
	}
	return v.show(v.status(), "Opt-outs of "+p.name(), v.parts(p), v.changedOptOuts(),
		say("Whatever arrives of somebody who is opted out is dropped, by whatever program it was sent. What was stored before stays: a deletion erases it."),
		tested,
		form(path,
			b.lines("ids", "Identifiers (distinct_id or alias)", "One a line, up to "+strconv.Itoa(dsr.MaxIDs)+". Blank lines do not count. Everyone they are one person with is meant, too.", ""),
			html.P(html.Class("row"), does("test", "Test", html.Class("second")), does("out", "Opt out"), does("in", "Opt in again", html.Class("second")))),
		table("out", "Who is opted out: "+count(pages.total, "identifier", "identifiers"), []string{"Mark", "Since", "By way of", "By"}, rows, "Nobody is opted out."),
		say("A mark stands for an identifier, which cannot be read from it. To find out about somebody, test their identifier above."),
		pages.ways(pageAddress(path)),
		clientOptOuts())
}

// originOf tells by what way somebody was opted out.
func originOf(w dsr.Word) string {
	origin, task, _ := strings.Cut(w.Origin, " ")
	switch origin {
	case dsr.OriginDeletion:
		return "deletion " + task
	case dsr.OriginLink:
		return "a link to somebody who is opted out"
	}
	return "this page or the API"
}

// identifiers are those that were typed, one a line.
func (v *visit) identifiers() []string {
	var ids []string
	for line := range strings.Lines(v.r.PostFormValue("ids")) {
		if line = strings.TrimSpace(line); line != "" {
			ids = append(ids, line)
		}
	}
	return ids
}

// changeOptOuts tests the identifiers that were typed, or opts the people out or in.
func changeOptOuts(v *visit, p place) error {
	ids := v.identifiers()
	again := func(err error) error {
		return v.anew(err, "ids", "ids", func(v *visit) error { return optOuts(v, p) })
	}
	switch v.r.PostFormValue("do") {
	case "test":
		words, err := v.Service.OptedOut(v.r.Context(), p.ID, ids)
		if err != nil {
			return again(err)
		}
		v.typed.form = "ids" // what was typed stays
		return showOptOuts(v, p, testedOptOuts(ids, words))
	case "out":
		return v.turnOptOuts(p, ids, "out", again, v.Service.OptOut, "Opt out", []string{
			count(len(ids), "identifier was", "identifiers were") + " typed. From now on whatever arrives of these people is dropped, and cannot be had back.",
			"What is stored of them stays until it is deleted.",
		})
	case "in":
		return v.turnOptOuts(p, ids, "in", again, v.Service.OptIn, "Opt in again", []string{
			count(len(ids), "identifier was", "identifiers were") + " typed. From now on whatever arrives of these people is stored again: be sure that they want it.",
		})
	}
	return again(kind.Say(kind.Invalid, "Say by one of the buttons what is to be done with these identifiers."))
}

// turnOptOuts opts people out or in, once that was asked.
func (v *visit) turnOptOuts(p place, ids []string, what string, again func(error) error, do func(context.Context, string, []string, dsr.By) (dsr.OptOutChange, error), label string, sentences []string) error {
	path := p.path + "/opt-outs"
	if !v.sure() {
		if _, err := v.Service.OptedOut(v.r.Context(), p.ID, ids); err != nil {
			return again(err) // they cannot be identifiers
		}
		return v.ask(label, label, path, sentences, hidden("do", what), hidden("ids", strings.Join(ids, "\n")))
	}
	changed, err := do(v.r.Context(), p.ID, ids, v.by())
	if err != nil {
		return again(err)
	}
	wait := int((changed.Wait + time.Second - 1) / time.Second)
	return v.done(path, what+"&changed="+strconv.Itoa(changed.Changed)+"&wait="+strconv.Itoa(wait))
}

// changedOptOuts is what a change came to, on the page that follows.
func (v *visit) changedOptOuts() node {
	q := v.r.URL.Query()
	n, _ := strconv.Atoi(q.Get("changed"))
	wait, _ := strconv.Atoi(q.Get("wait"))
	news := map[string]string{
		"out": count(n, "identifier is", "identifiers are") + " newly opted out, those of the same people included.",
		"in":  count(n, "identifier is", "identifiers are") + " not opted out any more, those of the same people included.",
	}
	if wait > 0 {
		news["out"] += " What was under way may still be stored for " + count(wait, "second", "seconds") + "."
	}
	return v.news(news)
}

// testedOptOuts tells of each identifier whether it is opted out.
func testedOptOuts(ids []string, words []dsr.Word) node {
	var rows []node
	for i, w := range words {
		state := text("not opted out")
		if w.Out {
			state = gomponents.Group{text("opted out since "), moment(w.Time), text(" by way of " + originOf(w))}
		}
		rows = append(rows, html.Tr(cell(strconv.Itoa(i+1)), cell(ids[i]), html.Td(state)))
	}
	return html.Div(html.Role("status"), table("tested", "Result of the test", []string{"Line", "Identifier", "State"}, rows, ""))
}

// clientCalls are the calls by which client libraries stop sending, by their
// documentation and sources.
var clientCalls = []struct{ library, call string }{
	{"Browser: mixpanel-browser", "mixpanel.opt_out_tracking()"},
	{"iOS, Swift: mixpanel-swift", "Mixpanel.mainInstance().optOutTracking()"},
	{"iOS, Objective-C: mixpanel-iphone", "[[Mixpanel sharedInstance] optOutTracking]"},
	{"Android: mixpanel-android", "mixpanel.optOutTracking()"},
	{"React Native: mixpanel-react-native", "mixpanel.optOutTracking()"},
	{"Flutter: mixpanel_flutter", "mixpanel.optOutTracking()"},
	{"Unity: mixpanel-unity", "Mixpanel.OptOutTracking()"},
}

// clientOptOuts tells of the opt-outs that client libraries have themselves.
func clientOptOuts() node {
	var rows []node
	for _, c := range clientCalls {
		rows = append(rows, html.Tr(cell(c.library), html.Td(html.Code(text(c.call)))))
	}
	rows = append(rows, html.Tr(cell("Servers: Python, Node, Java, Ruby, PHP, Go"), cell("None: your program decides what it sends. Opt the person out above.")))
	return gomponents.Group{
		table("clients", "The client libraries’ own opt-out", []string{"Library", "Call"}, rows, ""),
		html.Ul(
			html.Li(text("It stops one library in one browser or on one device: it is a mark there, which is gone when storage is cleared or the app is installed anew. Other devices, and servers, go on.")),
			html.Li(text("It saves the person’s traffic: nothing is sent. Lethe is not told of it, and lists nobody by it.")),
			html.Li(text("It erases no events. Most of these libraries first ask for the profile of who was identified to be deleted ($delete); whether that still is sent depends on the library and its version. In the browser {delete_user: false} keeps the profile.")),
			html.Li(text("An opt-out above holds for all devices and programs of a person, by all of their identifiers, until it is taken back, and no program has to be changed. For somebody who objects, do both.")),
		),
	}
}
