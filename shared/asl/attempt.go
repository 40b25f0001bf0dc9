package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"lethe/shared/kind"
)

// A Task runs one attempt of the work behind a Task state. It may be called
// again for work that was done: after a crash, and as Retry says. The kind of
// its error is the error name that ErrorEquals sees; the Cause holds the kind and
// the operation (the Op of a kind.Error) and nothing else of the error.
//
// Its context ends when the attempt times out, the execution is stopped or Run
// ends. A result after that is dropped.
type Task func(ctx context.Context, input json.RawMessage) (json.RawMessage, error)

// An attempt is one run of a task.
type attempt struct {
	entry    *entry
	path     string // of the frame
	resource string
	work     Task
	input    json.RawMessage
	queued   time.Time
	timeout  time.Duration // 0 is none
	due      atomic.Int64  // when it times out, in Unix milliseconds; 0 until it runs
	ctx      context.Context
	cancel   context.CancelFunc // nil until it is queued
	dropped  bool               // before it was queued
}

// finished is the message that an attempt leaves.
type finished struct {
	of     *attempt
	output json.RawMessage
	err    error
}

// attempt begins an attempt of a Task.
func (x *execution) attempt(f *frame, input any, context func() any) {
	s := f.state
	timeout := s.timeout
	if s.timeoutPath != nil {
		v, err := s.timeoutPath.in(input, context)
		n, ok := whole(v)
		if err != nil || !ok || n < 1 || n > int64(maxWait/time.Second) {
			x.failed(f, runtimeFailure("The TimeoutSecondsPath parameter does not reference a whole number from 1 to 99999999: "+s.timeoutPath.text))
			return
		}
		timeout = time.Duration(n) * time.Second
	}
	if s.parameters != nil {
		v, err := s.parameters.fill(scope{input, context})
		if err != nil {
			x.failed(f, expressionFailure("Parameters", err))
			return
		}
		input = v
	}
	if s.invoke {
		p, _ := input.(*object)
		input = newObject()
		if p != nil {
			if payload, ok := p.get("Payload"); ok {
				input = payload
			}
		}
	}
	data := encode(input)
	if len(data) > MaxPayload {
		x.failed(f, tooLarge(s.name))
		return
	}
	f.run = &attempt{path: f.path, resource: s.resource, input: data, queued: x.now, timeout: timeout}
	x.submit = append(x.submit, f.run)
}

// complete applies what an attempt left, unless the frame has gone on without it.
func (x *execution) complete(m finished) {
	f := x.find(m.of.path)
	if f == nil || f.run != m.of {
		return
	}
	s, queued := f.state, f.run.queued
	x.halt(f)
	why := failureOf(m.err)
	var result any
	if why == nil && len(m.output) > MaxPayload {
		why = tooLarge(s.resource)
	}
	if why == nil && len(m.output) > 0 {
		var err error
		if result, err = decode(m.output); err != nil {
			why = failureOf(kind.E(kind.Internal, "read what the task gave"))
		}
	}
	if why != nil {
		x.emitAttempt(f, queued, "Failed", why)
		x.failed(f, why)
		return
	}
	x.emitAttempt(f, queued, "Succeeded", nil)
	if s.invoke {
		result = newObject(
			"ExecutedVersion", "$LATEST",
			"Payload", result,
			"SdkHttpMetadata", newObject("HttpStatusCode", number(200)),
			"StatusCode", number(200),
		)
	}
	out, why := s.after(f.input, result, x.contextOf(f))
	x.leave(f, out, why)
}

// expire ends an attempt that has run too long. It is not waited for.
func (x *execution) expire(f *frame) {
	queued := f.run.queued
	x.halt(f)
	why := &failure{name: errTimeout}
	x.emitAttempt(f, queued, "TimedOut", why)
	x.failed(f, why)
}

func (x *execution) find(path string) *frame {
	var found *frame
	x.root.live(func(f *frame) {
		if f.path == path {
			found = f
		}
	})
	return found
}

// failureOf makes of a task's error what Step Functions makes of a Lambda's.
func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	name, message := string(kind.Of(err)), ""
	var e *kind.Error
	if errors.As(err, &e) {
		message = e.Op
	}
	return &failure{name: name, cause: string(encode(newObject("errorMessage", message, "errorType", name)))}
}

// call runs the task and turns a panic into an error. The panic's value may hold
// data, so only its type is told.
func (a *attempt) call(log *slog.Logger) (out json.RawMessage, err error) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("a task panicked", "type", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			out, err = nil, kind.E(kind.Internal, "run a task: it panicked")
		}
	}()
	return a.work(a.ctx, a.input)
}
