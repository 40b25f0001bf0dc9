package functions_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"go.yaml.in/yaml/v3"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/statemachine"
)

const (
	controlTable  = "lethe-control"
	subjectsTable = "lethe-subjects"
	bucket        = "lethe-files"
	ledgerCopy    = "lethe-copy"
	keysPath      = "/lethe/lethe/suppression"
	sessionPath   = "/lethe/lethe/session"
	secretName    = "/lethe/lethe/oidc/client-secret"
	mailDomain    = "example.com"
)

// A deployment is the real binaries of all functions, each in a process of its
// own, between a test that plays API Gateway and the engines that play AWS:
// DynamoDB Local for records, versitygw for files, and moto, which runs the real
// state machines and has the keys.
type deployment struct {
	account.Credentials
	records  *dynamodb.Client
	files    *s3.Client
	moto     aws.Config
	gateway  *httptest.Server
	aws      engines
	programs string // the folder of the binaries
	running  map[string]*cloudtest.Function
	// recorders note what the running functions ask of AWS.
	recorders map[string]*recorder
	hooks     sync.Map // see once
}

func deploy(t testing.TB) *deployment {
	t.Helper()
	d := &deployment{programs: build(t, false), running: map[string]*cloudtest.Function{}, recorders: map[string]*recorder{}}
	invocations := httptest.NewServer(http.HandlerFunc(d.invoke))
	t.Cleanup(invocations.Close)
	// Moto calls Lambda at this port.
	_, port, _ := strings.Cut(strings.TrimPrefix(invocations.URL, "http://"), ":")
	d.records, d.files = cloudtest.DynamoDB(t), cloudtest.S3(t)
	d.moto = cloudtest.Config(cloudtest.Moto(t, "MOTO_PORT="+port))
	d.makeTables(t)
	d.makeBucket(t)
	d.makeKeys(t)
	d.makeMachines(t)
	var err error
	d.Credentials, err = account.New(cloud.NewTable(d.records, controlTable, time.Now), time.Now).
		Found(t.Context(), account.Founding{OwnerEmail: "owner@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(d.programs)
	if err != nil {
		t.Fatal(err)
	}
	d.aws = engines{"dynamodb": *d.records.Options().BaseEndpoint, "s3": *d.files.Options().BaseEndpoint, "": *d.moto.BaseEndpoint}
	for _, name := range names {
		r := record(t, d.aws)
		d.recorders[name.Name()] = r
		d.running[name.Name()] = d.start(t, name.Name(), r.server.URL)
	}
	d.gateway = httptest.NewServer(&gateway{routes(t), d.running})
	t.Cleanup(d.gateway.Close)
	return d
}

// start runs a process of a function, with AWS at that address and more variables,
// until the test ends.
func (d *deployment) start(t testing.TB, name, address string, more ...string) *cloudtest.Function {
	t.Helper()
	cmd := exec.Command(filepath.Join(d.programs, name))
	cmd.Env = append(environment(address), more...)
	if name == "api" {
		cmd.Env = append(cmd.Env, "LETHE_SESSION_KEYS="+sessionPath, "LETHE_OIDC_ISSUER=http://127.0.0.1:9", "LETHE_OIDC_CLIENT_ID=lethe", "LETHE_OIDC_SECRET="+secretName)
	}
	return cloudtest.Start(t, cmd)
}

// environment is what template.yaml and Lambda give to a function.
func environment(address string) []string {
	return []string{
		"AWS_REGION=" + cloudtest.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_ENDPOINT_URL=" + address,
		"LETHE_CONTROL_TABLE=" + controlTable, "LETHE_SUBJECTS_TABLE=" + subjectsTable, "LETHE_BUCKET=" + bucket,
		"LETHE_EXPORT_MACHINE=" + machineARN("export"), "LETHE_DELETION_MACHINE=" + machineARN("deletion"),
		"LETHE_KEYS=" + keysPath, "LETHE_CANCEL_WINDOW=3s", "LETHE_LEDGER_COPY=" + ledgerCopy,
		"LETHE_MAIL_FROM=Lethe <lethe@" + mailDomain + ">", "LETHE_PUBLIC_URL=https://lethe.example",
	}
}

func machineARN(name string) string {
	return "arn:aws:states:" + cloudtest.Region + ":" + cloudtest.Account + ":stateMachine:lethe-" + name
}

// tags are those of functions/Makefile.
const tags = "lambda.norpc"

// build makes the binaries of all functions and returns the folder they are in:
// for Lambda, as functions/Makefile does, or for this machine, with what the cache
// of go test has compiled already.
func build(t testing.TB, forLambda bool) string {
	t.Helper()
	dir := t.TempDir()
	environment, args := []string{"CGO_ENABLED=0"}, []string{"build", "-tags", tags, "-ldflags=-s -w", "-o", dir}
	if forLambda {
		environment, args = append(environment, "GOOS=linux", "GOARCH=arm64"), append(args, "-trimpath", "-gcflags=maragu.dev/gomponents=-l")
	}
	command(t, environment, append(args, "./functions/...")...)
	return dir
}

// command runs the go command on the module and returns what it prints.
func command(t testing.TB, environment []string, args ...string) string {
	t.Helper()
	root := cloudtest.Root(t)
	// The cache of go test sees files that the test opens, not those that it builds.
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if err == nil && (strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".html") || strings.HasSuffix(path, ".css")) {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), environment...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", args[0], err, failure.String())
	}
	return string(out)
}

