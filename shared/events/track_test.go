package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
)

func TestPropertiesGoOutAsTheyCameIn(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{"numbers keep all their digits",
			`{"time":1777892400,"distinct_id":"ann","$insert_id":"a","big":12345678901234567890123,"small":1.10000000000000000001,"exp":1E400}`,
			`{"time":1777892400,"distinct_id":"ann","$insert_id":"a","big":12345678901234567890123,"small":1.10000000000000000001,"exp":1E400}`},
		{"the order stays and the token goes",
			`{"z":1,"token":"secret","a":[3,1,2],"$insert_id":"a","m":{"y":null,"b":true},"distinct_id":"ann","time":1777892400123}`,
			`{"z":1,"a":[3,1,2],"$insert_id":"a","m":{"y":null,"b":true},"distinct_id":"ann","time":1777892400123}`},
		{"the token goes however it is written",
			`{"\u0074oken":"secret","token":"again","time":1777892400,"distinct_id":"ann","$insert_id":"a"}`,
			`{"time":1777892400,"distinct_id":"ann","$insert_id":"a"}`},
		{"texts keep their bytes",
			`{"time":1777892400,"distinct_id":"ann","$insert_id":"a","s":"caf\u00e9 café \"\\ 日本 \/ \ud83d\ude00 }{][,:"}`,
			`{"time":1777892400,"distinct_id":"ann","$insert_id":"a","s":"caf\u00e9 café \"\\ 日本 \/ \ud83d\ude00 }{][,:"}`},
		{"white space between the parts goes, in texts it stays",
			"{ \"time\" : 1777892400 ,\n\t\"distinct_id\":\"ann\", \"$insert_id\": \"a\", \"l\": [ 1 ,\n 2 ], \"s\": \" a  b \" }",
			`{"time":1777892400,"distinct_id":"ann","$insert_id":"a","l":[1,2],"s":" a  b "}`},
		{"an id that is a number becomes a string",
			`{"time":1777892400,"distinct_id":12345678901234567890,"$insert_id":77}`,
			`{"distinct_id":"12345678901234567890","time":1777892400,"$insert_id":"77"}`},
		{"an id is trimmed",
			`{"time":1777892400,"distinct_id":" ann ","$insert_id":"a"}`,
			`{"distinct_id":"ann","time":1777892400,"$insert_id":"a"}`},
		{"of two members of one name the later counts",
			`{"time":1,"distinct_id":"bob","$insert_id":"b","time":1777892400,"distinct_id":"ann","$insert_id":"a"}`,
			`{"time":1777892400,"distinct_id":"ann","$insert_id":"a"}`},
		{"a time that is a string becomes a number",
			`{"time":"1777892400","distinct_id":"ann","$insert_id":"a"}`,
			`{"time":1777892400000,"distinct_id":"ann","$insert_id":"a"}`},
		{"a fraction of a second stays",
			`{"time":1777892400.123456,"distinct_id":"ann","$insert_id":"a"}`,
			`{"time":1777892400.123456,"distinct_id":"ann","$insert_id":"a"}`},
		{"a time to come becomes now",
			`{"time":1777898400,"distinct_id":"ann","$insert_id":"a","x":1}`,
			`{"time":1777896000000,"distinct_id":"ann","$insert_id":"a","x":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			s.event(`{"event":"Seen","properties":` + c.sent + `}`)
			scope := s.people("ann 12345678901234567890")
			got := s.export(scope)
			if len(got) != 1 || got[0][strings.Index(got[0], "{"):] != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestFilingWithoutDistinctID(t *testing.T) {
	s := newShop(t)
	parse := func(raw string, rules events.Rules) events.Event {
		rules.Now = noon
		e, err := events.ParseEvent([]byte(`{"event":"Seen","properties":`+raw+`}`), rules)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	sender := events.Rules{Sender: s.Sender("192.0.2.7")}
	for _, c := range []struct {
		name, raw string
		rules     events.Rules
		want      kind.Subject
	}{
		{"user of simplified merge", `{"$user_id":"ann","$device_id":"d1"}`, sender, "ann"},
		{"device of simplified merge", `{"$device_id":"d1"}`, sender, "$device:d1"},
		{"device with its prefix", `{"$device_id":"$device:d1"}`, sender, "$device:d1"},
		{"an explicit id stays", `{"distinct_id":"x","$user_id":"ann"}`, sender, "x"},
		{"an empty id with a user", `{"distinct_id":"","$user_id":"ann"}`, sender, "ann"},
		{"a placeholder is no user", `{"$user_id":"undefined","$device_id":"d1"}`, sender, "$device:d1"},
		{"a library's sender", `{}`, sender, s.Sender("192.0.2.7")},
		{"a null id", `{"distinct_id":null}`, sender, s.Sender("192.0.2.7")},
		{"an empty id is nobody's", `{"distinct_id":""}`, sender, ""},
		{"nobody's, without a sender", `{}`, events.Rules{}, ""},
	} {
		if got := parse(c.raw, c.rules).Subject; got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, string(got), string(c.want))
		}
	}
	if s.Sender("192.0.2.7") == s.Sender("192.0.2.8") || strings.Contains(string(s.Sender("192.0.2.7")), "192.") {
		t.Error("senders are not told apart, or the address shows")
	}
}

func TestFaults(t *testing.T) {
	long := strings.Repeat("x", 256)
	many := "{"
	for i := range 256 {
		many += fmt.Sprintf(`"p%d":1,`, i)
	}
	many += `"token":"t"}`
	good := `"time":1777892400,"distinct_id":"ann","$insert_id":"a"`
	for _, c := range []struct{ name, raw, field string }{
		{"no object", `7`, ""},
		{"no event", `{"properties":{` + good + `}}`, "event"},
		{"an empty name", `{"event":"","properties":{` + good + `}}`, "event"},
		{"a long name", `{"event":"` + long + `","properties":{` + good + `}}`, "event"},
		{"no properties", `{"event":"e"}`, "properties"},
		{"properties that are a list", `{"event":"e","properties":[]}`, "properties"},
		{"too many properties", `{"event":"e","properties":` + many + `}`, "properties"},
		{"too deep", `{"event":"e","properties":{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, "properties"},
		{"too large", `{"event":"e","properties":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`, ""},
		{"no time", `{"event":"e","properties":{"distinct_id":"ann","$insert_id":"a"}}`, "properties.time"},
		{"a time before 1971", `{"event":"e","properties":{"time":31535999,"distinct_id":"ann","$insert_id":"a"}}`, "properties.time"},
		{"a time too far ahead", `{"event":"e","properties":{"time":1777899601,"distinct_id":"ann","$insert_id":"a"}}`, "properties.time"},
		{"a time in words", `{"event":"e","properties":{"time":"noon","distinct_id":"ann","$insert_id":"a"}}`, "properties.time"},
		{"a time that is true", `{"event":"e","properties":{"time":true,"distinct_id":"ann","$insert_id":"a"}}`, "properties.time"},
		{"no id", `{"event":"e","properties":{"time":1777892400,"$insert_id":"a"}}`, "properties.distinct_id"},
		{"a placeholder for an id", `{"event":"e","properties":{"time":1777892400,"distinct_id":"Undefined","$insert_id":"a"}}`, "properties.distinct_id"},
		{"a long id", `{"event":"e","properties":{"time":1777892400,"distinct_id":"` + long + `","$insert_id":"a"}}`, "properties.distinct_id"},
		{"an id that is an object", `{"event":"e","properties":{"time":1777892400,"distinct_id":{},"$insert_id":"a"}}`, "properties.distinct_id"},
		{"no insert id", `{"event":"e","properties":{"time":1777892400,"distinct_id":"ann"}}`, "properties.$insert_id"},
		{"a long insert id", `{"event":"e","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"` + long[:37] + `"}}`, "properties.$insert_id"},
		{"an insert id with other signs", `{"event":"e","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"a_b"}}`, "properties.$insert_id"},
		{"a placeholder for an insert id", `{"event":"e","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"null"}}`, "properties.$insert_id"},
		{"an alias without one", `{"event":"$create_alias","properties":{"distinct_id":"ann"}}`, "properties.alias"},
		{"a placeholder for an alias", `{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"anon"}}`, "properties.alias"},
		{"identify without the anonymous id", `{"event":"$identify","properties":{"distinct_id":"ann"}}`, "properties.$anon_id"},
		{"merge of one", `{"event":"$merge","properties":{"$distinct_ids":["ann"]}}`, "properties.$distinct_ids"},
		{"merge with a placeholder", `{"event":"$merge","properties":{"$distinct_ids":["ann","0"]}}`, "properties.$distinct_ids"},
	} {
		if !json.Valid([]byte(c.raw)) {
			t.Fatalf("%s: the test is no JSON", c.name)
		}
		_, err := events.ParseEvent([]byte(c.raw), events.Rules{Now: noon, Import: true, Strict: true})
		f, ok := err.(*events.Fault)
		if !ok || f.Field != c.field || f.Message == "" {
			t.Errorf("%s: got %+v, want a fault of %q", c.name, f, c.field)
		}
	}
	if _, err := events.ParseEvent([]byte(`{"event":"$merge","properties":{"$distinct_ids":["ann","bob"]}}`), events.Rules{Now: noon}); err == nil {
		t.Error("$merge was taken outside /import")
	}
}

