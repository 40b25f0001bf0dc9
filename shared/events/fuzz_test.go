package events_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"unicode/utf8"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
)

// decode reads JSON without losing a digit.
func decode(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var v map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

// Whatever is taken comes out of an export with every property as it went in.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`{"event":"e","properties":{"time":1777892400,"distinct_id":"ann","$insert_id":"a","x":[1,{"y":null}],"s":"\u00e9\"\\"}}`,
		` { "event" : "e" , "properties" : { "token" : "t" , "a" : [ 1 , 2 ] } } `,
		`{"event":"$create_alias","properties":{"distinct_id":1,"alias":"b"}}`,
		`{"event":"$identify","properties":{"$identified_id":"a","$anon_id":"b","$user_id":"u","$device_id":"d"}}`,
		`{"event":"$merge","properties":{"$distinct_ids":["a",2]}}`,
		`{"event":"e","properties":{"time":"1777892400.5","$user_id":"u"}}`,
		`{"properties":{},"event":"e","event":"f"}`,
		`[{}]`, `{"event":{"event":"e"},"properties":{"time":1e9}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.TrimSpace(raw)
		if !json.Valid(raw) || !utf8.Valid(raw) {
			return
		}
		s := newShop(t)
		e, err := events.ParseEvent(raw, events.Rules{Now: noon, Import: true, Sender: "sender"})
		if err != nil {
			return
		}
		if _, err := s.Track(t.Context(), project, []events.Event{e}); err != nil {
			t.Fatal(err)
		}
		if e.Subject == "" {
			return
		}
		scope := dsr.Scope{Project: project, Limit: noon, Clusters: []dsr.Cluster{{IDs: []kind.Subject{e.Subject}}}}
		records, err := s.Collect(t.Context(), scope, "")
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		r, err := records.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sent, _ := decode(t, raw)["properties"].(map[string]any)
		got := decode(t, r.Data)
		for name, value := range got {
			switch name {
			case "time", "distinct_id", "$insert_id":
			default:
				if a, b := marshal(value), marshal(sent[name]); a != b {
					t.Errorf("%q is %s and was %s", name, a, b)
				}
			}
			delete(sent, name)
		}
		delete(sent, "token")
		if len(sent) > 0 {
			t.Errorf("%v got lost", sent)
		}
		if got["distinct_id"] != string(e.Subject) || got["time"] == nil || got["$insert_id"] != r.InsertID || r.Name != e.Name {
			t.Errorf("got %s", r.Data)
		}
		if _, err := records.Next(t.Context()); err != io.EOF {
			t.Errorf("there is a second record: %v", err)
		}
	})
}

func marshal(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// Whatever is taken leaves a profile that is JSON, and the same when it is done
// twice if it only sets.
func FuzzUpdate(f *testing.F) {
	f.Add([]byte(`{"$distinct_id":"ann","$set":{"a":1,"b":[1, 2]},"$add":{"a":0.5,"c":1e3},"$append":{"b":{"x":1}}}`))
	f.Add([]byte(`{"$distinct_id":"ann","$union":{"l":[1,1.0,"1"]},"$remove":{"l":1},"$unset":["x","l"]}`))
	f.Add([]byte(`{"$distinct_id":"ann","$set_once":{"\u0061":1,"a":2},"$delete":null,"$time":"5"}`))
	f.Add([]byte(`{"$group_key":"k","$group_id":1,"$set":{"a":null}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.TrimSpace(raw)
		if !json.Valid(raw) || !utf8.Valid(raw) {
			return
		}
		_, _ = events.ParseUpdate(raw, true)
		u, err := events.ParseUpdate(raw, false)
		if err != nil {
			return
		}
		s := newShop(t)
		for range 3 {
			if _, err := s.Update(t.Context(), project, []events.Update{u}); err != nil {
				t.Fatal(err)
			}
		}
		scope := dsr.Scope{Project: project, Limit: noon, Clusters: []dsr.Cluster{{IDs: []kind.Subject{u.Subject}}}}
		records, err := s.Collect(t.Context(), scope, "")
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		r, err := records.Next(t.Context())
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		decode(t, r.Data)
	})
}
