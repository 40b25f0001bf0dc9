package dsr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Days before a deadline on which people are reminded of it; 0 is the day itself.
var (
	tokenDays   = []int{30, 14, 7, 1, 0}
	requestDays = []int{14, 7, 3, 1, 0}
)

// mostLate is for how many days after a deadline its last reminder is still sent.
const mostLate = 7

// Remind reminds owners of GDPR tokens of their end, and everyone who handles a
// project's requests of those that are to be answered. It runs once a day. Each reminder
// is sent once, however often Remind runs and whenever it was missed: of those whose day
// has come only the last, with the days that are left then; the earlier ones are
// skipped. One person's trouble does not keep it from the others.
func (s *Service) Remind(ctx context.Context) error {
	if s.Sender == nil {
		return nil
	}
	settled, err := s.Accounts.Organisation(ctx)
	if err != nil {
		return err
	}
	zone := location(settled.TimeZone)
	now := s.now()
	var all []error
	err = s.Accounts.ExpiringTokens(ctx, now.AddDate(0, 0, -mostLate-1), now.AddDate(0, 0, tokenDays[0]+2), func(t ExpiringToken) error {
		all = append(all, s.remind(ctx, deadline{
			id: "token " + t.ID, at: t.Expires, zone: zone, days: tokenDays, to: []string{t.Owner}, about: "GDPR token " + t.Prefix + "…",
			letter: func(left int) letter { return s.tokenLetter(t, left, zone) },
		}))
		return ctx.Err()
	})
	all = append(all, err)
	for _, pk := range []string{openPartition, brokenPartition} {
		_, err := s.eachIn(ctx, table.Query{PK: pk}, func(r Request) error {
			if left := daysTo(r.Due, now, location(r.TimeZone)); left > requestDays[0] || left < -mostLate {
				return ctx.Err()
			}
			to, err := s.Accounts.Handlers(ctx, r.Project)
			// An extension makes it another deadline.
			all = append(all, err, s.remind(ctx, deadline{
				id: "due " + r.Task + " " + moment(r.Due), at: r.Due, zone: location(r.TimeZone), days: requestDays, to: to, about: string(r.Type) + " " + r.Task + ": due",
				letter: func(left int) letter { return s.dueLetter(r, left) },
			}))
			return ctx.Err()
		})
		all = append(all, err)
	}
	return errors.Join(all...)
}

// A deadline is what people are reminded of.
type deadline struct {
	id     string // names it for good
	at     time.Time
	zone   *time.Location // whose days count
	days   []int          // before it, the most first
	to     []string       // mail addresses
	about  string
	letter func(left int) letter
}

// daysTo is how many days lie between today and the day of a deadline in a zone;
// negative after it.
func daysTo(at, now time.Time, zone *time.Location) int {
	// Noon to noon, which a change of clocks moves by an hour at most.
	return int(dayOf(at, zone).Sub(dayOf(now, zone)).Round(24*time.Hour) / (24 * time.Hour))
}

func (s *Service) remind(ctx context.Context, d deadline) error {
	left := daysTo(d.at, s.now(), d.zone)
	nearest := -1
	for i, n := range d.days {
		if left <= n {
			nearest = i
		}
	}
	if nearest < 0 || left < -mostLate {
		return nil
	}
	var all []error
	for _, to := range d.to {
		id := func(i int) string { return mailID("reminder", d.id, fmt.Sprint(d.days[i]), strings.ToLower(to)) }
		for i := range nearest {
			all = append(all, s.skip(ctx, id(i)))
		}
		_, err := s.once(ctx, id(nearest), to, d.about, func() (letter, error) { return d.letter(left), nil })
		all = append(all, err)
	}
	return errors.Join(all...)
}

// skip notes that a message is not to be sent any more, unless it was.
func (s *Service) skip(ctx context.Context, id string) error {
	item, err := encode(mailKey(id), mail{State: mailSkipped, At: s.now()})
	if err != nil {
		return err
	}
	item.Expires = s.now().Add(mailLife)
	err = s.Control.Write(ctx, table.Put(item, table.IfAbsent()))
	if kind.Of(err) == kind.Conflict {
		return nil
	}
	return kind.Wrap("skip a reminder", err)
}

// inDays says how far away a deadline is.
func inDays(left int) string {
	switch {
	case left > 1:
		return fmt.Sprintf("in %d days", left)
	case left == 1:
		return "tomorrow"
	case left == 0:
		return "today"
	case left == -1:
		return "yesterday"
	}
	return fmt.Sprintf("%d days ago", -left)
}

func (s *Service) tokenLetter(t ExpiringToken, left int, zone *time.Location) letter {
	day := t.Expires.In(zone).Format(time.DateOnly)
	end, then := "ends "+inDays(left), "From then on every call with it is refused"
	if t.Expires.Before(s.now()) {
		end, then = "ended "+inDays(left), "Every call with it is refused"
	}
	return letter{
		subject: "Your GDPR token " + end,
		paragraphs: []string{
			fmt.Sprintf("Your GDPR token that begins with %s %s, on %s.", t.Prefix, end, day),
			then + " (401), and programs that use it can neither ask for exports and deletions nor see how they stand.",
			"Make a new token, put it where the old one is used, and revoke the old one: in your personal settings, by POST /api/app/tokens/" + t.ID + "/replace, or on the machine by lethe token replace. A replacement can leave the old one working for some days. If the token is no longer used, revoke it, and you are not reminded again.",
		},
		link: "Sign in", page: s.signInPage(),
	}
}

func (s *Service) signInPage() string {
	if base := s.publicURL(); base != "" {
		return base + "/"
	}
	return ""
}

func (s *Service) dueLetter(r Request, left int) letter {
	verb := "is due "
	if left < 0 {
		verb = "was due "
	}
	l := letter{
		subject: fmt.Sprintf("%s %s%s", map[Type]string{Export: "An export", Deletion: "A deletion"}[r.Type], verb, inDays(left)),
		paragraphs: []string{fmt.Sprintf("Task %s in project %s, received on %s under the %s, has to be answered by %s: that %s%s. It is %s.",
			r.Task, r.inProject(), r.Day(r.Created), strings.ToUpper(string(r.Compliance)), r.Day(r.Due), verb, inDays(left), r.Status)},
		link: "Look at the request", page: s.page(r.Task),
	}
	if r.Reason != "" {
		l.paragraphs = append(l.paragraphs, r.Reason)
	}
	switch {
	case r.Broken:
		l.paragraphs = append(l.paragraphs, "It broke. Look into the log for why, and run it again; it goes on from what is done.")
	case r.Hold != "":
		l.paragraphs = append(l.paragraphs, "It waits for a confirmation, and nothing is done about it before. Confirm it or cancel it.")
	}
	switch {
	case left < 0:
		l.paragraphs = append(l.paragraphs, "The day is past, and it is too late to extend it: answer it now, and tell the person why it took longer.")
	case r.Extension == "":
		l.paragraphs = append(l.paragraphs, "If more time is needed, the law allows one extension, of which the person has to be told before the day is over.")
	}
	return l
}
