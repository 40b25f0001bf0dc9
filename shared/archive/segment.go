package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// Store puts a segment into the bucket: its streams, and last the list of its
// files, which begins with Next. Storing the same segment again changes nothing,
// so store first and keep Next as the cursor after.
func Store(ctx context.Context, bucket blob.Bucket, task string, batch int, s Segment) error {
	for _, part := range []struct {
		stream Stream
		data   []byte
	}{{Records, s.Records}, {Table, s.Table}} {
		key := SegmentKey(task, batch, s.Number, part.stream)
		if err := bucket.Put(ctx, key, bytes.NewReader(part.data)); err != nil {
			return kind.Wrap("archive: store segment", err)
		}
	}
	var list bytes.Buffer
	encoder := json.NewEncoder(&list)
	err := encoder.Encode(s.Next)
	for i := 0; i < len(s.Files) && err == nil; i++ {
		err = encoder.Encode(s.Files[i])
	}
	if err != nil {
		return kind.E(kind.Internal, "archive: list of files", err)
	}
	return kind.Wrap("archive: store list of files", bucket.Put(ctx, filesKey(task, batch, s.Number), &list))
}

// A list reads back what Store wrote last for one segment.
type list struct {
	body    io.ReadCloser
	decoder *json.Decoder
	state   State
}

func openList(ctx context.Context, bucket blob.Bucket, task string, batch, n int) (*list, error) {
	body, err := bucket.Get(ctx, filesKey(task, batch, n), 0, -1)
	if err != nil {
		return nil, kind.Wrap("archive: open list of files", err)
	}
	l := &list{body: body, decoder: json.NewDecoder(bufio.NewReaderSize(body, 32<<10))}
	if err := l.decoder.Decode(&l.state); err != nil {
		return nil, errors.Join(kind.E(kind.Corrupt, "archive: list of files", err), body.Close())
	}
	return l, nil
}

// files gives the files of every segment of every batch in the order in which
// they ended, each with the number of its batch.
func files(ctx context.Context, bucket blob.Bucket, task string, batches []int) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		for batch, segments := range batches {
			for n := range segments {
				if !filesOf(ctx, bucket, task, batch, n, yield) {
					return
				}
			}
		}
	}
}

// A located file knows which batch its stream belongs to.
type located struct {
	File
	batch int
}

func filesOf(ctx context.Context, bucket blob.Bucket, task string, batch, n int, yield func(located, error) bool) bool {
	l, err := openList(ctx, bucket, task, batch, n)
	if err != nil {
		yield(located{}, err)
		return false
	}
	defer l.body.Close()
	for {
		f := located{batch: batch}
		err := l.decoder.Decode(&f.File)
		if err == io.EOF {
			return true
		}
		if err != nil {
			yield(located{}, kind.E(kind.Corrupt, "archive: list of files", err))
			return false
		}
		if !yield(f, nil) {
			return false
		}
	}
}
