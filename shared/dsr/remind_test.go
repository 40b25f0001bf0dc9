package dsr_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table/tabletest"
)

const (
	pat1 = "pat@example.com"
	sam1 = "sam@example.com"
)

// A post keeps what was sent. Refuse, if set, is what it answers, and Lost that the
// message went out all the same.
type post struct {
	mu     sync.Mutex
	sent   []dsr.Message
	refuse error
	lost   bool
}

func (p *post) Send(_ context.Context, m dsr.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse == nil || p.lost {
		p.sent = append(p.sent, m)
	}
	return p.refuse
}

// posted gives a world a post, and who handles its requests.
func posted(t *testing.T) (*world, *post) {
	w, p := newWorld(t), &post{}
	w.sender, w.handlers = p, []string{pat1, sam1}
	w.build()
	return w, p
}

// told is to whom what was sent, by subject.
func (p *post) told() []string {
	var all []string
	for _, m := range p.sent {
		all = append(all, m.To+": "+m.Subject)
	}
	slices.Sort(all)
	return all
}

func (w *world) remind() {
	w.t.Helper()
	if err := w.Remind(w.ctx); err != nil {
		w.t.Errorf("remind: %v", err)
	}
}

func (w *world) token(in time.Duration) dsr.ExpiringToken {
	t := dsr.ExpiringToken{ID: "0f3c", Owner: pat1, Prefix: "lethe_gdpr_0f3c5a", Expires: w.clock.Add(in)}
	w.tokens = []dsr.ExpiringToken{t}
	w.build()
	return t
}

// Every day for a year: a reminder goes out on each of its days, and no other.
func TestRemindOfATokenEachDay(t *testing.T) {
	w, p := posted(t)
	w.token(60*aDay + time.Hour)
	var days []string
	for day := range 90 {
		for range 2 { // the job may run twice
			w.remind()
		}
		for _, m := range p.sent {
			days = append(days, fmt.Sprint(60-day, " ", m.Subject))
		}
		p.sent = nil
		w.advance(aDay)
	}
	want := []string{
		"30 Your GDPR token ends in 30 days", "14 Your GDPR token ends in 14 days", "7 Your GDPR token ends in 7 days",
		"1 Your GDPR token ends tomorrow", "0 Your GDPR token ends today",
	}
	if !slices.Equal(days, want) {
		t.Errorf("got %q, want %q", days, want)
	}
}

// The letter tells of what to do, in text and in HTML.
func TestTheLetterOfATokenTellsWhatToDo(t *testing.T) {
	w, p := posted(t)
	token := w.token(7*aDay + time.Hour)
	w.remind()
	if len(p.sent) != 1 {
		t.Fatalf("sent %q, want one", p.told())
	}
	for _, want := range []string{token.Prefix, "2026", "Make a new token", "/api/app/tokens/" + token.ID + "/replace", "lethe token replace", "revoke it", "https://lethe.example/"} {
		if m := p.sent[0]; !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, want) {
			t.Errorf("the letter does not have %q: %s", want, m.Text)
		}
	}
}

// What others gave a name to is text in HTML too.
func TestLettersEscapeNames(t *testing.T) {
	w, p := posted(t)
	sub := submission(dsr.Export, "nobody")
	sub.By.Actor, sub.ProjectName = sam1, `<a href="https://evil.example">Shop & Co</a>`
	if _, err := w.Submit(w.ctx, sub); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.sweep()
	if len(p.sent) != 1 || !strings.Contains(p.sent[0].Text, sub.ProjectName) || strings.Contains(p.sent[0].HTML, "<a href=\"https://evil") || !strings.Contains(p.sent[0].HTML, "Shop &amp; Co") {
		t.Errorf("got %+v", p.sent)
	}
}

