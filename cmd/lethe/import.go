package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lethe/client"
)

// An importing is lethe import. It keeps beside each file how many of its lines are
// done, so that it can be stopped at any moment.
type importing struct {
	connection
	c  *cobra.Command
	to *client.Client

	sum importSum
}

// importSum is what an import tells in the end.
type importSum struct {
	Files  int `json:"files"`
	Stored int `json:"stored"`
	Bad    int `json:"bad"`
}

func importCommand() *cobra.Command {
	m := &importing{}
	c := &cobra.Command{
		Use:   "import FILE…",
		Short: "Send events in, from files as Mixpanel's raw export makes them",
		Long: `Import sends in the events of files: one JSON object with "event" and "properties" on
each line, plain or compressed as .gz or .zst. Lines that cannot be stored go to
FILE.bad, each with its number and the reason, and the others are stored.

How far it has come is kept in FILE.lethe-import. After Ctrl-C or a crash the same
command goes on from there; what was on its way then is sent again, which stores
nothing twice where events have an $insert_id (Lethe gives the others one by their
content).`,
		Example: `  lethe import events.jsonl
  lethe import 2026-*.jsonl.gz`,
		Args: cobra.MinimumNArgs(1),
	}
	m.register(c)
	m.ingests = true
	c.Flags().StringVar(&m.secretFile, "api-secret-file", "", "`file` with the API secret of the project, - for standard input, or the secret in the variable "+apiSecretVariable+"; Mixpanel wants it")
	c.RunE = m.run(m.each)
	return c
}

func (m *importing) each(ctx context.Context, c *cobra.Command, to *client.Client, files []string) error {
	m.c, m.to = c, to
	for _, name := range files {
		err := m.file(ctx, name)
		var f failure
		switch {
		case errors.As(err, &f):
			return f
		case errors.Is(err, context.Canceled):
			return failure{statusUnfinished, "Stopped. " + goesOn(name)}
		case err != nil && errors.As(told(err), &f): // of a call
			return failure{f.status, f.sentence + " " + goesOn(name)}
		}
		m.sum.Files++
	}
	if m.json {
		if err := printLine(c.OutOrStdout(), m.sum); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(c.OutOrStdout(), "%s of %s stored.\n", count(m.sum.Stored, "event"), count(m.sum.Files, "file")); err != nil {
		return err
	}
	if m.sum.Bad > 0 {
		return failure{statusFailed, fmt.Sprintf("%s could not be stored; the files that end in .bad tell which and why.", count(m.sum.Bad, "line"))}
	}
	return nil
}

// goesOn tells how an import that was cut short goes on.
func goesOn(name string) string {
	return "The same command goes on from there: " + name + placeSuffix + " keeps how far it has come."
}

// A reached is how far a file was imported.
type reached struct {
	Size   int64  `json:"size"` // of the file, and the hash of its beginning, to notice another
	Begins string `json:"begins"`
	Lines  int    `json:"lines"`
	Stored int    `json:"stored"`
	Bad    int    `json:"bad"`
	Done   bool   `json:"done"`
}

// Batches are sent this many at a time.
const atOnce = 4

// mostLine is the bytes of a line: an event may have a megabyte.
const mostLine = 4 << 20

func (m *importing) file(ctx context.Context, name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return failure{statusUsage, "The file " + name + " cannot be read."}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return failure{statusUsage, name + " is no file."}
	}
	at := reached{Size: info.Size()}
	if at.Begins, err = beginning(f); err != nil {
		return failure{statusUsage, "The file " + name + " cannot be read."}
	}
	if err := at.read(name); err != nil {
		return err
	}
	m.sum.Stored, m.sum.Bad = m.sum.Stored+at.Stored, m.sum.Bad+at.Bad
	if at.Done {
		fmt.Fprintf(m.c.ErrOrStderr(), "%s was imported before. To send it in again, remove %s.\n", name, name+placeSuffix)
		return nil
	}
	counted := &counting{in: f}
	in, err := unpacked(name, counted)
	if err != nil {
		return err
	}
	bad, err := os.OpenFile(name+".bad", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return failure{statusFailed, "The file " + name + ".bad cannot be written."}
	}
	defer func() {
		if info, statErr := bad.Stat(); statErr == nil && info.Size() == 0 {
			_ = os.Remove(bad.Name())
		}
		err = errors.Join(err, bad.Close())
	}()
	whole := &breaking{in: in}
	lines := bufio.NewScanner(whole)
	lines.Buffer(make([]byte, 64<<10), mostLine)
	lines.Split(whole.lines)
	for range at.Lines {
		lines.Scan()
	}
	speed := speed{bar: progress{out: m.c.ErrOrStderr(), quiet: m.json, plain: true}, name: name, size: info.Size(), began: time.Now()}
	defer speed.bar.end()
	for more := true; more; {
		var group []importBatch
		for len(group) < atOnce && more {
			b := importBatch{first: at.Lines + 1}
			if n := len(group); n > 0 {
				b.first = group[n-1].first + group[n-1].read
			}
			more = b.fill(lines)
			if b.read > 0 {
				group = append(group, b)
			}
		}
		if err := m.send(ctx, group); err != nil {
			return err
		}
		for _, b := range group {
			if err := b.tell(bad); err != nil {
				return failure{statusFailed, "The file " + name + ".bad cannot be written."}
			}
			at.Lines, at.Stored, at.Bad = at.Lines+b.read, at.Stored+b.stored, at.Bad+len(b.bad)
			m.sum.Stored, m.sum.Bad = m.sum.Stored+b.stored, m.sum.Bad+len(b.bad)
			speed.stored += b.stored
		}
		at.Done = !more && lines.Err() == nil
		if err := at.write(name); err != nil {
			return err
		}
		if lines.Err() != nil {
			return failure{statusFailed, fmt.Sprintf("%s cannot be read on after line %d: it is damaged, or a line is longer than 4 MB. The events of the lines before are stored.", name, at.Lines)}
		}
		speed.show(counted.n)
	}
	return nil
}

