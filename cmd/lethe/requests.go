package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lethe/client"
)

// eachTask runs do with every task that is named, and goes on where one fails.
func eachTask(do func(ctx context.Context, c *cobra.Command, to *client.Client, task string) error) connected {
	return func(ctx context.Context, c *cobra.Command, to *client.Client, tasks []string) error {
		var all []error
		for _, task := range tasks {
			all = append(all, do(ctx, c, to, task))
			if ctx.Err() != nil {
				break
			}
		}
		return firstOf(all)
	}
}

// firstOf is the first error there is, so that its status and its sentence are told; the
// sentences of the others follow it.
func firstOf(all []error) error {
	var first failure
	var sentences []string
	for _, err := range all {
		if err = told(err); err == nil {
			continue
		}
		var f failure
		if errors.As(err, &f) && first.status == 0 {
			first = f
		}
		sentences = append(sentences, err.Error())
	}
	if len(sentences) == 0 {
		return nil
	}
	first.sentence = strings.Join(sentences, "\n")
	return first
}

// typeOf finds out what a request asks for, where there is nothing to ask at once.
func typeOf(ctx context.Context, to *client.Client, task string) (client.Request, error) {
	if !to.Mixpanel() {
		d, err := to.Detail(ctx, task)
		return d.Request, err
	}
	for _, t := range []client.Type{client.Export, client.Deletion} {
		r, _, err := to.Status(ctx, t, task)
		var answered *client.Error
		if errors.As(err, &answered) && answered.Status == http.StatusNotFound || err == nil && r.Status == "NOT_FOUND" {
			continue
		}
		return r, err
	}
	return client.Request{}, failure{statusRefused, "There is no request of that id in this project."}
}

func statusCommand() *cobra.Command {
	var n connection
	var watch bool
	c := &cobra.Command{
		Use:   "status TASK…",
		Short: "Tell how requests stand",
		Long: `Status tells how requests stand, by their task ids. With --watch it waits until
each has ended; it then ends with status 1 if one did not end well.`,
		Example: `  lethe status 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55
  lethe status --watch 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55`,
		Args: cobra.MinimumNArgs(1),
	}
	n.register(c)
	c.Flags().BoolVar(&watch, "watch", false, "wait until they have ended")
	c.RunE = n.run(eachTask(func(ctx context.Context, c *cobra.Command, to *client.Client, task string) error {
		r, err := typeOf(ctx, to, task)
		if err != nil {
			return err
		}
		if watch && !r.Ended() {
			if r, err = follow(ctx, c, to, r.Type, task, n.json); err != nil {
				return err
			}
		}
		if err := n.show(c, r); err != nil || !watch {
			return err
		}
		return outcome(r)
	}))
	return c
}

// show tells of one request.
func (n *connection) show(c *cobra.Command, r client.Request) error {
	if n.json {
		return printLine(c.OutOrStdout(), r)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "task\t%s\nstatus\t%s\ntype\t%s\npeople\t%d\n", r.Task, r.Status, r.Type, r.Count)
	requested, finished := "", "" // Mixpanel does not tell of an export
	if r.Requested != "" {
		requested = clockTime(r.Requested) + " UTC by " + r.Requester
	}
	if r.Finished != "" {
		finished = clockTime(r.Finished) + " UTC"
	}
	for _, l := range []struct{ name, value string }{{"law", strings.ToUpper(r.Compliance)}, {"requested", requested}, {"due", dueOf(r)}, {"finished", finished}, {"held", r.Hold}, {"reason", r.Reason}} {
		if l.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", l.name, l.value)
		}
	}
	if f := r.Found; f != nil {
		fmt.Fprintf(w, "found\t%s\n", foundIn(*f))
	}
	if p := r.Preview; p != nil && !r.Ended() {
		fmt.Fprintf(w, "would erase\t%s, %.2g %% of the project\n", foundIn(p.Found), p.Share)
	}
	if cancellable(r) {
		fmt.Fprintf(w, "cancel until\t%s UTC\n", clockTime(r.CancelUntil))
	}
	return w.Flush()
}

// foundIn tells of what was found.
func foundIn(f client.Found) string {
	return count(int(f.Events), "event") + " and " + count(int(f.Profiles), "profile")
}

