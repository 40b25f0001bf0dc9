package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lethe/shared/dsr"
	"lethe/shared/table"
)

const settings = "/api/app/settings"

func (w *world) settled(a answer) (got struct {
	Organisation dsr.Organisation
	Project      dsr.Project
}) {
	w.t.Helper()
	if err := json.Unmarshal(a.body.Results, &got); a.Code != http.StatusOK || err != nil {
		w.t.Fatalf("settings: got %d %s, %v", a.Code, a.Body, err)
	}
	return got
}

// trail reads an audit trail, as text.
func (w *world) trail(of string) string {
	w.t.Helper()
	page, err := w.control.Query(w.t.Context(), table.Query{PK: "account#audit#" + of})
	if err != nil {
		w.t.Fatal(err)
	}
	var all strings.Builder
	for _, item := range page.Items {
		all.Write(item.Data)
		all.WriteByte('\n')
	}
	return all.String()
}

func TestSettings(t *testing.T) {
	w := newWorld(t)
	want := dsr.Defaults()
	if got := w.settled(w.do("GET", w.at(settings), "")); got.Organisation.TimeZone != "UTC" || got.Project != want.Project {
		t.Errorf("settings of nobody: got %+v, want the defaults", got)
	}
	w.settled(w.do("PATCH", w.at(settings), `{"organisation":{"time_zone":"Europe/Berlin","holidays":["2020-12-26","2020-12-25","2020-12-26"]}}`))
	w.settled(w.do("PATCH", w.at(settings), `{"project":{"guard":{"rows":5}}}`))
	w.settled(w.do("PATCH", w.at(settings), `{"project":{}}`))
	got := w.settled(w.do("GET", w.at(settings), ""))
	if got.Organisation.TimeZone != "Europe/Berlin" || strings.Join(got.Organisation.Holidays, " ") != "2020-12-25 2020-12-26" || got.Organisation.KeepIDs != 30 {
		t.Errorf("got %+v", got.Organisation)
	}
	if want.Guard.Rows = 5; got.Project != want.Project {
		t.Errorf("got %+v, want %+v: what was not named stays", got.Project, want.Project)
	}
	for of, change := range map[string]string{
		"organisation": `"action":"settings.change","detail":"holidays: [] → [\"2020-12-25\",\"2020-12-26\"]; time_zone: \"UTC\" → \"Europe/Berlin\""`,
		w.ProjectID:    `"action":"settings.change","detail":"guard: {\"share_percent\":20,\"rows\":10000,\"ids\":50} → {\"share_percent\":20,\"rows\":5,\"ids\":50}"`,
	} {
		trail := w.trail(of)
		if !strings.Contains(trail, change) || !strings.Contains(trail, `"actor":"pat@example.com"`) || strings.Count(trail, "settings.") != 1 {
			t.Errorf("the trail of the %s is %s, want once %s", of, trail, change)
		}
	}
	// A request from now on is counted in Berlin, where it is 23:28.
	w.create(retrievals, `{"distinct_ids":["ann"],"compliance_type":"CCPA"}`)
	a := w.do("GET", w.at(retrievals), "")
	for _, want := range []string{`"date_due":"2020-04-23T21:59:59.999000"`, `"due":"2020-04-23"`, `"acknowledge_by":"2020-03-23"`, `"overdue":false`} {
		if !strings.Contains(a.Body.String(), want) {
			t.Errorf("the list has no %s: %s", want, a.Body)
		}
	}
}

