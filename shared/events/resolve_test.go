package events_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/table/tabletest"
)

var _ dsr.Resolver = (*events.Store)(nil)

// tell stores links, one a second, in short: "alias a b" (a is an alias of b),
// "identify u a", "merge a b", "device u d".
func (s *shop) tell(links ...string) {
	s.t.Helper()
	for _, l := range links {
		w := strings.Fields(l)
		s.pass(time.Second)
		s.event(link(w[0], w[1], w[2], s.clock()))
	}
}

func link(kind, from, to string, at time.Time) string {
	props := map[string]string{
		"alias":    `{"time":%d,"$insert_id":"l","distinct_id":%[3]q,"alias":%[2]q}`,
		"identify": `{"time":%d,"$insert_id":"l","$identified_id":%q,"$anon_id":%q}`,
		"merge":    `{"time":%d,"$insert_id":"l","$distinct_ids":[%q,%q]}`,
		"device":   `{"time":%d,"$insert_id":"l","distinct_id":%[2]q,"$user_id":%[2]q,"$device_id":%[3]q}`,
	}[kind]
	name := map[string]string{"alias": "$create_alias", "identify": "$identify", "merge": "$merge", "device": "Opened"}[kind]
	return fmt.Sprintf(`{"event":%q,"properties":%s}`, name, fmt.Sprintf(props, at.Unix(), from, to))
}

// resolve tells who ids are: people in their order, each its ids, and behind a
// stroke the links that were not followed.
func (s *shop) resolve(rule dsr.Identity, until time.Time, ids ...string) string {
	s.t.Helper()
	asked := make([]kind.Subject, len(ids))
	for i, id := range ids {
		asked[i] = kind.Subject(id)
	}
	people, err := s.Resolve(s.t.Context(), project, rule, asked, until)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, p := range people {
		var person []string
		for _, id := range p.IDs {
			person = append(person, strings.TrimPrefix(string(id), "$device:"))
		}
		for _, a := range p.Apart {
			person = append(person, fmt.Sprintf("/%s:%s-%s", a.Kind, strings.TrimPrefix(string(a.ID), "$device:"), strings.TrimPrefix(string(a.To), "$device:")))
		}
		out = append(out, strings.Join(person, " "))
	}
	return strings.Join(out, "; ")
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name                 string
		links                string
		ask                  string
		simplified, original string // original is as simplified where it is empty
	}{
		{"nobody", "", "a", "a", ""},
		{"an alias and back", "alias mail u", "mail", "mail u", ""},
		{"a chain of aliases", "alias a b, alias b c, alias c d", "c", "a b c d", ""},
		{"several aliases", "alias a u, alias b u", "u", "a b u", ""},
		{"an alias maps to one", "alias a u, alias a v", "v, a", "v /alias:v-a; a u /alias:a-v", ""},
		{"a cycle", "alias a b, alias b a", "a", "a b", ""},
		{"both in one request", "alias a b, alias c d", "d, a, b, c", "c d; a b", ""},
		{"a user's devices", "device u d, device u e", "$device:d", "d e u", ""},
		{"a shared device", "device u d, device v d, device v e", "u, v", "d u /device:d-v; e v /device:v-d", ""},
		{"a shared device, asked for", "device u d, device v d, device v e", "e, $device:d", "e; d u /device:d-v", ""},
		{"identified later by another", "identify u a, identify v a", "v, a", "v /identify:v-a; a u /identify:a-v", ""},
		{"merged users", "merge u v", "u", "u /merge:u-v", "u v"},
		{"merged users with devices", "device u d, device v e, merge u v", "$device:e, $device:d", "e v /merge:v-u; d u /merge:u-v", "d e u v"},
		{"users joined by an alias", "device u d, device v e, alias u v", "u, v", "d u /alias:u-v; e v /alias:v-u", "d e u v"},
		{"users joined by what is nobody's", "device u d, device v e, alias x u, alias x2 x, alias x2 v", "u, v", "d u x x2 /alias:x2-v; e v /alias:v-x2", ""},
		{"users joined from the middle", "identify u a, identify v b, alias a b", "u, v, a", "a u /alias:a-b; b v /alias:b-a", "a b u v"},
		{"what came first counts", "alias a b, identify u a, identify v b", "u, v", "a b u /identify:b-v; v /identify:v-b", "a b u v"},
		{"each identified as the other", "identify a b, identify b a", "a, b", "a /identify:a-b /identify:a-b; b /identify:b-a /identify:b-a", "a b"},
		{"what is said of an alias the second time", "alias a b, alias b a, alias b c", "a, c", "a b /alias:b-c; c /alias:c-b", ""},
		{"the name of an anonymous one is a user's alias", "alias u a, device u d", "a", "d a u", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			for _, l := range strings.Split(c.links, ", ") {
				if l != "" {
					s.tell(l)
				}
			}
			ids := strings.Split(c.ask, ", ")
			if got := s.resolve(dsr.Simplified, time.Time{}, ids...); got != c.simplified {
				t.Errorf("simplified: got %q, want %q", got, c.simplified)
			}
			want := c.original
			if want == "" {
				want = c.simplified
			}
			if got := s.resolve(dsr.Original, time.Time{}, ids...); got != want {
				t.Errorf("original: got %q, want %q", got, want)
			}
		})
	}
}

