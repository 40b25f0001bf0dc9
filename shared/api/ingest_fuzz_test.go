package api_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// deaf is a table that answers every read of many with an error.
type deaf struct {
	table.Table
	kind kind.Kind
}

func (d deaf) GetMany(context.Context, []table.Key) (map[table.Key]table.Item, error) {
	return nil, kind.E(d.kind, "read items")
}

// Whatever the body, the answer is one of those that are promised, and never an
// error of the server's own.
func FuzzBody(f *testing.F) {
	f.Add("/track", "", `{"event":"e","properties":{"token":"t"}}`)
	f.Add("/track?verbose=1", form, `data=`+base64.StdEncoding.EncodeToString([]byte(`[{"event":"e","properties":{}}]`)))
	f.Add("/import?strict=1", "application/x-ndjson", "{\"event\":\"e\"}\n{\n\n7\n")
	f.Add("/import", "application/json", "[[],{},\"\"]")
	f.Add("/engage", form, "data=%7B%22%24set%22%3A%7B%7D%7D&verbose=1&callback=f")
	f.Add("/groups?img=1", form, "data=")
	f.Fuzz(func(t *testing.T, target, contentType, body string) {
		path, query, _ := strings.Cut(target, "?")
		if path != "/track" && path != "/import" && path != "/engage" && path != "/groups" {
			return
		}
		in := newIntake(t)
		r := strings.NewReplacer(" ", "", "\n", "", "\r", "")
		body = strings.ReplaceAll(body, `"t"`, `"`+in.ProjectToken+`"`)
		w := in.send(path, r.Replace(query), contentType, body)
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer is no JSON: %s", w.Body)
		}
	})
}
