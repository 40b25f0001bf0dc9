package statemachine_test

import (
	"context"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
)

// taskNames are the tasks of the domain: the methods of a Service that take a
// step and answer one.
func taskNames() []string {
	var names []string
	want := reflect.TypeFor[func(*dsr.Service, context.Context, dsr.Step) (dsr.Step, error)]()
	for m := range reflect.TypeFor[*dsr.Service]().Methods() {
		if m.Type == want {
			names = append(names, m.Name)
		}
	}
	return names
}

func TestEveryTaskHasAState(t *testing.T) {
	var got []string
	for machine, d := range machines(t) {
		for name, s := range d.tasks() {
			got = append(got, name)
			if want := "${" + name + "FunctionArn}"; s.Resource != want {
				t.Errorf("state %s of %s: resource %s, want %s", name, machine, s.Resource, want)
			}
		}
	}
	slices.Sort(got)
	if got, want := slices.Compact(got), slices.Sorted(slices.Values(taskNames())); !slices.Equal(got, want) {
		t.Errorf("states of type Task are %v, the tasks of dsr are %v", got, want)
	}
}

func TestEveryTaskHasAFolderAndAResource(t *testing.T) {
	var want []string
	for _, name := range taskNames() {
		folder := strings.ToLower(name)
		want = append(want, folder)
		main, err := os.ReadFile("../functions/" + folder + "/main.go")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(string(main), "."+name+")") {
			t.Errorf("functions/%s does not serve %s", folder, name)
		}
	}
	entries, err := os.ReadDir("../functions")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	var resources []string
	for name, r := range readTemplate(t).Resources {
		if r.Type != "AWS::Serverless::Function" {
			continue
		}
		// functions/Makefile builds a resource from the folder of its name.
		resources = append(resources, strings.ToLower(strings.TrimSuffix(name, "Function")))
		if got, want := r.Properties.CodeURI, "functions/"; got != want {
			t.Errorf("resource %s has its code in %s, want %s", name, got, want)
		}
		if got, want := r.Properties.Role, strings.TrimSuffix(name, "Function")+"Role.Arn"; got != want {
			t.Errorf("resource %s runs as %s, want its own %s", name, got, want)
		}
	}
	slices.Sort(resources)
	if !slices.Equal(folders, resources) {
		t.Errorf("folders of functions are %v, resources %v", folders, resources)
	}
	for _, task := range want {
		if !slices.Contains(folders, task) {
			t.Errorf("there is no functions/%s", task)
		}
	}
}

func TestMachinesAreGivenTheFunctionsTheyName(t *testing.T) {
	resources := readTemplate(t).Resources
	for machine, d := range machines(t) {
		name := strings.ToUpper(machine[:1]) + machine[1:] + "Machine"
		r, ok := resources[name]
		if !ok || r.Properties.DefinitionURI != "statemachine/"+machine+".asl.json" {
			t.Errorf("template.yaml has no %s of statemachine/%s.asl.json", name, machine)
			continue
		}
		want := map[string]string{}
		var wantInvoked []string
		for task := range d.tasks() {
			want[task+"FunctionArn"] = task + "Function.Arn"
			wantInvoked = append(wantInvoked, task+"Function.Arn")
		}
		if !maps.Equal(r.Properties.Substitutions, want) {
			t.Errorf("%s: substitutions %v, want %v", name, r.Properties.Substitutions, want)
		}
		var invoked []string
		var policies []struct {
			Statement []struct {
				Action   yaml.Node `yaml:"Action"`
				Resource yaml.Node `yaml:"Resource"`
			} `yaml:"Statement"`
		}
		if err := r.Properties.Policies.Decode(&policies); err != nil {
			t.Fatal(err)
		}
		for _, p := range policies {
			for _, s := range p.Statement {
				if s.Action.Value != "lambda:InvokeFunction" {
					continue
				}
				var functions []string
				if err := s.Resource.Decode(&functions); err != nil {
					t.Fatal(err)
				}
				invoked = append(invoked, functions...)
			}
		}
		slices.Sort(invoked)
		slices.Sort(wantInvoked)
		if !slices.Equal(invoked, wantInvoked) {
			t.Errorf("%s may invoke %v, want %v", name, invoked, wantInvoked)
		}
	}
}

// An ErrorEquals that nothing ever answers would leave a failure without a retry.
func TestErrorsThatMachinesKnowExist(t *testing.T) {
	kinds := []kind.Kind{kind.Throttled, kind.Unavailable, kind.Conflict}
	platform := regexp.MustCompile(`^(States|Lambda|Runtime|Sandbox)\.[A-Za-z]+$`)
	for machine, d := range machines(t) {
		for name, s := range d.tasks() {
			var retried []string
			for _, r := range s.Retry {
				retried = append(retried, r.ErrorEquals...)
			}
			for _, k := range kinds {
				if !slices.Contains(retried, string(k)) {
					t.Errorf("state %s of %s does not retry %s", name, machine, k)
				}
			}
			for _, word := range retried {
				if !platform.MatchString(word) && !slices.Contains(kinds, kind.Kind(word)) {
					t.Errorf("state %s of %s retries %s, which is nothing that passes", name, machine, word)
				}
			}
		}
	}
}

func TestTimesFitTogether(t *testing.T) {
	parsed := readTemplate(t)
	timeout := func(resource string) int {
		if own := parsed.Resources[resource].Properties.Timeout; own != 0 {
			return own
		}
		return parsed.Globals.Function.Timeout
	}
	for machine, d := range machines(t) {
		for name, s := range d.tasks() {
			if got := timeout(name + "Function"); got > s.TimeoutSeconds {
				t.Errorf("%s works %d s when %s has given it up after %d s", name, got, machine, s.TimeoutSeconds)
			}
		}
	}
	outlasted, err := events.New(nil, nil, time.Now, events.Shared()).Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(timeout("IngestFunction")) * time.Second; got >= outlasted {
		t.Errorf("ingestion can live %v, which a deletion that waits %v does not outlast", got, outlasted)
	}
}

// The gateway refuses a route that ends in a slash, so the paths that clients of
// ingestion call with one have to fall to the route of the rest.
func TestIngestionTakesTheRest(t *testing.T) {
	for name, r := range readTemplate(t).Resources {
		for event, e := range r.Properties.Events {
			if e.Type != "HttpApi" {
				continue
			}
			if e.Properties.Path != "/" && strings.HasSuffix(e.Properties.Path, "/") { // the first page has no other
				t.Errorf("route %s of %s ends in a slash", event, name)
			}
			if rest := e.Properties.Path == ""; rest != (name == "IngestFunction") {
				t.Errorf("route %s of %s: got path %q; the rest is for IngestFunction alone", event, name, e.Properties.Path)
			}
		}
	}
}
