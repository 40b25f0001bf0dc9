package local

import (
	"context"
	"encoding/json"
	"log/slog"

	"lethe/shared/asl"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
	"lethe/statemachine"
)

// resources names the tasks as the definitions do, by what stands in place of
// the ARN of a function on AWS.
func resources(s *dsr.Service) map[string]func(context.Context, dsr.Step) (dsr.Step, error) {
	return map[string]func(context.Context, dsr.Step) (dsr.Step, error){
		"Plan": s.Plan, "Begin": s.Begin, "Collect": s.Collect, "Pack": s.Pack,
		"Erase": s.Erase, "Verify": s.Verify, "Finish": s.Finish,
	}
}

// newEngine makes the interpreter of the two state machines, with the tasks of s.
func newEngine(t table.Table, now dsr.Clock, log *slog.Logger, s *dsr.Service) (*asl.Engine, error) {
	tasks, substitutions := map[string]asl.Task{}, map[string]string{}
	for name, task := range resources(s) {
		arn := "arn:lethe:local:::function:" + name
		tasks[arn] = taskOf(task)
		substitutions[name+"FunctionArn"] = arn
	}
	export, err := asl.Load(string(dsr.Export), statemachine.Export, substitutions)
	if err != nil {
		return nil, err
	}
	deletion, err := asl.Load(string(dsr.Deletion), statemachine.Deletion, substitutions)
	if err != nil {
		return nil, err
	}
	return asl.New(t, now, log, tasks, export, deletion)
}

func taskOf(task func(context.Context, dsr.Step) (dsr.Step, error)) asl.Task {
	return func(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
		var step dsr.Step
		if err := json.Unmarshal(input, &step); err != nil {
			return nil, kind.E(kind.Invalid, "read the input of a task", err)
		}
		next, err := task(ctx, step)
		if err != nil {
			return nil, err
		}
		output, err := json.Marshal(next)
		if err != nil {
			return nil, kind.E(kind.Internal, "encode the output of a task", err)
		}
		return output, nil
	}
}

// workflow is dsr.Workflow over the interpreter.
type workflow struct{ engine *asl.Engine }

func (w *workflow) Start(ctx context.Context, machine, name string, input json.RawMessage) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(input, &fields); err != nil || fields == nil {
		return kind.E(kind.Invalid, "start an execution: the input is not a JSON object")
	}
	return w.engine.Start(ctx, machine, name, input)
}

func (w *workflow) Describe(ctx context.Context, machine, name string) (dsr.Execution, error) {
	x, err := w.engine.Describe(ctx, machine, name)
	if err != nil {
		return dsr.Execution{}, err
	}
	return dsr.Execution{Status: dsr.ExecutionStatus(x.Status), Started: x.Started, Ended: x.Ended, Error: x.Error}, nil
}

func (w *workflow) Stop(ctx context.Context, machine, name, cause string) error {
	return w.engine.Stop(ctx, machine, name, cause)
}
