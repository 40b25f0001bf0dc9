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
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lethe/client"
	"lethe/shared/kind"
)

// A connection is how a command reaches a server: by flags or their variables, or by a
// profile that lethe login made. A token is never an argument, which everybody on the
// machine could read.
type connection struct {
	url, project, tokenFile string
	profile                 string
	patience                time.Duration
	json                    bool
	ingests                 bool   // it sends events in, for which no GDPR token is needed
	secretFile              string // with the API secret, of what ingests
}

// tokenVariable holds a GDPR token, and apiSecretVariable the API secret of a project.
const (
	tokenVariable     = "LETHE_TOKEN"
	apiSecretVariable = "LETHE_API_SECRET"
)

func (n *connection) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&n.url, "url", "", "`address` of the server, such as https://lethe.example.com")
	f.StringVar(&n.project, "project-token", "", "`token` of the project, which is no secret")
	f.StringVar(&n.tokenFile, "token-file", "", "`file` with the GDPR token, - for standard input; or the token in the variable "+tokenVariable)
	f.StringVar(&n.profile, "profile", "", "`name` of the profile to use, of those that lethe login made; without it the last one")
	f.DurationVar(&n.patience, "patience", 2*time.Minute, "for what `time` a call is made again that the server turned away or did not answer")
	f.BoolVar(&n.json, "json", false, "tell of it in lines of JSON")
}

// connected is what a command does with a server. Ctrl-C and SIGTERM end ctx.
type connected func(ctx context.Context, c *cobra.Command, to *client.Client, args []string) error

// run is a cobra.Command's RunE that reads the flags, connects and does do.
func (n *connection) run(do connected) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := fromEnvironment(c); err != nil {
			return err
		}
		to, err := n.open(c.InOrStdin())
		if err != nil {
			return err
		}
		ctx, stop := stoppable(c)
		defer stop()
		return told(do(ctx, c, to, args))
	}
}

// stoppable is a context that Ctrl-C and SIGTERM end; the second one ends the program.
func stoppable(c *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// cutShort turns an error of what a command did on this machine into a failure. Where
// Ctrl-C is why, it is not finished, and sentence says so unless the error does.
func cutShort(ctx context.Context, err error, sentence string) error {
	var f failure
	stopped := kind.Of(err) == kind.Unavailable || kind.Sentence(err) == ""
	if ctx.Err() == nil || errors.As(err, &f) || !stopped {
		return failing(err)
	}
	return failure{statusUnfinished, cmp.Or(kind.Sentence(err), sentence)}
}

// told turns an error of a call into a failure.
func told(err error) error {
	var f failure
	var answered *client.Error
	switch {
	case err == nil, errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled):
		return failure{statusUnfinished, "Stopped. What the server has taken in goes on: lethe list shows it."}
	case !errors.As(err, &answered):
		return failure{statusFailed, sentence(err.Error())}
	case answered.Status == http.StatusTooManyRequests:
		return failure{statusUnfinished, answered.Sentence + " Run the command again later."}
	case answered.Status >= http.StatusInternalServerError:
		return failure{statusFailed, answered.Sentence}
	}
	return failure{statusRefused, answered.Sentence}
}

// sentence makes one of the text of an error.
func sentence(s string) string {
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

// open connects by what the flags say, and for what they do not by the profile.
func (n *connection) open(stdin io.Reader) (*client.Client, error) {
	if n.patience <= 0 {
		return nil, failure{statusUsage, "--patience takes a time such as 30s."}
	}
	c := client.Config{URL: n.url, Project: n.project, Patience: n.patience}
	var err error
	if c.Token, err = secretOf("--token-file", n.tokenFile, tokenVariable, stdin); err != nil {
		return nil, err
	}
	if n.ingests {
		if c.Secret, err = secretOf("--api-secret-file", n.secretFile, apiSecretVariable, stdin); err != nil {
			return nil, err
		}
	}
	kept, err := readProfiles()
	if err != nil {
		return nil, err
	}
	if c.Token+c.Secret != "" && c.URL == "" && n.profile == "" {
		return nil, failure{statusUsage, "A token or secret was given without the server that it is for: name that with --url, or its profile with --profile."}
	}
	name := n.profile
	if name == "" {
		name = kept.Last
	}
	p, known := kept.Profiles[name]
	if n.profile != "" && !known {
		return nil, failure{statusUsage, "There is no profile of that name: make it with lethe login --profile NAME."}
	}
	// What belongs to one server is not shown to another.
	if known && (c.URL == "" || strings.TrimSuffix(c.URL, "/") == p.URL) {
		c.URL = p.URL
		if c.Project == "" {
			c.Project = p.Project
		}
		if c.Token == "" {
			c.Token = p.Token
		}
	}
	for _, missing := range []struct {
		is   bool
		what string
	}{
		{c.URL == "", "the address of the server (--url)"}, {c.Project == "", "the token of the project (--project-token)"},
		{c.Token == "" && !n.ingests, "the GDPR token (--token-file, or the variable " + tokenVariable + ")"},
	} {
		if missing.is {
			return nil, failure{statusUsage, "Name " + missing.what + ", or keep all of it once with lethe login."}
		}
	}
	n.url, n.project = c.URL, c.Project
	to, err := client.New(c)
	if err != nil {
		return nil, failure{statusUsage, sentence(err.Error())}
	}
	if n.ingests && to.Mixpanel() && c.Secret == "" {
		return nil, failure{statusUsage, "Mixpanel takes events in by the API secret of the project: name a file with it by --api-secret-file, or put it into the variable " + apiSecretVariable + "."}
	}
	return to, nil
}

// secretOf is the secret that the file of a flag or a variable holds, or "".
func secretOf(flag, file, variable string, stdin io.Reader) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(variable)), nil
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", failure{statusUsage, "The file that " + flag + " names cannot be read."}
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil || len(strings.Fields(string(b))) != 1 {
		return "", failure{statusUsage, flag + " names a file that does not hold one secret and nothing else."}
	}
	return strings.TrimSpace(string(b)), nil
}

