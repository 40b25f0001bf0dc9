package cloud

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// maxAnswer is the most bytes of JSON that Lambda takes as an answer.
const maxAnswer = 6 << 20

// HTTP adapts a handler to lambda.Start behind an API Gateway HTTP API (payload
// version 2.0) on its stage $default. The handler sees the request as a server
// would show it: the peer's address in RemoteAddr, cookies in one header, a body
// already decoded; headers that came several times arrive joined by commas, and
// the connection counts as encrypted. An answer that would pass the 6 MB of
// Lambda becomes 413. A panic fails the invocation, which the caller sees as 500.
func HTTP(h http.Handler) func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return func(ctx context.Context, in events.APIGatewayV2HTTPRequest) (out events.APIGatewayV2HTTPResponse, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = panicked(p)
			}
		}()
		r, err := request(ctx, in)
		if err != nil {
			return plain(http.StatusBadRequest, "the request cannot be read"), nil
		}
		w := &answer{header: http.Header{}}
		h.ServeHTTP(w, r)
		out = w.response()
		if r.Method == http.MethodHead {
			out.Body, out.IsBase64Encoded = "", false
		}
		return out, nil
	}
}

// request makes a server's request of an event.
func request(ctx context.Context, in events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	var body io.Reader = strings.NewReader(in.Body)
	size := int64(len(in.Body))
	if in.IsBase64Encoded {
		raw, err := base64.StdEncoding.DecodeString(in.Body)
		if err != nil {
			return nil, err
		}
		body, size = bytes.NewReader(raw), int64(len(raw))
	}
	target := &url.URL{Path: in.RawPath, RawQuery: in.RawQueryString}
	// The gateway passes some paths on as they were sent and some decoded.
	if path, err := url.PathUnescape(in.RawPath); err == nil {
		target.Path, target.RawPath = path, in.RawPath
	}
	r, err := http.NewRequestWithContext(ctx, in.RequestContext.HTTP.Method, "/", body)
	if err != nil {
		return nil, err
	}
	r.URL = target
	r.RequestURI = target.RequestURI()
	r.ContentLength = size
	r.RemoteAddr = net.JoinHostPort(in.RequestContext.HTTP.SourceIP, "0")
	r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	r.Host = in.RequestContext.DomainName
	for name, value := range in.Headers {
		r.Header.Set(name, value)
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	if len(in.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(in.Cookies, "; "))
	}
	return r, nil
}

// An answer collects what a handler writes.
type answer struct {
	header http.Header // as the handler changes it
	sent   http.Header // as it was when the status was written
	status int
	body   bytes.Buffer
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *answer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *answer) response() events.APIGatewayV2HTTPResponse {
	w.WriteHeader(http.StatusOK)
	if w.body.Len() > 0 && w.sent.Get("Content-Type") == "" {
		w.sent.Set("Content-Type", http.DetectContentType(w.body.Bytes()))
	}
	out := events.APIGatewayV2HTTPResponse{
		StatusCode: w.status,
		Headers:    make(map[string]string, len(w.sent)),
		Cookies:    w.sent.Values("Set-Cookie"),
	}
	for name, values := range w.sent {
		if name != "Set-Cookie" {
			out.Headers[name] = strings.Join(values, ", ")
		}
	}
	if utf8.Valid(w.body.Bytes()) {
		out.Body = w.body.String()
	} else {
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	if tooLarge(out) {
		return plain(http.StatusRequestEntityTooLarge, "the answer is larger than 6 MB: ask for less")
	}
	return out
}

// tooLarge reports whether Lambda would refuse the answer. JSON writes a byte as
// six at the most, so only a large body needs to be tried.
func tooLarge(out events.APIGatewayV2HTTPResponse) bool {
	const slack = 64 << 10 // headers
	if len(out.Body) > maxAnswer {
		return true
	}
	if len(out.Body) <= (maxAnswer-slack)/6 {
		return false
	}
	whole, err := json.Marshal(out)
	return err != nil || len(whole) > maxAnswer
}

// plain is an answer of the adapter's own, in the shape of the API's errors.
func plain(status int, sentence string) events.APIGatewayV2HTTPResponse {
	body, _ := json.Marshal(map[string]string{"status": "error", "error": sentence})
	return events.APIGatewayV2HTTPResponse{
		StatusCode: status,
		Headers:    map[string]string{"Content-Type": "application/json"},
		Body:       string(body),
	}
}
