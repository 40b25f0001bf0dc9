package archive

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
	"time"

	"lethe/shared/kind"
)

// pageFolders is how many folders index.html lists; the manifest has them all.
const pageFolders = 100

//go:embed page.html
var pageTemplate string

// page is what index.html shows.
type page struct {
	Version                 int
	Project, Task           string
	ProjectID               string
	Law, Disclosure, Window string
	Requested, Snapshot     string
	Totals                  Totals
	Chart                   *chart
	Folders                 []pageFolder
	More                    int64
}

type pageFolder struct {
	Path              string
	Submitted, Others []string
	Profiles, Events  int64
}

// Empty reports whether nothing was found.
func (f pageFolder) Empty() bool { return f.Profiles+f.Events == 0 }

// writePage writes index.html; months is what the chart shows.
func writePage(w io.Writer, h Head, t Totals, months map[string]int64, shown []SubjectFolder) error {
	p := page{
		Version: Version, Project: h.ProjectName, ProjectID: h.Project, Task: h.Task,
		Law: law(h.Compliance), Disclosure: disclosure(h.Disclosure), Window: window(h.From, h.To),
		Requested: moment(h.Requested), Snapshot: moment(h.Snapshot),
		Totals: t, Chart: chartOf(months), More: t.Subjects - int64(len(shown)),
	}
	for _, s := range shown {
		f := pageFolder{
			Path: folderPath(s.Folder), Submitted: plain(s.Submitted),
			Profiles: s.Profiles, Events: s.Events,
		}
		for _, id := range s.Resolved {
			if !slices.Contains(s.Submitted, id) {
				f.Others = append(f.Others, string(id))
			}
		}
		p.Folders = append(p.Folders, f)
	}
	if p.Project == "" {
		p.Project = "project " + h.Project
	}
	layout, err := template.New(pagePath).Parse(pageTemplate)
	if err != nil {
		return kind.E(kind.Internal, "archive: page", err)
	}
	return layout.Execute(w, p)
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
