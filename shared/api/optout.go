package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"lethe/shared/dsr"
)

// optOuts answers a page of who is opted out in the project, newest first: marks,
// never identifiers.
func (e *edge) optOuts(c *call) error {
	page, size, err := c.page()
	if err != nil {
		return err
	}
	found, total, err := e.Service.OptOuts(c.r.Context(), c.project.ID, page, size)
	if err != nil {
		return err
	}
	results := make([]optedOut, len(found))
	for i, w := range found {
		results[i] = optedOutOf(w)
	}
	return c.list(results, page, size, total)
}

// changeOptOuts is a route that opts the people in its body out or in.
func (e *edge) changeOptOuts(do func(ctx context.Context, project string, ids []string, by dsr.By) (dsr.OptOutChange, error)) func(*call) error {
	return func(c *call) error {
		ids, err := c.ids()
		if err != nil {
			return err
		}
		changed, err := do(c.r.Context(), c.project.ID, ids, c.by())
		if err != nil {
			return err
		}
		return c.ok(http.StatusOK, optOutChange{changed.Submitted, changed.Changed, int((changed.Wait + time.Second - 1) / time.Second)})
	}
}

// testOptOuts tells of each identifier in the body, by its position, whether it is
// opted out.
func (e *edge) testOptOuts(c *call) error {
	ids, err := c.ids()
	if err != nil {
		return err
	}
	words, err := e.Service.OptedOut(c.r.Context(), c.project.ID, ids)
	if err != nil {
		return err
	}
	results := make([]optOutTest, len(words))
	for i, w := range words {
		results[i] = optOutTest{Position: i + 1, OptedOut: w.Out}
		if w.Out {
			told := optedOutOf(w)
			results[i].optedOut = &told
		}
	}
	return c.ok(http.StatusOK, results)
}

// ids reads a body that is a set of identifiers.
func (c *call) ids() ([]string, error) {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return nil, err
	}
	fields, err := parseObject(body, "distinct_ids")
	if err != nil {
		return nil, err
	}
	return parseIDs(fields["distinct_ids"])
}

// optedOut is one who is opted out.
type optedOut struct {
	Mark      string `json:"mark"`
	DateAdded string `json:"date_added"`
	Origin    string `json:"origin"`            // "api", "link" or "deletion"
	TaskID    string `json:"task_id,omitempty"` // the deletion
	AddedBy   string `json:"added_by"`          // "" where a restore of a backup put it back
}

func optedOutOf(w dsr.Word) optedOut {
	origin, task, _ := strings.Cut(w.Origin, " ")
	return optedOut{Mark: w.Name, DateAdded: date(w.Time), Origin: origin, TaskID: task, AddedBy: w.By}
}

// optOutTest is the answer about one identifier; with the opt-out if there is one.
type optOutTest struct {
	Position int  `json:"position"`
	OptedOut bool `json:"opted_out"`
	*optedOut
}

// optOutChange is the answer to a change of opt-outs.
type optOutChange struct {
	Count   int `json:"distinct_id_count"`
	Changed int `json:"changed"`
	// UnderWay is for how many seconds data that was under way may still be stored.
	UnderWay int `json:"under_way_seconds"`
}
