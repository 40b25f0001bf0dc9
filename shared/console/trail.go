package console

import (
	"net/http"
	"strconv"
	"strings"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// trail shows the audit trail of a place, newest first. It is asked for by forms that
// post, since who is looked for is a mail address, and addresses of pages are kept in
// histories and logs.
func trail(v *visit, p place) error {
	actor, action := strings.TrimSpace(v.r.PostFormValue("actor")), strings.TrimSpace(v.r.PostFormValue("action"))
	before, _ := strconv.ParseInt(v.r.PostFormValue("before"), 10, 64) // 0, the end, where it is none
	found, next, err := v.Accounts.Latest(v.r.Context(), p.ID, before, pageSize, func(e dsr.Entry) bool {
		return (actor == "" || strings.EqualFold(e.Actor, actor)) && (action == "" || strings.EqualFold(e.Action, action))
	})
	if err != nil {
		return err
	}
	none := "There is no such entry."
	if next > 0 {
		none = "None of the newest entries is one of these. Look at older ones."
	}
	path := p.path + "/audit"
	b := v.blank("trail")
	if v.typed.form == "" {
		v.typed.form = "trail" // what was looked for stays
	}
	which := " --organisation"
	if p.ID != "" {
		which = " --project " + p.ID
	}
	return v.show(v.status(), "Audit trail of "+p.name(), v.parts(p),
		form(path, b.line("actor", "Who", "A mail address, the name of a service account, or lethe for what it did itself. Empty is anybody.", ""),
			b.line("action", "What", "Such as member.set, token.make or opt-out.add. Empty is anything.", ""), button("Look")),
		table("entries", "Entries, newest first", []string{"Number", "When", "Who", "What", "About", "From"}, gomponents.Map(found, entryRow), none),
		html.Div(html.Class("row"),
			gomponents.If(before > 0, form(path, hidden("actor", actor), hidden("action", action), button("Newest", html.Class("second")))),
			gomponents.If(next > 0, form(path, hidden("actor", actor), hidden("action", action), hidden("before", strconv.FormatInt(next, 10)), button("Older", html.Class("second"))))),
		html.H2(text("Download")),
		say("A file has an entry in each line, as it is stored, up to "+strconv.Itoa(account.MostLines)+" of them or 4 MB. Its name says from which number on it is, and where to go on."),
		html.Form(html.Method("get"), html.Action(path+"/entries"),
			v.blank("entries").line("from", "From entry number", "", "1", digits, html.Required()), button("Download as JSON Lines", html.Class("second"))),
		html.H2(text("Verify")),
		say("Each entry holds the SHA-256 of the one before it, and once a day the last is put where the records are not. So it can be told whether any was changed, put in or taken away."),
		html.P(html.A(html.Class("button second"), html.Href(path+"/verify"), text("Verify the trail"))),
		say("On the machine that Lethe runs on the first of these commands does the same. The second looks at a file that was downloaded, on any machine."),
		html.P(html.Code(text("lethe audit verify"+which))), html.P(html.Code(text("lethe audit verify FILE"))))
}

// verifyTrail looks at every entry of a trail.
func verifyTrail(v *visit, p place) error {
	found, err := v.Accounts.Verify(v.r.Context(), v.Service.Bucket, v.Service.Keys, p.ID)
	if err != nil {
		return err
	}
	result := say("Nothing was changed, put in or taken away.")
	if len(found.Faults) > 0 {
		result = gomponents.Group{warn("This trail is not as it was written."), html.Ul(gomponents.Map(found.Faults, func(fault string) node { return html.Li(text(fault)) }))}
	}
	return v.show(http.StatusOK, "Verified: audit trail of "+p.name(), v.parts(p), result,
		say(count(int(found.Entries), "entry was", "entries were")+" looked at, from number "+strconv.FormatInt(found.First, 10)+" to "+strconv.FormatInt(found.Last, 10)+", and "+count(found.Heads, "head", "heads")+" of earlier days compared."),
		say("The SHA-256 of the last entry, to compare with what was noted elsewhere:"), html.P(html.Code(text(found.Hash))),
		html.P(html.A(html.Href(p.path+"/audit"), text("Back to the audit trail"))))
}

func entryRow(e account.Numbered) node {
	var about []node
	if e.Detail != "" {
		about = append(about, html.Div(text(e.Detail)))
	}
	if e.Task != "" {
		about = append(about, html.Div(link(requestsPath+"/"+e.Task, e.Task)))
	}
	if n := len(e.Subjects); n > 0 {
		about = append(about, html.Div(text(count(n, "person", "people"))))
	}
	return html.Tr(cell(strconv.FormatInt(e.Number, 10)), html.Td(moment(e.Time)), cell(e.Actor), cell(e.Action), html.Td(about...), cell(e.From))
}

// downloadTrail answers entries as they are stored, a line for each.
func downloadTrail(v *visit, p place) error {
	from, err := strconv.ParseInt(v.r.FormValue("from"), 10, 64)
	if err != nil || from < 1 {
		err := kind.Say(kind.Invalid, "The number of the first entry has to be a whole number from 1.")
		return v.anew(err, "entries", "from", func(v *visit) error { return trail(v, p) })
	}
	lines, next, err := v.Accounts.Lines(v.r.Context(), p.ID, from)
	if err != nil {
		return err
	}
	name := "audit-organisation"
	if p.ID != "" {
		name = "audit-" + p.ID
	}
	name += "-from-" + strconv.FormatInt(from, 10)
	if next > 0 {
		name += "-go-on-from-" + strconv.FormatInt(next, 10)
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", `attachment; filename="`+name+`.jsonl"`)
	h.Set("Content-Length", strconv.Itoa(len(lines)))
	_, _ = v.w.Write(lines) // the other side is gone; there is nobody to tell
	return nil
}
