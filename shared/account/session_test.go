package account_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

func TestTokensOfAPerson(t *testing.T) {
	w := newWorld()
	c := w.found(t)
	w.now = w.now.Add(time.Second)
	made, token, err := w.MakeToken(t.Context(), by(pat), strings.ToUpper(pat))
	if err != nil || !strings.HasPrefix(token, made.Prefix) || len(made.Prefix) > len(account.TokenPrefix)+8 {
		t.Fatal(made, err)
	}
	if actor, err := w.Bearer(t.Context(), token); err != nil || actor != (account.Actor{Name: pat, By: account.ByToken}) {
		t.Errorf("Bearer = %+v, %v", actor, err)
	}
	w.now = w.now.Add(2 * time.Hour)
	if _, err := w.Bearer(t.Context(), token); err != nil {
		t.Error(err)
	}
	all, err := w.Tokens(t.Context(), pat)
	if err != nil || len(all) != 2 || all[1].ID != made.ID || !all[1].Used.Equal(w.now) || !all[0].Used.IsZero() || !all[1].Expires.Equal(start.Add(time.Second+account.TokenLife)) {
		t.Errorf("Tokens = %+v, %v", all, err)
	}
	// A token that is replaced goes on for a while, and nobody is reminded of it.
	_, next, err := w.ReplaceToken(t.Context(), by(pat), pat, made.ID, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	reminded := func() (all []string) {
		if err := w.ExpiringTokens(t.Context(), w.now, w.now.AddDate(2, 0, 0), func(e dsr.ExpiringToken) error {
			all = append(all, e.Prefix)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := reminded(); len(got) != 2 || got[0] != c.GDPRToken[:len(got[0])] || got[1] != next[:len(got[1])] {
		t.Errorf("reminded of %v", got)
	}
	w.now = w.now.Add(48*time.Hour - time.Second)
	if _, err := w.Bearer(t.Context(), token); err != nil {
		t.Errorf("in the overlap: %v", err)
	}
	w.now = w.now.Add(time.Second)
	if _, err := w.Bearer(t.Context(), token); kind.Of(err) != kind.Unauthorized {
		t.Errorf("after the overlap: %v", err)
	}
	if _, _, err := w.ReplaceToken(t.Context(), by(pat), pat, made.ID, 0); kind.Of(err) != kind.NotFound {
		t.Errorf("one that has ended is replaced: %v", err)
	}
	// Revoked, it is out at once, says so, and stays in the list for a while.
	all, _ = w.Tokens(t.Context(), pat)
	if err := w.RevokeToken(t.Context(), by(pat), pat, all[2].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Bearer(t.Context(), next); kind.Of(err) != kind.Unauthorized || !strings.Contains(kind.Sentence(err), "revoked") {
		t.Errorf("revoked: %v", err)
	}
	if err := w.RevokeToken(t.Context(), by(pat), pat, all[2].ID); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if got := reminded(); len(got) != 1 {
		t.Errorf("reminded of %v, want the first token alone", got)
	}
	if all, err := w.Tokens(t.Context(), pat); err != nil || len(all) != 3 || all[2].Revoked.IsZero() {
		t.Errorf("Tokens = %+v, %v", all, err)
	}
	w.now = w.now.AddDate(0, 6, 0)
	if all, err := w.Tokens(t.Context(), pat); err != nil || len(all) != 1 {
		t.Errorf("half a year later: %+v, %v", all, err)
	}
	// Nobody ends another's.
	w.set(t, "", sam, account.Admin)
	if err := w.RevokeToken(t.Context(), by(sam), sam, all[0].ID); kind.Of(err) != kind.NotFound {
		t.Errorf("another's token: %v", err)
	}
	if stored := dump(t, w.control); strings.Contains(stored, token) || strings.Contains(stored, next) {
		t.Error("a token stands in the table")
	}
}

func TestSignInLinkWorksOnce(t *testing.T) {
	w := newWorld()
	w.found(t)
	for _, name := range []string{"nobody@example.com", "", "lethe.x.service-account"} {
		if _, err := w.MakeLink(t.Context(), machine, name); kind.Of(err) != kind.NotFound {
			t.Errorf("a link for %q: %v", name, err)
		}
	}
	link, err := w.MakeLink(t.Context(), machine, strings.ToLower(pat))
	if err != nil {
		t.Fatal(err)
	}
	// Of many who use it at once one gets in.
	var in atomic.Int64
	var session atomic.Value
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			actor, s, err := w.SignIn(t.Context(), "192.0.2.1", link)
			if err == nil && actor.Name == pat {
				in.Add(1)
				session.Store(s)
			} else if kind.Of(err) != kind.Unauthorized || kind.Sentence(err) == "" {
				t.Errorf("got %v, want %v", err, kind.Unauthorized)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 {
		t.Fatalf("%d signed in, want one", in.Load())
	}
	secret := session.Load().(string)
	w.now = w.now.Add(account.SessionLife - time.Second)
	if actor, err := w.Session(t.Context(), secret); err != nil || actor != (account.Actor{Name: pat, By: account.BySession}) {
		t.Errorf("Session = %+v, %v", actor, err)
	}
	w.now = w.now.Add(time.Second)
	if _, err := w.Session(t.Context(), secret); kind.Of(err) != kind.Unauthorized {
		t.Errorf("after 8 hours: %v", err)
	}
	if link, err = w.MakeLink(t.Context(), machine, pat); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(account.LinkLife)
	if _, _, err := w.SignIn(t.Context(), "", link); kind.Of(err) != kind.Unauthorized || !strings.Contains(kind.Sentence(err), "15 minutes") {
		t.Errorf("after 15 minutes: %v", err)
	}
	if stored := dump(t, w.control); strings.Contains(stored, link) || strings.Contains(stored, secret) {
		t.Error("a link or a session stands in the table")
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld()
	w.found(t)
	enter := func() string {
		link, err := w.MakeLink(t.Context(), machine, pat)
		if err != nil {
			t.Fatal(err)
		}
		_, session, err := w.SignIn(t.Context(), "", link)
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	one, two, three := enter(), enter(), enter()
	in := func(session string) bool { _, err := w.Session(t.Context(), session); return err == nil }
	if err := w.SignOut(t.Context(), by(pat), one, false); err != nil || in(one) || !in(two) || !in(three) {
		t.Errorf("signed out of one: %v %v %v, %v", in(one), in(two), in(three), err)
	}
	if err := w.SignOut(t.Context(), by(pat), two, true); err != nil || in(two) || in(three) {
		t.Errorf("signed out everywhere: %v %v, %v", in(two), in(three), err)
	}
	if err := w.SignOut(t.Context(), by(pat), two, true); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A provider's word counts for the user it was first given for, by issuer and
// subject; an address only if it is verified, and only once.
func TestSignInAs(t *testing.T) {
	w := newWorld()
	w.found(t)
	w.set(t, "", sam, account.Analyst)
	id := account.Identity{Issuer: "https://id.example", Subject: "7", Email: "Sam@Example.com", Verified: true}
	unverified, stranger, noMail := id, id, id
	unverified.Verified, stranger.Email, noMail.Email = false, "eve@example.com", ""
	for name, bad := range map[string]account.Identity{"unverified": unverified, "a stranger": stranger, "no address": noMail} {
		if _, _, err := w.SignInAs(t.Context(), "", bad); kind.Of(err) != kind.Forbidden || kind.Sentence(err) == "" {
			t.Errorf("%s: got %v, want %v", name, err, kind.Forbidden)
		}
	}
	if actor, _, err := w.SignInAs(t.Context(), "", id); err != nil || actor.Name != sam {
		t.Fatal(actor, err)
	}
	// The address changed at the provider, to another member's at that.
	moved := id
	moved.Email, moved.Verified = pat, true
	if actor, _, err := w.SignInAs(t.Context(), "", moved); err != nil || actor.Name != sam {
		t.Errorf("the same user with another address: %+v, %v, want %s", actor, err, sam)
	}
	other := id
	other.Issuer = "https://evil.example"
	other.Verified = false
	if _, _, err := w.SignInAs(t.Context(), "", other); kind.Of(err) != kind.Forbidden {
		t.Errorf("the same subject of another issuer: %v", err)
	}
}

func TestFailuresAreLimited(t *testing.T) {
	w := newWorld()
	w.found(t)
	bad := kind.Say(kind.Unauthorized, "Wrong.")
	count := func(address string) (n int) {
		for range 100 {
			switch err := w.Failed(t.Context(), address, bad); kind.Of(err) {
			case kind.Unauthorized:
				n++
			case kind.Throttled:
				return n
			default:
				t.Fatal(err)
			}
		}
		return n
	}
	if n := count("192.0.2.1"); n != 30 {
		t.Errorf("%d failures were let through, want 30", n)
	}
	if n := count("::ffff:192.0.2.1"); n != 0 {
		t.Errorf("%d more of the same address in IPv6, want none", n)
	}
	if n := count("192.0.2.2"); n != 30 {
		t.Errorf("%d of another address, want 30", n)
	}
	if a, b := count("2001:db8:1:2:3::4"), count("2001:db8:1:2:9::1"); a != 30 || b != 0 {
		t.Errorf("%d and %d of one /64, want 30 in all", a, b)
	}
	if n := count("2001:db8:1:3::1"); n != 30 {
		t.Errorf("%d of the next /64, want 30", n)
	}
	w.now = w.now.Add(20 * time.Second)
	if n := count("192.0.2.1"); n != 2 {
		t.Errorf("%d after 20 seconds, want 2", n)
	}
	if err := w.Failed(t.Context(), "192.0.2.1", kind.Say(kind.Forbidden, "No.")); kind.Of(err) != kind.Forbidden {
		t.Errorf("what is no failed attempt: %v", err)
	}
	for n := range 6 {
		err := w.TakeMail(t.Context(), "Pat@example.com", "192.0.2.9")
		if want := map[bool]kind.Kind{true: kind.Throttled}[n == 5]; kind.Of(err) != want {
			t.Errorf("mail %d: %v", n+1, err)
		}
	}
	if err := w.TakeMail(t.Context(), "pat@EXAMPLE.com", "192.0.2.10"); kind.Of(err) != kind.Throttled {
		t.Errorf("the same address in capitals: %v", err)
	}
	// From one network address, whoever the links are for.
	who := 0
	asked := func(from string) (n int) {
		for ; n < 100; n++ {
			who++
			if err := w.TakeMail(t.Context(), fmt.Sprintf("somebody-%d@example.com", who), from); err != nil {
				if kind.Of(err) != kind.Throttled || !strings.Contains(err.Error(), "from your network address") {
					t.Error(err)
				}
				return n
			}
		}
		return n
	}
	if a, b, c, d := asked("2001:db8:5:5::1"), asked("2001:db8:5:5::2"), asked("2001:db8:5:6::1"), asked("192.0.2.77"); a != 20 || b != 0 || c != 20 || d != 20 {
		t.Errorf("%d and %d links from one /64, %d from the next and %d from another address were let through, want 20 from each", a, b, c, d)
	}
}

// What is promised of how long something works, in numbers.
func TestHowLongThingsWork(t *testing.T) {
	for name, c := range map[string][2]time.Duration{
		"a sign-in link": {account.LinkLife, 15 * time.Minute}, "a session": {account.SessionLife, 8 * time.Hour}, "a GDPR token": {account.TokenLife, 365 * 24 * time.Hour},
	} {
		if c[0] != c[1] {
			t.Errorf("%s works for %v, want %v", name, c[0], c[1])
		}
	}
}

// An address that only looks like a member's in small letters is nobody's: it may be
// another mailbox, which a provider has verified.
func TestWhoSignsInHasTheVeryAddress(t *testing.T) {
	w := newWorld()
	w.found(t)
	const kim, kelvin = "Kim@example.com", "\u212aim@example.com"
	w.set(t, "", kim, account.Admin)
	if _, err := w.MakeLink(t.Context(), machine, kelvin); kind.Of(err) != kind.NotFound {
		t.Errorf("a link: %v", err)
	}
	if _, _, err := w.SignInAs(t.Context(), "", account.Identity{Issuer: "https://login.example", Subject: "1", Email: kelvin, Verified: true}); kind.Of(err) != kind.Forbidden {
		t.Errorf("by a provider: %v", err)
	}
	if _, err := w.MakeLink(t.Context(), machine, "KIM@EXAMPLE.COM"); err != nil {
		t.Errorf("in capitals: %v", err)
	}
}

// What was made before somebody was removed opens nothing after a new invitation, also
// where both come while they sign in.
func TestNothingOutlivesARemoval(t *testing.T) {
	w := newWorld()
	w.found(t)
	w.set(t, "", sam, account.Admin)
	link, err := w.MakeLink(t.Context(), by(pat), sam)
	if err != nil {
		t.Fatal(err)
	}
	id := account.Identity{Issuer: "https://id.example", Subject: "7", Email: sam, Verified: true}
	if _, _, err := w.SignInAs(t.Context(), "", id); err != nil {
		t.Fatal(err)
	}
	again := func() {
		if _, err := w.RemoveMember(t.Context(), by(pat), "", sam); err != nil {
			t.Error(err)
		}
		w.set(t, "", sam, account.Admin)
	}
	once := false
	slow := &meeting{Table: w.control, after: func(k table.Key) {
		if !once && k.SK == "identity" {
			once = true
			again()
		}
	}}
	id.Verified = false
	if _, _, err := account.New(slow, func() time.Time { return w.now }).SignInAs(t.Context(), "", id); kind.Of(err) == "" || !once {
		t.Errorf("a provider's user who was bound before: %v", err)
	}
	if _, _, err := w.SignIn(t.Context(), "", link); kind.Of(err) != kind.Unauthorized || kind.Sentence(err) == "" {
		t.Errorf("a link of before: %v", err)
	}
}

// An address that passed to another user of the provider opens nothing.
func TestAnAddressPassesOn(t *testing.T) {
	w := newWorld()
	w.found(t)
	w.set(t, "", sam, account.Admin)
	if _, _, err := w.SignInAs(t.Context(), "", account.Identity{Issuer: "https://id.example", Subject: "1", Email: sam, Verified: true}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.SignInAs(t.Context(), "", account.Identity{Issuer: "https://id.example", Subject: "2", Email: sam, Verified: true}); kind.Of(err) != kind.Forbidden || kind.Sentence(err) == "" {
		t.Errorf("a second user of it: %v", err)
	}
	if _, err := w.RemoveMember(t.Context(), by(pat), "", sam); err != nil {
		t.Fatal(err)
	}
	w.set(t, "", sam, account.Admin)
	if _, _, err := w.SignInAs(t.Context(), "", account.Identity{Issuer: "https://id.example", Subject: "2", Email: sam, Verified: true}); err != nil {
		t.Errorf("after a removal and a new invitation: %v", err)
	}
}
