package events_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
)

var _ dsr.Source = (*events.Store)(nil)

func TestCollectMergesTheIDsOfAPerson(t *testing.T) { eachHome(t, testCollectMergesTheIDsOfAPerson) }

func testCollectMergesTheIDsOfAPerson(t *testing.T, s *shop) {
	s.event(seen("ann", "a1", 0), seen("ann", "a2", 20), seen("device", "d1", 10), seen("device", "a2", 20), seen("bob", "b1", 5))
	s.update(`{"$distinct_id":"device","$set":{"x":1}}`, `{"$distinct_id":"ann","$set":{"name":"Ann"}}`)
	scope := s.people("ann device nobody", "cleo", "bob")
	properties := func(id, insertID string, sec int) string {
		return fmt.Sprintf(`{"time":%d,"distinct_id":%q,"$insert_id":%q}`, noon.Add(-time.Hour).Unix()+int64(sec), id, insertID)
	}
	want := []string{
		`0.0 {"$distinct_id":"ann","$properties":{"name":"Ann"}}`,
		`0.1 {"$distinct_id":"device","$properties":{"x":1}}`,
		`0.0 Seen 11:00:00.000 ` + properties("ann", "a1", 0),
		`0.1 Seen 11:00:10.000 ` + properties("device", "d1", 10),
		`0.0 Seen 11:00:20.000 ` + properties("ann", "a2", 20),
		`0.1 Seen 11:00:20.000 ` + properties("device", "a2", 20),
		`2.0 Seen 11:00:05.000 ` + properties("bob", "b1", 5),
	}
	same(t, s.export(scope), want)
	// From any cursor on it hands out the rest, and nothing twice.
	for n := range want {
		first, cursor := s.exportFrom(scope, "", n)
		rest, _ := s.exportFrom(scope, cursor, -1)
		same(t, append(first, rest...), want)
		if strings.Contains(cursor, "ann") || strings.Contains(cursor, "device") {
			t.Errorf("the cursor %q holds an identifier", cursor)
		}
	}
}

func TestScopes(t *testing.T) {
	s := newShop(t)
	s.event(seen("ann", "a", 0))
	s.update(`{"$distinct_id":"ann","$set":{"x":1}}`)
	limit := s.clock()
	s.pass(time.Hour)
	s.event(seen("ann", "late", 1)) // received after the limit, happened before it
	s.event(fmt.Sprintf(`{"event":"New","properties":{"time":%d,"distinct_id":"ann","$insert_id":"n"}}`, s.clock().Unix()))
	s.update(`{"$distinct_id":"ann","$set":{"y":2}}`) // does not move the profile

	export := s.people("ann")
	export.Limit = limit
	if got := s.export(export); len(got) != 2 {
		t.Errorf("an export has what was received up to its snapshot, a profile and an event; got\n%s", strings.Join(got, "\n"))
	}
	if found, _ := s.steps(s.Find, export); !slices.Equal(found, [][5]int64{{0, 0, 1, 1, 0}}) {
		t.Errorf("found %v for an export", found)
	}
	erasure := export
	erasure.Erasure = true
	if found, _ := s.steps(s.Find, erasure); !slices.Equal(found, [][5]int64{{0, 0, 2, 1, 0}}) {
		t.Errorf("found %v for an erasure, want also the event that happened before the cutoff", found)
	}
	s.steps(s.Erase, erasure)
	if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
		t.Errorf("found %v after the erasure", found)
	}
	if got := s.export(s.people("ann")); len(got) != 1 || !strings.Contains(got[0], "New") {
		t.Errorf("what is new was erased too: %v", got)
	}
	if got := s.counts(); got != (events.Counts{Rows: 1, Subjects: 1}) {
		t.Errorf("counts are %+v, want the one row that is left", got)
	}
}

func TestEraseLeavesNothing(t *testing.T) { eachHome(t, testEraseLeavesNothing) }

func testEraseLeavesNothing(t *testing.T, s *shop) {
	var many []string
	for i := range 4500 {
		many = append(many, seen("ann", fmt.Sprintf("a%d", i), i))
	}
	s.event(many...)
	s.event(seen("bob", "b", 0), seen("ann-old", "o", 0),
		`{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"ann-old"}}`,
		`{"event":"$merge","properties":{"$distinct_ids":["bob","ann"]}}`,
		`{"event":"$identify","properties":{"$identified_id":"ann","$anon_id":"cookie","distinct_id":"ann"}}`,
		`{"event":"Seen","properties":{"time":1777892400,"$user_id":"ann","$device_id":"d1"}}`)
	s.update(`{"$distinct_id":"ann","$set":{"name":"Ann"}}`, `{"$distinct_id":"bob","$set":{"name":"Bob"}}`)

	erasure := s.people("ann ann-old", "nobody")
	erasure.Erasure = true
	found, steps := s.steps(s.Find, erasure)
	if want := [][5]int64{{0, 0, 4503, 1, 3}, {0, 1, 1, 0, 1}}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	if steps < 2 {
		t.Errorf("4500 rows were gone through in %d steps", steps)
	}
	for range 2 { // twice is as good as once
		s.steps(s.Erase, erasure)
		if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
			t.Errorf("found %v after the erasure", found)
		}
	}
	for _, item := range s.items() {
		if strings.Contains(item.PK, "ann") || item.SK != "profile" && strings.Contains(string(item.Data), "ann") && !strings.Contains(string(item.Data), "$merge") {
			t.Errorf("left in a partition: %s", item.SK)
		}
		if strings.HasPrefix(item.SK, "edge#") && item.Key != (table.Key{PK: "1#id#bob", SK: "edge#user"}) {
			t.Errorf("the other half of an edge is left: %s", item.SK)
		}
	}
	if got := s.export(s.people("bob")); len(got) != 3 {
		t.Errorf("bob has %d records left, want his profile, his event and the merge:\n%s", len(got), strings.Join(got, "\n"))
	}
	if got := s.counts(); got != (events.Counts{Rows: 3, Subjects: 1}) {
		t.Errorf("counts are %+v, want bob alone", got)
	}
}

