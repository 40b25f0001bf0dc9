package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lethe/client"
	"lethe/shared/archive"
	"lethe/shared/kind"
)

// An asking is lethe export or lethe delete: one request about people, or several about
// many.
type asking struct {
	connection
	people
	of         client.Type
	compliance string
	disclosure string
	window     string
	block      bool
	yes        bool
	wait       bool
	state      string
	output     string
	force      bool

	c       *cobra.Command
	to      *client.Client
	options client.Ask // but for the people
	journal *journal
	before  []string // tasks that an earlier run knew
}

// poll is how often a request is asked for that is waited for.
const poll = time.Second

// pollMixpanel is how often there, where a request takes days.
const pollMixpanel = 30 * time.Second

func exportCommand() *cobra.Command {
	a := &asking{of: client.Export}
	c := &cobra.Command{
		Use:   "export ID…",
		Short: "Ask for a copy of people's data, and fetch it",
		Long: `Export asks for a copy of the data of one or several people: each argument is a
distinct_id or an alias; --csv or - reads a column of them.

With --wait it waits until the copy is there, and with -o it fetches it, compares
each file in it with the checksums of its manifest, and only then puts it under
that name. More than 2000 people make several requests, for which -o names a
directory. What was sent in is kept beside the file that --csv names (or in
--state), so that the same command goes on after it was stopped and sends nothing
in twice.`,
		Example: `  lethe export ada -o ada.zip
  lethe export --compliance ccpa --disclosure categories --wait ada
  lethe export --csv people.csv -o exports/
  cut -d, -f1 people.csv | lethe export -`,
	}
	a.register(c)
	c.Flags().StringVar(&a.window, "window", "", "under ccpa, `what` time: all, or from..to as dates, either of which may be left out; the last 12 months without it")
	a.registerOutput(c, "", "`file` for the archive, or a directory for one or several; waits for it")
	return c
}

func (a *asking) registerOutput(c *cobra.Command, without, usage string) {
	c.Flags().StringVarP(&a.output, "output", "o", without, usage)
	c.Flags().BoolVar(&a.force, "force", false, "write over files that are there")
}

func fetchCommand() *cobra.Command {
	a := &asking{of: client.Export, journal: &journal{}}
	c := &cobra.Command{
		Use:   "fetch TASK…",
		Short: "Fetch the archives of exports that were asked for before",
		Long: `Fetch waits until exports are done, by their task ids, and fetches their archives as
lethe export -o does: each file in one is compared with the checksums of its manifest
before it stands under its name, which is TASK.zip in this directory unless -o says
otherwise.`,
		Example: `  lethe fetch 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55
  lethe fetch 4b3c7a3e-0b3f-4f0a-9c56-0f4d2f1f3c55 -o ada.zip`,
		Args: cobra.MinimumNArgs(1),
	}
	a.connection.register(c)
	a.registerOutput(c, ".", "`file` for the archive, or a directory for one or several")
	c.RunE = a.connection.run(func(ctx context.Context, c *cobra.Command, to *client.Client, tasks []string) error {
		a.c, a.to = c, to
		if err := a.checkOutput(len(tasks)); err != nil {
			return err
		}
		return eachTask(func(ctx context.Context, _ *cobra.Command, _ *client.Client, task string) error {
			r, err := typeOf(ctx, to, task)
			if err == nil && r.Type != client.Export {
				err = failure{statusRefused, "Request " + task + " is a deletion, which has no archive."}
			}
			if err != nil {
				return err
			}
			return a.finish(ctx, task)
		})(ctx, c, to, tasks)
	})
	return c
}

func deleteCommand() *cobra.Command {
	a := &asking{of: client.Deletion}
	c := &cobra.Command{
		Use:   "delete ID…",
		Short: "Ask for the erasure of people's data",
		Long: `Delete asks for the erasure of all data of one or several people: each argument is
a distinct_id or an alias; --csv or - reads a column of them. It asks for the number
of them first, and tells what will be erased, until when that can be cancelled, and
how. With --wait it waits until it is done. Archives of exports that hold these people
are taken back.

More than 2000 people make several requests. What was sent in is kept beside the
file that --csv names (or in --state), so that the same command goes on after it was
stopped and sends nothing in twice.`,
		Example: `  lethe delete ada
  lethe delete --csv people.csv --block
  lethe delete --yes --wait ada`,
	}
	a.register(c)
	c.Flags().BoolVar(&a.block, "block", false, "opt the people out too, so that nothing of theirs is stored from now on")
	c.Flags().BoolVar(&a.yes, "yes", false, "do not ask")
	return c
}