// An event that tells of the past does not take a device from its first user, and
// an erasure sees the links of its time.
func TestResolveByTimeOfReceipt(t *testing.T) {
	s := newShop(t)
	s.tell("device u d")
	s.pass(time.Second)
	s.event(link("device", "v", "d", noon.Add(-24*time.Hour)))
	if got := s.resolve(dsr.Simplified, time.Time{}, "$device:d"); got != "d u /device:d-v" {
		t.Errorf("got %q", got)
	}
	s.pass(time.Minute)
	limit := s.clock()
	s.tell("device u e")
	s.event(link("device", "u", "f", noon)) // late
	if got := s.resolve(dsr.Simplified, limit, "u"); got != "d f u /device:d-v" {
		t.Errorf("up to the limit: got %q, want also what happened before and came after, and not what is new", got)
	}
}

// Whichever id is asked for, a person is the same; people share no id; and in
// simplified identity nobody is two users.
func TestResolveIsAPartition(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := newShop(t)
		users := map[string]bool{}
		var all []string
		for i := range 12 {
			all = append(all, fmt.Sprintf("%c", 'a'+i))
		}
		for range 4 + rng.IntN(14) {
			k := []string{"alias", "alias", "identify", "identify", "merge"}[rng.IntN(5)]
			from, to := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
			if from == to {
				continue
			}
			if k != "alias" {
				users[from] = true
			}
			if k == "merge" {
				users[to] = true
			}
			s.tell(k + " " + from + " " + to)
		}
		for _, rule := range []dsr.Identity{dsr.Simplified, dsr.Original} {
			person := map[string]string{}
			for _, id := range all {
				got, _, _ := strings.Cut(s.resolve(rule, time.Time{}, id), " /")
				person[id] = got
			}
			for id, p := range person {
				n := 0
				for _, m := range strings.Fields(p) {
					if person[m] != p {
						t.Fatalf("seed %d, %s: %s is of %q, and %s of %q", seed, rule, id, p, m, person[m])
					}
					if users[m] {
						n++
					}
				}
				if rule == dsr.Simplified && n > 1 {
					t.Fatalf("seed %d: %q are %d users", seed, p, n)
				}
			}
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, p := range strings.Split(s.resolve(rule, time.Time{}, all...), "; ") {
				p, _, _ = strings.Cut(p, " /")
				if !slices.Contains(strings.Fields(p), strings.Fields(p)[0]) || person[strings.Fields(p)[0]] != p {
					t.Fatalf("seed %d, %s: together %q, alone %q", seed, rule, p, person[strings.Fields(p)[0]])
				}
			}
		}
	}
}

func TestResolveTooMany(t *testing.T) {
	s := newShop(t)
	var batch []string
	for i := range dsr.MaxPerson + 1 {
		batch = append(batch, fmt.Sprintf(`{"event":"$create_alias","properties":{"time":%d,"distinct_id":"u","alias":"a%d"}}`, noon.Unix()-1, i))
	}
	for part := range slices.Chunk(batch, 500) {
		s.event(part...)
	}
	people, err := s.Resolve(t.Context(), project, dsr.Original, []kind.Subject{"bob", "a7", "u"}, time.Time{})
	if err != nil || len(people) != 3 || people[0].TooMany {
		t.Fatalf("got %d people, %v; want bob, and two who share what is more than a person", len(people), err)
	}
	for i, links := range map[int]int{1: 1, 2: dsr.MaxPerson + 1} {
		if p := people[i]; !p.TooMany || len(p.IDs) != 1 || p.IDs[0] != p.Submitted[0] || p.ApartCount != links || len(p.Apart) != min(links, dsr.MostApart) {
			t.Errorf("person %d is %d identifiers, with %d links apart; want it alone", i, len(p.IDs), p.ApartCount)
		}
	}
}

