package cloud

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// NewWorkflow returns the Workflow on Step Functions. Machines gives the ARN of
// the Standard state machine for "export" and for "deletion".
//
// Start adds a random "start" to the input, which must be a JSON object: Step
// Functions answers success to a name that runs already if the input is the
// same too, and the contract of Start is that it is kind.Conflict. A start that
// the SDK repeats because no answer came carries the same input and succeeds.
// Step Functions remembers a name for 90 days after its execution ended.
//
// Describe of an execution that was just started can be kind.NotFound.
func NewWorkflow(client *sfn.Client, machines map[string]string) dsr.Workflow {
	return workflow{client, machines}
}

type workflow struct {
	client   *sfn.Client
	machines map[string]string
}

func (w workflow) Start(ctx context.Context, machine, name string, input json.RawMessage) error {
	const op = "start an execution"
	arn, err := w.machine(op, machine)
	if err != nil {
		return err
	}
	if !isExecutionName(name) {
		return kind.E(kind.Invalid, op+": the name is no name of an execution")
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(input, &fields); err != nil || fields == nil {
		return kind.E(kind.Invalid, op+": the input is not a JSON object")
	}
	fields["start"] = json.RawMessage(`"` + rand.Text() + `"`)
	unique, err := json.Marshal(fields)
	if err != nil {
		return kind.E(kind.Invalid, op+": the input is not JSON")
	}
	_, err = w.client.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &arn, Name: &name, Input: aws.String(string(unique)),
	})
	var used *types.ExecutionAlreadyExists
	var limit *types.ExecutionLimitExceeded
	var badName *types.InvalidName
	var badInput *types.InvalidExecutionInput
	switch {
	case errors.As(err, &used):
		return kind.E(kind.Conflict, op, Cause(err))
	case errors.As(err, &limit):
		return kind.E(kind.Throttled, op, Cause(err))
	case errors.As(err, &badName), errors.As(err, &badInput):
		return kind.E(kind.Invalid, op, Cause(err))
	}
	return Classify(op, err)
}

func (w workflow) Describe(ctx context.Context, machine, name string) (dsr.Execution, error) {
	const op = "describe an execution"
	arn, err := w.execution(op, machine, name)
	if err != nil {
		return dsr.Execution{}, err
	}
	out, err := w.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{
		ExecutionArn: &arn, IncludedData: types.IncludedDataMetadataOnly,
	})
	if absent(err) {
		return dsr.Execution{}, kind.E(kind.NotFound, op, Cause(err))
	}
	if err != nil {
		return dsr.Execution{}, Classify(op, err)
	}
	e := dsr.Execution{
		Status:  dsr.ExecutionStatus(out.Status),
		Started: aws.ToTime(out.StartDate),
		Ended:   aws.ToTime(out.StopDate),
		Error:   aws.ToString(out.Error),
	}
	if out.Status == types.ExecutionStatusPendingRedrive {
		e.Status = dsr.ExecutionRunning
	}
	return e, nil
}

func (w workflow) Stop(ctx context.Context, machine, name, reason string) error {
	const op = "stop an execution"
	arn, err := w.execution(op, machine, name)
	if err != nil {
		return nil // what has no machine is absent
	}
	_, err = w.client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &arn, Cause: &reason})
	if absent(err) {
		return nil
	}
	return Classify(op, err)
}

func (w workflow) machine(op, machine string) (string, error) {
	arn, ok := w.machines[machine]
	if !ok {
		return "", kind.E(kind.NotFound, op+": there is no such machine")
	}
	return arn, nil
}

// execution is the ARN of an execution, which follows from that of its machine.
func (w workflow) execution(op, machine, name string) (string, error) {
	arn, err := w.machine(op, machine)
	if err != nil {
		return "", err
	}
	return strings.Replace(arn, ":stateMachine:", ":execution:", 1) + ":" + name, nil
}

// isExecutionName reports whether name is one by the contract. Step Functions
// would make up a name where none is given, and takes others that an ARN does not.
func isExecutionName(name string) bool {
	strange := func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		return !letter && (r < '0' || '9' < r) && r != '.' && r != '_' && r != '-'
	}
	return name != "" && len(name) <= 80 && !strings.ContainsFunc(name, strange)
}

func absent(err error) bool {
	var none *types.ExecutionDoesNotExist
	return errors.As(err, &none)
}
