package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/console"
	"lethe/shared/dsr"
	"lethe/shared/local"
)

func serveCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run everything on this machine",
		Long: `Serve runs Lethe on this machine: it takes in events, answers requests for
their export and deletion, and keeps all of it in one directory.

Every flag can be given as a variable too: --cancel-window is
LETHE_CANCEL_WINDOW, --listen is LETHE_LISTEN. A flag wins.`,
		Example: `  lethe serve --demo
  lethe serve --demo --json --listen 127.0.0.1:0
  lethe serve --data /var/lib/lethe --ledger-copy /mnt/backup/ledger
  lethe serve --data /var/lib/lethe --public-url https://lethe.example.com --trusted-proxy 127.0.0.1`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fromEnvironment(c); err != nil {
				return err
			}
			if s.demo && !c.Flags().Changed("cancel-window") {
				s.window = demoWindow
			}
			if err := s.check(); err != nil {
				return err
			}
			return s.serve(c)
		},
	}
	s.register(c.Flags())
	return c
}

// linkCommand is how whoever administers this server makes a link to sign in, as pages
// say that anybody may open: where the data is, is not for them.
func (s settings) linkCommand() string {
	if s.data == defaultData {
		return "lethe sign-in EMAIL"
	}
	return "lethe sign-in EMAIL --data DIRECTORY"
}

// serve runs until the first Ctrl-C or SIGTERM. The second ends the program at
// once, as is safe at any moment.
func (s settings) serve(c *cobra.Command) error {
	ctx, stop := stoppable(c)
	defer stop()
	// Whatever this process makes is for its owner's eyes only.
	syscall.Umask(0o077)
	log, done, err := s.logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer done()
	if err := s.look(); err != nil {
		return err
	}
	p, err := local.Open(local.Config{Data: s.data, LedgerCopy: s.ledgerCopy, Clock: time.Now, Log: log})
	if err != nil {
		return opening(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			log.Error("close the data directory", "error", err)
		}
	}()
	l, err := listen(s.listen)
	if err != nil {
		return err
	}
	p.ServeAt(s.base(s.address(l)))
	err = s.run(ctx, c, p, l, log)
	if err != nil && ctx.Err() != nil {
		return nil // stopped before it was ready
	}
	return err
}

// run wires the parts, gets the demo ready, announces and serves.
func (s settings) run(ctx context.Context, c *cobra.Command, p *local.Platform, l net.Listener, log *slog.Logger) error {
	defer l.Close()
	if err := s.mail(p); err != nil {
		return err
	}
	lethe, err := wire(p, log, dsr.Settings{CancelWindow: s.period(), BackupLife: time.Duration(s.backupDays) * 24 * time.Hour})
	if err != nil {
		return failing(err)
	}
	accounts, store, service := lethe.accounts, lethe.store, lethe.service
	if err := refuseUnrestored(ctx, s.data, p, service); err != nil {
		return err
	}
	if err := service.CopyLedger(ctx); err != nil {
		return failing(err)
	}
	d, err := s.project(ctx, lethe)
	if err != nil {
		return err
	}
	// Work goes on while requests that are under way are let finish.
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	worked := make(chan error, 1)
	go func() { worked <- p.Run(work) }()
	signInURL := func(link string) string { return dsr.LinkURL(s.base(s.address(l)), link) }
	pages := console.New(console.Parts{
		Accounts: accounts, Service: service, Mails: s.delivers(), LinkCommand: s.linkCommand(), PublicURL: s.base(s.address(l)), OIDC: s.oidc.provider(),
		Keys: p.SessionKeys, Clock: p.Clock, Log: log,
	})
	h := api.New(api.Parts{
		Accounts: accounts, Service: service, Ingestion: api.NewIngestion(accounts, store, service, p.Clock, log), Console: pages,
		Clock: p.Clock, Log: log, Hosts: s.hosts(l), TrustedProxies: s.trusted, SignInURL: signInURL,
	})
	serving, cut := context.WithCancel(ctx)
	administered := administer(serving, s.data, p, lethe.administration(signInURL), log)
	defer func() {
		cut()
		<-administered
	}()
	served := make(chan error, 1)
	go func() { served <- serve(serving, s.gate(l), s.certificate, files(p.Bucket, h), log) }()
	if err = announce(c.OutOrStdout(), s.address(l), s, d); err != nil {
		cut()
	}
	select {
	case failed := <-worked:
		cut()
		err = errors.Join(err, failed, <-served)
	case failed := <-served:
		end()
		err = errors.Join(err, failed, <-worked)
	}
	if err != nil {
		return failing(err)
	}
	log.Info("stopped")
	return nil
}

// period is --cancel-window as dsr takes it, where zero is the default.
func (s settings) period() time.Duration {
	if s.window == 0 {
		return -1
	}
	return s.window
}

// files serves links to files beside everything else.
func files(bucket http.Handler, rest http.Handler) http.Handler {
	bucket = downloads(bucket)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, local.FilesPath) {
			bucket.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// project makes what --demo or --owner ask for, where it is not there yet.
func (s settings) project(ctx context.Context, lethe parts) (first, error) {
	if s.demo {
		d, err := makeDemo(ctx, s.data, lethe.accounts, lethe.store)
		if err != nil {
			return first{}, failing(err)
		}
		if s.json {
			return first{demo: &d}, nil // what programs are told is the same at every start
		}
		link, err := lethe.accounts.MakeLink(ctx, localBy, demoOwner)
		if err != nil {
			return first{}, failing(err)
		}
		return first{demo: &d, owner: demoOwner, link: link}, nil
	}
	projects, err := lethe.accounts.Projects(ctx)
	if err != nil {
		return first{}, failing(err)
	}
	if len(projects) > 0 {
		return first{}, nil
	}
	if s.owner == "" {
		return first{}, empty()
	}
	p, err := lethe.accounts.FoundFor(ctx, s.owner)
	if err != nil {
		return first{}, failing(err)
	}
	link, err := lethe.accounts.MakeLink(ctx, localBy, s.owner)
	if err != nil {
		return first{}, failing(err)
	}
	return first{project: &p, owner: s.owner, link: link}, nil
}

// first is what a start has to tell besides where the server is.
type first struct {
	demo    *demoFile
	project *account.Project // that was just made
	owner   string           // who can sign in by the link
	link    string
}

// localBy is this machine in the audit trail.
var localBy = dsr.By{Actor: account.Local.Name}

// empty refuses a directory that holds nothing to serve.
func empty() error {
	return failure{statusRefused, "The data directory holds no project yet: name its first owner with --owner and a mail address, start with --demo to try Lethe with made-up data, or name another directory with --data."}
}

// look refuses what can be seen to be wrong before anything is made.
func (s settings) look() error {
	if s.demo || s.owner != "" || local.Holds(s.data) {
		return nil
	}
	return empty()
}

// failing turns an error into a failure that says why, if it does.
func failing(err error) error {
	var f failure
	if errors.As(err, &f) {
		return f
	}
	return opening(err)
}
