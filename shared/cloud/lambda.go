package cloud

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/smithy-go"

	"lethe/shared/kind"
)

// Task adapts a task to lambda.Start. An error reaches the state machine with
// its kind as the errorType, which ErrorEquals compares, and with a message that
// may stand in the history of an execution: what the packages said they were
// doing, and the code of an AWS error, but nothing that another program wrote.
// A panic is an error of kind Internal.
func Task[I, O any](f func(context.Context, I) (O, error)) func(context.Context, I) (O, error) {
	return func(ctx context.Context, in I) (out O, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = panicked(p)
			}
		}()
		out, err = f(ctx, in)
		if err != nil {
			// By value: the runtime compares the type of what it gets, and calls a
			// pointer or a wrapped error by the name of its Go type.
			return out, messages.InvokeResponse_Error{Type: string(kind.Of(err)), Message: message(err)}
		}
		return out, nil
	}
}

// message tells err without the texts of foreign errors, which can quote values.
func message(err error) string {
	var said []string
	var e *kind.Error
	for rest := err; errors.As(rest, &e); rest = e.Err {
		if e.Op != "" {
			said = append(said, e.Op)
		}
		if e.Err == nil && e.Sentence != "" {
			said = append(said, e.Sentence)
		}
	}
	var api smithy.APIError
	var aws awsError
	switch {
	case errors.As(err, &aws):
		said = append(said, aws.Error())
	case errors.As(err, &api):
		said = append(said, "AWS answered "+api.ErrorCode())
	}
	return strings.Join(append(said, string(kind.Of(err))), ": ")
}

// panicked is the error of a panic: where it was and of which type, but not what
// it said.
func panicked(p any) messages.InvokeResponse_Error {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	var trace []*messages.InvokeResponse_Error_StackFrame
	for {
		frame, more := frames.Next()
		trace = append(trace, &messages.InvokeResponse_Error_StackFrame{
			Path: frame.File, Line: int32(frame.Line), Label: frame.Function,
		})
		if !more {
			break
		}
	}
	return messages.InvokeResponse_Error{
		Type: string(kind.Internal), Message: fmt.Sprintf("a panic with a %T", p), StackTrace: trace,
	}
}
