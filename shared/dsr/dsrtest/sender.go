// Package dsrtest has the suites that drivers of the parts of a platform run
// where the part is dsr's own: Sender and Workflow.
package dsrtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// From is whom a Sender under test sends as.
const From = "Löschdienst <lethe@example.com>"

// A Post is a Sender that nothing was sent with, and what it declares about itself.
type Post struct {
	Sender dsr.Sender
	// Sent returns every message that is kept, as it went out, in any order.
	Sent func(t *testing.T) []string
	// Replaces says that a message that is sent again takes the place of the first.
	Replaces bool
}

// message is one that a person would be sent.
var message = dsr.Message{
	ID:      "reminder-7_2026-01-02",
	To:      "pat+lethe@example.com",
	Subject: "Ihr Antrag läuft am 2. März ab – bitte prüfen, bevor es zu spät ist: 個人データ",
	Text:    "Grüße,\n.\n\n" + strings.Repeat("ein langer Absatz ohne Umbruch, ", 60) + "\n-- \nLethe =_alternative\n",
	HTML:    "<p title=\"x\">Grüße</p>\n" + strings.Repeat("<b>個人データ</b>", 300),
}

// Sender tests the Senders that open returns, a fresh one for each test.
func Sender(t *testing.T, open func(t *testing.T) Post) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Post)
	}{
		{"a message arrives as it was", arrives},
		{"a subject of any kind", subjects},
		{"a message that is sent again", sentAgain},
		{"many at once", manyAtOnce},
		{"messages that cannot be", refusals},
		{"a context that ended", contextEnded},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func send(t *testing.T, p Post, m dsr.Message) {
	t.Helper()
	if err := p.Sender.Send(t.Context(), m); err != nil {
		t.Fatalf("send: %v", err)
	}
}

func arrives(t *testing.T, p Post) {
	began := time.Now().Truncate(time.Second)
	send(t, p, message)
	textOnly := message
	textOnly.ID, textOnly.HTML = "text-only", ""
	send(t, p, textOnly)
	got := byID(t, p)
	if len(got) != 2 {
		t.Fatalf("%d messages were sent, want 2", len(got))
	}
	for _, want := range []dsr.Message{message, textOnly} {
		m := got[want.ID]
		if m.Message != want {
			t.Errorf("got %+v\nwant %+v", m.Message, want)
		}
		if sender, _ := mail.ParseAddress(From); *m.from != *sender {
			t.Errorf("from %v, want %v", m.from, sender)
		}
		if m.date.Before(began) || m.date.After(time.Now()) {
			t.Errorf("dated %v, want now", m.date)
		}
		if m.auto != "auto-generated" {
			t.Errorf("Auto-Submitted %q: other programs will answer", m.auto)
		}
	}
}

func subjects(t *testing.T, p Post) {
	for i, subject := range []string{
		"x", "two  spaces within", "=?utf-8?q?not_encoded?=", "a=?b", "_=_", "?= =?", strings.Repeat("個", 200), strings.Repeat("x", 200),
	} {
		m := message
		m.ID, m.Subject = fmt.Sprint("subject-", i), subject
		send(t, p, m)
		if got := byID(t, p)[m.ID].Subject; got != subject {
			t.Errorf("got the subject %q, want %q", got, subject)
		}
	}
}

func sentAgain(t *testing.T, p Post) {
	other := message
	other.ID = "other"
	for _, m := range []dsr.Message{message, other, message} {
		send(t, p, m)
	}
	want := 3
	if p.Replaces {
		want = 2
	}
	if got := len(p.Sent(t)); got != want {
		t.Errorf("%d messages are kept, want %d", got, want)
	}
	// What arrived twice has one ID; what is another message has another.
	if got := byID(t, p); len(got) != 2 || got[message.ID].Message != message || got[other.ID].Message != other {
		t.Errorf("got the messages %v, want the two that were sent", got)
	}
}

func manyAtOnce(t *testing.T, p Post) {
	const count = 16
	errs := make([]error, count)
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			m := message
			m.ID, m.To = fmt.Sprint("many-", i), fmt.Sprintf("pat%d@example.com", i)
			errs[i] = p.Sender.Send(t.Context(), m)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	got := byID(t, p)
	for i := range count {
		if want := fmt.Sprintf("pat%d@example.com", i); got[fmt.Sprint("many-", i)].To != want {
			t.Errorf("message %d is to %q, want %q", i, got[fmt.Sprint("many-", i)].To, want)
		}
	}
}

func refusals(t *testing.T, p Post) {
	const secret = "Xq7secret"
	for name, change := range map[string]func(*dsr.Message){
		"no ID":                 func(m *dsr.Message) { m.ID = "" },
		"a long ID":             func(m *dsr.Message) { m.ID = strings.Repeat("x", 201) },
		"an ID with a dot":      func(m *dsr.Message) { m.ID = secret + "." },
		"an ID with a line":     func(m *dsr.Message) { m.ID = secret + "\r\nBcc: eve@example.com" },
		"an ID beyond ASCII":    func(m *dsr.Message) { m.ID = secret + "ä" },
		"no recipient":          func(m *dsr.Message) { m.To = "" },
		"no address":            func(m *dsr.Message) { m.To = secret },
		"a name":                func(m *dsr.Message) { m.To = "Pat <" + secret + "@example.com>" },
		"two recipients":        func(m *dsr.Message) { m.To = secret + "@example.com, eve@example.com" },
		"a recipient's line":    func(m *dsr.Message) { m.To = secret + "@example.com\r\nBcc: eve@example.com" },
		"a folded recipient":    func(m *dsr.Message) { m.To = secret + "@example.com\r\n " },
		"a quoted recipient":    func(m *dsr.Message) { m.To = `"` + secret + ` x"@example.com` },
		"a long recipient":      func(m *dsr.Message) { m.To = strings.Repeat("x", 243) + "@example.com" },
		"a recipient in UTF-8":  func(m *dsr.Message) { m.To = secret + "ä@example.com" },
		"no subject":            func(m *dsr.Message) { m.Subject = "" },
		"a long subject":        func(m *dsr.Message) { m.Subject = strings.Repeat("ä", 201) },
		"a subject's line":      func(m *dsr.Message) { m.Subject = secret + "\r\nBcc: eve@example.com" },
		"a subject's CR":        func(m *dsr.Message) { m.Subject = secret + "\rBcc: eve@example.com" },
		"a subject's LF":        func(m *dsr.Message) { m.Subject = secret + "\nBcc: eve@example.com" },
		"a subject's NUL":       func(m *dsr.Message) { m.Subject = secret + "\x00" },
		"a subject's next line": func(m *dsr.Message) { m.Subject = secret + "\u0085" },
		"a subject no UTF-8":    func(m *dsr.Message) { m.Subject = secret + "\xff" },
		"no text":               func(m *dsr.Message) { m.Text = "" },
		"a text no UTF-8":       func(m *dsr.Message) { m.Text = secret + "\xff" },
		"an HTML no UTF-8":      func(m *dsr.Message) { m.HTML = secret + "\xff" },
	} {
		m := message
		change(&m)
		err := p.Sender.Send(t.Context(), m)
		if kind.Of(err) != kind.Invalid || kind.Sentence(err) == "" {
			t.Errorf("%s: got %v, want Invalid with a sentence", name, err)
		}
		if strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%s: the error quotes the message: %v", name, err)
		}
	}
	if got := p.Sent(t); len(got) != 0 {
		t.Errorf("of what was refused, %d messages were sent", len(got))
	}
}

