package archive

import (
	"embed"
	"io/fs"
	"iter"
	"maps"

	"lethe/shared/kind"
)

//go:embed schema/*.json
var schemas embed.FS

// tailState is the making of what follows the segments: the page, the schemas,
// the manifest and the central directory.
type tailState struct {
	p       *packer
	out     *parts
	entries *stream // its offset counts from the start of the archive
	files   []File  // the entries made here
	bases   []int64 // where each stream of each batch begins in the archive
	totals  Totals
	months  map[string]int64
	count   int64
	scratch []byte
}

// tail finishes the archive. It works on a copy of what the cursor knows, so that
// a run which fails here is repeated from the start of the tail.
func (p *packer) tail(head Head, subjects iter.Seq2[SubjectFolder, error]) (Info, error) {
	out := p.out
	defer func() { p.out.upload = out.upload }()
	t := tailState{p: p, out: &out, months: map[string]int64{}}
	collected, err := t.locate()
	if err != nil {
		return Info{}, err
	}
	if out.size() != t.end() {
		return Info{}, kind.E(kind.Corrupt, "archive: segments have other sizes than when they were stored")
	}
	shown, err := t.sum(subjects)
	if err != nil {
		return Info{}, err
	}
	if t.totals.Profiles != collected.Profiles || t.totals.Events != collected.Events {
		return Info{}, kind.E(kind.Corrupt, "archive: counts of folders differ from what was collected")
	}
	if t.entries, err = newStream("", &out, out.size()); err != nil {
		return Info{}, err
	}
	if err := t.page(head, shown); err != nil {
		return Info{}, err
	}
	if err := t.schemas(); err != nil {
		return Info{}, err
	}
	manifest, err := t.manifest(head, subjects)
	if err != nil {
		return Info{}, err
	}
	if err := t.directory(); err != nil {
		return Info{}, err
	}
	if err := out.finish(); err != nil {
		return Info{}, err
	}
	return Info{
		Bytes: out.size(), Files: t.count, Subjects: t.totals.Subjects,
		Profiles: t.totals.Profiles, Events: t.totals.Events, Manifest: manifest,
	}, nil
}

// locate finds where every stream begins and sums what the batches hold.
func (t *tailState) locate() (Totals, error) {
	var collected Totals
	var at int64
	folder := 0 // the last one of the batches so far
	t.bases = make([]int64, 0, len(t.p.batches)*len(streams)+1)
	for batch, segments := range t.p.batches {
		var s State
		if segments > 0 {
			l, err := openList(t.p.ctx, t.p.bucket, t.p.work, batch, segments-1)
			if err != nil {
				return Totals{}, err
			}
			s = l.state
			_ = l.body.Close()
		}
		if s.Records.Open != nil || s.Table.Open != nil {
			return Totals{}, kind.E(kind.Corrupt, "archive: a batch was not ended")
		}
		if s.First != 0 {
			if s.First <= folder {
				return Totals{}, kind.E(kind.Internal, "archive: the folders of a batch are not behind those of the one before")
			}
			folder = s.Folder
		}
		for _, size := range []int64{s.Records.Offset, s.Table.Offset} {
			t.bases = append(t.bases, at)
			at += size
		}
		collected.Profiles += s.Profiles
		collected.Events += s.Events
		for month, n := range s.Months {
			t.months[month] += n
		}
	}
	t.bases = append(t.bases, at)
	return collected, nil
}

// end is where the last stream ends.
func (t *tailState) end() int64 { return t.bases[len(t.bases)-1] }

// base is where a file's stream begins.
func (t *tailState) base(f located) int64 {
	for i, name := range streams {
		if name == f.Stream {
			return t.bases[f.batch*len(streams)+i]
		}
	}
	return 0 // an entry of the tail, whose offset counts from the start
}

// sum adds up the folders and returns the first ones, for the page.
func (t *tailState) sum(subjects iter.Seq2[SubjectFolder, error]) ([]SubjectFolder, error) {
	var shown []SubjectFolder
	for s, err := range subjects {
		if err != nil {
			return nil, kind.Wrap("archive: list of subjects", err)
		}
		t.totals.Subjects++
		t.totals.Profiles += s.Profiles
		t.totals.Events += s.Events
		if s.Profiles+s.Events > 0 {
			t.totals.Found++
		}
		if len(shown) < pageFolders {
			shown = append(shown, s)
		}
	}
	return shown, nil
}

// entry writes a whole entry.
func (t *tailState) entry(path string, write func() error) (File, error) {
	if err := t.entries.begin(path); err != nil {
		return File{}, err
	}
	if err := write(); err != nil {
		return File{}, err
	}
	f, err := t.entries.end()
	t.files = append(t.files, f)
	return f, err
}

func (t *tailState) page(head Head, shown []SubjectFolder) error {
	_, err := t.entry(pagePath, func() error {
		return writePage(t.entries, head, t.totals, maps.Clone(t.months), shown)
	})
	return err
}

func (t *tailState) schemas() error {
	names, err := fs.Glob(schemas, "schema/*.json")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := schemas.ReadFile(name)
		if err != nil {
			return err
		}
		_, err = t.entry(name, func() error {
			_, err := t.entries.Write(text)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// manifest returns the manifest's SHA-256.
func (t *tailState) manifest(head Head, subjects iter.Seq2[SubjectFolder, error]) (string, error) {
	f, err := t.entry(manifestPath, func() error {
		m, err := newManifest(t.entries, head, t.totals)
		if err != nil {
			return err
		}
		for s, err := range subjects {
			if err != nil {
				return kind.Wrap("archive: list of subjects", err)
			}
			if err := m.subject(s); err != nil {
				return err
			}
		}
		if err := m.files(); err != nil {
			return err
		}
		for _, f := range t.files {
			if err := m.file(f); err != nil {
				return err
			}
		}
		for f, err := range files(t.p.ctx, t.p.bucket, t.p.work, t.p.batches) {
			if err != nil {
				return err
			}
			if err := m.file(f.File); err != nil {
				return err
			}
		}
		return m.end()
	})
	return f.SHA256, err
}

// directory writes the central directory and the end of the archive. What one
// should see first stands first.
func (t *tailState) directory() error {
	start := t.out.size()
	for _, f := range t.files {
		if err := t.record(located{File: f}); err != nil {
			return err
		}
	}
	for f, err := range files(t.p.ctx, t.p.bucket, t.p.work, t.p.batches) {
		if err != nil {
			return err
		}
		if err := t.record(f); err != nil {
			return err
		}
	}
	_, err := t.out.Write(appendEnd(nil, t.count, t.out.size()-start, start))
	return err
}

func (t *tailState) record(f located) error {
	t.count++
	t.scratch = appendEntry(t.scratch[:0], f.File, t.base(f))
	_, err := t.out.Write(t.scratch)
	return err
}