// cancellable reports whether a deletion has yet to begin, and it is known until when.
func cancellable(r client.Request) bool {
	return r.CancelUntil != "" && (r.Status == "PENDING" || r.Status == "STAGING")
}

func dueOf(r client.Request) string {
	if r.Overdue {
		return r.Due + ", overdue"
	}
	return r.Due
}

func listCommand() *cobra.Command {
	var n connection
	var kind, only, compliance, status string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List the requests of the project, newest first",
		Example: `  lethe list
  lethe list --only overdue
  lethe list --type deletion --status staging --limit 500 --json`,
		Args: cobra.NoArgs,
	}
	n.register(c)
	f := c.Flags()
	f.StringVar(&kind, "type", "", "only those of a `type`: export or deletion")
	f.StringVar(&only, "only", "", "only those that are `what`: open, overdue or broken")
	f.StringVar(&compliance, "compliance", "", "only those under a `law`: gdpr or ccpa")
	f.StringVar(&status, "status", "", "only those with a `status`, such as started")
	f.IntVar(&limit, "limit", 100, "the most `requests` to list")
	c.RunE = n.run(func(ctx context.Context, c *cobra.Command, to *client.Client, _ []string) error {
		for _, l := range []struct{ flag, value string }{{"type", kind}, {"only", only}, {"compliance", compliance}, {"status", status}} {
			if err := chosen(l.flag, l.value); err != nil && l.value != "" {
				return err
			}
		}
		kind = strings.ToLower(kind)
		if limit < 1 {
			return failure{statusUsage, "--limit takes a number from 1 on."}
		}
		if to.Mixpanel() && (only != "" || kind == "") {
			return failure{statusUsage, "Of Mixpanel, list one type: add --type export or --type deletion, without --only."}
		}
		fits := func(r client.Request) bool {
			return (kind == "" || r.Type == client.Type(kind)) && (compliance == "" || strings.EqualFold(r.Compliance, compliance)) &&
				(status == "" || strings.EqualFold(r.Status, status))
		}
		found, err := pages(ctx, limit, fits, func(page, size int) (client.Page, error) {
			if only == "" && kind != "" {
				return to.List(ctx, client.Type(kind), page, size)
			}
			return to.ListAll(ctx, strings.ToLower(only), page, size)
		})
		if to.Mixpanel() && unlisted(err) {
			return failure{statusRefused, "This Mixpanel has no list of requests: ask for one by its task id, with lethe status."}
		}
		if err != nil {
			return err
		}
		return n.table(c, found)
	})
	return c
}

// pages gathers up to limit requests that fit from page after page.
func pages(ctx context.Context, limit int, fits func(client.Request) bool, get func(page, size int) (client.Page, error)) ([]client.Request, error) {
	var found []client.Request
	seen := map[string]bool{} // a new request moves the others on by one
	const size = 100
	for page := 1; ctx.Err() == nil; page++ {
		p, err := get(page, size)
		if err != nil {
			return nil, err
		}
		for _, r := range p.Requests {
			if !seen[r.Task] && fits(r) {
				found = append(found, r)
			}
			if seen[r.Task] = true; len(found) == limit {
				return found, nil
			}
		}
		if len(p.Requests) < size {
			return found, nil
		}
	}
	return nil, ctx.Err()
}

func (n *connection) table(c *cobra.Command, found []client.Request) error {
	if n.json {
		for _, r := range found {
			if err := printLine(c.OutOrStdout(), r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(c.OutOrStdout(), "There is none.")
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tTYPE\tLAW\tPEOPLE\tREQUESTED (UTC)\tDUE\tSTATUS")
	for _, r := range found {
		fmt.Fprintln(w, strings.Join([]string{r.Task, string(r.Type), strings.ToUpper(r.Compliance), strconv.Itoa(r.Count), clockTime(r.Requested), dueOf(r), r.Status}, "\t"))
	}
	return w.Flush()
}

func cancelCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use:     "cancel TASK…",
		Short:   "Take deletions back that have not begun to erase",
		Example: `  lethe cancel 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55`,
		Args:    cobra.MinimumNArgs(1),
	}
	n.register(c)
	c.RunE = n.run(eachTask(func(ctx context.Context, c *cobra.Command, to *client.Client, task string) error {
		if err := to.Cancel(ctx, task); err != nil {
			return err
		}
		return n.changed(c, map[string]string{"task_id": task, "status": "REVOKED"}, "Cancelled "+task+".")
	}))
	return c
}

// changed tells what became of a request, r.
func (n *connection) changed(c *cobra.Command, r any, text string) error {
	if n.json {
		return printLine(c.OutOrStdout(), r)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), text)
	return err
}

