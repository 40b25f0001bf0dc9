package account_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/kind"
	"lethe/shared/table"
)

var start = time.Date(2026, 3, 9, 22, 28, 55, 0, time.UTC)

// A world is a control table with accounts over it and a clock that tests move.
type world struct {
	*account.Accounts
	control *table.Memory
	now     time.Time
}

func newWorld() *world {
	w := &world{now: start}
	clock := func() time.Time { return w.now }
	w.control = table.NewMemory(clock)
	w.Accounts = account.New(w.control, clock)
	return w
}

func (w *world) found(t *testing.T) account.Credentials {
	t.Helper()
	c, err := w.Found(t.Context(), account.Founding{ProjectName: "Shop", OwnerEmail: "Pat@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFoundedCredentialsWork(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	ctx := t.Context()
	p, err := w.ByToken(ctx, c.ProjectToken)
	if err != nil || p.ID != c.ProjectID || p.Token != c.ProjectToken || p.Name != "Shop" {
		t.Errorf("ByToken = %+v, %v", p, err)
	}
	if got, err := w.BySecret(ctx, c.APISecret); err != nil || got != p {
		t.Errorf("BySecret = %+v, %v; want %+v", got, err, p)
	}
	if got, err := w.Project(ctx, c.ProjectID); err != nil || got != p {
		t.Errorf("Project = %+v, %v; want %+v", got, err, p)
	}
	if got, err := w.Projects(ctx); err != nil || len(got) != 1 || got[0] != p {
		t.Errorf("Projects = %+v, %v; want the one", got, err)
	}
	owner, err := w.Bearer(ctx, c.GDPRToken)
	if err != nil || owner.Name != "Pat@example.com" {
		t.Errorf("Bearer = %+v, %v", owner, err)
	}
	program, err := w.ServiceAccount(ctx, c.ServiceAccount, c.ServiceSecret)
	if err != nil || program.Name != c.ServiceAccount {
		t.Errorf("ServiceAccount = %+v, %v", program, err)
	}
	for _, actor := range []account.Actor{owner, program} {
		if err := w.MayHandle(ctx, actor, p, "see its requests"); err != nil {
			t.Errorf("%s may not handle the project: %v", actor.Name, err)
		}
		if got, err := w.MayImport(ctx, actor, c.ProjectID); err != nil || got != p {
			t.Errorf("MayImport of %s = %+v, %v", actor.Name, got, err)
		}
	}
	if len(c.ProjectID) != 7 || strings.Trim(c.ProjectID, "0123456789") != "" || c.ProjectID[0] == '0' {
		t.Errorf("project id %s is not of seven digits", c.ProjectID)
	}
	if !strings.HasPrefix(c.GDPRToken, account.TokenPrefix) || len(c.GDPRToken) != len(account.TokenPrefix)+64 {
		t.Errorf("a GDPR token is not %s and 256 bits", account.TokenPrefix)
	}
}

func TestOneSecretIsNotAnother(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	ctx := t.Context()
	for _, secret := range []string{"", "x", c.APISecret, c.GDPRToken, c.ServiceSecret, strings.ToUpper(c.ProjectToken), c.ProjectToken + " ", "\xff", strings.Repeat("x", 1<<20)} {
		if _, err := w.ByToken(ctx, secret); kind.Of(err) != kind.NotFound {
			t.Errorf("ByToken of something else: got %v, want %v", err, kind.NotFound)
		}
	}
	for _, secret := range []string{"", c.ProjectToken, c.GDPRToken, c.ServiceSecret} {
		if _, err := w.BySecret(ctx, secret); kind.Of(err) != kind.NotFound {
			t.Errorf("BySecret of something else: got %v, want %v", err, kind.NotFound)
		}
	}
	for _, secret := range []string{"", c.ProjectToken, c.APISecret, c.ServiceSecret} {
		if _, err := w.Bearer(ctx, secret); kind.Of(err) != kind.Unauthorized || kind.Sentence(err) == "" {
			t.Errorf("Bearer of something else: got %v, want %v with a sentence", err, kind.Unauthorized)
		}
	}
	for _, pair := range [][2]string{{c.ServiceAccount, c.APISecret}, {c.ServiceAccount, ""}, {"", c.ServiceSecret}, {"another", c.ServiceSecret}, {"Pat@example.com", c.GDPRToken}} {
		if _, err := w.ServiceAccount(ctx, pair[0], pair[1]); kind.Of(err) != kind.Unauthorized || kind.Sentence(err) == "" {
			t.Errorf("ServiceAccount of something else: got %v, want %v with a sentence", err, kind.Unauthorized)
		}
	}
	for _, id := range []string{"", "0", "1" + c.ProjectID, c.ProjectID + "x", "#", "\xff", strings.Repeat("1", 4000)} {
		if _, err := w.Project(ctx, id); kind.Of(err) != kind.NotFound {
			t.Errorf("Project(%.20q): got %v, want %v", id, err, kind.NotFound)
		}
	}
}

func TestTokenEndsAfterAYear(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	w.now = start.Add(account.TokenLife - time.Nanosecond)
	if _, err := w.Bearer(t.Context(), c.GDPRToken); err != nil {
		t.Errorf("a token of a year less a moment: %v", err)
	}
	w.now = start.Add(account.TokenLife)
	_, err := w.Bearer(t.Context(), c.GDPRToken)
	if kind.Of(err) != kind.Unauthorized || !strings.Contains(kind.Sentence(err), "expired") {
		t.Errorf("a token of a year: got %v, want %v saying that it expired", err, kind.Unauthorized)
	}
	if _, err := w.ByToken(t.Context(), c.ProjectToken); err != nil {
		t.Errorf("the project token ended with it: %v", err)
	}
}

func TestStrangersMayNothing(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	p, err := w.Project(t.Context(), c.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	program := account.Actor{Name: c.ServiceAccount}
	for _, try := range []struct {
		name  string
		actor account.Actor
		id    string
	}{
		{"an unknown person", account.Actor{Name: "mallory@example.com"}, c.ProjectID},
		{"nobody", account.Actor{}, c.ProjectID},
		{"a service account in a project that is not its own", program, "1234567"},
		{"the owner in a project that does not exist", account.Actor{Name: "Pat@example.com"}, "1234567"},
		{"an id that is none", program, "#"},
	} {
		if _, err := w.MayImport(t.Context(), try.actor, try.id); kind.Of(err) != kind.Forbidden || kind.Sentence(err) == "" {
			t.Errorf("%s imports: got %v, want %v with a sentence", try.name, err, kind.Forbidden)
		}
		p.ID = try.id
		if try.actor.Name == "Pat@example.com" {
			continue // an owner of the organisation handles every project that there is
		}
		if err := w.MayHandle(t.Context(), try.actor, p, "see its requests"); kind.Of(err) != kind.Forbidden || kind.Sentence(err) == "" {
			t.Errorf("%s handles: got %v, want %v with a sentence", try.name, err, kind.Forbidden)
		}
	}
}

func TestFoundRefuses(t *testing.T) {
	for _, f := range []account.Founding{
		{}, {OwnerEmail: "pat"}, {OwnerEmail: "Pat <pat@example.com>"}, {OwnerEmail: " pat@example.com"},
		{OwnerEmail: strings.Repeat("x", 250) + "@example.com"},
		{OwnerEmail: "pat@example.com", ProjectName: strings.Repeat("x", 256)},
		{OwnerEmail: "pat@example.com", OrgName: " x"},
	} {
		w := newWorld()
		if _, err := w.Found(t.Context(), f); kind.Of(err) != kind.Invalid || kind.Sentence(err) == "" {
			t.Errorf("%.60q: got %v, want %v with a sentence", f.OwnerEmail, err, kind.Invalid)
		}
		if got, err := w.Projects(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("%.60q: left %d projects, %v", f.OwnerEmail, len(got), err)
		}
	}
}

func TestFoundOnce(t *testing.T) {
	w := newWorld()
	first := w.found(t)
	asked := false
	_, err := w.Found(t.Context(), account.Founding{OwnerEmail: "eve@example.com", Keep: func(account.Credentials) error { asked = true; return nil }})
	if kind.Of(err) != kind.Conflict || asked {
		t.Errorf("a second founding: got %v, credentials handed out: %v; want %v and none", err, asked, kind.Conflict)
	}
	if _, err := w.Bearer(t.Context(), first.GDPRToken); err != nil {
		t.Errorf("the first token no longer works: %v", err)
	}
}

// Credentials that are lost cannot be made again, so they are kept before there
// is a project they belong to.
func TestKeepComesFirst(t *testing.T) {
	w := newWorld()
	full := errors.New("disk full")
	_, err := w.Found(t.Context(), account.Founding{OwnerEmail: "pat@example.com", Keep: func(account.Credentials) error { return full }})
	if !errors.Is(err, full) {
		t.Errorf("got %v, want the error of Keep", err)
	}
	var kept account.Credentials
	got, err := w.Found(t.Context(), account.Founding{OwnerEmail: "pat@example.com", Keep: func(c account.Credentials) error {
		if all, err := w.Projects(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("Keep sees %d projects, %v; want none yet", len(all), err)
		}
		kept = c
		return nil
	}})
	if err != nil || kept != got {
		t.Errorf("kept and returned credentials differ, or %v", err)
	}
}

func TestNoSecretIsStored(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	stored := dump(t, w.control)
	for name, secret := range map[string]string{"API secret": c.APISecret, "GDPR token": c.GDPRToken, "service account's secret": c.ServiceSecret} {
		if strings.Contains(stored, secret) {
			t.Errorf("the %s stands in the table", name)
		}
	}
	if !strings.Contains(stored, c.ServiceAccount) {
		t.Error("the dump of the table is not whole; this test proves nothing")
	}
}

// dump is every key and record of a table.
func dump(t *testing.T, control table.Table) string {
	t.Helper()
	var all strings.Builder
	err := control.Partitions(t.Context(), func(pk string) error {
		page, err := control.Query(t.Context(), table.Query{PK: pk})
		for _, item := range page.Items {
			all.WriteString(item.PK + " " + item.SK + " " + string(item.Data) + "\n")
		}
		if page.Next != "" {
			return io.ErrShortBuffer
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestAnswersOfABrokenStore(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	a := account.New(broken{w.control}, func() time.Time { return w.now })
	for name, call := range map[string]func() error{
		"Bearer":         func() error { _, err := a.Bearer(ended, c.GDPRToken); return err },
		"ServiceAccount": func() error { _, err := a.ServiceAccount(ended, c.ServiceAccount, c.ServiceSecret); return err },
		"ByToken":        func() error { _, err := a.ByToken(ended, c.ProjectToken); return err },
		"MayHandle": func() error {
			return a.MayHandle(ended, account.Actor{Name: "x"}, account.Project{ID: c.ProjectID}, "see its requests")
		},
		"MayImport": func() error {
			_, err := a.MayImport(ended, account.Actor{Name: "x"}, c.ProjectID)
			return err
		},
		"Projects": func() error { _, err := a.Projects(ended); return err },
		"Found": func() error {
			_, err := a.Found(ended, account.Founding{OwnerEmail: "pat@example.com"})
			return err
		},
	} {
		// Not Unauthorized or Forbidden: a client would throw a good token away.
		if got, want := kind.Of(call()), kind.Unavailable; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// broken does not answer a read.
type broken struct{ table.Table }

func (broken) Get(context.Context, table.Key) (table.Item, error) {
	return table.Item{}, kind.E(kind.Unavailable, "get")
}

func (broken) GetMany(context.Context, []table.Key) (map[table.Key]table.Item, error) {
	return nil, kind.E(kind.Unavailable, "get many")
}

func (broken) Query(context.Context, table.Query) (table.Page, error) {
	return table.Page{}, kind.E(kind.Unavailable, "query")
}
