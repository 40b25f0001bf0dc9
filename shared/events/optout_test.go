package events_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

// say opts people out, or in again, a minute later each time.
func (s *shop) say(out bool, ids ...kind.Subject) {
	s.t.Helper()
	s.pass(time.Minute)
	owners, err := s.Owners(s.t.Context(), project, ids)
	if err != nil {
		s.t.Fatal(err)
	}
	var words []dsr.Word
	for i, id := range ids {
		w := dsr.Word{Name: keys.Mark(project, id), Time: s.clock(), Out: out, Origin: dsr.OriginAPI, By: "pat@example.com"}
		if owners[i] != "" {
			w.Owner = keys.Mark(project, owners[i])
		}
		words = append(words, w)
	}
	if err := s.Say(s.t.Context(), project, words); err != nil {
		s.t.Fatal(err)
	}
}

// tied says what a receipt asks for, as dsr.Service does, and returns the ids, sorted.
func (s *shop) tied(r events.Receipt) string {
	s.t.Helper()
	var ids []string
	for _, t := range r.Ties {
		w := dsr.Word{Name: keys.Mark(project, t.ID), Time: s.clock(), Out: true, Origin: dsr.OriginLink, By: "lethe", Because: keys.Mark(project, t.Cause)}
		if t.Owner != "" {
			w.Owner = keys.Mark(project, t.Owner)
		}
		if err := s.Follow(s.t.Context(), project, []dsr.Word{w}); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, string(t.ID))
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func (s *shop) isOut(id kind.Subject) bool {
	s.t.Helper()
	words, err := s.Words(s.t.Context(), project, []kind.Subject{id})
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.ContainsFunc(words[0], func(w dsr.Word) bool { return w.Out })
}

// holds reports whether the table names id anywhere.
func (s *shop) holds(id string) bool {
	return slices.ContainsFunc(s.items(), func(i table.Item) bool { return strings.Contains(i.PK+i.SK+string(i.Data), id) })
}

func TestDataOfTheOptedOutIsDropped(t *testing.T) {
	eachHome(t, func(t *testing.T, s *shop) {
		s.say(true, "olga")
		got := s.event(seen("olga", "a", 0), seen("bob", "a", 0),
			`{"event":"Seen","properties":{"time":1777892400,"$user_id":"olga","$device_id":"d1","distinct_id":"$device:d1","$insert_id":"b"}}`,
			`{"event":"$create_alias","properties":{"distinct_id":"olga","alias":"olga@example.com","time":1777892400}}`)
		if got.Stored != 1 || got.Dropped != 3 {
			t.Errorf("stored %d and dropped %d, want 1 and 3", got.Stored, got.Dropped)
		}
		if got := s.update(`{"$distinct_id":"olga","$set":{"name":"Olga"}}`, `{"$distinct_id":"bob","$set":{"name":"Bob"}}`); got.Stored != 1 || got.Dropped != 1 {
			t.Errorf("stored %d and dropped %d profiles, want 1 and 1", got.Stored, got.Dropped)
		}
		for _, id := range []string{"olga", "d1"} {
			if s.holds(id) {
				t.Errorf("the table holds %q", id)
			}
		}
		if got := s.counts(); got.Rows != 2 || got.Subjects != 1 {
			t.Errorf("counts are %+v, want 2 rows of one subject", got)
		}
		if got, want := s.day(), (dsr.Day{Date: "2026-05-04", Stored: 2, OptedOut: 4}); got != want {
			t.Errorf("the day is %+v, want %+v", got, want)
		}
		s.say(false, "olga")
		if got := s.event(seen("olga", "c", 0)); got.Stored != 1 {
			t.Error("data of one who is opted in again was dropped")
		}
		if s.isOut("olga") {
			t.Error("the last word does not count")
		}
	})
}

// What was stored before stays, and what takes away from it is done.
func TestAProfileOfTheOptedOutCanOnlyShrink(t *testing.T) {
	s := newShop(t)
	s.update(`{"$distinct_id":"olga","$set":{"name":"Olga","mail":"o@example.com"}}`)
	s.say(true, "olga")
	if got := s.update(`{"$distinct_id":"olga","$set":{"age":7},"$unset":["name"]}`); got.Dropped != 1 {
		t.Error("an update that adds was not dropped")
	}
	s.update(`{"$distinct_id":"olga","$unset":["mail"]}`)
	same(t, s.export(s.people("olga")), []string{`0.0 {"$distinct_id":"olga","$properties":{"name":"Olga"}}`})
	s.update(`{"$distinct_id":"olga","$delete":""}`)
	if got := s.export(s.people("olga")); len(got) > 0 {
		t.Errorf("the profile is still there: %v", got)
	}
}

func device(user, device string) string {
	return fmt.Sprintf(`{"event":"Seen","properties":{"time":1777892400,"$user_id":%q,"$device_id":%q,"$insert_id":"i"}}`, user, device)
}

func identify(user, anonymous string) string {
	return fmt.Sprintf(`{"event":"$identify","properties":{"$identified_id":%q,"$anon_id":%q}}`, user, anonymous)
}

func alias(of, name string) string {
	return fmt.Sprintf(`{"event":"$create_alias","properties":{"distinct_id":%q,"alias":%q}}`, of, name)
}

const merge = `{"event":"$merge","properties":{"$distinct_ids":["olga","vera"]}}`

// Who is opted out by a link to olga, who is, or to an id of hers.
func TestLinksToTheOptedOut(t *testing.T) {
	for _, c := range []struct {
		name     string
		before   []string       // is stored
		out      []kind.Subject // then these are opted out
		erased   bool           // and erased
		links    [][]string     // batches that come then
		want     string         // who is opted out by them
		dropped  int
		original bool
	}{
		{name: "a new device of hers", out: ids("olga"), links: [][]string{{device("olga", "d")}}, want: "$device:d olga", dropped: 1},
		{name: "an anonymous id that she was", out: ids("olga"), links: [][]string{{identify("olga", "anon-1")}}, want: "anon-1 olga", dropped: 1},
		{name: "an alias of hers", out: ids("olga"), links: [][]string{{alias("olga", "o@example.com")}}, want: "o@example.com olga", dropped: 1},
		{name: "what comes in the same batch", out: ids("olga"),
			links: [][]string{{seen("anon-1", "x", 0), identify("olga", "anon-1"), seen("bob", "x", 0)}}, want: "anon-1 olga", dropped: 2},
		{name: "what her new id was joined with before", before: []string{alias("anon-1", "nick")}, out: ids("olga"),
			links: [][]string{{identify("olga", "anon-1")}}, want: "anon-1 nick olga", dropped: 1},
		{name: "a chain in one batch", out: ids("olga"),
			links: [][]string{{alias("anon-1", "nick"), identify("olga", "anon-1")}}, want: "anon-1 nick olga", dropped: 2},
		{name: "the user who is first on a device that is opted out", out: ids("$device:d"), links: [][]string{{device("vera", "d")}}, want: "$device:d vera", dropped: 1},
		{name: "of whom a name that is opted out is an alias", out: ids("nick"), links: [][]string{{alias("vera", "nick")}}, want: "nick vera", dropped: 1},
		{name: "but not the next who takes the name", out: ids("nick"), links: [][]string{{alias("vera", "nick")}, {alias("wim", "nick")}}, want: "nick vera", dropped: 2},
		{name: "but not the second", out: ids("$device:d"), links: [][]string{{device("vera", "d")}, {device("wim", "d")}}, want: "$device:d vera", dropped: 1},
		{name: "nor the second in the same batch", out: ids("$device:d"), links: [][]string{{device("vera", "d"), device("wim", "d")}}, want: "$device:d vera", dropped: 1},
		{name: "another user on her device", before: []string{device("olga", "d")}, out: ids("olga", "$device:d"), links: [][]string{{device("vera", "d")}}},
		{name: "another user on her device, after she was erased", before: []string{device("olga", "d")}, out: ids("olga", "$device:d"), erased: true,
			links: [][]string{{device("vera", "d")}}},
		{name: "another user on her device, beside a new name of it", before: []string{device("olga", "d")}, out: ids("olga", "$device:d"), erased: true,
			links: [][]string{{device("vera", "d"), alias("$device:d", "nick")}}, want: "$device:d nick", dropped: 1},
		{name: "she on another user's device", before: []string{device("vera", "d")}, out: ids("olga"), links: [][]string{{device("olga", "d")}}, dropped: 1},
		{name: "she on another user's device, under its name", before: []string{device("vera", "d")}, out: ids("olga"),
			links: [][]string{{strings.Replace(device("olga", "d"), `"$insert_id"`, `"distinct_id":"$device:d","$insert_id"`, 1)}}, dropped: 1},
		{name: "she on another user's device, in one batch", out: ids("olga"), links: [][]string{{device("vera", "d"), strings.Replace(device("olga", "d"), "1777892400", "1777892401", 1)}}, dropped: 1},
		{name: "an alias of somebody else", before: []string{alias("vera", "nick")}, out: ids("olga"), links: [][]string{{alias("olga", "nick")}}, dropped: 1},
		{name: "two users never are one", before: []string{device("vera", "d")}, out: ids("olga"), links: [][]string{{merge}}, dropped: 1},
		{name: "unless by original identity", original: true, before: []string{device("vera", "d")}, out: ids("olga"), links: [][]string{{merge}}, want: "$device:d olga vera", dropped: 1},
		{name: "a link that is known already", before: []string{device("olga", "d")}, out: ids("olga", "$device:d"), links: [][]string{{device("olga", "d")}}, dropped: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			if c.original {
				s.Store = events.New(s.table, keys, s.clock, events.By(func(context.Context, string) (dsr.Rules, error) {
					return dsr.Rules{Project: dsr.Project{Identity: dsr.Original}}, nil
				}))
			}
			s.event(c.before...)
			s.say(true, c.out...)
			if c.erased {
				scope := s.people("olga $device:d")
				scope.Erasure = true
				s.steps(s.Erase, scope)
			}
			var got []string
			dropped := 0
			for _, batch := range c.links {
				s.pass(time.Minute)
				r := s.event(batch...)
				dropped += r.Dropped
				if tied := s.tied(r); tied != "" {
					got = append(got, tied)
				}
			}
			if strings.Join(got, ", ") != c.want || dropped != c.dropped {
				t.Errorf("opted out %q and dropped %d, want %q and %d", got, dropped, c.want, c.dropped)
			}
			for _, p := range s.items() {
				for _, id := range c.out {
					if strings.HasPrefix(p.SK, "edge#") && strings.Contains(p.PK+string(p.Data), string(id)) && len(c.before) == 0 {
						t.Errorf("an edge of %q is stored", string(id))
					}
				}
			}
			// Once is enough.
			if len(c.links) > 0 {
				if again := s.tied(s.event(c.links[len(c.links)-1]...)); again != "" {
					t.Errorf("the same again opts out %q once more", again)
				}
			}
		})
	}
}

