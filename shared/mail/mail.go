// Package mail composes messages as they travel (RFC 5322), for the drivers of
// dsr.Sender.
package mail

import (
	"bytes"
	"fmt"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"time"
	"unicode"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

const maxSubject = 200 // bytes

// Compose returns m from an address, at a time, as text and HTML in UTF-8. What
// cannot be sent is kind.Invalid with a sentence that quotes nothing.
func Compose(from string, m dsr.Message, at time.Time) ([]byte, error) {
	switch {
	case !plain(from):
		return nil, kind.Say(kind.Invalid, "The sender of mail must be a plain mail address.")
	case !plain(m.To):
		return nil, kind.Say(kind.Invalid, "The receiver of a mail must be a plain mail address.")
	case !idForm.MatchString(m.ID):
		return nil, kind.Say(kind.Invalid, "The ID of a mail must be 1 to 100 letters, digits, dots, lines and dashes.")
	case m.Subject == "" || len(m.Subject) > maxSubject || strings.ContainsFunc(m.Subject, unicode.IsControl):
		return nil, kind.Say(kind.Invalid, "The subject of a mail must be one line of at most 200 bytes.")
	case m.Text == "" || m.HTML == "":
		return nil, kind.Say(kind.Invalid, "A mail must have a text and an HTML part.")
	}
	var out bytes.Buffer
	body := multipart.NewWriter(&out)
	// With maxSubject every line stays below the 998 bytes of RFC 5322.
	fmt.Fprintf(&out, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s%s>\r\nMIME-Version: 1.0\r\n",
		from, m.To, mime.QEncoding.Encode("utf-8", m.Subject), at.Format(time.RFC1123Z), m.ID, from[strings.LastIndexByte(from, '@'):])
	fmt.Fprintf(&out, "Content-Type: multipart/alternative; boundary=%s\r\n\r\n", body.Boundary())
	for _, part := range []struct{ of, text string }{{"text/plain", m.Text}, {"text/html", m.HTML}} {
		// Nothing of a write to memory can fail.
		w, _ := body.CreatePart(textproto.MIMEHeader{
			"Content-Type": {part.of + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"},
		})
		q := quotedprintable.NewWriter(w)
		_, _ = q.Write([]byte(part.text))
		_ = q.Close()
	}
	_ = body.Close()
	return out.Bytes(), nil
}

// plain reports whether s is a mail address and nothing else.
func plain(s string) bool {
	address, err := mail.ParseAddress(s)
	return err == nil && address.Address == s && len(s) <= 254
}
