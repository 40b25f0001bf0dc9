package dsr

import (
	"context"
	"encoding/json"
	"time"

	"lethe/shared/archive"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// maxBatches is the most items of one Map in a state machine: with Settings.Laps
// asks of each it keeps an execution under 25,000 events of history, the limit of
// Step Functions.
const maxBatches = 100

// A batch is the part of a request's subjects that one source is asked about at a
// time. It never changes once it is written; who is added later is kept beside it.
type batch struct {
	Source   string    `json:"source"`
	Clusters []cluster `json:"clusters"`
	// More is how many further pieces the batch is stored in.
	More int `json:"more,omitempty"`
}

// cluster is a Cluster as it is kept.
type cluster struct {
	Folder    int      `json:"folder"`
	Submitted []string `json:"submitted"`
	IDs       []string `json:"ids"`
	// Apart are links that were not followed, and ApartCount is how many there are.
	Apart      []apart `json:"apart,omitempty"`
	ApartCount int     `json:"apart_count,omitempty"`
	// Alone means that there are more links than one person can have, of which none was
	// followed.
	Alone bool `json:"alone,omitempty"`
}

// apart is a Link as it is kept.
type apart struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	To   string `json:"to"`
}

// A phase is what a batch's cursor is at.
type phase string

const (
	atPreview phase = ""          // a deletion is counting what would go
	atErase   phase = "find"      // it is counting what goes, at the cutoff
	erasing   phase = "erase"     // it is erasing
	erased    phase = "erased"    // it has erased and has not looked again
	verified  phase = "verified"  // it has looked again and found nothing
	collected phase = "collected" // an export has it all in segments
)

// A cursor is how far a batch has come.
type cursor struct {
	Phase phase `json:"phase,omitempty"`
	// Source is the source's cursor within the phase.
	Source string `json:"source,omitempty"`
	// State is where the archive goes on, and Segments how many are stored.
	State    archive.State `json:"state,omitzero"`
	Segments int           `json:"segments,omitempty"`
	// Found is what the last complete look found; Looked is whether there was one.
	// Partial is what the present look has found so far.
	Found   []Found `json:"found,omitempty"`
	Looked  bool    `json:"looked,omitempty"`
	Partial []Found `json:"partial,omitempty"`
	// Growing means that somebody is being taken in, and Fenced is until when writes
	// about them may be under way.
	Growing bool      `json:"growing,omitempty"`
	Fenced  time.Time `json:"fenced,omitzero"`
	// Round counts how often something was left after erasing.
	Round int `json:"round,omitempty"`
}

// work is a batch with its cursor, as read.
type work struct {
	batch
	number  int
	cursor  cursor
	version table.Version // of the cursor; 0 if there is none yet
	grown   []grown       // who was added to Clusters
	pieces  int           // that grown is stored in
}

func (s *Service) work(ctx context.Context, r Request, n int) (work, error) {
	w := work{number: n}
	keys := []table.Key{batchKey(r, n, 0), cursorKey(r, n), grownKey(r, n, 0)}
	items, err := s.Control.GetMany(ctx, keys)
	if err != nil {
		return w, kind.Wrap("read a batch", err)
	}
	item, ok := items[keys[0]]
	if !ok {
		return w, kind.E(kind.Corrupt, "read a batch: it is missing")
	}
	if w.batch, err = decode[batch](item); err != nil {
		return w, err
	}
	if item, ok := items[keys[1]]; ok {
		w.version = item.Version
		if w.cursor, err = decode[cursor](item); err != nil {
			return w, err
		}
	}
	for piece := 1; w.More > 0; piece++ {
		item, err := s.Control.Get(ctx, batchKey(r, n, piece))
		if err != nil {
			return w, kind.Wrap("read a piece of a batch", err)
		}
		more, err := decode[batch](item)
		if err != nil {
			return w, err
		}
		w.add(more)
	}
	item, ok = items[keys[2]]
	for ok {
		more, err := decode[[]grown](item)
		if err != nil {
			return w, err
		}
		w.take(more)
		w.pieces++
		item, err = s.Control.Get(ctx, grownKey(r, n, w.pieces))
		if ok = err == nil; !ok && kind.Of(err) != kind.NotFound {
			return w, kind.Wrap("read who was added to a batch", err)
		}
	}
	return w, nil
}

// asBegun is the identifiers of a cluster without those that were added.
func (w *work) asBegun(cluster int) []kind.Subject {
	added := 0
	for _, g := range w.grown {
		if g.Cluster == cluster {
			added++
		}
	}
	ids := w.Clusters[cluster].IDs
	return subjects(ids[:len(ids)-added])
}

// take adds to the people of w.
func (w *work) take(more []grown) {
	w.grown = append(w.grown, more...)
	for _, g := range more {
		w.Clusters[g.Cluster].IDs = append(w.Clusters[g.Cluster].IDs, g.ID)
	}
}

