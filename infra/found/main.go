// Command found makes the first project of a deployment and its owner, and prints
// its credentials, which are shown once, as one JSON object on standard output:
//
//	go run ./infra/found -table <ControlTable> -owner you@example.com > credentials.json
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"lethe/shared/account"
	"lethe/shared/cloud"
)

func main() {
	table := flag.String("table", "", "name of the control table")
	var f account.Founding
	flag.StringVar(&f.OwnerEmail, "owner", "", "mail address of the owner")
	flag.StringVar(&f.OrgName, "organisation", "", "name of the organisation")
	flag.StringVar(&f.ProjectName, "project", "", "name of the project")
	flag.Parse()
	if *table == "" || f.OwnerEmail == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	f.Keep = func(c account.Credentials) error { return json.NewEncoder(os.Stdout).Encode(c) }
	if err := run(context.Background(), *table, f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, table string, f account.Founding) error {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	control := cloud.NewTable(dynamodb.NewFromConfig(c), table, time.Now)
	_, err = account.New(control, time.Now).Found(ctx, f)
	return err
}
