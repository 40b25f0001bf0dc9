package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

const (
	// firstRead is enough for most files, so that they cost no large buffer.
	firstRead = 64 << 10
	// putPart is the size of the parts in which Put stores a larger file. It holds
	// one of them at a time, and MaxParts of them hold more than 64 GiB.
	putPart = 8 << 20
	// pageSize is the most keys that one call of S3 lists or deletes.
	pageSize = 1000
	// abortTime is how long Put tries to give up an upload that failed.
	abortTime = 10 * time.Second
)

type bucket struct {
	client  *s3.Client
	presign *s3.PresignClient
	name    string
	page    int
}

// NewBucket returns the S3 bucket of that name. The bucket must keep no older
// versions of files, or a deletion is none, and should abort unfinished uploads
// after a day. Who uses it needs s3:GetObject, s3:PutObject, s3:DeleteObject,
// s3:AbortMultipartUpload, and s3:ListBucket, without which S3 calls an absent
// file forbidden.
//
// Other servers that speak S3 work as well: nothing newer than presigned links,
// multipart uploads and the copying of parts is asked of them.
func NewBucket(client *s3.Client, name string) blob.Bucket {
	client = s3.New(client.Options(), func(o *s3.Options) {
		// Every body is signed with its SHA-256, so that S3 refuses what was damaged on
		// the way. More checksums than that are new, and not known to every server.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &bucket{client: client, presign: s3.NewPresignClient(client), name: name, page: pageSize}
}

// checkKeys is what every method with a key opens with.
func checkKeys(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := blob.CheckKey(key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// An s3Source keeps the error that reading ended with, which is the caller's own and
// not that of S3, and tells it from an end that comes too soon.
type s3Source struct {
	r   io.Reader
	err error
}

func (s *s3Source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// fill reads until buf is full or r ends, and returns what was read.
func (s *s3Source) fill(buf []byte) ([]byte, error) {
	n, _ := io.ReadFull(s, buf)
	return buf[:n], s.err
}

// Put implements blob.Bucket.
func (b *bucket) Put(ctx context.Context, key string, r io.Reader) error {
	const op = "put a file"
	if err := checkKeys(ctx, key); err != nil {
		return kind.Wrap(op, err)
	}
	src := &s3Source{r: r}
	data, err := src.fill(make([]byte, firstRead))
	if err == nil && len(data) == firstRead {
		large := make([]byte, putPart)
		copy(large, data)
		data, err = src.fill(large[firstRead:])
		data = large[:firstRead+len(data)]
	}
	if err != nil {
		return kind.Wrap(op, err)
	}
	if len(data) == putPart {
		return kind.Wrap(op, b.putParts(ctx, key, data, src))
	}
	_, err = b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))),
	})
	return s3Error(op, err)
}

// putParts stores data and what src still gives as one file, or nothing.
func (b *bucket) putParts(ctx context.Context, key string, data []byte, src *s3Source) (err error) {
	upload, err := b.Begin(ctx, key)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		// The parts cost money until they are given up, even where ctx has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		_ = b.Abort(ctx, key, upload) // else the bucket's own rule does it a day later
	}()
	var parts []blob.Part
	for len(data) > 0 {
		part, err := b.Part(ctx, key, upload, len(parts)+1, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return err
		}
		parts = append(parts, part)
		if data, err = src.fill(data[:cap(data)]); err != nil {
			return err
		}
	}
	return b.Complete(ctx, key, upload, parts)
}

// Get implements blob.Bucket.
func (b *bucket) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	const op = "get a file"
	if err := checkKeys(ctx, key); err != nil {
		return nil, kind.Wrap(op, err)
	}
	if off < 0 {
		return nil, kind.E(kind.Invalid, op)
	}
	if n == 0 { // which no range can say
		_, err := b.Head(ctx, key)
		return io.NopCloser(bytes.NewReader(nil)), kind.Wrap(op, err)
	}
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	switch {
	case n > 0 && n <= math.MaxInt64-off:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	}
	out, err := b.client.GetObject(ctx, in)
	if errorCode(err) == "InvalidRange" { // it begins at the end or beyond
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	if err != nil {
		return nil, s3Error(op, err)
	}
	return s3Body{out.Body}, nil
}

