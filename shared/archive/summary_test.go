package archive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lethe/shared/archive"
	"lethe/shared/blob"
	"lethe/shared/kind"
)

// digest makes an archive of what fill gives a Collector, in segments of about cut
// bytes, each by a Collector of its own.
func digest(t *testing.T, d archive.Digest, cut int, all []archive.SubjectFolder, fill func(add func(folder int, s archive.Summary))) (a *archive.Archive, segments int) {
	t.Helper()
	bucket := blob.NewMemory(time.Now)
	c := archive.NewCollector(archive.State{})
	c.Cut = cut
	end := func(last bool) {
		s, err := c.Close(last)
		if err == nil {
			err = archive.Store(t.Context(), bucket, task, 0, s)
		}
		if err != nil {
			t.Fatal(err)
		}
		if state, err := json.Marshal(s.Next); err != nil || len(state) > 300<<10 {
			t.Fatalf("the state has %d bytes, %v; a cursor has no room for it", len(state), err)
		}
		segments++
		c = archive.NewCollector(throughJSON(t, s.Next))
		c.Cut = cut
	}
	fill(func(folder int, s archive.Summary) {
		if err := c.Summarise(folder, d, s); err != nil {
			t.Fatal(err)
		}
		if c.Full() {
			end(false)
		}
	})
	end(true)
	h := head()
	h.Compliance, h.Disclosure = "ccpa", strings.ToUpper(string(d))
	var cursor archive.Packing
	_, _, err := archive.Pack(t.Context(), bucket, task, &cursor, []int{segments}, h, func(yield func(archive.SubjectFolder, error) bool) {
		for _, f := range all {
			if !yield(f, nil) {
				return
			}
		}
	}, always)
	if err != nil {
		t.Fatal(err)
	}
	a = open(t, read(t, bucket, archive.Key(task)))
	if err := a.Verify(t.Context()); err != nil {
		t.Errorf("verify: %v", err)
	}
	return a, segments
}

// some gives two people of which both digests have something to tell.
func some(d archive.Digest) func(add func(int, archive.Summary)) {
	return func(add func(int, archive.Summary)) {
		for folder := 1; folder <= 2; folder++ {
			for i := range 50 {
				at := snapshot.Add(time.Duration(i*7%50-100) * time.Hour)
				facets := []archive.Facet{
					{Of: archive.OfEvent, Name: fmt.Sprint("event <", i%3), Count: 1, First: at, Last: at},
					{Of: archive.OfEventProperty, Name: "\"quoted\"\n", Type: []string{"string", "null", "boolean", "number", "array", "object"}[i%6], Count: 1, First: at, Last: at},
				}
				if d == archive.Sources {
					facets = []archive.Facet{
						{Of: archive.OfSource, Name: archive.OfSource, Value: `"events"`, Count: 1, First: at, Last: at},
						{Of: "platform", Name: "$os", Value: `"Plan 9"`, Count: 1, First: at, Last: at},
						{Of: "platform", Name: "$screen_height", Value: fmt.Sprint(i % 4), Count: 1, First: at, Last: at},
					}
				}
				add(folder, archive.Summary{Events: 1, Facets: facets})
			}
			profile := archive.Facet{Of: archive.OfProfileProperty, Name: "plan", Type: "string", Count: 1}
			if d == archive.Sources {
				profile = archive.Facet{Of: archive.OfSource, Name: archive.OfSource, Value: `"events"`, Count: 1}
			}
			add(folder, archive.Summary{Profiles: 1, Facets: []archive.Facet{profile}})
		}
	}
}

func two(events, profiles int64) []archive.SubjectFolder {
	return []archive.SubjectFolder{
		{Folder: 1, Submitted: ids("ann"), Resolved: ids("ann"), Events: events, Profiles: profiles},
		{Folder: 2, Submitted: ids("bob"), Resolved: ids("bob"), Events: events, Profiles: profiles},
	}
}

// However a person is cut into segments, the digest is the same, and as its schema
// says.
func TestDigests(t *testing.T) {
	for _, d := range []archive.Digest{archive.Categories, archive.Sources} {
		var want []byte
		for _, cut := range []int{archive.SegmentSize, 1000, 1} {
			a, _ := digest(t, d, cut, two(50, 1), some(d))
			path := "subjects/2/" + string(d) + ".json"
			got := readFile(t, a, path)
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s in segments of %d bytes: got\n%s\nwant\n%s", d, cut, got, want)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(got))
			if err == nil {
				err = compile(t, a, "schema/"+string(d)+".json").Validate(value)
			}
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			manifest, err := jsonschema.UnmarshalJSON(bytes.NewReader(readFile(t, a, "manifest.json")))
			if err == nil {
				err = compile(t, a, "schema/manifest.json").Validate(manifest)
			}
			if err != nil {
				t.Errorf("manifest.json: %v", err)
			}
			page := string(readFile(t, a, "index.html"))
			if !strings.Contains(page, `<a href="`+path+`">`) || strings.Contains(page, "events.csv") {
				t.Errorf("the page does not lead to %s, or to what is not there", path)
			}
		}
	}
}