func ids(all ...kind.Subject) []kind.Subject { return all }

// Another user's own events on the device of somebody who is opted out are stored.
func TestAnotherUserOfTheDeviceIsStored(t *testing.T) {
	s := newShop(t)
	s.event(device("olga", "d"))
	s.say(true, "olga", "$device:d")
	if got := s.event(device("vera", "d")); got.Stored != 1 || s.isOut("vera") {
		t.Errorf("stored %d of vera, want 1", got.Stored)
	}
	people, err := s.Resolve(t.Context(), project, dsr.Simplified, ids("vera"), time.Time{})
	if err != nil || len(people) != 1 || len(people[0].IDs) != 1 || people[0].ApartCount != 0 {
		t.Errorf("vera is %+v, %v; want herself, without a link", people, err)
	}
}

func TestWordsOfOptOuts(t *testing.T) {
	eachHome(t, func(t *testing.T, s *shop) {
		list := func() (words []dsr.Word) {
			err := s.EachOptOut(t.Context(), project, func(some []dsr.Word) error {
				words = append(words, some...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return words
		}
		s.event(device("olga", "d"))
		s.suppress("t", noon.Add(-time.Hour), "olga")
		s.say(true, "olga", "$device:d")
		s.say(true, "bob")
		if got := list(); len(got) != 3 || got[0].Name != keys.Mark(project, "bob") || !got[0].Out || got[0].By != "pat@example.com" || !got[0].Time.Equal(s.clock()) {
			t.Errorf("listed %+v, want bob first of three", got)
		}
		// A word of before changes nothing.
		old := dsr.Word{Name: keys.Mark(project, "bob"), Time: noon, Origin: dsr.OriginAPI}
		if err := s.Say(t.Context(), project, []dsr.Word{old}); err != nil || !s.isOut("bob") {
			t.Errorf("a word of before counts (%v)", err)
		}
		// Of one moment the one that opts out counts, whatever their order.
		old.Time = s.clock()
		if err := s.Say(t.Context(), project, []dsr.Word{old}); err != nil || !s.isOut("bob") {
			t.Errorf("of one moment the other word counts (%v)", err)
		}
		kin, err := s.Kin(t.Context(), project, []string{keys.Mark(project, "$device:d")})
		if err != nil || len(kin) != 2 {
			t.Errorf("kin of the device: got %+v, %v, want it and olga", kin, err)
		}
		kin, err = s.Kin(t.Context(), project, []string{keys.Mark(project, "olga")})
		if err != nil || len(kin) != 2 {
			t.Errorf("kin of olga: got %+v, %v, want her and the device", kin, err)
		}
		s.say(false, "olga", "$device:d", "never seen")
		if got := list(); len(got) != 1 {
			t.Errorf("%d are listed, want bob alone", len(got))
		}
		if kin, err = s.Kin(t.Context(), project, []string{keys.Mark(project, "olga")}); err != nil || len(kin) != 1 {
			t.Errorf("kin of olga in the end: got %+v, %v, want her alone", kin, err)
		}
		// The tombstone is still there.
		if got := s.event(seen("olga", "late", -4000)); got.Dropped != 1 {
			t.Error("opting in let late data of an erased person in")
		}
	})
}

// Words can come in any order, from several processes at once.
func TestWordsInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		s := newShop(t)
		owner := keys.Mark(project, "olga")
		var words []dsr.Word
		for range 4 {
			words = append(words, dsr.Word{Name: keys.Mark(project, "$device:d"), Time: noon.Add(time.Duration(r.IntN(4)) * time.Minute), Out: r.IntN(2) == 0, Origin: dsr.OriginAPI, Owner: owner})
		}
		latest := slices.MaxFunc(words, func(a, b dsr.Word) int { return a.Time.Compare(b.Time) }).Time
		want := slices.ContainsFunc(words, func(w dsr.Word) bool { return w.Out && w.Time.Equal(latest) })
		var group sync.WaitGroup
		for _, w := range words {
			group.Go(func() {
				if err := s.Say(t.Context(), project, []dsr.Word{w}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		listed := 0
		if err := s.EachOptOut(t.Context(), project, func(some []dsr.Word) error { listed += len(some); return nil }); err != nil {
			t.Fatal(err)
		}
		kin, err := s.Kin(t.Context(), project, []string{owner})
		if err != nil || s.isOut("$device:d") != want || (listed == 1) != want || (len(kin) == 2) != want {
			t.Fatalf("of %+v: opted out %v, listed %d, kin %d; want %v", words, s.isOut("$device:d"), listed, len(kin), want)
		}
	}
}

func TestOptOutsUnderAnEarlierKey(t *testing.T) {
	s := newShop(t)
	s.say(true, "olga")
	newer := append(slices.Clone(keys), kind.Key{Version: 2, Secret: []byte("a newer key")})
	s.Store = events.New(s.table, newer, s.clock)
	if got := s.event(seen("olga", "a", 0)); got.Dropped != 1 {
		t.Error("an opt-out under an earlier key does not count")
	}
}

func TestOptingOutSurvivesFaults(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		s := broken(t, f)
		words := func(out bool, at time.Time) []dsr.Word {
			return []dsr.Word{
				{Name: keys.Mark(project, "olga"), Time: at, Out: out, Origin: dsr.OriginAPI},
				{Name: keys.Mark(project, "$device:d"), Time: at, Out: out, Origin: dsr.OriginAPI, Owner: keys.Mark(project, "olga")},
			}
		}
		for i, out := range []bool{true, false, true} {
			again(t, func() error { return s.Say(t.Context(), project, words(out, noon.Add(time.Duration(i)*time.Minute))) })
			if s.isOut("olga") != out || s.isOut("$device:d") != out {
				t.Errorf("opted out: %v, want %v", s.isOut("olga"), out)
			}
		}
		listed := 0
		if err := s.EachOptOut(t.Context(), project, func(w []dsr.Word) error { listed += len(w); return nil }); err != nil || listed != 2 {
			t.Errorf("%d are listed, %v; want 2", listed, err)
		}
	})
}

// Whoever is linked with somebody who is being opted out is found by one of both: by
// whoever opts out, or by the call that stores the link.
func TestALinkStoredWhileSomebodyIsOptedOut(t *testing.T) {
	s := newShop(t)
	s.event(alias("anon-1", "nick"))
	e, err := events.ParseEvent([]byte(identify("olga", "anon-1")), events.Rules{Now: s.clock()})
	if err != nil {
		t.Fatal(err)
	}
	m := &meddler{Table: s.table, write: func() { s.say(true, "olga") }}
	r, err := m.store(s).Track(t.Context(), project, []events.Event{e})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.tied(r); got != "anon-1 nick olga" {
		t.Errorf("opted out %q, want the whole person", got)
	}
	for _, tie := range r.Ties {
		if tie.Cause != "olga" {
			t.Errorf("a tie tells of %q as its cause", string(tie.Cause))
		}
	}
}

// A word that depends on another's opt-out does not stand once that is taken back, also
// at that very moment, and is taken back with it.
func TestFollowingTheOptedOut(t *testing.T) {
	eachHome(t, func(t *testing.T, s *shop) {
		s.say(true, "olga")
		word := func(id kind.Subject) []dsr.Word {
			return []dsr.Word{{Name: keys.Mark(project, id), Time: s.clock(), Out: true, Origin: dsr.OriginLink, Because: keys.Mark(project, "olga")}}
		}
		if err := s.Follow(t.Context(), project, word("vera")); err != nil || !s.isOut("vera") {
			t.Errorf("vera is not opted out (%v)", err)
		}
		for _, id := range ids("olga", "vera") {
			if kin, err := s.Kin(t.Context(), project, []string{keys.Mark(project, id)}); err != nil || len(kin) != 2 {
				t.Errorf("kin of %s: got %+v, %v, want both", string(id), kin, err)
			}
		}
		m := &meddler{Table: s.table, write: func() { s.say(false, "olga") }}
		if err := m.store(s).Follow(t.Context(), project, word("wim")); kind.Of(err) != kind.Unavailable || s.isOut("wim") {
			t.Errorf("wim follows somebody who is not opted out any more (%v)", err)
		}
		s.say(false, "vera")
		if kin, err := s.Kin(t.Context(), project, []string{keys.Mark(project, "olga")}); err != nil || len(kin) != 1 {
			t.Errorf("kin of olga in the end: got %+v, %v, want her alone", kin, err)
		}
	})
}
