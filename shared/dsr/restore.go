package dsr

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lethe/shared/archive"
	"lethe/shared/blob"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A Restorable source keeps its records where a restore of a backup puts them
// back too. Any other source holds now what it held before a restore.
type Restorable interface {
	Source
	// EachSubject calls f with every subject that has records, of all projects, at
	// least once each and in no order, until f returns an error, which it returns.
	EachSubject(ctx context.Context, f func(project string, id kind.Subject) error) error
}

// A Restoration is what Restore did, as programs are told of it.
type Restoration struct {
	Erasures int     `json:"erasures"`            // deletions in the ledger, which were replayed
	Erased   Tally   `json:"erased_again"`        // what had come back and was erased again, and of how many identifiers
	OptOuts  int     `json:"opt_outs"`            // marks that the ledger tells to be opted out
	Archives int     `json:"archives_taken_back"` // export files
	Unknown  int     `json:"archives_removed"`    // export files of no request of the records
	Held     int     `json:"requests_held"`       // until they are confirmed
	Alone    []Alone `json:"certificates_alone"`  // in the order in which they were completed; not null
}

// Alone is a certificate whose deletion the records do not know: it came in after the
// backup and had ended, or had been retired. It is kept as long as a record of it would
// be.
type Alone struct {
	Task      string    `json:"task_id"`
	Project   string    `json:"project"`
	Completed time.Time `json:"completed"`
}

// heldSentence is why a request waits after a restore.
func heldSentence(r Request) string {
	const why = "Held since a backup was restored: what was done about it after the backup is not known here. "
	if r.Begun() {
		return why + "It had begun to erase, so it cannot be cancelled: confirm it to let it go on."
	}
	return why + "Confirm it to let it go on, or cancel it."
}

// Restore brings records that were put back from a backup up to what the ledger
// knows, before anybody is answered from them: it holds every open request until
// Confirm or Cancel, stops its execution, keeps late data of everyone in the ledger
// out, finds them among all subjects by their marks, erases what had come back,
// looks again, opts out and in whom the ledger says, takes back archives that hold it, removes files that the records do
// not account for, and wipes what was erased. Nothing else may be at work on the
// deployment. Last it tells the records of the ledger, so that Behind is false.
//
// The ledger is that in the bucket; Adopt adds to it. When Restore returns an
// error it has done a part; running it again does the rest. A part of the ledger
// that cannot be read is kind.Corrupt, and then nothing was held or erased.
func (s *Service) Restore(ctx context.Context) (Restoration, error) {
	done := Restoration{Alone: []Alone{}}
	var err error
	if s.LedgerCopy != nil {
		// Either may know of erasures that the other does not.
		if _, err := s.adoptLedger(ctx, s.Bucket, s.LedgerCopy); err != nil {
			return done, err
		}
		if err := s.CopyLedger(ctx); err != nil {
			return done, err
		}
	}
	if _, err := s.readLedger(ctx); err != nil {
		return done, err
	}
	if done.Held, err = s.hold(ctx); err != nil {
		return done, err
	}
	// Read again: until its execution was stopped, a deletion could begin.
	known, err := s.readLedger(ctx)
	if err != nil {
		return done, err
	}
	done.Erasures = len(known.tasks)
	if err := s.recall(ctx, known); err != nil {
		return done, err
	}
	for project, marks := range known.marks {
		if err := s.suppressAgain(ctx, project, marks); err != nil {
			return done, err
		}
	}
	for project, words := range known.words {
		for _, w := range words {
			if w.Out {
				done.OptOuts++
			}
		}
		if err := s.sayAll(ctx, project, slices.Collect(maps.Values(words)), Blocker.Say); err != nil {
			return done, err
		}
	}
	for _, src := range s.Sources {
		restored, ok := src.(Restorable)
		if !ok {
			continue
		}
		a := again{service: s, source: restored, known: known, done: &done, waiting: map[scopeOf]map[kind.Subject]bool{}}
		if err := a.run(ctx); err != nil {
			return done, kind.Wrap("erase what had come back", err)
		}
	}
	if done.Archives, err = s.withdrawAgain(ctx, known); err != nil {
		return done, err
	}
	if done.Unknown, err = s.dropUnknown(ctx); err != nil {
		return done, err
	}
	if done.Alone, err = s.alone(ctx); err != nil {
		return done, err
	}
	for _, src := range s.Sources {
		if err := src.Scrub(ctx); err != nil {
			return done, kind.Wrap("wipe what was erased", err)
		}
	}
	return done, s.know(ctx, known.entries)
}

