// Package mailtest is the conformance suite that every driver of dsr.Sender runs.
package mailtest

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// From is the address that drivers under test send from.
const From = "privacy@example.com"

// Run tests a sender; sent returns the raw messages that it has sent so far, of
// those with the same ID the last at least.
func Run(t *testing.T, s dsr.Sender, sent func(t *testing.T) [][]byte) {
	m := dsr.Message{
		ID: "reminder-7.a_b", To: "pat@example.com", Subject: "Läuft ab – 7 Tage", Text: "Der Token läuft ab.\nIn 7 Tagen: " + strings.Repeat("lang ", 60),
		HTML: `<p>Der Token läuft ab.</p>`,
	}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), m); err != nil {
		t.Errorf("again: %v", err)
	}
	raw := sent(t)
	if len(raw) == 0 {
		t.Fatal("nothing was sent")
	}
	got, err := mail.ReadMessage(bytes.NewReader(raw[len(raw)-1]))
	if err != nil {
		t.Fatalf("what was sent is no message: %v", err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != m.Subject {
		t.Errorf("subject %q, %v, want %q", subject, err, m.Subject)
	}
	for name, want := range map[string]string{"To": m.To, "From": From} {
		if a, err := mail.ParseAddress(got.Header.Get(name)); err != nil || a.Address != want {
			t.Errorf("%s: %v, %v, want %s", name, a, err, want)
		}
	}
	if id := got.Header.Get("Message-ID"); id != "<"+m.ID+"@example.com>" {
		t.Errorf("Message-ID %s", id)
	}
	if _, err := got.Header.Date(); err != nil {
		t.Errorf("date: %v", err)
	}
	parts := parts(t, got)
	if strings.TrimSpace(strings.ReplaceAll(parts["text/plain"], "\r\n", "\n")) != strings.TrimSpace(m.Text) || strings.TrimSpace(parts["text/html"]) != m.HTML {
		t.Errorf("parts are %q", parts)
	}

	before := len(raw)
	for name, spoil := range map[string]func(*dsr.Message){
		"a receiver that is none":     func(m *dsr.Message) { m.To = "pat" },
		"a receiver with a name":      func(m *dsr.Message) { m.To = "Pat <pat@example.com>" },
		"two receivers":               func(m *dsr.Message) { m.To = "pat@example.com, eve@example.com" },
		"a header in the receiver":    func(m *dsr.Message) { m.To = "pat@example.com\r\nBcc: eve@example.com" },
		"a header in the subject":     func(m *dsr.Message) { m.Subject = "Hello\r\nBcc: eve@example.com" },
		"a header in the id":          func(m *dsr.Message) { m.ID = "a\r\nBcc: eve@example.com" },
		"no id":                       func(m *dsr.Message) { m.ID = "" },
		"no subject":                  func(m *dsr.Message) { m.Subject = "" },
		"only one of the two bodies":  func(m *dsr.Message) { m.HTML = "" },
		"an id that leads out of one": func(m *dsr.Message) { m.ID = "../x" },
	} {
		bad := m
		spoil(&bad)
		err := s.Send(t.Context(), bad)
		if kind.Of(err) != kind.Invalid {
			t.Errorf("%s: got %v, want Invalid", name, err)
			continue
		}
		for _, private := range []string{"pat@", "eve@"} {
			if strings.Contains(err.Error(), private) {
				t.Errorf("%s: the error holds an address", name)
			}
		}
	}
	if n := len(sent(t)); n != before {
		t.Errorf("%d messages were sent that cannot be", n-before)
	}
}

// parts reads the parts of a message by their types.
func parts(t *testing.T, m *mail.Message) map[string]string {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %s, %v", kind, err)
	}
	found := map[string]string{}
	for r := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		of, parameters, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil || !strings.EqualFold(parameters["charset"], "utf-8") {
			t.Errorf("part %s in %s, %v", of, parameters["charset"], err)
		}
		var body io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(p)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		found[of] = string(text)
	}
}