// A device that very many used costs one look at the device.
func TestResolveADeviceOfMany(t *testing.T) {
	s := newShop(t)
	s.tell("device first kiosk")
	var batch []string
	for i := range 3000 {
		batch = append(batch, link("device", fmt.Sprintf("u%d", i), "kiosk", noon))
	}
	for part := range slices.Chunk(batch, 500) {
		s.event(part...)
	}
	people, err := s.Resolve(t.Context(), project, dsr.Simplified, []kind.Subject{"$device:kiosk"}, time.Time{})
	if err != nil || len(people) != 1 || len(people[0].IDs) != 2 || people[0].ApartCount != 3000 || len(people[0].Apart) != dsr.MostApart {
		t.Errorf("got %d people, %v; want the first user, and the others apart", len(people), err)
	}
}

// Of a device that more people used than are kept in memory, it is known all the same
// whose it is, from either end and however the links are sorted.
func TestResolveADeviceOfAll(t *testing.T) {
	s := newShop(t)
	s.tell("device first kiosk")
	s.pass(time.Second)
	var batch []string
	for i := range 20_000 {
		batch = append(batch, link("device", fmt.Sprintf("u%d", i), "kiosk", noon))
	}
	for part := range slices.Chunk(batch, 1000) {
		s.event(part...)
	}
	people, err := s.Resolve(t.Context(), project, dsr.Simplified, []kind.Subject{"u7", "$device:kiosk"}, time.Time{})
	if err != nil || len(people) != 2 || len(people[0].IDs) != 1 || people[0].ApartCount != 1 {
		t.Fatalf("got %d people, %v; want a user, and the first", len(people), err)
	}
	if p := people[1]; len(p.IDs) != 2 || p.IDs[1] != "first" || p.ApartCount != 20_000 || len(p.Apart) != dsr.MostApart {
		t.Errorf("the device is of %d, with %d links apart", len(p.IDs), p.ApartCount)
	}
}

// An identifier that could be one person with very many is served alone, and nobody whom
// it is not one person with is worse off.
func TestResolveNextToTooMany(t *testing.T) {
	s := newShop(t)
	s.tell("device u e", "device u d", "device v d")
	s.pass(time.Second)
	var batch []string
	for i := range 17_000 {
		batch = append(batch, link("alias", fmt.Sprintf("a%d", i), "$device:d", noon))
	}
	for part := range slices.Chunk(batch, 1000) {
		s.event(part...)
	}
	people, err := s.Resolve(t.Context(), project, dsr.Simplified, []kind.Subject{"u", "v", "$device:d"}, time.Time{})
	if err != nil || len(people) != 3 {
		t.Fatalf("got %d people, %v", len(people), err)
	}
	for i, want := range []struct {
		alone bool
		links int
	}{{true, 2}, {false, 1}, {true, 17_002}} {
		if p := people[i]; p.TooMany != want.alone || len(p.IDs) != 1 || p.ApartCount != want.links {
			t.Errorf("person %d: alone %v, %d identifiers, %d links apart; want %+v", i, p.TooMany, len(p.IDs), p.ApartCount, want)
		}
	}
}

// A late event does not bring a link back that was erased, and a new one counts: the
// device belongs to whoever comes next.
func TestResolveAfterAnErasure(t *testing.T) {
	s := newShop(t)
	s.tell("device u d", "alias mail u")
	erasure := s.people("$device:d u mail")
	erasure.Erasure, erasure.Limit = true, s.clock()
	s.suppress("t", erasure.Limit, "$device:d", "u", "mail")
	s.steps(s.Erase, erasure)
	s.pass(time.Minute)
	s.event(link("device", "u", "d", erasure.Limit), link("alias", "mail", "u", noon), link("device", "v", "d", erasure.Limit))
	if got := s.resolve(dsr.Simplified, time.Time{}, "$device:d", "mail", "v"); got != "d; mail; v" {
		t.Errorf("after late links: %q, want everyone alone", got)
	}
	s.tell("device v d", "alias mail w")
	if got := s.resolve(dsr.Simplified, time.Time{}, "$device:d", "mail"); got != "d v; mail w" {
		t.Errorf("after new links: %q", got)
	}
}

