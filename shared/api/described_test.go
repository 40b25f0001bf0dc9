package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A description is an OpenAPI document that answers are held against.
type description struct {
	name   string
	base   string // what its paths leave out
	doc    map[string]any
	schema *jsonschema.Compiler
	mu     sync.Mutex
}

func openDescription(name, base, file string, draft *jsonschema.Draft) *description {
	data, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.AssertFormat()
	if err := c.AddResource("https://test.invalid/"+name, doc); err != nil {
		panic(err)
	}
	return &description{name: name, base: base, doc: doc.(map[string]any), schema: c}
}

var (
	ours = sync.OnceValue(func() *description {
		return openDescription("lethe", "", "openapi.json", jsonschema.Draft2020)
	})
	// OpenAPI 3.0 schemas are close to draft 4, and this file uses nothing else.
	mixpanels = sync.OnceValue(func() *description {
		d := openDescription("mixpanel", "/api/app", "testdata/mixpanel-gdpr.json", jsonschema.Draft4)
		// The file is closed and older than the status-callback extension, which adds
		// this one key where a caller gave one.
		result := d.at("#/components/schemas/DeletionJobResult")["properties"].(map[string]any)
		result["subject_request_id"] = map[string]any{"type": "string"}
		return d
	})
)

// checkDescribed fails the test if the answer is not what the descriptions say.
// Ours must name every path, status and header; Mixpanel's is asked where it says
// anything, since it leaves out most errors.
func checkDescribed(t *testing.T, r *http.Request, a *httptest.ResponseRecorder) {
	t.Helper()
	for _, d := range []*description{ours(), mixpanels()} {
		path, known := d.path(r.URL.EscapedPath())
		if !known {
			if d == ours() && a.Code != http.StatusNotFound && a.Code != http.StatusBadRequest {
				t.Errorf("%s: the path answers %d and is not described", r.URL.Path, a.Code)
			}
			continue
		}
		d.check(t, r.Method, path, a, d == ours())
	}
}

func (d *description) check(t *testing.T, method, path string, a *httptest.ResponseRecorder, all bool) {
	t.Helper()
	item := d.doc["paths"].(map[string]any)[path].(map[string]any)
	if method == http.MethodHead {
		method = http.MethodGet
	}
	place := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(path) + "/" + strings.ToLower(method)
	operation, ok := item[strings.ToLower(method)].(map[string]any)
	if !ok {
		if all && a.Code != http.StatusMethodNotAllowed && method != http.MethodOptions {
			t.Errorf("%s: %s %s answers %d and is not described", d.name, method, path, a.Code)
		}
		return
	}
	status := strconv.Itoa(a.Code)
	response, ok := operation["responses"].(map[string]any)[status].(map[string]any)
	if !ok {
		if all {
			t.Errorf("%s: %s %s answers %s, which is not described", d.name, method, path, status)
		}
		return
	}
	place += "/responses/" + status
	if to, ok := response["$ref"].(string); ok {
		place, response = to, d.at(to)
	}
	headers, _ := response["headers"].(map[string]any)
	for name := range headers {
		if a.Header().Get(name) == "" {
			t.Errorf("%s: %s %s answers %s without %s", d.name, method, path, status, name)
		}
	}
	content, ok := response["content"].(map[string]any)
	if !ok {
		if a.Body.Len() > 0 {
			t.Errorf("%s: %s %s answers %s with a body of %d bytes, want none", d.name, method, path, status, a.Body.Len())
		}
		return
	}
	got, _, _ := strings.Cut(a.Header().Get("Content-Type"), ";")
	form, ok := content[got].(map[string]any)
	if !ok {
		t.Errorf("%s: %s %s answers %s as %q, which is not described", d.name, method, path, status, got)
		return
	}
	body := a.Body.Bytes()
	if got != "application/json" {
		body, _ = json.Marshal(string(body))
	}
	if form["schema"] != nil {
		d.validate(t, place+"/content/"+strings.ReplaceAll(got, "/", "~1")+"/schema", body)
	}
}

func (d *description) validate(t *testing.T, place string, body []byte) {
	t.Helper()
	d.mu.Lock()
	schema, err := d.schema.Compile("https://test.invalid/" + d.name + place)
	d.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v in %s", place, err, body)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("the answer is not as the description of %s says: %v\n%s", d.name, err, body)
	}
}

// at follows "#/components/responses/X".
func (d *description) at(place string) map[string]any {
	v := d.doc
	for name := range strings.SplitSeq(strings.TrimPrefix(place, "#/"), "/") {
		v = v[name].(map[string]any)
	}
	return v
}

// path finds the template that a path of a request fits.
func (d *description) path(p string) (string, bool) {
	p, ok := strings.CutPrefix(strings.TrimSuffix(p, "/"), d.base)
	if !ok {
		return "", false
	}
	if _, ok := d.doc["paths"].(map[string]any)[p]; ok {
		return p, true
	}
	parts := strings.Split(p, "/")
	for template := range d.doc["paths"].(map[string]any) {
		want := strings.Split(template, "/")
		same := len(want) == len(parts)
		for i := 0; same && i < len(want); i++ {
			same = want[i] == parts[i] || strings.HasPrefix(want[i], "{") && parts[i] != ""
		}
		if same {
			return template, true
		}
	}
	return "", false
}

// The description is itself what the OpenAPI Initiative says one must be.
func TestDescriptionIsOpenAPI(t *testing.T) {
	w := newWorld(t)
	a := w.do("GET", "/openapi.json", "", header{"Authorization", ""})
	if a.Code != http.StatusOK || !json.Valid(a.Body.Bytes()) {
		t.Fatalf("got %d", a.Code)
	}
	data, err := os.ReadFile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("https://test.invalid/openapi", meta); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("https://test.invalid/openapi")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(any(ours().doc)); err != nil {
		t.Error(err)
	}
	for name := range ours().doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := ours().schema.Compile("https://test.invalid/lethe#/components/schemas/" + name); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}
