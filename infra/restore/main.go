// Command restore brings tables that were put back to a point in time up to what
// the ledger knows, before any function uses them: it holds every open
// request until it is confirmed, erases everyone again who was erased since, keeps
// those out who are opted out, takes back archives that hold them, removes archives of requests that the tables do not
// know, lists requests that were sent in since, ends every GDPR token and prints a
// new one of the owner. Last it lets functions use the tables. What it needs stands
// in the outputs of the stack; docs/operations.md has the whole way. Running it again
// does the rest of what was cut off.
//
//	go run ./infra/restore -control <new table> -subjects <new table> -bucket <Bucket> \
//	  -keys <Keys> -key-versions <the stack's KeyVersions> -export <ExportMachine> -deletion <DeletionMachine> \
//	  -old-control <ControlTable>
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/dsr"
	"lethe/shared/events"
)

func main() {
	c, old, err := configure(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	if err := run(context.Background(), c, old, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// configure reads the flags; old is the name of the control table of before, or
// empty. What is wrong with them it prints.
func configure(args []string) (c cloud.Config, old string, err error) {
	flags := flag.NewFlagSet("restore", flag.ContinueOnError)
	flags.StringVar(&c.Control, "control", "", "name of the control table that was put back")
	flags.StringVar(&old, "old-control", "", "name of the control table that it takes the place of, to list requests that were sent in since and tell the audit trails what they lost; where that can be read")
	flags.StringVar(&c.Subjects, "subjects", "", "name of the subjects table that was put back")
	flags.StringVar(&c.Bucket, "bucket", "", "name of the bucket")
	flags.StringVar(&c.LedgerCopy, "ledger-copy", "", "name of the second bucket of the ledger, where there is one")
	flags.StringVar(&c.Keys, "keys", "", "path in SSM of the suppression keys")
	flags.StringVar(&c.Export, "export", "", "ARN of the state machine of exports")
	flags.StringVar(&c.Deletion, "deletion", "", "ARN of the state machine of deletions")
	flags.Func("key-versions", "the stack's KeyVersions, such as 1,2", func(text string) (err error) {
		c.KeyVersions, err = versions(text)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return c, old, err
	}
	var problem error
	flags.VisitAll(func(f *flag.Flag) {
		given := f.Value.String() != "" || f.Name == "key-versions" && len(c.KeyVersions) > 0
		if !given && f.Name != "ledger-copy" && f.Name != "old-control" {
			problem = errors.Join(problem, errors.New("-"+f.Name+" is missing"))
		}
	})
	if flags.NArg() > 0 {
		problem = errors.Join(problem, errors.New("there is an argument that belongs to no flag"))
	}
	if problem != nil {
		fmt.Fprintln(flags.Output(), problem)
		flags.Usage()
	}
	return c, old, problem
}

func versions(text string) ([]int, error) {
	var all []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, errors.New("is not a list of whole numbers from 1 on")
		}
		all = append(all, n)
	}
	return all, nil
}

// report is what is printed, as one JSON object.
type report struct {
	dsr.Restoration
	// Lost is the open and broken requests of the old control table that the new one
	// does not know; null where no old one was named.
	Lost  []dsr.Lost `json:"requests_lost"`
	Token string     `json:"gdpr_token"`
	Owner string     `json:"gdpr_token_of"`
}

func run(ctx context.Context, c cloud.Config, old string, out io.Writer) error {
	connection, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	c.Level = slog.LevelWarn
	p, err := cloud.OpenWith(ctx, connection, c)
	if err != nil {
		return err
	}
	accounts := account.New(p.Control, p.Clock)
	service := p.Service(accounts, events.New(p.Subjects, p.Keys, p.Clock, events.Shared(), events.Log(p.Log)))
	var r report
	var before *account.Accounts
	if old != "" {
		control := cloud.NewTable(dynamodb.NewFromConfig(connection), old, time.Now)
		if r.Lost, err = service.Lost(ctx, control); err != nil {
			return err
		}
		before = account.New(control, p.Clock)
	}
	// Before anything is added to the trails: what they lost is what came after the tables.
	if err := accounts.Restored(ctx, p.Bucket, p.Keys, before); err != nil {
		return err
	}
	if r.Restoration, err = service.Restore(ctx); err != nil {
		return err
	}
	// The token is printed before the others end, so that it cannot be lost.
	ended, err := accounts.EndTokens(ctx, func(owner, token string) error {
		r.Token, r.Owner = token, owner
		return json.NewEncoder(out).Encode(r)
	})
	if err != nil {
		return err
	}
	if err := p.Release(ctx); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d GDPR tokens, sessions and sign-in links were ended.\n", ended)
	return nil
}
