package asl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ohler55/ojg/jp"

	"lethe/shared/kind"
)

// maxDefinition is the most bytes of a definition; it is Step Functions' limit.
const maxDefinition = 1 << 20

// Load reads a definition in the JSONPath form of Amazon States Language. In
// every string ${Name} is replaced by substitutions["Name"], as
// DefinitionSubstitutions of AWS SAM does.
//
// What this package does not run it refuses here rather than later: the error,
// of kind Invalid, names every such field with its line and column. An unknown
// or misspelt field, a target that is missing, a state that nothing leads to, a
// path that cannot be read and a substitution that is not given are refused
// likewise.
func Load(name string, definition []byte, substitutions map[string]string) (*Machine, error) {
	if !nameForm(name) {
		return nil, kind.Say(kind.Invalid, "a machine's name is 1 to 80 of the characters A–Z a–z 0–9 . _ -")
	}
	if len(definition) > maxDefinition {
		return nil, kind.Say(kind.TooLarge, name+": the definition is larger than 1 MB")
	}
	root, err := readDefinition(definition)
	if err != nil {
		return nil, kind.Wrap(name, err)
	}
	l := &loader{text: definition, machine: &Machine{name: name, states: map[string]*state{}}}
	l.substitute(root, substitutions)
	f := l.fields(root, "the definition")
	f.take("Comment")
	f.take("Version")
	f.queryLanguage()
	l.machine.timeout, _ = f.seconds("TimeoutSeconds", 1)
	l.machine.root = l.program(f)
	f.end()
	if len(l.problems) > 0 {
		return nil, kind.Say(kind.Invalid, name+": "+strings.Join(l.problems, "; "))
	}
	l.machine.text = encode(root.plain())
	sum := sha256.Sum256(l.machine.text)
	l.machine.id = hex.EncodeToString(sum[:8])
	return l.machine, nil
}

// nameForm is the form of names of machines and executions: safe in a key of the
// table and allowed by Step Functions.
func nameForm(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return 1 <= len(name) && len(name) <= 80
}

// A loader collects what is wrong with a definition while it builds the machine.
type loader struct {
	text     []byte
	machine  *Machine
	problems []string
}

// maxProblems bounds the length of Load's error.
const maxProblems = 20

func (l *loader) sayAt(at int, format string, args ...any) {
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, place(l.text, at)+": "+fmt.Sprintf(format, args...))
	}
}

func (l *loader) say(n *node, format string, args ...any) { l.sayAt(n.at, format, args...) }

func (l *loader) substitute(n *node, with map[string]string) {
	switch v := n.value.(type) {
	case string:
		n.value = regexp.MustCompile(`\$\{[A-Za-z0-9_]+\}`).ReplaceAllStringFunc(v, func(ref string) string {
			value, ok := with[ref[2:len(ref)-1]]
			if !ok {
				l.say(n, "no substitution is given for %s", ref)
				return ref
			}
			return value
		})
	case []*node:
		for _, e := range v {
			l.substitute(e, with)
		}
	case *fields:
		for _, k := range v.keys {
			l.substitute(v.values[k], with)
		}
	}
}

// program reads StartAt and States.
func (l *loader) program(f *taken) *program {
	p := &program{}
	start, hasStart := f.text("StartAt")
	if !hasStart {
		f.missing("StartAt")
	}
	states := f.take("States")
	if states == nil {
		f.missing("States")
		return p
	}
	all, ok := states.value.(*fields)
	if !ok || len(all.keys) == 0 {
		l.say(states, "States must be an object with at least one state")
		return p
	}
	own := map[string]*state{}
	for _, name := range all.keys {
		if len([]rune(name)) > 80 || name == "" {
			l.sayAt(all.at[name], "a state's name must have 1 to 80 characters")
		}
		s := l.state(name, all.values[name])
		if _, twice := l.machine.states[name]; twice {
			l.sayAt(all.at[name], "state %q stands twice in the definition", name)
		}
		l.machine.states[name], own[name] = s, s
		p.states = append(p.states, name)
	}
	if hasStart {
		p.start = start
		if own[start] == nil {
			l.say(f.node("StartAt"), "StartAt: there is no state %q here", start)
		} else {
			l.reach(own, start, all)
		}
	}
	return p
}

// reach refuses targets that are not in the program and states that nothing
// leads to.
func (l *loader) reach(own map[string]*state, start string, all *fields) {
	reached := map[string]bool{start: true}
	todo := []string{start}
	for len(todo) > 0 {
		s := own[todo[0]]
		todo = todo[1:]
		for _, target := range s.targets() {
			if own[target] == nil {
				l.sayAt(all.at[s.name], "state %q: there is no state %q here to go on with", s.name, target)
			} else if !reached[target] {
				reached[target] = true
				todo = append(todo, target)
			}
		}
	}
	for _, name := range all.keys {
		if !reached[name] {
			l.sayAt(all.at[name], "nothing leads to state %q", name)
		}
	}
}

