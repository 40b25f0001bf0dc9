package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// away is a table that does not answer.
type away struct{ table.Table }

func (away) Get(context.Context, table.Key) (table.Item, error) {
	return table.Item{}, kind.E(kind.Unavailable, "get")
}

func (away) Query(context.Context, table.Query) (table.Page, error) {
	return table.Page{}, kind.E(kind.Unavailable, "query")
}

// requestCount is how many requests of either type the project has.
func (w *world) requestCount() int {
	w.t.Helper()
	_, total, err := w.service.List(w.t.Context(), w.ProjectID, "", 1, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return total
}

// A body that is wrong is answered by a sentence that says what to change, never
// repeats a value, and creates nothing.
func TestWrongBodies(t *testing.T) {
	w := newWorld(t)
	many := `{"distinct_ids":[` + strings.Repeat(`"x",`, 2000) + `"x"]}`
	for _, c := range []struct{ name, body, want string }{
		{"empty", ``, "empty"},
		{"blank", " \n", "empty"},
		{"a byte order mark alone", "\ufeff", "empty"},
		{"not JSON", `distinct_ids=bob`, "see byte 1 "},
		{"broken in the middle", `{"distinct_ids":["bob",]}`, "see byte 24 of 25"},
		{"cut off", `{"distinct_ids":["bob"`, "see byte 22 of 22"},
		{"two values", `{"distinct_ids":["bob"]} {}`, "see byte 26 of 27"},
		{"not UTF-8", "{\"distinct_ids\":[\"b\xffb\"]}", "not UTF-8: see byte 20"},
		{"a list", `["bob"]`, "must be a JSON object"},
		{"a string", `"bob"`, "must be a JSON object"},
		{"null", `null`, "must be a JSON object"},
		{"no ids", `{}`, "distinct_ids is missing"},
		{"null for ids", `{"distinct_ids":null}`, "distinct_ids is missing"},
		{"no id in the list", `{"distinct_ids":[]}`, "distinct_ids is empty"},
		{"one id and no list", `{"distinct_ids":"bob"}`, "must be a list"},
		{"an object for ids", `{"distinct_ids":{"0":"bob"}}`, "must be a list"},
		{"too many", many, "more than 2000"},
		{"null among ids", `{"distinct_ids":["bob",null]}`, "position 2"},
		{"true among ids", `{"distinct_ids":[true]}`, "position 1"},
		{"a list among ids", `{"distinct_ids":["bob",["eve"]]}`, "position 2"},
		{"half a character", `{"distinct_ids":["bob","\ud83d"]}`, "position 2"},
		{"half a character, the other half", `{"distinct_ids":["\ude00x"]}`, "position 1"},
		{"half a character before another escape", `{"distinct_ids":["\ud83d\n"]}`, "position 1"},
		{"forbidden ids", `{"distinct_ids":["bob","", "Anonymous ", "eve", 0, "-1"]}`, "position 2 is empty; position 3 is a placeholder that would match many people; position 5"},
		{"too long an id", `{"distinct_ids":["` + strings.Repeat("x", 256) + `"]}`, "position 1"},
		{"another law", `{"distinct_ids":["bob"],"compliance_type":"LGPD"}`, "compliance_type must be GDPR or CCPA"},
		{"no law's name", `{"distinct_ids":["bob"],"compliance_type":""}`, "compliance_type must be"},
		{"a number for a law", `{"distinct_ids":["bob"],"compliance_type":1}`, "compliance_type must be a string"},
		{"another disclosure type", `{"distinct_ids":["bob"],"disclosure_type":"All"}`, "disclosure_type must be"},
		{"a list of disclosure types", `{"distinct_ids":["bob"],"disclosure_type":["Data"]}`, "disclosure_type must be a string"},
		{"categories under the GDPR", `{"distinct_ids":["bob"],"disclosure_type":"Categories"}`, "disclosure_type"},
		{"sources under the GDPR", `{"distinct_ids":["bob"],"compliance_type":"gdpr","disclosure_type":"sources"}`, "disclosure_type"},
		{"sources in a field of another case", `{"distinct_ids":["bob"],"compliance_type":"CCPA","Disclosure_Type":"Sources"}`, "disclosure_type in another case"},
		{"two disclosure types", `{"distinct_ids":["bob"],"disclosure_type":"Data","disclosure_type":"Data"}`, "disclosure_type more than once"},
		{"two lists", `{"distinct_ids":["bob"],"distinct_ids":["eve"]}`, "distinct_ids more than once"},
		{"null and a list", `{"distinct_ids":null,"distinct_ids":["eve"]}`, "distinct_ids more than once"},
		{"a window under the GDPR", `{"distinct_ids":["bob"],"window":"all"}`, "window goes with"},
		{"a window of another word", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":"everything"}`, "window must be"},
		{"a window that is a number", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":12}`, "window must be"},
		{"a window of nothing", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{}}`, "window must be"},
		{"a window in words", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"from":"last year"}}`, "window must be"},
		{"a day that is none", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"from":"2019-02-29"}}`, "window must be"},
		{"a number for a day", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"from":1583000000}}`, "window must be"},
		{"a window's end in another case", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"From":"2019-01-01"}}`, "from in another case"},
		{"a window with something else", `{"distinct_ids":["bob"],"compliance_type":"CCPA","window":{"from":"2019-01-01","until":"2019-02-01"}}`, "not known beside from, to"},
		{"block as a number", `{"distinct_ids":["bob"],"block":1}`, "block must be true or false"},
		{"block in another case", `{"distinct_ids":["bob"],"Block":true}`, "block in another case"},
		{"block as a string", `{"distinct_ids":["bob"],"block":"false"}`, "block must be true or false"},
		{"callbacks", `{"distinct_ids":["bob"],"subject_request_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","status_callback_urls":["https://example.com"]}`, "status_callback_urls"},
		{"callbacks, not a list", `{"distinct_ids":["bob"],"status_callback_urls":"https://example.com"}`, "status_callback_urls"},
		{"a name in capitals", `{"distinct_ids":["bob"],"subject_request_id":"7C9E6679-7425-40DE-944B-E07FC1F90AE7"}`, "subject_request_id"},
		{"a name of another version", `{"distinct_ids":["bob"],"subject_request_id":"7c9e6679-7425-10de-944b-e07fc1f90ae7"}`, "subject_request_id"},
		{"an empty name", `{"distinct_ids":["bob"],"subject_request_id":""}`, "subject_request_id"},
		{"a number for a name", `{"distinct_ids":["bob"],"subject_request_id":7}`, "subject_request_id"},
	} {
		for _, collection := range []string{retrievals, deletions} {
			a := w.do("POST", w.at(collection), c.body)
			if a.Code != http.StatusBadRequest || !strings.Contains(a.body.Error, c.want) {
				t.Errorf("%s: got %d %q, want 400 with %q", c.name, a.Code, a.body.Error, c.want)
			}
			if strings.Contains(a.body.Error, "bob") || strings.Contains(a.body.Error, "eve") {
				t.Errorf("%s: the error repeats an identifier: %q", c.name, a.body.Error)
			}
		}
	}
	if got := w.requestCount(); got != 0 {
		t.Errorf("wrong bodies made %d requests", got)
	}
}

// What is taken in, and as which identifiers.
func TestRightBodies(t *testing.T) {
	full := make([]string, 2000)
	for i := range full {
		full[i] = fmt.Sprintf("%04d%s", i, strings.Repeat(`\ud83d\ude00`, 251))
	}
	for _, c := range []struct{ name, body, want string }{
		{"spaces and doubles", "\ufeff {\"distinct_ids\": [ \" bob\\t\", \"eve\" ,\"bob\"] } \n", `["bob","eve"]`},
		{"numbers keep every digit", `{"distinct_ids":[12345678901234567890123, 1.10, 1e400, 7]}`, `["12345678901234567890123","1.10","1e400","7"]`},
		{"a number and its string are one", `{"distinct_ids":[7,"7"]}`, `["7"]`},
		{"literal and case-sensitive", `{"distinct_ids":["Bob","bob","*","%","\u0041","a/b","<b>","\ud83d\ude00","$device:1"]}`, `["Bob","bob","*","%","A","a/b","<b>","😀","$device:1"]`},
		{"a replacement character that was sent", "{\"distinct_ids\":[\"\\ufffd\",\"x\ufffd\"]}", "[\"\ufffd\",\"x\ufffd\"]"},
		{"a backslash before u", `{"distinct_ids":["\\ud83d"]}`, `["\\ud83d"]`},
		{"words in any case", `{"distinct_ids":["bob"],"compliance_type":"cCpA","disclosure_type":"dATA"}`, `["bob"]`},
		{"fields that mean nothing", `{"distinct_ids":["bob"],"x":1,"x":2,"distinctIds":["eve"],"nested":{"distinct_ids":["eve"]}}`, `["bob"]`},
		{"fields that are null", `{"distinct_ids":["bob"],"compliance_type":null,"disclosure_type":null,"subject_request_id":null,"status_callback_urls":null,"window":null,"block":null}`, `["bob"]`},
		{"fields that ask for nothing", `{"distinct_ids":["bob"],"status_callback_urls":[],"block":false}`, `["bob"]`},
		{"as many and as long as can be", `{"distinct_ids":["` + strings.Join(full, `","`) + `"]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for _, collection := range []string{retrievals, deletions} {
				a := w.do("GET", w.at(collection+"/"+w.create(collection, c.body)), "")
				if c.want != "" && !strings.Contains(a.Body.String(), `"distinct_ids":`+c.want) {
					t.Errorf("got %s, want %s", a.Body, c.want)
				}
				if c.want == "" && strings.Count(a.Body.String(), `😀"`) != 2000 {
					t.Error("not all of 2000 long identifiers came back")
				}
			}
		})
	}
}

