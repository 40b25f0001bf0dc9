package cloud_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/dsr"
	"lethe/shared/dsr/dsrtest"
	"lethe/shared/kind"
)

// Starting and stopping lose their connection before or after the engine has done
// it, once, and until the SDK gives up.
func TestWorkflowFaults(t *testing.T) {
	line := cloudtest.NewLine(t, cloudtest.Moto(t))
	client := sfn.NewFromConfig(cloudtest.Config(line.Address), func(o *sfn.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	})
	w := cloud.NewWorkflow(client, map[string]string{"waits": makeMachine(t, client, "waits", dsrtest.Machines["waits"])})
	asked := func(operation string) func(*http.Request) bool {
		return func(r *http.Request) bool { return strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+operation) }
	}
	status := func(name string) dsr.ExecutionStatus {
		e, err := w.Describe(t.Context(), "waits", name)
		if err != nil && kind.Of(err) != kind.NotFound {
			t.Fatal(err)
		}
		return e.Status
	}
	start := func(name string) error {
		return w.Start(t.Context(), "waits", name, json.RawMessage(`{"task":"`+name+`"}`))
	}
	stop := func(name string) error { return w.Stop(t.Context(), "waits", name, "cancelled") }
	for _, c := range []struct {
		name, operation string
		call            func(name string) error
		before, after   dsr.ExecutionStatus
		again           kind.Kind // what the call returns once it was applied
	}{
		{"start", "StartExecution", start, "", dsr.ExecutionRunning, kind.Conflict},
		{"stop", "StopExecution", stop, dsr.ExecutionRunning, dsr.ExecutionAborted, ""},
	} {
		for _, fault := range cloudtest.Faults {
			for _, times := range []int{1, 1000} {
				how := map[bool]string{true: "once", false: "for good"}[times == 1]
				t.Run(c.name+", "+string(fault)+", "+how, func(t *testing.T) {
					name := c.name + map[cloudtest.Fault]string{cloudtest.NotApplied: "-not", cloudtest.Applied: "-but"}[fault] + "-" + how[:3]
					if c.before != "" {
						if err := start(name); err != nil {
							t.Fatal(err)
						}
					}
					line.Break(fault, times, asked(c.operation))
					err := c.call(name)
					if line.Mend() == times {
						t.Fatal("nothing failed")
					}
					want, stands := kind.Kind(""), c.after
					if times > 1 {
						want = kind.Unavailable
						if fault == cloudtest.NotApplied {
							stands = c.before
						}
					}
					if kind.Of(err) != want || err != nil && strings.Contains(err.Error(), name) {
						t.Errorf("got %v, want %q", err, want)
					}
					if got := status(name); got != stands {
						t.Errorf("the execution is %q, want %q", got, stands)
					}
					want = ""
					if stands == c.after {
						want = c.again
					}
					if err := c.call(name); kind.Of(err) != want {
						t.Errorf("again: got %v, want %q", err, want)
					}
					if got := status(name); got != c.after {
						t.Errorf("called again, the execution is %q, want %q", got, c.after)
					}
				})
			}
		}
	}
}