// Lost is a request that has to be sent in again.
type Lost struct {
	Task    string    `json:"task_id"`
	Project string    `json:"project"`
	Type    Type      `json:"type"`
	Created time.Time `json:"date_requested"`
	Due     time.Time `json:"due"`
}

// Lost returns the requests of other records, as of a directory that is replaced,
// that these do not know and that were not answered: what was sent in after the backup
// was made has to be sent in again. Oldest first; empty, not nil, without any.
func (s *Service) Lost(ctx context.Context, other table.Table) ([]Lost, error) {
	lost := []Lost{}
	there := &Service{Parts: Parts{Control: other}}
	err := other.Partitions(ctx, func(pk string) error {
		task, ok := strings.CutPrefix(pk, requestPartition)
		if !ok {
			return nil
		}
		r, _, err := there.load(ctx, task)
		if kind.Of(err) == kind.NotFound {
			return nil
		}
		if err != nil || !r.Status.Open() && !r.Broken {
			return err
		}
		_, _, err = s.load(ctx, task)
		if kind.Of(err) == kind.NotFound {
			lost, err = append(lost, Lost{r.Task, r.Project, r.Type, r.Created, r.Due}), nil
		}
		return err
	})
	slices.SortFunc(lost, func(a, b Lost) int { return a.Created.Compare(b.Created) })
	return lost, kind.Wrap("look for requests that were sent in after the backup", err)
}

// recall tells requests that the ledger knows to have begun that they have: from
// then on they keep their cutoff and cannot be cancelled.
func (s *Service) recall(ctx context.Context, known ledger) error {
	for task, cutoff := range known.tasks {
		r, version, err := s.load(ctx, task)
		if kind.Of(err) == kind.NotFound {
			continue // submitted after the backup
		}
		if err != nil {
			return err
		}
		if r.Type != Deletion || r.Begun() || r.Status == Success {
			continue
		}
		r.Limit = cutoff
		// Whom it was about was found out after the backup, and Plan does so again, by the
		// links of then.
		r.Set, r.Batches, r.Plan = "", 0, r.Plan+1
		if r.Hold == HoldRestore {
			r.Reason = heldSentence(r)
		}
		if err := s.swap(ctx, r, version); err != nil {
			return err
		}
	}
	return nil
}

// hold stops the execution of every open request and puts the request to STAGING,
// where only Confirm or a cancel moves it. What exports had read out goes.
func (s *Service) hold(ctx context.Context) (held int, err error) {
	_, err = s.eachOpen(ctx, func(r Request) error {
		held++
		err := s.holdOne(ctx, r.Task)
		if kind.Of(err) == kind.Conflict {
			err = s.holdOne(ctx, r.Task) // a task moved it last before its execution was stopped
		}
		if err != nil {
			return kind.Wrap("hold "+r.Task, err)
		}
		if r.Type == Export {
			return s.dropAll(ctx, r)
		}
		return nil
	})
	return held, err
}

func (s *Service) holdOne(ctx context.Context, task string) error {
	r, version, err := s.load(ctx, task)
	if err != nil {
		return err
	}
	// Executions of later attempts may have been started since the backup, also of a
	// request that was held in it, and their names are used up.
	before := r.Attempt
	for attempt := r.Attempt; ; attempt++ {
		next := r
		next.Attempt = attempt
		e, err := s.Workflow.Describe(ctx, string(r.Type), executionName(next))
		if kind.Of(err) == kind.NotFound {
			break
		}
		if err != nil {
			return err
		}
		r.Attempt = attempt
		if e.Status == ExecutionRunning {
			if err := s.Workflow.Stop(ctx, string(r.Type), executionName(r), "a backup was restored"); err != nil {
				return err
			}
		}
	}
	if r.Hold == HoldRestore && r.Attempt == before {
		return nil
	}
	r.Hold, r.Held, r.Reason = HoldRestore, s.now(), heldSentence(r)
	r.Afresh = r.Type == Export
	_, err = s.move(ctx, r, version, Staging, program, hold)
	return err
}

