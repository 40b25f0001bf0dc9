package asl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Everything of an execution lies in the partition asl#<machine>#<name>:
//
//	head         status, times, error; written at the start and at the end
//	input        the input
//	output       the output of one that succeeded
//	f#<path>     a frame; gone once the execution ended
//	h#<event>    the history of one transaction, named by its last event
//
// The partition asl#machine#<name> holds each definition that an execution was
// started with, named by its hash: an execution goes on with the definition it
// began with, whatever was deployed since. It is never removed.
//
// The partition asl#open holds an item <machine>#<name> for each execution that
// runs, with the time before which it has nothing to do.
const (
	openPK    = "asl#open"
	headSK    = "head"
	inputSK   = "input"
	outputSK  = "output"
	frameSK   = "f#"
	historySK = "h#"
)

// Retention is how long an execution can be described, and its name cannot be
// used again, after it ended: a year, the longest that one can run, and 90 days.
const Retention = 456 * 24 * time.Hour

// maxLife is when an execution of a machine without time-out is timed out.
const maxLife = 365 * 24 * time.Hour

func partition(machine, name string) string  { return "asl#" + machine + "#" + name }
func listPK(machine string) string           { return "asl#list#" + machine }
func openKey(machine, name string) table.Key { return table.Key{PK: openPK, SK: machine + "#" + name} }
func headKey(machine, name string) table.Key {
	return table.Key{PK: partition(machine, name), SK: headSK}
}
func inputKey(machine, name string) table.Key {
	return table.Key{PK: partition(machine, name), SK: inputSK}
}

// head is the record of an execution.
type head struct {
	Status  Status `json:"status"`
	Started int64  `json:"started"` // Unix milliseconds, as all times here
	Ended   int64  `json:"ended,omitempty"`
	Error   string `json:"error,omitempty"`
	Cause   string `json:"cause,omitempty"`
	// Definition is the hash of the one the execution was started with.
	Definition string `json:"definition"`
}

type open struct {
	Due int64 `json:"due,omitempty"` // 0 is at once
}

