// Package mail makes of a dsr.Message what goes over the wire: Compose.
package mail

import (
	"bytes"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// Compose returns m as a message of RFC 5322 and MIME, sent at that time by from,
// an address such as "Lethe <lethe@example.com>". All of it is ASCII in short lines
// that end in CRLF, and the same for the same arguments.
//
// The Message-ID is the ID at the domain of from. Lethe-Message-ID has it too,
// since carriers may put their own Message-ID in its place. What dsr.Message does
// not allow is kind.Invalid, and so is a from that is no address.
func Compose(from string, m dsr.Message, at time.Time) ([]byte, error) {
	sender, err := Sender(from)
	if err != nil {
		return nil, err
	}
	if err := check(m); err != nil {
		return nil, err
	}
	id := "<" + m.ID + sender.Address[strings.LastIndexByte(sender.Address, '@'):] + ">"
	var b bytes.Buffer
	for _, field := range []struct{ name, value string }{
		{"From", fold(sender.String())},
		{"To", m.To},
		{"Subject", fold(encode(m.Subject))},
		{"Date", at.Format(time.RFC1123Z)},
		{"Message-ID", id},
		{"Lethe-Message-ID", id},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: nobody's program answers it
		{"MIME-Version", "1.0"},
	} {
		b.WriteString(field.name + ": " + field.value + "\r\n")
	}
	if m.HTML == "" {
		b.WriteString("Content-Type: " + typeText + "\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n")
		writeBody(quotedprintable.NewWriter(&b), m.Text)
		return b.Bytes(), nil
	}
	b.WriteString("Content-Type: " + mime.FormatMediaType("multipart/alternative", map[string]string{"boundary": boundary}) + "\r\n\r\n")
	parts := multipart.NewWriter(&b)
	_ = parts.SetBoundary(boundary) // it is a good one
	for _, alternative := range []struct{ kind, text string }{{typeText, m.Text}, {typeHTML, m.HTML}} {
		part, _ := parts.CreatePart(textproto.MIMEHeader{ // a bytes.Buffer takes everything
			"Content-Type": {alternative.kind}, "Content-Transfer-Encoding": {encoding},
		})
		writeBody(quotedprintable.NewWriter(part), alternative.text)
	}
	_ = parts.Close()
	return b.Bytes(), nil
}

// Sender reads whom messages are from. What Compose would not take is kind.Invalid: ask
// before there are messages, each of which would be refused for it.
func Sender(from string) (*mail.Address, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil || !plain(sender.Address) {
		return nil, kind.Say(kind.Invalid, "The sender of mail must be an address of ASCII characters, such as lethe@example.com or Lethe <lethe@example.com>.")
	}
	return sender, nil
}

const (
	typeText = "text/plain; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
	encoding = "quoted-printable"
	// boundary never stands in a part: quoted-printable has no "=" before "_".
	boundary = "=_alternative"
)

func check(m dsr.Message) error {
	switch {
	case !isID(m.ID):
		return kind.Say(kind.Invalid, "The ID of a message must be 1 to 200 letters, digits, hyphens and underscores.")
	case !plain(m.To):
		return kind.Say(kind.Invalid, "The recipient must be a plain mail address of at most 254 ASCII characters.")
	case m.Subject == "" || utf8.RuneCountInString(m.Subject) > 200 || !utf8.ValidString(m.Subject) || strings.ContainsFunc(m.Subject, unicode.IsControl):
		return kind.Say(kind.Invalid, "The subject must be 1 to 200 characters, none of them a control character.")
	case m.Text == "" || !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML):
		return kind.Say(kind.Invalid, "A message must have a text, in UTF-8.")
	}
	return nil
}

func isID(s string) bool {
	strange := func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		return !letter && (r < '0' || '9' < r) && r != '-' && r != '_'
	}
	return s != "" && len(s) <= 200 && !strings.ContainsFunc(s, strange)
}

// plain reports whether s is an address alone, without a name, that every carrier takes.
func plain(s string) bool {
	_, err := mail.ParseAddress(s)
	return err == nil && dsr.Mailable(s)
}

// encode returns s as it may stand in a header field (RFC 2047). What looks as if
// it were encoded is encoded, or a reader would see something else.
func encode(s string) string {
	if !strings.Contains(s, "=?") {
		return mime.QEncoding.Encode("utf-8", s)
	}
	// A character outside ASCII makes package mime encode the rest, and is cut out again.
	return strings.Replace(mime.QEncoding.Encode("utf-8", "\u00a0"+s), "=C2=A0", "", 1)
}

// fold breaks a field between its encoded words, which keep their line short.
func fold(s string) string { return strings.ReplaceAll(s, "?= =?", "?=\r\n =?") }

func writeBody(w *quotedprintable.Writer, text string) {
	_, _ = w.Write([]byte(text)) // a bytes.Buffer takes everything
	_ = w.Close()
}
