package functions_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A stack is template.yaml with its parameters given and its conditions decided.
type stack struct {
	t          *testing.T
	parameters map[string]string
	conditions map[string]yaml.Node
	resources  map[string]yaml.Node
	outputs    map[string]yaml.Node
	globals    yaml.Node
	rules      map[string]rule
}

type rule struct {
	Condition  yaml.Node `yaml:"RuleCondition"`
	Assertions []struct {
		Assert yaml.Node `yaml:"Assert"`
	} `yaml:"Assertions"`
}

// settle decides the template; parameters that are not given have their defaults.
func settle(t *testing.T, given map[string]string) stack {
	t.Helper()
	var template struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Conditions map[string]yaml.Node `yaml:"Conditions"`
		Globals    yaml.Node            `yaml:"Globals"`
		Resources  map[string]yaml.Node `yaml:"Resources"`
		Outputs    map[string]yaml.Node `yaml:"Outputs"`
		Rules      map[string]rule      `yaml:"Rules"`
	}
	readTemplate(t, &template)
	s := stack{t, map[string]string{}, template.Conditions, template.Resources, template.Outputs, template.Globals, template.Rules}
	for name, p := range template.Parameters {
		s.parameters[name] = p.Default
	}
	maps.Copy(s.parameters, given)
	return s
}

// holds evaluates a condition.
func (s stack) holds(c *yaml.Node) bool {
	s.t.Helper()
	switch c.Tag {
	case "!Condition":
		named := s.conditions[c.Value]
		return s.holds(&named)
	case "!Equals":
		return s.value(c.Content[0]) == s.value(c.Content[1])
	case "!Not":
		return !s.holds(c.Content[0])
	case "!And":
		return !slices.ContainsFunc(c.Content, func(one *yaml.Node) bool { return !s.holds(one) })
	}
	s.t.Fatalf("the test does not know the condition at line %d", c.Line)
	return false
}

// refused reports whether a rule keeps CloudFormation from deploying with these
// parameters.
func (s stack) refused() bool {
	for _, r := range s.rules {
		for _, a := range r.Assertions {
			if s.holds(&r.Condition) && !s.holds(&a.Assert) {
				return true
			}
		}
	}
	return false
}

func (s stack) value(n *yaml.Node) string {
	if n.Tag == "!Ref" {
		return s.parameters[n.Value]
	}
	return n.Value
}

// each calls f with every scalar of a part of the template that counts.
func (s stack) each(n *yaml.Node, f func(*yaml.Node)) {
	if n.Tag == "!If" {
		branch := n.Content[2]
		if named := s.conditions[n.Content[0].Value]; s.holds(&named) {
			branch = n.Content[1]
		}
		s.each(branch, f)
		return
	}
	if n.Kind == yaml.ScalarNode {
		f(n)
	}
	for _, part := range n.Content {
		s.each(part, f)
	}
}

// names reports whether a scalar refers to a resource or parameter of that name.
func names(n *yaml.Node, name string) bool {
	switch n.Tag {
	case "!Ref", "!GetAtt":
		return n.Value == name || strings.HasPrefix(n.Value, name+".")
	case "!Sub":
		return strings.Contains(n.Value, "${"+name+"}") || strings.Contains(n.Value, "${"+name+".")
	}
	return false
}

// With tables that were put back, everything goes to those and nothing to the
// stack's own; and exactly then functions ask whether they were restored.
func TestEverythingFollowsRestoredTables(t *testing.T) {
	const restored = "put-back"
	for _, c := range []struct{ control, subjects, asks string }{
		{"", "", ""}, {restored, restored, "true"}, {restored, "", "true"}, {"", restored, "true"},
	} {
		s := settle(t, map[string]string{"ControlTableName": c.control, "SubjectsTableName": c.subjects})
		if half := (c.control == "") != (c.subjects == ""); s.refused() != half {
			t.Errorf("the tables %q and %q are refused: %v, want %v", c.control, c.subjects, !half, half)
		}
		parts := map[string]yaml.Node{"Globals": s.globals}
		maps.Copy(parts, s.resources)
		for name, output := range s.outputs {
			parts["output "+name] = output
		}
		uses := map[string]int{}
		for where, part := range parts {
			if where == "ControlTable" || where == "SubjectsTable" {
				continue
			}
			s.each(&part, func(n *yaml.Node) {
				for table, given := range map[string]string{"ControlTable": c.control, "SubjectsTable": c.subjects} {
					other := table
					if given == "" {
						other = table + "Name"
					}
					if names(n, other) {
						t.Errorf("%s refers to %s at line %d, with the tables %q and %q", where, other, n.Line, c.control, c.subjects)
					}
					if names(n, table) || names(n, table+"Name") {
						uses[table]++
					}
				}
			})
		}
		if uses["ControlTable"] < 15 || uses["SubjectsTable"] < 10 {
			t.Errorf("the test sees only these uses of tables: %v", uses)
		}
		var variables struct {
			Function struct {
				Environment struct {
					Variables map[string]yaml.Node `yaml:"Variables"`
				} `yaml:"Environment"`
			} `yaml:"Function"`
		}
		if err := s.globals.Decode(&variables); err != nil {
			t.Fatal(err)
		}
		asks := variables.Function.Environment.Variables["LETHE_RESTORED"]
		s.each(&asks, func(n *yaml.Node) {
			if n.Value != c.asks {
				t.Errorf("LETHE_RESTORED is %q with the tables %q and %q, want %q", n.Value, c.control, c.subjects, c.asks)
			}
		})
	}
}

// The operations page has every alarm and every parameter of the template and no
// other, and what its commands name in angle brackets is there.
func TestOperationsPageIsOfThisTemplate(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(text), "\n# Running Lethe on AWS\n")
	rows := func(head string) (named []string) {
		t.Helper()
		_, table, found := strings.Cut(page, "\n| "+head+" |")
		table, _, _ = strings.Cut(table, "\n\n")
		if !found {
			t.Fatalf("the page has no table of %ss", head)
		}
		for row := range strings.Lines(table) {
			cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
			for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cell, -1) {
				named = append(named, name[1])
			}
		}
		slices.Sort(named)
		return named
	}
	s := settle(t, nil)
	if got, want := rows("parameter"), slices.Sorted(maps.Keys(s.parameters)); !slices.Equal(got, want) {
		t.Errorf("the page has the parameters %v, the template %v", got, want)
	}
	var alarms []string
	for name, r := range s.resources {
		var of struct {
			Type string `yaml:"Type"`
		}
		if err := r.Decode(&of); err != nil {
			t.Fatal(err)
		}
		if of.Type == "AWS::CloudWatch::Alarm" {
			alarms = append(alarms, name)
		}
	}
	slices.Sort(alarms)
	if got := rows("alarm"); !slices.Equal(got, alarms) {
		t.Errorf("the page has the alarms %v, the template %v", got, alarms)
	}
	for _, name := range regexp.MustCompile(`<([A-Z]\w+)`).FindAllStringSubmatch(page, -1) {
		_, output := s.outputs[name[1]]
		_, parameter := s.parameters[name[1]]
		if !output && !parameter {
			t.Errorf("the page names <%s>, which is neither an output nor a parameter", name[1])
		}
	}
}
