package dsr

import "context"

// A Sender sends mail: SES, or an outbox folder.
type Sender interface {
	// Send hands a message over. When it returns nil the message will be delivered, or
	// lies in the outbox, whatever becomes of this process; after an error it may have
	// been handed over or not, and is sent again with the same ID. Kinds: Invalid where
	// the message cannot be sent as it is, Throttled, Unavailable. No error text and no
	// log holds an address.
	Send(ctx context.Context, m Message) error
}

// A Message is one mail to one person.
type Message struct {
	// ID names the message for good: 1 to 100 of the characters A–Z a–z 0–9 . _ -. It
	// becomes the Message-ID, by which a receiver can tell a repetition. (SES puts an
	// id of its own in that place.)
	ID string
	// To is a plain mail address.
	To      string
	Subject string // one line of at most 200 bytes
	// Text and HTML say the same; both are needed.
	Text, HTML string
}
