package events_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

// visits fills a shop with what ann, bob and a few links have; two of ann's events
// are of several items.
func (s *shop) visits() {
	s.t.Helper()
	var b [700_000]byte
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b[:]) // never fails
	large := base64.StdEncoding.EncodeToString(b[:])
	visit := func(id, insertID string, sec int, more string) string {
		return fmt.Sprintf(`{"event":"Visit","properties":{"time":%d,"distinct_id":%q,"$insert_id":%q,"mp_lib":"web","secret":"s3cret","utm_term":"shoes"%s}}`,
			noon.Add(-26*time.Hour).Unix()+int64(sec), id, insertID, more)
	}
	s.event(visit("ann", "a1", 0, ""), visit("ann", "a2", 1, ""), visit("ann", "a3", 2, `,"text":"`+large+`"`), visit("ann", "a4", 86400, ""),
		seen("ann", "s1", 0), visit("bob", "b1", 0, ""),
		`{"event":"Note","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"n","$referrer":"`+large+`"}}`,
		`{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"anna","time":1777892400,"$insert_id":"al","mp_lib":"web"}}`)
	s.update(`{"$distinct_id":"ann","$set":{"name":"Ann","$browser":"Mosaic","$initial_utm_term":"shoes"}}`, `{"$distinct_id":"bob","$set":{"$os":"Plan 9"}}`)
}

// pieces counts the items of events that are in several.
func (s *shop) pieces() (n int) {
	for _, item := range s.items() {
		if item.SK[len(item.SK)-3] == '#' {
			n++
		}
	}
	return n
}

func (s *shop) erasure(d dsr.Disclosure, people ...string) dsr.Scope {
	scope := s.people(people...)
	scope.Erasure, scope.Disclosure = true, d
	return scope
}

// bares lists what the items of nobody's events say: day and name.
func (s *shop) bares() (all []string) {
	s.t.Helper()
	for _, item := range s.items() {
		pk, day, ok := strings.Cut(item.PK, "#none#")
		if !ok {
			continue
		}
		at, err := time.Parse(time.DateOnly, day)
		if err != nil || pk != project {
			s.t.Fatalf("the partition is %q", item.PK)
		}
		if want := fmt.Sprintf("event#%013d#", at.UnixMilli()); !strings.HasPrefix(item.SK, want) {
			s.t.Errorf("the key is %q, want it to begin with the day, %q", item.SK, want)
		}
		received, n := binary.Uvarint(item.Data[2:])
		if received != uint64(at.UnixMilli()) {
			s.t.Errorf("received at %v, want the day, %v", time.UnixMilli(int64(received)).UTC(), at)
		}
		body := string(item.Data[2+n+1:])
		name := body[1 : 1+body[0]]
		if rest := body[1+len(name):]; rest != "\x00{}" {
			s.t.Errorf("beside its name a bare event has %q", rest)
		}
		all = append(all, day+" "+name)
	}
	return all
}

func TestCategoriesLeaveBareEvents(t *testing.T) { eachHome(t, testCategoriesLeaveBareEvents) }

func testCategoriesLeaveBareEvents(t *testing.T, s *shop) {
	s.visits()
	before := s.counts()
	erasure := s.erasure(dsr.Categories, "ann", "anna nobody")
	found, _ := s.steps(s.Find, erasure)
	if got, want := fmt.Sprint(found), "[[0 0 7 1 1] [1 0 0 0 1]]"; got != want {
		t.Errorf("found %v, want %v", got, want)
	}
	for range 2 {
		s.steps(s.Erase, erasure)
		if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
			t.Errorf("found %v after the erasure", found)
		}
		got := fmt.Sprint(s.bares())
		for want, n := range map[string]int{"2026-05-03 Visit": 3, "2026-05-04 Visit": 1, "2026-05-04 Seen": 1, "2026-05-04 Note": 1, "2026-05-04 $create_alias": 1} {
			if strings.Count(got, want) != n {
				t.Errorf("bare events are %s, want %q %d times", got, want, n)
			}
		}
	}
	for _, item := range s.items() {
		if !strings.Contains(item.PK, "bob") && !strings.Contains(item.PK, "#none#") {
			t.Errorf("left: %s", item.Key)
		}
	}
	if got := s.counts(); got.Rows != before.Rows-1 || got.Subjects != 1 {
		t.Errorf("counts are %+v, want one row less than %+v, the profile, and bob alone", got, before)
	}
	if got := s.export(s.people("ann", "anna")); len(got) > 0 {
		t.Errorf("ann still has %v", got)
	}
	if got := s.export(s.people("bob")); len(got) != 2 || !strings.Contains(got[1], "s3cret") {
		t.Errorf("bob has %v", got)
	}
}