func (a *asking) register(c *cobra.Command) {
	a.connection.register(c)
	a.people.register(c)
	f := c.Flags()
	f.StringVar(&a.compliance, "compliance", "gdpr", "the `law` it is asked under: gdpr or ccpa")
	f.StringVar(&a.disclosure, "disclosure", "data", "`what` it is about: data; under ccpa also categories or sources")
	f.BoolVar(&a.wait, "wait", false, "wait until it is done")
	f.StringVar(&a.state, "state", "", "`file` that keeps what was sent in, of more than 2000 people or of a file")
	c.RunE = a.connection.run(a.run)
}

// parsed checks what the flags say of the request.
func (a *asking) parsed() (client.Ask, error) {
	ask := client.Ask{Compliance: strings.ToUpper(a.compliance), Disclosure: strings.ToUpper(a.disclosure), Block: a.block}
	if err := cmp.Or(chosen("compliance", a.compliance), chosen("disclosure", a.disclosure)); err != nil {
		return ask, err
	}
	if ask.Compliance == "GDPR" && ask.Disclosure != "DATA" {
		return ask, failure{statusUsage, "--disclosure " + a.disclosure + " goes with --compliance ccpa only."}
	}
	if a.window == "" {
		return ask, nil
	}
	if ask.Compliance == "GDPR" {
		return ask, failure{statusUsage, "--window goes with --compliance ccpa only: under gdpr an export is of all there is."}
	}
	if a.window == "all" {
		ask.Window = &client.Window{All: true}
		return ask, nil
	}
	from, to, ok := strings.Cut(a.window, "..")
	if !ok || from == "" && to == "" {
		return ask, failure{statusUsage, "--window takes all, or two dates such as 2026-01-31..2026-06-30, either of which may be left out."}
	}
	for _, day := range []string{from, to} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return ask, failure{statusUsage, "--window takes days that there are, such as 2026-01-31..2026-06-30."}
		}
	}
	if from != "" && to != "" && from > to {
		return ask, failure{statusUsage, "--window takes the earlier day first."}
	}
	ask.Window = &client.Window{From: from, To: to}
	return ask, nil
}

func (a *asking) run(ctx context.Context, c *cobra.Command, to *client.Client, args []string) (err error) {
	a.c, a.to = c, to
	if a.options, err = a.parsed(); err != nil {
		return err
	}
	ids, err := a.read(c, args)
	if err != nil {
		return err
	}
	if to.Mixpanel() && (a.options.Window != nil || a.block) {
		return failure{statusUsage, "Mixpanel knows no --window and no --block."}
	}
	if to.Mixpanel() && a.of == client.Deletion {
		if a.options.Disclosure != "DATA" {
			return failure{statusUsage, "Mixpanel's deletions are of all data: leave --disclosure out."}
		}
		a.options.Disclosure = ""
	}
	if a.journal, err = a.openJournal(ids); err != nil {
		return err
	}
	if a.journal.begun() {
		fmt.Fprintf(c.ErrOrStderr(), "Goes on with what was sent in before, of which %s tells. To ask anew, remove it.\n", a.journal.file)
		a.before = a.journal.tasks()
	}
	if err := a.checkOutput(len(a.journal.Parts)); err != nil {
		return err
	}
	if err := a.confirm(ctx, len(ids)); err != nil {
		return err
	}
	var all []error
	for i := range a.journal.Parts {
		if err := a.submit(ctx, i, ids[i*client.Most:min((i+1)*client.Most, len(ids))]); err != nil {
			return err
		}
	}
	if !a.wait && a.output == "" {
		return a.sent(ctx)
	}
	if a.of == client.Deletion {
		if err := a.sent(ctx); ctx.Err() != nil {
			return err
		} // what else is wrong with a request is told with its end
	}
	for _, p := range a.journal.Parts {
		all = append(all, a.finish(ctx, p.Task))
		if ctx.Err() != nil {
			break
		}
	}
	return firstOf(all)
}

