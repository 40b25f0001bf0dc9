package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Type is what a request asks for.
type Type string

const (
	Export   Type = "export"
	Deletion Type = "deletion"
)

func (t Type) path() string {
	if t == Deletion {
		return "/data-deletions/v3.0/"
	}
	return "/data-retrievals/v3.0/"
}

// Most is the most identifiers of one request.
const Most = 2000

// An Ask is a request as it is sent in.
type Ask struct {
	IDs        []string `json:"distinct_ids"`              // 1 to Most
	Compliance string   `json:"compliance_type,omitempty"` // GDPR, the default, or CCPA
	Disclosure string   `json:"disclosure_type,omitempty"` // Data, the default; for CCPA also Categories or Sources
	Window     *Window  `json:"window,omitempty"`          // of an export under CCPA; nil is the last 12 months. Lethe's own
	Block      bool     `json:"block,omitempty"`           // of a deletion: opt the people out too. Lethe's own
	// SubjectRequestID is a lowercase UUID v4 of the sender's own, once in a project.
	SubjectRequestID string `json:"subject_request_id,omitempty"`
	// Key makes a request that is sent again within 24 hours the same one. Lethe's own.
	Key string `json:"-"`
}

// A Window is the time whose events are exported: all of it, or from and to as dates or
// times of RFC 3339, either of which may be empty.
type Window struct {
	All      bool
	From, To string
}

// MarshalJSON implements json.Marshaler.
func (w Window) MarshalJSON() ([]byte, error) {
	if w.All {
		return []byte(`"all"`), nil
	}
	bounds := map[string]string{}
	if w.From != "" {
		bounds["from"] = w.From
	}
	if w.To != "" {
		bounds["to"] = w.To
	}
	return json.Marshal(bounds)
}

// A Request is one as it stands. What Mixpanel does not tell is empty there.
type Request struct {
	Task             string      `json:"task_id"`
	Type             Type        `json:"type"`
	Status           string      `json:"status"` // PENDING, STAGING, STARTED, SUCCESS, FAILURE, REVOKED; NOT_FOUND where there is none
	Project          json.Number `json:"project_id"`
	Compliance       string      `json:"compliance_type"`
	Disclosure       string      `json:"disclosure_type"`
	Requested        string      `json:"date_requested"` // UTC
	Requester        string      `json:"requesting_user"`
	Count            int         `json:"distinct_id_count"`
	SubjectRequestID string      `json:"subject_request_id,omitempty"`
	Due              string      `json:"due,omitempty"` // a day
	Overdue          bool        `json:"overdue,omitempty"`
	Finished         string      `json:"date_finished,omitempty"`
	Reason           string      `json:"reason,omitempty"`
	Hold             string      `json:"hold,omitempty"` // why it waits for a confirmation
	Found            *Found      `json:"found,omitempty"`
	CancelUntil      string      `json:"cancel_until,omitempty"` // of a deletion, UTC; where one request is asked for
	Preview          *Preview    `json:"preview,omitempty"`      // likewise
}

// Ended reports whether nothing more happens to the request by itself.
func (r Request) Ended() bool {
	switch r.Status {
	case "SUCCESS", "FAILURE", "REVOKED", "NOT_FOUND":
		return true
	}
	return false
}

// Found sums what was found.
type Found struct {
	Events   int64  `json:"events"`
	Profiles int64  `json:"profiles"`
	Edges    *int64 `json:"edges,omitempty"`
	Subjects int64  `json:"subjects"`
}

// A Preview is what a deletion would erase.
type Preview struct {
	Found
	Share float64 `json:"share_percent"` // of the project
}

// A Detail is all there is to tell of a request.
type Detail struct {
	Request
	Withdrawn    bool  `json:"withdrawn,omitempty"`
	ArchiveBytes int64 `json:"archive_bytes,omitempty"`
	Timeline     []struct {
		Status string `json:"status"`
		Date   string `json:"date"`
	} `json:"timeline"`
	Findings []Finding `json:"findings"`
}

// A Finding is what was found of one identifier that was asked about.
type Finding struct {
	Position int      `json:"position"` // from 1 on
	ID       string   `json:"distinct_id,omitempty"`
	State    string   `json:"state"`              // "found" or "nothing found"; "" while it is looked for
	Resolved []string `json:"resolved,omitempty"` // all identifiers of the person
	Events   int64    `json:"events"`
	Profiles int64    `json:"profiles"`
}

// Planned reports whether it is known what a deletion would erase. Where Preview is nil
// then, it would erase nothing.
func (d Detail) Planned() bool {
	looked := len(d.Findings) > 0
	for _, f := range d.Findings {
		looked = looked && f.State == "nothing found"
	}
	return d.Preview != nil || looked || d.Status == "STARTED" || d.Ended()
}

// Submit sends a request in. Without a Key it is sent once only, and who does not get
// the answer cannot know whether it was taken.
func (c *Client) Submit(ctx context.Context, t Type, ask Ask) (Request, error) {
	var answer struct{ Results Request }
	err := c.do(ctx, call{method: http.MethodPost, path: t.path(), body: ask, key: ask.Key}, &answer)
	answer.Results.Type = t
	return answer.Results, err
}

