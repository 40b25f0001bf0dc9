package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lethe/client"
	"lethe/shared/local"
)

// A check is one thing that lethe doctor looks at.
type check struct {
	Name   string `json:"name"`
	Fine   bool   `json:"fine"`
	Answer string `json:"answer"` // what there is, or what to do
}

// How far the clocks of this machine and a server may be apart. Ingestion takes times of
// up to an hour ahead as they are meant.
const clockSkew = time.Minute

// knownVersion begins the versions of the API that this command knows.
const knownVersion = "1."

// spare is the space that should be left on the disk of a data directory.
const spare = 1 << 30

func doctorCommand() *cobra.Command {
	var n connection
	var data string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether address, tokens, clock, disk and versions are as they must be",
		Long: `Doctor looks at what the other commands need: the address of the server, the
tokens, the clock of this machine, and the version of the server; and with --data at
the disk of a data directory on this machine. Of what is wrong it says what to do.`,
		Example: `  lethe doctor
  lethe doctor --data /var/lib/lethe`,
		Args: cobra.NoArgs,
	}
	n.register(c)
	c.Flags().StringVar(&data, "data", "", "`directory` of a server on this machine to look at too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := fromEnvironment(c); err != nil {
			return err
		}
		ctx, stop := stoppable(c)
		defer stop()
		found := n.examine(ctx, c)
		if ctx.Err() != nil {
			return failure{statusUnfinished, "Stopped, before everything was looked at."}
		}
		if data != "" {
			found = append(found, examineDisk(data))
		}
		return n.report(c, found)
	}
	return c
}

func (n *connection) report(c *cobra.Command, found []check) error {
	wrong := 0
	for _, k := range found {
		mark := "ok   "
		if !k.Fine {
			wrong++
			mark = "WRONG"
		}
		var err error
		if n.json {
			err = printLine(c.OutOrStdout(), k)
		} else {
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s  %-8s %s\n", mark, k.Name, k.Answer)
		}
		if err != nil {
			return err
		}
	}
	if wrong > 0 {
		return failure{statusFailed, count(wrong, "thing") + " to mend; see above."}
	}
	return nil
}

// examine looks at everything that has to do with the server.
func (n *connection) examine(ctx context.Context, c *cobra.Command) []check {
	to, err := n.open(c.InOrStdin())
	if err != nil {
		return []check{{"settings", false, err.Error()}}
	}
	found := []check{{"settings", true, n.url}}
	about, err := to.About(ctx)
	if err != nil {
		return append(found, check{"address", false, "The server does not answer. Look whether it runs, and whether the address and its certificate are right. (" + err.Error() + ")"})
	}
	found = append(found, check{"address", true, "the server answers"})
	switch {
	case to.Mixpanel():
		found = append(found, check{"version", true, "this is Mixpanel, which has a part of the calls"})
	case about.Version == "":
		found = append(found, check{"version", false, "What answers is no Lethe: look at the address."})
	case !strings.HasPrefix(about.Version, knownVersion):
		found = append(found, check{"version", false, "The API is of version " + about.Version + ", and this command knows " + knownVersion + "x: use the lethe of the server's release."})
	default:
		found = append(found, check{"version", true, "the API is of version " + about.Version})
	}
	if skew := about.Skew.Abs(); skew > clockSkew {
		found = append(found, check{"clock", false, fmt.Sprintf("The clocks of this machine and of the server are %s apart: set the one that is wrong, by NTP best.", skew.Round(time.Second))})
	} else if about.Known {
		found = append(found, check{"clock", true, "as the server's"})
	}
	return append(found, examineToken(ctx, to))
}

func examineToken(ctx context.Context, to *client.Client) check {
	err := to.Try(ctx)
	var answered *client.Error
	switch {
	case err == nil:
		return check{"token", true, "good for the requests of this project"}
	case errors.As(err, &answered) && answered.Status == http.StatusUnauthorized:
		return check{"token", false, "The GDPR token is unknown, revoked or expired: make one in the console's personal settings or with lethe token make, and run lethe login. (" + answered.Sentence + ")"}
	case errors.As(err, &answered) && answered.Status == http.StatusForbidden:
		return check{"token", false, "The token is not good for this project: look at the token of the project, and whether the owner of the GDPR token is owner or admin of it. (" + answered.Sentence + ")"}
	}
	return check{"token", false, "It cannot be tried: " + err.Error()}
}

// examineDisk looks at the disk of a data directory.
func examineDisk(data string) check {
	if !local.Holds(data) {
		return check{"disk", false, "--data names no data directory of Lethe."}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(data, &fs); err != nil {
		return check{"disk", false, "The disk of the data directory cannot be looked at."}
	}
	info, err := os.Stat(data)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		return check{"disk", false, "Others on this machine can look into the data directory: chmod 700 it."}
	}
	left := int64(fs.Bavail) * int64(fs.Bsize)
	if left < spare {
		return check{"disk", false, fmt.Sprintf("%d MB are left on the disk of the data directory: make room, or erasures and exports will fail.", left>>20)}
	}
	return check{"disk", true, fmt.Sprintf("%d GB are left", left>>30)}
}