// confirm asks for the number of people that are to be erased, unless all of it was sent
// in before.
func (a *asking) confirm(ctx context.Context, n int) error {
	if a.of != client.Deletion || a.yes || a.journal.sentIn() {
		return nil
	}
	ask := prompt{a.c}
	if !ask.there() {
		return failure{statusUsage, "There is no terminal to confirm the deletion at: add --yes to delete without being asked."}
	}
	fmt.Fprintf(a.c.ErrOrStderr(), "All data of %s will be erased, and exports that hold it are taken back.\n", count(n, "person"))
	answer, err := ask.line(ctx, "Type their number to go on: ", false)
	if err != nil {
		return err
	}
	if answer != strconv.Itoa(n) {
		return failure{statusRefused, "Nothing was sent in: that is not the number."}
	}
	return nil
}

// submit sends part i in, unless it is known to have been.
func (a *asking) submit(ctx context.Context, i int, ids []string) error {
	p := &a.journal.Parts[i]
	if p.Task != "" {
		return nil
	}
	ask := a.options
	ask.IDs, ask.SubjectRequestID, ask.Key = ids, p.ID, p.ID
	if a.to.Mixpanel() {
		ask.Key = ""
	}
	if !p.Tried.IsZero() {
		task, err := a.taken(ctx, *p)
		if err != nil {
			return err
		}
		if task != "" {
			p.Task = task
			return a.journal.write()
		}
	}
	// Written before it goes out, so that what is lost on the way is known to be. The
	// server counts the life of a key from the first time on.
	if time.Since(p.Tried) >= keyLife {
		p.Tried = time.Now().UTC()
	}
	if err := a.journal.write(); err != nil {
		return err
	}
	r, err := a.to.Submit(ctx, a.of, ask)
	if err != nil {
		return err
	}
	p.Task = r.Task
	if err := a.journal.write(); err != nil {
		return err
	}
	return a.tell(r, fmt.Sprintf("Sent in: %s of %s, task %s.", a.of, count(len(ids), "person"), r.Task)+a.hint(r), "")
}

// hint is what can be done with a request that was sent in and is not waited for, or "";
// of a deletion preview tells it, where there is one.
func (a *asking) hint(r client.Request) string {
	switch ended := r.Status == "FAILURE" || r.Status == "REVOKED"; {
	case ended:
	case a.of == client.Deletion && a.to.Mixpanel() && r.Status != "SUCCESS":
		return "\n  It can be cancelled until Mixpanel begins with it: lethe cancel " + r.Task
	case a.of == client.Export && !a.wait && a.output == "":
		return "\n  To fetch its archive: lethe fetch " + r.Task
	}
	return ""
}

// keyLife is for how long the same key is the same request, with a margin.
const keyLife = 23 * time.Hour

// taken looks for a part whose answer did not come; "" if it is to be sent again.
func (a *asking) taken(ctx context.Context, p part) (task string, err error) {
	if !a.to.Mixpanel() && time.Since(p.Tried) < keyLife {
		return "", nil // sent again under its key it is the same
	}
	for page, size := 1, 100; ; page++ {
		found, err := a.to.List(ctx, a.of, page, size)
		if a.to.Mixpanel() && unlisted(err) {
			break
		}
		if err != nil {
			return "", err
		}
		for _, r := range found.Requests {
			if r.SubjectRequestID == p.ID {
				return r.Task, nil
			}
		}
		if len(found.Requests) < size {
			break
		}
	}
	if !a.to.Mixpanel() {
		return "", nil
	}
	ask := prompt{a.c}
	if !ask.there() {
		return "", failure{statusUnfinished, "Nobody knows whether Mixpanel took a part in whose answer was lost. Run the command at a terminal, which asks whether to send it again."}
	}
	answer, err := ask.line(ctx, "The answer to a part was lost, and Mixpanel's list does not name it. Send it in again? Type yes: ", false)
	if err != nil {
		return "", err
	}
	if answer != "yes" {
		return "", failure{statusRefused, "The part was not sent in again."}
	}
	return "", nil
}

// unlisted reports whether there is no list, which Mixpanel's description does not have.
func unlisted(err error) bool {
	var answered *client.Error
	return errors.As(err, &answered) && (answered.Status == http.StatusNotFound || answered.Status == http.StatusMethodNotAllowed)
}

