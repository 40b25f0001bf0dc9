package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// How long the server waits. A download has downloadTime in place of answerTime,
// since an archive may be large and the line slow.
const (
	headerTime   = 10 * time.Second
	requestTime  = time.Minute // ten megabytes over a slow line
	answerTime   = time.Minute
	downloadTime = time.Hour
	idleTime     = 2 * time.Minute
	drainTime    = 10 * time.Second
)

// listen takes the address to serve on.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, failure{statusPort, "The address " + address + " is in use by another process: stop that one, or choose another with --listen (port 0 takes a free one)."}
	case err != nil:
		return nil, failure{statusPort, "The address " + address + " cannot be listened on: choose another with --listen."}
	}
	return l, nil
}

// serve answers requests until ctx ends, then lets those under way finish for
// drainTime at most. With a certificate it serves HTTPS.
func serve(ctx context.Context, l net.Listener, c *certificate, h http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	if c == nil {
		go func() { ended <- s.Serve(l) }()
	} else {
		s.TLSConfig = &tls.Config{GetCertificate: c.get}
		go func() { ended <- s.ServeTLS(l, "", "") }()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if err := drain(ctx, s); err != nil {
		log.Warn("requests were cut off", "after", drainTime)
	}
	return nil
}

// drain stops s, whose ctx has ended. What is under way may finish for drainTime,
// and is then cut off, which is an error.
func drain(ctx context.Context, s *http.Server) error {
	enough, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := s.Shutdown(enough)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	return err
}

// downloads gives h the time that a large file takes.
func downloads(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Where the deadline cannot be moved the shorter one stands.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(downloadTime))
		h.ServeHTTP(w, r)
	})
}

// hosts returns what the Host header may say: the names of loopback, with the
// port of l, and that of --public-url. A page on the web can point a name of its own at 127.0.0.1 and have
// a visitor's browser talk to this server (DNS rebinding); such a name is not
// among them.
func (s settings) hosts(l net.Listener) []string {
	ip, port, _ := net.SplitHostPort(l.Addr().String())
	usual := "80"
	if s.certificate != nil {
		usual = "443"
	}
	var hosts []string
	if u, err := url.Parse(s.publicURL); err == nil && u.Host != "" {
		hosts = append(hosts, u.Host)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", ip} {
		hosts = append(hosts, net.JoinHostPort(name, port))
		if port == usual {
			hosts = append(hosts, strings.TrimSuffix(net.JoinHostPort(name, port), ":"+usual))
		}
	}
	return hosts
}