func rerunCommand() *cobra.Command {
	var n connection
	var all bool
	c := &cobra.Command{
		Use:   "rerun TASK…|--all",
		Short: "Run requests again that failed; they go on from what is done",
		Long: `Rerun runs requests again that failed, by their task ids; each goes on from what is
done. With --all it does so with every request of the project that is broken, as many
as may be open at a time. Where some are left it ends with status 4: run it again
later.`,
		Example: `  lethe rerun 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55
  lethe rerun --all`,
	}
	n.register(c)
	c.Flags().BoolVar(&all, "all", false, "all requests of the project that are broken")
	c.Args = func(c *cobra.Command, args []string) error {
		if all {
			return cobra.NoArgs(c, args)
		}
		return cobra.MinimumNArgs(1)(c, args)
	}
	each := n.change("rerun", "Runs again: ", (*client.Client).Rerun)
	c.RunE = n.run(func(ctx context.Context, c *cobra.Command, to *client.Client, tasks []string) error {
		if !all {
			return each(ctx, c, to, tasks)
		}
		return n.rerunAll(ctx, c, to)
	})
	return c
}

func (n *connection) rerunAll(ctx context.Context, c *cobra.Command, to *client.Client) error {
	if err := ownOnly(to, "rerun"); err != nil {
		return err
	}
	done, err := to.RerunAll(ctx)
	if err != nil {
		return err
	}
	if n.json {
		err = printLine(c.OutOrStdout(), done)
	} else {
		_, err = fmt.Fprintf(c.OutOrStdout(), "Runs again: %s.\n", count(done.Rerun, "request"))
	}
	if err == nil && done.Left > 0 {
		err = failure{statusUnfinished, count(done.Left, "request") + " left, since no more may be open at a time: run the command again later."}
	}
	return err
}

func confirmCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use:     "confirm TASK…",
		Short:   "Let requests go on that wait for a confirmation",
		Example: `  lethe confirm 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55`,
		Args:    cobra.MinimumNArgs(1),
	}
	n.register(c)
	c.RunE = n.run(n.change("confirm", "Confirmed: ", (*client.Client).Confirm))
	return c
}

// change does something to each request that is named, and tells that it is done.
func (n *connection) change(name, done string, change func(*client.Client, context.Context, string) (client.Request, error)) connected {
	return eachTask(func(ctx context.Context, c *cobra.Command, to *client.Client, task string) error {
		if err := ownOnly(to, name); err != nil {
			return err
		}
		r, err := change(to, ctx, task)
		if err != nil {
			return err
		}
		return n.changed(c, r, done+task)
	})
}

// ownOnly refuses what Mixpanel does not have.
func ownOnly(to *client.Client, command string) error {
	if to.Mixpanel() {
		return failure{statusRefused, "Mixpanel has nothing like lethe " + command + "."}
	}
	return nil
}

func certificateCommand() *cobra.Command {
	var n connection
	var output string
	var force bool
	c := &cobra.Command{
		Use:   "certificate TASK",
		Short: "Fetch the certificate of a deletion",
		Example: `  lethe certificate 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55
  lethe certificate 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55 -o certificate.json`,
		Args: cobra.ExactArgs(1),
	}
	n.register(c)
	c.Flags().StringVarP(&output, "output", "o", "", "`file` for it; standard output without it")
	c.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	c.RunE = n.run(func(ctx context.Context, c *cobra.Command, to *client.Client, args []string) error {
		if err := ownOnly(to, "certificate"); err != nil {
			return err
		}
		if err := outputNamed(c, output); err != nil {
			return err
		}
		b, err := to.Certificate(ctx, args[0])
		if err != nil {
			return err
		}
		if output == "" {
			_, err = c.OutOrStdout().Write(b)
			return err
		}
		if err := writeNew(output, b, force); err != nil {
			return err
		}
		if n.json {
			return printLine(c.OutOrStdout(), map[string]string{"task_id": args[0], "file": output})
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), "Written: "+output)
		return err
	})
	return c
}
