// Command signin prints a link by which somebody with a role can sign in to a
// deployment, once and within 15 minutes:
//
//	go run ./infra/signin -table <ControlTable> -url <Url> -email you@example.com
//
// Whoever may write to the control table can make one for anybody.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/dsr"
)

func main() {
	table := flag.String("table", "", "name of the control table")
	base := flag.String("url", "", "address of the deployment")
	email := flag.String("email", "", "mail address of who is to sign in")
	flag.Parse()
	if *table == "" || *base == "" || *email == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	link, err := run(context.Background(), *table, *email)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(dsr.LinkURL(*base, link))
}

func run(ctx context.Context, table, email string) (string, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return "", err
	}
	accounts := account.New(cloud.NewTable(dynamodb.NewFromConfig(c), table, time.Now), time.Now)
	return accounts.MakeLink(ctx, dsr.By{Actor: account.Local.Name}, email)
}
