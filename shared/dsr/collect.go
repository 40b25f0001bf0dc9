package dsr

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"time"

	"lethe/shared/archive"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Collect writes one batch of an export into segments. A run stops only between
// two segments, whose bounds depend on the records alone, so that of the same
// records a segment written twice is the same twice. It answers Again, Later, Yield, Done or Closed.
func (s *Service) Collect(ctx context.Context, step Step) (Step, error) {
	r, _, closed, err := s.open(ctx, step)
	if closed || err != nil || r.Status != Started {
		return step.after(Closed), err
	}
	w, err := s.work(ctx, r, step.Batch)
	if err != nil {
		return step, err
	}
	if w.cursor.Phase == collected {
		return step.after(Done), nil
	}
	src, err := s.source(w)
	if err != nil {
		return step, err
	}
	records, err := src.Collect(ctx, w.scope(r, r.Limit), w.cursor.Source)
	if wait, ok := notYet(err); ok {
		return s.later(step, wait), nil
	}
	if err != nil {
		return step, err
	}
	defer records.Close()
	out := archive.NewCollector(w.cursor.State)
	out.Cut = s.Settings.SegmentSize
	for goOn := s.goOn(); ; {
		last, err := s.fill(ctx, &w, records, digests[r.Disclosure], out)
		if wait, ok := notYet(err); ok {
			// What was read since the last segment is read again.
			return s.later(step, wait), nil
		}
		if err != nil {
			return step, err
		}
		segment, err := out.Close(last)
		if err != nil {
			return step, err
		}
		if err := archive.Store(ctx, s.Bucket, r.work(), w.number, segment); err != nil {
			return step, err
		}
		if gone, err := s.takenBack(ctx, r); gone || err != nil {
			return step.after(Closed), err
		}
		w.cursor.State, w.cursor.Segments, w.cursor.Source = segment.Next, segment.Number+1, records.Cursor()
		if last {
			w.cursor.turn(collected)
		}
		if err := s.save(ctx, r, &w); err != nil {
			return step, err
		}
		switch {
		case last:
			return step.after(Done), nil
		case !goOn():
			return s.again(step), nil
		}
	}
}

