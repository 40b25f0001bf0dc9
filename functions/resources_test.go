package functions_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"lethe/shared/cloud/cloudtest"
)

// A resource is one that CloudFormation makes of template.yaml.
type resource struct {
	Name       string                     `json:"name"` // the logical one
	Type       string                     `json:"type"`
	Properties map[string]json.RawMessage `json:"properties"`
	// Identifiers are properties by which AWS tells such resources apart.
	Identifiers []string `json:"identifiers"`
	// Permissions are the actions that CloudFormation says it takes to create, read,
	// update, tag and delete one, whatever feature it uses.
	Permissions []permission `json:"permissions"`
}

type permission struct {
	Action string `json:"action"`
	// Unnamed is that IAM checks it against no resource, so that only a star allows it.
	Unnamed bool `json:"unnamed"`
}

// translate prints the resources as JSON: SAM's own translator has their types and
// names, the schemas that cfn-lint ships, which are CloudFormation's registry, have
// what they take, and the authorization reference that it ships has how IAM checks
// that. Actions that IAM does not know cannot be allowed.
const translate = `
import json, os, sys
import boto3, cfnlint
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse
template = yaml_parse(sys.stdin)
for r in template["Resources"].values():
    if r["Type"] == "AWS::Serverless::Function":
        r["Properties"]["CodeUri"] = "s3://code/function"
    if r["Type"] == "AWS::Serverless::StateMachine":
        r["Properties"]["DefinitionUri"] = "s3://code/machine"
session = boto3.session.Session(region_name="us-east-1")
schemas = os.path.join(os.path.dirname(cfnlint.__file__), "data", "schemas")
actions = json.load(open(os.path.join(os.path.dirname(cfnlint.__file__), "data", "AdditionalSpecs", "Policies.json")))
def checked(permission):
    service, _, action = permission.lower().partition(":")
    known = actions.get(service, {}).get("Actions", {}).get(action)
    return [] if known is None else [{"action": permission, "unnamed": not known.get("Resources")}]
registry = json.load(open(os.path.join(schemas, "providers", "us-east-1.json")))
resources = []
for name, r in Translator({}, Parser(), boto_session=session).translate(template, {})["Resources"].items():
    schema = json.load(open(os.path.join(schemas, "resources", registry[r["Type"]] + ".json")))
    identifiers = schema["primaryIdentifier"] + sum(schema.get("additionalIdentifiers", []), [])
    needs = {p for verb in ("create", "read", "update", "delete") for p in schema["handlers"].get(verb, {}).get("permissions", [])}
    needs.update(schema.get("tagging", {}).get("permissions", []))
    resources.append({"name": name, "type": r["Type"], "properties": r.get("Properties", {}),
        "identifiers": [i.removeprefix("/properties/") for i in identifiers], "permissions": [c for p in sorted(needs) for c in checked(p)]})
json.dump(resources, sys.stdout)
`

func resources(t *testing.T) []resource {
	t.Helper()
	program := filepath.Join(cloudtest.Root(t), ".cache", "venv", "bin", "python")
	if _, err := os.Stat(program); err != nil {
		cloudtest.Missing(t, "cfn-lint, which .ci/install-lint installs")
	}
	template, err := os.Open("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer template.Close()
	cmd := exec.CommandContext(t.Context(), program, "-c", translate)
	cmd.Stdin = template
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("translate: %v\n%s", err, failure.String())
	}
	var all []resource
	if err := json.Unmarshal(out, &all); err != nil || len(all) < 50 {
		t.Fatalf("translate: %v, %d resources", err, len(all))
	}
	return all
}

func TestResources(t *testing.T) {
	all := resources(t)
	t.Run("names", func(t *testing.T) { namesAreOfTheStack(t, all) })
	t.Run("deploy role", func(t *testing.T) { deployRoleSuffices(t, all) })
}

// Two deployments in one account and region do not meet: what has a fixed name
// has the stack's in it, or is part of what has.
func namesAreOfTheStack(t *testing.T, all []resource) {
	for _, r := range all {
		shared := false
		for _, name := range r.Identifiers {
			value, given := r.Properties[name]
			if text := string(value); !given || strings.Contains(text, "AWS::StackName") || strings.Contains(text, `"Ref"`) || strings.Contains(text, "Fn::GetAtt") {
				shared = false
				break
			}
			shared = true
		}
		if shared {
			t.Errorf("two stacks would share %s (%s)", r.Name, r.Type)
		}
	}
}

