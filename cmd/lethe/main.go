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
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command line and returns its exit status. What a program may read
// goes to out; logs and errors go to diag.
func run(args []string, out, diag io.Writer) int {
	root := command()
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
