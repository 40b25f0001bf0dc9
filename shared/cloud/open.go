// Package cloud is Lethe's home on AWS: a driver for every part that dsr needs,
// and the adapters that make Lambda functions of tasks and handlers. A function
// is Start and what it serves:
//
//	func main() {
//		cloud.Start(func(p *cloud.Platform) any {
//			accounts := account.New(p.Control, p.Clock)
//			source := events.New(p.Subjects, p.Keys, p.Clock, events.Shared())
//			return cloud.Task(p.Service(accounts, source).Collect)
//		})
//	}
//
// ConfigFromEnv lists the environment variables that configure it.
package cloud

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A Platform is the parts that AWS supplies to a function.
type Platform struct {
	Control    table.Table
	Subjects   table.Table
	Bucket     blob.Bucket
	LedgerCopy blob.Bucket // nil without one
	Workflow   dsr.Workflow
	Keys       kind.Keyring
	// SessionKeys are nil in functions that nobody signs in to.
	SessionKeys kind.Keyring
	// Issuer is an OpenID Connect provider, or empty; Client and Secret are what Lethe is
	// to it.
	Issuer, Client, Secret string

	Clock dsr.Clock
	Log   *slog.Logger
	// Sender sends mail. Open leaves it nil: package ses has it, for the functions that
	// send any.
	Sender dsr.Sender
	// Connection and MailFrom are what package ses makes it of.
	Connection aws.Config
	MailFrom   string

	publicURL string
	tables    restoredRow
	settings  dsr.Settings
}

// taskLife is the longest that Lambda lets a task run: the Timeout of the tasks'
// functions in template.yaml.
const taskLife = 15 * time.Minute

// Open connects to what c names. It unwraps the keys, reads the secret of the OpenID
// Connect client, asks the control table whether c.Restored tables may be used
// (kind.NotAllowed if not), and makes no other call. It takes the credentials that Lambda puts into the environment, and
// AWS_ENDPOINT_URL where it is set.
func Open(ctx context.Context, c Config) (*Platform, error) {
	p, err := OpenWith(ctx, connection(c.Region), c)
	if err == nil && c.Restored {
		err = p.released(ctx)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// OpenWith is Open by a connection of the caller's, for programs that a person
// runs, and whatever tables c names.
func OpenWith(ctx context.Context, a aws.Config, c Config) (*Platform, error) {
	wrapping, parameters := kms.NewFromConfig(a), ssm.NewFromConfig(a)
	keys, err := loadKeys(ctx, wrapping, parameters, c.Keys, Suppression, c.KeyVersions)
	if err != nil {
		return nil, err
	}
	var sessions kind.Keyring
	if c.SessionKeys != "" {
		if sessions, err = loadKeys(ctx, wrapping, parameters, c.SessionKeys, Session, []int{1}); err != nil {
			return nil, err
		}
	}
	secret := ""
	if c.Secret != "" {
		if secret, err = loadSecret(ctx, parameters, c.Secret); err != nil {
			return nil, err
		}
	}
	records, files := dynamodb.NewFromConfig(a), s3.NewFromConfig(a, pathStyle(a))
	p := &Platform{
		Control:  NewTable(records, c.Control, time.Now),
		Subjects: NewTable(records, c.Subjects, time.Now),
		Bucket:   NewBucket(files, c.Bucket),
		Workflow: NewWorkflow(sfn.NewFromConfig(a), map[string]string{
			string(dsr.Export): c.Export, string(dsr.Deletion): c.Deletion,
		}),
		Keys:  keys,
		Clock: time.Now,

		SessionKeys: sessions, Issuer: c.Issuer, Client: c.Client, Secret: secret,

		tables:   restoredRow{c.Control, c.Subjects},
		Log:      slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.Level})),
		settings: dsr.Settings{CancelWindow: c.CancelWindow, TaskLife: taskLife, BackupLife: c.BackupLife, Mail: c.MailFrom != ""},

		Connection: a, MailFrom: c.MailFrom, publicURL: c.PublicURL,
	}
	if c.CancelWindow == 0 {
		p.settings.CancelWindow = -1 // none; zero would be the default
	}
	if c.LedgerCopy != "" {
		p.LedgerCopy = NewBucket(files, c.LedgerCopy)
	}
	return p, nil
}

// Service is the domain over these parts, with the accounts and the sources of a
// deployment.
func (p *Platform) Service(accounts dsr.Accounts, sources ...dsr.Source) *dsr.Service {
	return dsr.New(dsr.Parts{
		Control: p.Control, Bucket: p.Bucket, LedgerCopy: p.LedgerCopy, Workflow: p.Workflow,
		Sources: sources, Accounts: accounts, Keys: p.Keys, Clock: p.Clock, Log: p.Log, Settings: p.settings,
		Sender: p.Sender, PublicURL: func() string { return p.publicURL },
	})
}

// Start opens the platform that the environment names and serves, until Lambda
// ends the process, what wire makes of it: a Task, an HTTP handler or another
// function that lambda.Start takes. What is wrong with the environment is logged,
// all at once, and ends the process with status 1.
func Start(wire func(*Platform) any) {
	ctx := context.Background()
	c, err := ConfigFromEnv()
	if err == nil {
		var p *Platform
		if p, err = Open(ctx, c); err == nil {
			lambda.StartWithOptions(wire(p), lambda.WithContext(ctx))
		}
	}
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("cannot start", "error", err)
	os.Exit(1)
}

// connection is what package config of the SDK would make of the environment of
// a function, without the ways to sign in that are no use there: they would cost
// a function 2 MB and a third of its start.
func connection(region string) aws.Config {
	a := aws.Config{
		Region: region,
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))),
	}
	if url := os.Getenv("AWS_ENDPOINT_URL"); url != "" {
		a.BaseEndpoint = &url
	}
	return a
}

// pathStyle puts the bucket into the path where the endpoint is not AWS's own,
// since only AWS has a host name for every bucket.
func pathStyle(a aws.Config) func(*s3.Options) {
	return func(o *s3.Options) { o.UsePathStyle = a.BaseEndpoint != nil }
}
