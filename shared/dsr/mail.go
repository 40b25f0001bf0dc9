package dsr

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A mail is what is known of a message, under its ID. Whoever sends it claims it
// first, so that of two only one does; whoever finds a claim that is old sends it
// again under the same ID, since the one who claimed it may have died before.
type mail struct {
	State mailState `json:"state"`
	To    string    `json:"to,omitempty"`
	About string    `json:"about,omitempty"`
	At    time.Time `json:"at"` // of the state
}

type mailState string

const (
	mailClaimed mailState = "claimed"
	mailSent    mailState = "sent"
	mailSkipped mailState = "skipped" // a later reminder was due already, or nobody is to be told any more
	mailRefused mailState = "refused" // it cannot be sent to that address, ever
)

const (
	claimLife = time.Hour
	mailLife  = 400 * 24 * time.Hour // how long it is known what was sent
)

// SentMail is a message that was handed over for delivery.
type SentMail struct {
	To    string
	About string // what it was about, in a few words
	Sent  time.Time
}

// SentMails reads a page of what was sent in the last 400 days, newest first, and the
// number of all. Pages count from 1.
func (s *Service) SentMails(ctx context.Context, page, size int) ([]SentMail, int, error) {
	from, total := (page-1)*size, 0
	sent := []SentMail{}
	q := table.Query{PK: sentPartition, Backwards: true}
	for {
		found, err := s.Control.Query(ctx, q)
		if err != nil {
			return nil, 0, kind.Wrap("list mail", err)
		}
		for _, item := range found.Items {
			if total >= from && len(sent) < size {
				m, err := decode[mail](item)
				if err != nil {
					return nil, 0, err
				}
				sent = append(sent, SentMail{To: m.To, About: m.About, Sent: m.At})
			}
			total++
		}
		if found.Next == "" {
			return sent, total, nil
		}
		q.After = found.Next
	}
}

// once sends a message that was not sent yet, and reports whether nothing is left to
// be done about it. Where somebody else is at it, it reports that something is. The
// letter is written when the message is claimed; kind.NotFound of it means that nobody
// is to be told any more.
func (s *Service) once(ctx context.Context, id, to, about string, write func() (letter, error)) (done bool, err error) {
	key := mailKey(id)
	item, err := s.Control.Get(ctx, key)
	if err != nil && kind.Of(err) != kind.NotFound {
		return false, kind.Wrap("look whether a mail was sent", err)
	}
	if err == nil {
		before, err := decode[mail](item)
		if err != nil {
			return false, err
		}
		if before.State != mailClaimed {
			return true, nil
		}
		if s.now().Sub(before.At) < claimLife {
			return false, nil
		}
	}
	put := func(state mailState, version table.Version, more ...table.Op) error {
		next, err := encode(key, mail{State: state, To: to, About: about, At: s.now()})
		if err != nil {
			return err
		}
		next.Expires = s.now().Add(mailLife)
		return s.Control.Write(ctx, append(more, table.Put(next, table.IfAt(version)))...)
	}
	if err := put(mailClaimed, item.Version); err != nil {
		if kind.Of(err) == kind.Conflict {
			return false, nil
		}
		return false, kind.Wrap("claim a mail", err)
	}
	claimed, err := s.Control.Get(ctx, key)
	if err != nil {
		return false, kind.Wrap("claim a mail", err)
	}
	l, err := write()
	if kind.Of(err) == kind.NotFound {
		return true, kind.Wrap("note a mail", put(mailSkipped, claimed.Version))
	}
	if err != nil {
		return false, kind.Wrap("write a mail", err)
	}
	err = s.Sender.Send(ctx, l.message(id, to))
	if kind.Of(err) == kind.Invalid {
		s.Log.ErrorContext(ctx, "a mail cannot be sent to this address", "about", about, "error", err)
		return true, kind.Wrap("note a mail", put(mailRefused, claimed.Version))
	}
	if err != nil {
		return false, kind.Wrap("send a mail", err)
	}
	row, err := encode(table.Key{PK: sentPartition, SK: moment(s.now()) + "#" + id}, mail{State: mailSent, To: to, About: about, At: s.now()})
	if err != nil {
		return false, err
	}
	row.Expires = s.now().Add(mailLife)
	err = put(mailSent, claimed.Version, table.Put(row, table.Cond{}))
	if kind.Of(err) == kind.Conflict {
		return true, nil // it took longer than a claim lives, and somebody else sent it too
	}
	return err == nil, kind.Wrap("note a mail", err)
}