func contextEnded(t *testing.T, p Post) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Sender.Send(ctx, message); kind.Of(err) != kind.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	if got := p.Sent(t); len(got) != 0 {
		t.Errorf("%d messages were sent", len(got))
	}
}

// A letter is a message as a mail program reads it.
type letter struct {
	dsr.Message
	from *mail.Address
	date time.Time
	auto string
}

// byID reads all that was sent.
func byID(t *testing.T, p Post) map[string]letter {
	t.Helper()
	letters := map[string]letter{}
	for _, raw := range p.Sent(t) {
		l, err := read(raw)
		if err != nil {
			t.Fatalf("%v in a message:\n%s", err, raw)
		}
		letters[l.ID] = l
	}
	return letters
}

func read(raw string) (letter, error) {
	for line := range strings.SplitSeq(raw, "\r\n") {
		// SMTP carries 998 characters; what is longer is cut or refused.
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			return letter{}, fmt.Errorf("a line of %d bytes, with no CRLF at its end or not in ASCII,", len(line))
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return letter{}, err
	}
	l := letter{auto: m.Header.Get("Auto-Submitted")}
	id := m.Header.Get("Lethe-Message-ID")
	l.ID = strings.TrimSuffix(strings.TrimPrefix(id, "<"), "@example.com>")
	if m.Header.Get("Message-ID") != id || "<"+l.ID+"@example.com>" != id {
		return letter{}, fmt.Errorf("a bad Message-ID %q or Lethe-Message-ID %q", m.Header.Get("Message-ID"), id)
	}
	l.To = m.Header.Get("To")
	if l.from, err = mail.ParseAddress(m.Header.Get("From")); err != nil {
		return letter{}, err
	}
	if l.date, err = m.Header.Date(); err != nil {
		return letter{}, err
	}
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return letter{}, err
	}
	media, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return letter{}, err
	}
	if media != "multipart/alternative" {
		// A reader of parts undoes the encoding, so the one body becomes one.
		const boundary = "one"
		raw = "--" + boundary + "\r\nContent-Type: " + m.Header.Get("Content-Type") +
			"\r\nContent-Transfer-Encoding: " + m.Header.Get("Content-Transfer-Encoding") + "\r\n\r\n"
		body := io.MultiReader(strings.NewReader(raw), m.Body, strings.NewReader("\r\n--"+boundary+"--\r\n"))
		err = readParts(body, boundary, &l.Text)
		return l, err
	}
	err = readParts(m.Body, parameters["boundary"], &l.Text, &l.HTML) // the best last (RFC 2046)
	return l, err
}

// readParts reads as many parts as there are texts.
func readParts(r io.Reader, boundary string, texts ...*string) error {
	parts := multipart.NewReader(r, boundary)
	for i, text := range texts {
		part, err := parts.NextPart()
		if err != nil {
			return err
		}
		if got, want := part.Header.Get("Content-Type"), []string{"text/plain", "text/html"}[i]+"; charset=utf-8"; got != want {
			return fmt.Errorf("a part of the type %q in place of %q", got, want)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		*text = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
	if _, err := parts.NextPart(); err != io.EOF {
		return fmt.Errorf("%v in place of the end of the parts", err)
	}
	return nil
}
