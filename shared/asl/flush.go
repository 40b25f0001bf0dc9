package asl

import (
	"context"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// pending reports whether something of the execution is not stored.
func (x *execution) pending() bool {
	if x.head.Status != Running {
		return !x.gone
	}
	if len(x.events) > 0 {
		return true
	}
	dirty := false
	x.root.live(func(f *frame) { dirty = dirty || f.dirty })
	return dirty
}

// flush stores what changed since the last flush. Most often that is one
// transaction; more only where a Map started so many iterations that they do not
// fit into one, and then each transaction holds whole transitions. All operations
// put what they hold whatever was there, so after an error flush is called again
// and stores the same.
func (x *execution) flush(ctx context.Context, t table.Table) error {
	if x.head.Status != Running {
		return x.flushEnd(ctx, t)
	}
	var dirty []*frame
	x.root.live(func(f *frame) {
		if f.dirty {
			dirty = append(dirty, f)
		}
		for _, c := range f.children {
			if c != nil && c.phase == ended && c.dirty {
				dirty = append(dirty, c)
			}
		}
	})
	first := true
	for len(dirty) > 0 || first && len(x.events) > 0 {
		var ops []table.Op
		var chunk []*frame
		size := 0
		// Two places are kept for the history and the item in asl#open.
		for len(dirty) > 0 && len(ops) < table.MaxOps-2 {
			op := x.putFrame(dirty[0])
			if size += table.Size(op.Item); size > table.MaxWrite/2 && len(ops) > 0 {
				break
			}
			ops, chunk, dirty = append(ops, op), append(chunk, dirty[0]), dirty[1:]
		}
		due := x.parking()
		if len(dirty) == 0 && !due.Equal(x.parked) {
			ops = append(ops, x.putOpen(due))
		}
		told, rest := x.eventsOf(chunk, len(dirty) == 0)
		if len(told) > 0 {
			ops = append(ops, x.putHistory(told))
		}
		swept := 0
		if len(dirty) == 0 { // all forks that were left are stored as left by now
			swept = min(len(x.garbage), table.MaxOps-len(ops))
		}
		for _, k := range x.garbage[:swept] {
			ops = append(ops, table.Delete(k, table.Cond{}))
		}
		if err := t.Write(ctx, ops...); err != nil {
			return kind.Wrap("store a transition", err)
		}
		if len(dirty) == 0 {
			x.parked = due
		}
		for _, f := range chunk {
			f.dirty = false
		}
		x.events, x.garbage, first = rest, x.garbage[swept:], false
	}
	return nil
}

// parking is when an execution in which nothing moves has something to do again;
// zero is at once, which it says too when it is not sure.
func (x *execution) parking() time.Time {
	moving := false
	x.root.live(func(f *frame) {
		moving = moving || f.phase == entered ||
			f.phase == forked && (f.done == len(f.children) || slices.Contains(f.children, nil))
	})
	if moving {
		return time.Time{}
	}
	return x.nextDue()
}

// eventsOf cuts the events that belong to the transitions of some frames from
// those that do not; the last transaction takes all that are left. An event of a
// frame that was dropped belongs to the frame above it.
func (x *execution) eventsOf(chunk []*frame, all bool) (told, rest []Event) {
	if all {
		return x.events, nil
	}
	for _, e := range x.events {
		mine := false
		for _, f := range chunk {
			mine = mine || e.frame == f.path || strings.HasPrefix(e.frame, f.path+"/")
		}
		if mine {
			told = append(told, e)
		} else {
			rest = append(rest, e)
		}
	}
	return told, rest
}

// flushEnd stores the end of an execution and removes its frames. The item in
// asl#open goes last, so that a crash in between leaves nothing behind that
// nobody looks for.
func (x *execution) flushEnd(ctx context.Context, t table.Table) error {
	if x.root != nil {
		ops := []table.Op{x.putHead(table.Cond{}), x.putPayload(inputSK, x.input)}
		if x.head.Status == Succeeded {
			ops = append(ops, x.putPayload(outputSK, x.root.output))
		}
		if len(x.events) > 0 {
			ops = append(ops, x.putHistory(x.events))
		}
		frames := x.remains()
		done := len(ops)+len(frames) < table.MaxOps
		if done {
			for _, k := range frames {
				ops = append(ops, table.Delete(k, table.Cond{}))
			}
			ops = append(ops, table.Delete(openKey(x.machine.name, x.name), table.Cond{}))
		}
		if err := t.Write(ctx, ops...); err != nil {
			return kind.Wrap("store the end of an execution", err)
		}
		x.garbage, x.root, x.events = frames, nil, nil
		if x.gone = done; done {
			return nil
		}
	}
	var ops []table.Op
	for _, k := range x.garbage {
		ops = append(ops, table.Delete(k, table.Cond{}))
	}
	if err := t.WriteMany(ctx, ops); err != nil {
		return kind.Wrap("remove the frames of an execution", err)
	}
	if err := t.Write(ctx, table.Delete(openKey(x.machine.name, x.name), table.Cond{})); err != nil {
		return kind.Wrap("close an execution", err)
	}
	x.gone = true
	return nil
}

// remains names every frame that may be stored.
func (x *execution) remains() []table.Key {
	keys := x.garbage
	var each func(f *frame)
	each = func(f *frame) {
		keys = append(keys, x.frameKey(f.path))
		for _, c := range f.children {
			if c != nil {
				each(c)
			}
		}
	}
	each(x.root)
	return keys
}
