// Command lethe answers data-subject requests: exports and erasures of end
// users' data. "lethe serve" runs everything on one machine; start reading at
// serve.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	_ "time/tzdata" // settings name time zones, which a machine may not have

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command line and returns its exit status. What a program may read
// goes to out; logs and errors go to diag.
func run(args []string, out, diag io.Writer) int {
	root := &cobra.Command{
		Use:           "lethe",
		Short:         "Answer data-subject requests: export and erase end users' data",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.AddCommand(serveCommand(), backupCommand(), restoreCommand(), executionsCommand(), executionCommand(),
		loginCommand(), exportCommand(), deleteCommand(), statusCommand(), listCommand(), cancelCommand(), rerunCommand(), confirmCommand(),
		certificateCommand(), optOutCommand(), openCommand(), importCommand(), doctorCommand(), manCommand(), signInCommand(), memberCommand(), tokenCommand(), projectCommand(), serviceAccountCommand(), auditCommand())
	root.SetFlagErrorFunc(wrongFlag)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(diag)
	c, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return statusDone
	}
	var f failure
	if !errors.As(err, &f) {
		// Only the command library's own errors about the command line get here.
		f = failure{statusUsage, err.Error() + "; see " + c.CommandPath() + " --help."}
	}
	fmt.Fprintln(diag, "lethe: "+f.sentence)
	return f.status
}

// wrongFlag says what a flag takes that does not have it. Of other mistakes the command
// library's words will do.
func wrongFlag(c *cobra.Command, err error) error {
	var missing *pflag.ValueRequiredError
	if errors.As(err, &missing) {
		return failure{statusUsage, "--" + missing.GetFlag().Name + " is the last word, and needs something behind it; see " + c.CommandPath() + " --help."}
	}
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	f := invalid.GetFlag()
	takes := map[string]string{"duration": "a time such as 24h or 90m", "int": "a whole number", "bool": "true or false"}[f.Value.Type()]
	if takes == "" {
		takes = "something else"
	}
	return failure{statusUsage, "--" + f.Name + " takes " + takes + "; see " + c.CommandPath() + " --help."}
}
