package console_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"lethe/shared/console"
)

// What has no route to api goes to ingest, which knows no page.
func TestEveryPageHasARoute(t *testing.T) {
	var template struct {
		Resources struct {
			ApiFunction struct {
				Properties struct {
					Events map[string]struct {
						Properties struct {
							Path string `yaml:"Path"`
						} `yaml:"Properties"`
					} `yaml:"Events"`
				} `yaml:"Properties"`
			} `yaml:"ApiFunction"`
		} `yaml:"Resources"`
	}
	text, err := os.ReadFile("../../template.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &template)
	}
	if err != nil {
		t.Fatal(err)
	}
	routed := func(path string) bool {
		for _, e := range template.Resources.ApiFunction.Properties.Events {
			route := e.Properties.Path
			below, proxy := strings.CutSuffix(route, "{proxy+}")
			if route == path || proxy && strings.HasPrefix(path, below) && path != below {
				return true
			}
		}
		return false
	}
	blank := regexp.MustCompile(`{\w+}`)
	for _, pattern := range console.Patterns() {
		_, path, _ := strings.Cut(pattern, " ")
		path = blank.ReplaceAllString(strings.TrimSuffix(path, "{$}"), "1")
		if path != "" && !routed(path) { // the one without is every page that is not there
			t.Errorf("template.yaml: %s has no route to the api function", path)
		}
	}
}
