package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lethe/shared/archive"
)

func openCommand() *cobra.Command {
	var verify, asJSON bool
	c := &cobra.Command{
		Use:   "open ARCHIVE",
		Short: "Tell what is in an archive of an export, and whether it is whole",
		Long: `Open reads an archive of an export: what was asked for, and what of whom is in it.
With --verify it reads every file in it and compares it with the manifest. It needs
no server.`,
		Example: `  lethe open ada.zip
  lethe open --verify ada.zip`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := fromEnvironment(c); err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return failure{statusUsage, "The archive cannot be read."}
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return failure{statusUsage, "The archive cannot be read."}
			}
			ctx, stop := stoppable(c)
			defer stop()
			a, err := archive.Open(f, info.Size())
			if err == nil && verify {
				err = a.Verify(ctx)
			}
			if ctx.Err() != nil {
				return failure{statusUnfinished, "Stopped, before every file was compared."}
			}
			if err != nil {
				return failure{statusFailed, sentenceOf(err)}
			}
			return tellArchive(c.OutOrStdout(), a, verify, asJSON)
		},
	}
	c.Flags().BoolVar(&verify, "verify", false, "compare every file with the manifest")
	c.Flags().BoolVar(&asJSON, "json", false, "tell of it in one line of JSON")
	return c
}

func tellArchive(out io.Writer, a *archive.Archive, verified, asJSON bool) error {
	m := a.Manifest()
	var bytes int64
	for _, f := range m.Files {
		bytes += f.Bytes
	}
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]any{
			"task_id": m.Head.Task, "project_id": m.Head.Project, "compliance_type": m.Head.Compliance, "disclosure_type": m.Head.Disclosure,
			"date_requested": m.Head.Requested, "snapshot": m.Head.Snapshot, "totals": m.Totals, "files": len(m.Files), "bytes": bytes,
			"manifest_sha256": a.Sum(), "verified": verified,
		})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "request\t%s of project %s (%s)\n", m.Head.Task, m.Head.Project, m.Head.ProjectName)
	fmt.Fprintf(w, "asked for\t%s under %s on %s\n", m.Head.Disclosure, m.Head.Compliance, m.Head.Requested.UTC().Format(time.RFC3339))
	fmt.Fprintf(w, "as of\t%s\n", m.Head.Snapshot.UTC().Format(time.RFC3339))
	fmt.Fprintf(w, "people\t%d, of %d of them anything was found\n", m.Totals.Subjects, m.Totals.Found)
	fmt.Fprintf(w, "records\t%s, %s\n", count(int(m.Totals.Events), "event"), count(int(m.Totals.Profiles), "profile"))
	fmt.Fprintf(w, "files\t%d, of %.1f MB\n", len(m.Files), float64(bytes)/1e6)
	fmt.Fprintf(w, "manifest\tsha256 %s\n", a.Sum())
	if verified {
		fmt.Fprintln(w, "verified\tevery file is as the manifest says")
	}
	return w.Flush()
}

// writeNew writes a file that is not there yet, or with force over one that is. It is
// there whole or not at all.
func writeNew(name string, content []byte, force bool) error {
	err := writeWhole(name, content, force)
	if errors.Is(err, fs.ErrExist) {
		return failure{statusRefused, "The file that -o names is there already: name another, or add --force to write over it."}
	}
	if err != nil {
		return failure{statusFailed, "The file that -o names cannot be written."}
	}
	return nil
}