// suppressAgain writes the tombstones of one project anew.
func (s *Service) suppressAgain(ctx context.Context, project string, names map[string]graves) error {
	marks := make([]Mark, 0, len(names))
	for name, all := range names {
		for _, g := range all {
			marks = append(marks, Mark{Name: name, Task: g.task, Cutoff: g.cutoff, Disclosure: g.disclosure})
		}
	}
	for _, src := range s.Sources {
		if _, ok := src.(Restorable); !ok {
			continue
		}
		for part := range slices.Chunk(marks, 1000) {
			if err := src.Suppress(ctx, project, part); err != nil {
				return kind.Wrap("write tombstones", err)
			}
		}
	}
	return nil
}

// again goes through the subjects of a source and erases those of the ledger.
type again struct {
	service *Service
	source  Restorable
	known   ledger
	done    *Restoration
	waiting map[scopeOf]map[kind.Subject]bool // to be erased
	count   int                               // of them
}

// scopeOf is what the subjects of one scope share.
type scopeOf struct {
	project string
	grave
}

// mostWaiting bounds the subjects that are erased together.
const mostWaiting = 2000

func (a *again) run(ctx context.Context) error {
	err := a.source.EachSubject(ctx, func(project string, id kind.Subject) error {
		marks := a.service.Keys.Marks(project, id)
		all := a.known.find(project, marks)
		if len(all) == 0 {
			return nil
		}
		// The ledger has the mark under the key of its time; an export of before may be
		// found under an earlier one only.
		for _, mark := range marks {
			a.known.marks[project][mark] = all
		}
		for _, g := range all {
			of := scopeOf{project, g}
			if a.waiting[of] == nil {
				a.waiting[of] = map[kind.Subject]bool{}
			}
			a.waiting[of][id] = true
			a.count++
		}
		if a.count < mostWaiting {
			return nil
		}
		return a.flush(ctx)
	})
	if err != nil {
		return err
	}
	return a.flush(ctx)
}

// flush erases the subjects that wait for it, in the order of the erasures: what
// was removed whole must not be made bare by a later one.
func (a *again) flush(ctx context.Context) error {
	inOrder := slices.SortedFunc(maps.Keys(a.waiting), func(a, b scopeOf) int { return a.cutoff.Compare(b.cutoff) })
	for _, of := range inOrder {
		back, err := a.tally(ctx, of, slices.Sorted(maps.Keys(a.waiting[of])))
		if err != nil {
			return err
		}
		for part := range slices.Chunk(back, 100) {
			if err := a.erase(ctx, of, part); err != nil {
				return err
			}
		}
	}
	clear(a.waiting)
	a.count = 0
	return nil
}

// tally counts what had come back, and returns whose that is. Nobody knows any more who
// of them is one person, so their records are counted as if all were: a link between
// two then counts once.
func (a *again) tally(ctx context.Context, of scopeOf, ids []kind.Subject) (back []kind.Subject, err error) {
	there, err := drain(ctx, a.source.Find, of.scope(strangers(ids)...))
	if err != nil || len(there) == 0 {
		return nil, err
	}
	for _, f := range there {
		back = append(back, ids[f.Cluster])
	}
	found, err := drain(ctx, a.source.Find, of.scope(Cluster{Folder: 1, Submitted: back, IDs: back}))
	if err != nil {
		return nil, err
	}
	t := Tally{Subjects: int64(len(back))}
	for _, f := range found {
		t.add(f)
	}
	a.done.Erased.sum(t)
	return back, a.service.credit(ctx, of.task, t)
}

// erase erases and looks again, until nothing is left.
func (a *again) erase(ctx context.Context, of scopeOf, ids []kind.Subject) error {
	for range maxRounds {
		if _, err := drain(ctx, a.source.Erase, of.scope(strangers(ids)...)); err != nil {
			return err
		}
		if left, err := drain(ctx, a.source.Find, of.scope(strangers(ids)...)); err != nil || len(left) == 0 {
			return err
		}
	}
	return kind.E(kind.Corrupt, "something is left after three rounds of erasing")
}

// strangers are ids as people of their own, each.
func strangers(ids []kind.Subject) []Cluster {
	each := make([]Cluster, len(ids))
	for i, id := range ids {
		each[i] = Cluster{Folder: i + 1, Submitted: []kind.Subject{id}, IDs: []kind.Subject{id}}
	}
	return each
}

// scope is what is to be erased of these people.
func (of scopeOf) scope(people ...Cluster) Scope {
	return Scope{Project: of.project, Clusters: people, Limit: of.cutoff, Erasure: true, Disclosure: of.disclosure}
}

