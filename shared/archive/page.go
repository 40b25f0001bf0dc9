package archive

import (
	_ "embed"
	"io"
	"slices"
	"time"

	"lethe/shared/kind"
)

// pageFolders is how many folders index.html lists; the manifest has them all.
const pageFolders = 100

//go:embed page.html
var pageLayout layout

const (
	totalLine  layout = "<li><b>{{count}}</b> {{what}}</li>\n"
	folderLine layout = `<tr><td><code>{{path}}</code></td><td>{{submitted}}</td><td>{{others}}</td>` +
		`<td class="n">{{profiles}}</td><td class="n">{{events}}</td><td>{{open}}</td></tr>` + "\n"
	nameCell     layout = "<bdi>{{name}}</bdi>"
	profileLink  layout = `<a href="{{path}}/profile.json">profile</a> `
	eventsLink   layout = `<a href="{{path}}/events.csv">events</a>`
	moreSentence layout = `<p class="note">{{count}} more folders are listed in <a href="manifest.json"><code>manifest.json</code></a>.</p>` + "\n"
)

// writePage writes index.html; months is what the chart shows.
func writePage(w io.Writer, h Head, t Totals, months map[string]int64, shown []SubjectFolder) error {
	project, title := h.ProjectName, markup("A copy of your personal data")
	if project == "" {
		project = "project " + h.Project
	}
	if t.Subjects != 1 {
		title = "A copy of personal data of " + number(t.Subjects) + " people"
	}
	var more markup
	if left := t.Subjects - int64(len(shown)); left > 0 {
		more = moreSentence.fill(map[string]markup{"count": number(left)})
	}
	_, err := io.WriteString(w, string(pageLayout.fill(map[string]markup{
		"project": text(project), "project id": text(h.Project), "task": text(h.Task), "title": title,
		"law": text(law(h.Compliance)), "disclosure": text(disclosure(h.Disclosure)), "window": text(window(h.From, h.To)),
		"requested": text(moment(h.Requested)), "snapshot": text(moment(h.Snapshot)), "version": number(Version),
		"totals": t.lines(), "chart": chartOf(months).figure(), "folders": each(shown, folderRow), "more": more,
	})))
	return err
}

// lines are the items of the list of totals.
func (t Totals) lines() markup {
	line := func(n int64, what markup) markup {
		return totalLine.fill(map[string]markup{"count": number(n), "what": what})
	}
	events, profiles := markup("events"), markup("profiles")
	if t.Events == 1 {
		events = "event"
	}
	if t.Profiles == 1 {
		profiles = "profile"
	}
	all := line(t.Events, events) + line(t.Profiles, profiles)
	if t.Subjects != 1 {
		all += line(t.Found, "of "+number(t.Subjects)+" people with data")
	}
	return all
}

// folderRow is the row of a folder in the table of folders.
func folderRow(s SubjectFolder) markup {
	path, others, open := text(folderPath(s.Folder)), markup("none"), markup("")
	if more := slices.DeleteFunc(slices.Clone(s.Resolved), func(id kind.Subject) bool { return slices.Contains(s.Submitted, id) }); len(more) > 0 {
		others = each(more, nameInCell)
	}
	if s.Profiles > 0 {
		open += profileLink.fill(map[string]markup{"path": path})
	}
	if s.Events > 0 {
		open += eventsLink.fill(map[string]markup{"path": path})
	}
	if open == "" {
		open = "nothing found"
	}
	return folderLine.fill(map[string]markup{
		"path": path, "submitted": each(s.Submitted, nameInCell), "others": others,
		"profiles": number(s.Profiles), "events": number(s.Events), "open": open,
	})
}

func nameInCell(id kind.Subject) markup {
	return nameCell.fill(map[string]markup{"name": text(string(id))})
}

func law(compliance string) string {
	switch compliance {
	case "gdpr":
		return "General Data Protection Regulation (EU) 2016/679: right of access (Article 15) and right to data portability (Article 20)"
	case "ccpa":
		return "California Consumer Privacy Act: right to know and to receive a copy (Civil Code §§ 1798.100, 1798.110, 1798.130)"
	}
	return compliance
}

func disclosure(d string) string {
	switch d {
	case "DATA":
		return "All records"
	case "CATEGORIES":
		return "The categories of data that are kept"
	case "SOURCES":
		return "The sources from which data was collected"
	}
	return d
}

func window(from, to time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return "Everything that is kept"
	case to.IsZero():
		return "Events from " + moment(from)
	case from.IsZero():
		return "Events up to " + moment(to)
	}
	return "Events from " + moment(from) + " to " + moment(to)
}

func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
