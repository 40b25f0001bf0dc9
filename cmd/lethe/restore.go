package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/local"
	"lethe/shared/table"
)

// A restoration is what the command is told and what it tells.
type restoration struct {
	data, ledgerCopy string

	Made *time.Time  `json:"backup_made,omitempty"`
	Gaps []local.Gap `json:"erasures_unknown"` // when nobody knows who was erased
	dsr.Restoration
	// Lost is the open requests of the replaced directory that the backup does not
	// know; null where nobody can say.
	Lost     []dsr.Lost `json:"requests_lost"`
	Ended    int        `json:"tokens_ended"`
	Token    string     `json:"gdpr_token"`
	Owner    string     `json:"gdpr_token_of"`
	Replaced string     `json:"replaced,omitempty"` // where the old directory is now
}

func restoreCommand() *cobra.Command {
	var r restoration
	var asJSON bool
	c := &cobra.Command{
		Use:   "restore [BACKUP]",
		Short: "Put a backup back, and erase again everyone who was erased after it was made",
		Long: `Restore puts a backup that "lethe backup" made in the place of the data
directory, which is kept under another name. Before that it reads the ledger of
erasures in the backup, in the directory that it replaces and in --ledger-copy,
erases everyone in it whose data came back, holds every open request until it is
confirmed, and ends every GDPR token, session and sign-in link. It prints a new token of an
owner.

Without BACKUP it does the same to a data directory that was put back by other
means, such as a snapshot of its disk.

The server must not run. A restore that is cut off is run again.`,
		Example: `  lethe restore /mnt/backup/lethe-2026-11-25
  lethe restore /mnt/backup/lethe-2026-11-25 --data /var/lib/lethe --ledger-copy /mnt/other/ledger
  lethe restore --data /var/lib/lethe --ledger-copy /mnt/other/ledger`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := fromEnvironment(c); err != nil {
				return err
			}
			// A copy that is not there would be made, empty, and pass for one that knows of
			// no erasure.
			if r.ledgerCopy != "" && !local.HoldsLedger(r.ledgerCopy) {
				return failure{statusUsage, "The directory that --ledger-copy names is no copy of the ledger: name the one that the server had."}
			}
			ctx, stop := stoppable(c)
			defer stop()
			syscall.Umask(0o077)
			log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			var err error
			if len(args) == 1 {
				err = r.from(ctx, args[0], log)
			} else {
				err = r.inPlace(ctx, log)
			}
			if err != nil {
				return cutShort(ctx, err, "The restore was stopped: run it again.")
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(r)
			}
			return r.tell(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&r.data, "data", defaultData, "`directory` to put the backup into")
	c.Flags().StringVar(&r.ledgerCopy, "ledger-copy", "", "the second `directory` of the ledger, where the server had one")
	c.Flags().BoolVar(&asJSON, "json", false, "tell of it in one line of JSON")
	return c
}

// from restores a backup beside the data directory and then replaces that.
func (r *restoration) from(ctx context.Context, backup string, log *slog.Logger) (err error) {
	staged, err := local.Stage(ctx, backup, r.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, staged.Close()) }()
	made := staged.Backup.Made
	r.Made = &made
	var gap []local.Gap
	if (staged.Before == nil || staged.Stale) && r.ledgerCopy == "" {
		gap = []local.Gap{{From: made, Until: time.Now().UTC().Truncate(time.Millisecond)}}
	}
	if r.Gaps, err = staged.KeepGaps(gap...); err != nil {
		return err
	}
	if err := r.catchUp(ctx, staged.Dir, staged, log); err != nil {
		return err
	}
	r.Replaced, err = staged.Replace(time.Now())
	return err
}

// inPlace restores a directory that was put back by other means.
func (r *restoration) inPlace(ctx context.Context, log *slog.Logger) error {
	if !local.Holds(r.data) {
		return failure{statusRefused, "The directory that --data names is no data directory of Lethe: name the one that was put back, or a backup to restore."}
	}
	var err error
	if r.Gaps, err = local.Gaps(r.data); err != nil {
		return err
	}
	return r.catchUp(ctx, r.data, nil, log)
}

