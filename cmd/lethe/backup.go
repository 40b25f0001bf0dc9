package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lethe/shared/local"
)

// backupOrder is what the command asks of a server.
type backupOrder struct {
	To string `json:"to"` // absolute path
}

// backupReport tells of a backup that was made.
type backupReport struct {
	To    string    `json:"to"`
	Made  time.Time `json:"made"`
	Files int       `json:"files"`
	Bytes int64     `json:"bytes"`
}

func reportOf(b local.Backup, to string) backupReport {
	return backupReport{To: to, Made: b.Made, Files: len(b.Files), Bytes: b.Size()}
}

func backupCommand() *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "backup DIRECTORY",
		Short: "Write a backup of the data directory, keys included, while the server runs",
		Long: `Backup writes everything that a data directory holds into a new directory: the
records, the files, and the keys. The server may run and goes on to answer. The
backup appears whole or not at all.

A backup holds the data of everyone, also of people who are erased after it was
made, until it is removed: keep it as safe as the data directory, and tell the
server with --backup-days how long backups are kept, so that certificates can.`,
		Example: `  lethe backup /mnt/backup/lethe-2026-11-25
  lethe backup --data /var/lib/lethe --json /mnt/backup/lethe-today`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := fromEnvironment(c); err != nil {
				return err
			}
			ctx, stop := stoppable(c)
			defer stop()
			made, err := backup(ctx, data, args[0], c.ErrOrStderr())
			if err != nil {
				return cutShort(ctx, err, "The backup was stopped.")
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(made)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Backed up %s to %s: %d files, %d bytes, as of %s.\n",
				data, args[0], made.Files, made.Bytes, made.Made.Format(time.RFC3339))
			return err
		},
	}
	c.Flags().StringVar(&data, "data", defaultData, "`directory` to back up")
	c.Flags().BoolVar(&asJSON, "json", false, "tell of it in one line of JSON")
	return c
}

func backup(ctx context.Context, data, to string, diag io.Writer) (backupReport, error) {
	to, err := filepath.Abs(to)
	if err != nil {
		return backupReport{}, err
	}
	if within(data, to) {
		return backupReport{}, failure{statusUsage, "The backup would lie inside the data directory and be lost with it: choose another place, best on another disk."}
	}
	return administered(ctx, data, "/backup", backupOrder{to}, diag, func(p *local.Platform) (backupReport, error) {
		b, err := p.Backup(ctx, to)
		return reportOf(b, to), err
	})
}
