package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// An OptOutChange is what a change of opt-outs did.
type OptOutChange struct {
	Count    int `json:"distinct_id_count"`
	Changed  int `json:"changed"`
	UnderWay int `json:"under_way_seconds"` // for how long data that was under way may still be stored
}

// An OptedOut is one who is opted out: a mark, never an identifier.
type OptedOut struct {
	Mark    string `json:"mark"`
	Added   string `json:"date_added"`
	Origin  string `json:"origin"`
	Task    string `json:"task_id,omitempty"`
	AddedBy string `json:"added_by"`
}

const optOuts = "/opt-outs"

// OptOut keeps out everything of up to Most people that is to come. Lethe's own.
func (c *Client) OptOut(ctx context.Context, ids []string) (OptOutChange, error) {
	return c.changeOptOuts(ctx, http.MethodPost, ids)
}

// OptIn takes opt-outs back. Lethe's own.
func (c *Client) OptIn(ctx context.Context, ids []string) (OptOutChange, error) {
	return c.changeOptOuts(ctx, http.MethodDelete, ids)
}

func (c *Client) changeOptOuts(ctx context.Context, method string, ids []string) (OptOutChange, error) {
	var answer struct{ Results OptOutChange }
	err := c.do(ctx, call{method: method, path: optOuts, body: people{ids}, twice: true}, &answer)
	return answer.Results, err
}

type people struct {
	IDs []string `json:"distinct_ids"`
}

// OptOuts tells a page, from 1 on, of who is opted out, and how many there are. Lethe's
// own.
func (c *Client) OptOuts(ctx context.Context, page, size int) (found []OptedOut, total int, err error) {
	var answer struct {
		Results []OptedOut
		Total   int
	}
	query := url.Values{"page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(size)}}
	err = c.do(ctx, call{method: http.MethodGet, path: optOuts, query: query, twice: true}, &answer)
	return answer.Results, answer.Total, err
}

// TestOptOuts tells of each identifier, in order, whether it is opted out. Lethe's own.
func (c *Client) TestOptOuts(ctx context.Context, ids []string) ([]bool, error) {
	var answer struct {
		Results []struct {
			OptedOut bool `json:"opted_out"`
		}
	}
	if err := c.do(ctx, call{method: http.MethodPost, path: optOuts + "/test", body: people{ids}, twice: true}, &answer); err != nil {
		return nil, err
	}
	out := make([]bool, len(answer.Results))
	for i, r := range answer.Results {
		out[i] = r.OptedOut
	}
	return out, nil
}