// catchUp brings the directory, staged or in its place, up to what the ledger
// knows.
func (r *restoration) catchUp(ctx context.Context, dir string, staged *local.Staged, log *slog.Logger) (err error) {
	p, err := local.Open(local.Config{Data: dir, LedgerCopy: r.ledgerCopy, Clock: time.Now, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	accounts := account.New(p.Control, p.Clock)
	store := events.New(p.Subjects, p.Keys, p.Clock, events.Log(log))
	service, err := p.Service(accounts, dsr.Settings{}, store)
	if err != nil {
		return err
	}
	if staged == nil {
		if err := r.begin(ctx, p, service); err != nil {
			return err
		}
	} else if staged.Before != nil {
		if err := service.Adopt(ctx, staged.Before); err != nil {
			return err
		}
		if err := account.AdoptHeads(ctx, p.Bucket, staged.Before, p.Keys); err != nil {
			return err
		}
	}
	// Before anything is added to the trails: what they lost is what came after the backup.
	told := false
	if staged != nil {
		if told, err = r.compare(ctx, staged, service, accounts, p); err != nil {
			return err
		}
	}
	if !told {
		if err := accounts.Restored(ctx, p.Bucket, p.Keys, nil); err != nil {
			return err
		}
	}
	if r.Restoration, err = service.Restore(ctx); err != nil {
		return err
	}
	if r.Ended, err = accounts.EndTokens(ctx, func(owner, token string) error { return r.keep(dir, owner, token) }); err != nil {
		return err
	}
	p.Restored()
	if staged == nil {
		return p.EndInPlace()
	}
	return nil
}

// begin marks a directory in its place as being restored, if there is something to
// restore it by.
func (r *restoration) begin(ctx context.Context, p *local.Platform, service *dsr.Service) error {
	behind, err := service.Behind(ctx) // it reads the entries that are new, too
	if err != nil {
		return err
	}
	unfinished, withCopy := local.Unfinished(r.data)
	switch {
	case r.ledgerCopy != "":
	case withCopy:
		return failure{statusUsage, "The restore that was cut off had a copy of the ledger: name it again with --ledger-copy."}
	case !behind && !unfinished && !p.Older():
		return failure{statusUsage, "Without a backup to restore, name the second place of the ledger with --ledger-copy: the records in the directory know of every erasure that its own ledger knows of, and it knows nothing of what was erased since it was current."}
	}
	return p.BeginInPlace()
}

// compare looks for requests of the old directory that the backup does not know, and
// tells the audit trails of the restore by how far those of the old directory had gone.
// It reports whether that can be read, and so was done.
func (r *restoration) compare(ctx context.Context, staged *local.Staged, service *dsr.Service, accounts *account.Accounts, p *local.Platform) (bool, error) {
	lost := []dsr.Lost{}
	readable, err := staged.Records(func(control table.Table) (err error) {
		if lost, err = service.Lost(ctx, control); err != nil {
			return err
		}
		return accounts.Restored(ctx, p.Bucket, p.Keys, account.New(control, p.Clock))
	})
	if readable && err == nil {
		r.Lost = lost
	}
	return readable, err
}

// keep puts the new token where a demo keeps its own.
func (r *restoration) keep(dir, owner, token string) error {
	r.Token, r.Owner = token, owner
	d, err := readDemo(dir)
	if kind.Of(err) == kind.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	d.GDPRToken = token
	return d.write(dir)
}

func (r *restoration) tell(out io.Writer) error {
	var b []byte
	line := func(format string, args ...any) { b = fmt.Appendf(b, format+"\n", args...) }
	if r.Made != nil {
		line("Restored the backup of %s to %s.", r.Made.Format(time.RFC3339), r.data)
	} else {
		line("Restored %s as it was put back.", r.data)
	}
	line("")
	line("  erasures in the ledger        %d", r.Erasures)
	for _, g := range r.Gaps {
		line("  NOT KNOWN                     erasures from %s to %s: nothing tells who they were.", g.From.Format(time.RFC3339), g.Until.Format(time.RFC3339))
		line("                                Delete again whoever was deleted then, opt out again who was opted out then,")
		line("                                and remove the file erasures-unknown.")
	}
	line("  came back and erased again    %d identifiers: %d events, %d profiles, %d links", r.Erased.Subjects, r.Erased.Events, r.Erased.Profiles, r.Erased.Edges)
	line("  opted out by the ledger       %d identifiers", r.OptOuts)
	line("  export files taken back       %d", r.Archives)
	line("  unknown files removed         %d of exports that ended after the backup; ask for them again", r.Unknown)
	line("  open requests held            %d; each goes on after POST /api/app/requests/<task>/confirm", r.Held)
	line("  certificates alone            %d of deletions that are not known here and had ended; their files/certificates/<task>.json stay", len(r.Alone))
	for _, c := range r.Alone {
		line("                                task %s of project %s, completed %s", c.Task, c.Project, c.Completed.Format(time.DateOnly))
	}
	r.tellLost(line)
	line("  tokens and sessions ended     %d", r.Ended)
	line("  new GDPR token                %s", r.Token)
	line("                                of %s, an owner of the organisation; shown once", r.Owner)
	if r.Replaced != "" {
		line("")
		line("The data directory of before is %s. It holds what it held, people who are", r.Replaced)
		line("erased from now on included: remove it when it is no longer needed.")
	}
	_, err := out.Write(b)
	return err
}

func (r *restoration) tellLost(line func(string, ...any)) {
	switch {
	case r.Made == nil || r.Lost == nil:
		line("  requests lost                 those sent in after the backup, if any, are not known here: send them in again")
	case len(r.Lost) == 0:
		line("  requests lost                 0")
	default:
		line("  requests lost                 %d that were sent in after the backup and were open or broken. Send them in again:", len(r.Lost))
		for _, q := range r.Lost {
			line("                                %s of project %s, task %s, received %s, due %s", q.Type, q.Project, q.Task, q.Created.Format(time.RFC3339), q.Due.Format(time.DateOnly))
		}
	}
}

// refuseUnrestored keeps a server from answering out of a directory that was put
// back and not brought up to the ledger.
func refuseUnrestored(ctx context.Context, data string, p *local.Platform, service *dsr.Service) error {
	if unfinished, _ := local.Unfinished(data); unfinished {
		return failure{statusRefused, "A restore of this data directory was cut off: run lethe restore again, with the same flags, before the server."}
	}
	behind, err := service.Behind(ctx)
	if err != nil {
		return failing(err)
	}
	if behind {
		return failure{statusRefused, "The ledger knows of people who were erased and are back in this data directory, whose records are older: run lethe restore with the same --data, and --ledger-copy if the server has one, before the server."}
	}
	if p.Older() {
		return failure{statusRefused, "The records in this data directory are older than the directory: what was asked for, cancelled or changed since is not in them. Run lethe restore with the same --data, and --ledger-copy if the server has one, before the server: it holds every open request until somebody confirms it."}
	}
	return nil
}
