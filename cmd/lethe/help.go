package main

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// command is lethe with all of its commands, in the groups that its help shows.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "lethe",
		Short: "Answer data-subject requests: export and erase end users' data",
		Long: `Lethe answers data-subject requests: it exports and erases what is stored of end
users. This program is the server, and the client of one.

Each flag of a command has a variable that counts where it is not given, as LETHE_URL
is of --url, but --yes and --force have none.

Exit statuses: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 not finished.`,
		Example: `  lethe serve --demo
  lethe login
  lethe export ada -o ada.zip
  lethe delete --csv people.csv`,
		Version:       built(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          help,
	}
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"requests", "Requests of people:", []*cobra.Command{exportCommand(), fetchCommand(), deleteCommand(), statusCommand(), listCommand(), cancelCommand(),
			confirmCommand(), rerunCommand(), certificateCommand(), openCommand(), optOutCommand(), importCommand()}},
		{"server", "The server:", []*cobra.Command{serveCommand(), backupCommand(), restoreCommand(), executionsCommand(), executionCommand()}},
		{"accounts", "Accounts:", []*cobra.Command{signInCommand(), memberCommand(), tokenCommand(), projectCommand(), serviceAccountCommand(), auditCommand()}},
		{"program", "This program:", []*cobra.Command{loginCommand(), doctorCommand(), manCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
		}
		root.AddCommand(g.commands...)
	}
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommandGroupID("program")
	root.SetCompletionCommandGroupID("program")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	each(root, func(c *cobra.Command) {
		c.SuggestionsMinimumDistance = 2
		c.Args = wordsOf(c, c.Args)
		complete(c)
		if example, is := examples[c.CommandPath()]; is {
			c.Example = example
		}
	})
	return root
}

// examples are those of the commands that the library makes.
var examples = map[string]string{
	"lethe help":                  "  lethe help export\n  lethe help member set",
	"lethe completion":            "  source <(lethe completion bash)\n  lethe completion zsh > \"${fpath[1]}/_lethe\"",
	"lethe completion bash":       "  source <(lethe completion bash)\n  lethe completion bash > /etc/bash_completion.d/lethe",
	"lethe completion zsh":        "  lethe completion zsh > \"${fpath[1]}/_lethe\"",
	"lethe completion fish":       "  lethe completion fish > ~/.config/fish/completions/lethe.fish",
	"lethe completion powershell": "  lethe completion powershell | Out-String | Invoke-Expression",
}

// each calls f with a command and all below it.
func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, below := range c.Commands() {
		each(below, f)
	}
}

// built is the version of this program.
func built() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// choices are what flags take that take nothing else.
var choices = map[string][]string{
	"type":       {"export", "deletion"},
	"only":       {"open", "overdue", "broken"},
	"status":     {"pending", "staging", "started", "success", "failure", "revoked"},
	"compliance": {"gdpr", "ccpa"},
	"disclosure": {"data", "categories", "sources"},
}

// chosen refuses a value that is none of a flag's choices, in whatever case.
func chosen(flag, value string) error {
	if slices.ContainsFunc(choices[flag], func(c string) bool { return strings.EqualFold(c, value) }) {
		return nil
	}
	return failure{statusUsage, "--" + flag + " takes " + orOf(choices[flag]) + "."}
}

// orOf joins words for one to choose from.
func orOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// complete has the shell offer what a command takes: files only where it takes one.
func complete(c *cobra.Command) {
	if c.ValidArgsFunction == nil && !strings.Contains(c.Use, "FILE") && !strings.Contains(c.Use, "DIRECTORY") && !strings.Contains(c.Use, "ARCHIVE") {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		offer := cobra.NoFileCompletions
		switch takes, _ := pflag.UnquoteUsage(f); {
		case choices[f.Name] != nil:
			offer = cobra.FixedCompletions(choices[f.Name], cobra.ShellCompDirectiveNoFileComp)
		case f.Name == "profile":
			offer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				kept, _ := readProfiles() // nothing is offered of what cannot be read
				return slices.Collect(maps.Keys(kept.Profiles)), cobra.ShellCompDirectiveNoFileComp
			}
		case takes == "file" || takes == "directory":
			return
		}
		_ = c.RegisterFlagCompletionFunc(f.Name, offer) // fails where it is done already
	})
}

// help is what a command does that only groups others.
func help(c *cobra.Command, _ []string) error { return c.Help() }

// wordsOf checks the words behind a command as check does, and says what there has to be.
// What was typed is not said again: it may be an identifier.
func wordsOf(c *cobra.Command, check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(_ *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		see := "; see " + c.CommandPath() + " --help."
		takes := strings.Join(slices.DeleteFunc(strings.Fields(c.Use)[1:], func(word string) bool { return word == "[flags]" }), " ")
		switch {
		case c.HasSubCommands():
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				return failure{statusUsage, c.CommandPath() + " has no command of that name. Did you mean " + strings.Join(near, " or ") + "?"}
			}
			return failure{statusUsage, c.CommandPath() + " has no command of that name" + see}
		case takes == "":
			return failure{statusUsage, c.CommandPath() + " takes flags only, and nothing that stands alone" + see}
		case len(args) == 0:
			return failure{statusUsage, c.CommandPath() + " takes " + takes + ", and nothing was given" + see}
		}
		return failure{statusUsage, fmt.Sprintf("%s takes %s, and what was given is %s%s", c.CommandPath(), takes, count(len(args), "word"), see)}
	}
}

// wrongFlag says what is wrong with a flag.
func wrongFlag(c *cobra.Command, err error) error {
	see := "; see " + c.CommandPath() + " --help."
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		return failure{statusUsage, "--" + missing.GetFlag().Name + " is the last word, and needs something behind it" + see}
	case errors.As(err, &unknown) && c.HasParent() && c.HasSubCommands():
		var names []string
		for _, below := range c.Commands() {
			names = append(names, below.Name())
		}
		return failure{statusUsage, "Flags go behind the command that they are for, which " + c.CommandPath() + " alone is not: it has " + orOf(names) + see}
	case errors.As(err, &unknown):
		sentence := c.CommandPath() + " has no such flag" + see
		if strings.Contains(c.Use, " ID…") {
			sentence += " An identifier that begins with - goes behind a word of its own, --."
		}
		return failure{statusUsage, sentence}
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		takes := map[string]string{"duration": "a time such as 24h or 90m", "int": "a whole number", "bool": "true or false"}[f.Value.Type()]
		if takes == "" {
			takes = "something else"
		}
		return failure{statusUsage, "--" + f.Name + " takes " + takes + see}
	}
	return failure{statusUsage, "The flags cannot be read" + see}
}
