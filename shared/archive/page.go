package archive

import (
	_ "embed"
	"io"
	"slices"
	"strings"
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
	digestLink   layout = `<a href="{{path}}/{{digest}}.json">{{digest}}</a>`
	fileLine     layout = "<dt><code>{{path}}</code></dt>\n<dd>{{what}}</dd>\n"
	moreSentence layout = `<p class="note">{{count}} more folders are listed in <a href="manifest.json"><code>manifest.json</code></a>.</p>` + "\n"
)

// writePage writes index.html; months is what the chart shows.
func writePage(w io.Writer, h Head, t Totals, months map[string]int64, shown []SubjectFolder) error {
	project := h.ProjectName
	if project == "" {
		project = "project " + h.Project
	}
	much := h.Disclosure
	if titles[much] == "" {
		much = "DATA"
	}
	title, whose := titles[much], markup("your personal data")
	if t.Subjects != 1 {
		whose = "personal data of " + number(t.Subjects) + " people"
	}
	row := func(s SubjectFolder) markup { return folderRow(much, s) }
	var more markup
	if left := t.Subjects - int64(len(shown)); left > 0 {
		more = moreSentence.fill(map[string]markup{"count": number(left)})
	}
	_, err := io.WriteString(w, string(pageLayout.fill(map[string]markup{
		"project": text(project), "project id": text(h.Project), "task": text(h.Task), "title": title.fill(map[string]markup{"whose": whose}),
		"law": text(law(h.Compliance)), "disclosure": text(disclosure(h.Disclosure)), "window": text(window(h.From, h.To)),
		"requested": text(moment(h.Requested)), "snapshot": text(moment(h.Snapshot)), "version": number(Version),
		"totals": t.lines(much), "chart": chartOf(months).figure(), "folders": each(shown, row), "more": more,
		"files": each(fileNotes[much], note.line),
	})))
	return err
}

// lines are the items of the list of totals.
func (t Totals) lines(disclosure string) markup {
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
	if disclosure != "DATA" {
		events, profiles = events+" it tells of", profiles+" it tells of"
	}
	all := line(t.Events, events) + line(t.Profiles, profiles)
	if t.Subjects != 1 {
		all += line(t.Found, "of "+number(t.Subjects)+" people with data")
	}
	return all
}

// titles are the headings of the page by type of disclosure.
var titles = map[string]layout{
	"DATA":       "A copy of {{whose}}",
	"CATEGORIES": "The categories of {{whose}}",
	"SOURCES":    "The sources of {{whose}}",
}

// A note tells what a file of a folder is.
type note struct{ path, what markup }

func (n note) line() markup {
	return fileLine.fill(map[string]markup{"path": n.path, "what": n.what})
}

// fileNotes tell of the files of a folder by type of disclosure.
var fileNotes = map[string][]note{
	"DATA": {
		{"subjects/…/events.csv", "Every event of a person, one a row, oldest first: when it happened, what it was, under which name it was recorded, and the details. It opens in any spreadsheet program; choose UTF-8 if it asks. A cell that a spreadsheet would take for a formula has an apostrophe before it."},
		{"subjects/…/profile.json", "What is kept about the person besides events, one entry for each name that has a profile."},
		{"subjects/…/events/….jsonl", "The same events for programs, one file a month, one event a line."},
	},
	"CATEGORIES": {
		{"subjects/…/categories.json", "What kinds of data are kept about the person, without the data itself: the names of events, and the names and types of their properties and of the properties of profiles, each with how often it occurs and when it was first and last seen."},
	},
	"SOURCES": {
		{"subjects/…/sources.json", "How the data about the person was collected: by which program and version, on which platform, from which page, referrer and campaign, and where it is kept, each with how often it occurs and when it was first and last seen."},
	},
}

// folderRow is the row of a folder in the table of folders.
func folderRow(disclosure string, s SubjectFolder) markup {
	path, others, open := text(folderPath(s.Folder)), markup("none"), markup("")
	if more := slices.DeleteFunc(slices.Clone(s.Resolved), func(id kind.Subject) bool { return slices.Contains(s.Submitted, id) }); len(more) > 0 {
		others = each(more, nameInCell)
	}
	switch {
	case s.Profiles+s.Events == 0:
		open = "nothing found"
	case disclosure != "DATA":
		open = digestLink.fill(map[string]markup{"path": path, "digest": text(strings.ToLower(disclosure))})
	default:
		if s.Profiles > 0 {
			open += profileLink.fill(map[string]markup{"path": path})
		}
		if s.Events > 0 {
			open += eventsLink.fill(map[string]markup{"path": path})
		}
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