// mailID names a message for good: the same for the same parts.
func mailID(what string, parts ...string) string {
	sum := sha256.Sum256([]byte(what + "\x00" + strings.Join(parts, "\x00")))
	return what + "-" + hex.EncodeToString(sum[:16])
}

// A letter is a message as text and as HTML.
type letter struct {
	subject    string
	paragraphs []string
	link, page string // what the link is called, and the address that it leads to
}

func (l letter) message(id, to string) Message {
	m := Message{ID: id, To: to, Subject: l.subject}
	m.Text = strings.Join(l.paragraphs, "\n\n") + "\n"
	m.HTML = "<!DOCTYPE html>\n<html lang=\"en\"><body>\n"
	for _, p := range l.paragraphs {
		m.HTML += "<p>" + html.EscapeString(p) + "</p>\n"
	}
	if l.page != "" {
		m.Text += "\n" + l.link + ": " + l.page + "\n"
		m.HTML += `<p><a href="` + html.EscapeString(l.page) + `">` + html.EscapeString(l.link) + "</a></p>\n"
	}
	m.HTML += "</body></html>\n"
	return m
}

// page is where people look at a request, or "" where nobody knows the address.
func (s *Service) page(task string) string {
	base := s.publicURL()
	if base == "" {
		return ""
	}
	return base + "/requests/" + task
}

func (s *Service) publicURL() string {
	if s.PublicURL == nil {
		return ""
	}
	return strings.TrimSuffix(s.PublicURL(), "/")
}

// news is what people are to be told, by a row that was written together with what it
// tells of: the change of a request, or a role that was given.
type news struct {
	Task    string      `json:"task,omitempty"`
	Attempt int         `json:"attempt,omitempty"`
	What    what        `json:"what"`
	SignIn  *SignInMail `json:"sign_in,omitempty"` // in place of a request
}

type what string

const (
	newsEnded   what = "ended"        // to the requester, if that one handles requests still
	newsHeld    what = "held"         // to everyone who may confirm it
	newsInvited what = "invitation"   // to who got a first role somewhere
	newsLink    what = "sign-in link" // to who asked for one
)

// newsLife is how long it is tried to tell people of something.
const newsLife = 7 * 24 * time.Hour

// life is how long it is tried to tell people of n.
func (n news) life() time.Duration {
	if n.What == newsLink {
		return linkAge
	}
	return newsLife
}

// op is the operation by which a sweep tells people of n.
func (n news) op(at time.Time) (table.Op, error) {
	item, err := encode(newsKey(at, n), n)
	item.Expires = at.Add(n.life() + 24*time.Hour) // where mail was turned off since
	return table.Put(item, table.Cond{}), err
}

// mostNews is how much of it one sweep tries to tell.
const mostNews = 50

// tell makes the operations by which a sweep tells people of r, which has just come to
// status to; none where nobody is to be told, or mail is not sent.
func (s *Service) tell(r Request, was, to Status, verb string) ([]table.Op, error) {
	n := news{Task: r.Task, Attempt: r.Attempt}
	switch {
	case !s.Settings.Mail:
		return nil, nil
	case was.Open() && (to == Success || to == Failure):
		n.What = newsEnded
	case r.Hold == HoldGuard && verb == hold:
		n.What = newsHeld
	default:
		return nil, nil
	}
	op, err := n.op(s.now())
	return []table.Op{op}, err
}

// tellNews tells people what is new, and reports what went wrong with some of it. What
// waits for its claim to get old stands in nobody's way. A carrier that is down ends
// it: the rest is for the next sweep, and this one has requests to look after.
func (s *Service) tellNews(ctx context.Context) error {
	if s.Sender == nil {
		return nil
	}
	var failed error
	q := table.Query{PK: newsPartition}
	for tried := 0; ; {
		page, err := s.Control.Query(ctx, q)
		if err != nil {
			return kind.Wrap("look for news", err)
		}
		for _, item := range page.Items {
			n, err := decode[news](item)
			done := err != nil // it cannot be told
			switch {
			case err != nil:
			case newsOf(item.SK).Before(s.now().Add(-n.life())):
				s.Log.ErrorContext(ctx, "news could not be mailed, and is given up", "about", n.of(), "after", n.life())
				done = true
			default:
				done, err = s.tellOne(ctx, n)
			}
			if err != nil {
				failed = kind.Wrap("tell of "+n.of(), err)
			}
			if done {
				if err := s.Control.WriteMany(ctx, []table.Op{table.Delete(item.Key, table.Cond{})}); err != nil {
					return kind.Wrap("put news away", err)
				}
			}
			if done || err != nil {
				tried++
			}
			if k := kind.Of(err); k == kind.Unavailable || k == kind.Throttled || tried == mostNews {
				return failed
			}
		}
		if page.Next == "" {
			return failed
		}
		q.After = page.Next
	}
}

