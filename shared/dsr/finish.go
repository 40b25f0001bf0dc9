package dsr

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Finish is the last task of both machines: it tells what was found, and closes
// the request. For a deletion it first withdraws every archive that holds an
// erased subject, writes the certificate, and has every source wipe what it
// erased from its files, so that SUCCESS means it is gone. A step that carries a
// failure closes the request as FAILURE. It answers Closed.
func (s *Service) Finish(ctx context.Context, step Step) (Step, error) {
	r, version, closed, err := s.open(ctx, step)
	if closed || err != nil {
		return step.after(Closed), err
	}
	if step.Failure != nil {
		return step.after(Closed), s.breakOff(ctx, r, version, step.Failure.Error, failure(step.Failure.Error))
	}
	if r.Type == Export {
		err = s.finishExport(ctx, r, version)
	} else {
		err = s.finishDeletion(ctx, r, version)
	}
	return step.after(Closed), err
}

// failure puts the name of an error into a sentence.
func failure(name string) string {
	switch kind.Kind(name) {
	case kind.Throttled, kind.Unavailable:
		return "A part of the system did not answer for too long. Run the request again; it goes on from what is done."
	case kind.Corrupt:
		return "Stored data was not as it must be, or could not be erased. Look into the log before you run the request again."
	}
	return "The work ended with an error (" + name + "). Run the request again; it goes on from what is done."
}

func (s *Service) finishExport(ctx context.Context, r Request, version table.Version) error {
	if err := s.dropSegments(ctx, r); err != nil {
		return err
	}
	if r.ArchiveSize == 0 {
		r.Afresh = true
		if r.Period != (Period{}) {
			return s.fail(ctx, r, version, `Nothing was found for any of the identifiers in the window of this request, so there is nothing to hand out. With "window":"all" a request asks for everything.`)
		}
		return s.fail(ctx, r, version, "Nothing was found for any of the identifiers, so there is nothing to hand out.")
	}
	r.Finished = s.now()
	_, err := s.move(ctx, r, version, Success, program, "finish")
	return err
}

func (s *Service) finishDeletion(ctx context.Context, r Request, version table.Version) error {
	before, err := s.tally(ctx, r)
	if err != nil {
		return err
	}
	withdrawn, err := s.withdraw(ctx, r)
	if err != nil {
		return err
	}
	for _, src := range s.Sources {
		if err := src.Scrub(ctx); err != nil {
			return kind.Wrap("wipe what was erased", err)
		}
	}
	r.Before, r.Finished = before, s.now()
	if err := s.certify(ctx, r, withdrawn); err != nil {
		return err
	}
	if erasedNothing(r) {
		return s.fail(ctx, r, version, nothingErased(r))
	}
	_, err = s.move(ctx, r, version, Success, program, "finish")
	return err
}

// nothingErased is why a deletion ends as a failure that had nothing to do.
func nothingErased(r Request) string {
	return nothingFound(r) + " " + keptOut(r) + " Make a new request for what was received since: this one, run again, looks for the same."
}

// erasedNothing reports whether a deletion had nothing to do.
func erasedNothing(r Request) bool { return r.Before == (Tally{}) && r.Restored == (Tally{}) }

func nothingFound(r Request) string {
	if r.Disclosure == Sources {
		return "Nothing that tells of the means of collection was found for any of the identifiers."
	}
	return "Nothing was found for any of the identifiers."
}

// keptOut says what becomes of data that a deletion which found nothing is followed by.
func keptOut(r Request) string {
	switch {
	case r.Block:
		return "They are opted out all the same: nothing of theirs is stored from now on."
	case r.Disclosure == Sources:
		return "It is left out of data of theirs that arrives late all the same."
	}
	return "Data of theirs that arrives late stays out all the same."
}

// effects say in a sentence what became of the records that a certificate counts.
var effects = map[Disclosure]string{
	Data:       "The records counted before were removed.",
	Categories: "The profiles and edges counted before were removed, and the events were made bare: of each its name and its day stay, under a random key that leads to nobody.",
	Sources:    "The records counted before held properties that describe the means of collection, which were removed from them; the records stay.",
}

// withdraw takes back every export that concerns a subject of r: its files go, and
// its record says so. It returns the tasks whose archive was taken back, now or by
// an earlier run.
func (s *Service) withdraw(ctx context.Context, r Request) ([]string, error) {
	ids, err := s.marked(ctx, r)
	if err != nil {
		return nil, err
	}
	exports, err := s.others(ctx, r, ids, Export)
	if err != nil {
		return nil, err
	}
	var tasks []string
	for _, e := range exports {
		if e.Plan == 0 && e.Limit.IsZero() {
			continue // it has read nothing, and reads nothing before this deletion ends
		}
		current, err := s.takeBack(ctx, e.Task, r.Task)
		if err != nil {
			return nil, err
		}
		if current.ArchiveSize > 0 && current.WithdrawnBy == r.Task {
			tasks = append(tasks, e.Task)
		}
	}
	slices.Sort(tasks)
	return tasks, nil
}