// readTemplate reads what v has room for of template.yaml.
func readTemplate(t testing.TB, v any) {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// makeTables makes the tables as template.yaml describes them.
func (d *deployment) makeTables(t testing.TB) {
	t.Helper()
	type schema []struct {
		AttributeName string `yaml:"AttributeName"`
		KeyType       string `yaml:"KeyType"`
	}
	var template struct {
		Resources map[string]struct {
			Properties struct {
				Attributes []struct {
					AttributeName string `yaml:"AttributeName"`
					AttributeType string `yaml:"AttributeType"`
				} `yaml:"AttributeDefinitions"`
				Key     schema `yaml:"KeySchema"`
				Indexes []struct {
					Name       string `yaml:"IndexName"`
					Key        schema `yaml:"KeySchema"`
					Projection struct {
						Type string `yaml:"ProjectionType"`
					} `yaml:"Projection"`
				} `yaml:"GlobalSecondaryIndexes"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	readTemplate(t, &template)
	elements := func(s schema) (out []dynamotypes.KeySchemaElement) {
		for _, e := range s {
			out = append(out, dynamotypes.KeySchemaElement{AttributeName: &e.AttributeName, KeyType: dynamotypes.KeyType(e.KeyType)})
		}
		return out
	}
	for resource, name := range map[string]string{"ControlTable": controlTable, "SubjectsTable": subjectsTable} {
		p := template.Resources[resource].Properties
		in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: dynamotypes.BillingModePayPerRequest, KeySchema: elements(p.Key)}
		for _, a := range p.Attributes {
			in.AttributeDefinitions = append(in.AttributeDefinitions, dynamotypes.AttributeDefinition{
				AttributeName: &a.AttributeName, AttributeType: dynamotypes.ScalarAttributeType(a.AttributeType),
			})
		}
		for _, i := range p.Indexes {
			in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, dynamotypes.GlobalSecondaryIndex{
				IndexName: &i.Name, KeySchema: elements(i.Key),
				Projection: &dynamotypes.Projection{ProjectionType: dynamotypes.ProjectionType(i.Projection.Type)},
			})
		}
		if _, err := d.records.CreateTable(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *deployment) makeBucket(t testing.TB) {
	t.Helper()
	for _, name := range []string{bucket, ledgerCopy} {
		_, err := d.files.CreateBucket(t.Context(), &s3.CreateBucketInput{
			Bucket:                    &name,
			CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: cloudtest.Region},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sesv2.NewFromConfig(d.moto).CreateEmailIdentity(t.Context(), &sesv2.CreateEmailIdentityInput{EmailIdentity: aws.String(mailDomain)}); err != nil {
		t.Fatal(err)
	}
}

func (d *deployment) makeKeys(t testing.TB) {
	t.Helper()
	client := kms.NewFromConfig(d.moto)
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	parameters := ssm.NewFromConfig(d.moto)
	for path, use := range map[string]cloud.Use{keysPath: cloud.Suppression, sessionPath: cloud.Session} {
		if err := cloud.NewKey(t.Context(), client, parameters, *made.KeyMetadata.KeyId, path, use, 1); err != nil {
			t.Fatal(err)
		}
	}
	_, err = parameters.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String(secretName), Value: aws.String("the secret of the client"), Type: ssmtypes.ParameterTypeSecureString,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// makeMachines makes the state machines of the real definitions, with the wait
// for ingestion that is under way, a minute, cut to a second.
func (d *deployment) makeMachines(t testing.TB) {
	t.Helper()
	cloudtest.RunMachines(t, *d.moto.BaseEndpoint)
	client := sfn.NewFromConfig(d.moto)
	for name, text := range map[string][]byte{"export": statemachine.Export, "deletion": statemachine.Deletion} {
		var definition map[string]any
		if err := json.Unmarshal(text, &definition); err != nil {
			t.Fatal(err)
		}
		if fence, ok := definition["States"].(map[string]any)["Fence"].(map[string]any); ok {
			delete(fence, "SecondsPath")
			fence["Seconds"] = 1
		}
		short, err := json.Marshal(definition)
		if err != nil {
			t.Fatal(err)
		}
		whole := string(short)
		for _, f := range []string{"Plan", "Begin", "Collect", "Pack", "Erase", "Verify", "Finish"} {
			arn := "arn:aws:lambda:" + cloudtest.Region + ":" + cloudtest.Account + ":function:" + strings.ToLower(f)
			whole = strings.ReplaceAll(whole, "${"+f+"FunctionArn}", arn)
		}
		out, err := client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
			Name: aws.String("lethe-" + name), Definition: &whole,
			RoleArn: aws.String("arn:aws:iam::" + cloudtest.Account + ":role/states"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if *out.StateMachineArn != machineARN(name) {
			t.Fatalf("the machine is %s, want %s", *out.StateMachineArn, machineARN(name))
		}
	}
}

// once lets a state machine go on from a function's answer only when do has seen that,
// until do says that it was the right one.
func (d *deployment) once(function string, do func(answer []byte) bool) { d.hooks.Store(function, do) }

// invoke plays the Invoke of Lambda for the state machines.
func (d *deployment) invoke(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	name, err := url.PathUnescape(strings.TrimSuffix(name, "/invocations"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	name = name[strings.LastIndexByte(name, ':')+1:]
	f := d.running[name]
	if f == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	got, err := f.Invoke(r.Context(), payload)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if f, ok := d.hooks.Load(name); ok && f.(func([]byte) bool)(got.Body) {
		d.hooks.Delete(name)
	}
	if got.Failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	_, _ = w.Write(got.Body)
}

// A reply is what a client of the gateway gets.
type reply struct {
	status int
	header http.Header
	body   string
}

// call sends a request to the gateway, with a body unless it is empty.
func (d *deployment) call(t testing.TB, method, target, body string, header http.Header) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.gateway.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "abc.execute-api." + cloudtest.Region + ".amazonaws.com"
	maps.Copy(r.Header, header)
	got, err := http.DefaultTransport.RoundTrip(r) // which follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode == http.StatusInternalServerError {
		t.Fatalf("%s %s: %s\n%s", method, r.URL.Path, text, d.troubles())
	}
	return reply{got.StatusCode, got.Header, string(text)}
}

// logs is what all functions have written.
func (d *deployment) logs() string {
	var all strings.Builder
	for name, f := range d.running {
		fmt.Fprintf(&all, "---- %s\n%s", name, f.Log())
	}
	return all.String()
}

// troubles is logs without what tells of nothing unusual.
func (d *deployment) troubles() string {
	var some strings.Builder
	for line := range strings.Lines(d.logs()) {
		if !strings.Contains(line, `"level":"INFO"`) {
			some.WriteString(line)
		}
	}
	return some.String()
}
