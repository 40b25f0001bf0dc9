package api

import (
	"bytes"
	"context"
	_ "embed"
	"io"
	"net/http"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

//go:embed openapi.json
var description []byte

// describe answers the description of every route, in OpenAPI 3.1.
func (e *edge) describe(c *call) error {
	write(c.w, http.StatusOK, description)
	return nil
}

// detail answers all there is to tell of one request.
func (e *edge) detail(c *call) error {
	d, err := e.Service.Detail(c.r.Context(), c.project.ID, c.task)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, e.detailOf(d))
}

// certificate answers a deletion's certificate, as the file it is.
func (e *edge) certificate(c *call) error {
	file, err := e.Service.Certificate(c.r.Context(), c.project.ID, c.task)
	if err != nil {
		return err
	}
	defer file.Close()
	// Whole before the first byte goes out, so that a failure is still an error. A
	// certificate is at most some hundred bytes an identifier.
	var whole bytes.Buffer
	if _, err := io.Copy(&whole, file); err != nil {
		return kind.Wrap("read the certificate", err)
	}
	c.w.Header().Set("Content-Disposition", `attachment; filename="`+c.task+`.json"`)
	write(c.w, http.StatusOK, whole.Bytes())
	return nil
}

// download sends the caller on to a fresh link.
func (e *edge) download(c *call) error {
	link, err := e.Service.Download(c.r.Context(), c.project.ID, c.task, c.by())
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", link)
	c.w.WriteHeader(http.StatusFound)
	return nil
}

// change is a route that changes one request and takes no body.
func (e *edge) change(do func(ctx context.Context, project, task string, by dsr.By) (dsr.Request, error)) func(*call) error {
	return func(c *call) error {
		r, err := do(c.r.Context(), c.project.ID, c.task, c.by())
		if err != nil {
			return err
		}
		return c.ok(http.StatusOK, e.listedOf(r))
	}
}

// rerunAll runs every request of the project again that failed and may not fail again.
func (e *edge) rerunAll(c *call) error {
	done, err := e.Service.RerunAll(c.r.Context(), c.project.ID, c.by())
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, done)
}

// extend moves the due date, for a reason given in the body.
func (e *edge) extend(c *call) error {
	reason, err := c.field("reason")
	if err != nil {
		return err
	}
	r, err := e.Service.Extend(c.r.Context(), c.project.ID, c.task, reason, c.by())
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, e.listedOf(r))
}