// A profile is how to reach one project.
type profile struct {
	URL     string `json:"url"`
	Project string `json:"project_token"`
	Token   string `json:"token"`
}

// profiles are those that lethe login made, in a file that only their owner reads.
type profiles struct {
	Last     string             `json:"last"`
	Profiles map[string]profile `json:"profiles"`
}

func profilesFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", failure{statusUsage, "There is no directory for settings: set HOME."}
	}
	return filepath.Join(dir, "lethe", "profiles.json"), nil
}

func readProfiles() (profiles, error) {
	var p profiles
	name, err := profilesFile()
	if err != nil {
		return p, nil // nothing can be kept there, and the flags may do
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return p, failure{statusRefused, "Others on this machine can read the file with your tokens: chmod 600 " + name + ", and replace the tokens if they may have."}
	}
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, failure{statusFailed, "The file " + name + " cannot be read: remove it, and run lethe login again."}
	}
	return p, nil
}

func (p profiles) write() error {
	name, err := profilesFile()
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o700)
	}
	if err == nil {
		err = writeWhole(name, append(b, '\n'), true)
	}
	if err != nil {
		return failure{statusFailed, "The file " + name + " cannot be written."}
	}
	return nil
}

// writeWhole writes a file for its owner alone, so that it is there whole or as it was.
// Unless it may write over one that is there, that is fs.ErrExist.
func writeWhole(name string, content []byte, over bool) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone, once it has its name
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	put := os.Link
	if over {
		put = os.Rename
	}
	if err := put(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func loginCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use:   "login",
		Short: "Keep the address and the tokens of a project for the other commands",
		Long: `Login asks for the address of a server, the token of a project and a GDPR
token, tries them, and keeps them as a profile in a file that only you can read.
The other commands use the last profile, or the one that --profile names.`,
		Example: `  lethe login
  lethe login --url https://lethe.example.com --project-token 0123456789abcdef0123456789abcdef --token-file token.txt
  lethe login --profile staging`,
		Args: cobra.NoArgs,
	}
	n.register(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := fromEnvironment(c); err != nil {
			return err
		}
		ctx, stop := stoppable(c)
		defer stop()
		return told(n.login(ctx, c))
	}
	return c
}

func (n *connection) login(ctx context.Context, c *cobra.Command) error {
	token, err := secretOf("--token-file", n.tokenFile, tokenVariable, c.InOrStdin())
	if err != nil {
		return err
	}
	ask := prompt{c}
	for _, q := range []struct {
		value  *string
		what   string
		secret bool
	}{{&n.url, "Address of the server", false}, {&n.project, "Token of the project", false}, {&token, "GDPR token (it is not shown)", true}} {
		if *q.value == "" {
			if *q.value, err = ask.line(ctx, q.what+": ", q.secret); err != nil {
				return err
			}
		}
		if _, err := client.New(client.Config{URL: n.url}); err != nil { // before a secret is asked for
			return failure{statusUsage, sentence(err.Error())}
		}
	}
	p := profile{URL: strings.TrimSuffix(n.url, "/"), Project: n.project, Token: token}
	to, err := client.New(client.Config{URL: p.URL, Project: p.Project, Token: p.Token, Patience: -1})
	if err != nil {
		return err
	}
	if err := to.Try(ctx); err != nil {
		return err
	}
	kept, err := readProfiles()
	if err != nil {
		return err
	}
	if kept.Profiles == nil {
		kept.Profiles = map[string]profile{}
	}
	kept.Last = n.profile
	if kept.Last == "" {
		kept.Last = "default"
	}
	kept.Profiles[kept.Last] = p
	if err := kept.write(); err != nil {
		return err
	}
	if n.json {
		return printLine(c.OutOrStdout(), map[string]string{"profile": kept.Last, "url": p.URL})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "Kept as profile %s, which commands use from now on.\n", kept.Last)
	return err
}

// A prompt asks whoever sits at the terminal.
type prompt struct{ c *cobra.Command }

// there reports whether somebody sits there.
func (p prompt) there() bool {
	in, ok := p.c.InOrStdin().(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// line asks for one line, which is not shown if it is secret. Where ctx ends first the
// terminal is left as it was.
func (p prompt) line(ctx context.Context, question string, secret bool) (string, error) {
	if !p.there() {
		return "", failure{statusUsage, "There is no terminal to ask at: give what is missing by flags; see " + p.c.CommandPath() + " --help."}
	}
	terminal := int(p.c.InOrStdin().(*os.File).Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	fmt.Fprint(p.c.ErrOrStderr(), question)
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		if !secret {
			line, err := readLine(p.c.InOrStdin())
			answered <- answer{line, err}
			return
		}
		b, err := term.ReadPassword(terminal)
		fmt.Fprintln(p.c.ErrOrStderr())
		answered <- answer{strings.TrimSpace(string(b)), err}
	}()
	select {
	case a := <-answered:
		return a.line, a.err
	case <-ctx.Done(): // the read goes on until the program ends
		fmt.Fprintln(p.c.ErrOrStderr())
		return "", errors.Join(failure{statusUnfinished, "Stopped at the question: nothing was done."}, term.Restore(terminal, before))
	}
}

// readLine reads one line and nothing after it.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := in.Read(b)
		if n == 1 && b[0] != '\n' {
			line = append(line, b[0])
			continue
		}
		if n == 1 || err == io.EOF {
			return strings.TrimSpace(string(line)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
