package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/local"
)

// administering is what commands have in common that administer accounts: they call
// the API, by the socket of the server that has the data directory, or without a
// server in this process; or with --url that of a server elsewhere, as a service account.
type administering struct {
	observing
	project        string
	url            string
	serviceAccount string
	secretFile     string

	close func() error
	call  func(*http.Request) (*http.Response, error)
}

func (a *administering) register(c *cobra.Command) {
	a.observing.register(c)
	c.Flags().Lookup("data").Usage = "`directory` of the deployment to administer"
}

// registerProject is register for commands that may be about a project, which a server
// elsewhere can do too.
func (a *administering) registerProject(c *cobra.Command, usage string) {
	a.register(c)
	c.Flags().StringVar(&a.project, "project", "", usage)
	c.Flags().StringVar(&a.url, "url", "", "`address` of a server elsewhere to administer, in place of a directory")
	c.Flags().StringVar(&a.serviceAccount, "service-account", "", "with --url: `name` of the service account to do it as; its secret is in "+secretVariable+" or --service-account-secret-file")
	c.Flags().StringVar(&a.secretFile, "service-account-secret-file", "", "`file` with the secret of the service account")
}

// secretVariable holds the secret of a service account.
const secretVariable = "LETHE_SERVICE_ACCOUNT_SECRET"

// remote calls the server that --url names.
func (a *administering) remote() error {
	base, err := url.Parse(strings.TrimSuffix(a.url, "/"))
	if err != nil || !origin(a.url) {
		return failure{statusUsage, "--url takes an address of https without a path, or of http on this machine, such as https://lethe.example.com."}
	}
	secret := os.Getenv(secretVariable)
	if a.secretFile != "" {
		b, err := os.ReadFile(a.secretFile)
		if err != nil {
			return failure{statusUsage, "The file that --service-account-secret-file names cannot be read."}
		}
		secret = strings.TrimSpace(string(b))
	}
	if a.serviceAccount == "" || secret == "" {
		return failure{statusUsage, "With --url, name a service account with --service-account, and its secret in " + secretVariable + " or --service-account-secret-file. A GDPR token is good for requests only."}
	}
	// The secret is for the server that was named, and not for plain HTTP or another port
	// that it sends calls on to.
	server := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a.close = func() error { return nil }
	a.call = func(r *http.Request) (*http.Response, error) {
		r.URL.Scheme, r.URL.Host, r.Host = base.Scheme, base.Host, base.Host
		r.SetBasicAuth(a.serviceAccount, secret)
		return server.Do(r)
	}
	return nil
}

// run lets do call the API.
func (a *administering) run(c *cobra.Command, do func(context.Context) error) error {
	if err := fromEnvironment(c); err != nil {
		return err
	}
	ctx, stop := stoppable(c)
	defer stop()
	open := func() error { return a.open(ctx, c.ErrOrStderr()) }
	if a.url != "" && !c.Flags().Changed("data") {
		open = a.remote
	}
	if err := open(); err != nil {
		return failing(err)
	}
	err := errors.Join(do(ctx), a.close())
	if err == nil {
		return nil
	}
	return failing(err)
}

// lockTime is how long a command waits for another one that has the data directory, or
// for a server that has just got it.
const lockTime = 5 * time.Second

