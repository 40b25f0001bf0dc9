package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"lethe/shared/kind"
)

// Classify returns what an AWS call failed with as an error of a kind, the one
// time that this is decided: Throttled, Unavailable, or else Internal. A caller
// looks for the errors that mean something to it before. For nil it returns nil.
func Classify(op string, err error) error {
	if err == nil {
		return nil
	}
	return kind.E(kindOf(err), op, Cause(err))
}

func kindOf(err error) kind.Kind {
	var api smithy.APIError
	switch {
	case retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary:
		return kind.Throttled
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return kind.Unavailable
	case retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary:
		return kind.Unavailable
	case errors.As(err, &api) && api.ErrorFault() == smithy.FaultServer:
		return kind.Unavailable
	default:
		return kind.Internal
	}
}

// An awsError is what of an AWS error may stand in a log. The text of one can
// quote the request, a key or an address with it, so only the code stays, and
// the identifier under which AWS knows the request.
type awsError struct{ code, request string }

func (e awsError) Error() string {
	if e.request == "" {
		return "AWS answered " + e.code
	}
	return "AWS answered " + e.code + " to request " + e.request
}

// Cause returns what of err may stand in a log.
func Cause(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		var service interface{ ServiceRequestID() string }
		if errors.As(err, &service) {
			return awsError{api.ErrorCode(), service.ServiceRequestID()}
		}
		return awsError{code: api.ErrorCode()}
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return ended
		}
	}
	var sent *url.Error // the address it names holds keys
	if errors.As(err, &sent) {
		return sent.Err
	}
	return fmt.Errorf("a %T", innermost(err))
}

func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}
