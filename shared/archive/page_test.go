package archive_test

import (
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/archive"
	"lethe/shared/kind"
)

// pageOf returns index.html of an export of all.
func pageOf(t *testing.T, all []person) string {
	t.Helper()
	return pageUnder(t, head(), all)
}

// pageUnder is pageOf under another head.
func pageUnder(t *testing.T, h archive.Head, all []person) string {
	t.Helper()
	bucket, batches := stage(t, all)
	var cursor archive.Packing
	if _, _, err := archive.Pack(t.Context(), bucket, task, &cursor, batches, h, folders(all), always); err != nil {
		t.Fatal(err)
	}
	return string(readFile(t, open(t, read(t, bucket, archive.Key(task))), "index.html"))
}

var update = flag.Bool("update", false, "write testdata/page anew")

// The pages in testdata/page are for the eye too: open them after a change.
func TestPageKeepsItsBytes(t *testing.T) {
	special := person{folder: 1, ids: ids(`a<b>&"c"'d'+e`, "\x00\x7f`=", "{{project}}{{.}}", "ann"), profiles: []string{`{}`, `{}`}}
	for year := 2019; year < 2026; year += 2 {
		at := time.Date(year, time.May, 1, 0, 0, 0, 0, time.UTC)
		special.events = append(special.events, archive.Event{Time: at, Name: "Bought", DistinctID: "ann", Properties: []byte(`{}`)})
	}
	one := people(1, 1)
	one[0].ids, one[0].profiles = one[0].ids[:1], nil
	hostile := head()
	hostile.ProjectName, hostile.Compliance, hostile.Disclosure = "</title>'A+B' \"<&>\x00 é", "ccpa", "SOURCES"
	hostile.From, hostile.To = snapshot.AddDate(-9, 0, 0), snapshot
	for name, got := range map[string]string{
		"one":  pageOf(t, one),
		"many": pageUnder(t, hostile, []person{special, {folder: 2, ids: ids("bob", "bob-2")}}),
	} {
		golden := filepath.Join("testdata", "page", name+".html")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the page has changed; with -update it is written anew:\n%s", golden, got)
		}
	}
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

// Whatever the values are, the page has the same elements with the same
// attributes, and a reader sees the values as they are.
func TestPageIsTheSameAroundAnyValues(t *testing.T) {
	const hostile = `"'><script src=x>alert(1)</script></bdi></title></style><!-- ]]> &lt;&#0; {{project}} <a onclick=b href='//c'>`
	with := func(value string) string {
		h := head()
		h.ProjectName, h.Project, h.Task, h.Compliance, h.Disclosure = value, value, value, value, value
		all := people(2, 3)
		all[0].ids = ids(kind.Subject(value), "other "+kind.Subject(value))
		return pageUnder(t, h, all)
	}
	elements, text := parsePage(t, with(hostile))
	harmless, plain := parsePage(t, with("harmless"))
	if !slices.Equal(elements, harmless) {
		t.Errorf("the page has other elements:\ngot  %q\nwant %q", elements, harmless)
	}
	if want := strings.ReplaceAll(plain, "harmless", hostile); text != want || strings.Count(plain, "harmless") != 8 {
		t.Errorf("the page says\n%s\nwant\n%s", text, want)
	}
}

// parsePage reads a page as HTML and returns its tags and its text.
func parsePage(t *testing.T, page string) (elements []string, text string) {
	t.Helper()
	in := xml.NewDecoder(strings.NewReader(page))
	in.Strict, in.AutoClose, in.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := in.Token()
		switch {
		case err == io.EOF:
			return elements, text
		case err != nil:
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.CharData:
			text += string(token)
		default:
			elements = append(elements, fmt.Sprint(token))
		}
	}
}

func TestPageOfAProjectWithoutAName(t *testing.T) {
	h := head()
	h.ProjectName = ""
	page := pageUnder(t, h, people(1, 1))
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
