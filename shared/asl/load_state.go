package asl

import (
	"encoding/json"
	"strings"
	"time"
)

// state reads one state.
func (l *loader) state(name string, n *node) *state {
	f := l.fields(n, "state \""+name+"\"")
	s := &state{name: name}
	typ, ok := f.text("Type")
	if !ok {
		f.missing("Type")
		return s
	}
	s.kind = stateKind(typ)
	f.take("Comment")
	f.queryLanguage()
	switch s.kind {
	case pass:
		s.filters(f)
		s.parameters = f.template("Parameters")
		s.resultPath = f.resultPath()
		if r := f.take("Result"); r != nil {
			s.result, s.hasResult = r.plain(), true
		}
		s.successor(f)
	case task:
		s.filters(f)
		s.work(f)
		s.task(f)
		s.successor(f)
	case choose:
		s.filters(f)
		s.choice(f)
	case wait:
		s.filters(f)
		s.waits(f)
		s.successor(f)
	case succeed:
		s.filters(f)
	case fail:
		s.fails(f)
	case mapping:
		s.filters(f)
		s.work(f)
		s.mapping(f)
		s.successor(f)
	case parallel:
		s.filters(f)
		s.work(f)
		s.parameters = f.template("Parameters")
		for _, b := range f.list("Branches") {
			inner := l.fields(b, f.what+": a branch")
			inner.take("Comment")
			s.branches = append(s.branches, l.program(inner))
			inner.end()
		}
		if !f.has("Branches") {
			f.missing("Branches")
		}
		s.successor(f)
	default:
		f.say("Type", "%q is not run here", typ)
		return s
	}
	f.end()
	return s
}

func (s *state) filters(f *taken) {
	s.input = f.path("InputPath", parsePath)
	s.output = f.path("OutputPath", parsePath)
}

// work reads what Task, Map and Parallel have in common.
func (s *state) work(f *taken) {
	s.selector = f.template("ResultSelector")
	s.resultPath = f.resultPath()
	s.retry = f.retriers()
	s.catch = f.catchers()
}

func (s *state) successor(f *taken) {
	f.oneOf(true, "Next", "End")
	s.next, _ = f.text("Next")
	if end := f.bool("End"); f.has("End") && !end {
		f.say("End", "must be true where it stands")
	}
}

// The resources of Step Functions' own integrations begin so; of these only
// lambda:invoke is run.
const (
	integration  = "arn:aws:states:"
	lambdaInvoke = "arn:aws:states:::lambda:invoke"
)

func (s *state) task(f *taken) {
	resource, ok := f.text("Resource")
	switch {
	case !ok:
		f.missing("Resource")
	case strings.HasSuffix(resource, ".waitForTaskToken"):
		f.say("Resource", "waits for a task token, which is not run here")
	case strings.HasPrefix(resource, integration) && strings.Contains(resource, ":activity:"):
		f.say("Resource", "is an activity, which is not run here")
	case strings.HasPrefix(resource, integration) && resource != lambdaInvoke:
		f.say("Resource", "is an integration that is not run here")
	}
	s.resource, s.invoke = resource, resource == lambdaInvoke
	if s.invoke {
		s.invocation(f)
	} else {
		s.parameters = f.template("Parameters")
	}
	f.oneOf(false, "TimeoutSeconds", "TimeoutSecondsPath")
	s.timeout, _ = f.seconds("TimeoutSeconds", 1)
	s.timeoutPath = f.optionalPath("TimeoutSecondsPath", parseReference)
}

// invocation reads the Parameters of lambda:invoke. The function must be written
// out, so that it is known when the machine is loaded.
func (s *state) invocation(f *taken) {
	n := f.take("Parameters")
	if n == nil {
		f.missing("Parameters")
		return
	}
	p := f.l.fields(n, f.what+": Parameters")
	var ok bool
	if s.resource, ok = p.text("FunctionName"); !ok {
		p.missing("FunctionName")
	}
	if how, given := p.text("InvocationType"); given && how != "RequestResponse" {
		p.say("InvocationType", "%q is not run here", how)
	}
	p.oneOf(false, "Payload", "Payload.$")
	for _, key := range []string{"Payload", "Payload.$"} {
		if inner := p.take(key); inner != nil {
			s.parameters = f.l.template(&node{at: n.at, value: &fields{keys: []string{key}, values: map[string]*node{key: inner}}})
		}
	}
	p.end()
}

func (s *state) waits(f *taken) {
	f.oneOf(true, "Seconds", "SecondsPath", "Timestamp", "TimestampPath")
	if n, ok := f.integer("Seconds", 0, int64(maxWait/time.Second)); ok {
		s.wait.seconds = &n
	}
	if text, ok := f.text("Timestamp"); ok {
		t, valid := timestamp(text)
		if !valid {
			f.say("Timestamp", "must be a timestamp such as 2016-03-14T01:59:00Z")
		}
		s.wait.timestamp = &t
	}
	s.wait.secondsPath = f.optionalPath("SecondsPath", parseReference)
	s.wait.timestampPath = f.optionalPath("TimestampPath", parseReference)
}

