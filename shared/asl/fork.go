package asl

// fork begins a Map or a Parallel: each child has a frame of its own.
func (x *execution) fork(f *frame, input any, context func() any) {
	n := len(f.state.branches)
	if f.state.kind == mapping {
		items, why := f.state.itemsIn(input, context)
		if why != nil {
			x.failed(f, why)
			return
		}
		f.items, n = items, len(items)
	}
	f.fork = x.emitState(f, "Started")
	f.phase, f.children, f.done, f.dirty = forked, make([]*frame, n), 0, true
	if n > 0 {
		x.tend(f)
	}
}

func (s *state) itemsIn(input any, context func() any) ([]any, *failure) {
	v, err := s.items.in(input, context)
	if err != nil {
		return nil, expressionFailure("ItemsPath", missing{s.items.text})
	}
	items, ok := v.([]any)
	if !ok {
		return nil, runtimeFailure("Reference path \"" + s.items.text + "\" must point to array.")
	}
	return items, nil
}

// itemsOf returns what a Map that has forked iterates over. It is not stored: the
// state's input gives it again.
func (x *execution) itemsOf(f *frame) []any {
	if f.items == nil {
		context := x.contextOf(f)
		input, why := f.state.effective(f.input, context)
		if why == nil {
			f.items, why = f.state.itemsIn(input, context)
		}
		if why != nil {
			f.items = []any{} // it was found when the Map forked
		}
	}
	return f.items
}

// tend starts as many children as may run at once, and joins when all ended.
func (x *execution) tend(f *frame) {
	if f.done == len(f.children) {
		x.join(f)
		return
	}
	most := len(f.children)
	if f.state.kind == mapping {
		most = f.state.concurrency
		if f.state.concurrencyPath != nil {
			n, why := x.concurrencyOf(f)
			if why != nil {
				x.failed(f, why)
				return
			}
			most = n
		}
		if most == 0 || most > maxInline {
			most = maxInline
		}
	}
	running := -f.done
	for _, c := range f.children {
		if c != nil {
			running++
		}
	}
	for i, c := range f.children {
		if c != nil {
			continue
		}
		if running >= most {
			return
		}
		if !x.child(f, i) {
			return
		}
		running++
	}
}

func (x *execution) concurrencyOf(f *frame) (int, *failure) {
	context := x.contextOf(f)
	input, why := f.state.effective(f.input, context)
	if why != nil {
		return 0, why
	}
	v, err := f.state.concurrencyPath.in(input, context)
	n, ok := whole(v)
	if err != nil || !ok || n < 0 {
		return 0, runtimeFailure("The MaxConcurrencyPath parameter does not reference a whole number from 0 on: " + f.state.concurrencyPath.text)
	}
	return int(min(n, maxInline)), nil
}

// child starts the child with index i; false if its input could not be made,
// which fails the whole fork.
func (x *execution) child(f *frame, i int) bool {
	s := f.state
	context := x.contextOf(f)
	input, why := s.effective(f.input, context)
	if why != nil {
		x.failed(f, why)
		return false
	}
	program := s.branches[0]
	c := &frame{path: childPath(f.path, f.fork, i), parent: f, index: i}
	switch s.kind {
	case mapping:
		item := x.itemsOf(f)[i]
		x.emit(c, Event{Type: "MapIterationStarted", State: s.name, Item: &c.index})
		if s.itemSelector == nil {
			input = item
			break
		}
		context = x.contextFor(f, f.retries, newObject("Index", number(int64(i)), "Value", item))
		v, err := s.itemSelector.fill(scope{input, context})
		if err != nil {
			x.failed(f, expressionFailure("ItemSelector", err))
			return false
		}
		input = v
	case parallel:
		program = s.branches[i]
		if s.parameters != nil {
			v, err := s.parameters.fill(scope{input, context})
			if err != nil {
				x.failed(f, expressionFailure("Parameters", err))
				return false
			}
			input = v
		}
	}
	if len(encode(input)) > MaxPayload {
		x.failed(f, tooLarge(s.name))
		return false
	}
	f.children[i] = c
	x.enter(c, program.start, input)
	return true
}

// join ends a Map or a Parallel whose children have all ended.
func (x *execution) join(f *frame) {
	results := make([]any, len(f.children))
	size := 0
	for i, c := range f.children {
		v, err := decode(c.output)
		if err != nil {
			x.failed(f, runtimeFailure("A stored output cannot be read."))
			return
		}
		results[i] = v
		if size += len(c.output) + 1; size > MaxPayload && f.state.selector == nil && f.state.resultPath != nil {
			x.failed(f, tooLarge(f.state.name))
			return
		}
	}
	out, why := f.state.after(f.input, results, x.contextOf(f))
	if why != nil {
		x.failed(f, why)
		return
	}
	x.emitState(f, "Succeeded")
	x.leave(f, out, nil)
}
