package statemachine_test

import (
	"encoding/json"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"

	"lethe/statemachine"
)

// A template is what the tests compare of template.yaml. A value behind !Ref,
// !GetAtt or !Sub is what stands behind the tag.
type template struct {
	Globals struct {
		Function struct {
			Timeout int `yaml:"Timeout"`
		} `yaml:"Function"`
	} `yaml:"Globals"`
	Resources map[string]struct {
		Type       string `yaml:"Type"`
		Properties struct {
			CodeURI       string            `yaml:"CodeUri"`
			Role          string            `yaml:"Role"`
			Timeout       int               `yaml:"Timeout"`
			DefinitionURI string            `yaml:"DefinitionUri"`
			Substitutions map[string]string `yaml:"DefinitionSubstitutions"`
			Policies      yaml.Node         `yaml:"Policies"`
			Events        map[string]struct {
				Type       string `yaml:"Type"`
				Properties struct {
					Path string `yaml:"Path"`
				} `yaml:"Properties"`
			} `yaml:"Events"`
		} `yaml:"Properties"`
	} `yaml:"Resources"`
}

func readTemplate(t *testing.T) template {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var parsed template
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// A definition is a state machine as far as the tests compare it.
type definition struct {
	States map[string]state
}

type state struct {
	Type           string
	Resource       string
	TimeoutSeconds int
	Retry, Catch   []struct{ ErrorEquals []string }
	ItemProcessor  definition
}

func machines(t *testing.T) map[string]definition {
	t.Helper()
	all := map[string]definition{}
	for name, text := range map[string][]byte{"export": statemachine.Export, "deletion": statemachine.Deletion} {
		var d definition
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = d
	}
	return all
}

// tasks returns the states of type Task, also those in a Map, by name.
func (d definition) tasks() map[string]state {
	found := map[string]state{}
	for name, s := range d.States {
		if s.Type == "Task" {
			found[name] = s
		}
		for inner, s := range s.ItemProcessor.tasks() {
			found[inner] = s
		}
	}
	return found
}