func TestTheLatestOfTwoEqualEventsCounts(t *testing.T) {
	s := newShop(t)
	event := func(v int) string {
		return fmt.Sprintf(`{"event":"Seen","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"a","v":%d}}`, v)
	}
	s.event(event(1))
	before := s.people("ann")
	s.pass(time.Minute)
	s.event(event(2), event(3))
	want := []string{`0.0 Seen 11:00:00.000 {"time":1777892400,"distinct_id":"ann","$insert_id":"a","v":3}`}
	same(t, s.export(s.people("ann")), want)
	// An export that began between the two still has the event.
	same(t, s.export(before), want)
	if got := s.counts(); got.Rows != 1 || got.Subjects != 1 {
		t.Errorf("counts are %+v, want one row of one subject", got)
	}
}

func TestEventsWithoutInsertID(t *testing.T) {
	s := newShop(t)
	timed := `{"event":"Click","properties":{"time":1777892400,"distinct_id":"ann","x":1}}`
	s.event(timed, timed) // two clicks in one second
	s.event(timed, timed) // the same request again
	if got := s.export(s.people("ann")); len(got) != 2 {
		t.Errorf("got %d events, want the 2 of one request that came twice:\n%s", len(got), strings.Join(got, "\n"))
	}
	made := regexp.MustCompile(`"\$insert_id":"[0-9a-f]{32}"`)
	for _, line := range s.export(s.people("ann")) {
		if !made.MatchString(line) {
			t.Errorf("no insert id was made: %s", line)
		}
	}
	untimed := func() {
		e, err := events.ParseEvent([]byte(`{"event":"Click","properties":{"distinct_id":"bob"}}`), events.Rules{Now: s.clock()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Track(t.Context(), project, []events.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	untimed()
	untimed()
	if got := s.export(s.people("bob")); len(got) != 2 {
		t.Errorf("got %d events without a time, want 2", len(got))
	}
}

func TestLateDataStaysOut(t *testing.T) { eachHome(t, testLateDataStaysOut) }

func testLateDataStaysOut(t *testing.T, s *shop) {
	s.event(seen("ann", "a", 0), seen("bob", "a", 0))
	s.update(`{"$distinct_id":"ann","$set":{"mail":"ann@example.com"}}`)
	cutoff := s.clock()
	s.suppress("task-1", cutoff, "ann")
	s.suppress("task-1", cutoff, "ann") // again changes nothing
	s.suppress("task-2", cutoff.Add(-time.Hour), "ann")
	s.pass(time.Second)

	if got := s.event(seen("ann", "late", 10), seen("bob", "b", 10)); got.Stored != 1 || got.Dropped != 1 {
		t.Errorf("a late event: got %+v, want one dropped and one stored", got)
	}
	if got := s.event(fmt.Sprintf(`{"event":"Back","properties":{"time":%d,"distinct_id":"ann","$insert_id":"n"}}`, cutoff.Unix()+1)); got.Dropped != 0 {
		t.Errorf("an event after the cutoff was dropped")
	}
	if got := s.update(fmt.Sprintf(`{"$distinct_id":"ann","$time":%d,"$set":{"old":1}}`, cutoff.Unix())); got.Dropped != 1 {
		t.Errorf("a late update: got %+v, want it dropped", got)
	}
	s.update(`{"$distinct_id":"ann","$set":{"plan":"new"}}`)
	s.event(`{"event":"$create_alias","properties":{"distinct_id":"ann","alias":"late-alias","time":1777892400}}`,
		`{"event":"$merge","properties":{"$distinct_ids":["bob","ann"],"time":1777892400}}`)
	for _, item := range s.items() {
		if strings.HasPrefix(item.SK, "edge#") || strings.Contains(string(item.Data), "$merge") {
			t.Error("a late edge was stored, or what told of it")
		}
	}

	// The profile was replaced, so it is not among what is to be erased.
	erasure := s.people("ann")
	erasure.Limit, erasure.Erasure = cutoff, true
	s.steps(s.Erase, erasure)
	same(t, s.export(s.people("ann")), []string{
		`0.0 {"$distinct_id":"ann","$properties":{"plan":"new"}}`,
		`0.0 Back 12:00:01.000 {"time":1777896001,"distinct_id":"ann","$insert_id":"n"}`,
	})
	if got, want := s.day(), (dsr.Day{Date: "2026-05-04", Stored: 6, Late: 4}); got != want {
		t.Errorf("the day is %+v, want %+v", got, want)
	}
}

func TestTombstonesOutliveTheirKey(t *testing.T) {
	s := newShop(t)
	s.suppress("task-1", noon, "ann")
	s.Store = events.New(s.table, kind.Keyring{
		{Version: 1, Secret: []byte("a key for tests")}, {Version: 2, Secret: []byte("a newer key")},
	}, s.clock)
	if got := s.event(seen("ann", "a", 0)); got.Dropped != 1 {
		t.Errorf("got %+v, want the event kept out by a tombstone under the older key", got)
	}
	for _, item := range s.items() {
		if strings.Contains(item.PK+item.SK+string(item.Data), "ann") {
			t.Errorf("a tombstone holds an identifier")
		}
	}
}

func TestFenceWaitsForCallsUnderWay(t *testing.T) {
	s := newShop(t)
	slow := &gate{Table: s.table, reached: make(chan bool), open: make(chan bool)}
	store := events.New(slow, keys, s.clock)
	e, err := events.ParseEvent([]byte(seen("ann", "a", 0)), events.Rules{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		_, err := store.Track(gone, project, []events.Event{e})
		written <- err
	}()
	<-slow.reached // it has looked for tombstones and is about to write
	cancel()       // the client hangs up
	if err := store.Suppress(t.Context(), project, []dsr.Mark{{Name: keys.Mark(project, "ann"), Subject: "ann", Task: "t", Cutoff: noon, Disclosure: dsr.Data}}); err != nil {
		t.Fatal(err)
	}
	impatient, stop := context.WithCancel(t.Context())
	stop()
	if _, err := store.Fence(impatient); kind.Of(err) != kind.Unavailable {
		t.Errorf("Fence did not wait for a call under way: %v", err)
	}
	fenced := make(chan time.Duration, 1)
	go func() {
		d, err := store.Fence(t.Context())
		if err != nil {
			t.Error(err)
		}
		fenced <- d
	}()
	close(slow.open)
	if d := <-fenced; d != 0 {
		t.Errorf("Fence asks to wait %v more", d)
	}
	if got := s.export(s.people("ann")); len(got) != 1 {
		t.Error("Fence returned before the write had landed")
	}
	if err := <-written; err != nil {
		t.Errorf("a write whose client hung up: %v", err)
	}
	shared := events.New(s.table, keys, s.clock, events.Shared())
	if d, err := shared.Fence(t.Context()); d != time.Minute || err != nil {
		t.Errorf("with other processes Fence says %v, %v, want a minute", d, err)
	}
}

func TestLargeEvents(t *testing.T) { eachHome(t, testLargeEvents) }

func testLargeEvents(t *testing.T, s *shop) {
	noise := func(n int) string {
		b := make([]byte, n)
		r := rand.New(rand.NewPCG(1, 1))
		for i := range b {
			b[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[r.IntN(64)]
		}
		return string(b)
	}
	event := func(text string) string {
		return `{"event":"Note","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"a","text":"` + text + `"}}`
	}
	for _, text := range []string{noise(1_000_000), strings.Repeat("x", 900_000), noise(700_000), "short", noise(500_000)} {
		s.event(event(text), seen("ann", "b", 1))
		got := s.export(s.people("ann"))
		if len(got) != 2 || !strings.Contains(got[0], text) {
			t.Fatalf("an event of %d bytes did not come back whole", len(text))
		}
		if found, _ := s.steps(s.Find, s.people("ann")); !slices.Equal(found, [][5]int64{{0, 0, 2}}) {
			t.Errorf("found %v, want 2 events", found)
		}
	}
	erasure := s.people("ann")
	erasure.Erasure = true
	s.steps(s.Erase, erasure)
	if left := s.items(); len(left) > 0 {
		t.Errorf("%d items are left, the first %s", len(left), left[0].SK)
	}
}