// s3Body gives the errors of reading a kind, and no address.
type s3Body struct{ io.ReadCloser }

func (b s3Body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = kind.E(kind.Unavailable, "read a file", Cause(err))
	}
	return n, err
}

// Head implements blob.Bucket.
func (b *bucket) Head(ctx context.Context, key string) (blob.Info, error) {
	const op = "look up a file"
	if err := checkKeys(ctx, key); err != nil {
		return blob.Info{}, kind.Wrap(op, err)
	}
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return blob.Info{}, s3Error(op, err)
	}
	return blob.Info{Key: key, Size: aws.ToInt64(out.ContentLength), Changed: aws.ToTime(out.LastModified)}, nil
}

// List implements blob.Bucket.
func (b *bucket) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	const op = "list files"
	for _, p := range []string{prefix, after} {
		if err := blob.CheckPrefix(p); err != nil {
			return nil, kind.Wrap(op, err)
		}
	}
	if limit < 1 {
		return nil, kind.E(kind.Invalid, op)
	}
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix, StartAfter: &after}
	var infos []blob.Info
	for {
		in.MaxKeys = aws.Int32(int32(min(limit-len(infos), b.page)))
		out, err := b.client.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, s3Error(op, err)
		}
		for _, o := range out.Contents {
			infos = append(infos, blob.Info{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Changed: aws.ToTime(o.LastModified)})
		}
		if len(infos) >= limit || !aws.ToBool(out.IsTruncated) {
			return infos, nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// Delete implements blob.Bucket.
func (b *bucket) Delete(ctx context.Context, keys ...string) error {
	const op = "delete files"
	if err := checkKeys(ctx, keys...); err != nil {
		return kind.Wrap(op, err)
	}
	for len(keys) > 0 {
		n := min(len(keys), b.page)
		list := make([]types.ObjectIdentifier, n)
		for i := range list {
			list[i].Key = &keys[i]
		}
		keys = keys[n:]
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket: &b.name, Delete: &types.Delete{Objects: list, Quiet: aws.Bool(true)},
		})
		if err != nil {
			return s3Error(op, err)
		}
		for _, failed := range out.Errors { // the first speaks for all
			err := s3Error(op, &smithy.GenericAPIError{Code: aws.ToString(failed.Code)})
			if kind.Of(err) != kind.NotFound {
				return err
			}
		}
	}
	return nil
}

// Link implements blob.Bucket. The link ends with the credentials that it was
// signed with, if that is sooner.
func (b *bucket) Link(ctx context.Context, key string, l blob.Link) (string, error) {
	const op = "make a link"
	if err := checkKeys(ctx, key); err != nil {
		return "", kind.Wrap(op, err)
	}
	if err := l.Check(); err != nil {
		return "", kind.Wrap(op, err)
	}
	signed, err := b.presign.PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket:                     &b.name,
		Key:                        &key,
		ResponseCacheControl:       aws.String("private, no-store"),
		ResponseContentDisposition: aws.String(l.Disposition()),
		ResponseContentType:        &l.Type,
	}, s3.WithPresignExpires(l.Lifetime.Truncate(time.Second)))
	if err != nil {
		return "", s3Error(op, err)
	}
	return signed.URL, nil
}

// s3Error gives an error of S3 its kind; for nil it returns nil.
func s3Error(op string, err error) error {
	switch errorCode(err) {
	case "NoSuchKey", "NotFound", "NoSuchUpload":
		return kind.E(kind.NotFound, op, Cause(err))
	case "InvalidPart":
		return kind.E(kind.Conflict, op, Cause(err))
	case "EntityTooSmall", "InvalidPartOrder", "InvalidRange":
		return kind.E(kind.Invalid, op, Cause(err))
	case "OperationAborted":
		return kind.E(kind.Unavailable, op, Cause(err))
	}
	return Classify(op, err)
}

// errorCode returns the word by which S3 names an error, or "".
func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
