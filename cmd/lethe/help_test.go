package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command shows an example, and every one that tells something can do so in JSON.
func TestEveryCommandHasAnExampleAndJSON(t *testing.T) {
	each(command(), func(c *cobra.Command) {
		path := c.CommandPath()
		if !strings.Contains(c.Example, "lethe ") {
			t.Errorf("%s has no example", path)
		}
		program := strings.HasPrefix(path, "lethe completion") || path == "lethe help" // they print files and help
		if !c.HasSubCommands() && !program && c.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", path)
		}
	})
}

// What is typed wrong is answered by a sentence that says what to type, and does not say
// again what was.
func TestWhatIsTypedWrong(t *testing.T) {
	for line, says := range map[string]string{
		"exprot":                      "Did you mean export?",
		"secret-person":               "lethe has no command of that name; see lethe --help.",
		"member sett":                 "Did you mean set?",
		"status":                      "lethe status takes TASK…, and nothing was given; see lethe status --help.",
		"list secret-person":          "lethe list takes flags only",
		"member set secret-person":    "lethe member set takes EMAIL ROLE, and what was given is 1 word;",
		"export --secret-person":      "goes behind a word of its own, --.",
		"list --secret-person":        "lethe list has no such flag; see lethe list --help.\n",
		"export -secret-person":       "lethe export has no such flag;",
		"export --window":             "--window is the last word",
		"list --limit secret-person":  "--limit takes a whole number",
		"export --wait=secret-person": "--wait takes true or false",
		"audit --data secret-person":  "it has export or verify; see lethe audit --help.",
		"completion bash x":           "lethe completion bash takes flags only",
	} {
		var out, diag bytes.Buffer
		status := run(strings.Fields(line), &out, &diag)
		if status != statusUsage || !strings.Contains(diag.String(), says) || strings.Contains(diag.String(), "secret-person") || out.Len() > 0 {
			t.Errorf("%s: %d, %q, %q", line, status, diag.String(), out.String())
		}
	}
}

// The shell offers what a flag takes, and files only where one is taken.
func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"list --only ":         "open\noverdue\nbroken\n:4\n",
		"export --compliance ": "gdpr\nccpa\n:4\n",
		"status ":              ":4\n",
		"export --window ":     ":4\n",
		"export --csv ":        ":0\n",
		"import ":              ":0\n",
		"open ":                ":0\n",
	} {
		var out, diag bytes.Buffer
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		if status := run(args, &out, &diag); status != statusDone || out.String() != want {
			t.Errorf("%s: %d, %q, want %q", line, status, out.String(), want)
		}
	}
}
