package main

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lethe/shared/account"
	"lethe/shared/local"
	"lethe/shared/mail"
)

// settings are the flags of serve.
type settings struct {
	data       string
	demo       bool
	owner      string
	mailFrom   string
	outbox     string
	smtp       string
	smtpSecret string // a file
	smtpRoots  string // a file
	json       bool
	window     time.Duration
	log        string
	ledgerCopy string
	backupDays int
	oidc       oidcSettings
	networkSettings
}

const (
	defaultData = "./lethe-data"

	window     = 24 * time.Hour
	demoWindow = 10 * time.Second
)

func (s *settings) register(f *pflag.FlagSet) {
	f.StringVar(&s.data, "data", defaultData, "`directory` that holds everything; made if it is absent")
	s.networkSettings.register(f)
	f.BoolVar(&s.demo, "demo", false, "make a project, an owner and some months of made-up events, once")
	f.StringVar(&s.owner, "owner", "", "mail `address` of the first owner, in an empty directory; needed there, and else of no effect")
	f.StringVar(&s.mailFrom, "mail-from", "Lethe <lethe@localhost>", "whom mail is from, an `address`")
	f.StringVar(&s.outbox, "outbox", "", "`directory` that mail is put into, as .eml files, where there is no --smtp; without it outbox in --data")
	f.StringVar(&s.smtp, "smtp", "", "mail `server`, as smtp://user@mail.example.com:587 or smtps://user@mail.example.com:465; its password is in LETHE_SMTP_PASSWORD or --smtp-password-file")
	f.StringVar(&s.smtpSecret, "smtp-password-file", "", "`file` with the password for the mail server")
	f.StringVar(&s.smtpRoots, "smtp-ca", "", "`file` with certificates in PEM of the authorities that the mail server's may be of; without it those of the system")
	f.BoolVar(&s.json, "json", false, "when ready, print one line of JSON for programs")
	f.DurationVar(&s.window, "cancel-window", window, "`time` that a deletion waits before it begins, and can be cancelled; 10s with --demo")
	f.IntVar(&s.backupDays, "backup-days", 0, "how many `days` backups are kept, for certificates to tell; 0 tells nothing")
	f.StringVar(&s.log, "log", "info", "debug, info, warn or error; or a `file`; or both with a comma between")
	s.oidc.register(f)
	f.StringVar(&s.ledgerCopy, "ledger-copy", "", "second `directory` for the ledger of erasures, best on another disk")
}

// bold flags take away a question or a protection. They hold for the command that they
// stand on alone: a variable would take it from every command of a shell.
var bold = []string{"yes", "force"}

// fromEnvironment gives every flag that does not stand on the command line the
// value of its LETHE_… variable, if that is set and not empty. Those that are bold have
// none.
func fromEnvironment(c *cobra.Command) error {
	var failed error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value := os.Getenv(name)
		if f.Changed || value == "" || f.Name == "help" || slices.Contains(bold, f.Name) || failed != nil {
			return
		}
		if err := c.Flags().Set(f.Name, value); err != nil {
			failed = failure{statusUsage, "The variable " + name + " does not hold what --" + f.Name + " takes; see lethe " + c.Name() + " --help."}
		}
	})
	return failed
}

func variable(flag string) string {
	return "LETHE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// check says what is wrong with the settings before anything is touched.
func (s *settings) check() error {
	if s.data == "" {
		return failure{statusUsage, "--data names no directory."}
	}
	if s.demo && s.owner != "" {
		return failure{statusUsage, "--owner and --demo do not go together: a demo has an owner of its own."}
	}
	if _, err := mail.Sender(s.mailFrom); err != nil {
		return failure{statusUsage, "--mail-from takes an address of ASCII characters, such as lethe@example.com or \"Lethe <lethe@example.com>\"."}
	}
	if s.owner != "" && account.CheckMail(s.owner) != nil {
		return failure{statusUsage, "--owner takes a plain mail address, such as pat@example.com."}
	}
	if s.window < 0 {
		return failure{statusUsage, "--cancel-window cannot be negative; with 0 a deletion begins at once."}
	}
	if s.backupDays < 0 || s.backupDays > 36500 {
		return failure{statusUsage, "--backup-days takes a number of days from 0 to 36500."}
	}
	if s.ledgerCopy != "" && within(s.data, s.ledgerCopy) {
		return failure{statusUsage, "--ledger-copy names a directory inside --data, which would be lost with it: choose another, best on another disk."}
	}
	if err := s.oidc.check(); err != nil {
		return err
	}
	return s.networkSettings.check(s.demo)
}

// within reports whether path leads to dir or into it.
func within(dir, path string) bool {
	dir, err := local.Resolve(dir)
	if err != nil {
		return false
	}
	path, err = local.Resolve(path)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// origin reports whether s is an address without a path, of https or of this machine.
func origin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && encrypted(u) && strings.TrimSuffix(s, "/") == u.Scheme+"://"+u.Host
}

// encrypted reports whether nobody on the way to u sees what goes there.
func encrypted(u *url.URL) bool {
	return u.Hostname() != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()))
}

// loopback reports whether host can only be reached from this machine. Another
// name than localhost is not looked up: what it means can change.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// logger returns the log that --log describes, and what closes it.
func (s *settings) logger(diag io.Writer) (*slog.Logger, func(), error) {
	wrong := failure{statusUsage, "--log takes debug, info, warn or error, or a file such as ./lethe.log, or both with a comma between."}
	level, file, levels := slog.LevelInfo, "", 0
	for _, part := range strings.Split(s.log, ",") {
		switch strings.ToLower(part) {
		case "debug", "info", "warn", "error":
			if levels++; levels > 1 {
				return nil, nil, wrong
			}
			_ = level.UnmarshalText([]byte(part)) // knows these words
		default:
			// A bare word is a level mistyped rather than a file.
			if file != "" || !strings.ContainsAny(part, "./") {
				return nil, nil, wrong
			}
			file = part
		}
	}
	done := func() {}
	if file != "" {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, failure{statusUsage, "The file that --log names cannot be opened for writing."}
		}
		diag, done = f, func() { f.Close() }
	}
	return slog.New(slog.NewTextHandler(diag, &slog.HandlerOptions{Level: level})), done, nil
}
