package dsr_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/archive"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// shop is a world over the built-in store, with things to find in every type of
// disclosure.
type shop struct {
	*world
	subjects table.Table
	events   *events.Store
}

func newShop(t *testing.T) *shop {
	s := &shop{world: newWorld(t)}
	s.subjects = table.NewMemory(s.now)
	s.open()
	return s
}

// open builds the store and the service over the tables, as a process does.
func (s *shop) open() {
	s.events = events.New(s.subjects, s.keys, s.now)
	s.store = s.events
	s.build()
}

func (s *shop) track(raw ...string) events.Receipt {
	s.t.Helper()
	var batch []events.Event
	for _, r := range raw {
		e, err := events.ParseEvent([]byte(r), events.Rules{Now: s.now(), Import: true})
		if err != nil {
			s.t.Fatalf("%s: %v", r, err)
		}
		batch = append(batch, e)
	}
	receipt, err := s.events.Track(s.ctx, project, batch)
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

func (s *shop) engage(raw string) {
	s.t.Helper()
	u, err := events.ParseUpdate([]byte(raw), false)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.events.Update(s.ctx, project, []events.Update{u}); err != nil {
		s.t.Fatal(err)
	}
}

// visit is an event of id with a secret and with means of collection.
func visit(id, insertID string, at time.Time) string {
	return fmt.Sprintf(`{"event":"Visit","properties":{"time":%d,"distinct_id":%q,"$insert_id":%q,"secret":"s3cret","amount":7,"mp_lib":"web","$os":"Plan 9","utm_source":"paper"}}`,
		at.UnixMilli(), id, insertID)
}

// people puts ann in, of whom some is older than a year, and bob.
func (s *shop) people() {
	now := s.now()
	s.track(visit("ann", "a1", now.AddDate(-2, 0, 0)), visit("ann", "a2", now.AddDate(0, -1, 0)), visit("ann", "a3", now.Add(-time.Hour)),
		fmt.Sprintf(`{"event":"Paid","properties":{"time":%d,"distinct_id":"ann","$insert_id":"p","amount":"much"}}`, now.UnixMilli()),
		fmt.Sprintf(`{"event":"$create_alias","properties":{"time":%d,"distinct_id":"ann","alias":"ann@example.com","$insert_id":"al"}}`, now.UnixMilli()),
		visit("bob", "b1", now.Add(-time.Hour)))
	s.engage(`{"$distinct_id":"ann","$set":{"name":"s3cret Ann","$browser":"Mosaic","$initial_utm_source":"paper"}}`)
}

func (s *shop) ask(t dsr.Type, d dsr.Disclosure, window *dsr.Period, ids ...string) dsr.Request {
	s.t.Helper()
	s.advance(time.Minute)
	sub := submission(t, ids...)
	sub.Compliance, sub.Disclosure, sub.Period = dsr.CCPA, d, window
	r, err := s.Submit(s.ctx, sub)
	if err != nil {
		s.t.Fatalf("submit: %v", err)
	}
	s.settle()
	return r
}

// opened is the archive of an export, checked.
func (s *shop) opened(r dsr.Request) archive.Manifest {
	s.t.Helper()
	data := read(s.t, s.bucket, archive.Key(archive.Work(r.Task, s.status(r).Plan)))
	a, err := archive.Open(bytes.NewReader([]byte(data)), int64(len(data)))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := a.Verify(s.ctx); err != nil {
		s.t.Error(err)
	}
	return a.Manifest()
}

// exported are the lines of events of somebody's data, as an export has them.
func (s *shop) exported(id string) string {
	s.t.Helper()
	r := s.ask(dsr.Export, dsr.Data, &dsr.Period{}, id)
	if s.status(r).Status == dsr.Failure {
		return ""
	}
	var all strings.Builder
	files := s.unzip(s.want(r, dsr.Success))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, "subjects/") && !strings.HasSuffix(name, ".csv") {
			all.WriteString(files[name])
		}
	}
	return all.String()
}

