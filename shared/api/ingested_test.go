package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"lethe/shared/dsr"
)

const ingested = "/api/app/ingestion"

func TestIngested(t *testing.T) {
	w := newGate(t)
	days := func(query string) []dsr.Day {
		t.Helper()
		a := w.want(w.do("GET", w.at(ingested)+query, ""), http.StatusOK, "")
		var days []dsr.Day
		if err := json.Unmarshal(a.body.Results, &days); err != nil {
			t.Fatal(err)
		}
		return days
	}
	w.track("Seen", `"distinct_id":"olga"`, `"distinct_id":"bob"`)
	w.want(w.do("POST", w.at(optOuts), `{"distinct_ids":["olga"]}`), http.StatusOK, "")
	task := w.create(deletions, `{"distinct_ids":["bob"]}`)
	w.finish(task)
	w.track("Seen", `"distinct_id":"olga"`, `"distinct_id":"bob","time":1583000000`, `"distinct_id":"bob"`)
	got := days("")
	if today := (dsr.Day{Date: "2020-03-09", Stored: 3, OptedOut: 1, Late: 1}); len(got) != 30 || got[29] != today || got[0].Date != "2020-02-09" {
		t.Errorf("got %+v, want %+v last of 30", got, today)
	}
	if got := days("&from=2020-03-01"); len(got) != 9 {
		t.Errorf("got %d days of nine", len(got))
	}
	if got := days("&to=2020-03-01&from=2019-03-02"); len(got) != 366 {
		t.Errorf("got %d days of a leap year", len(got))
	}
	for query, says := range map[string]string{
		"&from=2020-03-09&to=2020-03-08": "from must not be later than to",
		"&from=2019-03-01&to=2020-03-01": "more than 366 days",
		"&from=yesterday":                "from must be a date",
		"&to=":                           "to must be a date",
	} {
		w.want(w.do("GET", w.at(ingested)+query, ""), http.StatusBadRequest, says)
	}
	w.want(w.do("GET", ingested, ""), http.StatusBadRequest, "token")
	w.want(w.do("POST", w.at(ingested), ""), http.StatusMethodNotAllowed, "")
	plain := newWorld(t)
	plain.want(plain.do("GET", plain.at(ingested), ""), http.StatusBadRequest, "takes data in")
}
