package events_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"lethe/shared/events"
)

func TestOperators(t *testing.T) {
	for _, c := range []struct{ name, updates, want string }{
		{"set", `{"$set":{"b":1,"a":"x"}} {"$set":{"a":[1, 2],"c":null}}`, `{"b":1,"a":[1,2],"c":null}`},
		{"set_once", `{"$set_once":{"a":1}} {"$set_once":{"a":2,"b":3}}`, `{"a":1,"b":3}`},
		{"add", `{"$add":{"n":1}} {"$add":{"n":2.5,"m":-3}}`, `{"n":3.5,"m":-3}`},
		{"add loses no digit", `{"$set":{"n":9007199254740993,"d":0.1}} {"$add":{"n":1,"d":0.2}}`, `{"n":9007199254740994,"d":0.3}`},
		{"add to a text leaves it", `{"$set":{"n":"many"}} {"$add":{"n":1}}`, `{"n":"many"}`},
		{"add a number in a text", `{"$add":{"n":"2"}} {"$add":{"n":"-5"}}`, `{"n":-3}`},
		{"add far apart", `{"$set":{"n":1e20}} {"$add":{"n":1}}`, `{"n":100000000000000000001}`},
		{"append", `{"$append":{"l":1}} {"$append":{"l":[2]}} {"$append":{"l":1}}`, `{"l":[1,[2],1]}`},
		{"append to one value", `{"$set":{"l":"x"}} {"$append":{"l":"y"}}`, `{"l":["x","y"]}`},
		{"union", `{"$set":{"l":["a","b"]}} {"$union":{"l":["b","c","c"],"m":"x"}}`, `{"l":["a","b","c"],"m":["x"]}`},
		{"union of equal values", `{"$set":{"l":[1,"\u00e9",{"a":1,"b":2}]}} {"$union":{"l":[1.0,"é",{"b":2,"a":1},2]}}`, `{"l":[1,"\u00e9",{"a":1,"b":2},2]}`},
		{"remove", `{"$set":{"l":["a","b","a"],"s":"a"}} {"$remove":{"l":"a","s":"a","none":1}}`, `{"l":["b"],"s":"a"}`},
		{"unset", `{"$set":{"a":1,"b":2,"c":3}} {"$unset":["a","c","none"]}`, `{"b":2}`},
		{"several at once", `{"$set":{"a":1},"$add":{"a":2},"$append":{"l":0},"$unset":["none"]}`, `{"a":3,"l":[0]}`},
		{"delete and begin again", `{"$set":{"a":1}} {"$delete":"","$ignore_alias":true} {"$set":{"b":2}}`, `{"b":2}`},
		{"names with signs", `{"$set":{"a\"b":1,"é":2}} {"$set":{"\u00e9":3}}`, `{"a\"b":1,"é":3}`},
	} {
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, " together ", together), func(t *testing.T) {
				s := newShop(t)
				var updates []string
				dec := json.NewDecoder(strings.NewReader(c.updates))
				for dec.More() {
					var raw json.RawMessage
					if err := dec.Decode(&raw); err != nil {
						t.Fatal(err)
					}
					updates = append(updates, `{"$distinct_id":"ann",`+strings.TrimPrefix(string(raw), "{"))
				}
				if together {
					s.update(updates...)
				} else {
					for _, u := range updates {
						s.update(u)
					}
				}
				same(t, s.export(s.people("ann")), []string{`0.0 {"$distinct_id":"ann","$properties":` + c.want + `}`})
			})
		}
	}
}