// everything is all that the subjects table holds, as text.
func (s *shop) everything() string {
	s.t.Helper()
	var all strings.Builder
	err := s.subjects.Partitions(s.ctx, func(pk string) error {
		page, err := s.subjects.Query(s.ctx, table.Query{PK: pk})
		for _, item := range page.Items {
			fmt.Fprintf(&all, "%s %s %q\n", item.PK, item.SK, item.Data)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all.String()
}

const day = "2006-01-02T15:04:05.000Z"

// A consumer is told which kinds of data there are, and not the data.
func TestExportOfCategories(t *testing.T) {
	for name, change := range map[string]func(*shop){
		"in one run":       func(*shop) {},
		"every task twice": func(s *shop) { s.twice = true },
		"one segment to a run": func(s *shop) {
			s.settings = dsr.Settings{Budget: 1, SegmentSize: 1, Laps: 3}
			s.step = time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.people()
			first, last := s.now().AddDate(-2, 0, 0).Format(day), s.now().Add(-time.Hour).Format(day)
			now := s.now().Format(day)
			change(s)
			s.open()
			r := s.want(s.ask(dsr.Export, dsr.Categories, &dsr.Period{}, "ann", "nobody"), dsr.Success)
			m := s.opened(r)
			if m.Head.Disclosure != "CATEGORIES" || m.Totals != (archive.Totals{Subjects: 2, Found: 1, Profiles: 1, Events: 5}) {
				t.Errorf("the manifest says %+v, %+v", m.Head, m.Totals)
			}
			want := `{
  "totals": {"profiles":1,"events":5},
  "left_out": 0,
  "events": [
    {"name":"$create_alias","count":1,"first":"NOW","last":"NOW"},
    {"name":"Paid","count":1,"first":"NOW","last":"NOW"},
    {"name":"Visit","count":3,"first":"FIRST","last":"LAST"}
  ],
  "event_properties": [
    {"name":"$insert_id","type":"string","count":5,"first":"FIRST","last":"NOW"},
    {"name":"$os","type":"string","count":3,"first":"FIRST","last":"LAST"},
    {"name":"alias","type":"string","count":1,"first":"NOW","last":"NOW"},
    {"name":"amount","type":"number","count":3,"first":"FIRST","last":"LAST"},
    {"name":"amount","type":"string","count":1,"first":"NOW","last":"NOW"},
    {"name":"distinct_id","type":"string","count":5,"first":"FIRST","last":"NOW"},
    {"name":"mp_lib","type":"string","count":3,"first":"FIRST","last":"LAST"},
    {"name":"secret","type":"string","count":3,"first":"FIRST","last":"LAST"},
    {"name":"time","type":"number","count":5,"first":"FIRST","last":"NOW"},
    {"name":"utm_source","type":"string","count":3,"first":"FIRST","last":"LAST"}
  ],
  "profile_properties": [
    {"name":"$browser","type":"string","count":1},
    {"name":"$initial_utm_source","type":"string","count":1},
    {"name":"name","type":"string","count":1}
  ]
}
`
			want = strings.NewReplacer("FIRST", first, "LAST", last, "NOW", now).Replace(want)
			files := s.unzip(r)
			if got := files["subjects/1/categories.json"]; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for name, text := range files {
				if strings.Contains(text, "s3cret") || strings.Contains(text, "Plan 9") {
					t.Errorf("%s holds a value", name)
				}
				if strings.HasPrefix(name, "subjects/") && name != "subjects/1/categories.json" {
					t.Errorf("there is a file %s", name)
				}
			}
		})
	}
}

func TestExportOfSources(t *testing.T) {
	s := newShop(t)
	s.people()
	first, last, now := s.now().AddDate(-2, 0, 0).Format(day), s.now().Add(-time.Hour).Format(day), s.now().Format(day)
	r := s.want(s.ask(dsr.Export, dsr.Sources, &dsr.Period{}, "ann"), dsr.Success)
	if m := s.opened(r); m.Head.Disclosure != "SOURCES" || m.Totals.Events != 5 {
		t.Errorf("the manifest says %+v, %+v", m.Head, m.Totals)
	}
	want := `{
  "totals": {"profiles":1,"events":5},
  "left_out": 0,
  "sources": [
    {"means":"campaign","name":"$initial_utm_source","value":"paper","count":1,"first":null,"last":null},
    {"means":"campaign","name":"utm_source","value":"paper","count":3,"first":"FIRST","last":"LAST"},
    {"means":"library","name":"mp_lib","value":"web","count":3,"first":"FIRST","last":"LAST"},
    {"means":"platform","name":"$browser","value":"Mosaic","count":1,"first":null,"last":null},
    {"means":"platform","name":"$os","value":"Plan 9","count":3,"first":"FIRST","last":"LAST"},
    {"means":"source","name":"source","value":"events","count":6,"first":"FIRST","last":"NOW"}
  ]
}
`
	want = strings.NewReplacer("FIRST", first, "LAST", last, "NOW", now).Replace(want)
	files := s.unzip(r)
	if got := files["subjects/1/sources.json"]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for name, text := range files {
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s holds a value that tells of no means", name)
		}
	}
}

// The CCPA looks back twelve months unless the consumer asks for more.
func TestWindow(t *testing.T) {
	s := newShop(t)
	s.people()
	now := s.now()
	for name, c := range map[string]struct {
		law    dsr.Compliance
		window *dsr.Period
		from   time.Time // of the manifest; zero is null
		events int
	}{
		"GDPR":             {law: dsr.GDPR, events: 5},
		"CCPA, by default": {law: dsr.CCPA, from: now.AddDate(-1, 0, 0), events: 4},
		"all":              {law: dsr.CCPA, window: &dsr.Period{}, events: 5},
		"from on":          {law: dsr.CCPA, window: &dsr.Period{From: now.Add(-time.Hour)}, from: now.Add(-time.Hour), events: 3},
		"a time alone":     {law: dsr.CCPA, window: &dsr.Period{From: now.AddDate(0, -1, 0), To: now.AddDate(0, -1, 0)}, from: now.AddDate(0, -1, 0), events: 1},
		"up to":            {law: dsr.CCPA, window: &dsr.Period{To: now.Add(-time.Hour - time.Millisecond)}, events: 2},
	} {
		t.Run(name, func(t *testing.T) {
			s.advance(time.Minute)
			sub := submission(dsr.Export, "ann")
			sub.Compliance, sub.Period = c.law, c.window
			r, err := s.Submit(s.ctx, sub)
			if err != nil {
				t.Fatal(err)
			}
			if c.law == dsr.CCPA && c.window == nil {
				c.from = r.Created.AddDate(-1, 0, 0)
			}
			s.settle()
			s.want(r, dsr.Success)
			m := s.opened(r)
			var to time.Time
			if c.window != nil {
				to = c.window.To
			}
			if !m.Head.From.Equal(c.from) || !m.Head.To.Equal(to) {
				t.Errorf("the manifest's window is %v to %v, want %v to %v", m.Head.From, m.Head.To, c.from, to)
			}
			if m.Totals.Events != int64(c.events) || m.Totals.Profiles != 1 {
				t.Errorf("got %+v, want %d events and the profile", m.Totals, c.events)
			}
		})
	}
}

// Who has data from before the window alone is told so.
func TestNothingInTheWindow(t *testing.T) {
	s := newShop(t)
	s.track(visit("dot", "1", s.now().AddDate(-2, 0, 0)))
	for _, d := range []dsr.Disclosure{dsr.Data, dsr.Categories, dsr.Sources} {
		if got := s.want(s.ask(dsr.Export, d, nil, "dot"), dsr.Failure); !strings.Contains(got.Reason, "in the window") {
			t.Errorf("%s: reason: got %q", d, got.Reason)
		}
		s.want(s.ask(dsr.Export, d, &dsr.Period{}, "dot"), dsr.Success)
	}
}

func TestWindowIsRefused(t *testing.T) {
	w := newWorld(t)
	now := w.now()
	for name, c := range map[string]struct {
		of     dsr.Type
		law    dsr.Compliance
		window dsr.Period
		says   string
	}{
		"GDPR":          {dsr.Export, dsr.GDPR, dsr.Period{}, "CCPA only"},
		"a deletion":    {dsr.Deletion, dsr.CCPA, dsr.Period{}, "retrieval only"},
		"backwards":     {dsr.Export, dsr.CCPA, dsr.Period{From: now, To: now.Add(-time.Millisecond)}, "before it begins"},
		"from tomorrow": {dsr.Export, dsr.CCPA, dsr.Period{From: now.Add(time.Millisecond)}, "future"},
		"to tomorrow":   {dsr.Export, dsr.CCPA, dsr.Period{To: now.Truncate(24*time.Hour).AddDate(0, 0, 1)}, "future"},
	} {
		sub := submission(c.of, "ann")
		sub.Compliance, sub.Period = c.law, &c.window
		_, err := w.Submit(w.ctx, sub)
		if kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), c.says) {
			t.Errorf("%s: got %v, want it refused with %q", name, err, c.says)
		}
	}
	sub := submission(dsr.Export, "ann")
	sub.Compliance, sub.Period = dsr.CCPA, &dsr.Period{To: now.Truncate(24*time.Hour).AddDate(0, 0, 1).Add(-time.Millisecond)}
	if _, err := w.Submit(w.ctx, sub); err != nil {
		t.Errorf("up to today: %v", err)
	}
}

