package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
)

// A life is a deployment as it was before its tables were put back: its parts, and
// a service whose tasks the test runs itself.
type life struct {
	*cloud.Platform
	credentials account.Credentials
	accounts    *account.Accounts
	store       *events.Store
	service     *dsr.Service
}

func openLife(t *testing.T, a aws.Config, c cloud.Config) life {
	t.Helper()
	p, err := cloud.OpenWith(t.Context(), a, c)
	if err != nil {
		t.Fatal(err)
	}
	l := life{Platform: p, accounts: account.New(p.Control, p.Clock), store: events.New(p.Subjects, p.Keys, p.Clock, events.Shared())}
	l.service = p.Service(l.accounts, l.store)
	return l
}

// deploy makes what the template makes, as far as a restore meets it.
func deploy(t *testing.T, a aws.Config) cloud.Config {
	t.Helper()
	c := cloud.Config{
		Region: cloudtest.Region, Control: "control", Subjects: "subjects", Bucket: "lethe-files", Keys: "/lethe/suppression", KeyVersions: []int{1},
		Export: machine("export"), Deletion: machine("deletion"),
	}
	for _, name := range []string{c.Control, c.Subjects} {
		cloudtest.MakeTable(t, dynamodb.NewFromConfig(a), name)
	}
	_, err := s3.NewFromConfig(a, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &c.Bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: cloudtest.Region},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := kms.NewFromConfig(a)
	key, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.NewKey(t.Context(), keys, ssm.NewFromConfig(a), *key.KeyMetadata.KeyId, c.Keys, cloud.Suppression, 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"export", "deletion"} {
		_, err := sfn.NewFromConfig(a).CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
			Name: aws.String("lethe-" + name), RoleArn: aws.String("arn:aws:iam::" + cloudtest.Account + ":role/states"),
			Definition: aws.String(`{"StartAt":"Wait","States":{"Wait":{"Type":"Wait","Seconds":3600,"End":true}}}`),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func machine(name string) string {
	return "arn:aws:states:" + cloudtest.Region + ":" + cloudtest.Account + ":stateMachine:lethe-" + name
}

func (l life) visit(t *testing.T, id string) {
	t.Helper()
	raw := `{"event":"Visit","properties":{"distinct_id":"` + id + `","$insert_id":"` + id + `","mark":"mark of ` + id + `"}}`
	e, err := events.ParseEvent([]byte(raw), events.Rules{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.store.Track(t.Context(), l.credentials.ProjectID, []events.Event{e}); err != nil {
		t.Fatal(err)
	}
}

func (l life) submit(t *testing.T, of dsr.Type, id string) dsr.Request {
	t.Helper()
	r, err := l.service.Submit(t.Context(), dsr.Submission{
		Project: l.credentials.ProjectID, Type: of, IDs: []string{id}, Compliance: dsr.GDPR, Disclosure: dsr.Data, By: dsr.By{Actor: "owner@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// erase runs the tasks of a deletion of one batch.
func (l life) erase(t *testing.T, r dsr.Request) {
	t.Helper()
	step := dsr.Step{Task: r.Task, Attempt: r.Attempt}
	for _, task := range []struct {
		run  func(dsr.Step) (dsr.Step, error)
		want dsr.Next
	}{
		{func(s dsr.Step) (dsr.Step, error) { return l.service.Plan(t.Context(), s) }, dsr.Ready},
		{func(s dsr.Step) (dsr.Step, error) { return l.service.Begin(t.Context(), s) }, dsr.Ready},
		{func(s dsr.Step) (dsr.Step, error) { return l.service.Erase(t.Context(), s) }, dsr.Done},
		{func(s dsr.Step) (dsr.Step, error) { return l.service.Verify(t.Context(), s) }, dsr.Done},
		{func(s dsr.Step) (dsr.Step, error) { return l.service.Finish(t.Context(), s) }, dsr.Closed},
	} {
		if out, err := task.run(step); err != nil || out.Next != task.want {
			t.Fatalf("a task answers %s, %v; want %s", out.Next, err, task.want)
		}
	}
	if got, err := l.service.Get(t.Context(), r.Project, r.Task); err != nil || got.Status != dsr.Success {
		t.Fatalf("the deletion is %s (%s), %v", got.Status, got.Reason, err)
	}
}

func (l life) has(t *testing.T, id string) bool {
	t.Helper()
	subject := kind.Subject(id)
	p, err := l.store.Find(t.Context(), dsr.Scope{
		Project: l.credentials.ProjectID, Limit: time.Now(), Clusters: []dsr.Cluster{{Folder: 1, Submitted: []kind.Subject{subject}, IDs: []kind.Subject{subject}}},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return len(p.Found) > 0
}

// putBack restores both tables to this moment, under new names.
func putBack(t *testing.T, a aws.Config, c cloud.Config) cloud.Config {
	t.Helper()
	records := dynamodb.NewFromConfig(a)
	restored := c
	for name, to := range map[string]*string{c.Control: &restored.Control, c.Subjects: &restored.Subjects} {
		*to = name + "-restored"
		_, err := records.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{
			TableName: &name, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = records.RestoreTableToPointInTime(t.Context(), &dynamodb.RestoreTableToPointInTimeInput{
			SourceTableName: &name, TargetTableName: to, UseLatestRestorableTime: aws.Bool(true),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return restored
}

// usable fails the test unless a function that is given these restored tables
// opens them, or refuses to.
func usable(t *testing.T, c cloud.Config, want bool) {
	t.Helper()
	c.Restored = true
	_, err := cloud.Open(t.Context(), c)
	if want && err != nil || !want && (kind.Of(err) != kind.NotAllowed || !strings.Contains(err.Error(), "infra/restore")) {
		t.Errorf("a function with these tables: %v; want them taken: %v", err, want)
	}
}

// A full is where nothing more can be written.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("there is no room") }

// Both tables are put back to a point before a person was erased; the program
// erases them again, in the new tables, before anything else uses those.
func TestRestoreOfTablesPutBack(t *testing.T) {
	address := cloudtest.Moto(t)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": address, "AWS_REGION": cloudtest.Region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
	} {
		t.Setenv(name, value)
	}
	a := cloudtest.Config(address)
	c := deploy(t, a)
	old := openLife(t, a, c)
	var err error
	if old.credentials, err = old.accounts.Found(t.Context(), account.Founding{OwnerEmail: "owner@example.com"}); err != nil {
		t.Fatal(err)
	}
	old.visit(t, "forgotten")
	old.visit(t, "kept")
	open := old.submit(t, dsr.Export, "kept")

	restored := putBack(t, a, c)
	old.erase(t, old.submit(t, dsr.Deletion, "forgotten"))
	if _, err := old.service.OptOut(t.Context(), old.credentials.ProjectID, []string{"kept"}, dsr.By{Actor: "owner@example.com"}); err != nil {
		t.Fatal(err)
	}
	since := old.submit(t, dsr.Export, "kept")
	unknown := "exports/" + since.Task + "/1.zip"
	if err := old.Bucket.Put(t.Context(), unknown, strings.NewReader("of the kept")); err != nil {
		t.Fatal(err)
	}

	now := openLife(t, a, restored)
	now.credentials = old.credentials
	if !now.has(t, "forgotten") {
		t.Fatal("the tables that were put back do not hold the forgotten")
	}
	usable(t, restored, false)
	var out bytes.Buffer
	if err := run(t.Context(), restored, c.Control, &out); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Erasures != 1 || r.Erased.Subjects != 1 || r.OptOuts != 1 || r.Held != 1 || r.Unknown != 1 || len(r.Alone) != 1 {
		t.Errorf("the report is %s, %v", out.String(), err)
	}
	if len(r.Lost) != 1 || r.Lost[0].Task != since.Task || r.Lost[0].Type != dsr.Export || !r.Lost[0].Due.Equal(since.Due) {
		t.Errorf("the requests that are lost: %+v, want the export of after the point in time", r.Lost)
	}
	told := ""
	if err := now.accounts.Entries(t.Context(), old.credentials.ProjectID, 1, func(_ int64, stored []byte) error {
		told += string(stored)
		return nil
	}); err != nil || !strings.Contains(told, "were lost with the records of after the backup") {
		t.Errorf("the audit trail does not tell of entries that were lost: %s, %v", told, err)
	}
	usable(t, restored, true)
	half := restored
	half.Subjects = c.Subjects
	usable(t, half, false)
	again := putBack(t, a, restored)
	usable(t, again, false)
	if err := run(t.Context(), again, "", full{}); err == nil {
		t.Error("a restore whose new token was lost ended well")
	}
	usable(t, again, false)
	if now.has(t, "forgotten") || !now.has(t, "kept") {
		t.Error("the forgotten are there, or the kept are not")
	}
	if _, err := now.Bucket.Head(t.Context(), unknown); kind.Of(err) != kind.NotFound {
		t.Errorf("the archive of a request that the tables do not know: %v", err)
	}
	if got, err := now.service.Get(t.Context(), open.Project, open.Task); err != nil || got.Hold != dsr.HoldRestore {
		t.Errorf("the request that was open: %+v, %v", got, err)
	}
	if x, err := now.Workflow.Describe(t.Context(), "export", open.Task+"-1"); err != nil || x.Status != dsr.ExecutionAborted {
		t.Errorf("its execution is %s, %v, want it stopped", x.Status, err)
	}
	if _, err := now.accounts.Bearer(t.Context(), old.credentials.GDPRToken); kind.Of(err) != kind.Unauthorized {
		t.Errorf("a token of before: %v", err)
	}
	if actor, err := now.accounts.Bearer(t.Context(), r.Token); err != nil || actor.Name != "owner@example.com" {
		t.Errorf("the new token: %v", err)
	}
	// Late data of the forgotten stays out of the new tables too, and all data of who
	// was opted out since.
	for id, at := range map[string]int64{"forgotten": 1111111111, "kept": time.Now().Unix()} {
		raw := fmt.Sprintf(`{"event":"Visit","properties":{"distinct_id":%q,"$insert_id":"late","time":%d}}`, id, at)
		e, err := events.ParseEvent([]byte(raw), events.Rules{Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := now.store.Track(t.Context(), old.credentials.ProjectID, []events.Event{e}); err != nil || got.Dropped != 1 {
			t.Errorf("data of the %s: %+v, %v, want it dropped", id, got, err)
		}
	}
}

// Without a version of the key people would be missed, so none is taken for granted.
func TestEveryFlagIsNeeded(t *testing.T) {
	whole := map[string]string{
		"control": "c", "subjects": "s", "bucket": "b", "keys": "/k", "export": machine("export"), "deletion": machine("deletion"), "key-versions": "2,1",
	}
	args := func(but string) (all []string) {
		for name, value := range whole {
			if name != but {
				all = append(all, "-"+name, value)
			}
		}
		return all
	}
	if c, _, err := configure(args("")); err != nil || !slices.Equal(c.KeyVersions, []int{2, 1}) {
		t.Errorf("with every flag: %+v, %v", c, err)
	}
	for name := range whole {
		if _, _, err := configure(args(name)); err == nil || !strings.Contains(err.Error(), "-"+name) {
			t.Errorf("without -%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "0", "1,", "one"} {
		if _, _, err := configure(append(args("key-versions"), "-key-versions", bad)); err == nil {
			t.Errorf("-key-versions %q is taken", bad)
		}
	}
}
