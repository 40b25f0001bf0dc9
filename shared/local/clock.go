package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// clockFile holds the time that the directory has come to.
const clockFile = "clock"

// keepClockEvery is how often it is kept.
const keepClockEvery = time.Minute

// A clock never goes back, not even over a restart. If the machine's clock is put
// back, records would carry times of receipt that lie ahead of a cutoff taken
// later, and a deletion would pass them over as new. So from the highest time it
// has told, it goes on at half the pace until the machine's clock has caught up.
type clock struct {
	machine dsr.Clock
	dir     string

	records table.Table // nil until compare
	older   bool        // the records are older than the directory: none of them is told the time

	mu   sync.Mutex
	seen time.Time // of the machine, when last was told
	last time.Time
}

// keptAt is where the records hold the time that was kept last. It is written before the
// file, so records whose time is earlier than the file's were put back without it.
var keptAt = table.Key{PK: "clock", SK: "kept"}

// openClock goes on from the time that was kept in dir.
func openClock(dir string, machine dsr.Clock) (*clock, error) {
	c := &clock{machine: machine, dir: dir, seen: machine()}
	c.last = c.seen.Round(0)
	kept, err := readClock(dir)
	if err != nil {
		return nil, err
	}
	if c.last.Before(kept) {
		// It may have run on for as long before it was stopped.
		c.last = kept.Add(keepClockEvery)
	}
	return c, nil
}

// readClock reads the time that was kept in dir; zero if none was.
func readClock(dir string) (time.Time, error) {
	text, err := os.ReadFile(filepath.Join(dir, clockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, unwritable(err)
	}
	kept, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Time{}, kind.Say(kind.Corrupt, "The file clock in the data directory is damaged: remove it if the clock of this machine is right, and was never ahead.")
	}
	return kept, nil
}

func writeClock(dir string, at time.Time) error {
	return WriteSecret(filepath.Join(dir, clockFile), []byte(at.UTC().Format(time.RFC3339Nano)+"\n"))
}

// now is a dsr.Clock.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.machine()
	// The machine's own count of seconds tells how much later it is, whatever its
	// clock was put to.
	c.last = c.last.Add(max(at.Sub(c.seen), 0) / 2)
	if at.Round(0).After(c.last) {
		c.last = at.Round(0)
	}
	c.seen = at
	return c.last
}

// compare finds out whether the records are older than the directory. Those of a
// release that did not tell them the time pass for current.
func (c *clock) compare(ctx context.Context, records table.Table) error {
	file, err := readClock(c.dir)
	if err != nil {
		return err
	}
	item, err := records.Get(ctx, keptAt)
	if kind.Of(err) == kind.NotFound {
		c.records = records
		return nil
	}
	if err != nil {
		return err
	}
	kept, err := time.Parse(time.RFC3339Nano, string(item.Data))
	if err != nil {
		return kind.E(kind.Corrupt, "read the time in the records", err)
	}
	c.records, c.older = records, kept.Before(file)
	return nil
}

// keep writes the time down.
func (c *clock) keep(ctx context.Context) error {
	const op = "keep the time"
	at := c.now()
	if c.records != nil && !c.older {
		item := table.Item{Key: keptAt, Data: []byte(at.UTC().Format(time.RFC3339Nano))}
		if err := c.records.Write(ctx, table.Put(item, table.Cond{})); err != nil {
			return kind.Wrap(op, err)
		}
	}
	return kind.Wrap(op, writeClock(c.dir, at))
}