// sent tells, of what was sent in and is not waited for, how that stands which an earlier
// run sent in, and what comes next.
func (a *asking) sent(ctx context.Context) error {
	var all []error
	previewed := a.of == client.Deletion && !a.to.Mixpanel()
	for _, task := range a.before {
		r, err := a.standing(ctx, task)
		if err == nil && !previewed { // which tells of a bad end, too
			err = outcome(r)
		}
		all = append(all, err)
	}
	if !previewed {
		return firstOf(all)
	}
	for _, p := range a.journal.Parts {
		err := a.preview(ctx, p.Task)
		if all = append(all, err); ctx.Err() != nil {
			break
		}
	}
	return firstOf(all)
}

// standing tells how a request stands that was sent in before.
func (a *asking) standing(ctx context.Context, task string) (client.Request, error) {
	r, err := typeOf(ctx, a.to, task)
	if err != nil {
		return r, err
	}
	return r, a.tell(r, fmt.Sprintf("Was sent in before: %s of %s, task %s, is %s.", a.of, count(r.Count, "person"), task, r.Status)+a.hint(r), "")
}

// planTime is how long a deletion's preview is waited for.
const planTime = 10 * time.Second

// preview tells what a deletion would erase and how to cancel it. One that an earlier run
// sent in may have ended: unless it ended well nothing was erased, and nothing will be.
func (a *asking) preview(ctx context.Context, task string) error {
	out := a.c.OutOrStdout()
	for until := time.Now().Add(planTime); ; {
		d, err := a.to.Detail(ctx, task)
		if err != nil {
			return err
		}
		if err := outcome(d.Request); err != nil {
			return err
		}
		if d.Ended() && a.json {
			return nil // told before
		}
		if d.Ended() {
			fmt.Fprintf(out, "  Request %s is done. What was stored since is not erased by it.\n", task)
			return nil
		}
		planned := d.Planned()
		if planned || time.Now().After(until) {
			if a.json {
				return printLine(out, d.Request)
			}
			if p := d.Preview; p != nil {
				fmt.Fprintf(out, "  It would erase %s, %.2g %% of the project.\n", foundIn(p.Found), p.Share)
			} else if planned {
				fmt.Fprintln(out, "  Nothing of theirs is stored.")
			}
			if d.Hold != "" {
				fmt.Fprintf(out, "  It waits until somebody else confirms it: lethe confirm %s\n", task)
			}
			if cancellable(d.Request) {
				fmt.Fprintf(out, "  It can be cancelled until %s UTC: lethe cancel %s\n", clockTime(d.CancelUntil), task)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll / 4):
		}
	}
}

// clockTime is a time of the API as people read it.
func clockTime(s string) string {
	t, err := time.Parse("2006-01-02T15:04:05", s)
	if err != nil {
		return s
	}
	return t.Format("2006-01-02 15:04:05")
}

// finish waits for a request and fetches its archive.
func (a *asking) finish(ctx context.Context, task string) error {
	r, err := follow(ctx, a.c, a.to, a.of, task, a.json)
	if err != nil {
		return err
	}
	file := ""
	if r.Status == "SUCCESS" && a.output != "" {
		if file, err = a.fetch(ctx, task); err != nil {
			return err
		}
	}
	if err := a.tell(r, "", file); err != nil {
		return err
	}
	return outcome(r)
}

// follow waits until a request has ended, and tells of it on the way.
func follow(ctx context.Context, c *cobra.Command, to *client.Client, of client.Type, task string, quiet bool) (client.Request, error) {
	every := poll
	if to.Mixpanel() {
		every = pollMixpanel
	}
	began, before := time.Now(), ""
	bar := progress{out: c.ErrOrStderr(), quiet: quiet, last: began}
	r, err := to.Wait(ctx, of, task, every, func(r client.Request) {
		if r.Status == before {
			bar.show("%s %s, waited for %s", task, r.Status, time.Since(began).Round(time.Second))
			return
		}
		bar.end()
		if before = r.Status; !quiet {
			fmt.Fprintf(c.OutOrStdout(), "%s %s\n", task, r.Status)
		}
	})
	bar.end()
	if err != nil || to.Mixpanel() {
		return r, err
	}
	d, err := to.Detail(ctx, task)
	d.Type = of
	return d.Request, err
}

