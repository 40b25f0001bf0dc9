// Command keys makes the suppression key and the session key of a deployment, once,
// after its first deployment and before its first use; and further versions of the
// former for a rotation. What it needs stands in the outputs of the stack:
//
//	go run ./infra/keys -key <Key> -path <Keys>
//	go run ./infra/keys -key <Key> -path <SessionKeys> -for session
//
// To rotate: make version 2, deploy with KeyVersions=2,1, so that every function
// knows it, and then with KeyVersions=1,2, so that it is written under.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"lethe/shared/cloud"
	"lethe/shared/kind"
)

func main() {
	key := flag.String("key", "", "ARN of the KMS key that wraps it")
	path := flag.String("path", "", "path in SSM under which it is kept")
	use := flag.String("for", string(cloud.Suppression), "what it is for: suppression or session")
	version := flag.Int("version", 1, "its version, from 1; a session key has no other")
	flag.Parse()
	known := *use == string(cloud.Suppression) || *use == string(cloud.Session) && *version == 1
	if *key == "" || *path == "" || *version < 1 || !known || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), *key, *path, cloud.Use(*use), *version); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, key, path string, use cloud.Use, version int) error {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	err = cloud.NewKey(ctx, kms.NewFromConfig(c), ssm.NewFromConfig(c), key, path, use, version)
	if kind.Of(err) == kind.Conflict {
		fmt.Printf("Version %d exists already and stays as it is.\n", version)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Printf("Version %d is made.\n", version)
	return nil
}
