package archive

import (
	"encoding/json"
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
	other  shape = iota
	array        // JSON: elements
	lines        // JSON Lines: lines
	table        // CSV: rows but the first
	digest       // JSON: objects in lists of the object
)

func newCounter(path string) *counter {
	c := &counter{empty: true}
	_, name, _, ok := splitPath(path)
	_, isDigest := digestOf(name)
	switch {
	case !ok:
	case isDigest:
		c.shape = digest
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
	if _, isDigest := digestOf(name); isDigest || name == "profile.json" || name == "events.csv" {
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
	case array, digest:
		for _, b := range p {
			c.json(b)
		}
	}
	return len(p), nil
}

func (c *counter) json(b byte) {
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
		if c.depth == 1 && c.shape == array {
			c.n++
		}
		return
	case '{':
		if c.depth == 2 && c.shape == digest {
			c.n++
		}
	}
	if c.depth == 1 && c.empty && c.shape == array {
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

// count adds a file to what its folder holds. It returns what is wrong with it, or
// nothing.
func (a *Archive) count(folders map[int]holding, f File) string {
	folder, name, month, ok := splitPath(f.Path)
	if !ok {
		return ""
	}
	h := folders[folder]
	d, isDigest := digestOf(name)
	switch {
	case isDigest:
		t, ok := a.totals(f, d)
		if !ok {
			return "is not the JSON that it must be, or does not add up"
		}
		h.profiles += t.Profiles
		h.events += t.Events
		h.rows += t.Events
	case name == "profile.json":
		h.profiles += f.Records
	case month != "":
		h.events += f.Records
	default:
		h.rows += f.Records
	}
	folders[folder] = h
	return ""
}

// totals reads what a digest says of how many records it tells. It is not ok if its
// rows tell of others: every event has a name, and every record came by a source.
func (a *Archive) totals(f File, d Digest) (t Totals, ok bool) {
	if f.Bytes > 16*maxDigest {
		return t, false
	}
	body, err := a.File(f.Path)
	if err != nil {
		return t, false
	}
	defer body.Close()
	type counted struct {
		Means string `json:"means"`
		Count int64  `json:"count"`
	}
	var file struct {
		Totals  Totals    `json:"totals"`
		LeftOut int64     `json:"left_out"`
		Events  []counted `json:"events"`
		Sources []counted `json:"sources"`
	}
	if json.NewDecoder(body).Decode(&file) != nil {
		return t, false
	}
	var got int64
	want := file.Totals.Events
	for _, e := range file.Events {
		got += e.Count
	}
	for _, s := range file.Sources {
		if s.Means == OfSource {
			got += s.Count
		}
	}
	if d == Sources {
		want += file.Totals.Profiles
	}
	return file.Totals, got <= want && (got == want || file.LeftOut > 0)
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
