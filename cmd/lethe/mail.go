package main

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/local"
)

// outboxLife is how long mail lies in the outbox that nobody takes.
const outboxLife = 30 * 24 * time.Hour

// delivers reports whether mail leaves the machine soon, as who asks for a sign-in link
// expects: by a server, or from an outbox that was named for another program to send.
// Otherwise it just lies.
func (s settings) delivers() bool { return s.smtp != "" || s.outbox != "" }

// mail gives p what sends its mail: the server that --smtp names, or the outbox.
func (s settings) mail(p *local.Platform) error {
	dir := s.outbox
	if dir == "" {
		dir = filepath.Join(s.data, "outbox")
	}
	// Also what lies there of a time without --smtp.
	p.Daily("expire mail", func(context.Context) error { return local.ExpireOutbox(dir, p.Clock().Add(-outboxLife)) })
	if s.smtp == "" {
		outbox, err := local.OpenOutbox(dir, s.mailFrom)
		if err != nil {
			return failure{statusUsage, "The outbox cannot be written: give this user the right to, or choose another directory with --outbox."}
		}
		p.Sender = outbox
		return nil
	}
	password := os.Getenv(variable("smtp-password"))
	if s.smtpSecret != "" {
		text, err := os.ReadFile(s.smtpSecret)
		if err != nil {
			return failure{statusUsage, "The file that --smtp-password-file names cannot be read."}
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	var roots *x509.CertPool
	if s.smtpRoots != "" {
		text, err := os.ReadFile(s.smtpRoots)
		if roots = x509.NewCertPool(); err != nil || !roots.AppendCertsFromPEM(text) {
			return failure{statusUsage, "The file that --smtp-ca names has no certificate in PEM."}
		}
	}
	sender, err := local.OpenSMTP(s.smtp, password, s.mailFrom, roots)
	if err != nil {
		return failure{statusUsage, kind.Sentence(err)}
	}
	p.Sender = sender
	return nil
}
