package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lethe/shared/kind"
	"lethe/shared/local"
)

// executionsOrder asks for the latest executions, executionOrder for all of one.
type (
	executionsOrder struct {
		Limit int `json:"limit"`
	}
	executionOrder struct {
		Name string `json:"name"`
	}
)

func executionsCommand() *cobra.Command {
	var o observing
	var order executionsOrder
	c := &cobra.Command{
		Use:   "executions",
		Short: "List the latest runs of the state machines",
		Long: `Executions lists the latest runs of the state machines that work on requests,
the latest started first, of this machine alone. A run is named by the task id of its
request and the number of the attempt. With a server running it asks the server, else
it opens the data directory itself.`,
		Example: `  lethe executions
  lethe executions --data /var/lib/lethe --limit 100 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fromEnvironment(c); err != nil {
				return err
			}
			if order.Limit < 1 || order.Limit > 1000 {
				return failure{statusUsage, "--limit takes a number from 1 to 1000."}
			}
			ctx, stop := stoppable(c)
			defer stop()
			list, err := administered(ctx, o.data, "/executions", order, c.ErrOrStderr(),
				func(p *local.Platform) ([]local.Execution, error) { return p.Executions(ctx, order.Limit) })
			if err != nil {
				return cutShort(ctx, err, "Stopped.")
			}
			return o.show(c.OutOrStdout(), list, func(w io.Writer) { tellExecutions(w, list) })
		},
	}
	o.register(c)
	c.Flags().IntVar(&order.Limit, "limit", 20, "how many at the most")
	return c
}

func executionCommand() *cobra.Command {
	var o observing
	c := &cobra.Command{
		Use:   "execution NAME",
		Short: "Tell where one run of a state machine stands, and its history",
		Example: `  lethe execution 7f6d1a52-36b5-4a5e-9f0e-0d6a2c1b7e11-1
  lethe execution 7f6d1a52-36b5-4a5e-9f0e-0d6a2c1b7e11-1 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := fromEnvironment(c); err != nil {
				return err
			}
			ctx, stop := stoppable(c)
			defer stop()
			s, err := administered(ctx, o.data, "/execution", executionOrder{args[0]}, c.ErrOrStderr(),
				func(p *local.Platform) (local.Story, error) { return p.Execution(ctx, args[0]) })
			if kind.Of(err) == kind.NotFound {
				return failure{statusRefused, kind.Sentence(err)}
			}
			if err != nil {
				return cutShort(ctx, err, "Stopped.")
			}
			return o.show(c.OutOrStdout(), s, func(w io.Writer) { tellStory(w, s) })
		},
	}
	o.register(c)
	return c
}

// observing is what commands that only look have in common.
type observing struct {
	data string
	json bool
}

func (o *observing) register(c *cobra.Command) {
	c.Flags().StringVar(&o.data, "data", defaultData, "`directory` to look into")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

// show prints v as JSON, or what tell writes, its tabs aligned.
func (o *observing) show(out io.Writer, v any, tell func(io.Writer)) error {
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	tell(w)
	return w.Flush()
}

func tellExecutions(w io.Writer, list []local.Execution) {
	if len(list) == 0 {
		fmt.Fprintln(w, "There are no executions yet: a request makes the first.")
		return
	}
	fmt.Fprintln(w, "NAME\tMACHINE\tSTATUS\tSTARTED\tTOOK\tERROR")
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Machine, x.Status, stamp(x.Started), took(x), x.Error)
	}
}

func tellStory(w io.Writer, s local.Story) {
	fmt.Fprintf(w, "name\t%s\nmachine\t%s\nstatus\t%s\nstarted\t%s\n", s.Name, s.Machine, s.Status, stamp(s.Started))
	if s.Ended != nil {
		fmt.Fprintf(w, "ended\t%s\t\n", stamp(*s.Ended))
	}
	if s.Error != "" {
		fmt.Fprintf(w, "error\t%s\n", s.Error)
	}
	if s.Cause != "" {
		fmt.Fprintf(w, "cause\t%s\n", s.Cause)
	}
	for _, at := range s.Where {
		fmt.Fprintf(w, "stands at\t%s\n", at.State+place(at))
	}
	fmt.Fprintln(w, "\nEVENT\tTIME\tTYPE\tSTATE\tERROR")
	for _, e := range s.History {
		state := e.State
		if e.Item != nil {
			state += fmt.Sprintf(" [%d]", *e.Item)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", e.ID, stamp(e.Time), e.Type, state, strings.TrimSuffix(e.Error+": "+e.Cause, ": "))
	}
}

// place tells the iteration, the wait and the retries of where an execution stands.
func place(at local.Place) string {
	var b strings.Builder
	for _, n := range at.Item {
		fmt.Fprintf(&b, " [%d]", n)
	}
	fmt.Fprintf(&b, " since %s", stamp(at.Since))
	if at.Until != nil {
		fmt.Fprintf(&b, ", until %s", stamp(*at.Until))
	}
	if at.Retries > 0 {
		fmt.Fprintf(&b, ", after %d attempts that failed", at.Retries)
	}
	return b.String()
}

func took(x local.Execution) string {
	if x.Ended == nil {
		return ""
	}
	return x.Ended.Sub(x.Started).Round(time.Millisecond).String()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