// While a device has data of the person it belongs to, nobody else comes to own it,
// also if the erasure is cut off.
func TestEraseRemovesEdgesLast(t *testing.T) {
	s := newShop(t)
	s.tell("identify u z", "identify v z")
	var many []string
	for i := range 4500 {
		many = append(many, seen("u", fmt.Sprint("u", i), i))
	}
	s.event(append(many, seen("z", "z1", 1))...)
	erasure := s.people("u z")
	erasure.Erasure, erasure.Limit = true, s.clock()
	cursor, steps := "", 0
	for done := false; !done; steps++ {
		p, err := s.Erase(t.Context(), erasure, cursor)
		if err != nil {
			t.Fatal(err)
		}
		cursor, done = p.Cursor, p.Done
		export := s.people("z")
		if got := s.resolve(dsr.Simplified, time.Time{}, "z"); got != "u z /identify:z-v" && len(s.export(export)) > 0 {
			t.Errorf("after step %d the device is of %q, with the first one's data in it", steps, got)
		}
	}
	if found, _ := s.steps(s.Find, erasure); steps < 3 || len(found) > 0 {
		t.Errorf("%d steps leave %v", steps, found)
	}
}

// A link that is newer than an erasure's cutoff is not followed, and still decides
// whose a device is.
func TestResolveUpToACutoffDecidesByEverything(t *testing.T) {
	s := newShop(t)
	limit := s.clock()
	s.tell("device x f")
	s.pass(time.Second)
	s.event(link("device", "v", "f", limit.Add(-time.Second))) // late
	if got := s.resolve(dsr.Simplified, limit, "v"); got != "v /device:v-f" {
		t.Errorf("got %q: the device belongs to the one who came first", got)
	}
}

// Two users whom an alias links stay two, also when what told that one is a user was
// erased with somebody else's device; until that one is erased too.
func TestAUserStaysOne(t *testing.T) { eachHome(t, testAUserStaysOne) }

func testAUserStaysOne(t *testing.T, s *shop) {
	erase := func(ids ...string) {
		t.Helper()
		erasure := s.people(ids...)
		erasure.Erasure, erasure.Limit = true, s.clock()
		s.steps(s.Erase, erasure)
		if found, _ := s.steps(s.Find, erasure); len(found) > 0 {
			t.Errorf("found %v after the erasure", found)
		}
		s.pass(time.Second)
	}
	s.tell("device u d", "device u e", "device v d", "device v e", "identify x a", "identify v a", "device y g", "device w g", "device w f", "alias v w")
	for _, who := range []string{"u $device:d $device:e", "x a", "y $device:g"} {
		erase(who)
		for _, user := range []string{"v", "w"} {
			if got, _, _ := strings.Cut(s.resolve(dsr.Simplified, time.Time{}, user), " /"); got != user && got != "f "+user {
				t.Errorf("without %s: %s is %q, want two people", who, user, got)
			}
		}
	}
	if got := s.resolve(dsr.Original, time.Time{}, "v"); got != "f v w" {
		t.Errorf("original: %q, want one person", got)
	}
	if got := s.counts(); got.Subjects != 3 {
		t.Errorf("%d identifiers are counted, want v, w and the device", got.Subjects)
	}
	if found, _ := s.steps(s.Find, s.people("v")); len(found) != 1 || found[0][4] != 2 {
		t.Errorf("found %v of v, want the alias and that it is a user's", found)
	}
	erase("v")
	if s.holds("#v") || s.counts().Subjects != 2 {
		t.Error("something of v is left")
	}
}

// A user who is erased at the same moment as the device is not told of afterwards.
func TestAUserErasedAtTheSameMoment(t *testing.T) {
	s := newShop(t)
	s.tell("device u d", "device v d")
	device, user := s.people("u $device:d"), s.people("v")
	device.Erasure, user.Erasure = true, true
	meddled := (&meddler{Table: s.table, write: func() { s.steps(s.Erase, user) }}).store(s)
	s.steps(meddled.Erase, device)
	if found, _ := s.steps(s.Find, user); len(found) > 0 || s.holds("#v") {
		t.Errorf("found %v of the user", found)
	}
}

// Whatever fails meanwhile, an edge never goes without what it told of its other end.
func TestAUserStaysOneThroughFaults(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, f *tabletest.Fault) {
		s := newShop(t)
		s.tell("device u d", "device v d", "device w f", "alias v w")
		erasing := events.New(tabletest.Faulty(s.table, f), keys, s.clock)
		scope := s.people("u $device:d")
		scope.Erasure = true
		cursor := ""
		for done := false; !done; {
			again(t, func() error {
				p, err := erasing.Erase(t.Context(), scope, cursor)
				if err == nil {
					cursor, done = p.Cursor, p.Done
				}
				if got := s.resolve(dsr.Simplified, time.Time{}, "v"); !strings.HasPrefix(got, "v /") {
					t.Errorf("v is one person with others: %q", got)
				}
				return err
			})
		}
	})
}
