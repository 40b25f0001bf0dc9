package archive_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"lethe/shared/archive"
	"lethe/shared/kind"
)

// pageOf returns index.html of an export of all.
func pageOf(t *testing.T, all []person) string {
	t.Helper()
	bucket, _ := export(t, all, 50, archive.SegmentSize, false)
	return string(readFile(t, open(t, read(t, bucket, archive.Key(task))), "index.html"))
}

func TestPageEscapesEverything(t *testing.T) {
	hostile := []kind.Subject{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `</style><b>`, `{{.}}`, "\u202egnp.exe",
	}
	all := people(2, 10)
	all[0].ids = hostile
	page := pageOf(t, all)
	for _, bad := range []string{"<script", "<img", "</style><b>", "Shop <&"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if got := strings.Count(page, "</style>"); got != 1 {
		t.Errorf("the page ends %d style sheets, want 1", got)
	}
	for _, want := range []string{"&lt;script&gt;alert(1)&lt;/script&gt;", "{{.}}", "<bdi>\u202egnp.exe</bdi>", "Shop &lt;&amp; Co&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
}

func TestPageOfAProjectWithoutAName(t *testing.T) {
	all := people(1, 1)
	bucket, batches := stage(t, all)
	h := head()
	h.ProjectName = ""
	var cursor archive.Packing
	if _, _, err := archive.Pack(t.Context(), bucket, task, &cursor, batches, h, folders(all), always); err != nil {
		t.Fatal(err)
	}
	page := string(readFile(t, open(t, read(t, bucket, archive.Key(task))), "index.html"))
	for _, want := range []string{"<title>Personal data export, project 3</title>", "Held by <bdi>project 3</bdi>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestPageRunsAndLoadsNothing(t *testing.T) {
	page := pageOf(t, people(3, 40))
	for _, bad := range []string{"<script", "http://", "https://", "url(", "@import", "<link", "<iframe", " on"} {
		if bad == " on" {
			if regexp.MustCompile(`\son[a-z]+=`).MatchString(page) {
				t.Error("the page has an event handler")
			}
			continue
		}
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

func TestPageCanBeReadAloud(t *testing.T) {
	page := pageOf(t, people(3, 40))
	for _, want := range []string{
		`<html lang="en">`, "<title>Personal data export, Shop", "<header>", "<main>", "<footer>", `<svg viewBox="0 0 720 150" role="img" aria-labelledby="activity">`,
		`id="activity"`, `<th scope="col">Folder</th>`, "<caption>", "prefers-color-scheme: dark", "@media print",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	// Every label that is referred to is there.
	for _, m := range regexp.MustCompile(`aria-labelledby="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `id="`+m[1]+`"`) {
			t.Errorf("nothing has the id %q", m[1])
		}
	}
}

func TestPageSaysWhoWhatAndWhen(t *testing.T) {
	page := pageOf(t, people(3, 40))
	for _, want := range []string{
		"A copy of personal data of 3 people", "General Data Protection Regulation", "Everything that is kept", "1 March 2026, 12:30 UTC", "11:30 UTC", task,
		"<b>80</b> events", "<b>2</b> profiles", "<b>2</b> of 3 people with data",
		`href="subjects/1/profile.json"`, `href="subjects/2/events.csv"`, "nothing found", "user-0", "anon-1", "2025-01 to 20",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestPageListsTheFirstHundredFolders(t *testing.T) {
	all := make([]person, 130)
	for i := range all {
		all[i] = person{folder: i + 1, ids: ids(kind.Subject(fmt.Sprintf("u%d", i+1))), profiles: []string{`{}`}}
	}
	page := pageOf(t, all)
	for text, want := range map[string]bool{
		"<bdi>u1</bdi>": true, "<bdi>u100</bdi>": true, "<bdi>u101</bdi>": false, "30 more folders": true,
	} {
		if got := strings.Contains(page, text); got != want {
			t.Errorf("%q on the page: got %v, want %v", text, got, want)
		}
	}
	if strings.Contains(page, "<svg") {
		t.Error("a chart of no events")
	}
}