// of is what the log calls n by.
func (n news) of() string {
	if n.SignIn != nil {
		return string(n.What)
	}
	return n.Task
}

// tellOne sends the letters of one piece of news, and reports whether all were.
func (s *Service) tellOne(ctx context.Context, n news) (done bool, err error) {
	if m := n.SignIn; m != nil {
		return s.once(ctx, strings.ReplaceAll(string(n.What), " ", "-")+"-"+m.ID, m.To, string(n.What), func() (letter, error) {
			secret, err := s.Accounts.MakeLink(ctx, By{Actor: m.By, From: m.From}, m.To)
			return s.signInLetter(*m, secret), err
		})
	}
	r, _, err := s.load(ctx, n.Task)
	if kind.Of(err) == kind.NotFound {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if r.Attempt != n.Attempt || n.What == newsHeld && r.Hold != HoldGuard || n.What == newsEnded && r.Status.Open() {
		return true, nil // something else is new since
	}
	to, err := s.Accounts.Handlers(ctx, r.Project)
	if err != nil {
		return false, err
	}
	done = true
	l := s.letterOf(r, n.What)
	for _, address := range to {
		// Neither a program that asked, nor who may not see the request any more.
		if n.What == newsEnded && !strings.EqualFold(address, r.Requester) {
			continue
		}
		id := mailID("news", r.Task, fmt.Sprint(n.Attempt), string(n.What), strings.ToLower(address))
		sent, err := s.once(ctx, id, address, fmt.Sprintf("%s %s: %s", r.Type, r.Task, n.What), func() (letter, error) { return l, nil })
		if err != nil {
			return false, err
		}
		done = done && sent
	}
	return done, nil
}

// letterOf tells what is new of a request: nothing of whom it is about, and nothing of
// what was found but how much.
func (s *Service) letterOf(r Request, w what) letter {
	name := map[Type]string{Export: "export", Deletion: "deletion"}[r.Type]
	about := fmt.Sprintf("Task %s in project %s, received on %s, to be answered by %s.", r.Task, r.inProject(), r.Day(r.Created), r.Day(r.Due))
	l := letter{link: "Look at the request", page: s.page(r.Task)}
	switch {
	case w == newsHeld:
		l.subject = "A deletion waits for somebody to confirm it"
		l.paragraphs = []string{r.Reason, about, "Look at what it would take, and confirm it or cancel it. It is not cancelled by itself: when nothing is done it becomes overdue."}
	case r.Status == Success && r.Type == Export:
		l.subject = "An export is ready"
		l.paragraphs = []string{fmt.Sprintf("The %s that you asked for is ready: %s and %s.", name, several(r.Before.Events, "event"), several(r.Before.Profiles, "profile")), about,
			fmt.Sprintf("It can be downloaded until %s.", r.Day(r.Finished.Add(s.Settings.ArchiveLife)))}
	case r.Status == Success:
		l.subject = "A deletion is complete"
		l.paragraphs = []string{fmt.Sprintf("The %s that you asked for is complete. ", name) + fmt.Sprintf(remains[r.Disclosure], several(r.Before.Events, "event"), several(r.Before.Profiles, "profile")) + " Its certificate can be downloaded.", about}
	default:
		l.subject = "A request failed"
		l.paragraphs = []string{fmt.Sprintf("The %s that you asked for ended in failure. %s", name, r.Reason), about}
		then := "Tell the person so. If something should have been found, make a new request, with other identifiers or in another project."
		if r.Broken {
			then = "It can be run again, and goes on from what is done. Until then the person has no answer."
		}
		l.paragraphs = append(l.paragraphs, then)
	}
	return l
}

// remains says what became of so many events and profiles.
var remains = map[Disclosure]string{
	Data:       "Of %s and %s that were there none is left.",
	Categories: "Of %s, made bare, only the name and the day are left, and of %s nothing.",
	Sources:    "The properties that describe the means of collection were taken out of %s and %s, which stay.",
}

// several is a number of things, of which one has a name.
func several(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// inProject is the project of r as people know it.
func (r Request) inProject() string {
	if r.ProjectName == "" {
		return r.Project
	}
	return r.ProjectName + " (" + r.Project + ")"
}
