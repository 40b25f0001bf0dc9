package dsr

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A ledgerEntry is one erasure in the ledger, or opt-outs added or removed, or both,
// which a restore of an older backup replays. It names subjects by their marks alone.
type ledgerEntry struct {
	// Version is 1 of what only erases, and 2 of what a version of Lethe without
	// opt-outs must not read past.
	Version int    `json:"version"`
	Task    string `json:"task"` // the deletion, or a UUID of the entry's own
	Project string `json:"project"`
	// Disclosure is empty where nothing is erased.
	Disclosure Disclosure `json:"disclosure,omitempty"`
	Cutoff     time.Time  `json:"cutoff"`
	Marks      []string   `json:"marks"`
	Reruns     int        `json:"reruns,omitempty"`  // of the deletion, since it began
	OptOut     string     `json:"opt_out,omitempty"` // optOut, optIn or nothing
	Said       time.Time  `json:"said,omitzero"`     // the moment of what OptOut says, where that is not Cutoff
	Origin     string     `json:"origin,omitempty"`  // of the opt-outs
	// Owners are the Owner of each mark that has one, and Because likewise.
	Owners  map[string]string `json:"owners,omitempty"`
	Because map[string]string `json:"because,omitempty"`
	// Seal tells an entry of this deployment from one of another, or a damaged one:
	// kind.Keyring.Seal of the entry without it.
	Seal string `json:"seal,omitempty"`
}

// Values of ledgerEntry.OptOut.
const (
	optOut = "add"
	optIn  = "remove"
)

// say puts words of one moment and one origin, all of which add or all of which remove,
// into an entry, whose marks they are about.
func (e *ledgerEntry) say(words []Word) {
	e.Version, e.OptOut, e.Origin, e.Marks = 2, optIn, words[0].Origin, nil
	if words[0].Out {
		e.OptOut = optOut
	}
	if !words[0].Time.Equal(e.Cutoff) {
		e.Said = words[0].Time
	}
	e.Owners, e.Because = map[string]string{}, map[string]string{}
	for _, w := range words {
		e.Marks = append(e.Marks, w.Name)
		if w.Owner != "" {
			e.Owners[w.Name] = w.Owner
		}
		if w.Because != "" {
			e.Because[w.Name] = w.Because
		}
	}
}

// words is the reverse of say.
func (e ledgerEntry) words() []Word {
	if e.OptOut == "" {
		return nil
	}
	words := make([]Word, len(e.Marks))
	for i, mark := range e.Marks {
		words[i] = Word{
			Name: mark, Time: cmp.Or(e.Said, e.Cutoff), Out: e.OptOut == optOut, Origin: e.Origin, Owner: e.Owners[mark], Because: e.Because[mark],
		}
	}
	return words
}

// name is what the entry is called in the ledger: another for other marks, so that no
// entry is ever written over by one that holds less; and for a deletion that was run
// again, so that records in which it had broken are known to be behind those in which
// it came to its end.
func (e ledgerEntry) name() string {
	of := slices.Sorted(slices.Values(e.Marks))
	if e.Reruns > 0 {
		of = append(of, strconv.Itoa(e.Reruns))
	}
	sum := sha256.Sum256([]byte(strings.Join(of, "\n")))
	return moment(e.Cutoff) + "-" + e.Task + "-" + hex.EncodeToString(sum[:8])
}

// sealed is what the seal of an entry is made of.
func (e ledgerEntry) sealed() ([]byte, error) {
	e.Seal = ""
	data, err := json.Marshal(e)
	if err != nil {
		return nil, kind.E(kind.Internal, "encode the ledger")
	}
	return data, nil
}

// writeLedger puts an entry into the bucket, and into the second place if there is
// one, before what it tells of is done. Run again it writes the same over it.
func (s *Service) writeLedger(ctx context.Context, entry ledgerEntry) error {
	unsealed, err := entry.sealed()
	if err != nil {
		return err
	}
	entry.Seal = s.Keys.Seal(ledgerPrefix, unsealed)
	data, err := json.Marshal(entry)
	if err != nil {
		return kind.E(kind.Internal, "encode the ledger")
	}
	// The records are told first, or they would be taken to be behind the ledger.
	if err := s.know(ctx, []string{entry.name()}); err != nil {
		return err
	}
	if err := s.Bucket.Put(ctx, ledgerObject(entry.name()), bytes.NewReader(data)); err != nil {
		return kind.Wrap("write the ledger", err)
	}
	if s.LedgerCopy == nil {
		return nil
	}
	return kind.Wrap("write the copy of the ledger", s.LedgerCopy.Put(ctx, ledgerObject(entry.name()), bytes.NewReader(data)))
}