// A person with more names than there is room for costs no more, and the file says
// what is missing.
func TestDigestsAreBounded(t *testing.T) {
	all := []archive.SubjectFolder{{Folder: 1, Submitted: ids("ann"), Resolved: ids("ann"), Events: 20_000}}
	a, segments := digest(t, archive.Categories, 1_000_000, all, func(add func(int, archive.Summary)) {
		for i := range 20_000 {
			add(1, archive.Summary{Events: 1, Facets: []archive.Facet{
				{Of: archive.OfEvent, Name: fmt.Sprintf("<event> %d", i/2), Count: 1, First: snapshot, Last: snapshot},
				{Of: archive.OfEventProperty, Name: strings.Repeat("x", 1001), Type: "string", Count: 1, First: snapshot, Last: snapshot},
			}})
		}
	})
	if segments < 3 {
		t.Errorf("a person of 20,000 events is in %d segments of 1 MB, want the work on them to end now and then", segments)
	}
	var file struct {
		Left   int64 `json:"left_out"`
		Events []struct{ Count int64 }
	}
	if err := json.Unmarshal(readFile(t, a, "subjects/1/categories.json"), &file); err != nil {
		t.Fatal(err)
	}
	told := int64(0)
	for _, e := range file.Events {
		told += e.Count
	}
	if told < 1000 || told+file.Left != 40_000 {
		t.Errorf("%d events are told and %d occurrences left out, want 40,000 together", told, file.Left)
	}

	a, _ = digest(t, archive.Sources, 1_000_000, all, func(add func(int, archive.Summary)) {
		for i := range 20_000 {
			add(1, archive.Summary{Events: 1, Facets: []archive.Facet{
				{Of: archive.OfSource, Name: archive.OfSource, Value: `"events"`, Count: 1, First: snapshot, Last: snapshot},
				{Of: "page", Name: "$current_url", Value: fmt.Sprintf(`"https://example.com/%d"`, i), Count: 1, First: snapshot, Last: snapshot},
				{Of: "referrer", Name: "$referrer", Value: `"` + strings.Repeat("x", 1001) + `"`, Count: 1, First: snapshot, Last: snapshot},
			}})
		}
	})
	text := string(readFile(t, a, "subjects/1/sources.json"))
	for _, want := range []string{
		`"left_out": 0`, `"name":"$current_url","value":null,"count":19700,`, `"name":"$referrer","value":null,"count":20000,`, `"value":"events","count":20000,`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("sources.json does not say %s", want)
		}
	}
}

// A digest that tells of other records than the manifest, or does not add up, is
// found out.
func TestDigestsAreVerified(t *testing.T) {
	for name, fill := range map[string]func(add func(int, archive.Summary)){
		"an event without a name": func(add func(int, archive.Summary)) { add(1, archive.Summary{Events: 1}) },
		"a name without an event": func(add func(int, archive.Summary)) {
			add(1, archive.Summary{Events: 1, Facets: []archive.Facet{{Of: archive.OfEvent, Name: "a", Count: 2}}})
		},
	} {
		bucket := blob.NewMemory(time.Now)
		c := archive.NewCollector(archive.State{})
		fill(func(folder int, s archive.Summary) {
			if err := c.Summarise(folder, archive.Categories, s); err != nil {
				t.Fatal(err)
			}
		})
		s, err := c.Close(true)
		if err == nil {
			err = archive.Store(t.Context(), bucket, task, 0, s)
		}
		var cursor archive.Packing
		if err == nil {
			_, _, err = archive.Pack(t.Context(), bucket, task, &cursor, []int{1}, head(), folders([]person{{folder: 1, ids: ids("ann"), events: make([]archive.Event, 1)}}), always)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := open(t, read(t, bucket, archive.Key(task))).Verify(t.Context()); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
}

func TestAFolderHasRecordsOrADigest(t *testing.T) {
	record := archive.Event{Time: snapshot, Name: "a"}
	for name, do := range map[string]func(c *archive.Collector) error{
		"a digest, then an event": func(c *archive.Collector) error {
			_ = c.Summarise(1, archive.Sources, archive.Summary{})
			return c.Event(1, record)
		},
		"a digest, then a profile": func(c *archive.Collector) error {
			_ = c.Summarise(1, archive.Sources, archive.Summary{})
			return c.Profile(1, []byte("{}"))
		},
		"an event, then a digest": func(c *archive.Collector) error {
			_ = c.Event(1, record)
			return c.Summarise(1, archive.Sources, archive.Summary{})
		},
		"a digest, and another one": func(c *archive.Collector) error {
			_ = c.Summarise(1, archive.Sources, archive.Summary{})
			return c.Summarise(1, archive.Categories, archive.Summary{})
		},
	} {
		if err := do(archive.NewCollector(archive.State{})); kind.Of(err) != kind.Internal {
			t.Errorf("%s: got %v, want %v", name, err, kind.Internal)
		}
	}
}