func (s *state) targets() []string {
	var all []string
	if s.next != "" {
		all = append(all, s.next)
	}
	for _, r := range s.choices {
		all = append(all, r.next)
	}
	if s.fallback != "" {
		all = append(all, s.fallback)
	}
	for _, c := range s.catch {
		all = append(all, c.next)
	}
	return all
}

// taken reads the fields of one object and knows which nobody asked for.
type taken struct {
	l    *loader
	at   *node
	what string // as in "state \"Pack\""
	all  *fields
	left map[string]bool
	none bool // it is no object, which was said
}

func (l *loader) fields(n *node, what string) *taken {
	f, ok := n.value.(*fields)
	if !ok {
		l.say(n, "%s must be an object", what)
		f = &fields{}
	}
	t := &taken{l: l, at: n, what: what, all: f, left: map[string]bool{}, none: !ok}
	for _, k := range f.keys {
		t.left[k] = true
	}
	return t
}

func (f *taken) take(name string) *node {
	delete(f.left, name)
	return f.all.values[name]
}

func (f *taken) node(name string) *node { return f.all.values[name] }

func (f *taken) has(name string) bool { return f.all.values[name] != nil }

func (f *taken) missing(name string) {
	if !f.none {
		f.l.say(f.at, "%s: %s is missing", f.what, name)
	}
}

func (f *taken) say(name, format string, args ...any) {
	f.l.say(f.node(name), f.what+": "+name+" "+format, args...)
}

// end refuses the fields that were not asked for.
func (f *taken) end() {
	for _, k := range f.all.keys {
		if f.left[k] {
			f.l.sayAt(f.all.at[k], "%s: field %q is not run here", f.what, k)
		}
	}
}

func (f *taken) text(name string) (string, bool) {
	n := f.take(name)
	if n == nil {
		return "", false
	}
	s, ok := n.value.(string)
	if !ok || s == "" {
		f.say(name, "must be a string that is not empty")
	}
	return s, true
}

// integer reads a whole number from least on.
func (f *taken) integer(name string, least, most int64) (int64, bool) {
	n := f.take(name)
	if n == nil {
		return 0, false
	}
	i, ok := whole(n.value)
	if !ok || i < least || i > most {
		f.say(name, "must be a whole number from %d to %d", least, most)
	}
	return i, true
}

func (f *taken) seconds(name string, least int64) (time.Duration, bool) {
	i, ok := f.integer(name, least, int64(maxWait/time.Second))
	return time.Duration(min(max(i, 0), int64(maxWait/time.Second))) * time.Second, ok
}

func (f *taken) bool(name string) bool {
	n := f.take(name)
	if n == nil {
		return false
	}
	b, ok := n.value.(bool)
	if !ok {
		f.say(name, "must be true or false")
	}
	return b
}

// path reads a path; absent it is $, and null gives nil.
func (f *taken) path(name string, parse func(string) (*path, error)) *path {
	n := f.take(name)
	if n == nil {
		return &path{text: "$", definite: true}
	}
	if n.value == nil {
		return nil
	}
	return f.pathAt(name, n, parse)
}

// optionalPath reads a path that may be absent but not null.
func (f *taken) optionalPath(name string, parse func(string) (*path, error)) *path {
	n := f.take(name)
	if n == nil {
		return nil
	}
	return f.pathAt(name, n, parse)
}

func (f *taken) pathAt(name string, n *node, parse func(string) (*path, error)) *path {
	s, ok := n.value.(string)
	if !ok {
		f.say(name, "must be a path")
		return nil
	}
	p, err := parse(s)
	if err != nil {
		f.say(name, "%q: %v", s, err)
		return nil
	}
	return p
}

// resultPath reads a ResultPath, which cannot lead into the context object.
func (f *taken) resultPath() *path {
	p := f.path("ResultPath", parseReference)
	if p != nil && p.context {
		f.say("ResultPath", "cannot lead into the context object")
	}
	if p != nil && slices.ContainsFunc(p.frags, func(f jp.Frag) bool { n, ok := f.(jp.Nth); return ok && n < 0 }) {
		f.say("ResultPath", "cannot count from the end of an array")
	}
	return p
}

func (f *taken) list(name string) []*node {
	n := f.take(name)
	if n == nil {
		return nil
	}
	list, ok := n.value.([]*node)
	if !ok || len(list) == 0 {
		f.say(name, "must be an array that is not empty")
	}
	return list
}

func (f *taken) template(name string) *template {
	n := f.take(name)
	if n == nil {
		return nil
	}
	return f.l.template(n)
}

func (f *taken) queryLanguage() {
	if q, ok := f.text("QueryLanguage"); ok && q != "JSONPath" {
		f.say("QueryLanguage", "%q is not run here, only JSONPath", q)
	}
}

// oneOf refuses all but one of the fields, or more than one.
func (f *taken) oneOf(need bool, names ...string) {
	given := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !f.has(n) })
	if len(given) > 1 {
		f.l.say(f.node(given[1]), "%s: %s cannot stand beside %s", f.what, given[1], given[0])
	}
	if need && len(given) == 0 {
		f.l.say(f.at, "%s: one of %s is missing", f.what, strings.Join(names, ", "))
	}
}
