package demo_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"lethe/cmd/lethe/demo"
)

var day = time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)

func TestMakeIsTheSameAllDay(t *testing.T) {
	morning := demo.Make("t", day.Truncate(24*time.Hour))
	evening := demo.Make("t", day.Add(8*time.Hour))
	if got, want := len(evening.Events), len(morning.Events); got != want {
		t.Fatalf("got %d events, want %d", got, want)
	}
	for i := range morning.Events {
		if got, want := string(evening.Events[i]), string(morning.Events[i]); got != want {
			t.Fatalf("event %d: got %s, want %s", i, got, want)
		}
	}
	for i := range morning.Profiles {
		if got, want := string(evening.Profiles[i]), string(morning.Profiles[i]); got != want {
			t.Fatalf("profile %d: got %s, want %s", i, got, want)
		}
	}
}

func TestMakeIsWorthLookingAt(t *testing.T) {
	d := demo.Make("token", day)
	if n := len(d.Events); n < 4000 || n > 12000 {
		t.Errorf("got %d events, want some thousand", n)
	}
	names, libraries, ids, months := map[string]int{}, map[any]int{}, map[string]int{}, map[string]int{}
	inserts := map[string]bool{}
	valid := regexp.MustCompile(`^[A-Za-z0-9-]{1,36}$`)
	for _, raw := range d.Events {
		var e struct {
			Event      string
			Properties map[string]any
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		insert, _ := e.Properties["$insert_id"].(string)
		if !valid.MatchString(insert) || inserts[insert] {
			t.Errorf("%s: $insert_id %q is invalid or used twice", e.Event, insert)
		}
		inserts[insert] = true
		if e.Properties["token"] != "token" {
			t.Errorf("%s: no token", e.Event)
		}
		ms, _ := e.Properties["time"].(float64)
		when := time.UnixMilli(int64(ms)).UTC()
		if !when.Before(day.Truncate(24*time.Hour)) || when.Before(day.AddDate(0, 0, -121)) {
			t.Errorf("%s: time %v is not in the last 120 days before today", e.Event, when)
		}
		id, _ := e.Properties["distinct_id"].(string)
		names[e.Event]++
		ids[id]++
		libraries[e.Properties["mp_lib"]]++
		months[when.Format("2006-01")]++
	}
	for _, name := range []string{"Page View", "Sign Up", "Order Placed", "$identify", "$merge", "$create_alias"} {
		if names[name] == 0 {
			t.Errorf("no event %s", name)
		}
	}
	for _, library := range []string{"web", "swift", "android", "python"} {
		if libraries[library] == 0 {
			t.Errorf("no event from the library %s", library)
		}
	}
	if len(months) < 4 {
		t.Errorf("got %d months, want several", len(months))
	}
	if len(ids) < 300 {
		t.Errorf("got %d ids, want some hundred", len(ids))
	}
	for id, n := range ids {
		if n > ids[d.Busy] {
			t.Errorf("%s has %d events, more than Busy with %d", id, n, ids[d.Busy])
		}
	}
}