func (s *state) fails(f *taken) {
	s.input = &path{text: "$", definite: true}
	f.oneOf(false, "Error", "ErrorPath")
	f.oneOf(false, "Cause", "CausePath")
	s.errorName, _ = f.text("Error")
	s.cause, _ = f.text("Cause")
	s.errorExp = f.fromData("ErrorPath")
	s.causeBy = f.fromData("CausePath")
}

// fromData reads a Reference Path or an intrinsic function.
func (f *taken) fromData(name string) expression {
	text, ok := f.text(name)
	if !ok {
		return nil
	}
	e, err := parseExpression(text)
	if p, isPath := e.(*path); err == nil && isPath {
		e, err = parseReference(p.text)
	}
	if err != nil {
		f.say(name, "%q: %v", text, err)
	}
	return e
}

// maxInline is how many iterations of a Map Step Functions runs at once.
const maxInline = 40

func (s *state) mapping(f *taken) {
	s.items = f.optionalPath("ItemsPath", parseReference)
	if !f.has("ItemsPath") {
		s.items = &path{text: "$", definite: true}
	}
	s.itemSelector = f.template("ItemSelector")
	f.oneOf(false, "MaxConcurrency", "MaxConcurrencyPath")
	n, _ := f.integer("MaxConcurrency", 0, 1<<31-1)
	s.concurrency = int(n)
	s.concurrencyPath = f.optionalPath("MaxConcurrencyPath", parseReference)
	processor := f.take("ItemProcessor")
	if processor == nil {
		f.missing("ItemProcessor")
		return
	}
	inner := f.l.fields(processor, f.what+": ItemProcessor")
	inner.take("Comment")
	if config := inner.take("ProcessorConfig"); config != nil {
		c := f.l.fields(config, f.what+": ProcessorConfig")
		if mode, ok := c.text("Mode"); ok && mode != "INLINE" {
			c.say("Mode", "%q is not run here, only INLINE", mode)
		}
		c.end()
	}
	s.branches = []*program{f.l.program(inner)}
	inner.end()
}

func (s *state) choice(f *taken) {
	for _, n := range f.list("Choices") {
		r := f.l.fields(n, f.what+": a choice")
		when := f.l.condition(r)
		next, ok := r.text("Next")
		if !ok {
			r.missing("Next")
		}
		r.end()
		s.choices = append(s.choices, rule{when, next})
	}
	if !f.has("Choices") {
		f.missing("Choices")
	}
	s.fallback, _ = f.text("Default")
}

// condition reads a Choice Rule; r's Next is left to the caller.
func (l *loader) condition(r *taken) condition {
	r.take("Comment")
	inner := func(n *node) condition {
		f := l.fields(n, r.what)
		defer f.end()
		return l.condition(f)
	}
	r.oneOf(true, "Variable", "And", "Or", "Not")
	var all []condition
	for _, name := range []string{"And", "Or"} {
		if !r.has(name) {
			continue
		}
		for _, n := range r.list(name) {
			all = append(all, inner(n))
		}
		if name == "And" {
			return both{all}
		}
		return either{all}
	}
	if n := r.take("Not"); n != nil {
		return negation{inner(n)}
	}
	variable := r.optionalPath("Variable", parsePath)
	var found condition
	for _, key := range r.all.keys {
		op, byPath, ok := operatorOf(key)
		if !ok {
			continue
		}
		if found != nil {
			r.say(key, "is a second comparison in one rule")
		}
		found = l.comparison(r, key, variable, op, byPath)
	}
	if found == nil {
		l.say(r.at, "%s: a comparison is missing", r.what)
	}
	return found
}

func (l *loader) comparison(r *taken, key string, variable *path, op operator, byPath bool) condition {
	n := r.take(key)
	if byPath {
		return comparison{variable: variable, operandPath: r.pathAt(key, n, parsePath), test: op.test}
	}
	var ok bool
	switch op.operand {
	case textOperand:
		_, ok = n.value.(string)
	case numOperand:
		_, ok = n.value.(json.Number)
	case timeOperand:
		_, ok = timestamp(n.value)
	case boolOperand:
		_, ok = n.value.(bool)
	case presenceTest:
		want, isBool := n.value.(bool)
		if !isBool {
			r.say(key, "must be true or false")
		}
		return presence{variable, want}
	}
	if !ok {
		r.say(key, "must be %s", op.operand)
	}
	return comparison{variable: variable, operand: n.value, test: op.test}
}