// Every day until a week after it is due: a reminder of a request goes out on each of
// its days and no other, whether it is at work or broken.
func TestRemindOfARequestEachDay(t *testing.T) {
	for name, broken := range map[string]bool{"open": false, "broken": true} {
		w, p := posted(t)
		w.handlers = []string{pat1}
		w.build()
		r := w.submit(dsr.Export, "bob")
		if broken {
			w.flow.get(r.Task + "-1").end(dsr.ExecutionFailed)
			w.sweep()
			w.want(r, dsr.Failure)
		}
		p.sent = nil // the news of that
		var days []string
		for left := 20; left >= -10; left-- {
			w.clock = r.Due.Add(-time.Duration(left)*aDay - time.Hour)
			for range 2 {
				w.remind()
			}
			for _, m := range p.sent {
				days = append(days, fmt.Sprint(left, " ", m.Subject))
			}
			p.sent = nil
		}
		want := []string{
			"14 An export is due in 14 days", "7 An export is due in 7 days", "3 An export is due in 3 days", "1 An export is due tomorrow", "0 An export is due today",
		}
		if !slices.Equal(days, want) {
			t.Errorf("%s: got %q, want %q", name, days, want)
		}
	}
}

// After days that were missed only the nearest reminder goes out, with the days that
// are really left, and the last one up to 7 days late.
func TestRemindAfterMissedDays(t *testing.T) {
	for left, want := range map[int]string{
		31: "", 30: "ends in 30 days", 29: "ends in 29 days", 15: "ends in 15 days", 14: "ends in 14 days", 6: "ends in 6 days", 2: "ends in 2 days", 1: "ends tomorrow", 0: "ends today",
		-1: "ended yesterday", -7: "ended 7 days ago", -8: "",
	} {
		w, p := posted(t)
		w.token(time.Duration(left)*aDay + time.Hour)
		w.remind()
		got := ""
		if len(p.sent) == 1 {
			got = strings.TrimPrefix(p.sent[0].Subject, "Your GDPR token ")
		}
		if got != want || len(p.sent) > 1 {
			t.Errorf("%d days left: got %q, want %q", left, p.told(), want)
		}
		if skipped := w.mentions(`"state":"skipped"`); left == 6 && skipped != 2 {
			t.Errorf("%d reminders are noted as skipped, want those of 30 and 14 days", skipped)
		}
		// What was skipped stays so.
		w.remind()
		if len(p.sent) > 1 {
			t.Errorf("%d days left: a second run sent %q", left, p.told())
		}
	}
}

// The day is that of the organisation.
func TestRemindByTheDayOfTheOrganisation(t *testing.T) {
	for zone, want := range map[string]string{"Pacific/Auckland": "30 days, on 2026-03-03", "UTC": "", "Pacific/Honolulu": ""} {
		w, p := posted(t)
		w.rules.TimeZone = zone
		w.token(30*aDay + 22*time.Hour) // in Auckland today is tomorrow, and that day the same
		w.remind()
		if got := p.told(); len(got) > 1 || (len(got) == 1) != (want != "") || len(got) == 1 && !strings.Contains(p.sent[0].Text, want) {
			t.Errorf("%s: got %+v, want %q", zone, p.sent, want)
		}
	}
}