// What an erasure that was given up has left of an event of several items goes too.
func TestCategoriesLeaveNoPiece(t *testing.T) {
	s := newShop(t)
	s.visits()
	for _, item := range s.items() {
		if first, piece := strings.CutSuffix(item.SK, "#01"); piece {
			if err := s.table.Write(t.Context(), table.Delete(table.Key{PK: item.PK, SK: first}, table.Cond{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.steps(s.Erase, s.erasure(dsr.Categories, "ann"))
	if got := s.pieces(); got > 0 {
		t.Errorf("%d pieces are left", got)
	}
}

func TestSourcesLeaveTheRest(t *testing.T) { eachHome(t, testSourcesLeaveTheRest) }

func testSourcesLeaveTheRest(t *testing.T, s *shop) {
	s.visits()
	before, all := s.counts(), s.people("ann", "anna", "bob")
	was, pieces := s.export(all), s.pieces()
	erasure := s.erasure(dsr.Sources, "ann anna")
	found, _ := s.steps(s.Find, erasure)
	if got, want := fmt.Sprint(found), "[[0 0 6 1 0]]"; got != want {
		t.Errorf("found %v, want %v: all but the event without means", got, want)
	}
	for range 2 {
		s.steps(s.Erase, erasure)
		if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
			t.Errorf("found %v after the erasure", found)
		}
		var want []string
		for _, line := range was {
			if strings.HasPrefix(line, "0.") {
				line = strings.NewReplacer(`"mp_lib":"web",`, "", `,"mp_lib":"web"`, "", `,"utm_term":"shoes"`, "", `,"$browser":"Mosaic","$initial_utm_term":"shoes"`, "").Replace(line)
				if at := strings.Index(line, `,"$referrer"`); at >= 0 {
					line = line[:at] + "}"
				}
			}
			want = append(want, line)
		}
		same(t, s.export(all), want)
	}
	if got := s.pieces(); got == 0 || got != pieces/2 {
		t.Errorf("there are %d pieces of large events, want those of one of the two, of %d", got, pieces)
	}
	if got := s.counts(); got != before {
		t.Errorf("counts are %+v, want %+v: nothing went", got, before)
	}
}

// Whichever write fails, and however, no event is lost or there twice.
func TestChangesSurviveFaults(t *testing.T) {
	clean := newShop(t)
	clean.visits()
	clean.steps(clean.Erase, clean.erasure(dsr.Sources, "ann"))
	stripped := clean.export(clean.people("ann"))
	for _, d := range []dsr.Disclosure{dsr.Categories, dsr.Sources} {
		t.Run(string(d), func(t *testing.T) {
			tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
				s := newShop(t)
				s.visits()
				erasing := events.New(tabletest.Faulty(s.table, f), keys, s.clock)
				scope := s.erasure(d, "ann")
				cursor := ""
				for done := false; !done; {
					again(t, func() error {
						p, err := erasing.Erase(t.Context(), scope, cursor)
						if err == nil {
							cursor, done = p.Cursor, p.Done
						}
						return err
					})
				}
				if found, _ := s.steps(s.Find, scope); len(found) > 0 {
					t.Errorf("found %v after the erasure", found)
				}
				if got := s.bares(); d == dsr.Categories && len(got) != 7 {
					t.Errorf("bare events are %v, want each of the 7 once", got)
				}
				if d == dsr.Sources {
					same(t, s.export(s.people("ann")), stripped)
				}
			})
		})
	}
}

func (s *shop) bury(d dsr.Disclosure, cutoff time.Time, ids ...kind.Subject) {
	s.t.Helper()
	for _, id := range ids {
		err := s.Suppress(s.t.Context(), project, []dsr.Mark{{Name: keys.Mark(project, id), Subject: id, Task: string(d), Cutoff: cutoff, Disclosure: d}})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// Late data of somebody whose Sources were erased is stored without them; what
// happens from then on is stored whole, in a profile from before too, and is not
// taken for something that the erasure left.
func TestLateDataAfterSources(t *testing.T) {
	s := newShop(t)
	s.update(`{"$distinct_id":"ann","$set":{"name":"Ann","$browser":"Mosaic"}}`)
	cutoff := s.clock()
	erasure := s.erasure(dsr.Sources, "ann")
	s.bury(dsr.Sources, cutoff, "ann")
	s.steps(s.Erase, erasure)
	s.pass(time.Hour)

	late := func(at time.Time, id string) string {
		return fmt.Sprintf(`{"event":"Visit","properties":{"time":%d,"distinct_id":"ann","$insert_id":%q,"mp_lib":"web","n":1}}`, at.UnixMilli(), id)
	}
	if got := s.event(late(cutoff, "late"), late(cutoff.Add(time.Millisecond), "new")); got.Stored != 2 {
		t.Errorf("got %+v, want both stored", got)
	}
	before := fmt.Sprintf(`"$time":%d`, cutoff.UnixMilli())
	receipt := s.update(`{"$distinct_id":"ann",`+before+`,"$set":{"$os":"Plan 9","city":"Vienna"}}`,
		`{"$distinct_id":"ann",`+before+`,"$set_once":{"$initial_referrer":"x"}}`,
		`{"$distinct_id":"ann",`+before+`,"$unset":["name"]}`)
	if receipt.Stored != 2 || receipt.Dropped != 1 {
		t.Errorf("got %+v, want the update of nothing but means dropped", receipt)
	}
	s.update(`{"$distinct_id":"ann","$set":{"$browser":"Lynx"}}`)
	want := []string{
		`0.0 {"$distinct_id":"ann","$properties":{"city":"Vienna","$browser":"Lynx"}}`,
		`0.0 Visit 12:00:00.000 ` + fmt.Sprintf(`{"time":%d,"distinct_id":"ann","$insert_id":"late","n":1}`, cutoff.UnixMilli()),
		`0.0 Visit 12:00:00.001 ` + fmt.Sprintf(`{"time":%d,"distinct_id":"ann","$insert_id":"new","mp_lib":"web","n":1}`, cutoff.UnixMilli()+1),
	}
	same(t, s.export(s.people("ann")), want)
	if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
		t.Errorf("found %v, which is of later", found)
	}
	s.steps(s.Erase, erasure)
	same(t, s.export(s.people("ann")), want)
	if found, _ := s.steps(s.Find, s.erasure(dsr.Sources, "ann")); fmt.Sprint(found) != "[[0 0 1 1 0]]" {
		t.Errorf("a later erasure finds %v, want the new event and the profile", found)
	}
}

// Of several erasures each holds for what it is about.
func TestLateDataAfterSeveral(t *testing.T) {
	s := newShop(t)
	at := func(min int) time.Time { return noon.Add(time.Duration(min-60) * time.Minute) }
	s.bury(dsr.Categories, at(10), "ann")
	s.bury(dsr.Sources, at(20), "ann")
	s.bury(dsr.Data, at(5), "ann")
	visit := func(min int) string {
		return fmt.Sprintf(`{"event":"V","properties":{"time":%d,"distinct_id":"ann","$insert_id":"i","mp_lib":"web"}}`, at(min).UnixMilli())
	}
	if got := s.event(visit(4), visit(10), visit(11), visit(20), visit(21)); got.Dropped != 2 {
		t.Errorf("got %+v, want what is not after the tenth minute dropped", got)
	}
	got := fmt.Sprint(s.export(s.people("ann")))
	if strings.Count(got, " V ") != 3 || strings.Count(got, "mp_lib") != 1 {
		t.Errorf("got %s, want three events, and the means only of that after the twentieth minute", got)
	}
}

func TestCollectKeepsToThePeriod(t *testing.T) {
	s := newShop(t)
	for i := range 5 {
		s.event(seen("ann", fmt.Sprint("a", i), i), seen("anna", fmt.Sprint("b", i), i))
	}
	s.update(`{"$distinct_id":"ann","$set":{"x":1}}`)
	scope := s.people("ann anna")
	start := noon.Add(-time.Hour)
	scope.Period = dsr.Period{From: start.Add(time.Second), To: start.Add(3 * time.Second)}
	want := s.export(scope)
	if got := fmt.Sprint(want); len(want) != 7 || strings.Contains(got, "11:00:00.000") || strings.Contains(got, "11:00:04.000") {
		t.Errorf("got %s, want the profile and three seconds of two ids", got)
	}
	for n := range want {
		first, cursor := s.exportFrom(scope, "", n)
		rest, _ := s.exportFrom(scope, cursor, -1)
		same(t, append(first, rest...), want)
	}
	if found, _ := s.steps(s.Find, scope); fmt.Sprint(found) != "[[0 0 3 1 0] [0 1 3 0 0]]" {
		t.Errorf("found %v, want the same", found)
	}
}

// A summary hands out no value of Categories, and of Sources only those of means.
func TestSummaries(t *testing.T) {
	s := newShop(t)
	s.event(`{"event":"E","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"i","a":"s3cret","b":[1],"c":{},"d":null,"e":true,"f":-1,"$os":"Plan 9","utm_x":null,"$wifi": true}}`)
	for d, want := range map[dsr.Disclosure]string{
		dsr.Categories: `event E; event property time number; event property distinct_id string; event property $insert_id string; event property a string; event property b array; event property c object; event property d null; event property e boolean; event property f number; event property $os string; event property utm_x null; event property $wifi boolean; `,
		dsr.Sources:    `platform $os "Plan 9"; platform $wifi true; `,
	} {
		scope := s.people("ann")
		scope.Disclosure = d
		records, err := s.Collect(t.Context(), scope, "")
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for {
			r, err := records.Next(t.Context())
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Data != nil || r.Name != "" || r.InsertID != "" || !r.Time.IsZero() {
				t.Errorf("%s: there is more than a summary: %+v", d, r)
			}
			for _, f := range r.Summary.Facets {
				got.WriteString(strings.Join(strings.Fields(f.Of+" "+f.Name+" "+f.Type+f.Value), " ") + "; ")
			}
		}
		if err := records.Close(); err != nil {
			t.Error(err)
		}
		if got.String() != want {
			t.Errorf("%s: got\n%s\nwant\n%s", d, got.String(), want)
		}
	}
}

// What was collected after an erasure of Sources is not taken for what it was about,
// also where that had found none in the profile: a restore does it again.
func TestSourcesDoneAgainLeaveWhatCameAfter(t *testing.T) {
	s := newShop(t)
	s.update(`{"$token":"t","$distinct_id":"ann","$set":{"plan":"free"}}`)
	s.pass(time.Minute)
	erasure := s.erasure(dsr.Sources, "ann")
	if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
		t.Errorf("found %v, want nothing that describes the means of collection", found)
	}
	before := s.counts()
	s.steps(s.Erase, erasure)
	if s.counts() != before {
		t.Errorf("counts are %+v, want %+v", s.counts(), before)
	}
	s.pass(time.Minute)
	s.update(`{"$token":"t","$distinct_id":"ann","$set":{"$os":"Plan 9"}}`)
	s.steps(s.Erase, erasure)
	if got := fmt.Sprint(s.export(s.people("ann"))); !strings.Contains(got, "Plan 9") || !strings.Contains(got, "free") {
		t.Errorf("ann has %s", got)
	}
	if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
		t.Errorf("found %v of after the erasure", found)
	}
}
