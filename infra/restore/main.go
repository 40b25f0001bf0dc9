// Command restore brings tables that were put back to a point in time up to what
// the ledger knows, before any function uses them: it holds every open request
// until it is confirmed, erases everyone again who was erased since, keeps those out
// who are opted out, takes back archives that hold them, ends every GDPR token and prints a new one of the
// owner. What it needs stands in the outputs of the stack; docs/operations.md has
// the whole way. Running it again does the rest of what was cut off.
//
//	go run ./infra/restore -control <new table> -subjects <new table> -bucket <Bucket> \
//	  -keys <Keys> -export <ExportMachine> -deletion <DeletionMachine>
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/dsr"
	"lethe/shared/events"
)

func main() {
	var c cloud.Config
	flag.StringVar(&c.Control, "control", "", "name of the control table that was put back")
	flag.StringVar(&c.Subjects, "subjects", "", "name of the subjects table that was put back")
	flag.StringVar(&c.Bucket, "bucket", "", "name of the bucket")
	flag.StringVar(&c.LedgerCopy, "ledger-copy", "", "name of the second bucket of the ledger, where there is one")
	flag.StringVar(&c.Keys, "keys", "", "path in SSM of the suppression keys")
	flag.StringVar(&c.Export, "export", "", "ARN of the state machine of exports")
	flag.StringVar(&c.Deletion, "deletion", "", "ARN of the state machine of deletions")
	versions := flag.String("key-versions", "1", "the stack's KeyVersions")
	flag.Parse()
	err := readVersions(*versions, &c.KeyVersions)
	for _, needed := range []string{c.Control, c.Subjects, c.Bucket, c.Keys, c.Export, c.Deletion} {
		if needed == "" || err != nil || flag.NArg() > 0 {
			flag.Usage()
			os.Exit(2)
		}
	}
	if err := run(context.Background(), c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readVersions(text string, into *[]int) error {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil {
			return err
		}
		*into = append(*into, n)
	}
	return nil
}

// report is what is printed, as one JSON object.
type report struct {
	Erasures int       `json:"erasures"`
	Erased   dsr.Tally `json:"erased_again"`
	OptOuts  int       `json:"opt_outs"`
	Archives int       `json:"archives_taken_back"`
	Held     int       `json:"requests_held"`
	Token    string    `json:"gdpr_token"`
}

func run(ctx context.Context, c cloud.Config, out io.Writer) error {
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
	done, err := service.Restore(ctx)
	if err != nil {
		return err
	}
	r := report{Erasures: done.Erasures, Erased: done.Erased, OptOuts: done.OptOuts, Archives: done.Archives, Held: done.Held}
	// The token is printed before the others end, so that it cannot be lost.
	ended, err := accounts.EndTokens(ctx, func(token string) error {
		r.Token = token
		return json.NewEncoder(out).Encode(r)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d GDPR tokens were ended.\n", ended)
	return nil
}
