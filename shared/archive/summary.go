package archive

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// A Digest is what stands in the folder of a person in place of records.
type Digest string

const (
	// Categories is the table headers: names and types, no values.
	Categories Digest = "categories"
	// Sources is the means of collection.
	Sources Digest = "sources"
)

// A Facet is one row of a digest, or an addition to one: facets that differ only
// in Count, First and Last add up.
type Facet struct {
	// Of is OfEvent, OfEventProperty or OfProfileProperty in Categories; in Sources it
	// is the sort of means: "library", "platform", …
	Of   string `json:"of"`
	Name string `json:"name"`
	Type string `json:"type,omitempty"` // of a property in Categories, as JSON has it
	// Value is JSON text, in Sources only. Empty stands for further values together.
	Value string    `json:"value,omitempty"`
	Count int64     `json:"count"`          // records that have it
	First time.Time `json:"first,omitzero"` // of events
	Last  time.Time `json:"last,omitzero"`
}

// What a facet of Categories is of; and the sort of means that every record has:
// the source that holds it.
const (
	OfEvent           = "event"
	OfEventProperty   = "event property"
	OfProfileProperty = "profile property"
	OfSource          = "source"
)

// A Summary tells of any number of records of one person.
type Summary struct {
	Profiles, Events int64
	Facets           []Facet
}

// Bounds of one person's digest, which has to fit a cursor. What goes beyond is
// counted, and the file says so.
const (
	maxDigest = 200_000 // bytes of rows, as a cursor has them
	maxText   = 1_000   // bytes of a name or of a value
	maxValues = 300     // values of one property
	// weight is what a record that is summarised counts towards the size of a segment,
	// so that those of a large person end after some 65,000 records.
	weight = 128
)

// sum is a digest that goes on in the next segment.
type sum struct {
	Digest   Digest  `json:"digest"`
	Profiles int64   `json:"profiles"`
	Events   int64   `json:"events"`
	LeftOut  int64   `json:"left_out,omitempty"` // facets that had no room
	Size     int     `json:"size"`
	Rows     []Facet `json:"rows"`
}

// row is what tells two rows of a digest apart.
type row struct{ of, name, kind, value string }

// summing finds the rows of an open digest.
type summing struct {
	at     map[row]int // in sum.Rows
	values map[row]int // how many values a property has; its kind and value are empty
}

func (s *summing) index(rows []Facet) {
	s.at, s.values = make(map[row]int, len(rows)), map[row]int{}
	for i, f := range rows {
		s.note(f, i)
	}
}

func (s *summing) note(f Facet, i int) {
	s.at[row{f.Of, f.Name, f.Type, f.Value}] = i
	if f.Value != "" {
		s.values[row{of: f.Of, name: f.Name}]++
	}
}

// Summarise adds to the digest of a folder, which has no records then. A person of
// whom there is nothing to tell but the totals gets a file too.
func (c *Collector) Summarise(folder int, d Digest, s Summary) error {
	if err := c.enter(folder, d); err != nil {
		return err
	}
	if c.state.Sum == nil {
		c.state.Sum = &sum{Digest: d}
		c.summing.index(nil)
	}
	c.state.Sum.Profiles += s.Profiles
	c.state.Sum.Events += s.Events
	c.weight += weight * int(s.Profiles+s.Events)
	for _, f := range s.Facets {
		c.addFacet(f)
	}
	return nil
}

