package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A person who signed in on a phone and has a mail address as an alias is exported
// and erased whole, whichever name is given, and the next user of the phone stays.
func TestOnePersonOfManyNames(t *testing.T) {
	data := t.TempDir()
	p := startDemo(t, data, "--cancel-window", "0")
	at := time.Now().Add(-time.Hour).Unix()
	event := func(name, insert, mark string, more map[string]any) sent {
		properties := map[string]any{"time": at, "$insert_id": insert, "mark": mark}
		for k, v := range more {
			properties[k] = v
		}
		return sent{name, properties}
	}
	p.importEvents(t,
		event("Opened", "1", "mark-of-phone", map[string]any{"distinct_id": "$device:phone", "$device_id": "phone"}),
		event("Opened", "2", "mark-of-user", map[string]any{"distinct_id": "user-1", "$user_id": "user-1", "$device_id": "phone"}),
		event("$create_alias", "3", "mark-of-alias", map[string]any{"distinct_id": "user-1", "alias": "one@example.com"}),
		event("Bought", "4", "mark-of-mail", map[string]any{"distinct_id": "one@example.com"}))
	p.importEvents(t, event("Opened", "5", "mark-of-next", map[string]any{"distinct_id": "user-2", "$user_id": "user-2", "$device_id": "phone"}))

	task := p.submit(t, retrievals, "one@example.com")
	p.await(t, retrievals, task, "SUCCESS")
	x := unpack(t, p.download(t, task))
	for _, mark := range []string{"mark-of-phone", "mark-of-user", "mark-of-mail"} {
		if !x.has("mark", mark) {
			t.Errorf("%s is not in the export", mark)
		}
	}
	if x.has("mark", "mark-of-next") {
		t.Error("the next user of the phone is in the export")
	}
	finding := func(task string) string {
		t.Helper()
		a := p.do(t, http.MethodGet, "/api/app/requests/"+task+"?token="+p.Token, "", "Authorization", "Bearer "+p.GDPR)
		var d struct {
			Results struct {
				Findings []struct {
					Resolved    []string
					NotFollowed []struct{ Kind, ID, To string } `json:"not_followed"`
				}
			}
		}
		if err := json.Unmarshal(a.body, &d); err != nil || len(d.Results.Findings) != 1 {
			t.Fatalf("detail: %d %s", a.status, a.body)
		}
		return fmt.Sprint(d.Results.Findings[0])
	}
	if got, want := finding(task), "{[$device:phone one@example.com user-1] [{device $device:phone user-2}]}"; got != want {
		t.Errorf("the detail tells %s, want %s", got, want)
	}

	task = p.submit(t, deletions, "$device:phone")
	p.await(t, deletions, task, "SUCCESS")
	// Late events do not bring the person back, nor the link to the phone.
	p.importEvents(t,
		event("Opened", "2", "mark-of-user", map[string]any{"distinct_id": "user-1", "$user_id": "user-1", "$device_id": "phone"}),
		event("Bought", "6", "mark-of-mail", map[string]any{"distinct_id": "one@example.com"}))
	p.stop(t, syscall.SIGTERM)
	if found := holding(t, data, "mark-of-phone", "mark-of-user", "mark-of-alias", "mark-of-mail"); len(found) > 0 {
		t.Errorf("still there: %s", strings.Join(found, ", "))
	}
	if found := holding(t, data, "mark-of-next"); len(found) == 0 {
		t.Error("the next user of the phone was erased too")
	}
}
