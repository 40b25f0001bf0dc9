package archive

import (
	"strconv"
	"strings"

	"lethe/shared/kind"
)

// A counter counts the records of a file as its bytes come by, in constant
// memory whatever they are.
type counter struct {
	shape  shape
	depth  int // of brackets
	quoted bool
	escape bool
	empty  bool // no element was seen yet
	n      int64
}

type shape int

const (
	other shape = iota
	array       // JSON: elements
	lines       // JSON Lines: lines
	table       // CSV: rows but the first
)

func newCounter(path string) *counter {
	c := &counter{empty: true}
	switch _, name, _, ok := splitPath(path); {
	case !ok:
	case name == "profile.json":
		c.shape = array
	case name == "events.csv":
		c.shape = table
	default:
		c.shape = lines
	}
	return c
}

// splitPath takes a path below subjects/ apart; ok is false for any other.
func splitPath(path string) (folder int, name string, month string, ok bool) {
	rest, ok := strings.CutPrefix(path, "subjects/")
	if !ok {
		return 0, "", "", false
	}
	number, name, ok := strings.Cut(rest, "/")
	folder, err := strconv.Atoi(number)
	if !ok || err != nil {
		return 0, "", "", false
	}
	if name == "profile.json" || name == "events.csv" {
		return folder, name, "", true
	}
	month = monthName(name)
	return folder, name, month, name == "events/"+month+".jsonl"
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	switch c.shape {
	case lines:
		for _, b := range p {
			if b == '\n' {
				c.n++
			}
		}
	case table:
		for _, b := range p {
			switch {
			case b == '"':
				c.quoted = !c.quoted // a doubled quote does so twice
			case b == '\n' && !c.quoted:
				c.n++
			}
		}
	case array:
		for _, b := range p {
			c.array(b)
		}
	}
	return len(p), nil
}

func (c *counter) array(b byte) {
	if c.quoted {
		switch {
		case c.escape:
			c.escape = false
		case b == '\\':
			c.escape = true
		case b == '"':
			c.quoted = false
		}
		return
	}
	switch b {
	case ' ', '\t', '\r', '\n':
		return
	case ']', '}':
		c.depth--
		return
	case ',':
		if c.depth == 1 {
			c.n++
		}
		return
	}
	if c.depth == 1 && c.empty {
		c.empty = false
		c.n++
	}
	switch b {
	case '"':
		c.quoted = true
	case '[', '{':
		c.depth++
	}
}

func (c *counter) count() int64 {
	if c.shape == table {
		return c.n - 1
	}
	return c.n
}

// holding is what the files of a folder hold.
type holding struct{ profiles, events, rows int64 }

// count adds a file to what its folder holds.
func count(folders map[int]holding, f File) {
	folder, name, month, ok := splitPath(f.Path)
	if !ok {
		return
	}
	h := folders[folder]
	switch {
	case name == "profile.json":
		h.profiles += f.Records
	case month != "":
		h.events += f.Records
	default:
		h.rows += f.Records
	}
	folders[folder] = h
}

// checkCounts compares what the folders and the totals say with the files.
func (a *Archive) checkCounts(counts map[int]holding) error {
	var sum Totals
	for _, s := range a.manifest.Subjects {
		sum.Subjects++
		sum.Profiles += s.Profiles
		sum.Events += s.Events
		if s.Profiles+s.Events > 0 {
			sum.Found++
		}
		got := counts[s.Folder]
		delete(counts, s.Folder)
		if want := (holding{s.Profiles, s.Events, s.Events}); got != want {
			return kind.Say(kind.Corrupt, "Folder "+strconv.Itoa(s.Folder)+" has other counts than its files.")
		}
	}
	if len(counts) > 0 {
		return kind.Say(kind.Corrupt, "The archive has a folder that belongs to nobody.")
	}
	if sum != a.manifest.Totals {
		return kind.Say(kind.Corrupt, "The manifest's totals are not the sums of its folders.")
	}
	return nil
}
