package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"lethe/shared/dsr"
)

// What is served and what is described are the same, both ways.
func TestRoutesAreDescribed(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			Security *[]map[string][]string
		}
	}
	if err := json.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	e := &edge{Parts: Parts{Service: &dsr.Service{}, Ingestion: http.NotFoundHandler()}}
	served := map[string]bool{}
	for _, r := range e.table() {
		served[r.pattern] = true
		item, ok := doc.Paths[r.pattern]
		if !ok {
			t.Errorf("%s is served and not described", r.pattern)
			continue
		}
		if r.method == anyMethod {
			continue
		}
		operation, ok := item[strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s %s is served and not described", r.method, r.pattern)
		}
		if got := operation.Security != nil; got != r.open {
			t.Errorf("%s %s: described as open: %v, want %v", r.method, r.pattern, got, r.open)
		}
	}
	for path, item := range doc.Paths {
		if !served[path] {
			t.Errorf("%s is described and not served", path)
		}
		for method := range item {
			known := slices.ContainsFunc(e.table(), func(r route) bool {
				return r.pattern == path && (r.method == anyMethod || strings.EqualFold(r.method, method))
			})
			if !known {
				t.Errorf("%s %s is described and not served", method, path)
			}
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		pattern, path, value string
		ok                   bool
	}{
		{"/a/b", "/a/b", "", true},
		{"/a/b", "/a", "", false},
		{"/a", "/a/b", "", false},
		{"/a/b", "/a//b", "", false},
		{"/a/{x}", "/a/1", "1", true},
		{"/a/{x}", "/a/", "", false},
		{"/a/{x}", "/a//", "", false},
		{"/a/{x}", "/a", "", false},
		{"/a/{x}/c", "/a/1/c", "1", true},
		{"/a/{x}/c", "/a/1/d", "", false},
		{"/a/{x}", "/a/..", "..", true},
		{"/a/{x}", "/a/1%2Fc", "1/c", true},
		{"/a/{x}/c", "/a/1%2Fc", "", false},
		{"/a/{x}", "/a/%zz", "", false},
	} {
		value, ok := fits(c.pattern, c.path)
		if ok != c.ok || ok && value != c.value {
			t.Errorf("fits(%q, %q) = %q, %v; want %q, %v", c.pattern, c.path, value, ok, c.value, c.ok)
		}
	}
}

// Without a part of the edge its paths are not there.
func TestPartsAreServedAlone(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts Parts
		want  map[string]bool
	}{
		{"requests alone", Parts{Service: &dsr.Service{}}, map[string]bool{retrievals: true, "/track": false}},
		{"ingestion alone", Parts{Ingestion: http.NotFoundHandler()}, map[string]bool{retrievals: false, "/track": true}},
	} {
		e := &edge{Parts: c.parts}
		e.routes = e.table()
		for path, want := range c.want {
			_, _, methods := e.match(httptest.NewRequest("POST", path, nil))
			if got := len(methods) > 0; got != want {
				t.Errorf("%s: %s is served: %v, want %v", c.name, path, got, want)
			}
		}
	}
}
