package main

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
)

// networkSettings are the flags of serve about how it is reached, and by whom.
type networkSettings struct {
	listen    string
	publicURL string
	tlsCert   string // a file
	tlsKey    string // a file
	proxies   []string

	trusted     []netip.Prefix // that proxies name
	certificate *certificate   // nil for plain HTTP
}

func (s *networkSettings) register(f *pflag.FlagSet) {
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one. Beyond this machine only with --tls-cert, or for a --trusted-proxy")
	f.StringVar(&s.publicURL, "public-url", "", "`address` of https that people and programs reach this server at, as through a proxy; the one listened on without it")
	f.StringVar(&s.tlsCert, "tls-cert", "", "`file` in PEM with the certificate, and those between it and its authority, to serve HTTPS with; read again when it changes")
	f.StringVar(&s.tlsKey, "tls-key", "", "`file` in PEM with the key of --tls-cert")
	f.StringSliceVar(&s.proxies, "trusted-proxy", nil, "`address` or network, as 10.0.0.7 or 10.0.0.0/24, of a proxy whose X-Forwarded-For is believed; can be given again")
}

// check says what is wrong, and reads the certificate.
func (s *networkSettings) check(demo bool) error {
	for _, text := range s.proxies {
		network, ok := parseNetwork(text)
		if !ok {
			return failure{statusUsage, "--trusted-proxy takes the address of a proxy or its network, such as 10.0.0.7 or 10.0.0.0/24, and not every address there is."}
		}
		s.trusted = append(s.trusted, network)
	}
	if s.publicURL != "" && !origin(s.publicURL) {
		return failure{statusUsage, "--public-url takes an address of https without a path, such as https://lethe.example.com."}
	}
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return failure{statusUsage, "--listen takes an address and a port, for example 127.0.0.1:8080."}
	}
	if (s.tlsCert == "") != (s.tlsKey == "") {
		return failure{statusUsage, "--tls-cert and --tls-key go together: give the file with the certificate and the one with its key."}
	}
	if s.tlsCert != "" {
		s.certificate = &certificate{cert: s.tlsCert, key: s.tlsKey}
		if _, err := s.certificate.get(nil); err != nil {
			return failure{statusUsage, "The files that --tls-cert and --tls-key name hold no certificate in PEM with its key, or cannot be read."}
		}
	}
	switch {
	case loopback(host):
		return nil
	case demo:
		return failure{statusRefused, "A demo never listens beyond this machine, since its credentials are printed: use --listen 127.0.0.1:8080."}
	case s.certificate == nil && len(s.trusted) == 0:
		return failure{statusRefused, "Listening beyond this machine in plain HTTP would show personal data to the network: listen on 127.0.0.1 behind a proxy with TLS on this machine, serve HTTPS with --tls-cert and --tls-key, or name a proxy with TLS elsewhere with --trusted-proxy."}
	case s.publicURL == "":
		return failure{statusUsage, "Listening beyond this machine needs --public-url, the address of https that people and programs reach the server at."}
	}
	return nil
}

// parseNetwork reads an address or a network. One of all addresses is none, since
// then anybody could say where they come from.
func parseNetwork(s string) (netip.Prefix, bool) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil && p.Bits() > 0 && !p.Addr().Is4In6()
}

// base is the address that this server is reached at, which listens at another.
func (s *networkSettings) base(listened string) string {
	if s.publicURL == "" {
		return listened
	}
	return strings.TrimSuffix(s.publicURL, "/")
}

// address is where this server listens.
func (s *networkSettings) address(l net.Listener) string {
	if s.certificate != nil {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// gate lets nobody on to l but who may: over plain HTTP those on this machine, and the
// proxies that add the encryption.
func (s *networkSettings) gate(l net.Listener) net.Listener {
	if s.certificate != nil {
		return l
	}
	return gated{l, s.trusted}
}

type gated struct {
	net.Listener
	from []netip.Prefix
}

// Accept implements net.Listener.
func (g gated) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || g.passes(c.RemoteAddr()) {
			return c, err
		}
		_ = c.Close() // nothing was read of it
	}
}

func (g gated) passes(peer net.Addr) bool {
	p, err := netip.ParseAddrPort(peer.String())
	if err != nil {
		return false
	}
	from := p.Addr().Unmap().WithZone("")
	for _, n := range g.from {
		if n.Contains(from) {
			return true
		}
	}
	return from.IsLoopback()
}

// A certificate is read again whenever its file has changed, so that one that is renewed
// needs no new start. One that cannot be read then leaves the one of before.
type certificate struct {
	cert, key string

	mu   sync.Mutex
	of   time.Time // when the file was written
	pair *tls.Certificate
}

// get is a tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.cert)
	if err == nil && c.pair != nil && info.ModTime().Equal(c.of) {
		return c.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	if err != nil && c.pair == nil {
		return nil, err
	}
	if err == nil {
		c.pair, c.of = &pair, info.ModTime()
	}
	return c.pair, nil
}
