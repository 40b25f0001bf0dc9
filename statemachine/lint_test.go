package statemachine_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"lethe/shared/cloud/cloudtest"
	"lethe/statemachine"
)

var placeholder = regexp.MustCompile(`\$\{(\w+)FunctionArn\}`)

// substituted is a definition as a deployment would have it.
func substituted(definition []byte) []byte {
	return placeholder.ReplaceAll(definition, []byte("arn:aws:lambda:"+cloudtest.Region+":"+cloudtest.Account+":function:$1"))
}

func TestTemplatesAreClean(t *testing.T) {
	lint(t, filepath.Join(cloudtest.Root(t), "template.yaml"))
	others, err := filepath.Glob(filepath.Join(cloudtest.Root(t), "infra", "*.yaml"))
	if err != nil || len(others) == 0 {
		t.Fatalf("found no templates in infra: %v", err)
	}
	for _, path := range others {
		lint(t, path)
	}
}

// What a deployment begins with: sam takes the template, and builds every function
// for Lambda's machines.
func TestSamBuilds(t *testing.T) {
	sam, dir := python(t, "sam"), t.TempDir()
	for _, args := range [][]string{{"validate", "--lint"}, {"build", "--build-dir", dir}} {
		c := exec.CommandContext(t.Context(), sam, args...)
		c.Dir = cloudtest.Root(t)
		c.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION="+cloudtest.Region)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("sam %s: %v\n%s", args[0], err, out)
		}
	}
	functions := 0
	for name, r := range readTemplate(t).Resources {
		if r.Type != "AWS::Serverless::Function" {
			continue
		}
		functions++
		program, err := elf.Open(filepath.Join(dir, name, "bootstrap"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if program.Machine != elf.EM_AARCH64 {
			t.Errorf("%s is built for %v", name, program.Machine)
		}
		program.Close()
	}
	if functions == 0 {
		t.Error("the template has no functions")
	}
}

// cfn-lint does not open the files that template.yaml names, so the definitions
// go into a template of their own.
func TestDefinitionsAreClean(t *testing.T) {
	resources := map[string]any{}
	for name, text := range map[string][]byte{"Export": statemachine.Export, "Deletion": statemachine.Deletion} {
		resources[name] = map[string]any{
			"Type": "AWS::StepFunctions::StateMachine",
			"Properties": map[string]any{
				"RoleArn":    "arn:aws:iam::" + cloudtest.Account + ":role/states",
				"Definition": json.RawMessage(substituted(text)),
			},
		}
	}
	text, err := json.Marshal(map[string]any{"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "machines.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	lint(t, path)
}

// python is a program that .ci/install-lint installs.
func python(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(cloudtest.Root(t), ".cache", "venv", "bin", name)
	if _, err := os.Stat(program); err != nil {
		cloudtest.Missing(t, name+", which .ci/install-lint installs")
	}
	return program
}

func lint(t *testing.T, path string) {
	t.Helper()
	program := python(t, "cfn-lint")
	if _, err := os.ReadFile(path); err != nil { // so that the cache of go test sees it
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "--include-checks", "I", "--", path).CombinedOutput()
	if err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

func TestDefinitionsAreValidToAnIndependentReader(t *testing.T) {
	program := filepath.Join(cloudtest.Root(t), ".cache", "asl", "node_modules", ".bin", "asl-validator")
	if _, err := os.Stat(program); err != nil {
		cloudtest.Missing(t, "asl-validator, which .ci/install-lint installs")
	}
	for name, text := range map[string][]byte{"export": statemachine.Export, "deletion": statemachine.Deletion} {
		path := filepath.Join(t.TempDir(), name+".json")
		if err := os.WriteFile(path, substituted(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), program, "--json-path", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