// drain asks a source until it has been through.
func drain(ctx context.Context, step func(context.Context, Scope, string) (Progress, error), scope Scope) ([]Found, error) {
	var found []Found
	for cursor := ""; ; {
		p, err := step(ctx, scope, cursor)
		if err != nil {
			return nil, err
		}
		found = merge(found, p.Found)
		if p.Done {
			return found, nil
		}
		cursor = p.Cursor
	}
}

// credit notes with a deletion, if it is open, what is erased in its name, so that
// its certificate tells of it. A restore that was cut off and run again counts
// twice what the first run noted and had not erased.
func (s *Service) credit(ctx context.Context, task string, t Tally) error {
	r, version, err := s.load(ctx, task)
	if kind.Of(err) == kind.NotFound {
		return nil // submitted after the backup
	}
	if err != nil || !r.Status.Open() {
		return err
	}
	r.Restored.sum(t)
	return s.swap(ctx, r, version)
}

// withdrawAgain takes back the archives of exports that ended before an erasure
// of one of their subjects.
func (s *Service) withdrawAgain(ctx context.Context, known ledger) (int, error) {
	exports := map[string]grave{}
	for project, marks := range known.marks {
		for name, all := range marks {
			g := all.latest()
			err := s.eachItem(ctx, markPartition(project, name), "", func(item table.Item) error {
				row, err := decode[markRow](item)
				if err == nil && row.Type == Export && g.cutoff.After(exports[item.SK].cutoff) {
					exports[item.SK] = g
				}
				return err
			})
			if err != nil {
				return 0, err
			}
		}
	}
	archives := 0
	for task, g := range exports {
		r, _, err := s.load(ctx, task)
		if kind.Of(err) == kind.NotFound {
			continue
		}
		if err != nil {
			return archives, err
		}
		if r.Status.Open() || r.Limit.IsZero() || r.Limit.After(g.cutoff) {
			continue // it holds nothing yet, or only what came afterwards
		}
		fresh := r.ArchiveSize > 0 && !r.Withdrawn
		if _, err := s.takeBack(ctx, task, g.task); err != nil {
			return archives, err
		}
		if fresh {
			archives++
		}
	}
	return archives, nil
}

// alone returns the certificates of deletions that the records do not know, and lets
// each go when its record would have gone.
func (s *Service) alone(ctx context.Context) ([]Alone, error) {
	all := []Alone{}
	err := blob.Each(ctx, s.Bucket, certificatePrefix, func(f blob.Info) error {
		task := entryName(f.Key)
		if f.Key != certificateObject(task) || !uuid4.MatchString(task) {
			return nil
		}
		_, _, err := s.load(ctx, task)
		if kind.Of(err) != kind.NotFound {
			return err
		}
		data, err := readAll(ctx, s.Bucket, f.Key)
		if err != nil {
			return err
		}
		var c certificate
		if json.Unmarshal(data, &c) != nil || c.Completed.IsZero() {
			s.Log.WarnContext(ctx, "a certificate cannot be read", "task", task)
			c.Completed = f.Changed
		}
		all = append(all, Alone{task, c.Project, c.Completed})
		row := table.Item{Key: table.Key{PK: endedWithoutIDs, SK: moment(c.Completed) + "#" + task}}
		return s.Control.Write(ctx, table.Put(row, table.Cond{}))
	})
	slices.SortFunc(all, func(a, b Alone) int { return a.Completed.Compare(b.Completed) })
	return all, kind.Wrap("look for certificates without a request", err)
}

// dropUnknown removes every file that exports have read out but for the archives
// that the records know to be whole and handed out: what exports made after the
// backup is in no record, so that no later deletion would find it. It returns how
// many archives that were.
func (s *Service) dropUnknown(ctx context.Context) (archives int, err error) {
	err = blob.Each(ctx, s.Bucket, archive.Prefix, func(f blob.Info) error {
		r, _, err := s.load(ctx, archive.Task(f.Key))
		if err == nil && r.Type == Export && r.Status == Success && !r.Withdrawn && f.Key == archive.Key(r.work()) {
			return nil
		}
		if err != nil && kind.Of(err) != kind.NotFound {
			return err
		}
		archives++
		return s.Bucket.Delete(ctx, f.Key)
	})
	if err != nil {
		return archives, kind.Wrap("remove unknown archives", err)
	}
	// No export is at work, and one that is run again reads again what is missing.
	return archives, kind.Wrap("remove segments", blob.Each(ctx, s.Bucket, archive.SegmentsPrefix, func(f blob.Info) error {
		return s.Bucket.Delete(ctx, f.Key)
	}))
}
