package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// partSize is the size of the parts that are joined from small pieces.
const partSize = SegmentSize

// errUploadGone means the bucket no longer knows the upload: it was given up, or
// completed by an attempt that did not live to say so.
var errUploadGone = errors.New("the upload is gone")

// parts writes a file by an upload in parts. It begins the upload when the first
// part is full, so that a small file is one Put.
type parts struct {
	ctx    context.Context
	bucket blob.Bucket
	key    string
	upload string
	list   []blob.Part
	done   int64  // bytes in list
	buf    []byte // what comes after them, less than partSize
}

// size is the number of bytes of the file so far.
func (p *parts) size() int64 { return p.done + int64(len(p.buf)) }

// Write implements io.Writer.
func (p *parts) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		take := min(len(b), partSize-len(p.buf))
		p.buf = append(p.buf, b[:take]...)
		b = b[take:]
		if len(p.buf) == partSize {
			if err := p.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

// fill reads up to n bytes from r into the buffer, as many as fit.
func (p *parts) fill(r io.Reader, n int64) (int64, error) {
	from := len(p.buf)
	n = min(n, int64(partSize-from))
	p.buf = slices.Grow(p.buf, int(n))[:from+int(n)]
	read, err := io.ReadFull(r, p.buf[from:])
	p.buf = p.buf[:from+read]
	return int64(read), err
}

// flush makes the buffer a part, which must be the last one if it is smaller than
// blob.MinPart.
func (p *parts) flush() error {
	if err := p.start(); err != nil {
		return err
	}
	size := int64(len(p.buf))
	part, err := p.bucket.Part(p.ctx, p.key, p.upload, len(p.list)+1, bytes.NewReader(p.buf), size)
	if err != nil {
		return gone("archive: upload part", err)
	}
	p.list = append(p.list, part)
	p.done += size
	p.buf = p.buf[:0]
	return nil
}

// copy makes n bytes of another file a part. The buffer is empty.
func (p *parts) copy(src string, off, n int64) error {
	if err := p.start(); err != nil {
		return err
	}
	part, err := p.bucket.CopyPart(p.ctx, p.key, p.upload, len(p.list)+1, src, off, n)
	if err != nil {
		return gone("archive: copy part", err)
	}
	p.list = append(p.list, part)
	p.done += n
	return nil
}

func (p *parts) start() error {
	if len(p.list) == blob.MaxParts {
		return kind.Say(kind.TooLarge, "The export has more data than one file can hold; ask for fewer people at a time.")
	}
	if p.upload != "" {
		return nil
	}
	upload, err := p.bucket.Begin(p.ctx, p.key)
	p.upload = upload
	return kind.Wrap("archive: begin upload", err)
}

// finish makes the file visible.
func (p *parts) finish() error {
	if p.upload == "" {
		return kind.Wrap("archive: put", p.bucket.Put(p.ctx, p.key, bytes.NewReader(p.buf)))
	}
	if len(p.buf) > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if err := p.bucket.Complete(p.ctx, p.key, p.upload, p.list); err != nil {
		return gone("archive: complete upload", err)
	}
	return nil
}

// gone tells a lost upload from other errors of a call that names one.
func gone(op string, err error) error {
	if errors.Is(err, kind.NotFound) {
		return kind.E(kind.Unavailable, op, errUploadGone)
	}
	return kind.Wrap(op, err)
}