// frameRecord is a frame as it is stored.
type frameRecord struct {
	Phase     phase           `json:"phase"`
	State     string          `json:"state,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	Output    json.RawMessage `json:"output,omitempty"`
	Entered   int64           `json:"entered,omitempty"`
	EnteredID int64           `json:"enteredId,omitempty"`
	Due       int64           `json:"due,omitempty"`
	Tries     []int           `json:"tries,omitempty"`
	Retries   int             `json:"retries,omitempty"`
	Fork      int64           `json:"fork,omitempty"`
	Children  int             `json:"children,omitempty"`
}

// marshal writes a record without escaping <, > and &, so that a payload within
// its limit fits into an item.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("asl: a record cannot be encoded: " + err.Error()) // all are plain structs
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (x *execution) frameKey(path string) table.Key {
	return table.Key{PK: partition(x.machine.name, x.name), SK: frameSK + path}
}

func (x *execution) putFrame(f *frame) table.Op {
	r := frameRecord{Phase: f.phase, Fork: f.fork, Children: len(f.children)}
	if f.phase == ended {
		r.Output = f.output
	} else {
		r.State, r.Input = f.state.name, rawJSON(f.input)
		r.Entered, r.EnteredID, r.Due = millis(f.entered), f.enteredID, millis(f.due)
		r.Tries, r.Retries = f.tries, f.retries
	}
	return table.Put(table.Item{Key: x.frameKey(f.path), Data: marshal(r)}, table.Cond{})
}

func (x *execution) putHead(c table.Cond) table.Op {
	i := table.Item{
		Key:  headKey(x.machine.name, x.name),
		Data: marshal(x.head),
		Index: table.Key{
			PK: listPK(x.machine.name),
			SK: fmt.Sprintf("%013d#%s", x.head.Started, x.name),
		},
	}
	if x.head.Ended != 0 {
		// A day more than the history, which was written before.
		i.Expires = timeOf(x.head.Ended).Add(Retention + 24*time.Hour)
	}
	return table.Put(i, c)
}

func (x *execution) putOpen(due time.Time) table.Op {
	return table.Put(table.Item{Key: openKey(x.machine.name, x.name), Data: marshal(open{millis(due)})}, table.Cond{})
}

func (x *execution) putHistory(events []Event) table.Op {
	return table.Put(table.Item{
		Key:     table.Key{PK: partition(x.machine.name, x.name), SK: fmt.Sprintf("%s%08d", historySK, events[len(events)-1].ID)},
		Data:    marshal(events),
		Expires: x.now.Add(Retention),
	}, table.Cond{})
}

// putPayload stores the input or the output; one of an execution that ended
// goes when its head does.
func (x *execution) putPayload(sk string, data []byte) table.Op {
	i := table.Item{Key: table.Key{PK: partition(x.machine.name, x.name), SK: sk}, Data: data}
	if x.head.Ended != 0 {
		i.Expires = timeOf(x.head.Ended).Add(Retention + 24*time.Hour)
	}
	return table.Put(i, table.Cond{})
}

// queryAll calls f with every item of a range of one partition.
func queryAll(ctx context.Context, t table.Table, q table.Query, f func(table.Item) error) error {
	for {
		page, err := t.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, i := range page.Items {
			if err := f(i); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// last returns the number of the last event stored.
func last(ctx context.Context, t table.Table, pk string) (int64, error) {
	q := table.Query{PK: pk, From: historySK, To: historySK + "~", Backwards: true, Limit: 1}
	var n int64
	err := queryFirst(ctx, t, q, func(i table.Item) error {
		_, err := fmt.Sscanf(strings.TrimPrefix(i.SK, historySK), "%d", &n)
		return err
	})
	return n, err
}

// queryFirst calls f with the first item that q finds, if there is one.
func queryFirst(ctx context.Context, t table.Table, q table.Query, f func(table.Item) error) error {
	for {
		page, err := t.Query(ctx, q)
		if err != nil {
			return err
		}
		if len(page.Items) > 0 {
			return f(page.Items[0])
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

func definitionKey(machine, id string) table.Key {
	return table.Key{PK: "asl#machine#" + machine, SK: id}
}

// keep stores the definition of a machine, once in the life of the engine. One
// too large for an item is not kept; its executions go on with what they find.
func (e *Engine) keep(ctx context.Context, m *Machine) error {
	e.mu.Lock()
	known := e.kept[m.id] != nil
	e.mu.Unlock()
	if known {
		return nil
	}
	item := table.Item{Key: definitionKey(m.name, m.id), Data: m.text}
	if table.Size(item) <= table.MaxItem {
		if err := e.table.Write(ctx, table.Put(item, table.Cond{})); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept[m.id] = m
	return nil
}

// kin returns the machine with the definition that an execution was started
// with, or m if that cannot be had.
func (e *Engine) kin(ctx context.Context, m *Machine, id string) (*Machine, error) {
	if id == m.id {
		return m, nil
	}
	e.mu.Lock()
	old := e.kept[id]
	e.mu.Unlock()
	if old != nil {
		return old, nil
	}
	item, err := e.table.Get(ctx, definitionKey(m.name, id))
	if kind.Of(err) == kind.NotFound {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if old, err = Load(m.name, item.Data, nil); err != nil {
		// It was loaded once, by a release that ran more.
		e.log.Warn("an earlier definition is no longer run", "machine", m.name, "error", err)
		return m, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept[id] = old
	return old, nil
}

// load reads an execution that runs as it was stored. Without one it returns
// kind.NotFound; of one that has ended it returns the head alone, and no root.
func (e *Engine) load(ctx context.Context, m *Machine, name string) (*execution, error) {
	t := e.table
	x := &execution{machine: m, name: name}
	pk := partition(m.name, name)
	items, err := t.GetMany(ctx, []table.Key{headKey(m.name, name), inputKey(m.name, name)})
	if err != nil {
		return nil, kind.Wrap("read an execution", err)
	}
	item, ok := items[headKey(m.name, name)]
	if !ok {
		return nil, kind.E(kind.NotFound, "read an execution")
	}
	if err := json.Unmarshal(item.Data, &x.head); err != nil {
		return nil, kind.E(kind.Corrupt, "read an execution's head")
	}
	records := map[string]frameRecord{}
	err = queryAll(ctx, t, table.Query{PK: pk, From: frameSK, To: frameSK + "~"}, func(i table.Item) error {
		var r frameRecord
		if err := json.Unmarshal(i.Data, &r); err != nil {
			return kind.E(kind.Corrupt, "read a frame")
		}
		records[strings.TrimPrefix(i.SK, frameSK)] = r
		return nil
	})
	if err != nil {
		return nil, kind.Wrap("read an execution's frames", err)
	}
	if x.head.Status != Running {
		x.garbage = x.keysOf(records)
		return x, nil
	}
	if x.machine, err = e.kin(ctx, m, x.head.Definition); err != nil {
		return nil, kind.Wrap("read an execution's definition", err)
	}
	x.input = items[inputKey(m.name, name)].Data
	if x.last, err = last(ctx, t, pk); err != nil {
		return nil, kind.Wrap("read an execution's history", err)
	}
	return x, x.assemble(records)
}

func (x *execution) keysOf(records map[string]frameRecord) []table.Key {
	var keys []table.Key
	for _, path := range slices.Sorted(maps.Keys(records)) {
		keys = append(keys, x.frameKey(path))
	}
	return keys
}

// assemble builds the tree of frames. What belongs to no fork that still stands
// is left over from one that was left, and becomes garbage.
func (x *execution) assemble(records map[string]frameRecord) error {
	var build func(path string, parent *frame, index int) (*frame, error)
	build = func(path string, parent *frame, index int) (*frame, error) {
		r, ok := records[path]
		if !ok {
			return nil, nil
		}
		delete(records, path)
		f := &frame{
			path: path, parent: parent, index: index, phase: r.Phase, output: r.Output,
			entered: timeOf(r.Entered), enteredID: r.EnteredID, due: timeOf(r.Due),
			tries: r.Tries, retries: r.Retries, fork: r.Fork,
		}
		if f.phase == ended {
			return f, nil
		}
		if f.state = x.machine.states[r.State]; f.state == nil {
			x.lost = r.State // the definition was replaced by one without it
			f.state = &state{name: r.State}
		}
		var err error
		if f.input, err = decode(r.Input); err != nil {
			return nil, kind.E(kind.Corrupt, "read a frame's input")
		}
		f.children = make([]*frame, r.Children)
		for i := range f.children {
			c, err := build(childPath(path, f.fork, i), f, i)
			if err != nil {
				return nil, err
			}
			if f.children[i] = c; c != nil && c.phase == ended {
				f.done++
			}
		}
		return f, nil
	}
	root, err := build(rootPath, nil, 0)
	if err != nil {
		return err
	}
	if root == nil {
		return kind.E(kind.Corrupt, "read an execution: it has no frame")
	}
	x.root, x.garbage = root, x.keysOf(records)
	return nil
}