// Of many that run at once one sends.
func TestRemindInManyProcesses(t *testing.T) {
	w, p := posted(t)
	w.token(7*aDay + time.Hour)
	w.submit(dsr.Export, "ann")
	w.advance(21 * aDay)
	w.token(7*aDay + time.Hour)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := w.Remind(w.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want := []string{pat1 + ": An export is due in 7 days", pat1 + ": Your GDPR token ends in 7 days", sam1 + ": An export is due in 7 days"}
	if got := p.told(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A message whose fate is not known is sent again after an hour, under the same ID.
func TestRemindAgainAfterAClaim(t *testing.T) {
	w, p := posted(t)
	w.token(7*aDay + 10*time.Hour)
	p.refuse, p.lost = kind.E(kind.Unavailable, "send"), true
	if err := w.Remind(w.ctx); kind.Of(err) == "" {
		t.Error("a carrier that is down is no error")
	}
	p.refuse = nil
	w.advance(59 * time.Minute)
	w.remind()
	if len(p.sent) != 1 {
		t.Errorf("sent %d times within the hour", len(p.sent))
	}
	w.advance(time.Minute)
	w.remind()
	w.advance(2 * time.Hour)
	w.remind()
	if len(p.sent) != 2 || p.sent[0] != p.sent[1] {
		t.Errorf("got %+v, want the same message twice", p.sent)
	}
	// An address that cannot be is tried once.
	p.refuse, p.lost, p.sent = kind.E(kind.Invalid, "send"), true, nil
	w.token(aDay)
	for range 3 {
		w.remind()
		w.advance(2 * time.Hour)
	}
	if len(p.sent) != 1 {
		t.Errorf("an address that cannot be was tried %d times", len(p.sent))
	}
}

// Each write of a run fails once, in every way: everybody is reminded, under one ID.
func TestEveryWriteOfAReminderMayFail(t *testing.T) {
	tabletest.EachFault(t, func(t *testing.T, fault *tabletest.Fault) {
		w, p := posted(t)
		w.token(7*aDay + 10*time.Hour)
		w.control = tabletest.Faulty(w.control, fault)
		w.build()
		for range 3 {
			_ = w.Remind(w.ctx) // an error is tried again by the next run
			w.advance(61 * time.Minute)
		}
		if len(p.sent) == 0 || len(p.sent) > 2 || p.sent[0] != p.sent[len(p.sent)-1] {
			t.Errorf("got %q", p.told())
		}
		if !fault.Happened() && len(p.sent) != 1 {
			t.Errorf("without a fault %d were sent", len(p.sent))
		}
		if sent, total, err := w.SentMails(t.Context(), 1, 10); err != nil || total == 0 || sent[0].To != pat1 || !strings.Contains(sent[0].About, "lethe_gdpr_0f3c5a") {
			t.Errorf("the list: %+v, %d, %v", sent, total, err)
		}
	})
}

// Of a request everyone who handles it is reminded, until it is answered; an
// extension moves that.
func TestRemindOfDueRequests(t *testing.T) {
	w, p := posted(t)
	r := w.submit(dsr.Deletion, "ann")
	done := w.submit(dsr.Export, "bob")
	w.source.event("bob", w.now(), `{}`)
	w.drive(done.Task + "-1")
	w.want(done, dsr.Success)
	w.clock = r.Due.Add(-14*aDay - time.Hour)
	w.remind()
	if want := []string{pat1 + ": A deletion is due in 14 days", sam1 + ": A deletion is due in 14 days"}; !slices.Equal(p.told(), want) {
		t.Errorf("got %q, want %q", p.told(), want)
	}
	m := p.sent[0]
	for _, want := range []string{r.Task, "https://lethe.example/requests/" + r.Task, r.Day(r.Due), "extension"} {
		if !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, want) {
			t.Errorf("the letter does not have %q: %s", want, m.Text)
		}
	}
	if strings.Contains(m.Text+m.HTML, "ann") {
		t.Error("the letter names a data subject")
	}
	p.sent = nil
	w.clock = r.Due.Add(-2 * aDay)
	extended, err := w.Extend(t.Context(), project, r.Task, "much to look through", dsr.By{})
	if err != nil {
		t.Fatal(err)
	}
	w.remind()
	if len(p.sent) > 0 {
		t.Errorf("after an extension: %q", p.told())
	}
	w.clock = extended.Due.Add(-3 * aDay)
	w.remind()
	w.clock = extended.Due.Add(5 * aDay)
	w.remind()
	if last := p.sent[len(p.sent)-1].Text; !strings.Contains(last, "answer it now") || strings.Contains(last, "one extension") {
		t.Errorf("of a day that is past it says: %s", last)
	}
	if want := []string{pat1 + ": A deletion is due in 3 days", pat1 + ": A deletion was due 5 days ago", sam1 + ": A deletion is due in 3 days", sam1 + ": A deletion was due 5 days ago"}; !slices.Equal(p.told(), want) {
		t.Errorf("got %q, want %q", p.told(), want)
	}
}

// Who asked is told of the end, and whoever may confirm a deletion that it waits; a
// program is told nothing, nor who handles requests no more. It is sent once, and names nobody whose data it is.
func TestNews(t *testing.T) {
	w, p := posted(t)
	w.people()
	w.rules.Guard = dsr.Guard{Share: 20, Rows: 5, IDs: 50}
	w.build()
	sub := submission(dsr.Deletion, "ann")
	sub.By.Actor = sam1
	if _, err := w.Submit(w.ctx, sub); err != nil {
		t.Fatal(err)
	}
	program := submission(dsr.Export, "bob")
	program.By.Actor = "lethe.1a2b3c.service-account"
	if _, err := w.Submit(w.ctx, program); err != nil {
		t.Fatal(err)
	}
	for id, by := range map[string]string{"bob": pat1, "nobody": sam1, "cem": "left@example.com"} {
		sub := submission(dsr.Export, id)
		sub.By.Actor = by
		w.advance(time.Second)
		if _, err := w.Submit(w.ctx, sub); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		w.run()
		w.sweep()
		w.advance(time.Minute)
	}
	want := []string{pat1 + ": A deletion waits for somebody to confirm it", pat1 + ": An export is ready", sam1 + ": A deletion waits for somebody to confirm it", sam1 + ": A request failed"}
	if got := p.told(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, m := range p.sent {
		if strings.Contains(m.Text, "bob") || strings.Contains(m.Text, "ann") || strings.Contains(m.Text, ".zip") || !strings.Contains(m.Text, "https://lethe.example/requests/") {
			t.Errorf("got %s", m.Text)
		}
	}
}

// What is no longer so when the sweep comes to it is not told: of a request that broke
// and is at work again nobody hears that it failed.
func TestNewsThatAreOldAreNotTold(t *testing.T) {
	w, p := posted(t)
	w.people()
	w.source.broken = true
	sub := submission(dsr.Export, "bob")
	sub.By.Actor = sam1
	r, err := w.Submit(w.ctx, sub)
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	w.want(r, dsr.Failure)
	w.source.broken = false
	if _, err := w.Rerun(w.ctx, project, r.Task, dsr.By{Actor: sam1}); err != nil {
		t.Fatal(err)
	}
	w.sweep()
	if len(p.sent) > 0 {
		t.Errorf("while it is at work again: %q", p.told())
	}
	w.run()
	w.want(r, dsr.Success)
	w.sweep()
	if want := []string{sam1 + ": An export is ready"}; !slices.Equal(p.told(), want) {
		t.Errorf("got %q, want %q", p.told(), want)
	}
}

// A carrier that is down keeps no request from its end, and news for 7 days.
func TestNewsWaitForTheCarrier(t *testing.T) {
	for down, want := range map[time.Duration]int{6 * aDay: 1, 8 * aDay: 0} {
		w, p := posted(t)
		w.people()
		p.refuse = kind.E(kind.Unavailable, "send")
		sub := submission(dsr.Export, "bob")
		sub.By.Actor = pat1
		r, err := w.Submit(w.ctx, sub)
		if err != nil {
			t.Fatal(err)
		}
		w.run()
		w.want(r, dsr.Success)
		for range down / aDay {
			if err := w.Sweep(w.ctx); kind.Of(err) != kind.Unavailable {
				t.Fatalf("sweep: %v", err)
			}
			w.advance(aDay)
		}
		_ = w.Sweep(w.ctx)
		p.refuse = nil
		w.advance(2 * time.Hour)
		w.sweep()
		if len(p.sent) != want {
			t.Errorf("down for %v: %q was sent, want %d", down, p.told(), want)
		}
	}
}

// One is told as one.
func TestNewsCountInWords(t *testing.T) {
	for _, c := range []struct {
		typ        dsr.Type
		disclosure dsr.Disclosure
	}{{dsr.Export, dsr.Data}, {dsr.Deletion, dsr.Data}, {dsr.Deletion, dsr.Categories}, {dsr.Deletion, dsr.Sources}} {
		w, p := posted(t)
		w.people()
		w.source.rows = append([]row{{id: "cem", profile: true, received: w.now(), data: `{"$distinct_id":"cem"}`}}, w.source.rows...)
		sub := submission(c.typ, "cem")
		sub.By.Actor, sub.Compliance, sub.Disclosure = pat1, dsr.CCPA, c.disclosure
		if _, err := w.Submit(w.ctx, sub); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.advance(25 * time.Hour)
		w.run()
		w.sweep()
		if len(p.sent) != 1 || !strings.Contains(p.sent[0].Text, "1 event") || !strings.Contains(p.sent[0].Text, "1 profile") || strings.Contains(p.sent[0].Text, "1 events") || strings.Contains(p.sent[0].Text, "1 profiles") {
			t.Errorf("%s of %s: got %+v", c.typ, c.disclosure, p.sent)
		}
	}
}

// What became of the records is told as it is.
func TestNewsOfEachDisclosure(t *testing.T) {
	for disclosure, want := range map[dsr.Disclosure]string{dsr.Data: "none is left", dsr.Categories: "made bare", dsr.Sources: "which stay"} {
		w, p := posted(t)
		w.people()
		sub := submission(dsr.Deletion, "bob")
		sub.By.Actor, sub.Compliance, sub.Disclosure = pat1, dsr.CCPA, disclosure
		r, err := w.Submit(w.ctx, sub)
		if err != nil {
			t.Fatal(err)
		}
		w.run()
		w.advance(25 * time.Hour) // past the window in which it can be cancelled
		w.run()
		w.want(r, dsr.Success)
		w.sweep()
		if len(p.sent) != 1 || !strings.Contains(p.sent[0].Text, want) || !strings.Contains(p.sent[0].Text, "10 events") {
			t.Errorf("%s: got %+v, want %q", disclosure, p.sent, want)
		}
	}
}

// A choosy carrier takes nothing for one address.
type choosy struct {
	*post
	not   string
	says  error
	tried int
}

func (c *choosy) Send(ctx context.Context, m dsr.Message) error {
	c.tried++
	if m.To == c.not {
		return c.says
	}
	return c.post.Send(ctx, m)
}

// However much waits for an address that the carrier does not take, the others are told.
func TestNewsPassWhatIsStuck(t *testing.T) {
	w, p := posted(t)
	w.sender = &choosy{post: p, not: sam1, says: kind.E(kind.Internal, "send")}
	w.build()
	for i := range 61 {
		sub := submission(dsr.Export, "nobody")
		if sub.By.Actor = sam1; i == 60 {
			sub.By.Actor = pat1
		}
		if _, err := w.Submit(w.ctx, sub); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.advance(time.Second)
	}
	for range 2 {
		_ = w.Sweep(w.ctx) // it tells that some could not be sent
		w.advance(time.Minute)
	}
	if want := []string{pat1 + ": A request failed"}; !slices.Equal(p.told(), want) {
		t.Errorf("got %q, want %q", p.told(), want)
	}
}

// A carrier that is down, and may take its time to say so, is tried once in a sweep.
func TestNewsTryACarrierThatIsDownOnce(t *testing.T) {
	w, p := posted(t)
	carrier := &choosy{post: p, not: pat1, says: kind.E(kind.Unavailable, "send")}
	w.sender = carrier
	w.build()
	for range 5 {
		sub := submission(dsr.Export, "nobody")
		sub.By.Actor = pat1
		if _, err := w.Submit(w.ctx, sub); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.advance(time.Second)
	}
	for sweep := range 3 {
		if err := w.Sweep(w.ctx); kind.Of(err) != kind.Unavailable || carrier.tried != sweep+1 {
			t.Errorf("sweep %d: %v, %d messages were tried in all", sweep, err, carrier.tried)
		}
	}
}

// The members of one project cannot be read: those of others are reminded.
func TestRemindThoughAProjectIsInTrouble(t *testing.T) {
	w, p := posted(t)
	w.submit(dsr.Export, "ann")
	w.advance(time.Second)
	sub := submission(dsr.Export, "bob")
	sub.Project = "7654321"
	second, err := w.Submit(w.ctx, sub)
	if err != nil {
		t.Fatal(err)
	}
	w.clock = second.Due
	w.troubled = project
	w.build()
	if err := w.Remind(w.ctx); kind.Of(err) != kind.Unavailable {
		t.Errorf("got %v, want %v", err, kind.Unavailable)
	}
	if want := []string{pat1 + ": An export is due today", sam1 + ": An export is due today"}; !slices.Equal(p.told(), want) {
		t.Errorf("got %q, want %q", p.told(), want)
	}
}

// News that nobody delivers, since mail was turned off, goes by itself.
func TestNewsOfAMailThatWasTurnedOff(t *testing.T) {
	w, _ := posted(t)
	w.submit(dsr.Export, "nobody")
	w.run()
	if got := w.mentions(`"what":"ended"`); got != 1 {
		t.Fatalf("%d pieces of news, want 1", got)
	}
	w.sender = nil
	w.build()
	w.advance(9 * aDay)
	w.sweep()
	if got := w.mentions(`"what":"ended"`); got != 0 {
		t.Errorf("%d pieces of news are still there", got)
	}
}