// without are permissions that are for features that template.yaml does not use, or
// that nobody is to have.
var without = map[string][]string{
	"AWS::ApiGatewayV2::Api":        {"s3:*"},                  // its description in a file
	"AWS::ApiGatewayV2::DomainName": {"s3:*"},                  // certificates of clients
	"AWS::Cognito::UserPool":        {"iam:*", "kms:*"},        // SMS, functions as triggers
	"AWS::Cognito::UserPoolClient":  {"iam:*"},                 // analytics
	"AWS::Cognito::UserPoolDomain":  {"cloudfront:*", "kms:*"}, // a domain of one's own
	"AWS::DynamoDB::Table": {"iam:*", "kinesis:*", "kms:*", "logs:*", "s3:*", // replicas, streams, keys of one's own
		"dynamodb:DescribeImport", "dynamodb:ImportTable"},
	"AWS::IAM::ManagedPolicy": {"iam:AttachGroupPolicy", "iam:AttachUserPolicy", "iam:DetachGroupPolicy", "iam:DetachUserPolicy"},
	"AWS::IAM::Policy": {"iam:DeleteGroupPolicy", "iam:DeleteUserPolicy", "iam:GetGroupPolicy", "iam:GetUserPolicy",
		"iam:PutGroupPolicy", "iam:PutUserPolicy"},
	"AWS::IAM::Role": {"iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary"},
	"AWS::KMS::Key":  {"kms:DisableKey", "kms:ScheduleKeyDeletion"}, // the template keeps the key, and its loss is for good
	"AWS::Lambda::Function": {"ec2:*", "elasticfilesystem:*", "s3files:*", "kms:*", // networks, file systems, keys of one's own
		"lambda:GetCodeSigningConfig", "lambda:GetLayerVersion", "lambda:PassCapacityProvider"},
	"AWS::Logs::LogGroup":              {"firehose:*", "s3:*", "logs:DeleteIndexPolicy", "logs:PutIndexPolicy", "logs:DeleteResourcePolicy"}, // the last are of others too
	"AWS::S3::Bucket":                  {"iam:*", "s3tables:*"},                                                                              // replication, tables of metadata
	"AWS::SNS::Subscription":           {"iam:*"},
	"AWS::SNS::Topic":                  {"iam:*"}, // logs of deliveries
	"AWS::StepFunctions::StateMachine": {"kms:*"},
}

// arnOf is the ARN that an action on a resource is checked against, in a stack of
// the name lethe.
func (r resource) arnOf(t *testing.T, action string) string {
	t.Helper()
	generated := "lethe-" + r.Name + "-1A2B3C"
	service, _, _ := strings.Cut(action, ":")
	switch {
	case action == "iam:PassRole":
		return "arn:aws:iam::" + cloudtest.Account + ":role/lethe-Role-1A2B3C"
	case action == "s3:GetObject" && r.Type != "AWS::S3::Bucket", action == "s3:GetObjectVersion":
		return "arn:aws:s3:::code/function"
	}
	named := func(property string) string {
		var name struct {
			Sub string `json:"Fn::Sub"`
		}
		if err := json.Unmarshal(r.Properties[property], &name); err != nil || name.Sub == "" {
			t.Fatalf("%s has no name that the test can read", r.Name)
		}
		return strings.ReplaceAll(name.Sub, "${AWS::StackName}", "lethe")
	}
	switch r.Type {
	case "AWS::CloudWatch::Alarm":
		return arn(service, "alarm:"+generated)
	case "AWS::CloudWatch::Dashboard":
		return "arn:aws:cloudwatch::" + cloudtest.Account + ":dashboard/lethe"
	case "AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPoolDomain":
		return arn(service, "userpool/"+cloudtest.Region+"_1A2B3C")
	case "AWS::DynamoDB::Table":
		return arn(service, "table/"+generated)
	case "AWS::IAM::ManagedPolicy":
		if strings.HasSuffix(action, "RolePolicy") {
			return "arn:aws:iam::" + cloudtest.Account + ":role/lethe-Role-1A2B3C"
		}
		return "arn:aws:iam::" + cloudtest.Account + ":policy/" + generated
	case "AWS::IAM::Policy", "AWS::IAM::Role":
		return "arn:aws:iam::" + cloudtest.Account + ":role/" + generated
	case "AWS::Lambda::Function", "AWS::Lambda::Permission":
		return arn(service, "function:"+generated)
	case "AWS::Logs::LogGroup":
		return arn(service, "log-group:"+named("LogGroupName"))
	case "AWS::Logs::MetricFilter":
		return arn(service, "log-group:/lethe/lethe/functions")
	case "AWS::S3::Bucket", "AWS::S3::BucketPolicy":
		return "arn:aws:s3:::" + strings.ToLower(generated)
	case "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription":
		return arn(service, "lethe-Alarms-1A2B3C")
	case "AWS::Scheduler::Schedule":
		return arn(service, "schedule/default/"+named("Name"))
	case "AWS::StepFunctions::StateMachine":
		return arn(service, "stateMachine:"+named("StateMachineName"))
	case "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage", "AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping":
		return "arn:aws:apigateway:" + cloudtest.Region + "::/apis/1a2b3c"
	case "AWS::KMS::Key":
		return arn(service, "key/1a2b3c")
	case "AWS::SES::EmailIdentity":
		return arn(service, "identity/example.com")
	}
	t.Fatalf("the test does not know %s of type %s", r.Name, r.Type)
	return ""
}

// The role that CloudFormation works under may do what it takes to deploy.
func deployRoleSuffices(t *testing.T, all []resource) {
	text, err := os.ReadFile("../infra/deploy-role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources struct {
			Role struct {
				Properties struct {
					Policies []struct {
						Document yaml.Node `yaml:"PolicyDocument"`
					} `yaml:"Policies"`
				} `yaml:"Properties"`
			} `yaml:"CloudFormationRole"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	var may []statement
	for _, p := range template.Resources.Role.Properties.Policies {
		may = append(may, statements(t, p.Document)...)
	}
	told := map[call]bool{}
	for _, r := range all {
		for _, p := range r.Permissions {
			if slices.ContainsFunc(without[r.Type], func(pattern string) bool { return matches(pattern, p.Action) }) {
				continue
			}
			c := call{p.Action, "*"}
			if !p.Unnamed {
				c.resource = r.arnOf(t, p.Action)
			}
			if !told[c] && !slices.ContainsFunc(may, func(s statement) bool { return s.allows(c) }) {
				told[c] = true
				t.Errorf("%s (%s) takes %s on %s, which CloudFormationRole does not allow", r.Name, r.Type, c.action, c.resource)
			}
		}
	}
}
