package api

import (
	"crypto/sha256"
	"net/http"
	"strconv"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// create takes a request of type t in.
func (e *edge) create(t dsr.Type) func(*call) error {
	return func(c *call) error {
		key, err := idempotencyKey(c.r)
		if err != nil {
			return err
		}
		body, err := readBody(c.w, c.r)
		if err != nil {
			return err
		}
		sub, err := parseSubmission(body)
		if err != nil {
			return err
		}
		sub.Project, sub.ProjectName, sub.Type, sub.By = c.project.ID, c.project.Name, t, c.by()
		// The type counts as part of the body, or a deletion under the key of an
		// export would be answered with the export.
		sub.IdempotencyKey, sub.Digest = key, sha256.Sum256(append([]byte(t+"\n"), body...))
		r, err := e.Service.Submit(c.r.Context(), sub)
		if err != nil {
			return err
		}
		answer := createdOf(r)
		answer.Status = dsr.Pending // a repetition gets the first answer, however far things are
		note(c.r).route(note(c.r).pattern, r.Task)
		return c.ok(http.StatusCreated, answer)
	}
}

// idempotencyKey reads the header; "" without one.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	plain := len(values) == 1 && key != "" && len(key) <= maxKey
	for i := range len(key) {
		plain = plain && ' ' <= key[i] && key[i] <= '~'
	}
	if !plain {
		return "", kind.Say(kind.Invalid, "Idempotency-Key must be 1 to 255 printable ASCII characters, once.")
	}
	return key, nil
}

// of reads the call's request of type t; found is false for one that is unknown,
// another project's or of the other type.
func (e *edge) of(c *call, t dsr.Type) (r dsr.Request, ids []string, found bool, err error) {
	r, err = e.Service.Get(c.r.Context(), c.project.ID, c.task)
	if kind.Of(err) == kind.NotFound || err == nil && r.Type != t {
		c.unknown = true
		return r, []string{}, false, nil
	}
	if err != nil {
		return r, nil, false, err
	}
	subjects, err := e.Service.IDs(c.r.Context(), r)
	ids = make([]string, len(subjects))
	for i, s := range subjects {
		ids[i] = string(s)
	}
	return r, ids, true, err
}

// retrieval answers how an export stands.
func (e *edge) retrieval(c *call) error {
	r, ids, found, err := e.of(c, dsr.Export)
	if err != nil {
		return err
	}
	if !found {
		return c.ok(http.StatusOK, retrieval{Status: notFound, DistinctIDs: ids})
	}
	link, err := e.Service.Link(c.r.Context(), r)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, retrieval{Status: r.Status, Result: link, Results: link, DistinctIDs: ids})
}

// deletion answers how a deletion stands.
func (e *edge) deletion(c *call) error {
	r, ids, found, err := e.of(c, dsr.Deletion)
	if err != nil {
		return err
	}
	if !found {
		return c.ok(http.StatusOK, deletion{Status: notFound, ProjectID: "0", DistinctIDs: ids})
	}
	first := createdOf(r)
	return c.ok(http.StatusOK, deletion{
		TrackingID: r.Task, Status: r.Status, RequestingUser: first.RequestingUser, Compliance: first.Compliance,
		ProjectID: first.ProjectID, DateRequested: first.DateRequested, DistinctIDs: ids, SubjectRequestID: r.SubjectRequestID,
	})
}

// cancel revokes one deletion.
func (e *edge) cancel(c *call) error {
	r, err := e.Service.Get(c.r.Context(), c.project.ID, c.task)
	if err != nil {
		return err
	}
	if r.Type != dsr.Deletion {
		return kind.Say(kind.NotFound, "There is no deletion of that id in this project.")
	}
	if _, err := e.Service.Cancel(c.r.Context(), c.project.ID, c.task, c.by()); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// cancelSet revokes the open deletions of exactly the set of identifiers in the
// body.
func (e *edge) cancelSet(c *call) error {
	ids, err := c.ids()
	if err != nil {
		return err
	}
	if err := e.Service.CancelSet(c.r.Context(), c.project.ID, ids, c.by()); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// list answers a page of a project's requests of type t, newest first.
func (e *edge) list(t dsr.Type) func(*call) error {
	return e.pages(func(c *call, page, size int) ([]dsr.Request, int, error) {
		return e.Service.List(c.r.Context(), c.project.ID, t, page, size)
	})
}

// listOnly answers a page of all requests of a project, or of those that the query
// asks for.
func (e *edge) listOnly(c *call, page, size int) ([]dsr.Request, int, error) {
	if !c.query.Has("only") {
		return e.Service.List(c.r.Context(), c.project.ID, "", page, size)
	}
	switch only := dsr.Only(c.query.Get("only")); only {
	case dsr.OnlyOpen, dsr.OnlyOverdue, dsr.OnlyBroken:
		return e.Service.ListOnly(c.r.Context(), c.project.ID, only, page, size)
	}
	return nil, 0, kind.Say(kind.Invalid, "only must be open, overdue or broken.")
}

// pages answers a page of what find finds.
func (e *edge) pages(find func(c *call, page, size int) ([]dsr.Request, int, error)) func(*call) error {
	return func(c *call) error {
		page, size, err := c.page()
		if err != nil {
			return err
		}
		found, total, err := find(c, page, size)
		if err != nil {
			return err
		}
		results := make([]listed, len(found))
		for i, r := range found {
			results[i] = e.listedOf(r)
		}
		return c.list(results, page, size, total)
	}
}

// page reads which page of a list is asked for.
func (c *call) page() (page, size int, err error) {
	if page, err = c.number("page", 1, 1_000_000); err != nil {
		return 0, 0, err
	}
	size, err = c.number("page_size", defaultPage, maxPage)
	return page, size, err
}

// list answers a page of results, which is a slice, of total.
func (c *call) list(results any, page, size, total int) error {
	return c.json(http.StatusOK, struct {
		Status   string `json:"status"`
		Results  any    `json:"results"`
		Page     int    `json:"page"`
		PageSize int    `json:"page_size"`
		Total    int    `json:"total"`
	}{"ok", results, page, size, total})
}

// number reads a query parameter from 1 to most.
func (c *call) number(name string, otherwise, most int) (int, error) {
	if !c.query.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(c.query.Get(name))
	if err != nil || n < 1 || n > most {
		return 0, kind.Say(kind.Invalid, name+" must be a number from 1 to "+strconv.Itoa(most)+".")
	}
	return n, nil
}
