package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
)

// listed are the tasks of a page's table, in its order.
func (a answer) listed() (tasks []string) {
	for _, found := range regexp.MustCompile(`id="task-([0-9a-f-]{36})"`).FindAllStringSubmatch(a.text, -1) {
		tasks = append(tasks, found[1])
	}
	return tasks
}

func TestTheLog(t *testing.T) {
	w := newWorld(t)
	export := w.submit(dsr.Export, "ada")
	deletion := w.submit(dsr.Deletion, "bob", "cy")
	cancelled := w.submit(dsr.Deletion, "di")
	if _, err := w.service.Cancel(t.Context(), w.ProjectID, cancelled.Task, dsr.By{Actor: pat}); err != nil {
		t.Fatal(err)
	}
	w.advance(time.Minute)
	ccpa, err := w.service.Submit(t.Context(), dsr.Submission{Project: w.ProjectID, Type: dsr.Export, IDs: []string{"e", "f", "g"}, Compliance: dsr.CCPA, Disclosure: dsr.Sources, By: dsr.By{Actor: pat}})
	if err != nil {
		t.Fatal(err)
	}
	broken := w.broken(w.submit(dsr.Export, "h"))
	b := w.as(pat)
	all := []string{broken.Task, ccpa.Task, cancelled.Task, deletion.Task, export.Task}
	for query, want := range map[string][]string{
		"":                                  all,
		"project=" + w.ProjectID:            all,
		"type=nonsense&status=x&sort=y":     all,
		"type=export":                       {broken.Task, ccpa.Task, export.Task},
		"type=deletion":                     {cancelled.Task, deletion.Task},
		"compliance=ccpa":                   {ccpa.Task},
		"compliance=gdpr&type=deletion":     {cancelled.Task, deletion.Task},
		"status=REVOKED":                    {cancelled.Task},
		"status=PENDING&compliance=gdpr":    {deletion.Task, export.Task},
		"status=open":                       {ccpa.Task, deletion.Task, export.Task},
		"status=open&type=export":           {ccpa.Task, export.Task},
		"status=open&sort=created":          {export.Task, deletion.Task, ccpa.Task},
		"status=broken":                     {broken.Task},
		"status=overdue":                    nil,
		"sort=created":                      {export.Task, deletion.Task, cancelled.Task, ccpa.Task, broken.Task},
		"sort=-count&status=open":           {ccpa.Task, deletion.Task, export.Task},
		"sort=count&status=open":            {export.Task, deletion.Task, ccpa.Task},
		"sort=-due&status=open":             {ccpa.Task, deletion.Task, export.Task},
		"sort=-status&status=":              {cancelled.Task, broken.Task, ccpa.Task, deletion.Task, export.Task},
		"sort=compliance&status=open":       {ccpa.Task, deletion.Task, export.Task},
		"sort=type&status=open&page=1":      {deletion.Task, ccpa.Task, export.Task},
		"sort=task&compliance=gdpr&page=99": slices.Sorted(slices.Values([]string{broken.Task, cancelled.Task, deletion.Task, export.Task})),
	} {
		a := b.get("/requests?" + query)
		if a.Code != http.StatusOK || !slices.Equal(a.listed(), want) {
			t.Errorf("%q: %d %v, want %v", query, a.Code, a.listed(), want)
		}
	}
	a := b.get("/requests?type=export&status=open&sort=count")
	a.wants(t, "the log", 200, `aria-current="true">Exports`, `<option value="open" selected>`, `aria-sort="ascending"><a href="/requests?project=`+w.ProjectID+`&sort=-count&status=open&type=export">Users</a>`,
		"Export of Sources", "<td>CCPA</td>", every+"3", "data-from=\"/requests?type=export&status=open&sort=count\"", "<td>3</td>", `aria-current="page">Requests`)
	b.get("/requests?status=broken").wants(t, "nothing open", 200, "!"+every, "Failed, to be run again")
	b.get("/requests?status=overdue").wants(t, "none", 200, "There are none.")
	w.advance(50 * 24 * time.Hour)
	w.as(pat).get("/requests?status=overdue").wants(t, "overdue", 200, `<strong class="warning"> Overdue</strong>`)
}