// What the certificate of a deletion says.
type certified struct {
	Disclosure string
	Effect     string
	Sources    []struct{ Before, After dsr.Tally }
	Withdrawn  []string `json:"withdrawn_archives"`
}

func (s *shop) certificate(r dsr.Request) certified {
	s.t.Helper()
	text := read(s.t, s.bucket, "certificates/"+r.Task+".json")
	s.checksum(text)
	var c certified
	if err := json.Unmarshal([]byte(text), &c); err != nil || len(c.Sources) != 1 {
		s.t.Fatalf("certificate: %s (%v)", text, err)
	}
	return c
}

func TestDeletionOfCategories(t *testing.T) {
	for name, change := range map[string]func(*shop){
		"at once":           func(*shop) {},
		"every task twice":  func(s *shop) { s.twice = true },
		"one step to a run": func(s *shop) { s.settings = dsr.Settings{Budget: 1, Laps: 2}; s.step = time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.people()
			old := s.want(s.ask(dsr.Export, dsr.Data, nil, "ann"), dsr.Success)
			change(s)
			s.open()
			r := s.want(s.ask(dsr.Deletion, dsr.Categories, nil, "ann"), dsr.Success)
			c := s.certificate(r)
			if want := (dsr.Tally{Events: 5, Profiles: 1, Edges: 1, Subjects: 1}); c.Disclosure != "CATEGORIES" || c.Sources[0].Before != want || c.Sources[0].After != (dsr.Tally{}) || !strings.Contains(c.Effect, "bare") {
				t.Errorf("the certificate says %+v", c)
			}
			if !slices.Equal(c.Withdrawn, []string{old.Task}) || !s.status(old).Withdrawn {
				t.Errorf("the archive that holds ann's data was not withdrawn: %v", c.Withdrawn)
			}
			all := s.everything()
			if strings.Count(all, "#none#") != 5 || strings.Count(all, "Visit") != 4 || strings.Contains(strings.ReplaceAll(all, "#id#bob", ""), "#id#ann") {
				t.Errorf("want ann's events to be nobody's:\n%s", all)
			}
			if got := s.exported("ann"); got != "" {
				t.Errorf("ann still has\n%s", got)
			}
			if got := s.exported("bob"); !strings.Contains(got, "s3cret") {
				t.Errorf("bob has lost something:\n%s", got)
			}
			if receipt := s.track(visit("ann", "late", r.Created)); receipt.Dropped != 1 {
				t.Errorf("late data of ann: %+v, want it dropped", receipt)
			}
			if receipt := s.track(visit("ann", "new", s.now())); receipt.Stored != 1 {
				t.Errorf("new data of ann: %+v, want it stored", receipt)
			}
		})
	}
}