// outcome is an error where a request did not end well.
func outcome(r client.Request) error {
	switch {
	case r.Status == "SUCCESS" || !r.Ended():
		return nil
	case r.Status == "REVOKED":
		return failure{statusFailed, "Request " + r.Task + " was cancelled."}
	case r.Status == "NOT_FOUND":
		return failure{statusRefused, "There is no request " + r.Task + " in this project."}
	}
	return failure{statusFailed, strings.TrimSpace("Request " + r.Task + " failed. " + r.Reason)}
}

// tell tells of a request, to programs in JSON.
func (a *asking) tell(r client.Request, text, file string) error {
	if a.json {
		return printLine(a.c.OutOrStdout(), struct {
			client.Request
			File string `json:"file,omitempty"`
		}{r, file})
	}
	switch {
	case file != "" && a.to.Mixpanel():
		text = "Fetched, with nothing to compare it with: " + file
	case file != "":
		text = "Fetched and verified: " + file
	}
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintln(a.c.OutOrStdout(), text)
	return err
}

func printLine(out io.Writer, v any) error { return json.NewEncoder(out).Encode(v) }

// outputNamed refuses an -o that names nothing, as of a variable of a shell that is empty.
func outputNamed(c *cobra.Command, output string) error {
	if output == "" && c.Flags().Changed("output") {
		return failure{statusUsage, "-o names no file."}
	}
	return nil
}

// checkOutput refuses early what would be refused after the wait.
func (a *asking) checkOutput(parts int) error {
	if a.output == "" {
		return outputNamed(a.c, a.output)
	}
	info, err := os.Stat(a.output)
	directory := err == nil && info.IsDir() || strings.HasSuffix(a.output, string(filepath.Separator))
	switch {
	case err == nil && !info.IsDir() && !a.force:
		return failure{statusRefused, "The file that -o names is there already: name another, or add --force to write over it."}
	case parts > 1 && !directory:
		return failure{statusUsage, fmt.Sprintf("There are %d requests with an archive each: name a directory with -o, with a / at its end.", parts)}
	}
	dir := a.output
	if !directory {
		dir = filepath.Dir(a.output)
	}
	if directory {
		err = os.MkdirAll(dir, 0o700)
	} else {
		_, err = os.Stat(dir)
	}
	if err != nil {
		return failure{statusUsage, "The directory that -o names is not there and cannot be made."}
	}
	return nil
}

// fetch gets an archive, verifies it and puts it where -o says. Until it is whole and
// verified nothing is under that name.
func (a *asking) fetch(ctx context.Context, task string) (name string, err error) {
	name = a.output
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, task+".zip")
	}
	if _, err := os.Lstat(name); err == nil && !a.force {
		if a.journal.file != "" && verified(ctx, name) == nil {
			return name, nil // an earlier run fetched it
		}
		return "", failure{statusRefused, "The file " + name + " is there already: move it away, or add --force to write over it."}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".lethe-*.zip")
	if err != nil {
		return "", failure{statusFailed, "No file can be made in the directory that -o names."}
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }() // gone, once it has its name
	bar := progress{out: a.c.ErrOrStderr(), quiet: a.json}
	err = a.to.Download(ctx, task, f, func(sofar, all int64) {
		if all > 0 {
			bar.show("%3d %% of %.1f MB", 100*sofar/all, float64(all)/1e6)
		} else {
			bar.show("%.1f MB", float64(sofar)/1e6)
		}
	})
	bar.end()
	var full *fs.PathError
	if errors.As(err, &full) {
		return "", failure{statusFailed, "The archive cannot be written: is the disk full?"}
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return "", err
	}
	if !a.to.Mixpanel() {
		if err := verified(ctx, f.Name()); err != nil {
			return "", failure{statusFailed, "What was fetched is not what was made: " + sentenceOf(err) + " Run the command again."}
		}
	}
	if a.force {
		err = os.Rename(f.Name(), name)
	} else {
		err = os.Link(f.Name(), name) // never over another
	}
	if err != nil {
		return "", failure{statusFailed, "The archive cannot be put under the name that -o gives it."}
	}
	return name, nil
}

// verified compares each file of an archive with its manifest.
func verified(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	in, err := archive.Open(f, info.Size())
	if err != nil {
		return err
	}
	return in.Verify(ctx)
}

// sentenceOf is what an error says to people.
func sentenceOf(err error) string {
	if s := kind.Sentence(err); s != "" {
		return s
	}
	return sentence(err.Error())
}
