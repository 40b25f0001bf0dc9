package archive_test

import (
	"bytes"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lethe/shared/archive"
)

// The schemas in the archive describe the files in the archive.
func TestFilesFollowTheirSchemas(t *testing.T) {
	bucket, _ := export(t, people(4, 30), 2, 4000, false)
	a := open(t, read(t, bucket, archive.Key(task)))
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range []string{"manifest", "profile", "event"} {
		schemas[name] = compile(t, a, "schema/"+name+".json")
	}
	checked := map[string]int{}
	validate := func(name, file string, data []byte) {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err == nil {
			err = schemas[name].Validate(value)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		checked[name]++
	}
	validate("manifest", "manifest.json", readFile(t, a, "manifest.json"))
	for _, f := range a.Manifest().Files {
		switch data := readFile(t, a, f.Path); {
		case path.Base(f.Path) == "profile.json" && strings.HasPrefix(f.Path, "subjects/"):
			validate("profile", f.Path, data)
		case path.Ext(f.Path) == ".jsonl":
			for line := range bytes.Lines(data) {
				validate("event", f.Path, line)
			}
		}
	}
	for name := range schemas {
		if checked[name] == 0 {
			t.Errorf("nothing was checked against %s.json", name)
		}
	}
}

func compile(t *testing.T, a *archive.Archive, path string) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(readFile(t, a, path)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(path, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return schema
}

// A schema that lets everything through would pass the test above.
func TestSchemasRefuse(t *testing.T) {
	bucket, _ := export(t, people(1, 3), 1, archive.SegmentSize, false)
	a := open(t, read(t, bucket, archive.Key(task)))
	tests := []struct{ schema, document string }{
		{"manifest", `{}`},
		{"manifest", strings.Replace(string(readFile(t, a, "manifest.json")), `"version": 1`, `"version": 2`, 1)},
		{"manifest", strings.Replace(string(readFile(t, a, "manifest.json")), `"path":"`, `"path":"../`, 1)},
		{"profile", `[]`},
		{"profile", `[{"$properties":{}}]`},
		{"event", `{"event":"a"}`},
		{"event", `{"event":"a","properties":{"distinct_id":"a"}}`},
		{"event", `{"event":1,"properties":{"time":1,"distinct_id":"a"}}`},
		{"event", `{"event":"a","properties":{"time":1,"distinct_id":"a"},"more":1}`},
	}
	for i, test := range tests {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(test.document))
		if err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
		if compile(t, a, "schema/"+test.schema+".json").Validate(value) == nil {
			t.Errorf("schema/%s.json takes document %d", test.schema, i)
		}
	}
}

func TestManifestSaysWhatWasAsked(t *testing.T) {
	all := people(3, 5)
	bucket, info := export(t, all, 2, archive.SegmentSize, false)
	a := open(t, read(t, bucket, archive.Key(task)))
	m := a.Manifest()
	if a.Sum() != info.Manifest {
		t.Errorf("the manifest's sum is %q, Pack says %q", a.Sum(), info.Manifest)
	}
	if m.Head != head() {
		t.Errorf("got %+v, want %+v", m.Head, head())
	}
	want := archive.Totals{Subjects: 3, Found: 2, Profiles: 2, Events: 10}
	if m.Totals != want {
		t.Errorf("got %+v, want %+v", m.Totals, want)
	}
	if len(m.Subjects) != 3 || string(m.Subjects[1].Submitted[0]) != "user-1" || string(m.Subjects[1].Resolved[1]) != "anon-1" {
		t.Errorf("the manifest's folders do not name their ids")
	}
	if int64(len(m.Files)+1) != info.Files {
		t.Errorf("got %d files in the manifest, %+v", len(m.Files), info)
	}
}

// Ids stand in the manifest as they are, so that a search finds them.
func TestManifestKeepsIDs(t *testing.T) {
	all := people(1, 1)
	all[0].ids = ids("<&>\"\\", "é\u2028\x00\n")
	bucket, _ := export(t, all, 1, archive.SegmentSize, false)
	a := open(t, read(t, bucket, archive.Key(task)))
	if text := string(readFile(t, a, "manifest.json")); !strings.Contains(text, `"<&>\"\\"`) {
		t.Error("an id is escaped more than JSON needs")
	}
	for i, want := range all[0].ids {
		if got := a.Manifest().Subjects[0].Resolved[i]; got != want {
			t.Errorf("got %q, want %q", string(got), string(want))
		}
	}
}

func TestManifestKeepsTheWindow(t *testing.T) {
	h := head()
	h.Compliance = "ccpa"
	h.From, h.To = snapshot.AddDate(-1, 0, 0), snapshot.Add(-time.Second)
	all := people(1, 1)
	bucket, batches := stage(t, all)
	var cursor archive.Packing
	if _, _, err := archive.Pack(t.Context(), bucket, task, &cursor, batches, h, folders(all), always); err != nil {
		t.Fatal(err)
	}
	if got := open(t, read(t, bucket, archive.Key(task))).Manifest().Head; got != h {
		t.Errorf("got %+v, want %+v", got, h)
	}
}
