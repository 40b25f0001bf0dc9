package dsr

import (
	"context"
	"strings"
)

// A Sender sends mail to people who work with Lethe: sign-in links, reminders,
// news of a request.
type Sender interface {
	// Send hands one message over for delivery. When it returns nil the message is
	// accepted for good, which is not yet delivered. After Unavailable it may have
	// been accepted: send it again under the same ID.
	//
	// A message that is sent again may arrive again, with the same Message-ID or, where
	// the carrier gives its own (SES does), the same Lethe-Message-ID. Who must not
	// send twice keeps a record of what was sent.
	//
	// An address, ID, subject or body that cannot be is kind.Invalid, and nothing is
	// sent. Throttled means that the carrier asks for less mail, now or today; any
	// other refusal is Internal. No error holds an address or a word of the message,
	// and nothing logs one.
	Send(ctx context.Context, m Message) error
}

// A Message is a mail to one person.
type Message struct {
	// ID names the message for good: another message never has it, the same one
	// always. It has 1 to 200 letters of ASCII, digits, "-" and "_". Others see it, so
	// nothing personal may be in it.
	ID string
	// To is a plain mail address that is Mailable, as in "pat@example.com".
	To string
	// Subject has 1 to 200 characters, none of them a control character. Spaces around
	// it may get lost.
	Subject string
	Text    string // must not be empty
	HTML    string // the same for programs that show HTML; may be empty
}

// Mailable reports whether every carrier takes a mail address: one of at most 254 ASCII
// characters, none of which would have to be quoted.
func Mailable(address string) bool {
	outside := func(r rune) bool { return r <= ' ' || '~' < r || strings.ContainsRune(`"(),:;<>[\]`, r) }
	return len(address) <= 254 && !strings.ContainsFunc(address, outside)
}
