package archive

import (
	"context"
	"errors"
	"iter"
	"slices"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// A Packing is Pack between two runs, to keep as a cursor. The zero Packing is
// the start. It says which bytes lie in finished parts; those after them are read
// again. To give a packing up, abort Upload on Key(work).
type Packing struct {
	Upload  string      `json:"upload,omitempty"`
	Parts   []blob.Part `json:"parts,omitempty"`
	Bytes   int64       `json:"bytes"`   // in Parts
	Batch   int         `json:"batch"`   // where the next byte comes from
	Stream  int         `json:"stream"`  // 0 is Records, 1 is Table
	Segment int         `json:"segment"` // within the batch
	Offset  int64       `json:"offset"`  // within the segment
}

// Info describes a finished export file.
type Info struct {
	Bytes    int64  `json:"bytes"`
	Files    int64  `json:"files"`
	Subjects int64  `json:"subjects"` // folders
	Profiles int64  `json:"profiles"`
	Events   int64  `json:"events"`
	Manifest string `json:"manifest"` // SHA-256 of manifest.json, which holds that of every other file
}

// Pack makes the export file of a work, Key(work), out of its segments. Batches
// holds the number of segments of each batch. Subjects is gone through more than
// once, in the order of folders; every folder of every batch must be there. The
// folders of a batch come behind those of the batch before it.
//
// When keepGoing says no, Pack returns false and the caller calls it again with
// the cursor that it changed, at once or in another process; every run makes at
// least one part, and a run that fails leaves a cursor that is good to go on
// with. The end, from the page to the directory, is made in one run. The file
// appears whole, and packing it again gives the same bytes.
//
// A segment that is not there is kind.NotFound. Lists of files and subjects that do
// not fit each other are kind.Corrupt; more data than an upload can hold is
// kind.TooLarge.
func Pack(ctx context.Context, bucket blob.Bucket, work string, cursor *Packing, batches []int, head Head, subjects iter.Seq2[SubjectFolder, error], keepGoing func() bool) (bool, Info, error) {
	p := packer{ctx: ctx, bucket: bucket, work: work, batches: batches, keepGoing: keepGoing}
	done, info, err := p.run(cursor, head, subjects)
	if errors.Is(err, errUploadGone) {
		*cursor = Packing{}
		done, info, err = p.run(cursor, head, subjects)
	}
	return done, info, err
}

type packer struct {
	ctx       context.Context
	bucket    blob.Bucket
	work      string
	batches   []int
	keepGoing func() bool
	out       parts
	at        *Packing
}

func (p *packer) run(cursor *Packing, head Head, subjects iter.Seq2[SubjectFolder, error]) (bool, Info, error) {
	p.at = cursor
	p.out = parts{
		ctx: p.ctx, bucket: p.bucket, key: Key(p.work),
		upload: cursor.Upload, list: slices.Clone(cursor.Parts), done: cursor.Bytes,
	}
	// An upload that was begun is used by the next run, even if it has no parts yet.
	defer func() { cursor.Upload = p.out.upload }()
	done, err := p.body()
	if err != nil || !done {
		return false, Info{}, err
	}
	info, err := p.tail(head, subjects)
	return err == nil, info, err
}

// body joins the segments. It returns false if keepGoing said to stop.
func (p *packer) body() (bool, error) {
	next := *p.at
	for ; next.Batch < len(p.batches); next = (Packing{Batch: next.Batch + 1}) {
		for ; next.Stream < len(streams); next.Stream, next.Segment, next.Offset = next.Stream+1, 0, 0 {
			for ; next.Segment < p.batches[next.Batch]; next.Segment, next.Offset = next.Segment+1, 0 {
				if stop, err := p.segment(next); err != nil || stop {
					return false, err
				}
			}
		}
	}
	return true, nil
}

// segment takes the rest of one segment, which is copied as far as it makes
// parts. It returns true if keepGoing said to stop.
func (p *packer) segment(at Packing) (bool, error) {
	key := SegmentKey(p.work, at.Batch, at.Segment, streams[at.Stream])
	info, err := p.bucket.Head(p.ctx, key)
	if err != nil {
		return false, kind.Wrap("archive: look for segment", err)
	}
	for at.Offset < info.Size {
		// Bytes before the segment need some of its own to make a part.
		missing := int64(0)
		if len(p.out.buf) > 0 {
			missing = max(blob.MinPart-int64(len(p.out.buf)), 0)
		}
		rest := info.Size - at.Offset
		if rest-missing < blob.MinPart {
			return p.take(at, key, rest)
		}
		if len(p.out.buf) > 0 {
			if stop, err := p.take(at, key, missing); err != nil || stop {
				return stop, err
			}
			at.Offset += missing
			if err := p.out.flush(); err != nil {
				return false, err
			}
		} else {
			if err := p.out.copy(key, at.Offset, rest); err != nil {
				return false, err
			}
			at.Offset += rest
		}
		if p.mark(at); !p.keepGoing() {
			return true, nil
		}
	}
	return false, nil
}

// take reads n bytes of a segment into the buffer, making a part whenever it is
// full. It returns true if keepGoing said to stop.
func (p *packer) take(at Packing, key string, n int64) (bool, error) {
	if n == 0 {
		return false, nil
	}
	body, err := p.bucket.Get(p.ctx, key, at.Offset, n)
	if err != nil {
		return false, kind.Wrap("archive: read segment", err)
	}
	defer body.Close()
	for n > 0 {
		read, err := p.out.fill(body, n)
		if err != nil {
			return false, kind.E(kind.Unavailable, "archive: read segment", err)
		}
		n -= read
		at.Offset += read
		if len(p.out.buf) < partSize {
			continue
		}
		if err := p.out.flush(); err != nil {
			return false, err
		}
		if p.mark(at); !p.keepGoing() {
			return true, nil
		}
	}
	return false, nil
}

// mark moves the cursor to at, where the parts end.
func (p *packer) mark(at Packing) {
	at.Upload, at.Parts, at.Bytes = p.out.upload, p.out.list, p.out.done
	*p.at = at
}
