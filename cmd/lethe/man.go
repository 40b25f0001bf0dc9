package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write a manual page for each command",
		Long:  `Man writes a page of the manual for each command into a directory, for man to read.`,
		Example: `  lethe man /usr/local/share/man/man1
  lethe man . && man ./lethe-export.1`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return failure{statusUsage, "The directory cannot be made."}
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			head := &doc.GenManHeader{Section: "1", Source: "Lethe", Manual: "Lethe", Date: &time.Time{}}
			if err := doc.GenManTree(root, head, args[0]); err != nil {
				return failure{statusFailed, "The pages cannot be written into that directory."}
			}
			if asJSON {
				return printLine(c.OutOrStdout(), map[string]string{"directory": args[0]})
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "Written into %s: man %s/lethe.1\n", args[0], strings.TrimSuffix(args[0], "/"))
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "tell of it in one line of JSON")
	return c
}
