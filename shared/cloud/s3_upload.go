package cloud

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// Begin implements blob.Bucket.
func (b *bucket) Begin(ctx context.Context, key string) (string, error) {
	const op = "begin an upload"
	if err := checkKeys(ctx, key); err != nil {
		return "", kind.Wrap(op, err)
	}
	out, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return "", s3Error(op, err)
	}
	return aws.ToString(out.UploadId), nil
}

// named returns kind.NotFound for what cannot be the name of an upload: a server
// may take no name for no upload at all, and dots for a folder of its own.
func named(upload string) error {
	if strings.Trim(upload, ".") == "" {
		return kind.E(kind.NotFound, "find an upload")
	}
	return nil
}

// An s3SeekSource is an s3Source that the SDK can send again.
type s3SeekSource struct {
	s3Source
	io.Seeker
}

// Part implements blob.Bucket.
func (b *bucket) Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (blob.Part, error) {
	const op = "store a part"
	if err := checkKeys(ctx, key); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	if err := blob.CheckPart(number, r, size); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	if err := named(upload); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	src := &s3SeekSource{s3Source{r: r}, r}
	out, err := b.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &b.name, Key: &key, UploadId: &upload, PartNumber: aws.Int32(int32(number)),
		Body: src, ContentLength: &size,
	})
	if src.err != nil {
		return blob.Part{}, kind.Wrap(op, src.err)
	}
	if err != nil {
		return blob.Part{}, s3Error(op, err)
	}
	return blob.Part{Number: number, Tag: aws.ToString(out.ETag), Size: size}, nil
}

// CopyPart implements blob.Bucket.
func (b *bucket) CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (blob.Part, error) {
	const op = "copy a part"
	if err := checkKeys(ctx, key, src); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	if err := blob.CheckCopy(number, off, n); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	if err := named(upload); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	out, err := b.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: &b.name, Key: &key, UploadId: &upload, PartNumber: aws.Int32(int32(number)),
		CopySource:      aws.String(b.name + "/" + src), // no key needs escaping
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1)),
	})
	if errorCode(err) == "InvalidArgument" { // what S3 calls a range beyond the source
		return blob.Part{}, kind.E(kind.Invalid, op, Cause(err))
	}
	if err != nil {
		return blob.Part{}, s3Error(op, err)
	}
	return blob.Part{Number: number, Tag: aws.ToString(out.CopyPartResult.ETag), Size: n}, nil
}

// Complete implements blob.Bucket.
func (b *bucket) Complete(ctx context.Context, key, upload string, parts []blob.Part) error {
	const op = "complete an upload"
	if err := checkKeys(ctx, key); err != nil {
		return kind.Wrap(op, err)
	}
	if err := blob.CheckParts(parts); err != nil {
		return kind.Wrap(op, err)
	}
	if err := named(upload); err != nil {
		return kind.Wrap(op, err)
	}
	list := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		list[i] = types.CompletedPart{PartNumber: aws.Int32(int32(p.Number)), ETag: &parts[i].Tag}
	}
	_, err := b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: &key, UploadId: &upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: list},
	})
	return s3Error(op, err)
}

// Abort implements blob.Bucket.
func (b *bucket) Abort(ctx context.Context, key, upload string) error {
	const op = "abort an upload"
	if err := checkKeys(ctx, key); err != nil {
		return kind.Wrap(op, err)
	}
	if upload == "" {
		return b.abortAll(ctx, op, key)
	}
	if named(upload) != nil {
		return nil
	}
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: &upload})
	if err = s3Error(op, err); kind.Of(err) == kind.NotFound {
		return nil
	}
	return err
}

// abortAll gives up every upload of key.
func (b *bucket) abortAll(ctx context.Context, op, key string) error {
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s3Error(op, err)
		}
		for _, u := range page.Uploads {
			if name := aws.ToString(u.UploadId); aws.ToString(u.Key) == key && name != "" {
				if err := b.Abort(ctx, key, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