// save stores w's cursor if nobody else moved it since it was read, and reads it
// again. kind.Conflict means another run of the task is at work.
func (s *Service) save(ctx context.Context, r Request, w *work) error {
	data, err := json.Marshal(w.cursor)
	if err != nil {
		return kind.E(kind.Internal, "encode a cursor")
	}
	key := cursorKey(r, w.number)
	if err := s.Control.Write(ctx, table.Put(table.Item{Key: key, Data: data}, table.IfAt(w.version))); err != nil {
		return kind.Wrap("keep a cursor", err)
	}
	item, err := s.Control.Get(ctx, key)
	w.version = item.Version
	return kind.Wrap("keep a cursor", err)
}

// scope is what a source is asked about for w.
func (w work) scope(r Request, limit time.Time) Scope {
	clusters := make([]Cluster, len(w.Clusters))
	for i, c := range w.Clusters {
		clusters[i] = Cluster{Folder: c.Folder, Submitted: subjects(c.Submitted), IDs: subjects(c.IDs)}
	}
	return Scope{Project: r.Project, Clusters: clusters, Limit: limit, Erasure: r.Type == Deletion, Disclosure: r.Disclosure, Period: r.Period}
}

// source finds the source that w is about.
func (s *Service) source(w work) (Source, error) {
	for _, src := range s.Sources {
		if src.Name() == w.Source {
			return src, nil
		}
	}
	return nil, kind.E(kind.Corrupt, "a batch names a source that this deployment does not have")
}

// clusterTally sums what was found for one cluster, and tells whether the source
// has been asked to the end.
func (c cursor) clusterTally(i int) (Tally, bool) {
	var t Tally
	for _, f := range c.Found {
		if f.Cluster == i {
			t.add(f)
		}
	}
	return t, c.Looked
}

// look asks w's source to count, from the cursor on, until it has been through,
// it wants to be asked later, or goOn says stop. It reports in done whether the
// look is complete; then what it found is in cursor.Partial.
func (s *Service) look(ctx context.Context, w *work, scope Scope, goOn func() bool) (done bool, wait time.Duration, err error) {
	return s.ask(ctx, w, scope, Source.Find, goOn)
}

// ask runs steps of a source until it has been through.
func (s *Service) ask(ctx context.Context, w *work, scope Scope, step func(Source, context.Context, Scope, string) (Progress, error), goOn func() bool) (bool, time.Duration, error) {
	src, err := s.source(*w)
	if err != nil {
		return false, 0, err
	}
	for {
		p, err := step(src, ctx, scope, w.cursor.Source)
		if err != nil {
			return false, 0, err
		}
		w.cursor.Source = p.Cursor
		w.cursor.Partial = merge(w.cursor.Partial, p.Found)
		if p.Done {
			w.cursor.Source = ""
			return true, 0, nil
		}
		if p.Wait > 0 || !goOn() {
			return false, p.Wait, nil
		}
	}
}

// merge adds more to found, one entry for each id.
func merge(found, more []Found) []Found {
	for _, m := range more {
		at := -1
		for i := len(found) - 1; i >= 0 && at < 0; i-- {
			if found[i].Cluster == m.Cluster && found[i].ID == m.ID {
				at = i
			}
		}
		if at < 0 {
			found = append(found, m)
			continue
		}
		found[at].Events += m.Events
		found[at].Profiles += m.Profiles
		found[at].Edges += m.Edges
	}
	return found
}

// turn ends a look: what it found stands now.
func (c *cursor) turn(to phase) {
	c.Found, c.Partial, c.Looked = c.Partial, nil, true
	c.Phase = to
}

// allWork calls f with every batch of r.
func (s *Service) allWork(ctx context.Context, r Request, f func(*work) error) error {
	for n := range r.Batches {
		w, err := s.work(ctx, r, n)
		if err != nil {
			return err
		}
		if err := f(&w); err != nil {
			return err
		}
	}
	return nil
}

// tally sums what all batches found. Subjects counts submitted ids of clusters
// with anything found in any source.
func (s *Service) tally(ctx context.Context, r Request) (Tally, error) {
	var t Tally
	found := map[int]int64{}
	err := s.allWork(ctx, r, func(w *work) error {
		for _, f := range w.cursor.Found {
			t.add(f)
			c := w.Clusters[f.Cluster]
			found[c.Folder] = int64(len(c.Submitted))
		}
		return nil
	})
	for _, n := range found {
		t.Subjects += n
	}
	return t, err
}

// goOn reports, from now on, whether a run of a task has time left.
func (s *Service) goOn() func() bool {
	end := s.Clock().Add(s.Settings.Budget)
	return func() bool { return s.Clock().Before(end) }
}
