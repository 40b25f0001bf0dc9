package archive

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"lethe/shared/kind"
)

// Head is what the export file says about the request that it answers.
type Head struct {
	Task        string
	Project     string
	ProjectName string
	Compliance  string    // "gdpr" or "ccpa", as in the API's answers
	Disclosure  string    // "DATA", as in the API's answers
	From, To    time.Time // the window of events, zero for unbounded
	Requested   time.Time
	Snapshot    time.Time // only what was received up to then is in the file
}

// A SubjectFolder is the folder of one person: subjects/<Folder>/. A folder
// without records has no files, and says that nothing was found.
type SubjectFolder struct {
	Folder    int
	Submitted []kind.Subject // the ids that the request names
	Resolved  []kind.Subject // all ids of the person, those of Submitted among them
	Profiles  int64
	Events    int64
}

// A Manifest is what manifest.json says: request, and every other file of the
// archive with its checksum.
type Manifest struct {
	Version  int
	Head     Head
	Totals   Totals
	Subjects []SubjectFolder
	Files    []File // Path, Bytes, SHA256 and Records only
}

// Totals are the sums over all folders.
type Totals struct {
	Subjects int64 `json:"subjects"`
	Found    int64 `json:"found"` // folders that hold any record
	Profiles int64 `json:"profiles"`
	Events   int64 `json:"events"`
}

// manifestHead, manifestSubject and manifestFile are the JSON of the manifest, in
// the order of its keys.
type manifestHead struct {
	Version  int             `json:"version"`
	Request  manifestRequest `json:"request"`
	Window   manifestWindow  `json:"window"`
	Snapshot time.Time       `json:"snapshot"`
	Totals   Totals          `json:"totals"`
}

type manifestRequest struct {
	Task        string    `json:"task_id"`
	Project     string    `json:"project_id"`
	ProjectName string    `json:"project_name"`
	Compliance  string    `json:"compliance_type"`
	Disclosure  string    `json:"disclosure_type"`
	Requested   time.Time `json:"date_requested"`
}

type manifestWindow struct {
	From *time.Time `json:"from"`
	To   *time.Time `json:"to"`
}

type manifestSubject struct {
	Folder    int      `json:"folder"`
	Submitted []string `json:"submitted"`
	Resolved  []string `json:"resolved"`
	Profiles  int64    `json:"profiles"`
	Events    int64    `json:"events"`
}

type manifestFile struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Records int64  `json:"records"` // left out of files that hold none
}

func (f manifestFile) append(b []byte) []byte {
	b = appendString(append(b, `{"path":`...), f.Path)
	b = strconv.AppendInt(append(b, `,"bytes":`...), f.Bytes, 10)
	b = appendString(append(b, `,"sha256":`...), f.SHA256)
	if f.Records > 0 {
		b = strconv.AppendInt(append(b, `,"records":`...), f.Records, 10)
	}
	return append(b, '}')
}

func headOf(h Head, t Totals) manifestHead {
	m := manifestHead{
		Version: Version,
		Request: manifestRequest{
			Task: h.Task, Project: h.Project, ProjectName: h.ProjectName,
			Compliance: h.Compliance, Disclosure: h.Disclosure, Requested: h.Requested.UTC(),
		},
		Snapshot: h.Snapshot.UTC(),
		Totals:   t,
	}
	if !h.From.IsZero() {
		from := h.From.UTC()
		m.Window.From = &from
	}
	if !h.To.IsZero() {
		to := h.To.UTC()
		m.Window.To = &to
	}
	return m
}

func (m manifestHead) head() Head {
	h := Head{
		Task: m.Request.Task, Project: m.Request.Project, ProjectName: m.Request.ProjectName,
		Compliance: m.Request.Compliance, Disclosure: m.Request.Disclosure,
		Requested: m.Request.Requested, Snapshot: m.Snapshot,
	}
	if m.Window.From != nil {
		h.From = *m.Window.From
	}
	if m.Window.To != nil {
		h.To = *m.Window.To
	}
	return h
}

func (s manifestSubject) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"folder":`...), int64(s.Folder), 10)
	b = appendStrings(append(b, `,"submitted":`...), s.Submitted)
	b = appendStrings(append(b, `,"resolved":`...), s.Resolved)
	b = strconv.AppendInt(append(b, `,"profiles":`...), s.Profiles, 10)
	b = strconv.AppendInt(append(b, `,"events":`...), s.Events, 10)
	return append(b, '}')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// subjectOf writes identifiers out: the manifest is where a person finds them.
func subjectOf(s SubjectFolder) manifestSubject {
	return manifestSubject{
		Folder: s.Folder, Profiles: s.Profiles, Events: s.Events,
		Submitted: plain(s.Submitted), Resolved: plain(s.Resolved),
	}
}

func plain(ids []kind.Subject) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func (s manifestSubject) folder() SubjectFolder {
	return SubjectFolder{
		Folder: s.Folder, Profiles: s.Profiles, Events: s.Events,
		Submitted: subjects(s.Submitted), Resolved: subjects(s.Resolved),
	}
}

func subjects(ids []string) []kind.Subject {
	out := make([]kind.Subject, len(ids))
	for i, id := range ids {
		out[i] = kind.Subject(id)
	}
	return out
}

// A manifestWriter writes manifest.json as it goes, one subject or file a line.
type manifestWriter struct {
	w       io.Writer
	sep     string
	scratch []byte
}

func newManifest(w io.Writer, h Head, t Totals) (*manifestWriter, error) {
	b, err := json.MarshalIndent(headOf(h, t), "", "  ")
	if err != nil {
		return nil, kind.E(kind.Internal, "archive: manifest", err)
	}
	// The object goes on with the two lists.
	b = append(b[:len(b)-len("\n}")], ",\n  \"subjects\": ["...)
	_, err = w.Write(b)
	return &manifestWriter{w: w, sep: "\n    "}, err
}

func (m *manifestWriter) subject(s SubjectFolder) error {
	return m.element(subjectOf(s).append(append(m.scratch[:0], m.sep...)))
}

// files ends the subjects.
func (m *manifestWriter) files() error {
	m.sep = "\n    "
	_, err := io.WriteString(m.w, "\n  ],\n  \"files\": [")
	return err
}

func (m *manifestWriter) file(f File) error {
	line := manifestFile{Path: f.Path, Bytes: f.Bytes, SHA256: f.SHA256, Records: f.Records}
	return m.element(line.append(append(m.scratch[:0], m.sep...)))
}

func (m *manifestWriter) end() error {
	_, err := io.WriteString(m.w, "\n  ]\n}\n")
	return err
}

// element writes a separator and a value.
func (m *manifestWriter) element(b []byte) error {
	_, err := m.w.Write(b)
	m.scratch, m.sep = b, ",\n    "
	return err
}