// takeBack removes everything that an export has read out, in the name of a
// deletion, and returns its record as it is then.
func (s *Service) takeBack(ctx context.Context, export, deletion string) (Request, error) {
	r, version, err := s.load(ctx, export)
	if kind.Of(err) == kind.NotFound {
		return r, nil // its record has gone by its time since it was found, and its files long before
	}
	if err != nil {
		return r, err
	}
	if !r.Withdrawn {
		r.Withdrawn, r.WithdrawnBy = true, deletion
		if err := s.swap(ctx, r, version); err != nil {
			return r, err
		}
	}
	return r, s.dropAll(ctx, r)
}

// A certificate is the proof of a deletion: numbers and marks, never an
// identifier. docs/format.md describes it.
type certificate struct {
	Version    int        `json:"version"`
	Task       string     `json:"task"`
	Project    string     `json:"project"`
	Compliance Compliance `json:"compliance"`
	Disclosure Disclosure `json:"disclosure"`
	Effect     string     `json:"effect"`
	Requested  time.Time  `json:"requested"`
	Cutoff     time.Time  `json:"cutoff"`
	Completed  time.Time  `json:"completed"`
	// Blocked means that everyone in it was opted out when it began.
	Blocked bool    `json:"blocked,omitempty"`
	Sources []proof `json:"sources"`
	// Restored is what a restore of a backup erased, on top of Sources, where one was
	// restored after the deletion had begun.
	Restored *Tally `json:"restored,omitempty"`
	// BackupsUntil is when the last backup goes that can hold the data; null where
	// the deployment was not told how long backups are kept.
	BackupsUntil      *time.Time `json:"backups_until"`
	WithdrawnArchives []string   `json:"withdrawn_archives"`
	// Earlier is the certificate that the same deletion had before it was run again.
	Earlier json.RawMessage `json:"earlier,omitempty"`
	// SHA256 is that of this JSON, as it stands, with "" in this field.
	SHA256 string `json:"sha256"`
}

// proof is what one source held of the subjects.
type proof struct {
	Name        string       `json:"name"`
	Before      Tally        `json:"before"`
	After       Tally        `json:"after"`
	Identifiers []identifier `json:"identifiers"`
}

type identifier struct {
	Mark   string `json:"mark"` // "<key version>.<HMAC-SHA-256>" of project and identifier
	Before counts `json:"before"`
	After  counts `json:"after"`
}

type counts struct {
	Events   int64 `json:"events"`
	Profiles int64 `json:"profiles"`
	Edges    int64 `json:"edges"`
}

func (s *Service) certify(ctx context.Context, r Request, withdrawn []string) error {
	c := certificate{
		Version: 1, Task: r.Task, Project: r.Project, Compliance: r.Compliance, Disclosure: r.Disclosure,
		Effect: effects[r.Disclosure], Requested: r.Created, Cutoff: r.Limit, Completed: r.Finished, Blocked: r.Block, WithdrawnArchives: append([]string{}, withdrawn...),
	}
	if erasedNothing(r) {
		c.Effect = nothingFound(r) + " Nothing was removed."
	}
	if r.Restored != (Tally{}) {
		c.Restored = &r.Restored
	}
	if s.Settings.BackupLife > 0 {
		until := r.Finished.Add(s.Settings.BackupLife)
		c.BackupsUntil = &until
	}
	err := s.allWork(ctx, r, func(w *work) error {
		if w.cursor.Phase != verified {
			return kind.E(kind.Corrupt, "certify: a batch was not verified")
		}
		if len(c.Sources) == 0 || c.Sources[len(c.Sources)-1].Name != w.Source {
			c.Sources = append(c.Sources, proof{Name: w.Source})
		}
		p := &c.Sources[len(c.Sources)-1]
		for i, cl := range w.Clusters {
			t, _ := w.cursor.clusterTally(i)
			if t != (Tally{}) {
				p.Before.Subjects += int64(len(cl.Submitted))
			}
			for j, id := range cl.IDs {
				p.Identifiers = append(p.Identifiers, identifier{Mark: s.Keys.Mark(r.Project, kind.Subject(id)), Before: w.cursor.idCounts(i, j)})
			}
		}
		for _, f := range w.cursor.Found {
			p.Before.add(f)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.Earlier, err = s.earlier(ctx, r); err != nil {
		return err
	}
	unsigned, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return kind.E(kind.Internal, "encode a certificate")
	}
	sum := sha256.Sum256(unsigned)
	c.SHA256 = hex.EncodeToString(sum[:])
	signed, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return kind.E(kind.Internal, "encode a certificate")
	}
	return kind.Wrap("write the certificate", s.Bucket.Put(ctx, certificateObject(r.Task), bytes.NewReader(signed)))
}

// earlier reads the certificate that r had before its present run, or nil: one of
// before a restore tells what was really there, which this run does not find any
// more.
func (s *Service) earlier(ctx context.Context, r Request) (json.RawMessage, error) {
	data, err := readAll(ctx, s.Bucket, certificateObject(r.Task))
	if kind.Of(err) == kind.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var there certificate
	if json.Unmarshal(data, &there) != nil {
		return nil, kind.E(kind.Corrupt, "read the earlier certificate")
	}
	if there.Completed.Before(r.Timeline[len(r.Timeline)-1].Time) {
		return data, nil
	}
	return there.Earlier, nil // this run wrote it, and is run a second time
}

func (c cursor) idCounts(cluster, id int) counts {
	for _, f := range c.Found {
		if f.Cluster == cluster && f.ID == id {
			return counts{f.Events, f.Profiles, f.Edges}
		}
	}
	return counts{}
}