func TestDeletionOfSources(t *testing.T) {
	for name, change := range map[string]func(*shop){
		"at once":           func(*shop) {},
		"every task twice":  func(s *shop) { s.twice = true },
		"one step to a run": func(s *shop) { s.settings = dsr.Settings{Budget: 1, Laps: 2}; s.step = time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.people()
			before := s.exported("ann")
			change(s)
			s.open()
			r := s.want(s.ask(dsr.Deletion, dsr.Sources, nil, "ann"), dsr.Success)
			c := s.certificate(r)
			if want := (dsr.Tally{Events: 3, Profiles: 1, Subjects: 1}); c.Disclosure != "SOURCES" || c.Sources[0].Before != want || c.Sources[0].After != (dsr.Tally{}) || len(c.Withdrawn) != 1 {
				t.Errorf("the certificate says %+v, want 3 events and the profile that had any", c)
			}
			want := strings.NewReplacer(`,"mp_lib":"web","$os":"Plan 9","utm_source":"paper"`, "", `,"$browser":"Mosaic","$initial_utm_source":"paper"`, "").Replace(before)
			if got := s.exported("ann"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			s.track(visit("ann", "late", r.Created))
			if got := s.exported("ann"); strings.Contains(got, "Plan 9") || !strings.Contains(got, `"late"`) {
				t.Errorf("late data is not stored without its means:\n%s", got)
			}
			s.track(visit("ann", "new", s.now()))
			if got := s.exported("ann"); strings.Count(got, "Plan 9") != 1 {
				t.Errorf("new data is not stored whole:\n%s", got)
			}
			again := s.want(s.ask(dsr.Deletion, dsr.Sources, nil, "ann"), dsr.Success)
			if got := s.certificate(again).Sources[0].Before; got.Events != 1 || got.Profiles != 0 {
				t.Errorf("a second deletion found %+v, want the one new event", got)
			}
		})
	}
}

