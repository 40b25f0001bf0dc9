package dsr_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// waits has a mail wait for the next sweep.
func (w *world) waits(m dsr.SignInMail) {
	w.t.Helper()
	op, err := m.Op(w.clock)
	if err == nil {
		err = w.control.Write(w.ctx, op)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// Whoever waits for a link gets one, made at that moment, and it is told that they did.
func TestSignInMail(t *testing.T) {
	w, p := posted(t)
	var log strings.Builder
	w.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.links = map[string]string{pat1: "the-secret", sam1: "another"}
	w.build()
	w.waits(dsr.SignInMail{To: pat1, By: "sign-in page", Path: "/requests?a=b"})
	w.waits(dsr.SignInMail{To: sam1, By: pat1, Role: "admin", Where: "the project Shop"})
	w.waits(dsr.SignInMail{To: "removed@example.com", By: pat1, Role: "admin", Where: "the project Shop"})
	for range 2 {
		w.sweep()
	}
	if want := []string{pat1 + ": Sign in to Lethe", sam1 + ": You are invited to Lethe"}; !slices.Equal(p.told(), want) {
		t.Fatalf("got %q, want %q", p.told(), want)
	}
	link, invitation := p.sent[0], p.sent[1]
	if link.To != pat1 {
		link, invitation = invitation, link
	}
	if !strings.Contains(link.Text, "https://lethe.example/sign-in?link=the-secret&to=%2Frequests%3Fa%3Db\n") {
		t.Errorf("the link: %s", link.Text)
	}
	if !strings.Contains(invitation.Text, pat1+" gave you the role admin in the project Shop.") || !strings.Contains(invitation.Text, "https://lethe.example/sign-in?link=another\n") || !strings.Contains(invitation.Text, "the page https://lethe.example/sign-in says") {
		t.Errorf("the invitation: %s", invitation.Text)
	}
	told, total, err := w.SentMails(w.ctx, 1, 10)
	if err != nil || total != 2 {
		t.Fatalf("%d mails are told of, %v", total, err)
	}
	for _, m := range told {
		if m.About != map[string]string{pat1: "sign-in link", sam1: "invitation"}[m.To] {
			t.Errorf("it is told of %+v", m)
		}
	}
	for _, secret := range []string{"the-secret", "another"} {
		if w.mentions(secret) != 0 || strings.Contains(log.String(), secret) {
			t.Errorf("%q stands in the records or in the log", secret)
		}
	}
	if strings.Contains(log.String(), "example.com") {
		t.Error("an address stands in the log")
	}
}

// A mail whose fate is not known is sent again after an hour, under the same name and
// with a link that works then; one that somebody waited for is then given up.
func TestSignInMailIsSentAgain(t *testing.T) {
	w, p := posted(t)
	p.refuse, p.lost = kind.E(kind.Unavailable, "send"), true
	w.links = map[string]string{pat1: "first"}
	w.build()
	w.waits(dsr.SignInMail{To: pat1, By: "sign-in page"})
	if err := w.Sweep(w.ctx); kind.Of(err) != kind.Unavailable {
		t.Fatalf("sweep: %v", err)
	}
	w.advance(59 * time.Minute)
	w.sweep()
	if len(p.sent) != 1 {
		t.Fatalf("after 59 minutes %d were sent, want the one", len(p.sent))
	}
	w.advance(2 * time.Minute)
	w.links[pat1] = "second"
	_ = w.Sweep(w.ctx) // the carrier is down still
	if len(p.sent) != 2 || p.sent[0].ID != p.sent[1].ID || !strings.Contains(p.sent[1].Text, "second") {
		t.Fatalf("got %+v, want the same mail again, with another link", p.sent)
	}
	w.advance(2 * time.Hour)
	p.refuse = nil
	w.sweep()
	if len(p.sent) != 2 {
		t.Errorf("%d were sent, want no more after two hours", len(p.sent))
	}
	page, err := w.control.Query(w.ctx, table.Query{PK: "news"})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("%d rows wait still, %v", len(page.Items), err)
	}
}
