package local

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/mail"
)

// SMTP is a mail server that takes messages over: a dsr.Sender. Each message has a
// connection of its own.
type SMTP struct {
	address, host  string
	tls            bool // from the first byte, not by STARTTLS
	local          bool // on this machine, where a server without TLS will do
	user, password string
	from           string // as for mail.Compose
	envelope       string // the address of it
	roots          *x509.CertPool
}

var _ dsr.Sender = (*SMTP)(nil)

// Times that a server is given. A message is small.
const (
	smtpDialTime = 15 * time.Second
	smtpTime     = 60 * time.Second
)

// OpenSMTP reads what server says: smtp://user@mail.example.com:587, with STARTTLS,
// which only a server on this machine may lack, or smtps://user@mail.example.com:465.
// Port and user can be missing. Roots are the authorities to be trusted, nil for those
// of the system. Whatever cannot be is kind.Invalid with a sentence. It does not connect.
func OpenSMTP(server, password, from string, roots *x509.CertPool) (*SMTP, error) {
	const form = "--smtp takes the address of a mail server, such as smtp://user@mail.example.com:587 or smtps://user@mail.example.com:465, without a password."
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, kind.Say(kind.Invalid, form)
	}
	if _, has := u.User.Password(); has {
		return nil, kind.Say(kind.Invalid, form)
	}
	s := &SMTP{host: u.Hostname(), tls: u.Scheme == "smtps", user: u.User.Username(), password: password, from: from, roots: roots}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "465", false: "587"}[s.tls]
	}
	s.address = net.JoinHostPort(s.host, port)
	ip, err := netip.ParseAddr(s.host)
	s.local = strings.EqualFold(s.host, "localhost") || err == nil && ip.IsLoopback()
	sender, err := mail.Sender(from)
	if err != nil {
		return nil, err
	}
	s.envelope = sender.Address
	if s.user != "" && password == "" {
		return nil, kind.Say(kind.Invalid, "The mail server has a user and no password: give it in LETHE_SMTP_PASSWORD, or in the file that --smtp-password-file names.")
	}
	return s, nil
}

// Send implements dsr.Sender: the server has taken the message over when it returns
// nil.
func (s *SMTP) Send(ctx context.Context, m dsr.Message) error {
	const op = "send a mail"
	data, err := mail.Compose(s.from, m, time.Now())
	if err != nil {
		return kind.Wrap(op, err)
	}
	if err := ctx.Err(); err != nil {
		return kind.Wrap(op, err)
	}
	c, err := s.connect(ctx)
	if err != nil {
		return smtpError(op+": connect", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if s.user != "" {
		if err := c.Auth(sasl.NewPlainClient("", s.user, s.password)); err != nil {
			return smtpError(op+": authenticate", err)
		}
	}
	if err := c.Mail(s.envelope, nil); err != nil {
		return smtpError(op+": sender", err)
	}
	if err := c.Rcpt(m.To, nil); err != nil {
		if said := answered(err); isOfRecipient(said) {
			return kind.E(kind.Invalid, op+": recipient", said)
		}
		return smtpError(op+": recipient", err)
	}
	w, err := c.Data()
	if err != nil {
		return smtpError(op+": begin the message", err)
	}
	if _, err := bytes.NewReader(data).WriteTo(w); err != nil {
		return smtpError(op+": the message", err)
	}
	if err := w.Close(); err != nil {
		return smtpError(op+": end the message", err)
	}
	_ = c.Quit() // it was taken over, whatever becomes of the farewell
	return nil
}

func (s *SMTP) connect(ctx context.Context) (*smtp.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, smtpDialTime)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	// Before there is a client that has times of its own.
	if err := conn.SetDeadline(time.Now().Add(smtpDialTime)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	config := &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	var c *smtp.Client
	switch {
	case s.tls:
		c = smtp.NewClient(tls.Client(conn, config))
	case s.local && !s.offersTLS(ctx):
		c = smtp.NewClient(conn)
	default:
		if c, err = smtp.NewClientStartTLS(conn, config); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	c.CommandTimeout, c.SubmissionTimeout = smtpTime, smtpTime
	if err := c.Hello("localhost"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// offersTLS asks a server on this machine, on a connection of its own.
func (s *SMTP) offersTLS(ctx context.Context) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return false
	}
	c := smtp.NewClient(conn)
	defer c.Close()
	c.CommandTimeout = smtpDialTime
	ok, _ := c.Extension("STARTTLS")
	return ok
}

// An answer of a server is its code, and the enhanced one of RFC 3463 if it gave one,
// without what it said: that may quote an address.
type answer struct {
	code     int
	enhanced smtp.EnhancedCode
}

func (a answer) Error() string { return fmt.Sprintf("the server answered %d", a.code) }

// answered is what the server answered, or the zero answer.
func answered(err error) answer {
	var said *smtp.SMTPError
	if !errors.As(err, &said) {
		return answer{}
	}
	return answer{said.Code, said.EnhancedCode}
}

// isOfRecipient reports whether a refusal of RCPT says that there is no such recipient,
// now and later. That of a sender, which many servers give only then, says nothing of it.
func isOfRecipient(a answer) bool {
	switch {
	case a.code < 500:
		return false
	case a.enhanced[0] <= 0:
		return a.code == 550 || a.code == 551 || a.code == 553
	}
	return a.enhanced[0] == 5 && a.enhanced[1] == 1 && a.enhanced[2] != 0 && a.enhanced[2] != 7 && a.enhanced[2] != 8 // which are of the sender
}

// smtpError classifies an error.
func smtpError(op string, err error) error {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	said := answered(err)
	switch {
	case said.code >= 500:
		return kind.E(kind.Internal, op, said)
	case said.code > 0:
		return kind.E(kind.Unavailable, op, said)
	case errors.As(err, &dns):
		return kind.E(kind.Unavailable, op+": the server's name is not found")
	case errors.As(err, &certificate):
		return kind.E(kind.Internal, op+": the server's certificate is not trusted")
	}
	return kind.E(kind.Unavailable, op)
}