// A restore does each erasure again, and each in its own way.
func TestRestoreOfEachType(t *testing.T) {
	s := newShop(t)
	s.people()
	for _, id := range []string{"cem", "dot"} {
		s.track(visit(id, "1", s.now()), visit(id, "2", s.now()))
	}
	copied := table.NewMemory(s.now)
	err := s.subjects.Partitions(s.ctx, func(pk string) error {
		page, err := s.subjects.Query(s.ctx, table.Query{PK: pk})
		for _, item := range page.Items {
			if err := copied.Write(s.ctx, table.Put(item, table.Cond{})); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	saved := s.save()
	s.want(s.ask(dsr.Deletion, dsr.Sources, nil, "ann"), dsr.Success)
	s.want(s.ask(dsr.Deletion, dsr.Categories, nil, "bob"), dsr.Success)
	// What was erased whole is not made bare when its ledger is read again.
	s.want(s.ask(dsr.Deletion, dsr.Data, nil, "cem"), dsr.Success)
	s.want(s.ask(dsr.Deletion, dsr.Sources, nil, "dot"), dsr.Success)
	s.want(s.ask(dsr.Deletion, dsr.Categories, nil, "dot"), dsr.Success)
	s.track(visit("cem", "3", s.now()))
	s.want(s.ask(dsr.Deletion, dsr.Categories, nil, "cem"), dsr.Success)
	want := s.exported("ann")

	s.subjects = copied
	s.restore(saved)
	s.open()
	for range 2 {
		if _, err := s.Restore(s.ctx); err != nil {
			t.Fatal(err)
		}
		all := s.everything()
		if got := strings.Count(all, "#none#"); got != 3 { // one of bob and two of dot
			t.Errorf("there are %d bare events, want 3:\n%s", got, all)
		}
		for _, id := range []string{"bob", "cem", "dot"} {
			if strings.Contains(all, "#id#"+id) {
				t.Errorf("%s is back", id)
			}
		}
	}
	if got := s.exported("ann"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if receipt := s.track(visit("bob", "late", s.now().AddDate(0, -1, 0))); receipt.Dropped != 1 {
		t.Errorf("late data of bob: %+v, want it dropped", receipt)
	}
}

// A source that hands out records where their categories were asked for is not
// believed.
func TestRecordsInPlaceOfCategories(t *testing.T) {
	w := newWorld(t)
	w.people()
	sub := submission(dsr.Export, "ann")
	sub.Compliance, sub.Disclosure = dsr.CCPA, dsr.Categories
	w.advance(time.Minute)
	r, err := w.Submit(w.ctx, sub)
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want(r, dsr.Failure)
	if got := files(t, w.bucket, "exports/"); len(got) > 0 {
		t.Errorf("there is an archive: %v", got)
	}
}
