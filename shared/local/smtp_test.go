package local_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/dsr/dsrtest"
	"lethe/shared/kind"
	"lethe/shared/local"
	"lethe/shared/peertest"
)

// A mailServer is a process of aiosmtpd.
type mailServer struct {
	dir, address string
	roots        *x509.CertPool
}

// startMail starts a server in a mode of testdata/smtp_server.py. Where it is not
// installed the test is left out, and where CI=true it fails.
func startMail(t *testing.T, mode string) mailServer {
	t.Helper()
	python, err := filepath.Abs("../../.cache/venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	peertest.Needs(t, "install-lint", python)
	s := mailServer{dir: t.TempDir()}
	certificate, key := s.makeCertificate(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = free.Addr().String()
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	c := exec.Command(python, "testdata/smtp_server.py", s.dir, mode, certificate, key)
	c.Env = append(os.Environ(), "PORT="+strconv.Itoa(port))
	var diag strings.Builder
	c.Stderr = &diag
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Process.Kill() // one that waits for a client
		_ = c.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the mail server said %q, %v: %s", line, err, diag.String())
	}
	return s
}

// makeCertificate makes an authority's certificate that is the server's own, too.
func (s *mailServer) makeCertificate(t *testing.T) (certificate, key string) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "certificate"), filepath.Join(dir, "key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.roots = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots.AddCert(parsed)
	return certificate, key
}

func (s mailServer) sent(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(s.dir, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return all
}

func (s mailServer) open(t *testing.T, scheme, user, password string) *local.SMTP {
	t.Helper()
	sender, err := local.OpenSMTP(scheme+"://"+user+s.address, password, dsrtest.From, s.roots)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestSMTP(t *testing.T) {
	for mode, how := range map[string][3]string{
		"plain":    {"smtp", "", ""}, // on this machine alone
		"starttls": {"smtp", "pat@", "secret"},
		"tls":      {"smtps", "", ""},
	} {
		t.Run(mode, func(t *testing.T) {
			dsrtest.Sender(t, func(t *testing.T) dsrtest.Post {
				s := startMail(t, mode)
				return dsrtest.Post{Sender: s.open(t, how[0], how[1], how[2]), Sent: s.sent}
			})
		})
	}
}

// What the server answers is told by its kind, and without the address that it names.
func TestSMTPRefusals(t *testing.T) {
	s := startMail(t, "starttls")
	sender := s.open(t, "smtp", "pat@", "secret")
	for name, c := range map[string]struct {
		kind kind.Kind
		sent int
	}{
		"nobody": {kind.Invalid, 0}, "old": {kind.Invalid, 0}, "busy": {kind.Unavailable, 0}, "relay": {kind.Internal, 0},
		"before": {kind.Unavailable, 0}, "after": {kind.Unavailable, 1}, "somebody": {"", 1},
	} {
		before := len(s.sent(t))
		err := sender.Send(t.Context(), dsr.Message{ID: "m-" + name, To: name + "@example.com", Subject: "Hello", Text: "Hello"})
		if kind.Of(err) != c.kind || err != nil && strings.Contains(err.Error(), "example") {
			t.Errorf("%s: got %v, want %q", name, err, c.kind)
		}
		if got := len(s.sent(t)) - before; got != c.sent {
			t.Errorf("%s: %d messages arrived, want %d", name, got, c.sent)
		}
	}
	m := dsr.Message{ID: "m", To: "somebody@example.com", Subject: "Hello", Text: "Hello"}
	for _, from := range []string{"refused@example.com", "late@example.com"} {
		sender, err := local.OpenSMTP("smtp://pat@"+s.address, "secret", from, s.roots)
		if err != nil {
			t.Fatal(err)
		}
		// Another sender may be let through: the recipient is not to be given up.
		if err := sender.Send(t.Context(), m); kind.Of(err) != kind.Internal || strings.Contains(err.Error(), "example") {
			t.Errorf("from %s: got %v, want %v", from, err, kind.Internal)
		}
	}
	if err := s.open(t, "smtp", "pat@", "wrong").Send(t.Context(), m); kind.Of(err) != kind.Internal || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: got %v, want %v", err, kind.Internal)
	}
	other := mailServer{address: s.address, roots: x509.NewCertPool()}
	if err := other.open(t, "smtp", "pat@", "secret").Send(t.Context(), m); kind.Of(err) != kind.Internal || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that is not trusted: got %v, want %v", err, kind.Internal)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	m.To = "slow@example.com"
	if err := sender.Send(ctx, m); kind.Of(err) != kind.Unavailable {
		t.Errorf("a server that does not answer: got %v, want %v", err, kind.Unavailable)
	}
	nobody := mailServer{address: "127.0.0.1:1"}
	if err := nobody.open(t, "smtp", "", "").Send(t.Context(), m); kind.Of(err) != kind.Unavailable {
		t.Errorf("no server: got %v, want %v", err, kind.Unavailable)
	}
}

// A server elsewhere that has no STARTTLS gets neither a password nor a message.
func TestSMTPInsistsOnTLS(t *testing.T) {
	s := startMail(t, "plain")
	_, port, _ := net.SplitHostPort(s.address)
	sender, err := local.OpenSMTP("smtp://ip6-loopback.invalid:"+port, "", dsrtest.From, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), dsr.Message{ID: "m", To: "pat@example.com", Subject: "Hello", Text: "Hello"}); kind.Of(err) != kind.Unavailable {
		t.Errorf("a name that is not there: got %v", err)
	}
	if err := local.StartTLSOnly(s.open(t, "smtp", "", "")).Send(t.Context(), dsr.Message{ID: "m", To: "pat@example.com", Subject: "Hello", Text: "Hello"}); err == nil || len(s.sent(t)) > 0 {
		t.Errorf("without TLS: got %v and %d messages", err, len(s.sent(t)))
	}
}

func TestOpenSMTPRefuses(t *testing.T) {
	for _, c := range [][3]string{
		{"mail.example.com", "", "lethe@example.com"}, {"http://mail.example.com", "", "lethe@example.com"}, {"smtp://", "", "lethe@example.com"},
		{"smtp://pat:secret@mail.example.com", "", "lethe@example.com"}, {"smtp://pat@mail.example.com", "", "lethe@example.com"},
		{"smtp://mail.example.com/x", "", "lethe@example.com"}, {"smtp://mail.example.com", "", "nobody"}, {"smtp://mail.example.com", "", "löthe@example.com"},
	} {
		if _, err := local.OpenSMTP(c[0], c[1], c[2], nil); kind.Of(err) != kind.Invalid || kind.Sentence(err) == "" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want %v with a sentence", c, err, kind.Invalid)
		}
	}
}