// Adopt takes over what another bucket of the same deployment knows and this one
// does not: its part of the ledger, and certificates.
//
// An entry that is damaged, of another deployment or under a key that is not among
// the keys is kind.Corrupt, and nothing of it is taken over.
func (s *Service) Adopt(ctx context.Context, from blob.Bucket) error {
	if _, err := s.adoptLedger(ctx, s.Bucket, from); err != nil {
		return err
	}
	return kind.Wrap("take over certificates", blob.Missing(ctx, from, s.Bucket, certificatePrefix, func(f blob.Info) error {
		return blob.Copy(ctx, from, s.Bucket, f.Key)
	}))
}

// adoptLedger copies the entries that one bucket has and another has not, and returns
// how many those were.
func (s *Service) adoptLedger(ctx context.Context, into, from blob.Bucket) (n int, err error) {
	err = blob.Missing(ctx, from, into, ledgerPrefix, s.entries(ctx, func(f blob.Info) error {
		if _, err := s.readEntry(ctx, from, f.Key); err != nil {
			return err
		}
		n++
		return blob.Copy(ctx, from, into, f.Key)
	}))
	return n, kind.Wrap("take over the ledger", err)
}

// CopyLedger puts what the copy of the ledger lacks into it, if there is one: it may
// have been set up when there was a ledger already, or been away for a time.
func (s *Service) CopyLedger(ctx context.Context) error {
	if s.LedgerCopy == nil {
		return nil
	}
	n, err := s.adoptLedger(ctx, s.LedgerCopy, s.Bucket)
	if err == nil && n > 0 {
		s.Log.InfoContext(ctx, "the copy of the ledger has now what it lacked", "entries", n)
	}
	return err
}

// entryNames is how the ledger's files are called, in any release: wide, since an entry
// that was passed over would let somebody back in who was erased.
var entryNames = regexp.MustCompile(`^[0-9]{13}-[^/]+\.json$`)

// entries lets f see the files of the ledger. One that cannot be an entry by its name is
// none of Lethe's: it is told in the log and passed over.
func (s *Service) entries(ctx context.Context, f func(blob.Info) error) func(blob.Info) error {
	return func(file blob.Info) error {
		if name := strings.TrimPrefix(file.Key, ledgerPrefix); !entryNames.MatchString(name) {
			s.Log.WarnContext(ctx, "a file in the ledger is no entry by its name; remove it", "file", name)
			return nil
		}
		return f(file)
	}
}

// eachEntry calls f with the entries of the ledger in a bucket.
func (s *Service) eachEntry(ctx context.Context, bucket blob.Bucket, f func(blob.Info) error) error {
	return blob.Each(ctx, bucket, ledgerPrefix, s.entries(ctx, f))
}

// Behind reports whether the ledger or its copy tells of an erasure or of opt-outs
// that the records do not know of: then they were put back from an older state, and nobody
// may be answered from them before Restore has ended well. An entry that they do
// not know of and that cannot be read is kind.Corrupt, as is one of another
// deployment.
func (s *Service) Behind(ctx context.Context) (bool, error) {
	known := map[string]bool{}
	err := s.eachItem(ctx, ledgerPartition, "", func(item table.Item) error {
		known[item.SK] = true
		return nil
	})
	if err != nil {
		return false, err
	}
	behind := false
	for _, bucket := range []blob.Bucket{s.Bucket, s.LedgerCopy} {
		if bucket == nil {
			continue
		}
		err := s.eachEntry(ctx, bucket, func(f blob.Info) error {
			if known[entryName(f.Key)] {
				return nil
			}
			behind = true
			_, err := s.readEntry(ctx, bucket, f.Key)
			return err
		})
		if err != nil {
			return false, kind.Wrap("compare the records with the ledger", err)
		}
	}
	return behind, nil
}

// know tells the records of entries of the ledger.
func (s *Service) know(ctx context.Context, entries []string) error {
	ops := make([]table.Op, len(entries))
	for i, name := range entries {
		ops[i] = knownEntry(name)
	}
	return kind.Wrap("tell the records of the ledger", s.Control.WriteMany(ctx, ops))
}

// knownEntry writes what Behind compares the ledger with.
func knownEntry(name string) table.Op {
	return table.Put(table.Item{Key: table.Key{PK: ledgerPartition, SK: name}, Data: []byte("{}")}, table.Cond{})
}

// entryName is the name of an entry without its place.
func entryName(key string) string { return strings.TrimSuffix(path.Base(key), ".json") }

// A ledger is what a restore has to know of all entries.
type ledger struct {
	entries []string                     // their names
	marks   map[string]map[string]graves // by project and mark
	tasks   map[string]time.Time         // the cutoff of each task
	words   map[string]map[string]Word   // the last by project and mark
}

// A grave is an erasure of a subject.
type grave struct {
	cutoff     time.Time
	task       string
	disclosure Disclosure
}

// graves are the erasures of a subject that are to be done again, in their order.
// One that removed more up to a later time stands for those before it, so there is
// at most one of each type.
type graves []grave

