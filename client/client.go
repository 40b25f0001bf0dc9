// Package client calls the GDPR API of a Lethe, or of Mixpanel, whose API v3 is the same
// on the wire: it asks for copies and erasures of people's data, tells how a request
// stands, and fetches what came of it. New makes a Client; each method is one call.
//
// A call that a server turned away for coming too soon (429), that it could not answer
// (5xx) or that was lost on the way is made again for a while, where that cannot do
// anything twice. Errors are *Error where a server answered, and never hold a token or
// an identifier.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config is what a Client needs to know.
type Config struct {
	URL     string // address of the server, without a path: https://lethe.example.com
	Project string // project token
	Token   string // GDPR token; Import needs none
	// Secret is the project's API secret, which Mixpanel wants of Import. Lethe takes it
	// too, and the project token without it.
	Secret string
	// HTTP makes the calls; nil is a client of its own.
	HTTP *http.Client
	// Patience is how long a call is made again; 0 is two minutes, negative is never.
	Patience time.Duration
}

// A Client makes calls about one project. It is safe for concurrent use.
type Client struct {
	config Config
	base   *url.URL
	calls  *http.Client // config.HTTP that goes nowhere else
}

// New returns a Client. The address has to be one of https, or of http on this machine,
// since tokens and personal data go there.
func New(c Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil || base.Host == "" || base.Path != "" || base.RawQuery != "" || base.User != nil {
		return nil, errors.New("the address of the server is no address without a path, such as https://lethe.example.com")
	}
	if base.Scheme != "https" && (base.Scheme != "http" || !here(base.Hostname())) {
		return nil, errors.New("the address of the server must begin with https://, since tokens and personal data go there; http:// does only for this machine")
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: time.Minute}
	}
	if c.Patience == 0 {
		c.Patience = 2 * time.Minute
	}
	// Tokens and identifiers are for the server that was named, and not for another, or
	// for plain HTTP, that it sends calls on to.
	calls := *c.HTTP
	calls.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{c, base, &calls}, nil
}

func here(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// Mixpanel reports whether the server is Mixpanel's, which lacks what is Lethe's own.
func (c *Client) Mixpanel() bool {
	return c.base.Hostname() == "mixpanel.com" || strings.HasSuffix(c.base.Hostname(), ".mixpanel.com")
}

// ingestion is the address that events go to: Mixpanel has one of its own for each region.
func (c *Client) ingestion() string {
	region, is := strings.CutSuffix(c.base.Hostname(), "mixpanel.com")
	if !is || !c.Mixpanel() || strings.HasPrefix(region, "api") {
		return c.base.String()
	}
	at := *c.base
	at.Host = "api.mixpanel.com"
	if region = strings.TrimSuffix(region, "."); region != "" {
		at.Host = "api-" + region + ".mixpanel.com"
	}
	return at.String()
}

// An Error is what a server answered that did not do what it was asked.
type Error struct {
	Status   int    // of HTTP
	Sentence string // what the server said
	Wait     time.Duration

	body []byte
	told bool // as the API tells of errors
}

func (e *Error) Error() string { return e.Sentence }

// lost is an answer that did not come.
type lost struct{ err error }

func (l *lost) Error() string { return "the server did not answer: " + l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

// A call is one of the API.
type call struct {
	method, path string
	query        url.Values
	body         any    // of JSON; nil for none
	packed       []byte // events, deflated, in place of a body: it goes to ingestion
	key          string // Idempotency-Key
	twice        bool   // it may be made twice
}

// do makes a call, and again for a while, and reads the results of the answer into
// results unless that is nil.
func (c *Client) do(ctx context.Context, l call, results any) error {
	answer, err := c.send(ctx, l)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent || results == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(results); err != nil {
		return strange(answer.StatusCode)
	}
	return nil
}

// strange is an answer of something else than the API.
func strange(status int) *Error {
	return &Error{Status: status, Sentence: "The server did not answer as Lethe does: is the address right?"}
}

// send makes a call, and again for a while, until it is answered well.
func (c *Client) send(ctx context.Context, l call) (*http.Response, error) {
	until := time.Now().Add(c.config.Patience)
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 15*time.Second) {
		answer, err := c.once(ctx, l)
		pause, again := c.again(l, err, wait)
		if !again || time.Now().Add(pause).After(until) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// again tells whether a call that ended with err is made again, and after how long.
func (c *Client) again(l call, err error, wait time.Duration) (time.Duration, bool) {
	wait += rand.N(wait / 2)
	var answered *Error
	var unanswered *lost
	switch {
	case errors.As(err, &answered) && answered.Status == http.StatusTooManyRequests:
		return max(wait, answered.Wait), true // it did nothing
	case errors.As(err, &answered) && answered.Status >= http.StatusInternalServerError, errors.As(err, &unanswered):
		return wait, l.twice || l.key != ""
	}
	return 0, false
}

func (c *Client) once(ctx context.Context, l call) (*http.Response, error) {
	var body io.Reader
	base, prefix, query := c.base.String(), "/api/app", url.Values{}
	for name, values := range l.query {
		query[name] = values
	}
	switch {
	case l.packed != nil:
		base, prefix, body = c.ingestion(), "", bytes.NewReader(l.packed)
	case l.body != nil:
		b, err := json.Marshal(l.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	if l.packed == nil {
		query.Set("token", c.config.Project)
	}
	// The path is made of constants and of ids that are escaped.
	r, err := http.NewRequestWithContext(ctx, l.method, base+prefix+l.path+"?"+query.Encode(), body)
	if err != nil {
		return nil, errors.New("the call cannot be made: a task id has to be as the server gave it")
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if l.packed != nil {
		r.Header.Set("Content-Encoding", "gzip")
		r.SetBasicAuth(cmp.Or(c.config.Secret, c.config.Project), "")
	} else {
		r.Header.Set("Authorization", "Bearer "+c.config.Token)
	}
	if l.key != "" {
		r.Header.Set("Idempotency-Key", l.key)
	}
	answer, err := c.calls.Do(r)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, refusal(answer)
}

// unanswered is err without the address, which holds the project token.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &lost{err}
}

func refusal(answer *http.Response) *Error {
	e := &Error{Status: answer.StatusCode}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		e.Wait = time.Duration(seconds) * time.Second
	}
	// What was cut off is told by the status alone.
	e.body, _ = io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	var told struct{ Error string }
	switch {
	case answer.StatusCode < http.StatusBadRequest:
		e.Sentence = "The server sends calls on to another address, which was not followed: give the address that answers itself."
	case json.Unmarshal(e.body, &told) == nil && told.Error != "":
		e.Sentence, e.told = told.Error, true
	default:
		e.Sentence = fmt.Sprintf("The server answered %d %s.", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return e
}
