package dsr_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

func TestSubmitRefuses(t *testing.T) {
	many := make([]string, 2001)
	for i := range many {
		many[i] = fmt.Sprint("user", i)
	}
	for name, c := range map[string]struct {
		change func(*dsr.Submission)
		says   string
	}{
		"no ids":           {func(s *dsr.Submission) { s.IDs = nil }, "Give 1 to 2000"},
		"too many ids":     {func(s *dsr.Submission) { s.IDs = many }, "2001"},
		"a placeholder":    {func(s *dsr.Submission) { s.IDs = []string{"ann", "NULL", "bob", ""} }, "position 2 is a placeholder that would match many people; position 4 is empty"},
		"too long":         {func(s *dsr.Submission) { s.IDs = []string{strings.Repeat("x", 256)} }, "position 1 is longer than 255"},
		"sources and gdpr": {func(s *dsr.Submission) { s.Disclosure = dsr.Sources }, "under the GDPR"},
		"a bad name":       {func(s *dsr.Submission) { s.SubjectRequestID = "7" }, "subject_request_id"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			sub := submission(dsr.Deletion, "ann")
			c.change(&sub)
			_, err := w.Submit(t.Context(), sub)
			if kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), c.says) {
				t.Errorf("got %v, want it refused with %q", err, c.says)
			}
			if _, total, err := w.List(t.Context(), project, "", 1, 10); total != 0 || err != nil {
				t.Errorf("requests: got %d, %v; want none", total, err)
			}
		})
	}
}

func TestSubmitKeepsIDsInOrder(t *testing.T) {
	w := newWorld(t)
	ids := make([]string, 2000)
	for i := range ids {
		ids[i] = strings.Repeat("é", 200) + fmt.Sprint(i)
	}
	r := w.submit(dsr.Export, append([]string{}, ids...)...)
	got, err := w.IDs(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, ids, func(a kind.Subject, b string) bool { return string(a) == b }) {
		t.Errorf("got %d ids, not those submitted", len(got))
	}
	r = w.submit(dsr.Export, " bob", "ann", "bob")
	if got, _ := w.IDs(t.Context(), r); len(got) != 2 || string(got[0]) != "bob" || r.Count != 2 {
		t.Errorf("got %d ids, want bob and ann", len(got))
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	sub := submission(dsr.Deletion, "ann")
	sub.IdempotencyKey, sub.Digest = "k", [32]byte{1}
	first, err := w.Submit(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.Submit(t.Context(), sub)
	if err != nil || second.Task != first.Task {
		t.Errorf("again: got %v, %v; want the first answer", second.Task, err)
	}
	other := sub
	other.Digest = [32]byte{2}
	if _, err := w.Submit(t.Context(), other); kind.Of(err) != kind.Conflict || kind.Sentence(err) == "" {
		t.Errorf("another body: got %v, want Conflict", err)
	}
	w.advance(25 * time.Hour)
	third, err := w.Submit(t.Context(), other)
	if err != nil || third.Task == first.Task {
		t.Errorf("after a day: got %v, %v; want a new request", third.Task, err)
	}
}

func TestSubjectRequestIDIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	sub := submission(dsr.Export, "ann")
	sub.SubjectRequestID = "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"
	if _, err := w.Submit(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Submit(t.Context(), sub); kind.Of(err) != kind.Conflict || !strings.Contains(kind.Sentence(err), "subject_request_id") {
		t.Errorf("again: got %v, want Conflict", err)
	}
	sub.Project = "7654321"
	if _, err := w.Submit(t.Context(), sub); err != nil {
		t.Errorf("in another project: %v", err)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		if _, err := w.Submit(t.Context(), submission(dsr.Export, "ann")); err != nil {
			t.Fatalf("submission %d of a burst: %v", i+1, err)
		}
	}
	_, err := w.Submit(t.Context(), submission(dsr.Export, "ann"))
	var limit *dsr.LimitError
	if kind.Of(err) != kind.Throttled || !errors.As(err, &limit) || limit.After != time.Second {
		t.Fatalf("sixth: got %v, want Throttled for a second", err)
	}
	w.advance(limit.After)
	if _, err := w.Submit(t.Context(), submission(dsr.Export, "ann")); err != nil {
		t.Errorf("a second later: %v", err)
	}
	for range 94 {
		w.submit(dsr.Export, "ann")
	}
	w.advance(time.Minute)
	_, err = w.Submit(t.Context(), submission(dsr.Export, "ann"))
	if kind.Of(err) != kind.Throttled || !errors.As(err, &limit) || !strings.Contains(limit.Limit, "100 open") {
		t.Errorf("the 101st open request: got %v, want Throttled", err)
	}
	w.people()
	w.settle()
	w.submit(dsr.Export, "ann") // the others have ended
	if _, total, err := w.List(t.Context(), project, dsr.Export, 11, 10); total != 101 || err != nil {
		t.Errorf("list: got %d, %v; want 101", total, err)
	}
}

func TestListIsNewestFirst(t *testing.T) {
	w := newWorld(t)
	var tasks []string
	for i := range 7 {
		typ := dsr.Export
		if i%2 == 1 {
			typ = dsr.Deletion
		}
		tasks = append([]string{w.submit(typ, "ann").Task}, tasks...)
	}
	for _, c := range []struct {
		typ        dsr.Type
		page, size int
		want       []string
		total      int
	}{
		{"", 1, 3, tasks[:3], 7},
		{"", 3, 3, tasks[6:], 7},
		{"", 4, 3, nil, 7},
		{dsr.Deletion, 1, 10, []string{tasks[1], tasks[3], tasks[5]}, 3},
	} {
		got, total, err := w.List(t.Context(), project, c.typ, c.page, c.size)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range got {
			names = append(names, r.Task)
		}
		if !slices.Equal(names, c.want) || total != c.total {
			t.Errorf("page %d of %q: got %v of %d, want %v of %d", c.page, c.typ, names, total, c.want, c.total)
		}
	}
}

// racing lets something happen right before the first write.
type racing struct {
	table.Table
	before func()
}

func (r *racing) Write(ctx context.Context, ops ...table.Op) error {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.Table.Write(ctx, ops...)
}

// A double click answers both with the one request, also where it has a name of its own.
func TestTheSameSubmissionTwiceAtATime(t *testing.T) {
	w := newWorld(t)
	control := &racing{Table: w.control}
	w.control = control
	w.build()
	sub := submission(dsr.Export, "ann")
	sub.IdempotencyKey, sub.SubjectRequestID = "key", "0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e"
	var first dsr.Request
	control.before = func() {
		var err error
		if first, err = w.Submit(t.Context(), sub); err != nil {
			t.Error(err)
		}
	}
	second, err := w.Submit(t.Context(), sub)
	if err != nil || second.Task != first.Task {
		t.Errorf("got %q, %v; want %q", second.Task, err, first.Task)
	}
}
