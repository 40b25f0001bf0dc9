package console_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/table"
)

func TestOptOuts(t *testing.T) {
	c := newCast(t)
	b := c.as[adam]
	path := c.project("/opt-outs")
	const hostile = "<script>alert(1)</script>"
	out := func(id string) bool {
		t.Helper()
		words, err := c.service.OptedOut(t.Context(), c.ProjectID, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		return words[0].Out
	}
	if a := b.get(path); !strings.Contains(a.text, "Nobody is opted out.") || !strings.Contains(a.text, "<code>mixpanel.opt_out_tracking()</code>") || !strings.Contains(a.text, "Python, Node") {
		t.Errorf("before: %s", a.text)
	}
	typed := []string{"ids", " ada \r\n\r\n" + hostile, "do", "out"}
	ask := b.post(path, typed...)
	if ask.Code != http.StatusOK || !strings.Contains(ask.text, "2 identifiers were typed.") || !strings.Contains(ask.text, `name="ids" value="ada`+"\n"+`&lt;script&gt;`) || out("ada") {
		t.Errorf("before it is sure: %d %s", ask.Code, ask.text)
	}
	a := b.follow(path, append(typed, "sure", "1")...)
	if !strings.Contains(a.text, "2 identifiers are newly opted out") || !out("ada") || !out(hostile) || !strings.Contains(a.text, "Who is opted out: 2 identifiers") || !strings.Contains(a.text, "<td>"+adam+"</td>") || strings.Contains(a.text, "alert") {
		t.Errorf("opted out: %s", a.text)
	}
	if e := c.entries(c.ProjectID)[0]; e != adam+" opt-out.add  192.0.2.1" {
		t.Errorf("the trail ends with %q", e)
	}
	a = b.post(path, "ids", hostile+"\nbob", "do", "test")
	if a.Code != http.StatusOK || !strings.Contains(a.text, "<td>1</td><td>&lt;script&gt;alert(1)&lt;/script&gt;</td><td>opted out since <time") || !strings.Contains(a.text, "<td>2</td><td>bob</td><td>not opted out</td>") ||
		strings.Contains(ownScript.ReplaceAllString(a.text, ""), "<script") || !strings.Contains(a.text, "alert(1)&lt;/script&gt;\nbob</textarea>") {
		t.Errorf("tested: %d %s", a.Code, a.text)
	}
	b.follow(path, "ids", "ada", "do", "in", "sure", "1")
	if out("ada") || !out(hostile) {
		t.Error("opted in again: the wrong one")
	}
	for name, bad := range map[string][]string{
		"nobody":       {"ids", " \n\n", "do", "out"},
		"a crowd":      {"ids", "ada\nnull", "do", "out", "sure", "1"},
		"a crowd, in":  {"ids", "ada\nnull", "do", "in"},
		"a long one":   {"ids", strings.Repeat("x", 256), "do", "test"},
		"too many":     {"ids", strings.Repeat("a\n", 2001), "do", "test"},
		"no such verb": {"ids", "ada", "do", "erase"},
	} {
		a := b.post(path, bad...)
		if a.Code != http.StatusBadRequest || !strings.Contains(a.text, `id="ids-ids-wrong"`) || !strings.Contains(a.text, strings.TrimSpace(bad[1])) || out("ada") {
			t.Errorf("%s: %d %.2000s", name, a.Code, a.text)
		}
	}
	if log := c.log.String(); names(log, "ada") || strings.Contains(log, "alert") {
		t.Errorf("the log names people: %s", log)
	}
}

func TestListsHavePages(t *testing.T) {
	c := newCast(t)
	var ids []string
	for i := range 120 {
		ids = append(ids, fmt.Sprint("user-", i))
	}
	if _, err := c.service.OptOut(t.Context(), c.ProjectID, ids, dsr.By{Actor: pat}); err != nil {
		t.Fatal(err)
	}
	path := c.project("/opt-outs")
	for query, want := range map[string]struct {
		rows, page   int
		newer, older bool
	}{
		"": {50, 1, false, true}, "?page=2": {50, 2, true, true}, "?page=3": {20, 3, true, false}, "?page=4": {20, 3, true, false},
		"?page=x": {50, 1, false, true}, "?page=-1": {50, 1, false, true}, "?page=99999999999": {20, 3, true, false},
	} {
		a := c.as[pat].get(path + query)
		if n := strings.Count(a.text, "<tr><td><code>1."); a.Code != http.StatusOK || n != want.rows || !strings.Contains(a.text, fmt.Sprintf("Page %d of 3", want.page)) || strings.Contains(a.text, ">Previous page<") != want.newer || strings.Contains(a.text, ">Next page<") != want.older {
			t.Errorf("%s: %d, %d rows", query, a.Code, n)
		}
	}
}

func TestTrails(t *testing.T) {
	c := newCast(t)
	b := c.as[olga]
	for i := range 70 {
		if _, err := c.accounts.RenameProject(t.Context(), dsr.By{Actor: adam, From: "192.0.2.7"}, c.ProjectID, fmt.Sprint("<b>", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.service.OptOut(t.Context(), c.ProjectID, []string{"ada", "bob"}, dsr.By{Actor: pat}); err != nil {
		t.Fatal(err)
	}
	path := c.project("/audit")
	a := b.get(path)
	numbers := regexp.MustCompile(`<tr><td>(\d+)</td>`).FindAllStringSubmatch(a.text, -1)
	total := len(c.entries(c.ProjectID))
	if a.Code != http.StatusOK || len(numbers) != 50 || numbers[0][1] != fmt.Sprint(total) || !strings.Contains(a.text, "<div>2 people</div>") || strings.Contains(a.text, "<b>") ||
		!strings.Contains(a.text, "&lt;b&gt;68 → &lt;b&gt;69") || !strings.Contains(a.text, "<td>192.0.2.7</td>") || !strings.Contains(a.text, "lethe audit verify --project "+c.ProjectID) {
		t.Errorf("%d, %d entries: %s", a.Code, len(numbers), a.text)
	}
	before := regexp.MustCompile(`name="before" value="(\d+)"`).FindStringSubmatch(a.text)
	if before == nil {
		t.Fatal("there is no way to older entries")
	}
	older := b.post(path, "before", before[1])
	numbers = regexp.MustCompile(`<tr><td>(\d+)</td>`).FindAllStringSubmatch(older.text, -1)
	if len(numbers) != total-50 || numbers[len(numbers)-1][1] != "1" || strings.Contains(older.text, ">Older<") || !strings.Contains(older.text, ">Newest<") {
		t.Errorf("older: %s", older.text)
	}
	for name, look := range map[string]struct {
		fields []string
		want   int
	}{
		"who":     {[]string{"actor", strings.ToUpper(pat), "action", " opt-out.add "}, 1},
		"what":    {[]string{"action", "opt-out.add"}, 1},
		"nothing": {[]string{"actor", "nobody"}, 0},
	} {
		a := b.post(path, look.fields...)
		if n := strings.Count(a.text, "<tr><td>"); n != look.want || !strings.Contains(a.text, ` value="`+look.fields[1]+`"`) {
			t.Errorf("%s: %d entries, want %d: %s", name, n, look.want, a.text)
		}
	}
	file := b.get(path + "/entries?from=3")
	lines := strings.Split(strings.TrimSpace(file.text), "\n")
	if h := file.Header(); h.Get("Content-Type") != "application/x-ndjson" || h.Get("Content-Disposition") != `attachment; filename="audit-`+c.ProjectID+`-from-3.jsonl"` || h.Get("Cache-Control") != "no-store" || len(lines) != total-2 || !json.Valid([]byte(lines[0])) {
		t.Errorf("%v, %d lines", file.Header(), len(lines))
	}
	if v, err := account.VerifyExport(strings.NewReader(b.get(path+"/entries?from=1").text), c.now()); err != nil || v.Entries != int64(total) || len(v.Faults) != 0 {
		t.Errorf("the file does not verify: %+v %v", v, err)
	}
	for _, from := range []string{"", "0", "x", "-1"} {
		a := b.get(path + "/entries?from=" + from)
		a.wants(t, "from "+from, http.StatusBadRequest, `id="entries-from-wrong">The number of the first entry has to be`, `name="from" aria-describedby="entries-from-wrong" aria-invalid="true" autofocus value="`+from+`"`, "Entries, newest first")
	}
	if err := c.accounts.KeepHeads(t.Context(), c.bucket, c.service.Keys); err != nil {
		t.Fatal(err)
	}
	if a := b.get(path + "/verify"); a.Code != http.StatusOK || !strings.Contains(a.text, "Nothing was changed") || !strings.Contains(a.text, fmt.Sprintf("%d entries were looked at, from number 1 to %d, and 1 head of", total, total)) {
		t.Errorf("verified: %d %s", a.Code, a.text)
	}
	forged, err := c.control.Get(t.Context(), table.Key{PK: "account#audit#" + c.ProjectID, SK: "entry#000000000010"})
	if err == nil {
		forged.Data = bytes.Replace(forged.Data, []byte(adam), []byte(cora), 1)
		err = c.control.Write(t.Context(), table.Put(forged, table.Cond{}))
	}
	if err != nil {
		t.Fatal(err)
	}
	if a := b.get(path + "/verify"); !strings.Contains(a.text, "not as it was written") || !strings.Contains(a.text, "<li>Entry 10 was changed after entry 11 was written.</li>") || strings.Contains(a.text, "Nothing was changed") {
		t.Errorf("a forged entry: %d %s", a.Code, a.text)
	}
	if a := b.get("/organisation/audit"); !strings.Contains(a.text, "<td>session.begin</td><td><div>by a link</div></td>") || !strings.Contains(a.text, "lethe audit verify --organisation") {
		t.Errorf("the organisation's: %s", a.text)
	}
}

// A file of a long trail tells where the next one begins.
func TestTheFileOfALongTrail(t *testing.T) {
	c := newCast(t)
	for range account.MostLines {
		if err := c.accounts.Record(t.Context(), dsr.Entry{Project: c.ProjectID, Time: c.now(), Actor: pat, Action: "do something"}); err != nil {
			t.Fatal(err)
		}
	}
	path := c.project("/audit/entries?from=")
	first := c.as[pat].get(path + "1")
	name := fmt.Sprintf(`attachment; filename="audit-%s-from-1-go-on-from-%d.jsonl"`, c.ProjectID, account.MostLines+1)
	if got := first.Header().Get("Content-Disposition"); got != name || strings.Count(first.text, "\n") != account.MostLines {
		t.Errorf("%s, %d lines, want %s", got, strings.Count(first.text, "\n"), name)
	}
	rest := c.as[pat].get(fmt.Sprint(path, account.MostLines+1))
	v, err := account.VerifyExport(strings.NewReader(first.text+rest.text), c.now())
	if err != nil || len(v.Faults) > 0 || v.First != 1 || v.Last <= account.MostLines {
		t.Errorf("both together: %+v %v", v, err)
	}
}

func TestCounts(t *testing.T) {
	c := newCast(t)
	if a := c.as[adam].get(c.project("/counts")); a.Code != http.StatusOK || !strings.Contains(a.text, "<td>0</td><td>0</td><td>0</td>") || !strings.Contains(a.text, "All 0 requests that are kept.") || strings.Contains(a.text, "<rect") {
		t.Errorf("where nothing came in: %d %s", a.Code, a.text)
	}
	c.store.days = func(project string, from, to time.Time) []dsr.Day {
		if project != c.ProjectID || to != c.now().UTC().Truncate(24*time.Hour) || to.Sub(from) != 29*24*time.Hour {
			t.Errorf("asked of %s from %v to %v", project, from, to)
		}
		return []dsr.Day{{Date: "2026-11-24", Stored: 400}, {Date: "2026-11-25", OptedOut: 3, Late: 2}, {Date: "2026-11-26", Stored: 1}}
	}
	for i, of := range []dsr.Type{dsr.Export, dsr.Deletion, dsr.Deletion} {
		if _, err := c.service.Submit(t.Context(), dsr.Submission{Project: c.ProjectID, Type: of, IDs: []string{fmt.Sprint("u", i)}, Compliance: dsr.GDPR, Disclosure: dsr.Data, By: dsr.By{Actor: pat}}); err != nil {
			t.Fatal(err)
		}
	}
	a := c.as[adam].get(c.project("/counts"))
	for _, part := range []string{
		`role="img" aria-labelledby="days-chart-title days-chart-desc"`, `<title id="days-chart-title">Events and profiles stored per day</title>`,
		`<desc id="days-chart-desc">Bars from 24 Nov to 26 Nov; the highest is 24 Nov with 400. The table that follows has every number.</desc>`,
		`<rect x="21.3" y="0.0" width="170.7" height="160.0">`,  // all there is to see
		`<rect x="448.0" y="157.0" width="170.7" height="3.0">`, // one is told from none
		`<td><time>2026-11-25</time></td><td>0</td><td>3</td><td>2</td>`, `<td>Accepted</td><td>1</td><td>2</td>`, `<text x="-64.0" y="-4.0">400</text>`, `<text x="-64.0" y="76.0">200</text>`, "All 3 requests that are kept.",
	} {
		if !strings.Contains(a.text, part) {
			t.Errorf("the page lacks %s: %s", part, a.text)
		}
	}
	if strings.Count(a.text, "<rect") != 3 || strings.Contains(a.text, "style=") {
		t.Errorf("there are other bars, or a style: %s", a.text)
	}
}

func TestSentMailIsListed(t *testing.T) {
	c := newCast(t)
	if a := c.as[pat].get("/organisation/mail"); strings.Contains(a.text, "<td>"+pat+"</td>") || !strings.Contains(a.text, "<td>"+sam+"</td>") || strings.Contains(a.text, "link=") {
		t.Errorf("before: %s", a.text)
	}
	c.service.Sender = &c.mails
	if _, _, err := c.accounts.MakeToken(t.Context(), dsr.By{Actor: adam}, adam); err != nil {
		t.Fatal(err)
	}
	c.advance(account.TokenLife - 7*24*time.Hour)
	if err := c.service.Remind(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.as[pat].signIn(pat)
	if a := c.as[pat].get("/organisation/mail"); !strings.Contains(a.text, "<td>"+adam+"</td><td>GDPR token") {
		t.Errorf("after a reminder: %s", a.text)
	}
}
