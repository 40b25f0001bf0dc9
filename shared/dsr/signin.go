package dsr

import (
	"crypto/rand"
	"net/url"
	"strings"
	"time"

	"lethe/shared/table"
)

// SignInPath is the path of the page for signing in.
const SignInPath = "/sign-in"

// LinkURL is the address of the page for what a sign-in link holds, at a server that is
// reached at base.
func LinkURL(base, secret string) string {
	return strings.TrimSuffix(base, "/") + SignInPath + "?link=" + url.QueryEscape(secret)
}

// A SignInMail is to bring somebody a link to sign in by. It waits in the control table
// for Sweep, without the link: that is made when the mail is sent, so that nobody who
// reads the table, or a backup, signs in by what stands there.
type SignInMail struct {
	ID string `json:"id"` // names the message for good
	To string `json:"to"`
	// By and From are who asked for the mail, and from which network address.
	By   string `json:"by"`
	From string `json:"from,omitempty"`
	// Role and Where say of an invitation what somebody became, and in what. A mail
	// without them is the answer to who asked for a link.
	Role  string `json:"role,omitempty"`
	Where string `json:"where,omitempty"`
	Path  string `json:"path,omitempty"` // the page that somebody was going to
}

// linkAge is how long it is tried to mail a link that somebody asked for: whose mail
// went wrong is tried again after an hour, and later nobody waits for it.
const linkAge = 2 * time.Hour

// Op is the operation that asks for the mail, which gets its ID.
func (m SignInMail) Op(at time.Time) (table.Op, error) {
	m.ID = rand.Text()
	n := news{What: newsLink, SignIn: &m}
	if m.Role != "" {
		n.What = newsInvited
	}
	return n.op(at)
}

// signInLetter is the mail with a link that was just made.
func (s *Service) signInLetter(m SignInMail, secret string) letter {
	base := s.publicURL()
	address := LinkURL(base, secret)
	if m.Path != "" {
		address += "&to=" + url.QueryEscape(m.Path)
	}
	l := letter{link: "Sign in", page: address}
	if m.Role == "" {
		l.subject = "Sign in to Lethe"
		l.paragraphs = []string{
			"Somebody, you most likely, asked to sign in to Lethe at " + base + ".",
			"The link below signs you in, once, within 15 minutes.",
			"If it was not you, do nothing: without the link nobody gets in.",
		}
		return l
	}
	given := "You were given"
	if strings.Contains(m.By, "@") { // a person, not who administers the machine, or a program
		given = m.By + " gave you"
	}
	l.subject = "You are invited to Lethe"
	l.paragraphs = []string{
		given + " the role " + m.Role + " in " + m.Where + ".",
		"The link below signs you in, once, within 15 minutes.",
		"Later, the page " + base + SignInPath + " says how you get in.",
	}
	return l
}
