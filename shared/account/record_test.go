package account

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// The audit trail is read in the order of time, holds both entries of one
// moment, and no entry can take the place of another.
func TestRecordAppends(t *testing.T) {
	now := time.Date(2026, 3, 9, 22, 28, 55, 0, time.UTC)
	control := table.NewMemory(func() time.Time { return now })
	a := New(control, func() time.Time { return now })
	var last []table.Op
	for i, action := range []string{"second", "second", "first"} {
		e := dsr.Entry{Project: "1234567", Time: now.Add(time.Duration(-i/2) * time.Hour), Actor: "pat@example.com", Action: action, Task: "t", From: "192.0.2.1"}
		ops, err := a.Record(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if err := control.Write(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
		last = ops
	}
	if err := control.Write(t.Context(), last...); kind.Of(err) != kind.Conflict {
		t.Errorf("writing an entry over itself: got %v, want %v", err, kind.Conflict)
	}
	page, err := control.Query(t.Context(), table.Query{PK: auditKey("1234567", now, "").PK})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range page.Items {
		var e dsr.Entry
		if err := json.Unmarshal(item.Data, &e); err != nil || e.Actor != "pat@example.com" || e.From != "192.0.2.1" || e.Task != "t" {
			t.Errorf("entry %+v, %v", e, err)
		}
		got = append(got, e.Action)
	}
	if want := "first second second"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRecordNeedsAProject(t *testing.T) {
	for _, id := range []string{"", "x", "1#2"} {
		if _, err := New(nil, time.Now).Record(t.Context(), dsr.Entry{Project: id}); kind.Of(err) != kind.Invalid {
			t.Errorf("project %q: got %v, want %v", id, err, kind.Invalid)
		}
	}
}

func TestRevokedTokenSaysSo(t *testing.T) {
	now := time.Date(2026, 3, 9, 22, 28, 55, 0, time.UTC)
	control := table.NewMemory(func() time.Time { return now })
	op, err := fresh(credentialKey("secret"), credential{Use: gdprToken, Owner: "pat@example.com", Expires: now.Add(time.Hour), Revoked: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Write(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	_, err = New(control, func() time.Time { return now }).Bearer(t.Context(), "secret")
	if kind.Of(err) != kind.Unauthorized || !strings.Contains(kind.Sentence(err), "revoked") {
		t.Errorf("got %v, want %v saying that it was revoked", err, kind.Unauthorized)
	}
}

// An analyst is a member and still may not handle requests; a role in the project
// is as good as one in the organisation.
func TestRolesThatHandle(t *testing.T) {
	control := table.NewMemory(time.Now)
	a := New(control, time.Now)
	p := Project{ID: "1234567"}
	for _, role := range []Role{Owner, Admin, Analyst, Consumer} {
		want := kind.Kind("")
		if role == Analyst || role == Consumer {
			want = kind.Forbidden
		}
		for where, key := range map[string]func(string) table.Key{
			"organisation": memberKey,
			"project":      func(name string) table.Key { return projectMemberKey(p.ID, name) },
		} {
			name := string(role) + "-of-" + where + "@example.com"
			op, err := fresh(key(name), membership{Name: name, Role: role})
			if err != nil {
				t.Fatal(err)
			}
			if err := control.Write(t.Context(), op); err != nil {
				t.Fatal(err)
			}
			if got := kind.Of(a.MayHandle(t.Context(), Actor{Name: name}, p)); got != want {
				t.Errorf("%s of the %s: got %q, want %q", role, where, got, want)
			}
			if got := kind.Of(a.MayHandle(t.Context(), Actor{Name: strings.ToUpper(name)}, p)); got != want {
				t.Errorf("%s of the %s, mail address in capitals: got %q, want %q", role, where, got, want)
			}
		}
	}
}
