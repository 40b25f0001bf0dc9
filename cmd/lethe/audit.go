package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lethe/shared/account"
)

func auditCommand() *cobra.Command {
	root := &cobra.Command{Use: "audit", Short: "Export the audit trail, and check that nobody changed it", Example: "  lethe audit export > trail.jsonl\n  lethe audit verify", Args: cobra.NoArgs, RunE: help}
	root.AddCommand(auditExportCommand(), auditVerifyCommand())
	return root
}

// trailPath is the route of a project's trail, or of the organisation's.
func (a *administering) trailPath(ctx context.Context, organisation bool, rest string) (string, error) {
	if organisation {
		return "/api/app/organisation/audit" + rest + "?", nil
	}
	path, err := a.inProject(ctx, "/api/app/audit"+rest)
	return path + "&", err
}

func auditExportCommand() *cobra.Command {
	var a administering
	var organisation bool
	c := &cobra.Command{
		Use:   "export",
		Short: "Print the audit trail, a JSON object in each line",
		Long: `Export prints the audit trail of a project, or of the organisation, as JSON Lines:
each line is an entry as it is stored, and holds the SHA-256 of the line before it.`,
		Example: `  lethe audit export > trail.jsonl
  lethe audit export --organisation > organisation.jsonl`,
		Args: cobra.NoArgs,
	}
	a.registerProject(c, "`id` of the project; not needed where there is one")
	c.Flags().BoolVar(&organisation, "organisation", false, "the trail of the organisation: members, tokens, sign-ins, settings for all projects")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.run(c, func(ctx context.Context) error {
			path, err := a.trailPath(ctx, organisation, "")
			if err != nil {
				return err
			}
			for from := "1"; from != ""; {
				out, err := a.send(ctx, http.MethodGet, path+"from="+from, nil)
				if err != nil {
					return err
				}
				_, err = io.Copy(c.OutOrStdout(), out.Body)
				out.Body.Close()
				if ctx.Err() != nil {
					return failure{statusUnfinished, "Stopped: the trail was not written to its end."}
				}
				if err != nil {
					return failure{statusFailed, "The trail was not written to its end."}
				}
				from = out.Header.Get("Lethe-Next")
			}
			return nil
		})
	}
	return c
}

func auditVerifyCommand() *cobra.Command {
	var a administering
	var organisation bool
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check that nothing in the audit trail was changed, put in or taken away",
		Long: `Verify follows the audit trail from entry to entry, and compares it with its head
and with the heads that are put into the bucket once a day. With a file, an export of
a trail, or - for standard input, it follows that. Its exit status is 1 where
something is wrong.`,
		Example: `  lethe audit verify
  lethe audit verify --organisation
  lethe audit verify trail.jsonl`,
		Args: cobra.MaximumNArgs(1),
	}
	a.registerProject(c, "`id` of the project; not needed where there is one")
	c.Flags().BoolVar(&organisation, "organisation", false, "the trail of the organisation")
	tell := func(c *cobra.Command, v account.Verified) error {
		if err := a.show(c.OutOrStdout(), v, func(w io.Writer) { tellVerified(w, v) }); err != nil {
			return err
		}
		if len(v.Faults) > 0 {
			return failure{statusFailed, "The audit trail is not as it was written."}
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			file := io.NopCloser(c.InOrStdin())
			if args[0] != "-" {
				var err error
				if file, err = os.Open(args[0]); err != nil {
					return failure{statusUsage, "The file with the export cannot be read."}
				}
			}
			defer file.Close()
			v, err := account.VerifyExport(file, time.Now())
			if err != nil {
				return failing(err)
			}
			if err := tell(c, v); err != nil || a.json {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "\nA file does not tell whether entries after its last one were cut off, or that one was\nchanged. Compare its number, %d, and its hash with what \"lethe audit verify\" says of the\ntrail, or with a note of another day.\n", v.Last)
			return err
		}
		return a.run(c, func(ctx context.Context) error {
			path, err := a.trailPath(ctx, organisation, "/verify")
			if err != nil {
				return err
			}
			var v account.Verified
			if err := a.ask(ctx, http.MethodGet, strings.TrimRight(path, "?&"), nil, &v); err != nil {
				return err
			}
			return tell(c, v)
		})
	}
	return c
}

func tellVerified(w io.Writer, v account.Verified) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "entries\t%d", v.Entries)
	if v.Entries > 0 {
		fmt.Fprintf(&b, ", from %d to %d", v.First, v.Last)
	}
	fmt.Fprintf(&b, "\nhash of the last\t%s\nheads compared\t%d\n", v.Hash, v.Heads)
	for _, f := range v.Faults {
		fmt.Fprintf(&b, "fault\t%s\n", f)
	}
	if len(v.Faults) == 0 {
		b.WriteString("faults\tnone\n")
	}
	_, _ = b.WriteTo(w) // show tells of what fails
}