// Status tells how a request stands, and for an export that has ended well the link to
// its archive, which is good for some minutes.
func (c *Client) Status(ctx context.Context, t Type, task string) (r Request, link string, err error) {
	var answer struct {
		Results struct {
			Request
			Result  string // Lethe has the link under both names, Mixpanel's description under the second
			Results string
			IDs     []string `json:"distinct_ids"`
		}
	}
	err = c.do(ctx, call{method: http.MethodGet, path: t.path() + url.PathEscape(task) + "/", twice: true}, &answer)
	r = answer.Results.Request
	r.Task, r.Type, r.Count = task, t, len(answer.Results.IDs)
	return r, cmp.Or(answer.Results.Result, answer.Results.Results), err
}

// nobodys is the id of no request.
const nobodys = "00000000-0000-4000-8000-000000000000"

// Try finds out whether the server is one of the API, and both tokens are good for calls
// about the project. It changes nothing.
func (c *Client) Try(ctx context.Context) error {
	r, _, err := c.Status(ctx, Export, nobodys)
	var answered *Error
	absent := errors.As(err, &answered) && answered.Status == http.StatusNotFound
	switch {
	case absent && answered.told, err == nil && r.Status == "NOT_FOUND":
		return nil
	case absent, err == nil:
		return strange(http.StatusNotFound)
	}
	return err
}

const requests = "/requests"

// Detail tells all there is to tell of a request. Lethe's own.
func (c *Client) Detail(ctx context.Context, task string) (Detail, error) {
	var answer struct{ Results Detail }
	err := c.do(ctx, call{method: http.MethodGet, path: requests + "/" + url.PathEscape(task), twice: true}, &answer)
	return answer.Results, err
}

// A Page is a part of a list, newest first.
type Page struct {
	Requests []Request `json:"results"`
	Page     int       `json:"page"`
	Size     int       `json:"page_size"`
	Total    int       `json:"total"`
}

// List tells a page, from 1 on, of the requests of a type.
func (c *Client) List(ctx context.Context, t Type, page, size int) (Page, error) {
	p, err := c.list(ctx, t.path(), url.Values{}, page, size)
	for i := range p.Requests {
		p.Requests[i].Type = t
	}
	return p, err
}

// ListAll tells a page of all requests, or only of those that are "open", "overdue" or
// "broken". Lethe's own.
func (c *Client) ListAll(ctx context.Context, only string, page, size int) (Page, error) {
	query := url.Values{}
	if only != "" {
		query.Set("only", only)
	}
	return c.list(ctx, requests, query, page, size)
}

func (c *Client) list(ctx context.Context, path string, query url.Values, page, size int) (p Page, err error) {
	query.Set("page", strconv.Itoa(page))
	query.Set("page_size", strconv.Itoa(size))
	err = c.do(ctx, call{method: http.MethodGet, path: path, query: query, twice: true}, &p)
	return p, err
}

// Cancel revokes a deletion that has not begun.
func (c *Client) Cancel(ctx context.Context, task string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: Deletion.path() + url.PathEscape(task) + "/", twice: true}, nil)
}

// Rerun runs a request again that failed. Lethe's own.
func (c *Client) Rerun(ctx context.Context, task string) (Request, error) {
	return c.change(ctx, task, "rerun", nil)
}

// RerunAll runs every request of the project again that is broken, as many as may be open
// at a time; called again it goes on with those that are left. Lethe's own.
func (c *Client) RerunAll(ctx context.Context) (Reruns, error) {
	var answer struct{ Results Reruns }
	err := c.do(ctx, call{method: http.MethodPost, path: requests + "/rerun"}, &answer)
	return answer.Results, err
}

// Reruns is what RerunAll did.
type Reruns struct {
	Rerun int `json:"rerun"` // now at work again
	Left  int `json:"left"`  // not yet, since no more may be open at a time
}

// Confirm lets a request go on that waits for a confirmation. Lethe's own.
func (c *Client) Confirm(ctx context.Context, task string) (Request, error) {
	return c.change(ctx, task, "confirm", nil)
}

func (c *Client) change(ctx context.Context, task, how string, body any) (Request, error) {
	var answer struct{ Results Request }
	err := c.do(ctx, call{method: http.MethodPost, path: requests + "/" + url.PathEscape(task) + "/" + how, body: body}, &answer)
	return answer.Results, err
}

// Certificate returns the certificate of a deletion, as the file it is. Lethe's own.
func (c *Client) Certificate(ctx context.Context, task string) ([]byte, error) {
	answer, err := c.send(ctx, call{method: http.MethodGet, path: requests + "/" + url.PathEscape(task) + "/certificate", twice: true})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	return b, nil
}

// Wait asks how a request stands until it has ended, every so often, and calls told with
// each answer.
func (c *Client) Wait(ctx context.Context, t Type, task string, every time.Duration, told func(Request)) (Request, error) {
	for {
		r, _, err := c.Status(ctx, t, task)
		if err != nil {
			return r, err
		}
		told(r)
		if r.Ended() {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(every):
		}
	}
}
