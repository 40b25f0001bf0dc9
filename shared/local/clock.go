package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
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

	mu   sync.Mutex
	seen time.Time // of the machine, when last was told
	last time.Time
}

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

// keep writes the time down.
func (c *clock) keep() error {
	return kind.Wrap("keep the time", writeClock(c.dir, c.now()))
}
