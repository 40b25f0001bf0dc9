package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// Whatever a body is, reading it ends in identifiers that were in it or in an
// error with a sentence, and never in more than was asked for.
func FuzzParseSubmission(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"distinct_ids":["bob"]}`, `{"distinct_ids":[1,-1.5e7,"\ud83d\ude00"]}`, "\ufeff{\"distinct_ids\":[\"a\"]}",
		`{"distinct_ids":["\ud83d"]}`, `{"distinct_ids":["a"],"distinct_ids":["b"]}`, `{"Distinct_Ids":["a"]}`, "{\"distinct_ids\":[\"\xff\"]}",
		`{"distinct_ids":["a"],"compliance_type":"ccpa","disclosure_type":"sources"}`, `{"distinct_ids":["a"],"window":"all"}`, `{"distinct_ids":["a"],"window":{"from":"2019-01-31","to":"2019-02-01T00:00:00Z"}}`, `{"distinct_ids":["a"],"block":true,"window":{}}`,
		`{"distinct_ids":["a"],"subject_request_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","status_callback_urls":[]}`, `{"distinct_ids":[ ] , "x":{"y":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sub, err := parseSubmission(body)
		if err != nil {
			if kind.Of(err) != kind.Invalid || kind.Sentence(err) == "" {
				t.Errorf("got %v, want %v with a sentence", err, kind.Invalid)
			}
			return
		}
		if len(sub.IDs) > dsr.MaxIDs {
			t.Errorf("%d identifiers", len(sub.IDs))
		}
		// What package json reads into a plain struct, numbers kept as written.
		var plain struct {
			IDs   []json.RawMessage `json:"distinct_ids"`
			Law   *string           `json:"compliance_type"`
			Much  *string           `json:"disclosure_type"`
			Block *bool             `json:"block"`
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(string(body), "\ufeff")), &plain); err != nil {
			t.Fatalf("taken in, though it is no such JSON: %v", err)
		}
		var want []string
		for _, raw := range plain.IDs {
			var s string
			if json.Unmarshal(raw, &s) != nil {
				s = string(raw)
			}
			want = append(want, s)
		}
		if !slices.Equal(sub.IDs, want) {
			t.Errorf("got %q, want %q", sub.IDs, want)
		}
		for _, id := range sub.IDs {
			if !utf8.ValidString(id) {
				t.Errorf("%q is not UTF-8", id)
			}
		}
		if plain.Block != nil && *plain.Block != sub.Block || plain.Much != nil && !strings.EqualFold(*plain.Much, string(sub.Disclosure)) ||
			plain.Law != nil && !strings.EqualFold(*plain.Law, string(sub.Compliance)) {
			t.Errorf("asked for something else than %+v", sub)
		}
	})
}

func TestHalfPair(t *testing.T) {
	for _, c := range []struct {
		in   string
		want bool
	}{
		{`"a"`, false}, {`""`, false}, {`"\ud83d\ude00"`, false}, {`"\uD83D\uDE00x\ud83d\ude00"`, false},
		{`"\ud83d"`, true}, {`"\ude00"`, true}, {`"\ude00\ud83d"`, true}, {`"\ud83d\ud83d\ude00"`, true}, {`"\ud83dx"`, true},
		{`"\ud83d\n"`, true}, {`"\ud83d\\ude00"`, true}, {`"\\ud83d"`, false}, {`"\\\ud83d"`, true}, {`"\ud83d\u0041"`, true}, {`"\u0041\u00e9"`, false},
	} {
		if got := halfPair([]byte(c.in)); got != c.want {
			t.Errorf("halfPair(%s) = %v, want %v", c.in, got, c.want)
		}
	}
}