func (a *administering) open(ctx context.Context, diag io.Writer) error {
	log := slog.New(slog.NewTextHandler(diag, &slog.HandlerOptions{Level: slog.LevelWarn}))
	for late := time.After(lockTime); ; {
		if served(ctx, a.data) {
			a.call, a.close = socketClient(a.data).Do, func() error { return nil }
			return nil
		}
		p, err := openExisting(a.data, log)
		if err == nil {
			return a.openHere(p, log)
		}
		if kind.Of(err) != kind.Conflict {
			return err
		}
		select {
		case <-late:
			return err
		case <-ctx.Done():
			return failure{statusUnfinished, "Stopped: nothing was done."}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// openHere has this process answer, which has the data directory.
func (a *administering) openHere(p *local.Platform, log *slog.Logger) error {
	d, err := wire(p, log, dsr.Settings{})
	if err != nil {
		return errors.Join(err, p.Close())
	}
	h := d.administration(nil)
	a.close = p.Close
	a.call = func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	}
	return nil
}

// ask calls a route with a body of JSON, or none for nil, and reads its results.
func (a *administering) ask(ctx context.Context, method, path string, body, results any) error {
	out, err := a.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if out.StatusCode == http.StatusNoContent || results == nil {
		return nil
	}
	d := json.NewDecoder(out.Body)
	d.UseNumber()
	if err := d.Decode(&struct{ Results any }{results}); err != nil {
		return failure{statusFailed, "The server did not answer as Lethe does: is the address right, and is it of the same version?"}
	}
	return nil
}

// send calls a route, and returns what it answers if that is no error.
func (a *administering) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://lethe"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := a.call(r)
	if ctx.Err() != nil {
		return nil, failure{statusUnfinished, "Stopped. What was asked for may be done: look before you ask for it again."}
	}
	if err != nil {
		return nil, failure{statusFailed, "The server did not answer: look into its log."}
	}
	if out.StatusCode < http.StatusMultipleChoices {
		return out, nil
	}
	defer out.Body.Close()
	if out.StatusCode < http.StatusBadRequest {
		return nil, failure{statusRefused, "The server sends calls on to another address, which was not followed: give the address that answers itself."}
	}
	var told struct{ Error string }
	// What stands between may answer in another way.
	if err := json.NewDecoder(out.Body).Decode(&told); err != nil || told.Error == "" {
		told.Error = fmt.Sprintf("The server answered %d %s.", out.StatusCode, http.StatusText(out.StatusCode))
	}
	f := failure{statusRefused, told.Error}
	switch {
	case out.StatusCode == http.StatusTooManyRequests:
		f = failure{statusUnfinished, told.Error + " Run the command again later."}
	case out.StatusCode >= http.StatusInternalServerError:
		f.status = statusFailed
	}
	return nil, f
}

// A projectLine is a project as the API lists it.
type projectLine struct {
	ID    json.Number `json:"project_id"`
	Name  string      `json:"name"`
	Token string      `json:"token"`
	Role  string      `json:"role"`
}

// inProject is path with the project that --project names, or the only one there is.
func (a *administering) inProject(ctx context.Context, path string) (string, error) {
	var all []projectLine
	if err := a.ask(ctx, http.MethodGet, "/api/app/projects", nil, &all); err != nil {
		return "", err
	}
	if a.project == "" && len(all) > 1 {
		return "", failure{statusUsage, "There are several projects: name one with --project. lethe project list shows their ids."}
	}
	for _, p := range all {
		if a.project == "" || p.ID.String() == a.project {
			return path + "?token=" + url.QueryEscape(p.Token), nil
		}
	}
	return "", failure{statusRefused, "There is no project of the id that --project names. lethe project list shows the ids."}
}

func signInCommand() *cobra.Command {
	var a administering
	var base string
	c := &cobra.Command{
		Use:   "sign-in EMAIL",
		Short: "Make a link by which somebody can sign in, once, within 15 minutes",
		Long: `Sign-in prints a link that signs the person of this mail address in, who must have
a role in the organisation or in a project. It works once and for 15 minutes: whoever
has it is that person. It can be made on the machine that Lethe runs on alone.`,
		Example: `  lethe sign-in pat@example.com
  lethe sign-in pat@example.com --data /var/lib/lethe --url https://lethe.example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.run(c, func(ctx context.Context) error {
				var made struct{ Link, URL, Expires string }
				if err := a.ask(ctx, http.MethodPost, "/api/app/sign-in-links", map[string]string{"name": args[0]}, &made); err != nil {
					return err
				}
				link := made.URL
				if link == "" || c.Flags().Changed("url") {
					link = dsr.LinkURL(base, made.Link)
				}
				return a.show(c.OutOrStdout(), map[string]string{"url": link, "expires": made.Expires}, func(w io.Writer) { fmt.Fprintln(w, link) })
			})
		},
	}
	a.register(c)
	c.Flags().StringVar(&base, "url", "http://127.0.0.1:8080", "`address` that the server is reached at; one that runs knows its own")
	return c
}

func memberCommand() *cobra.Command {
	root := &cobra.Command{Use: "member", Short: "List who has a role, give one, take one away", Example: "  lethe member list\n  lethe member set sam@example.com admin --project 1234567", Args: cobra.NoArgs, RunE: help}
	type line struct {
		Name       string             `json:"name"`
		Role       string             `json:"role"`
		Since      string             `json:"date_added"`
		Service    bool               `json:"service_account"`
		Invitation account.Invitation `json:"invitation,omitempty"`
	}
	command := func(use, short, example string, args cobra.PositionalArgs, method string, body func(args []string) any) *cobra.Command {
		var a administering
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: args}
		a.registerProject(c, "`id` of the project that the role is in; without it the role is in the organisation, and holds in every project")
		c.RunE = func(c *cobra.Command, args []string) error {
			return a.run(c, func(ctx context.Context) (err error) {
				path := "/api/app/organisation/members"
				if a.project != "" {
					if path, err = a.inProject(ctx, "/api/app/members"); err != nil {
						return err
					}
				}
				var all []line
				if method == http.MethodDelete {
					return a.showRemoved(c, ctx, path, body(args))
				}
				if err := a.ask(ctx, method, path, body(args), &all); err != nil {
					return err
				}
				for _, m := range all {
					a.tellInvited(c, m.Name, m.Invitation)
				}
				return a.show(c.OutOrStdout(), all, func(w io.Writer) {
					fmt.Fprintln(w, "NAME\tROLE\tSINCE")
					for _, m := range all {
						fmt.Fprintf(w, "%s\t%s\t%s\n", m.Name, m.Role, m.Since)
					}
				})
			})
		}
		return c
	}
	none := func([]string) any { return nil }
	root.AddCommand(
		command("list", "List who has a role", "  lethe member list\n  lethe member list --project 1234567 --json", cobra.NoArgs, http.MethodGet, none),
		command("set EMAIL ROLE", "Give somebody a role: owner, admin, analyst or consumer", "  lethe member set sam@example.com admin --project 1234567", cobra.ExactArgs(2), http.MethodPut,
			func(args []string) any { return map[string]string{"name": args[0], "role": args[1]} }),
		command("remove EMAIL", "Take somebody's role in a project away, or without --project every role; sessions and tokens end with the last", "  lethe member remove sam@example.com\n  lethe member remove sam@example.com --project 1234567", cobra.ExactArgs(1), http.MethodDelete,
			func(args []string) any { return map[string]string{"name": args[0]} }),
	)
	return root
}

// showRemoved has roles taken away, and shows which.
func (a *administering) showRemoved(c *cobra.Command, ctx context.Context, path string, body any) error {
	all := []struct {
		Role    string      `json:"role"`
		Project json.Number `json:"project_id,omitempty"`
	}{}
	if err := a.ask(ctx, http.MethodDelete, path, body, &all); err != nil {
		return err
	}
	return a.show(c.OutOrStdout(), all, func(w io.Writer) {
		fmt.Fprintln(w, "REMOVED\tIN")
		for _, r := range all {
			where := "organisation"
			if r.Project != "" {
				where = "project " + r.Project.String()
			}
			fmt.Fprintf(w, "%s\t%s\n", r.Role, where)
		}
	})
}

func tokenCommand() *cobra.Command {
	root := &cobra.Command{Use: "token", Short: "List, make, replace and revoke the GDPR tokens of a person", Example: "  lethe token make pat@example.com\n  lethe token list pat@example.com", Args: cobra.NoArgs, RunE: help}
	type line struct {
		ID      string `json:"token_id"`
		Prefix  string `json:"prefix"`
		Created string `json:"date_created"`
		Used    string `json:"date_last_used,omitempty"`
		Expires string `json:"date_expires"`
		Revoked string `json:"date_revoked,omitempty"`
		Token   string `json:"token,omitempty"`
	}
	var overlap int
	command := func(use, short, example string, args int, do func(ctx context.Context, a *administering, owner string, args []string, all *[]line) error) *cobra.Command {
		var a administering
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ExactArgs(args)}
		a.register(c) // elsewhere it would be a service account's to do, which manages nobody's tokens
		c.RunE = func(c *cobra.Command, args []string) error {
			return a.run(c, func(ctx context.Context) error {
				all := []line{}
				if err := do(ctx, &a, "?owner="+url.QueryEscape(args[0]), args, &all); err != nil {
					return err
				}
				if len(all) == 1 && all[0].Token != "" && !a.json {
					_, err := fmt.Fprintln(c.OutOrStdout(), all[0].Token)
					return err
				}
				return a.show(c.OutOrStdout(), all, func(w io.Writer) {
					fmt.Fprintln(w, "ID\tTOKEN\tCREATED\tLAST USED\tEXPIRES\tREVOKED")
					for _, t := range all {
						fmt.Fprintf(w, "%s\t%s…\t%s\t%s\t%s\t%s\n", t.ID, t.Prefix, t.Created, t.Used, t.Expires, t.Revoked)
					}
				})
			})
		}
		return c
	}
	list := func(ctx context.Context, a *administering, owner string, _ []string, all *[]line) error {
		return a.ask(ctx, http.MethodGet, "/api/app/tokens"+owner, nil, all)
	}
	replace := command("replace EMAIL ID", "Make a token in place of another, and print it", "  lethe token replace pat@example.com 0f3c5a7e9b1d2468 --overlap-days 7", 2,
		func(ctx context.Context, a *administering, owner string, args []string, all *[]line) error {
			*all = make([]line, 1)
			return a.ask(ctx, http.MethodPost, "/api/app/tokens/"+url.PathEscape(args[1])+"/replace"+owner, map[string]int{"overlap_days": overlap}, &(*all)[0])
		})
	replace.Flags().IntVar(&overlap, "overlap-days", 0, "for how many `days` the old one goes on")
	root.AddCommand(
		command("list EMAIL", "List a person's tokens", "  lethe token list pat@example.com", 1, list),
		command("make EMAIL", "Make a token, and print it: nobody can read it again", "  lethe token make pat@example.com", 1,
			func(ctx context.Context, a *administering, owner string, _ []string, all *[]line) error {
				*all = make([]line, 1)
				return a.ask(ctx, http.MethodPost, "/api/app/tokens"+owner, nil, &(*all)[0])
			}),
		replace,
		command("revoke EMAIL ID", "End a token at once", "  lethe token revoke pat@example.com 0f3c5a7e9b1d2468", 2,
			func(ctx context.Context, a *administering, owner string, args []string, all *[]line) error {
				if err := a.ask(ctx, http.MethodDelete, "/api/app/tokens/"+url.PathEscape(args[1])+owner, nil, nil); err != nil {
					return err
				}
				return list(ctx, a, owner, args, all)
			}),
	)
	return root
}

func projectCommand() *cobra.Command {
	root := &cobra.Command{Use: "project", Short: "List, make, rename and hand over projects, and rotate their secrets", Example: "  lethe project list\n  lethe project make Shop", Args: cobra.NoArgs, RunE: help}
	var overlap int
	command := func(use, short, example string, args int, do func(c *cobra.Command, ctx context.Context, a *administering, args []string) error) *cobra.Command {
		var a administering
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ExactArgs(args)}
		a.registerProject(c, "`id` of the project; not needed where there is one")
		c.RunE = func(c *cobra.Command, args []string) error {
			return a.run(c, func(ctx context.Context) error { return do(c, ctx, &a, args) })
		}
		return c
	}
	// inOne calls a route of a project, and shows what it answers as it is.
	inOne := func(method, path string, body func(args []string) any) func(*cobra.Command, context.Context, *administering, []string) error {
		return func(c *cobra.Command, ctx context.Context, a *administering, args []string) error {
			path, err := a.inProject(ctx, path)
			if err != nil {
				return err
			}
			return a.showResults(c, ctx, method, path, body(args))
		}
	}
	rotate := command("rotate token|secret", "Give a project a new token or API secret, and print it", "  lethe project rotate token --overlap-days 90", 1,
		inOne(http.MethodPost, "/api/app/project/rotate", func(args []string) any { return map[string]any{"what": args[0], "overlap_days": overlap} }))
	rotate.Flags().IntVar(&overlap, "overlap-days", 0, "for how many `days` the old one goes on")
	var isNew bool
	transfer := command("transfer EMAIL", "Make a person the owner of a project, and admins of its owners", "  lethe project transfer sam@example.com --project 1234567", 1,
		inOne(http.MethodPost, "/api/app/project/transfer", func(args []string) any { return map[string]any{"to": args[0], "new": isNew} }))
	transfer.Flags().BoolVar(&isNew, "new", false, "let the person be somebody without a role here, who is invited")
	root.AddCommand(
		command("list", "List projects", "  lethe project list", 0, func(c *cobra.Command, ctx context.Context, a *administering, _ []string) error {
			all := []projectLine{}
			if err := a.ask(ctx, http.MethodGet, "/api/app/projects", nil, &all); err != nil {
				return err
			}
			return a.show(c.OutOrStdout(), all, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tTOKEN")
				for _, p := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\n", p.ID, p.Name, p.Token)
				}
			})
		}),
		command("make NAME", "Make a project, and print its token and API secret", "  lethe project make Shop", 1, func(c *cobra.Command, ctx context.Context, a *administering, args []string) error {
			return a.showResults(c, ctx, http.MethodPost, "/api/app/projects", map[string]string{"name": args[0]})
		}),
		command("rename NAME", "Give a project another name", "  lethe project rename Shop --project 1234567", 1,
			inOne(http.MethodPatch, "/api/app/project", func(args []string) any { return map[string]string{"name": args[0]} })),
		rotate,
		transfer,
	)
	return root
}

func serviceAccountCommand() *cobra.Command {
	root := &cobra.Command{Use: "service-account", Short: "Make accounts for programs, and rotate their secrets", Example: "  lethe service-account make nightly-load analyst --project 1234567", Args: cobra.NoArgs, RunE: help}
	var overlap int
	command := func(use, short, example string, args int, path string, body func(args []string) any) *cobra.Command {
		var a administering
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ExactArgs(args)}
		a.registerProject(c, "`id` of the project; not needed where there is one")
		c.RunE = func(c *cobra.Command, args []string) error {
			return a.run(c, func(ctx context.Context) error {
				path, err := a.inProject(ctx, path)
				if err != nil {
					return err
				}
				return a.showResults(c, ctx, http.MethodPost, path, body(args))
			})
		}
		return c
	}
	rotate := command("rotate NAME", "Give a service account a new secret, and print it", "  lethe service-account rotate nightly-load.1a2b3c.service-account --overlap-days 1", 1,
		"/api/app/service-accounts/rotate", func(args []string) any { return map[string]any{"name": args[0], "overlap_days": overlap} })
	rotate.Flags().IntVar(&overlap, "overlap-days", 0, "for how many `days` the old one goes on")
	root.AddCommand(
		command("make NAME ROLE", "Make a service account with the role admin, analyst or consumer, and print its secret", "  lethe service-account make nightly-load analyst --project 1234567", 2,
			"/api/app/service-accounts", func(args []string) any { return map[string]string{"name": args[0], "role": args[1]} }),
		rotate,
	)
	return root
}

// showResults calls a route and prints its results: an object a line for each member,
// a list a line for each of its objects.
func (a *administering) showResults(c *cobra.Command, ctx context.Context, method, path string, body any) error {
	var results any
	if err := a.ask(ctx, method, path, body, &results); err != nil {
		return err
	}
	list, ok := results.([]any)
	if !ok {
		list = []any{results}
	}
	for _, one := range list {
		members, _ := one.(map[string]any)
		name, _ := members["name"].(string)
		invitation, _ := members["invitation"].(string)
		a.tellInvited(c, name, account.Invitation(invitation))
	}
	return a.show(c.OutOrStdout(), results, func(w io.Writer) {
		for _, one := range list {
			members, _ := one.(map[string]any)
			for _, name := range []string{"project_id", "name", "role", "token", "api_secret", "secret"} {
				if v, ok := members[name]; ok {
					fmt.Fprintf(w, "%s\t%v\n", strings.ReplaceAll(name, "_", " "), v)
				}
			}
		}
	})
}

// tellInvited tells who gave somebody a first role how that one gets in.
func (a *administering) tellInvited(c *cobra.Command, name string, invitation account.Invitation) {
	sentence, ok := map[account.Invitation]string{
		account.Invited:    "is invited: the server mails a link to sign in, once it runs, by --smtp or into its outbox.",
		account.Withheld:   "has the role, but no invitation is mailed: too many went to this address lately.",
		account.Unmailable: "has the role, but no invitation is mailed: mail can be sent to addresses of ASCII characters alone.",
	}[invitation]
	if !ok {
		return
	}
	way := "To hand one over yourself: lethe sign-in " + name
	switch {
	case a.url != "":
		way = "To hand one over, on the machine that Lethe runs on: lethe sign-in " + name
	case a.data != defaultData:
		way += " --data " + a.data
	}
	fmt.Fprintln(c.ErrOrStderr(), name, sentence, way)
}