// send sends batches at once; all are stored, or it is an error.
func (m *importing) send(ctx context.Context, group []importBatch) error {
	sending, ctx := errgroup.WithContext(ctx)
	for i := range group {
		b := &group[i]
		if len(b.events) == 0 {
			continue
		}
		sending.Go(func() error {
			done, err := m.to.Import(ctx, b.events)
			if err != nil {
				return err
			}
			b.stored = done.Stored
			for _, f := range done.Failed {
				if f.Index >= 0 && f.Index < len(b.events) {
					b.bad = append(b.bad, badEvent{b.lines[f.Index], f.Message, b.events[f.Index]})
				}
			}
			return nil
		})
	}
	return sending.Wait()
}

// An importBatch is some lines of a file that go out together.
type importBatch struct {
	first, read int // its first line, and how many there are
	events      []json.RawMessage
	lines       []int // of each event
	stored      int
	bad         []badEvent
}

type badEvent struct {
	line   int
	reason string
	record json.RawMessage
}

// fill takes lines in until the batch is full, and reports whether there may be more.
func (b *importBatch) fill(lines *bufio.Scanner) bool {
	bytes := 0
	for len(b.events) < client.MostEvents && bytes < client.MostBytes-mostLine {
		if !lines.Scan() {
			return false
		}
		line := b.first + b.read
		b.read++
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		switch {
		case text == "":
		case !json.Valid([]byte(text)) || text[0] != '{':
			quoted, err := json.Marshal(text)
			if err != nil {
				quoted = []byte("null")
			}
			b.bad = append(b.bad, badEvent{line, "is no JSON object", quoted})
		default:
			b.events, b.lines = append(b.events, json.RawMessage(text)), append(b.lines, line)
			bytes += len(text)
		}
	}
	return true
}

// tell writes the bad lines down.
func (b *importBatch) tell(out io.Writer) error {
	for _, bad := range b.bad {
		err := printLine(out, struct {
			Line   int             `json:"line"`
			Reason string          `json:"reason"`
			Record json.RawMessage `json:"record"`
		}{bad.line, bad.reason, bad.record})
		if err != nil {
			return err
		}
	}
	return nil
}

// placeSuffix ends the name of the file that keeps how far another was imported.
const placeSuffix = ".lethe-import"

// beginning is the hash of the first megabyte of a file, which is then read from its
// start.
func beginning(f *os.File) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, 1<<20)); err != nil {
		return "", err
	}
	_, err := f.Seek(0, io.SeekStart)
	return hex.EncodeToString(h.Sum(nil)), err
}

// read takes up what an earlier run kept of the same file.
func (p *reached) read(name string) error {
	b, err := os.ReadFile(name + placeSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var kept reached
	if err != nil || json.Unmarshal(b, &kept) != nil {
		return failure{statusFailed, "The file " + name + placeSuffix + " cannot be read: remove it to send all of the events in again."}
	}
	if kept.Size != p.Size || kept.Begins != p.Begins {
		return failure{statusRefused, "The file " + name + " is another than the one that was being imported: give it another name, or remove " + name + placeSuffix + "."}
	}
	*p = kept
	return nil
}

func (p reached) write(name string) error {
	b, err := json.Marshal(p)
	if err == nil {
		err = writeWhole(name+placeSuffix, append(b, '\n'), true)
	}
	if err != nil {
		return failure{statusFailed, "The file " + name + placeSuffix + " that keeps how far the import has come cannot be written."}
	}
	return nil
}

// unpacked reads a file by the end of its name.
func unpacked(name string, in io.Reader) (io.Reader, error) {
	wrong := failure{statusFailed, "The file " + name + " is not compressed as its name says."}
	switch {
	case strings.HasSuffix(name, ".gz"):
		r, err := gzip.NewReader(in)
		if err != nil {
			return nil, wrong
		}
		return r, nil
	case strings.HasSuffix(name, ".zst"):
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, wrong
		}
		return r, nil
	}
	return in, nil
}

// A breaking is a reader that may break off, of which a line that is not whole then is
// no line.
type breaking struct {
	in    io.Reader
	broke bool
}

func (b *breaking) Read(to []byte) (int, error) {
	n, err := b.in.Read(to)
	b.broke = b.broke || err != nil && err != io.EOF
	return n, err
}

// lines is a bufio.SplitFunc.
func (b *breaking) lines(data []byte, atEOF bool) (int, []byte, error) {
	if b.broke && bytes.IndexByte(data, '\n') < 0 {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, atEOF)
}

// counting counts the bytes that were read.
type counting struct {
	in io.Reader
	n  int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}

// A speed tells how fast an import is, and how long it will take.
type speed struct {
	bar    progress
	name   string
	size   int64
	began  time.Time
	before int64 // bytes that an earlier run had done
	stored int
}

// show tells it, with so many bytes read.
func (s *speed) show(read int64) {
	took := time.Since(s.began)
	if s.bar.last.IsZero() {
		s.before = read
	}
	left := "?"
	if done := read - s.before; done > 0 {
		left = (time.Duration(float64(took) * float64(s.size-read) / float64(done))).Round(time.Second).String()
	}
	s.bar.show("%s: %d %%, %.0f events/s, %s left", s.name, 100*read/max(s.size, 1), float64(s.stored)/took.Seconds(), left)
}
