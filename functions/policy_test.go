package functions_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"lethe/shared/cloud/cloudtest"
)

// A statement of a policy, its names resolved.
type statement struct {
	actions, resources []string
	prefixes           []string // of s3:ListBucket
}

func (s statement) allows(c call) bool {
	resource, prefix, listing := strings.Cut(c.resource, "?")
	return slices.ContainsFunc(s.actions, func(p string) bool { return matches(p, c.action) }) &&
		slices.ContainsFunc(s.resources, func(p string) bool { return matches(p, resource) }) &&
		(!listing || len(s.prefixes) == 0 || slices.ContainsFunc(s.prefixes, func(p string) bool { return matches(p, prefix) }))
}

// matches compares as IAM does, as far as the template's patterns go: a star at
// the end stands for anything.
func matches(pattern, value string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(value, start)
	}
	return pattern == value
}

// policies reads from template.yaml what each function's role may do.
func policies(t *testing.T) map[string][]statement {
	t.Helper()
	var template struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Managed  []string  `yaml:"ManagedPolicyArns"`
				Roles    []string  `yaml:"Roles"`
				Document yaml.Node `yaml:"PolicyDocument"`
				Policies yaml.Node `yaml:"Policies"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	readTemplate(t, &template)
	roles := map[string][]statement{}
	for name, r := range template.Resources {
		if r.Type == "AWS::IAM::Policy" { // of a stack with all that can be chosen
			for _, role := range r.Properties.Roles {
				function := strings.ToLower(strings.TrimSuffix(role, "Role"))
				roles[function] = append(roles[function], statements(t, r.Properties.Document)...)
			}
		}
		if r.Type != "AWS::IAM::Role" {
			continue
		}
		var own []struct {
			Document yaml.Node `yaml:"PolicyDocument"`
		}
		if err := r.Properties.Policies.Decode(&own); err != nil {
			t.Fatal(err)
		}
		function := strings.ToLower(strings.TrimSuffix(name, "Role"))
		for _, p := range own {
			roles[function] = append(roles[function], statements(t, p.Document)...)
		}
		for _, m := range r.Properties.Managed {
			roles[function] = append(roles[function], statements(t, template.Resources[m].Properties.Document)...)
		}
	}
	return roles
}

// statements reads a policy.
func statements(t *testing.T, policy yaml.Node) (all []statement) {
	t.Helper()
	var document struct {
		Statement []struct {
			Action    yaml.Node                       `yaml:"Action"`
			Resource  yaml.Node                       `yaml:"Resource"`
			Condition map[string]map[string]yaml.Node `yaml:"Condition"`
		} `yaml:"Statement"`
	}
	if err := policy.Decode(&document); err != nil {
		t.Fatal(err)
	}
	for _, s := range document.Statement {
		out := statement{actions: list(t, s.Action)}
		for _, r := range list(t, s.Resource) {
			out.resources = append(out.resources, resolve(t, r))
		}
		if like, ok := s.Condition["StringLike"]["s3:prefix"]; ok {
			out.prefixes = list(t, like)
		}
		all = append(all, out)
	}
	return all
}

// list reads what may be one string or a list of them. Of an !If, what holds for a
// stack of its own tables counts.
func list(t *testing.T, node yaml.Node) []string {
	t.Helper()
	if node.Tag == "!If" {
		if len(node.Content) != 3 || !strings.HasPrefix(node.Content[0].Value, "Own") {
			t.Fatalf("the test does not know the condition at line %d", node.Line)
		}
		return list(t, *node.Content[1])
	}
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}
	}
	var all []string
	if err := node.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// resolve gives what stands behind !Ref, !GetAtt or !Sub in the deployment of
// the test.
func resolve(t *testing.T, name string) string {
	t.Helper()
	known := map[string]string{
		"ControlTable.Arn": tableARN(controlTable), "SubjectsTable.Arn": tableARN(subjectsTable), "Bucket.Arn": arnOfBucket,
		"Key.Arn": arn("kms", "key/lethe"), "Logs.Arn": arn("logs", "log-group:lethe"),
		"ExportMachine": machineARN("export"), "DeletionMachine": machineARN("deletion"),
		"AWS::Partition": "aws", "AWS::Region": cloudtest.Region, "AWS::AccountId": cloudtest.Account, "AWS::StackName": "lethe",
		"Deployment": "lethe", "ArtifactBucket": "code", "LedgerCopy": ledgerCopy, "MailFrom": mailDomain,
	}
	if value, ok := known[name]; ok {
		return value
	}
	for variable, value := range known {
		name = strings.ReplaceAll(name, "${"+variable+"}", value)
	}
	if strings.Contains(name, "${") || !strings.HasPrefix(name, "arn:") && name != "*" {
		t.Fatalf("the test cannot resolve %s", name)
	}
	return name
}

// spare are actions that a role has for what the run does not bring about:
// uploads that were cut off, exports that waited or have to start afresh, and to be told
// that a file is absent, which versitygw tells everybody.
var spare = map[string][]string{
	"api":     {"s3:ListBucket"},
	"collect": {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListBucket", "s3:ListBucketMultipartUploads"},
	"finish":  {"dynamodb:BatchWriteItem", "s3:AbortMultipartUpload"},
	"pack":    {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListBucket", "s3:ListBucketMultipartUploads"},
	"plan":    {"dynamodb:DeleteItem", "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListBucket", "s3:ListBucketMultipartUploads"},
}

// checkPolicies compares what the functions called with what their roles allow,
// both ways.
func (d *deployment) checkPolicies(t *testing.T) {
	t.Helper()
	roles := policies(t)
	for _, function := range slices.Sorted(maps.Keys(d.recorders)) {
		r := d.recorders[function]
		for _, odd := range r.odd {
			t.Errorf("%s makes a call that the test does not know: %s", function, odd)
		}
		for c := range r.calls {
			if !slices.ContainsFunc(roles[function], func(s statement) bool { return s.allows(c) }) {
				t.Errorf("%s calls %s on %s, which its role does not allow", function, c.action, c.resource)
			}
		}
		for _, s := range roles[function] {
			for _, one := range s.each() {
				used := slices.ContainsFunc(slices.Collect(maps.Keys(r.calls)), one.allows)
				if !used && !byLambda(one.actions[0]) && !slices.Contains(spare[function], one.actions[0]) {
					t.Errorf("%s may call %s on %s, and does not", function, one.actions[0], one.resources[0])
				}
			}
		}
	}
}

// byLambda reports whether Lambda itself does that in the name of a function.
func byLambda(action string) bool {
	return strings.HasPrefix(action, "logs:") || strings.HasPrefix(action, "xray:")
}

// each gives the statement for one action on one resource at a time.
func (s statement) each() (all []statement) {
	for _, a := range s.actions {
		for _, r := range s.resources {
			all = append(all, statement{[]string{a}, []string{r}, s.prefixes})
		}
	}
	return all
}
