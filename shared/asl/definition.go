package asl

import (
	"encoding/json"
	"time"
)

// A Machine is a definition that Load found to be one this package runs.
type Machine struct {
	name    string
	id      string // of the definition: a hash of text
	text    []byte // the definition after substitution
	root    *program
	states  map[string]*state // of all programs: a name is used once in a definition
	timeout time.Duration     // 0 is none
}

// Name is the name the machine was loaded under.
func (m *Machine) Name() string { return m.name }

// Resources returns the resources that the machine's tasks name, each once.
func (m *Machine) Resources() []string {
	seen := map[string]bool{}
	var all []string
	for _, s := range m.states {
		if s.kind == task && !seen[s.resource] {
			seen[s.resource] = true
			all = append(all, s.resource)
		}
	}
	return all
}

// A program is a set of states and where it begins: the machine itself, the
// processor of a Map, a branch of a Parallel.
type program struct {
	start  string
	states []string // in the order of the definition
}

// stateKind is the Type of a state.
type stateKind string

const (
	pass     stateKind = "Pass"
	task     stateKind = "Task"
	choose   stateKind = "Choice"
	wait     stateKind = "Wait"
	succeed  stateKind = "Succeed"
	fail     stateKind = "Fail"
	mapping  stateKind = "Map"
	parallel stateKind = "Parallel"
)

// A state holds the fields of a state that its kind has; the others are zero.
type state struct {
	name string
	kind stateKind
	next string // empty ends the program

	input, output     *path // nil stands for null: the value is {}
	parameters        *template
	selector          *template // ResultSelector
	result            any       // Pass; see hasResult
	hasResult         bool
	resultPath        *path // nil stands for null: the result is dropped
	retry             []retrier
	catch             []catcher
	resource          string // Task: the function, also of lambda:invoke
	invoke            bool   // Task: arn:aws:states:::lambda:invoke
	timeout           time.Duration
	timeoutPath       *path
	wait              waiting
	choices           []rule
	fallback          string
	errorName, cause  string
	errorExp, causeBy expression
	branches          []*program // Map has one
	items             *path
	itemSelector      *template
	concurrency       int // 0 is as many as Step Functions runs, 40
	concurrencyPath   *path
}

// waiting is what a Wait state waits for; one field is set.
type waiting struct {
	seconds       *int64
	secondsPath   *path
	timestamp     *time.Time
	timestampPath *path
}

// A retrier is an element of Retry.
type retrier struct {
	errors   []string
	interval time.Duration
	attempts int
	backoff  float64
	longest  time.Duration // 0 is no limit
	jitter   bool
}

// A catcher is an element of Catch.
type catcher struct {
	errors     []string
	resultPath *path // nil stands for null
	next       string
}

// Names of errors that the language itself gives.
const (
	errAll           = "States.ALL"
	errTaskFailed    = "States.TaskFailed"
	errTimeout       = "States.Timeout"
	errHeartbeat     = "States.HeartbeatTimeout"
	errRuntime       = "States.Runtime"
	errDataLimit     = "States.DataLimitExceeded"
	errIntrinsic     = "States.IntrinsicFailure"
	errParameterPath = "States.ParameterPathFailure"
	errResultPath    = "States.ResultPathMatchFailure"
	errNoChoice      = "States.NoChoiceMatched"
	errBranch        = "States.BranchFailed"
	errPermissions   = "States.Permissions"
	errTolerated     = "States.ExceedToleratedFailureThreshold"
	errItemReader    = "States.ItemReaderFailed"
	errResultWriter  = "States.ResultWriterFailed"
)

// matches reports whether ErrorEquals covers an error. The wildcards cover no
// error after which going on is useless.
func matches(names []string, err string) bool {
	for _, n := range names {
		switch {
		case n == err:
			return true
		case n == errAll && err != errRuntime && err != errDataLimit:
			return true
		case n == errTaskFailed && err != errTimeout && err != errHeartbeat && err != errRuntime && err != errDataLimit:
			return true
		case n == errTimeout && err == errHeartbeat:
			return true
		}
	}
	return false
}

// delay returns how long to wait before attempt n of a retrier, counted from 1;
// random is in [0, 1).
func (r retrier) delay(n int, random func() float64) time.Duration {
	d := float64(r.interval)
	for range n - 1 {
		d *= r.backoff
		if d > float64(maxWait) {
			break
		}
	}
	if r.longest > 0 {
		d = min(d, float64(r.longest))
	}
	d = min(d, float64(maxWait))
	if r.jitter {
		d *= random()
	}
	return time.Duration(d)
}

// maxWait is the longest wait or time-out: 99,999,999 seconds.
const maxWait = 99_999_999 * time.Second

// after applies ResultSelector and ResultPath to what a state's work gave; raw is
// the input of the state.
func (s *state) after(raw, result any, context func() any) (any, *failure) {
	if s.selector != nil {
		v, err := s.selector.fill(scope{result, context})
		if err != nil {
			return nil, expressionFailure("ResultSelector", err)
		}
		result = v
	}
	return placeResult(s.resultPath, raw, result)
}

func placeResult(at *path, raw, result any) (any, *failure) {
	if at == nil {
		return raw, nil
	}
	v, err := at.put(raw, result)
	if err != nil {
		return nil, &failure{name: errResultPath, cause: "Unable to apply step \"" + at.text + "\" to input"}
	}
	return v, nil
}

// effective applies InputPath.
func (s *state) effective(raw any, context func() any) (any, *failure) {
	return filtered(s.input, raw, context)
}

// outgoing applies OutputPath.
func (s *state) outgoing(v any, context func() any) (any, *failure) {
	return filtered(s.output, v, context)
}

func filtered(p *path, v any, context func() any) (any, *failure) {
	if p == nil {
		return newObject(), nil
	}
	found, err := p.in(v, context)
	if err != nil {
		return nil, runtimeFailure("Invalid path '" + p.text + "' : No results for path: " + p.bracketed())
	}
	return found, nil
}

func rawJSON(v any) json.RawMessage { return json.RawMessage(encode(v)) }
