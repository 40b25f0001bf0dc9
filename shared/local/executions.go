package local

import (
	"context"
	"slices"
	"time"

	"lethe/shared/asl"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// An Execution is how one run of a state machine stands. Nothing in it names a
// data subject: machines carry names of requests and numbers of batches.
type Execution struct {
	Machine string     `json:"machine"`
	Name    string     `json:"name"` // <task id>-<attempt>
	Status  string     `json:"status"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
	Error   string     `json:"error,omitempty"`
	Cause   string     `json:"cause,omitempty"`
}

// A Place is where an execution stands.
type Place struct {
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Item is the index of each Map iteration that the state is inside of, from 0.
	Item []int `json:"item,omitempty"`
	// Until is when a wait ends, that before another attempt included.
	Until   *time.Time `json:"until,omitempty"`
	Retries int        `json:"retries,omitempty"` // attempts of the state that failed
}

// A Story is an execution with where it stands and what happened in it.
type Story struct {
	Execution
	Where   []Place     `json:"where,omitempty"`
	History []asl.Event `json:"history"`
}

// Executions returns the latest executions of both machines, the latest started
// first, at most limit of them. It comes from an index and may lag behind a moment.
func (p *Platform) Executions(ctx context.Context, limit int) ([]Execution, error) {
	e, err := p.observer()
	if err != nil {
		return nil, err
	}
	var all []Execution
	for _, machine := range machines {
		page, _, err := e.List(ctx, machine, limit, "")
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			all = append(all, executionOf(x))
		}
	}
	slices.SortStableFunc(all, func(a, b Execution) int { return b.Started.Compare(a.Started) })
	return all[:min(limit, len(all))], nil
}

// Execution tells all of one; kind.NotFound, with a sentence, without it.
func (p *Platform) Execution(ctx context.Context, name string) (Story, error) {
	e, err := p.observer()
	if err != nil {
		return Story{}, err
	}
	for _, machine := range machines {
		x, err := e.Describe(ctx, machine, name)
		if kind.Of(err) == kind.NotFound {
			continue
		}
		if err != nil {
			return Story{}, err
		}
		return story(ctx, e, x)
	}
	return Story{}, kind.Say(kind.NotFound, "There is no execution of that name: lethe executions lists them. An execution is named by the task id of its request and a number, as in 0b5e…-1.")
}

var machines = [...]string{string(dsr.Export), string(dsr.Deletion)}

// observer is an engine to look with: the one that runs, or in a directory that is
// open without a service one that never runs.
func (p *Platform) observer() (*asl.Engine, error) {
	if p.engine != nil {
		return p.engine, nil
	}
	return newEngine(p.db.Table("workflow"), p.Clock, p.config.Log, &dsr.Service{})
}

func executionOf(x asl.Execution) Execution {
	return Execution{
		Machine: x.Machine, Name: x.Name, Status: string(x.Status), Started: x.Started, Ended: unlessZero(x.Ended),
		Error: x.Error, Cause: x.Cause,
	}
}

func story(ctx context.Context, e *asl.Engine, x asl.Execution) (Story, error) {
	s := Story{Execution: executionOf(x)}
	var err error
	if s.History, err = e.History(ctx, x.Machine, x.Name); err != nil || x.Status != asl.Running {
		return s, err
	}
	where, err := e.Where(ctx, x.Machine, x.Name)
	for _, at := range where {
		s.Where = append(s.Where, Place{State: at.State, Since: at.Since, Item: at.Item, Until: unlessZero(at.Until), Retries: at.Retries})
	}
	return s, err
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
