package account_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

const (
	pat = "Pat@example.com" // the owner that found makes
	sam = "sam@example.com"
	kim = "kim@example.com"
)

// machine is who administers the deployment where it runs.
var machine = by(account.Local.Name)

func by(name string) dsr.By { return dsr.By{Actor: name, From: "192.0.2.1"} }

func (w *world) set(t *testing.T, project, name string, role account.Role) {
	t.Helper()
	if _, err := w.SetMember(t.Context(), machine, project, name, role); err != nil {
		t.Fatal(err)
	}
}

func (w *world) role(t *testing.T, project, name string) account.Role {
	t.Helper()
	roles, err := w.Roles(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	members, err := w.Members(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	listed := account.Role("")
	for _, m := range members {
		if strings.EqualFold(m.Name, name) {
			listed = m.Role
		}
	}
	if listed != roles[project] {
		t.Errorf("%s is %q in the list and %q by itself", name, listed, roles[project])
	}
	return listed
}

// Who may turn whom into what.
func TestWhoChangesRoles(t *testing.T) {
	type try struct {
		by, name string
		role     account.Role // "" removes
		want     kind.Kind
	}
	for _, where := range []string{"organisation", "project"} {
		for _, c := range []try{
			{pat, kim, account.Owner, ""}, {pat, kim, account.Consumer, ""},
			{"owner", kim, account.Owner, ""}, {"owner", "owner2", account.Analyst, ""}, {"owner", "owner2", "", ""},
			{"admin", kim, account.Admin, ""}, {"admin", "analyst", account.Admin, ""}, {"admin", "analyst", "", ""}, {"admin", "admin", account.Analyst, ""},
			{"admin", kim, account.Owner, kind.Forbidden}, {"admin", "admin", account.Owner, kind.Forbidden},
			{"admin", "owner", account.Admin, kind.Forbidden}, {"admin", "owner", "", kind.Forbidden},
			{"analyst", kim, account.Consumer, kind.Forbidden}, {"analyst", "consumer", "", kind.Forbidden},
			{"consumer", "consumer", account.Admin, kind.Forbidden}, {"nobody", "nobody", account.Admin, kind.Forbidden},
			{pat, kim, "boss", kind.Invalid}, {pat, "Kim <kim@example.com>", account.Admin, kind.Invalid}, {pat, "kim@", account.Admin, kind.Invalid},
			{pat, "no-such.service-account", account.Admin, kind.NotFound}, {pat, "", account.Admin, kind.NotFound}, {pat, kim, "", kind.NotFound},
		} {
			w := newWorld()
			found := w.found(t)
			project := ""
			if where == "project" {
				project = found.ProjectID
			}
			for _, role := range []account.Role{account.Owner, account.Admin, account.Analyst, account.Consumer} {
				w.set(t, project, string(role)+"@example.com", role)
			}
			w.set(t, project, "owner2@example.com", account.Owner)
			full := func(name string) string {
				if name == "" || strings.ContainsAny(name, "@. ") {
					return name
				}
				return name + "@example.com"
			}
			name, before := full(c.name), w.role(t, project, full(c.name))
			var err error
			if c.role == "" {
				_, err = w.RemoveMember(t.Context(), by(full(c.by)), project, name)
			} else {
				_, err = w.SetMember(t.Context(), by(full(c.by)), project, name, c.role)
			}
			want := c.role
			if c.want != "" {
				want = before
			}
			if got := w.role(t, project, name); kind.Of(err) != c.want || got != want || err != nil && kind.Sentence(err) == "" {
				t.Errorf("%s: %s makes %s %q: got %v and the role %q, want %q and %q", where, c.by, c.name, c.role, err, got, c.want, want)
			}
		}
	}
}

// A role in one project is none in another, nor in the organisation.
func TestRolesOfProjects(t *testing.T) {
	w := newWorld()
	w.found(t)
	one, err := w.MakeProject(t.Context(), by(pat), "One")
	if err != nil {
		t.Fatal(err)
	}
	two, err := w.MakeProject(t.Context(), by(pat), "Two")
	if err != nil {
		t.Fatal(err)
	}
	w.set(t, one.ID, sam, account.Admin)
	for _, c := range []struct {
		do   func() error
		want kind.Kind
	}{
		{func() error {
			return w.MayHandle(t.Context(), account.Actor{Name: sam}, one.Project, "see its requests")
		}, ""},
		{func() error {
			return w.MayHandle(t.Context(), account.Actor{Name: sam}, two.Project, "see its requests")
		}, kind.Forbidden},
		{func() error { return w.MaySettle(t.Context(), account.Actor{Name: sam}) }, kind.Forbidden},
		{func() error { _, err := w.SetMember(t.Context(), by(sam), two.ID, kim, account.Analyst); return err }, kind.Forbidden},
		{func() error { _, err := w.SetMember(t.Context(), by(sam), "", kim, account.Analyst); return err }, kind.Forbidden},
		{func() error { _, err := w.SetMember(t.Context(), by(sam), one.ID, kim, account.Analyst); return err }, ""},
		{func() error { _, err := w.MakeProject(t.Context(), by(sam), "Three"); return err }, kind.Forbidden},
		{func() error { _, err := w.RenameProject(t.Context(), by(sam), one.ID, "Uno"); return err }, ""},
		{func() error { _, err := w.RenameProject(t.Context(), by(sam), two.ID, "Due"); return err }, kind.Forbidden},
		{func() error { _, err := w.RenameProject(t.Context(), by(pat), two.ID, ""); return err }, kind.Invalid},
		{func() error { _, err := w.SetMember(t.Context(), by(pat), "7", kim, account.Analyst); return err }, kind.NotFound},
	} {
		if err := c.do(); kind.Of(err) != c.want {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	// An analyst sends data in and does nothing else.
	analyst := account.Actor{Name: kim}
	if _, err := w.MayImport(t.Context(), analyst, one.ID); err != nil {
		t.Errorf("an analyst imports: %v", err)
	}
	if err := w.MayHandle(t.Context(), analyst, one.Project, "see its requests"); kind.Of(err) != kind.Forbidden {
		t.Errorf("an analyst handles requests: %v", err)
	}
	w.set(t, one.ID, kim, account.Consumer)
	if _, err := w.MayImport(t.Context(), analyst, one.ID); kind.Of(err) != kind.Forbidden {
		t.Errorf("a consumer imports: %v", err)
	}
	if got, err := w.Handlers(t.Context(), one.ID); err != nil || strings.Join(got, " ") != pat+" "+sam {
		t.Errorf("Handlers = %v, %v", got, err)
	}
}

// The organisation keeps an owner, also when all of them go at the same moment.
func TestTheLastOwnerStays(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	for _, do := range []func() error{
		func() error { _, err := w.RemoveMember(t.Context(), by(pat), "", pat); return err },
		func() error { _, err := w.SetMember(t.Context(), by(pat), "", pat, account.Admin); return err },
		func() error { _, err := w.RemoveMember(t.Context(), machine, "", pat); return err },
	} {
		if err := do(); kind.Of(err) != kind.NotAllowed || kind.Sentence(err) == "" {
			t.Errorf("got %v, want %v", err, kind.NotAllowed)
		}
	}
	// One of a project can go: the organisation's stand above it.
	w.set(t, c.ProjectID, sam, account.Owner)
	if _, err := w.RemoveMember(t.Context(), by(sam), c.ProjectID, sam); err != nil {
		t.Error(err)
	}
	names := []string{pat, sam, kim}
	for range 20 {
		for _, n := range names {
			w.set(t, "", n, account.Owner)
		}
		var all sync.WaitGroup
		for _, n := range names {
			all.Go(func() { _, _ = w.SetMember(t.Context(), machine, "", n, account.Analyst) })
		}
		all.Wait()
		owners := 0
		for _, n := range names {
			if w.role(t, "", n) == account.Owner {
				owners++
			}
		}
		if owners == 0 {
			t.Fatal("nobody is an owner any more")
		}
	}
}

// Two owners go, each after a look at the other: one of them stays.
func TestTwoOwnersGoAtOnce(t *testing.T) {
	for name, do := range map[string]func(a *account.Accounts, who string) error{
		"removed": func(a *account.Accounts, who string) error {
			_, err := a.RemoveMember(t.Context(), by(who), "", who)
			return err
		},
		"made less": func(a *account.Accounts, who string) error {
			_, err := a.SetMember(t.Context(), machine, "", who, account.Admin)
			return err
		},
	} {
		w := newWorld()
		w.found(t)
		w.set(t, "", sam, account.Owner)
		gone := false
		slow := &meeting{Table: w.control, after: func(k table.Key) {
			if k.SK == "head" && !gone { // what is read last, before the write
				gone = true
				if err := do(w.Accounts, sam); err != nil {
					t.Errorf("%s: the first: %v", name, err)
				}
			}
		}}
		if err := do(account.New(slow, func() time.Time { return w.now }), pat); kind.Of(err) != kind.NotAllowed || !gone {
			t.Errorf("%s: the second: got %v, want %v", name, err, kind.NotAllowed)
		}
		if got := w.role(t, "", pat); got != account.Owner {
			t.Errorf("%s: the last owner is %q", name, got)
		}
	}
}

// Who is removed is out at once: session, tokens, and the provider's word for them.
func TestRemovedMemberIsOut(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	for _, where := range []string{"", c.ProjectID} {
		w.set(t, where, sam, account.Admin)
		if where == "" {
			w.set(t, c.ProjectID, sam, account.Admin)
		}
		_, token, err := w.MakeToken(t.Context(), by(sam), sam)
		if err != nil {
			t.Fatal(err)
		}
		_, session, err := w.SignInAs(t.Context(), "192.0.2.1", account.Identity{Issuer: "https://id.example", Subject: "7", Email: sam, Verified: true})
		if err != nil {
			t.Fatal(err)
		}
		link, err := w.MakeLink(t.Context(), by(pat), sam)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.RemoveMember(t.Context(), by(pat), where, sam); err != nil {
			t.Fatal(err)
		}
		if w.role(t, "", sam) != "" || w.role(t, c.ProjectID, sam) != "" {
			t.Error("has a role left")
		}
		for range 2 { // an invitation gives nothing of it back
			if _, err := w.Bearer(t.Context(), token); kind.Of(err) != kind.Unauthorized {
				t.Errorf("the token: %v", err)
			}
			if _, err := w.Session(t.Context(), session); kind.Of(err) != kind.Unauthorized {
				t.Errorf("the session: %v", err)
			}
			if _, _, err := w.SignInAs(t.Context(), "192.0.2.1", account.Identity{Issuer: "https://id.example", Subject: "7"}); kind.Of(err) == "" {
				t.Error("the provider's user is still bound")
			}
			w.set(t, where, sam, account.Analyst)
		}
		if _, _, err := w.MakeToken(t.Context(), by(sam), sam); kind.Of(err) != kind.Forbidden {
			t.Errorf("an analyst makes a token: %v", err)
		}
		if _, err := w.RemoveMember(t.Context(), by(pat), where, sam); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.SignIn(t.Context(), "192.0.2.1", link); kind.Of(err) != kind.Unauthorized {
			t.Errorf("a link of before: %v", err)
		}
	}
}

// As many as one can have are ended with one removal, which is one transaction.
func TestRemovalEndsAll(t *testing.T) {
	w := newWorld()
	w.found(t)
	w.set(t, "", sam, account.Admin)
	var tokens, sessions []string
	for n := range 30 {
		w.now = w.now.Add(time.Minute)
		if _, token, err := w.MakeToken(t.Context(), by(sam), sam); err == nil {
			tokens = append(tokens, token)
		} else if kind.Of(err) != kind.Conflict || n < 20 {
			t.Fatal(err)
		}
		link, err := w.MakeLink(t.Context(), machine, sam)
		if err != nil {
			t.Fatal(err)
		}
		_, session, err := w.SignIn(t.Context(), "", link)
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, session)
	}
	if _, err := w.Session(t.Context(), sessions[0]); kind.Of(err) != kind.Unauthorized {
		t.Errorf("the oldest of 30 sessions: %v", err)
	}
	if _, err := w.Session(t.Context(), sessions[29]); err != nil || len(tokens) != 20 {
		t.Errorf("the newest of 30 sessions: %v; %d tokens", err, len(tokens))
	}
	// Providers can be changed as often as one likes.
	identity := func(n int) account.Identity {
		return account.Identity{Issuer: fmt.Sprintf("https://%d.example", n), Subject: "7", Email: sam, Verified: true}
	}
	for n := range 60 {
		if _, _, err := w.SignInAs(t.Context(), "", identity(n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.RemoveMember(t.Context(), by(pat), "", sam); err != nil {
		t.Fatal(err)
	}
	trail := w.trail(t, "")
	if last := trail[len(trail)-1]; last.Action != "member.remove" || last.Detail != "sam@example.com: admin → none; 40 sessions, tokens or secrets ended" {
		t.Errorf("the trail says %+v", last)
	}
	if last := trail[len(trail)-2]; last.Action != "session.begin" || last.Detail != "by OIDC, for the first time" {
		t.Errorf("the trail says %+v", last)
	}
	w.set(t, "", sam, account.Analyst) // for somebody else, at the same providers
	for n := range 60 {
		known, other := identity(n), identity(n)
		known.Verified, other.Subject = false, "8"
		if _, _, err := w.SignInAs(t.Context(), "", known); kind.Of(err) == "" {
			t.Errorf("a user of provider %d is still bound", n)
		}
		if _, _, err := w.SignInAs(t.Context(), "", other); err != nil {
			t.Errorf("another user of provider %d: %v", n, err)
		}
	}
	for _, token := range tokens {
		if _, err := w.Bearer(t.Context(), token); kind.Of(err) != kind.Unauthorized {
			t.Fatal(err)
		}
	}
	if err := w.ExpiringTokens(t.Context(), w.now, w.now.AddDate(2, 0, 0), func(e dsr.ExpiringToken) error {
		if e.Owner == sam {
			t.Error("will be reminded of a token that was ended")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestTransfer(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	w.set(t, c.ProjectID, sam, account.Owner)
	w.set(t, c.ProjectID, "lou@example.com", account.Owner)
	w.set(t, c.ProjectID, "ada@example.com", account.Admin)
	for _, who := range []string{"ada@example.com", kim} {
		if _, err := w.TransferProject(t.Context(), by(who), c.ProjectID, kim, true); kind.Of(err) != kind.Forbidden {
			t.Errorf("%s hands it over: %v", who, err)
		}
	}
	if _, err := w.TransferProject(t.Context(), by(sam), c.ProjectID, c.ServiceAccount, true); kind.Of(err) != kind.Invalid {
		t.Errorf("to a program: %v", err)
	}
	if _, err := w.TransferProject(t.Context(), by(sam), c.ProjectID, "kym@example.com", false); kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), "written right") {
		t.Errorf("to a mistyped address: %v", err)
	}
	if invited, err := w.TransferProject(t.Context(), by(sam), c.ProjectID, kim, true); err != nil || invited != account.Invited {
		t.Fatalf("to somebody new: invited %q, %v", invited, err)
	}
	for name, want := range map[string]account.Role{kim: account.Owner, sam: account.Admin, "lou@example.com": account.Admin, "ada@example.com": account.Admin} {
		if got := w.role(t, c.ProjectID, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if invited, err := w.TransferProject(t.Context(), by(kim), c.ProjectID, sam, false); err != nil || invited != account.Uninvited {
		t.Errorf("back to somebody who is known: invited %q, %v", invited, err)
	}
}

func TestServiceAccounts(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	for _, bad := range []struct {
		name string
		role account.Role
	}{{"x", account.Admin}, {"Nightly", account.Admin}, {"a@b", account.Admin}, {"-a", account.Admin}, {"nightly", account.Owner}, {"nightly", "x"}} {
		if _, _, err := w.MakeServiceAccount(t.Context(), by(pat), c.ProjectID, bad.name, bad.role); kind.Of(err) != kind.Invalid {
			t.Errorf("%+v: got %v, want %v", bad, err, kind.Invalid)
		}
	}
	name, first, err := w.MakeServiceAccount(t.Context(), by(pat), c.ProjectID, "nightly-load", account.Analyst)
	if err != nil || !strings.HasPrefix(name, "nightly-load.") {
		t.Fatal(name, err)
	}
	if _, err := w.SetMember(t.Context(), by(pat), c.ProjectID, name, account.Owner); kind.Of(err) != kind.Invalid {
		t.Errorf("a program as owner: %v", err)
	}
	works := func(secret string) bool {
		actor, err := w.ServiceAccount(t.Context(), name, secret)
		return err == nil && actor == account.Actor{Name: name, By: account.BySecret}
	}
	second, err := w.RotateServiceSecret(t.Context(), by(pat), c.ProjectID, name, 24*time.Hour)
	if err != nil || !works(first) || !works(second) {
		t.Errorf("in the overlap: %v %v, %v", works(first), works(second), err)
	}
	w.now = w.now.Add(24 * time.Hour)
	if works(first) || !works(second) {
		t.Error("after the overlap the old secret works, or the new one does not")
	}
	third, err := w.RotateServiceSecret(t.Context(), by(pat), c.ProjectID, name, 0)
	if err != nil || works(second) || !works(third) {
		t.Errorf("without an overlap: %v %v, %v", works(second), works(third), err)
	}
	if _, err := w.RotateServiceSecret(t.Context(), by(pat), c.ProjectID, pat, 0); kind.Of(err) != kind.NotFound {
		t.Errorf("of a person: %v", err)
	}
	if _, err := w.RotateServiceSecret(t.Context(), by(pat), c.ProjectID, name, -time.Hour); kind.Of(err) != kind.Invalid {
		t.Errorf("overlap in the past: %v", err)
	}
	if _, err := w.RemoveMember(t.Context(), by(pat), c.ProjectID, name); err != nil || works(third) {
		t.Errorf("removed: %v, %v", works(third), err)
	}
	if _, _, err := w.MakeToken(t.Context(), by(name), name); kind.Of(err) != kind.Forbidden {
		t.Errorf("a program's GDPR token: %v", err)
	}
}

func TestRotateProject(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	p, token, err := w.RotateProject(t.Context(), by(pat), c.ProjectID, account.PartToken, 30*24*time.Hour)
	if err != nil || p.Token != token || token == c.ProjectToken {
		t.Fatal(p, err)
	}
	for _, tok := range []string{token, c.ProjectToken} {
		if got, err := w.ByToken(t.Context(), tok); err != nil || got.ID != c.ProjectID || got.Token != token {
			t.Errorf("in the overlap: %+v, %v", got, err)
		}
	}
	_, secret, err := w.RotateProject(t.Context(), by(pat), c.ProjectID, account.PartSecret, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.BySecret(t.Context(), c.APISecret); kind.Of(err) != kind.NotFound {
		t.Errorf("the old secret: %v", err)
	}
	if _, err := w.BySecret(t.Context(), secret); err != nil {
		t.Errorf("the new secret: %v", err)
	}
	w.now = w.now.Add(30 * 24 * time.Hour)
	if _, err := w.ByToken(t.Context(), c.ProjectToken); kind.Of(err) != kind.NotFound {
		t.Errorf("the old token: %v", err)
	}
	if _, _, err := w.RotateProject(t.Context(), by(pat), c.ProjectID, "key", 0); kind.Of(err) != kind.Invalid {
		t.Errorf("something else: %v", err)
	}
	if _, _, err := w.RotateProject(t.Context(), by(sam), c.ProjectID, account.PartToken, 0); kind.Of(err) != kind.Forbidden {
		t.Errorf("by a stranger: %v", err)
	}
}

// Who may rotate the secret of a service account is that account, so only who has
// power wherever it has a role may; and nobody takes one in whose roles are others'.
func TestServiceAccountsOfOthers(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	other, err := w.MakeProject(t.Context(), machine, "Other")
	if err != nil {
		t.Fatal(err)
	}
	w.set(t, other.ID, sam, account.Admin) // there alone
	if _, err := w.SetMember(t.Context(), by(sam), other.ID, c.ServiceAccount, account.Consumer); kind.Of(err) != kind.Forbidden {
		t.Errorf("another project's service account is taken in: %v", err)
	}
	w.set(t, other.ID, c.ServiceAccount, account.Consumer)
	if _, err := w.RotateServiceSecret(t.Context(), by(sam), other.ID, c.ServiceAccount, 0); kind.Of(err) != kind.Forbidden || kind.Sentence(err) == "" {
		t.Errorf("its secret is rotated: %v", err)
	}
	if _, err := w.ServiceAccount(t.Context(), c.ServiceAccount, c.ServiceSecret); err != nil {
		t.Errorf("its own secret: %v", err)
	}
	if _, err := w.RotateServiceSecret(t.Context(), by(pat), other.ID, c.ServiceAccount, 0); err != nil {
		t.Errorf("by an owner of the organisation: %v", err)
	}
}

// One that goes on everywhere can be ended, however many there are.
func TestRotateWithoutOverlap(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	rotate := map[string]func(time.Duration) error{
		"project": func(d time.Duration) error {
			_, _, err := w.RotateProject(t.Context(), by(pat), c.ProjectID, account.PartSecret, d)
			return err
		},
		"service account": func(d time.Duration) error {
			_, err := w.RotateServiceSecret(t.Context(), by(pat), c.ProjectID, c.ServiceAccount, d)
			return err
		},
	}
	for name, one := range rotate {
		for n := range 20 {
			if err := one(account.MostOverlap); (kind.Of(err) == kind.Conflict) != (n == 19) {
				t.Fatalf("%s, %d: %v", name, n, err)
			}
			w.now = w.now.Add(time.Second)
		}
		if err := one(0); err != nil {
			t.Errorf("%s, without an overlap: %v", name, err)
		}
	}
}

// A removal from the organisation and all of its projects is done or refused.
func TestRemovalIsWhole(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	w.set(t, "", kim, account.Admin)
	w.set(t, "", sam, account.Consumer)
	w.set(t, c.ProjectID, sam, account.Owner)
	_, token, err := w.MakeToken(t.Context(), by(sam), sam)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RemoveMember(t.Context(), by(kim), "", sam); kind.Of(err) != kind.Forbidden {
		t.Errorf("an admin removes who owns a project: %v", err)
	}
	if _, err := w.Bearer(t.Context(), token); err != nil || w.role(t, "", sam) == "" || w.role(t, c.ProjectID, sam) == "" {
		t.Errorf("half of it was done: %v", err)
	}
	w.set(t, "", sam, account.Owner)
	removed, err := w.RemoveMember(t.Context(), by(sam), "", sam)
	if want := []account.Removed{{Project: c.ProjectID, Role: account.Owner}, {Role: account.Owner}}; !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	if err != nil || w.role(t, "", sam) != "" || w.role(t, c.ProjectID, sam) != "" {
		t.Errorf("somebody removes themself: %v; left %q and %q", err, w.role(t, "", sam), w.role(t, c.ProjectID, sam))
	}
}

// Who is removed at that very moment changes nothing any more.
func TestRemovedMeanwhile(t *testing.T) {
	for name, do := range map[string]func(a *account.Accounts, project string) error{
		"a service account": func(a *account.Accounts, project string) error {
			_, _, err := a.MakeServiceAccount(t.Context(), by(sam), project, "back-door", account.Admin)
			return err
		},
		"a member": func(a *account.Accounts, project string) error {
			_, err := a.SetMember(t.Context(), by(sam), project, kim, account.Admin)
			return err
		},
		"a new secret": func(a *account.Accounts, project string) error {
			_, _, err := a.RotateProject(t.Context(), by(sam), project, account.PartSecret, 0)
			return err
		},
		"a project": func(a *account.Accounts, _ string) error {
			_, err := a.MakeProject(t.Context(), by(sam), "Mine")
			return err
		},
		"settings": func(a *account.Accounts, project string) error {
			_, err := a.SetRules(t.Context(), project, by(sam), func(r *dsr.Rules) error { r.KeepIDs = 20; return nil })
			return err
		},
		"settings of a project": func(a *account.Accounts, project string) error {
			_, err := a.SetRules(t.Context(), project, by(sam), func(r *dsr.Rules) error { r.Identity = dsr.Original; return nil })
			return err
		},
	} {
		w := newWorld()
		project := w.found(t).ProjectID
		w.set(t, "", sam, account.Admin)
		removed := false
		slow := &meeting{Table: w.control, after: func(k table.Key) {
			// Between the look at the role and the write: the head of a trail is read last.
			if !removed && k.SK == "head" {
				removed = true
				if _, err := w.RemoveMember(t.Context(), by(pat), "", sam); err != nil {
					t.Error(err)
				}
			}
		}}
		if err := do(account.New(slow, func() time.Time { return w.now }), project); kind.Of(err) != kind.Forbidden || !removed {
			t.Errorf("%s: got %v, want %v", name, err, kind.Forbidden)
		}
	}
}

// Of two who give somebody the same first role one has invited them.
func TestInvitedOnce(t *testing.T) {
	w := newWorld()
	project := w.found(t).ProjectID
	first := false
	slow := &meeting{Table: w.control, after: func(k table.Key) {
		if k.SK == "head" && !first {
			first = true
			if invited, err := w.SetMember(t.Context(), by(pat), project, kim, account.Admin); err != nil || invited != account.Invited {
				t.Errorf("the first: invited %q, %v", invited, err)
			}
		}
	}}
	late := account.New(slow, func() time.Time { return w.now })
	if invited, err := late.SetMember(t.Context(), by(pat), project, kim, account.Admin); err != nil || invited != account.Uninvited {
		t.Errorf("the second: invited %q, %v", invited, err)
	}
	waiting, err := w.control.Query(t.Context(), table.Query{PK: "news"})
	if err != nil || len(waiting.Items) != 1 || strings.Contains(string(waiting.Items[0].Data), "link=") {
		t.Errorf("%d invitations wait, %v", len(waiting.Items), err)
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	long := strings.Repeat("x", 3000)
	for name, do := range map[string]func() error{
		"SetMember": func() error {
			_, err := w.SetMember(t.Context(), by(pat), c.ProjectID, long, account.Admin)
			return err
		},
		"RemoveMember":        func() error { _, err := w.RemoveMember(t.Context(), by(pat), "", long); return err },
		"RotateServiceSecret": func() error { _, err := w.RotateServiceSecret(t.Context(), by(pat), c.ProjectID, long, 0); return err },
		"Tokens":              func() error { _, err := w.Tokens(t.Context(), long); return err },
		"RenameProject": func() error {
			_, err := w.RenameProject(t.Context(), by(pat), c.ProjectID, "Shop.\n\nPay here")
			return err
		},
	} {
		if err := do(); kind.Sentence(err) == "" {
			t.Errorf("%s: got %v, want a sentence", name, err)
		}
	}
}