func TestSettingsRefuse(t *testing.T) {
	w := newWorld(t)
	for body, inError := range map[string]string{
		``:                                    "empty",
		`[]`:                                  "JSON object",
		`{"organization":{}}`:                 "not known beside organisation, project",
		`{"Project":{}}`:                      "another case",
		`{"organisation":"UTC"}`:              "JSON object",
		`{"project":{"zone":""}}`:             "not known beside identity, guard",
		`{"project":{"guard":{"percent":1}}}`: "not known beside share_percent, rows, ids",
		`{"project":{"guard":{"share_percent":0}}}`:                         "guard.share_percent must be a number from 1 to 100",
		`{"project":{"guard":{"share_percent":101}}}`:                       "guard.share_percent",
		`{"project":{"guard":{"share_percent":1.5}}}`:                       "share_percent must be a whole number",
		`{"project":{"guard":{"rows":0}}}`:                                  "guard.rows",
		`{"project":{"guard":{"ids":2001}}}`:                                "guard.ids",
		`{"project":{"identity":"Simplified"}}`:                             "simplified or original",
		`{"organisation":{"time_zone":"Berlin"}}`:                           "IANA name",
		`{"organisation":{"time_zone":""}}`:                                 "IANA name",
		`{"organisation":{"time_zone":"Local"}}`:                            "IANA name",
		`{"organisation":{"time_zone":"../etc/passwd"}}`:                    "IANA name",
		`{"organisation":{"time_zone":1}}`:                                  "time_zone must be a string",
		`{"organisation":{"holidays":["2021-02-28","2021-02-29"]}}`:         "see position 2",
		`{"organisation":{"holidays":["25.12.2021"]}}`:                      "see position 1",
		`{"organisation":{"holidays":"2021-12-25"}}`:                        "holidays must be a list of dates",
		`{"organisation":{"holidays":[` + days(1001) + `]}}`:                "1001 entries",
		`{"organisation":{"holidays":null}}`:                                "holidays is null",
		`{"organisation":{"keep_ids_days":null,"time_zone":"Asia/Tokyo"}}`:  "keep_ids_days is null",
		`{"project":null}`:                                                  "project is null",
		`{"organisation":{"keep_ids_days":13}}`:                             "keep_ids_days must be a number from 14 to 365",
		`{"organisation":{"keep_records_months":23}}`:                       "keep_records_months must be a number from 24 to 60",
		`{"organisation":{"keep_records_months":61}}`:                       "keep_records_months",
		`{"organisation":{"time_zone":"UTC","time_zone":"Asia/Tokyo"}}`:     "more than once",
		`{"organisation":{"time_zone":"Asia/Tokyo"},"project":{"guard":7}}`: "JSON object",
	} {
		w.want(w.do("PATCH", w.at(settings), body), http.StatusBadRequest, inError)
	}
	if got := w.settled(w.do("GET", w.at(settings), "")); got.Organisation.TimeZone != "UTC" {
		t.Errorf("a refused change was kept: %+v", got)
	}
	if strings.Contains(w.trail("organisation")+w.trail(w.ProjectID), "settings.") {
		t.Error("a refused change stands in the trail")
	}
	w.want(w.do("PATCH", w.at(settings), `{}`, header{"Authorization", ""}), http.StatusUnauthorized, "")
	w.want(w.do("DELETE", w.at(settings), ""), http.StatusMethodNotAllowed, "GET, HEAD, PATCH")
}

func days(n int) string {
	return strings.TrimSuffix(strings.Repeat(`"2021-12-25",`, n), ",")
}

// An admin of the project settles what concerns it, and not what concerns all.
func TestWhoMaySettle(t *testing.T) {
	w := newWorld(t)
	r := func(body string) answer {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPatch, w.at(settings), strings.NewReader(body))
		r.SetBasicAuth(w.ServiceAccount, w.ServiceSecret)
		return w.send(r)
	}
	w.want(r(`{"organisation":{"keep_ids_days":20},"project":{"identity":"original"}}`), http.StatusForbidden, "owners and admins of the organisation")
	if got := w.settled(w.do("GET", w.at(settings), "")); got.Project.Identity != dsr.Simplified {
		t.Error("a part of a refused change was kept")
	}
	if got := w.settled(r(`{"project":{"identity":"original"}}`)); got.Project.Identity != dsr.Original {
		t.Errorf("got %+v", got)
	}
}
