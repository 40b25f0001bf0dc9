package main

import (
	"bytes"
	"strings"
	"testing"

	"lethe/client"
)

// Of a deletion that has not begun it is told what it would erase and until when it can
// be cancelled, and of another not.
func TestStatusTellsUntilWhenADeletionCanBeCancelled(t *testing.T) {
	for status, told := range map[string]bool{"PENDING": true, "STAGING": true, "STARTED": false, "SUCCESS": false, "REVOKED": false} {
		var out bytes.Buffer
		c := statusCommand()
		c.SetOut(&out)
		r := client.Request{Type: client.Deletion, Status: status, CancelUntil: "2026-01-31T10:00:00.123456", Preview: &client.Preview{Found: client.Found{Events: 2}, Share: 1}}
		if err := new(connection).show(c, r); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "cancel until  2026-01-31 10:00:00 UTC\n"); got != told {
			t.Errorf("%s: told until when %v, want %v, in %q", status, got, told, out.String())
		}
	}
}