func TestUpdatesThatMakeNothing(t *testing.T) {
	s := newShop(t)
	s.update(`{"$distinct_id":"ann","$unset":["x"]}`, `{"$distinct_id":"bob","$remove":{"l":1}}`, `{"$distinct_id":"cleo","$delete":""}`,
		`{"$distinct_id":"dora","$set":{"a":1}}`, `{"$distinct_id":"dora","$delete":""}`)
	s.update(`{"$distinct_id":"eva","$set":{"a":1}}`)
	s.update(`{"$distinct_id":"eva","$delete":""}`)
	if got := s.items(); len(got) > 0 {
		t.Errorf("%d items are there, the first %q", len(got), got[0].SK)
	}
	if got := s.counts(); got != (events.Counts{}) {
		t.Errorf("counts are %+v, want none", got)
	}
}

func TestDeleteTakesThatProfileOnly(t *testing.T) {
	s := newShop(t)
	s.event(seen("ann", "a", 0), `{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"anna"}}`)
	s.update(`{"$distinct_id":"ann","$set":{"a":1}}`, `{"$distinct_id":"anna","$set":{"a":2}}`)
	s.update(`{"$distinct_id":"anna","$delete":"","$ignore_alias":true}`)
	found, _ := s.steps(s.Find, s.people("ann anna"))
	if got, want := fmt.Sprint(found), "[[0 0 2 1 0] [0 1 0 0 1]]"; got != want {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestNoUpdateIsLost(t *testing.T) { eachHome(t, testNoUpdateIsLost) }

func testNoUpdateIsLost(t *testing.T, s *shop) {
	const writers, each = 8, 6
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				var batch []events.Update
				for _, id := range []string{"ann", "bob", "cleo"} {
					u, err := events.ParseUpdate([]byte(`{"$distinct_id":"`+id+`","$add":{"n":1}}`), false)
					if err != nil {
						t.Error(err)
					}
					batch = append(batch, u)
				}
				if _, err := s.Update(t.Context(), project, batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i, id := range []string{"ann", "bob", "cleo"} {
		want := fmt.Sprintf(`%d.0 {"$distinct_id":%q,"$properties":{"n":%d}}`, i, id, writers*each)
		if got := s.export(s.people("ann", "bob", "cleo"))[i]; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := s.counts(); got != (events.Counts{Rows: 3, Subjects: 3}) {
		t.Errorf("counts are %+v, want 3 profiles of 3 subjects", got)
	}
}

func TestLargeProfiles(t *testing.T) { eachHome(t, testLargeProfiles) }

func testLargeProfiles(t *testing.T, s *shop) {
	r := rand.New(rand.NewPCG(1, 1))
	var noise strings.Builder
	for range 90_000 {
		fmt.Fprintf(&noise, "%08x", r.Uint32())
	}
	text := noise.String()
	s.update(`{"$distinct_id":"ann","$set":{"a":"` + text + `"}}`)
	s.update(`{"$distinct_id":"ann","$set":{"b":"` + text + `"}}`)
	want := `0.0 {"$distinct_id":"ann","$properties":{"a":"` + text + `","b":"` + text + `"}}`
	if got := s.export(s.people("ann")); len(got) != 1 || got[0] != want {
		t.Errorf("a profile of %d bytes did not come back whole", len(want))
	}
	if got := len(s.items()); got < 3 {
		t.Errorf("it lies in %d items, so this test is about nothing", got)
	}
	s.update(`{"$distinct_id":"ann","$unset":["a","b"],"$set":{"c":1}}`)
	if got := len(s.items()); got != 2 {
		t.Errorf("%d items are left, want the profile and the subject's mark", got)
	}
	s.update(`{"$distinct_id":"ann","$set":{"a":"` + text + `"}}`)
	erasure := s.people("ann")
	erasure.Erasure = true
	s.steps(s.Erase, erasure)
	if got := len(s.items()); got != 0 {
		t.Errorf("%d items are left after the erasure", got)
	}
}

func TestGroups(t *testing.T) {
	s := newShop(t)
	for _, raw := range []string{
		`{"$group_key":"company","$group_id":"Acme","$set":{"a":1}}`,
		`{"$group_key":"company","$group_id":"Acme","$add":{"a":1}}`,
		`{"$group_key":"company#x","$group_id":"y","$set":{"a":1}}`,
		`{"$group_key":"company","$group_id":"x#y","$set":{"a":1}}`,
		`{"$group_key":"floor","$group_id":0,"$set":{"a":1}}`,
	} {
		u, err := events.ParseUpdate([]byte(raw), true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Update(t.Context(), project, []events.Update{u}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.counts(); got != (events.Counts{Rows: 4}) {
		t.Errorf("counts are %+v, want 4 profiles and no subject", got)
	}
	if got := s.export(s.people("Acme")); len(got) != 0 {
		t.Errorf("a group was taken for a person: %s", got)
	}
}

func TestFaultsOfUpdates(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		group     bool
		field     string
	}{
		{"no object", `[]`, false, ""},
		{"no operator", `{"$distinct_id":"ann"}`, false, ""},
		{"no id", `{"$set":{"a":1}}`, false, "$distinct_id"},
		{"an empty id", `{"$distinct_id":"","$set":{"a":1}}`, false, "$distinct_id"},
		{"a placeholder", `{"$distinct_id":"null","$set":{"a":1}}`, false, "$distinct_id"},
		{"set of a list", `{"$distinct_id":"ann","$set":["a"]}`, false, "$set"},
		{"add of a text", `{"$distinct_id":"ann","$add":{"a":"x"}}`, false, "$add"},
		{"unset of an object", `{"$distinct_id":"ann","$unset":{"a":1}}`, false, "$unset"},
		{"unset of numbers", `{"$distinct_id":"ann","$unset":[1]}`, false, "$unset"},
		{"too deep", `{"$distinct_id":"ann","$set":{"a":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat("}", 40) + `}}`, false, ""},
		{"too large", `{"$distinct_id":"ann","$set":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, false, ""},
		{"no group key", `{"$group_id":"Acme","$set":{"a":1}}`, true, "$group_key"},
		{"no group id", `{"$group_key":"company","$set":{"a":1}}`, true, "$group_id"},
		{"names that are too long together", `{"$group_key":"` + strings.Repeat("😀", 255) + `","$group_id":"` + strings.Repeat("😀", 255) + `","$set":{"a":1}}`, true, "$group_id"},
		{"a person for a group", `{"$distinct_id":"ann","$set":{"a":1}}`, true, "$group_key"},
	} {
		_, err := events.ParseUpdate([]byte(c.raw), c.group)
		f, ok := err.(*events.Fault)
		if !ok || f.Field != c.field || f.Message == "" {
			t.Errorf("%s: got %+v, want a fault of %q", c.name, f, c.field)
		}
	}
}

func TestAProfileThatGrowsTooLarge(t *testing.T) {
	s := newShop(t)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 12 {
		var noise strings.Builder
		for range 115_000 {
			fmt.Fprintf(&noise, "%08x", r.Uint32())
		}
		var batch []events.Update
		for _, raw := range []string{`{"$distinct_id":"bob","$add":{"n":1}}`, fmt.Sprintf(`{"$distinct_id":"ann","$set":{"p%d":%q}}`, i, noise.String())} {
			u, err := events.ParseUpdate([]byte(raw), false)
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, u)
		}
		receipt, err := s.Update(t.Context(), project, batch)
		if err != nil {
			t.Fatal(err)
		}
		if len(receipt.Refused) == 0 {
			continue
		}
		if receipt.Refused[0] != 1 || receipt.Stored != 1 {
			t.Errorf("got %+v, want the second refused", receipt)
		}
		got := s.export(s.people("ann", "bob"))
		if want := fmt.Sprintf(`1.0 {"$distinct_id":"bob","$properties":{"n":%d}}`, i+1); len(got) != 2 || got[1] != want {
			t.Errorf("what had been there, or the update of another, is gone")
		}
		return
	}
	t.Error("a profile grew without end")
}