func (c *Collector) addFacet(f Facet) {
	to, in := c.state.Sum, &c.summing
	f.First, f.Last = f.First.UTC(), f.Last.UTC()
	property := row{of: f.Of, name: f.Name}
	i, there := in.at[row{f.Of, f.Name, f.Type, f.Value}]
	if !there && f.Value != "" && (len(f.Value) > maxText || in.values[property] >= maxValues) {
		f.Value = ""
		i, there = in.at[row{f.Of, f.Name, f.Type, ""}]
	}
	if there {
		have := &to.Rows[i]
		have.Count += f.Count
		if !f.First.IsZero() && (have.First.IsZero() || f.First.Before(have.First)) {
			have.First = f.First
		}
		if f.Last.After(have.Last) {
			have.Last = f.Last
		}
		return
	}
	if len(f.Name) > maxText || to.Size > maxDigest {
		to.LeftOut += f.Count
		return
	}
	b, _ := json.Marshal(f) // strings, numbers and times always encode
	to.Size += len(b) + 20  // its count grows
	in.note(f, len(to.Rows))
	to.Rows = append(to.Rows, f)
}

// endSum writes the file of the open digest, if there is one.
func (c *Collector) endSum() error {
	if c.state.Sum == nil {
		return nil
	}
	s := *c.state.Sum
	c.state.Sum = nil
	slices.SortFunc(s.Rows, compareFacets)
	if err := c.records.begin(folderPath(c.state.Folder) + "/" + string(s.Digest) + ".json"); err != nil {
		return err
	}
	if _, err := c.records.Write(s.file()); err != nil {
		return err
	}
	c.records.file.Records = int64(len(s.Rows))
	c.state.Profiles += s.Profiles
	c.state.Events += s.Events
	return c.finish(c.records)
}

// compareFacets orders rows by what they are of and their names; further values
// come behind those that are told.
func compareFacets(a, b Facet) int {
	return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type),
		-cmp.Compare(min(len(a.Value), 1), min(len(b.Value), 1)), cmp.Compare(a.Value, b.Value))
}

// lists are the names of a digest's lists of rows and what their rows are of; ""
// is anything.
var lists = map[Digest][]struct{ name, of string }{
	Categories: {{"events", OfEvent}, {"event_properties", OfEventProperty}, {"profile_properties", OfProfileProperty}},
	Sources:    {{"sources", ""}},
}

// file is the digest as JSON, a row a line.
func (s sum) file() []byte {
	b := strconv.AppendInt([]byte("{\n  \"totals\": {\"profiles\":"), s.Profiles, 10)
	b = strconv.AppendInt(append(b, `,"events":`...), s.Events, 10)
	b = strconv.AppendInt(append(b, "},\n  \"left_out\": "...), s.LeftOut, 10)
	for _, list := range lists[s.Digest] {
		b = append(append(append(b, ",\n  \""...), list.name...), "\": ["...)
		sep := "\n    "
		for _, f := range s.Rows {
			if list.of != "" && f.Of != list.of {
				continue
			}
			b = appendFacet(append(b, sep...), s.Digest, f)
			sep = ",\n    "
		}
		b = append(b, "\n  ]"...)
	}
	return append(b, "\n}\n"...)
}

func appendFacet(b []byte, d Digest, f Facet) []byte {
	b = append(b, '{')
	if d == Sources {
		b = append(appendString(append(b, `"means":`...), f.Of), ',')
	}
	b = appendString(append(b, `"name":`...), f.Name)
	if f.Type != "" {
		b = appendString(append(b, `,"type":`...), f.Type)
	}
	if d == Sources {
		b = append(append(b, `,"value":`...), cmp.Or(f.Value, "null")...)
	}
	b = strconv.AppendInt(append(b, `,"count":`...), f.Count, 10)
	if f.Of != OfProfileProperty {
		b = appendMoment(append(b, `,"first":`...), f.First)
		b = appendMoment(append(b, `,"last":`...), f.Last)
	}
	return append(b, '}')
}

func appendMoment(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return append(appendTime(append(b, '"'), t), '"')
}

// clone is a copy that shares nothing with s.
func (s *sum) clone() *sum {
	if s == nil {
		return nil
	}
	c := *s
	c.Rows = slices.Clone(s.Rows)
	return &c
}

// digestOf is the digest of a path's last part.
func digestOf(name string) (Digest, bool) {
	for d := range maps.Keys(lists) {
		if name == string(d)+".json" {
			return d, true
		}
	}
	return "", false
}
