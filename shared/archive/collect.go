package archive

import (
	"maps"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
)

// A State is a Collector between two segments: a small JSON object to keep as a
// cursor. The zero State is the start of a batch. It names nobody; but of each file
// that is open it holds the state of a SHA-256, and in it up to 63 bytes of the
// last record as they are: keep it no longer than the records' own segments.
type State struct {
	Segment int       `json:"segment"` // the number of the next segment of the batch
	Records Position  `json:"records"`
	Table   Position  `json:"table"`
	First   int       `json:"first"`               // the folder of the first record, 0 if there is none
	Folder  int       `json:"folder"`              // of the last record
	Last    time.Time `json:"last_event,omitzero"` // the time of that folder's last event
	Sum     *sum      `json:"sum,omitempty"`       // that folder's digest

	// What the batch holds so far, finished files only.
	Files    int64            `json:"files"`
	Profiles int64            `json:"profiles"`
	Events   int64            `json:"events"`
	Months   map[string]int64 `json:"months,omitempty"` // events per month of UTC, as 2006-01
}

// A Position is where a stream goes on.
type Position struct {
	Offset int64       `json:"offset"` // bytes of the stream in the segments so far
	Open   *Unfinished `json:"open,omitempty"`
}

// A Segment is what a Collector made between two calls of Close.
type Segment struct {
	Number         int // from 0 on within the batch
	Records, Table []byte
	Files          []File // those that ended in this segment
	Next           State
}

// A Collector writes the records of one batch, or digests of them. It takes them
// folder by folder in ascending order from 1 on, in a folder first profiles, then
// events in the order of time, or else summaries; anything else is kind.Internal.
// It holds one segment in memory, whatever the size of a subject. After an error it
// is of no use any more.
type Collector struct {
	// Cut is the number of bytes of the Records stream at which the Collector is
	// full: SegmentSize, unless a test wants many segments of few records. It must
	// be the same over a batch.
	Cut int

	state          State
	records, table *stream
	recordsOut     buffer
	tableOut       buffer
	month          month
	summing        summing
	weight         int // of what was summarised since the last segment
	files          []File
	scratch        []byte
	err            error
}

// month is the month of the open events file; the zero month is none.
type month struct {
	year int
	time.Month
}

func (m month) of(t time.Time) bool {
	year, mon, _ := t.Date()
	return m.year == year && m.Month == mon
}

// buffer is a stream's segment. It grows at once to what a segment needs, as
// doubling would pass the bound on memory.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	if need := len(*b) + len(p); need > cap(*b) {
		size := max(2*cap(*b), 64<<10)
		if size > 2<<20 {
			size = SegmentSize + 1<<20
		}
		for size < need {
			size += 1 << 20
		}
		grown := make([]byte, len(*b), size)
		copy(grown, *b)
		*b = grown
	}
	*b = append(*b, p...)
	return len(p), nil
}

// NewCollector goes on where s was returned as Segment.Next. The bytes of a batch
// do not depend on whether one Collector wrote it or several.
func NewCollector(s State) *Collector {
	c := &Collector{Cut: SegmentSize, state: s}
	c.state.Months, c.state.Sum = maps.Clone(s.Months), s.Sum.clone()
	if s.Sum != nil {
		c.summing.index(s.Sum.Rows)
	}
	if c.state.Months == nil {
		c.state.Months = map[string]int64{}
	}
	c.records, c.err = newStream(Records, &c.recordsOut, s.Records.Offset)
	if c.err == nil {
		c.table, c.err = newStream(Table, &c.tableOut, s.Table.Offset)
	}
	if c.err == nil && s.Records.Open != nil {
		c.err = c.records.resume(*s.Records.Open)
		c.month = monthOf(s.Records.Open.Path)
	}
	if c.err == nil && s.Table.Open != nil {
		c.err = c.table.resume(*s.Table.Open)
	}
	if c.err != nil {
		c.err = kind.E(kind.Corrupt, "archive: state of a batch", c.err)
	}
	return c
}

// Profile adds one JSON object, an element of the folder's profile.json.
func (c *Collector) Profile(folder int, record []byte) error {
	if err := c.enter(folder, ""); err != nil {
		return err
	}
	b := append(c.scratch[:0], ",\n"...)
	if !c.records.open {
		if c.table.open || !c.state.Last.IsZero() {
			return c.fail(kind.E(kind.Internal, "archive: a profile after events"))
		}
		if err := c.records.begin(folderPath(folder) + "/profile.json"); err != nil {
			return c.fail(err)
		}
		b = append(b[:0], "[\n"...)
	} else if c.month != (month{}) {
		return c.fail(kind.E(kind.Internal, "archive: a profile after events"))
	}
	b = append(b, record...)
	return c.write(c.records, b)
}

