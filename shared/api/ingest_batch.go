package api

import (
	"context"
	"net/http"

	"lethe/shared/account"
	"lethe/shared/events"
	"lethe/shared/kind"
)

// batches are the records of one request, by project. The zero value is empty.
type batches[T any] struct {
	projects []string
	records  map[string][]T
	at       map[string][]int  // the positions of records in the request
	tokens   map[string]string // the project of each token; "" for an unknown one
	unknown  []int             // positions of records whose token names no project
}

// add puts a record to the others of its project: the one given, or the one that
// the token names.
func (b *batches[T]) add(ctx context.Context, projects Projects, i int, project *account.Project, token string, record T) error {
	id := ""
	if project != nil {
		id = project.ID
	} else {
		var err error
		if id, err = b.project(ctx, projects, token); err != nil {
			return err
		}
	}
	if id == "" {
		b.unknown = append(b.unknown, i)
		return nil
	}
	if b.records == nil {
		b.records, b.at = map[string][]T{}, map[string][]int{}
	}
	if b.records[id] == nil {
		b.projects = append(b.projects, id)
	}
	b.records[id] = append(b.records[id], record)
	b.at[id] = append(b.at[id], i)
	return nil
}

func (b *batches[T]) project(ctx context.Context, projects Projects, token string) (string, error) {
	if id, ok := b.tokens[token]; ok || token == "" {
		return id, nil
	}
	p, err := projects.ByToken(ctx, token)
	if err != nil && kind.Of(err) != kind.NotFound {
		return "", err
	}
	if b.tokens == nil {
		b.tokens = map[string]string{}
	}
	b.tokens[token] = p.ID
	return p.ID, nil
}

// store stores every batch and answers. Where no record could be stored and one
// lacks a token that is known, the answer is 401: a program with a wrong token has
// to notice.
func (b *batches[T]) store(a *answer, r *http.Request, store func(context.Context, string, []T) (events.Receipt, error)) error {
	const unknown = "The project token is missing or not known. Check that it was copied whole."
	if len(b.projects) == 0 && len(b.unknown) > 0 {
		return kind.Say(kind.Unauthorized, unknown)
	}
	for _, i := range b.unknown {
		a.reject(i, &events.Fault{Field: "token", Message: unknown})
	}
	for _, project := range b.projects {
		note(r).project = project
		receipt, err := store(r.Context(), project, b.records[project])
		if err != nil {
			return err
		}
		a.stored += receipt.Stored + receipt.Dropped // who sends what stays out is not to send it again
		for _, i := range receipt.Refused {
			a.reject(b.at[project][i], &events.Fault{Message: "the profile would grow too large; unset some of its properties"})
		}
	}
	a.done()
	return nil
}
