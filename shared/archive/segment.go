package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// Store puts a segment into the bucket: its streams, and last the list of its
// files, which begins with Next. Storing the same segment again changes nothing,
// so store first and keep Next as the cursor after.
func Store(ctx context.Context, bucket blob.Bucket, work string, batch int, s Segment) error {
	for _, part := range []struct {
		stream Stream
		data   []byte
	}{{Records, s.Records}, {Table, s.Table}} {
		key := SegmentKey(work, batch, s.Number, part.stream)
		if err := bucket.Put(ctx, key, bytes.NewReader(part.data)); err != nil {
			return kind.Wrap("archive: store segment", err)
		}
	}
	list, err := json.Marshal(s.Next)
	if err != nil {
		return kind.E(kind.Internal, "archive: list of files", err)
	}
	list = append(list, '\n')
	for _, f := range s.Files {
		list = appendFile(list, f)
	}
	err = bucket.Put(ctx, filesKey(work, batch, s.Number), bytes.NewReader(list))
	return kind.Wrap("archive: store list of files", err)
}

// appendFile appends a line of a list. There is one for every file of an archive
// and Pack reads it twice, which JSON would make the larger part of its work.
func appendFile(b []byte, f File) []byte {
	b = append(b, f.Path...)
	for _, n := range []int64{f.Bytes, f.Compressed, int64(f.CRC32), f.Records, f.Offset} {
		b = strconv.AppendInt(append(b, '\t'), n, 10)
	}
	b = append(append(b, '\t'), f.Stream...)
	b = append(append(b, '\t'), f.SHA256...)
	return append(b, '\n')
}

// parseFile reads what appendFile wrote, without the line's end.
func parseFile(line []byte) (File, bool) {
	var f File
	path, rest, ok := bytes.Cut(line, []byte{'\t'})
	f.Path = string(path)
	var crc int64
	for _, n := range []*int64{&f.Bytes, &f.Compressed, &crc, &f.Records, &f.Offset} {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte{'\t'})
		v, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil || v < 0 {
			return File{}, false
		}
		*n = v
	}
	stream, sum, found := bytes.Cut(rest, []byte{'\t'})
	f.Stream, f.SHA256, f.CRC32 = Stream(stream), string(sum), uint32(crc)
	return f, ok && found && crc <= max32 && f.Path != ""
}

// A list reads back what Store wrote last for one segment.
type list struct {
	body  io.ReadCloser
	lines *bufio.Reader
	state State
}

func openList(ctx context.Context, bucket blob.Bucket, work string, batch, n int) (*list, error) {
	body, err := bucket.Get(ctx, filesKey(work, batch, n), 0, -1)
	if err != nil {
		return nil, kind.Wrap("archive: open list of files", err)
	}
	l := &list{body: body, lines: bufio.NewReaderSize(body, 32<<10)}
	first, err := l.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(first, &l.state)
	}
	if err != nil {
		return nil, errors.Join(unreadable(err), body.Close())
	}
	return l, nil
}

// next returns the next file, or io.EOF.
func (l *list) next() (File, error) {
	line, err := l.lines.ReadSlice('\n')
	if err == io.EOF && len(line) == 0 {
		return File{}, io.EOF
	}
	if err != nil {
		return File{}, unreadable(err)
	}
	f, ok := parseFile(line[:len(line)-1])
	if !ok {
		return File{}, kind.E(kind.Corrupt, "archive: list of files")
	}
	return f, nil
}

// unreadable tells a list that ends in a line from a bucket that does not answer.
func unreadable(err error) error {
	if kind.Of(err) == kind.Internal {
		return kind.E(kind.Corrupt, "archive: list of files", err)
	}
	return kind.Wrap("archive: read list of files", err)
}

// files gives the files of every segment of every batch in the order in which
// they ended, each with the number of its batch.
func files(ctx context.Context, bucket blob.Bucket, work string, batches []int) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		for batch, segments := range batches {
			for n := range segments {
				if !filesOf(ctx, bucket, work, batch, n, yield) {
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

func filesOf(ctx context.Context, bucket blob.Bucket, work string, batch, n int, yield func(located, error) bool) bool {
	l, err := openList(ctx, bucket, work, batch, n)
	if err != nil {
		yield(located{}, err)
		return false
	}
	defer l.body.Close()
	for {
		f, err := l.next()
		if err == io.EOF {
			return true
		}
		if !yield(located{f, batch}, err) || err != nil {
			return false
		}
	}
}