// fill moves records into a segment until it is full or, which it reports, there
// are no more.
func (s *Service) fill(ctx context.Context, w *work, records Records, digest archive.Digest, out *archive.Collector) (last bool, err error) {
	run := Found{Cluster: -1} // of the id whose records come at the moment
	count := func() {
		if run.Cluster >= 0 {
			w.cursor.Partial = merge(w.cursor.Partial, []Found{run})
		}
	}
	defer count()
	for !out.Full() {
		rec, err := records.Next(ctx)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if rec.Cluster != run.Cluster || rec.ID != run.ID {
			count()
			run = Found{Cluster: rec.Cluster, ID: rec.ID}
		}
		c := w.Clusters[rec.Cluster]
		if (rec.Summary != nil) != (digest != "") {
			return false, kind.E(kind.Internal, "collect: a source hands out something else than was asked for")
		}
		if rec.Summary != nil {
			run.Events, run.Profiles = run.Events+rec.Summary.Events, run.Profiles+rec.Summary.Profiles
			err = out.Summarise(c.Folder, digest, rec.Summary.archived(digest, w.Source))
		} else if rec.Profile {
			run.Profiles++
			err = out.Profile(c.Folder, rec.Data)
		} else {
			run.Events++
			err = out.Event(c.Folder, archive.Event{Time: rec.Time, Name: rec.Name, DistinctID: kind.Subject(c.IDs[rec.ID]), InsertID: rec.InsertID, Properties: rec.Data})
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// digests are what the archive holds of each disclosure that hands out no records.
var digests = map[Disclosure]archive.Digest{Categories: archive.Categories, Sources: archive.Sources}

// archived is what the archive holds of s: where the records are kept is a means
// of collection itself, and comes first.
func (s *Summary) archived(digest archive.Digest, source string) archive.Summary {
	out := archive.Summary{Profiles: s.Profiles, Events: s.Events, Facets: s.Facets}
	if digest == archive.Sources {
		name, _ := json.Marshal(source) // a string always encodes
		of := archive.Facet{Of: archive.OfSource, Name: archive.OfSource, Value: string(name), Count: s.Events + s.Profiles, First: s.First, Last: s.Last}
		out.Facets = append([]archive.Facet{of}, s.Facets...)
	}
	return out
}

// takenBack reports whether the try that r was read at has been taken back since.
// Then what this run wrote is removed: whoever took it back may have removed the
// rest before it was there.
func (s *Service) takenBack(ctx context.Context, r Request) (bool, error) {
	now, _, err := s.load(ctx, r.Task)
	if err != nil || !now.Withdrawn && now.Plan == r.Plan {
		return false, err
	}
	return true, s.dropFiles(ctx, r)
}

func notYet(err error) (time.Duration, bool) {
	var wait NotYet
	ok := errors.As(err, &wait)
	return time.Duration(wait), ok
}

// Pack joins an export's segments into its archive. It answers Again, Yield, Replan
// when a segment is gone, Done, or Closed. Where nothing was found there is no
// archive, and Finish says so.
func (s *Service) Pack(ctx context.Context, step Step) (Step, error) {
	r, version, closed, err := s.open(ctx, step)
	if closed || err != nil || r.Status != Started {
		return step.after(Closed), err
	}
	if r.Batches == 0 || r.Withdrawn || r.Afresh {
		return step.after(Replan), nil
	}
	segments := make([]int, r.Batches)
	unfinished := false
	err = s.allWork(ctx, r, func(w *work) error {
		segments[w.number] = w.cursor.Segments
		unfinished = unfinished || w.cursor.Phase != collected
		return nil
	})
	if err != nil {
		return step, err
	}
	if unfinished {
		return step.after(Yield), nil
	}
	found, err := s.tally(ctx, r)
	if err != nil {
		return step, err
	}
	if found == (Tally{}) {
		return step.after(Done), nil
	}
	done, info, err := s.pack(ctx, r, segments)
	if k := kind.Of(err); k == kind.NotFound || k == kind.Corrupt {
		return s.replan(ctx, step, r, version, err)
	}
	if err != nil {
		return step, err
	}
	if !done {
		return s.again(step), nil
	}
	if gone, err := s.takenBack(ctx, r); gone || err != nil {
		return step.after(Closed), err
	}
	r.Before, r.ArchiveSize, r.Manifest = found, info.Bytes, info.Manifest
	return step.after(Done), s.swap(ctx, r, version)
}

// replan asks for a fresh start where segments are gone or do not fit each other,
// as two runs at once can leave them; once in an attempt.
func (s *Service) replan(ctx context.Context, step Step, r Request, version table.Version, cause error) (Step, error) {
	if r.Replanned == r.Attempt {
		return step, cause
	}
	s.Log.WarnContext(ctx, "segments are gone or do not fit each other; the export starts afresh", "task", r.Task, "error", cause)
	r.Afresh, r.Replanned = true, r.Attempt
	return step.after(Replan), s.swap(ctx, r, version)
}

func (s *Service) pack(ctx context.Context, r Request, segments []int) (done bool, info archive.Info, err error) {
	key := packKey(r)
	item, err := s.Control.Get(ctx, key)
	if err != nil && kind.Of(err) != kind.NotFound {
		return false, info, kind.Wrap("read the cursor of an archive", err)
	}
	var packing archive.Packing
	if err == nil {
		if packing, err = decode[archive.Packing](item); err != nil {
			return false, info, err
		}
	}
	head := archive.Head{
		Task: r.Task, Project: r.Project, ProjectName: r.ProjectName, Compliance: string(r.Compliance), Disclosure: string(r.Disclosure),
		Requested: r.Created, Snapshot: r.Limit, From: r.Period.From, To: r.Period.To,
	}
	done, info, err = archive.Pack(ctx, s.Bucket, r.work(), &packing, segments, head, s.folders(ctx, r), s.goOn())
	if err == nil && !done {
		err = s.keepPacking(ctx, r, packing, item.Version)
	}
	return done, info, err
}

// keepPacking keeps where Pack goes on. Two runs at once would each work on an
// upload of its own; the one that comes second here starts over.
func (s *Service) keepPacking(ctx context.Context, r Request, p archive.Packing, version table.Version) error {
	item, err := encode(packKey(r), p)
	if err != nil {
		return err
	}
	return kind.Wrap("keep the cursor of an archive", s.Control.Write(ctx, table.Put(item, table.IfAt(version))))
}

// folders gives the folders of an export in their order.
func (s *Service) folders(ctx context.Context, r Request) iter.Seq2[archive.SubjectFolder, error] {
	return func(yield func(archive.SubjectFolder, error) bool) {
		for n := range r.Batches {
			w, err := s.work(ctx, r, n)
			if err != nil {
				yield(archive.SubjectFolder{}, err)
				return
			}
			for i, c := range w.Clusters {
				t, _ := w.cursor.clusterTally(i)
				f := archive.SubjectFolder{Folder: c.Folder, Submitted: subjects(c.Submitted), Resolved: subjects(c.IDs), Profiles: t.Profiles, Events: t.Events}
				if !yield(f, nil) {
					return
				}
			}
		}
	}
}
