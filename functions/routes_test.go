package functions_test

import (
	"strings"
	"testing"
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
	readTemplate(t, &template)
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
	for _, path := range []string{
		"/", "/sign-in", "/sign-in/link", "/sign-in/provider", "/sign-in/oidc", "/sign-out", "/assets/x.css",
		"/exports/new", "/deletions/new", "/requests", "/requests/search", "/requests/1/download",
		"/projects", "/projects/1", "/projects/1/opt-outs", "/projects/1/audit/verify", "/organisation", "/organisation/members/remove",
		"/personal", "/personal/tokens", "/personal/tokens/revoke",
	} {
		if !routed(path) {
			t.Errorf("template.yaml: %s has no route to the api function", path)
		}
	}
}