func TestTheLogHasPages(t *testing.T) {
	w := newWorld(t)
	var tasks []string
	for n := range 30 {
		tasks = append(tasks, w.submit(dsr.Export, fmt.Sprint("user-", n)).Task)
	}
	slices.Reverse(tasks)
	b := w.as(pat)
	for query, want := range map[string][]string{"": tasks[:25], "page=2": tasks[25:], "page=2&status=PENDING": tasks[25:], "page=7": tasks[25:]} {
		if a := b.get("/requests?" + query); !slices.Equal(a.listed(), want) || !strings.Contains(a.text, "of 2, 30 in all") {
			t.Errorf("%q: %d, %s", query, len(a.listed()), a.text)
		}
	}
	b.get("/requests?page=2&status=PENDING").wants(t, "the way back", 200, `<a href="/requests?project=`+w.ProjectID+`&status=PENDING">Previous page</a>`)
}

func TestWhoMayNotSeeTheLog(t *testing.T) {
	w := newWorld(t)
	foreign, err := w.accounts.MakeProject(t.Context(), dsr.By{Actor: pat}, "Foreign")
	if err != nil {
		t.Fatal(err)
	}
	w.member(w.ProjectID, kim, account.Admin)
	analyst, admin := w.as(sam), w.as(kim)
	analyst.get("/requests").wants(t, "an analyst", 403, "Only owners and admins")
	analyst.do("POST", "/requests/search", url.Values{"sought": {"ada"}}).wants(t, "an analyst searches", 403)
	admin.get("/requests?project="+foreign.ID).wants(t, "another project", 404, "!Foreign")
	admin.do("POST", "/requests/search", url.Values{"sought": {"ada"}, "project": {foreign.ID}}).wants(t, "a search there", 404, "!Foreign")
	admin.get("/requests").wants(t, "its own", 200, "Shop", "!Foreign")
	w.as(pat).get("/requests?project="+foreign.ID).wants(t, "the owner's", 200, `selected>Foreign`, "Requests of Foreign")
}

func TestRequestsAreFound(t *testing.T) {
	w := newWorld(t)
	const hostile = `"><script>alert('x')</script>`
	first, second := w.submit(dsr.Export, "ada", hostile), w.submit(dsr.Deletion, "ada")
	w.plan(first)
	w.plan(second)
	foreign, err := w.accounts.MakeProject(t.Context(), dsr.By{Actor: pat}, "Foreign")
	if err != nil {
		t.Fatal(err)
	}
	b := w.as(pat)
	search := func(sought string) answer {
		t.Helper()
		return b.do("POST", "/requests/search", url.Values{"project": {w.ProjectID}, "sought": {sought}})
	}
	for sought, want := range map[string][]string{"ada": {second.Task, first.Task}, " ada ": {second.Task, first.Task}, hostile: {first.Task}, "Ada": nil, "0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e": nil} {
		a := search(sought)
		if a.Code != http.StatusOK || !slices.Equal(a.listed(), want) || strings.Contains(ownScript.ReplaceAllString(a.text, ""), "<script") {
			t.Errorf("%q: %d %v %s", sought, a.Code, a.listed(), a.text)
		}
	}
	search("ada").wants(t, "found", 200, `value="ada"`, "!"+every, "!page=ada", "!sought=ada", `<th scope="col">Due</th>`, "!sort=") // another order would be of all requests
	search("nobody").wants(t, "nobody", 200, "none that concerns this identifier")
	search("null").wants(t, "a placeholder", 400, `id="sought-wrong">The identifier is a placeholder`)
	search("").wants(t, "nothing", 400, `id="sought-wrong">The identifier is empty`)
	if a := search(first.Task); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/requests/"+first.Task {
		t.Errorf("a task id: %d to %q", a.Code, a.Header().Get("Location"))
	}
	// Also from another project's page; who the request concerns is each project's own.
	if a := b.do("POST", "/requests/search", url.Values{"project": {foreign.ID}, "sought": {first.Task}}); a.Code != http.StatusSeeOther {
		t.Errorf("a task id of another project: %d", a.Code)
	}
	if a := b.do("POST", "/requests/search", url.Values{"project": {foreign.ID}, "sought": {"ada"}}); len(a.listed()) != 0 {
		t.Errorf("found in another project: %v", a.listed())
	}
	if names(w.log.String(), "ada") || strings.Contains(w.log.String(), "alert") {
		t.Errorf("the log holds what was sought: %s", w.log)
	}
}