// reach orders types of disclosure by how much a deletion removes.
var reach = map[Disclosure]int{Sources: 1, Categories: 2, Data: 3}

// with is g and one more, or g where that says nothing new.
func (g graves) with(more grave) graves {
	covers := func(a, b grave) bool { return !a.cutoff.Before(b.cutoff) && reach[a.disclosure] >= reach[b.disclosure] }
	if slices.ContainsFunc(g, func(have grave) bool { return covers(have, more) }) {
		return g
	}
	left := make(graves, 0, len(g)+1)
	for _, have := range g {
		if !covers(more, have) {
			left = append(left, have)
		}
	}
	left = append(left, more)
	slices.SortFunc(left, func(a, b grave) int { return a.cutoff.Compare(b.cutoff) })
	return left
}

// latest is the last of them.
func (g graves) latest() grave { return g[len(g)-1] }

// find tells of the erasures under any of the marks of a subject.
func (l ledger) find(project string, marks []string) (all graves) {
	for _, mark := range marks {
		for _, g := range l.marks[project][mark] {
			all = all.with(g)
		}
	}
	return all
}

// readLedger reads the whole ledger. Of a million erased people it takes some
// 300 MB.
func (s *Service) readLedger(ctx context.Context) (ledger, error) {
	l := ledger{marks: map[string]map[string]graves{}, tasks: map[string]time.Time{}, words: map[string]map[string]Word{}}
	err := s.eachEntry(ctx, s.Bucket, func(f blob.Info) error {
		e, err := s.readEntry(ctx, s.Bucket, f.Key)
		if err != nil {
			return err
		}
		l.entries = append(l.entries, entryName(f.Key))
		if l.words[e.Project] == nil {
			l.words[e.Project] = map[string]Word{}
		}
		for _, w := range e.words() {
			l.words[e.Project][w.Name] = w.Over(l.words[e.Project][w.Name])
		}
		if e.Disclosure == "" {
			return nil
		}
		l.tasks[e.Task] = e.Cutoff
		if l.marks[e.Project] == nil {
			l.marks[e.Project] = map[string]graves{}
		}
		for _, mark := range e.Marks {
			l.marks[e.Project][mark] = l.marks[e.Project][mark].with(grave{e.Cutoff, e.Task, e.Disclosure})
		}
		return nil
	})
	for _, words := range l.words {
		optBackIn(words)
	}
	return l, kind.Wrap("read the ledger", err)
}

// optBackIn opts in who was to be opted out with somebody else and was not, or not for
// long, since that one was opted in while the ledger was being written.
func optBackIn(words map[string]Word) {
	for mark, w := range words {
		if because, said := words[w.Because]; w.Out && said && !because.Out {
			words[mark] = Word{Name: mark, Time: after([][]Word{{w}}, because.Time), Origin: because.Origin}
		}
	}
}

// readEntry reads an entry of this deployment.
func (s *Service) readEntry(ctx context.Context, from blob.Bucket, key string) (e ledgerEntry, err error) {
	data, err := readAll(ctx, from, key)
	if err != nil {
		return e, err
	}
	// The name is made of a time and a task, so it may be shown.
	if json.Unmarshal(data, &e) != nil || e.Task == "" || e.Project == "" || e.Cutoff.IsZero() || e.Version <= 2 && e.Seal == "" {
		return e, kind.Say(kind.Corrupt, "The entry "+path.Base(key)+" of the ledger is damaged: put it back from another copy of the ledger. Without it, people who were erased or opted out would come back.")
	}
	known := e.Version == 1 && reach[e.Disclosure] > 0 && e.OptOut == "" ||
		e.Version == 2 && (reach[e.Disclosure] > 0 || e.Disclosure == "") && (e.OptOut == optOut || e.OptOut == optIn)
	if !known {
		return e, kind.Say(kind.Invalid, "The entry "+path.Base(key)+" of the ledger was written by a newer version of Lethe: run that version or a newer one.")
	}
	for _, name := range append(e.Marks, e.Seal) {
		if !s.Keys.Has(name) {
			version, _, _ := strings.Cut(name, ".")
			return e, kind.Say(kind.Corrupt, "The entry "+path.Base(key)+" of the ledger is under version "+strconv.Quote(version)+" of the suppression key, which is not among the keys: put keys/suppression back with every version, or on AWS name every version in KeyVersions and -key-versions. Without it, people who were erased or opted out would come back. If no such version ever was, the ledger is of another deployment.")
		}
	}
	data, err = e.sealed()
	if err == nil && !s.Keys.Sealed(ledgerPrefix, data, e.Seal) {
		err = kind.Say(kind.Corrupt, "The entry "+path.Base(key)+" of the ledger is damaged, or of another deployment, whose suppression keys are others: name the copy of this deployment's ledger.")
	}
	return e, err
}

// readAll reads a small file whole.
func readAll(ctx context.Context, from blob.Bucket, key string) ([]byte, error) {
	r, err := from.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
