package cloud_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/dsr/workflowtest"
	"lethe/shared/kind"
)

// machine makes a state machine that waits, so that its executions run on.
func machine(t *testing.T, client *sfn.Client, name, definition string) string {
	t.Helper()
	out, err := client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: &name, Definition: &definition,
		RoleArn: aws.String("arn:aws:iam::" + cloudtest.Account + ":role/states"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.StateMachineArn
}

func TestWorkflowOnMoto(t *testing.T) {
	client := sfn.NewFromConfig(cloudtest.Config(cloudtest.Moto(t)))
	const waits = `{"StartAt":"Wait","States":{"Wait":{"Type":"Wait","Seconds":600,"End":true}}}`
	w := cloud.NewWorkflow(client, map[string]string{
		"export": machine(t, client, "lethe-export", waits), "deletion": machine(t, client, "lethe-deletion", waits),
	})
	workflowtest.Run(t, w)
	ctx, input := t.Context(), json.RawMessage(`{}`)
	if err := w.Start(ctx, "import", "7a0e-1", input); kind.Of(err) != kind.Invalid {
		t.Errorf("a machine that does not exist: got %v, want Invalid", err)
	}
	if err := w.Start(ctx, "export", "7a0e-9", json.RawMessage(`[1]`)); kind.Of(err) != kind.Invalid {
		t.Errorf("an input that is no object: got %v, want Invalid", err)
	}
}

// Step Functions answers success to a second start with the same input, and to
// a start that the SDK sends again because the first answer was lost. The two
// must not look alike.
func TestStartIsIdempotentOnlyWithinOneCall(t *testing.T) {
	service := &starts{inputs: map[string]string{}}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	client := sfn.NewFromConfig(cloudtest.Config(server.URL), func(o *sfn.Options) {
		o.Retryer = aws.NopRetryer{}
	})
	again := sfn.NewFromConfig(cloudtest.Config(server.URL))
	arn := map[string]string{"export": "arn:aws:states:eu-central-1:123456789012:stateMachine:lethe-export"}
	input := json.RawMessage(`{"task":"7a0e","attempt":1}`)

	if err := cloud.NewWorkflow(client, arn).Start(t.Context(), "export", "a", input); err != nil {
		t.Fatal(err)
	}
	if err := cloud.NewWorkflow(client, arn).Start(t.Context(), "export", "a", input); kind.Of(err) != kind.Conflict {
		t.Errorf("a second call: got %v, want Conflict", err)
	}
	service.loseAnswers(1)
	if err := cloud.NewWorkflow(again, arn).Start(t.Context(), "export", "b", input); err != nil {
		t.Errorf("an answer that was lost: got %v, want the second try to succeed", err)
	}
	service.loseAnswers(1)
	err := cloud.NewWorkflow(client, arn).Start(t.Context(), "export", "c", input)
	if kind.Of(err) != kind.Unavailable {
		t.Errorf("an answer that was lost for good: got %v, want Unavailable", err)
	}
}

// starts plays StartExecution as the API reference describes it.
type starts struct {
	mu     sync.Mutex
	inputs map[string]string
	lose   int
}

func (s *starts) loseAnswers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = n
}

func (s *starts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct{ Name, Input string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	was, used := s.inputs[in.Name]
	s.inputs[in.Name] = in.Input
	switch {
	case s.lose > 0:
		s.lose--
		w.WriteHeader(http.StatusServiceUnavailable)
	case used && was != in.Input:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"ExecutionAlreadyExists","message":"` + secret + `"}`))
	default:
		_, _ = w.Write([]byte(`{"executionArn":"arn","startDate":1700000000}`))
	}
}

func TestWorkflowErrors(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   kind.Kind
	}{
		{400, "ThrottlingException", kind.Throttled},
		{400, "ExecutionLimitExceeded", kind.Throttled},
		{400, "InvalidName", kind.Invalid},
		{400, "AccessDeniedException", kind.Internal},
		{400, "StateMachineDoesNotExist", kind.Internal},
		{500, "InternalFailure", kind.Unavailable},
		{503, "ServiceUnavailable", kind.Unavailable},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(`{"__type":"` + c.code + `","message":"` + secret + `"}`))
		}))
		client := sfn.NewFromConfig(cloudtest.Config(server.URL), func(o *sfn.Options) { o.Retryer = aws.NopRetryer{} })
		w := cloud.NewWorkflow(client, map[string]string{"export": "arn:aws:states:r:1:stateMachine:x"})
		err := w.Start(t.Context(), "export", "a", json.RawMessage(`{}`))
		if got := kind.Of(err); got != c.want {
			t.Errorf("%s: got %v, want %v", c.code, got, c.want)
		}
		if text := err.Error(); !strings.Contains(text, c.code) || strings.Contains(text, secret) {
			t.Errorf("%s: the error says %q; want the code and nothing of the message", c.code, text)
		}
		server.Close()
		err = w.Start(t.Context(), "export", "a", json.RawMessage(`{}`))
		if got := kind.Of(err); got != kind.Unavailable {
			t.Errorf("nobody there: got %v, want Unavailable", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := kind.Of(w.Start(ctx, "export", "a", json.RawMessage(`{}`))); got != kind.Unavailable {
			t.Errorf("a context that ended: got %v, want Unavailable", got)
		}
	}
}
