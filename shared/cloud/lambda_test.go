package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/smithy-go"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/kind"
)

const secret = "amelie@example.com"

// TestMain makes the test binary a Lambda function when it is started as one, so
// that the runtime of Lambda is the real one.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(cloud.Task(misbehave))
	}
	os.Exit(m.Run())
}

// misbehave fails in the way that it is told to.
func misbehave(ctx context.Context, how map[string]string) (map[string]string, error) {
	foreign := &smithy.GenericAPIError{Code: "ValidationException", Message: "key " + secret}
	switch how["fail"] {
	case "kind":
		return nil, kind.E(kind.Throttled, "query events")
	case "wrapped":
		return nil, kind.Wrap("collect", kind.E(kind.Conflict, "swap"))
	case "sentence":
		return nil, kind.Say(kind.Corrupt, "The segment is damaged.")
	case "foreign":
		return nil, errors.New(secret)
	case "foreign cause":
		return nil, kind.E(kind.Unavailable, "read", foreign)
	case "time":
		return nil, context.DeadlineExceeded
	case "panic":
		panic(secret)
	}
	return map[string]string{"next": "done"}, nil
}

func TestTaskErrorsReachTheStateMachine(t *testing.T) {
	f := cloudtest.Start(t, exec.Command(os.Args[0]))
	for _, c := range []struct{ fail, errorType, message string }{
		{"kind", "Throttled", "query events"},
		{"wrapped", "Conflict", "collect: swap"},
		{"sentence", "Corrupt", "The segment is damaged."},
		{"foreign", "Internal", "Internal"},
		{"foreign cause", "Unavailable", "read: AWS answered ValidationException"},
		{"time", "Unavailable", "Unavailable"},
		{"panic", "Internal", "a panic with a string"},
	} {
		got, err := f.Invoke(t.Context(), []byte(`{"fail":"`+c.fail+`"}`))
		if err != nil {
			t.Fatalf("%s: %v", c.fail, err)
		}
		var answer struct{ ErrorType, ErrorMessage string }
		if err := json.Unmarshal(got.Body, &answer); err != nil || !got.Failed {
			t.Fatalf("%s: got %s, want an error", c.fail, got.Body)
		}
		if answer.ErrorType != c.errorType {
			t.Errorf("%s: errorType %q, want %q", c.fail, answer.ErrorType, c.errorType)
		}
		if !strings.Contains(answer.ErrorMessage, c.message) {
			t.Errorf("%s: errorMessage %q, want it to hold %q", c.fail, answer.ErrorMessage, c.message)
		}
		if strings.Contains(string(got.Body), secret) {
			t.Errorf("%s: a foreign text left the function: %s", c.fail, got.Body)
		}
	}
	got, err := f.Invoke(t.Context(), []byte(`{}`))
	if want := `{"next":"done"}`; err != nil || got.Failed || strings.TrimSpace(string(got.Body)) != want {
		t.Errorf("after failures: got %s, %v; want %s", got.Body, err, want)
	}
	if strings.Contains(f.Log(), secret) {
		t.Errorf("a foreign text reached the log:\n%s", f.Log())
	}
}