// Event adds an event to the folder's events.csv and to the file of its month.
func (c *Collector) Event(folder int, e Event) error {
	if err := c.enter(folder, ""); err != nil {
		return err
	}
	at := e.Time.UTC()
	if at.Before(c.state.Last) {
		return c.fail(kind.E(kind.Internal, "archive: events are not in the order of time"))
	}
	c.state.Last = at
	if !c.records.open || !c.month.of(at) {
		if err := c.turn(folder, at); err != nil {
			return c.fail(err)
		}
	}
	properties, err := oneLine(e.Properties)
	if err != nil {
		return c.fail(kind.E(kind.Corrupt, "archive: an event's properties are not JSON"))
	}
	if err := c.write(c.records, appendLine(c.scratch[:0], e, properties)); err != nil {
		return err
	}
	return c.write(c.table, appendRow(c.scratch[:0], e, properties))
}

// enter makes folder, which has that digest or records, the current one.
func (c *Collector) enter(folder int, d Digest) error {
	switch {
	case c.err != nil:
		return c.err
	case folder == c.state.Folder && folder > 0:
		if c.state.Sum != nil && c.state.Sum.Digest != d || c.records.open && d != "" {
			return c.fail(kind.E(kind.Internal, "archive: a folder has records or one digest"))
		}
		return nil
	case folder < c.state.Folder || folder < 1:
		return c.fail(kind.E(kind.Internal, "archive: folders are not in order"))
	}
	if err := c.endFolder(); err != nil {
		return c.fail(err)
	}
	if c.state.First == 0 {
		c.state.First = folder
	}
	c.state.Folder, c.state.Last = folder, time.Time{}
	return nil
}

// turn opens the file of a month, and the table if this is a folder's first.
func (c *Collector) turn(folder int, at time.Time) error {
	if err := c.endRecords(); err != nil {
		return err
	}
	if !c.table.open {
		if err := c.table.begin(folderPath(folder) + "/events.csv"); err != nil {
			return err
		}
		if _, err := c.table.Write([]byte(tableHeader)); err != nil {
			return err
		}
	}
	c.month = month{at.Year(), at.Month()}
	return c.records.begin(folderPath(folder) + "/events/" + at.Format(monthLayout) + ".jsonl")
}

// write adds one record to the open file of s.
func (c *Collector) write(s *stream, record []byte) error {
	s.file.Records++
	_, err := s.Write(record)
	c.scratch = record
	return c.fail(err)
}

// fail remembers an error: what was written before it may be half a record.
func (c *Collector) fail(err error) error {
	if err != nil {
		c.err = err
	}
	return err
}

func (c *Collector) endFolder() error {
	if err := c.endSum(); err != nil {
		return err
	}
	if err := c.endRecords(); err != nil {
		return err
	}
	if !c.table.open {
		return nil
	}
	return c.finish(c.table)
}

func (c *Collector) endRecords() error {
	if !c.records.open {
		return nil
	}
	if c.month == (month{}) {
		if _, err := c.records.Write([]byte("\n]\n")); err != nil {
			return err
		}
		c.state.Profiles += c.records.file.Records
	} else {
		c.state.Events += c.records.file.Records
		c.state.Months[monthName(c.records.file.Path)] += c.records.file.Records
	}
	c.month = month{}
	return c.finish(c.records)
}

func (c *Collector) finish(s *stream) error {
	f, err := s.end()
	if err != nil {
		return err
	}
	c.files = append(c.files, f)
	c.state.Files++
	return nil
}

// Full reports whether the segment has its size: call Close before the next
// record. A batch that is cut elsewhere has other bytes.
func (c *Collector) Full() bool { return len(c.recordsOut)+c.weight >= max(c.Cut, 1) }

// Close ends the segment. With last it ends the open files too, and Next describes
// a whole batch. Without, the Collector goes on with the next segment; the
// bytes of the one returned are then valid until its next method is called.
func (c *Collector) Close(last bool) (Segment, error) {
	if c.err != nil {
		return Segment{}, c.err
	}
	if last {
		if err := c.endFolder(); err != nil {
			return Segment{}, c.fail(err)
		}
	}
	var err error
	if c.state.Records.Open, err = c.records.pause(); err != nil {
		return Segment{}, c.fail(err)
	}
	if c.state.Table.Open, err = c.table.pause(); err != nil {
		return Segment{}, c.fail(err)
	}
	c.state.Records.Offset, c.state.Table.Offset = c.records.offset, c.table.offset
	number := c.state.Segment
	c.state.Segment++

	next := c.state
	next.Months, next.Sum = maps.Clone(c.state.Months), c.state.Sum.clone()
	s := Segment{
		Number:  number,
		Records: c.recordsOut, Table: c.tableOut,
		Files: slices.Clone(c.files), Next: next,
	}
	c.recordsOut, c.tableOut, c.files, c.weight = c.recordsOut[:0], c.tableOut[:0], c.files[:0], 0
	return s, nil
}

const monthLayout = "2006-01"

// monthName is the month in the path of an events file, empty for other files.
func monthName(path string) string {
	name, found := strings.CutSuffix(path, ".jsonl")
	if !found {
		return ""
	}
	return name[strings.LastIndexByte(name, '/')+1:]
}

// monthOf is the month of an events file, the zero month for other files.
func monthOf(path string) month {
	t, err := time.Parse(monthLayout, monthName(path))
	if err != nil {
		return month{}
	}
	return month{t.Year(), t.Month()}
}