// The words of WIRE that would match many people, in any case.
func TestPlaceholdersAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, word := range []string{"", "00000000-0000-0000-0000-000000000000", "anon", "anonymous", "nil", "none", "null", "n/a", "na",
		"undefined", "unknown", "<nil>", "0", "-1", "true", "false", "[]", "{}"} {
		for _, id := range []string{word, strings.ToUpper(word), " " + word + " "} {
			w.want(w.do("POST", w.at(deletions), fmt.Sprintf(`{"distinct_ids":["bob",%q]}`, id)), http.StatusBadRequest, "position 2")
		}
	}
	if got := w.requestCount(); got != 0 {
		t.Errorf("placeholders made %d requests", got)
	}
}

func TestHugeBody(t *testing.T) {
	w := newWorld(t)
	huge := `{"distinct_ids":["bob"],"x":"` + strings.Repeat("x", 8<<20) + `"}`
	w.want(w.do("POST", w.at(deletions), huge), http.StatusRequestEntityTooLarge, "8 MB")
	w.want(w.do("DELETE", w.at(deletions), huge), http.StatusRequestEntityTooLarge, "8 MB")
	w.want(w.do("POST", w.at(deletions), `{"distinct_ids":["bob"]}`, header{"Content-Encoding", "gzip"}), http.StatusBadRequest, "Content-Encoding")
	if got := w.requestCount(); got != 0 {
		t.Errorf("a huge body made %d requests", got)
	}
}