func TestEdgesAreStoredOnce(t *testing.T) {
	s := newShop(t)
	alias := `{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"ann@example.com"}}`
	device := `{"event":"Seen","properties":{"time":%d,"$user_id":"ann","$device_id":"d1"}}`
	for i := range 3 {
		s.event(alias, fmt.Sprintf(device, 1777892400+i), fmt.Sprintf(device, 1777892500+i))
		s.pass(time.Minute)
	}
	edges := map[table.Key]table.Version{}
	for _, item := range s.items() {
		if strings.HasPrefix(item.SK, "edge#") {
			edges[item.Key] = item.Version
		}
	}
	if len(edges) != 4 {
		t.Fatalf("got %d items of edges, want 2 each of an alias and a device", len(edges))
	}
	before := s.people("ann")
	before.Limit = noon
	if found, _ := s.steps(s.Find, before); len(found) != 1 || found[0][4] != 2 {
		t.Errorf("found %v at the time of the first, want 2 edges: their time of receipt has moved", found)
	}
	if got := s.export(s.people("ann")); len(got) != 9 {
		t.Errorf("got %d events, want the 3 of the alias and 6 others:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestNobodysEvents(t *testing.T) {
	s := newShop(t)
	s.event(`{"event":"Ping","properties":{"time":1777892400,"distinct_id":"","$insert_id":"p"}}`)
	if got := s.counts(); got != (events.Counts{Rows: 1}) {
		t.Errorf("counts are %+v, want a row of no subject", got)
	}
	items := s.items()
	if len(items) != 1 || items[0].PK != "1#none#2026-05-04" {
		t.Errorf("got %d items", len(items))
	}
}

func TestCursorsOfOthersAreRefused(t *testing.T) {
	s := newShop(t)
	scope := s.people("ann")
	for _, cursor := range []string{"x", "1.0.", "0.1.", "-1.0.", "0.0", "99999999999999999999.0."} {
		if _, err := s.Find(t.Context(), scope, cursor); kind.Of(err) != kind.Invalid {
			t.Errorf("Find took %q: %v", cursor, err)
		}
		if _, err := s.Collect(t.Context(), scope, cursor); kind.Of(err) != kind.Invalid {
			t.Errorf("Collect took %q: %v", cursor, err)
		}
	}
}

func TestCollectLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		var ids []string
		for i := range 50 {
			ids = append(ids, fmt.Sprintf("user-%d", i))
			s.event(seen(ids[i], "a", 0))
		}
		records, err := s.Collect(t.Context(), s.people(ids...), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := records.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := records.Close(); err != nil {
			t.Fatal(err)
		}
	}) // synctest fails if a goroutine is left waiting
}

// Any identifier that ingestion takes can be exported and erased.
func TestIDsOfAllSorts(t *testing.T) { eachHome(t, testIDsOfAllSorts) }

func testIDsOfAllSorts(t *testing.T, s *shop) {
	ids := []string{"a#b", "a", "a#", "a%23b", "a\x00b", "a\nb", "é", "e\u0301", "日本", strings.Repeat("😀", 255), "$device:1", "1#id#x", "A"}
	scope := dsr.Scope{Project: project, Limit: noon}
	for i, id := range ids {
		raw, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		s.event(fmt.Sprintf(`{"event":"E","properties":{"time":%d,"distinct_id":%s,"$insert_id":"i"}}`, 1777892400+i, raw),
			fmt.Sprintf(`{"event":"$create_alias","properties":{"distinct_id":%s,"alias":"alias %d","time":1777892400}}`, raw, i))
		s.update(fmt.Sprintf(`{"$distinct_id":%s,"$set":{"i":%d}}`, raw, i))
		scope.Clusters = append(scope.Clusters, dsr.Cluster{IDs: []kind.Subject{kind.Subject(id)}})
	}
	found, _ := s.steps(s.Find, scope)
	for i, f := range found {
		if f != [5]int64{int64(i), 0, 2, 1, 1} {
			t.Errorf("found %v", f)
		}
	}
	if got := s.export(scope); len(got) != 3*len(ids) {
		t.Errorf("got %d records of %d ids", len(got), len(ids))
	}
	scope.Erasure = true
	s.steps(s.Erase, scope)
	if left := s.items(); len(left) > 0 {
		t.Errorf("%d items are left, the first %q", len(left), left[0].Key)
	}
}

// A person who was to be forgotten links a device again, before Erase came by: the
// new link is new collection, and stays.
func TestEdgeSentAfterTheCutoffStays(t *testing.T) {
	s := newShop(t)
	link := `{"event":"$identify","properties":{"$identified_id":"ann","$anon_id":"cookie","distinct_id":"ann"}}`
	s.event(link)
	erasure := s.people("ann")
	erasure.Erasure, erasure.Limit = true, s.clock()
	s.suppress("task", erasure.Limit, "ann")
	s.pass(time.Minute)
	s.event(link)
	s.steps(s.Erase, erasure)
	edges := 0
	for _, item := range s.items() {
		if strings.HasPrefix(item.SK, "edge#") {
			edges++
		}
	}
	if edges != 2 {
		t.Errorf("got %d items of edges, want the two of the new one", edges)
	}
	if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
		t.Errorf("found %v from before the cutoff", found)
	}
}
