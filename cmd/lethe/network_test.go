package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Of whom comes through a proxy that is trusted, each network address has limits of its
// own; of any other peer, what it says of others counts for nothing.
func TestLimitsBehindAProxy(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want int // of another address, when one has had its share
	}{
		"trusted":         {[]string{"--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.1"}, http.StatusUnauthorized},
		"another trusted": {[]string{"--trusted-proxy", "10.0.0.0/8"}, http.StatusTooManyRequests},
		"none":            {nil, http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			p := startDemo(t, filepath.Join(t.TempDir(), "data"), c.args...)
			from := func(address string) int {
				return p.do(t, http.MethodGet, "/api/app/me", "", "Authorization", "Bearer wrong", "X-Forwarded-For", "198.51.100.9, "+address).status
			}
			for range 31 {
				from("203.0.113.1")
			}
			if got := from("203.0.113.1"); got != http.StatusTooManyRequests {
				t.Errorf("after 31 wrong tokens: %d", got)
			}
			if got := from("203.0.113.2"); got != c.want {
				t.Errorf("of another address: %d, want %d", got, c.want)
			}
			p.stop(t, syscall.SIGTERM)
		})
	}
}

// Plain HTTP beyond this machine is spoken with the proxies alone.
func TestPlainHTTPIsForProxies(t *testing.T) {
	g := gated{from: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::7/128")}}
	for peer, want := range map[string]bool{
		"127.0.0.1:9": true, "[::1]:9": true, "10.0.0.7:9": true, "[::ffff:10.0.0.7]:9": true, "[fd00::7]:9": true,
		"10.0.1.7:9": false, "[fd00::8]:9": false, "192.0.2.1:9": false, "somebody": false,
	} {
		if got := g.passes(address(peer)); got != want {
			t.Errorf("%s: %v, want %v", peer, got, want)
		}
	}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	var s networkSettings
	if _, isGated := s.gate(own).(gated); !isGated {
		t.Error("plain HTTP is spoken with everybody")
	}
}

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// writeCertificate makes a certificate for this machine, and returns who trusts it.
func writeCertificate(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

// A server with a certificate speaks HTTPS, and takes a renewed one without a new start.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := writeCertificate(t, cert, key)
	p := startDemo(t, filepath.Join(dir, "data"), "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(p.URL, "https://127.0.0.1:") {
		t.Errorf("it says that it is at %s", p.URL)
	}
	get := func() error {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
		out, err := c.Get(p.URL + "/health")
		if err == nil {
			out.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Error(err)
	}
	if out, err := http.Get("http://" + strings.TrimPrefix(p.URL, "https://") + "/health"); err == nil && out.StatusCode < 400 {
		t.Error("it speaks plain HTTP too")
	}
	if link := must(t, "sign-in", demoOwner, "--data", filepath.Join(dir, "data")); !strings.HasPrefix(link, p.URL+"/sign-in?") {
		t.Errorf("the link is %s", link)
	}
	// One that is half written leaves the one of before.
	if err := os.WriteFile(cert, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Error(err)
	}
	pool = writeCertificate(t, cert, key)
	if err := os.Chtimes(cert, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Errorf("the renewed certificate: %v", err)
	}
	p.stop(t, syscall.SIGTERM)
}
