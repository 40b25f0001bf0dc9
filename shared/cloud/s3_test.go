package cloud

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"lethe/shared/blob"
	"lethe/shared/blob/blobtest"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/kind"
)

// newBucket makes an empty bucket in a gateway.
func newBucket(t *testing.T, client *s3.Client, name string) *bucket {
	t.Helper()
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return NewBucket(client, name).(*bucket)
}

// shiftedSigner signs links at another time than now.
type shiftedSigner struct {
	s3.HTTPPresignerV4
	by *atomic.Int64
}

func (s shiftedSigner) PresignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request,
	payloadHash, service, region string, at time.Time, options ...func(*v4.SignerOptions),
) (string, http.Header, error) {
	at = at.Add(time.Duration(s.by.Load()))
	return s.HTTPPresignerV4.PresignHTTP(ctx, credentials, r, payloadHash, service, region, at, options...)
}

func TestBucket(t *testing.T) {
	client := cloudtest.S3(t)
	count := 0
	blobtest.Run(t, func(t *testing.T) blobtest.Driver {
		count++
		b := newBucket(t, client, fmt.Sprintf("suite-%d", count))
		var by atomic.Int64
		b.presign = s3.NewPresignClient(b.client, func(o *s3.PresignOptions) {
			o.Presigner = shiftedSigner{v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }), &by}
		})
		return blobtest.Driver{
			Bucket:  b,
			Streams: true,
			Links:   true,
			Shift:   func(d time.Duration) { by.Store(int64(d)) },
		}
	})
}

// Moto is an engine of other makers, which checks no signature and knows less of
// uploads in parts.
func TestBucketOfMoto(t *testing.T) {
	client := s3.NewFromConfig(cloudtest.Config(cloudtest.Moto(t)), func(o *s3.Options) {
		o.UsePathStyle, o.Region = true, "us-east-1" // where a bucket needs no place to be named
	})
	const absent = "it fails at an upload that is absent in place of saying so, and takes a part for another key"
	count := 0
	blobtest.Run(t, func(t *testing.T) blobtest.Driver {
		count++
		return blobtest.Driver{Bucket: newBucket(t, client, fmt.Sprintf("suite-%d", count)), Streams: true}
	},
		blobtest.Deviation{Test: "UploadAbsent", Why: absent},
		blobtest.Deviation{Test: "UploadCompletedTwice", Why: absent},
		blobtest.Deviation{Test: "UploadAborted", Why: absent},
		blobtest.Deviation{Test: "CopyPartRefusals", Why: "it takes a range that ends beyond the file"},
	)
}

// With more files than a call of S3 lists or deletes, several are made.
func TestBucketPages(t *testing.T) {
	b := newBucket(t, cloudtest.S3(t), "pages")
	b.page = 3
	var keys []string
	for i := range 10 {
		key := fmt.Sprintf("pages/%d", i)
		keys = append(keys, key)
		if err := b.Put(t.Context(), key, strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 3, 4, 9, 10, 100} {
		infos, err := b.List(t.Context(), "pages/", "pages/0", limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, info := range infos {
			got = append(got, info.Key)
		}
		if want := keys[1:min(limit+1, 10)]; !slices.Equal(got, want) {
			t.Errorf("limit %d: got %q, want %q", limit, got, want)
		}
	}
	if err := b.Delete(t.Context(), keys[1:]...); err != nil {
		t.Fatal(err)
	}
	infos, err := b.List(t.Context(), "", "", 100)
	if err != nil || len(infos) != 1 || infos[0].Key != keys[0] {
		t.Errorf("after Delete: got %v, %v; want one file", infos, err)
	}
}

// What Put stored in parts before its reader failed costs money until it is
// given up.
func TestBucketPutGivesUpItsParts(t *testing.T) {
	client := cloudtest.S3(t)
	b := newBucket(t, client, "parts")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &endingReader{left: 3 * putPart, end: cancel}
	if err := b.Put(ctx, "large.bin", r); kind.Of(err) != kind.Unavailable {
		t.Errorf("Put whose context ends: got %v, want Unavailable", err)
	}
	out, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("parts")})
	if err != nil || len(out.Uploads) > 0 {
		t.Errorf("uploads that stayed: got %v, %v; want none", out, err)
	}
}

// endingReader calls end when half of it is read.
type endingReader struct {
	left int
	end  func()
}

func (r *endingReader) Read(p []byte) (int, error) {
	n := min(len(p), r.left)
	r.left -= n
	if r.left <= putPart {
		r.end()
	}
	return n, nil
}

func TestBucketErrors(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + free.Addr().String()
	free.Close()
	once := func(o *s3.Options) { o.UsePathStyle, o.RetryMaxAttempts = true, 1 }
	gateway := cloudtest.S3(t)
	for _, tc := range []struct {
		name   string
		client *s3.Client
		want   kind.Kind
	}{
		{"nobody answers", s3.NewFromConfig(cloudtest.Config(nobody), once), kind.Unavailable},
		{"no such bucket", gateway, kind.Internal},
		{"a wrong secret", s3.New(gateway.Options(), once, func(o *s3.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "wrong"}, nil
			})
		}), kind.Internal},
	} {
		b := NewBucket(tc.client, "nosuchbucket")
		for name, err := range map[string]error{
			"Put":    b.Put(t.Context(), "exports/secret.zip", strings.NewReader("x")),
			"Delete": b.Delete(t.Context(), "exports/secret.zip"),
			"Get":    getFile(t.Context(), b, "exports/secret.zip"),
		} {
			if got := kind.Of(err); got != tc.want {
				t.Errorf("%s, %s: got %v, want %q", tc.name, name, err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret.zip") || strings.Contains(err.Error(), "nosuchbucket")) {
				t.Errorf("%s, %s: the error names the key or the bucket: %v", tc.name, name, err)
			}
		}
	}
}

func getFile(ctx context.Context, b blob.Bucket, key string) error {
	r, err := b.Get(ctx, key, 0, -1)
	if err == nil {
		err = r.Close()
	}
	return err
}

func TestS3ErrorKinds(t *testing.T) {
	for code, want := range map[string]kind.Kind{
		"NoSuchKey":           kind.NotFound,
		"NotFound":            kind.NotFound,
		"NoSuchUpload":        kind.NotFound,
		"NoSuchBucket":        kind.Internal,
		"AccessDenied":        kind.Internal,
		"InvalidPart":         kind.Conflict,
		"EntityTooSmall":      kind.Invalid,
		"InvalidPartOrder":    kind.Invalid,
		"InvalidRange":        kind.Invalid,
		"OperationAborted":    kind.Unavailable,
		"SlowDown":            kind.Throttled,
		"RequestTimeout":      kind.Unavailable,
		"ThrottlingException": kind.Throttled,
	} {
		if got := kind.Of(s3Error("test", &smithy.GenericAPIError{Code: code})); got != want {
			t.Errorf("%s: got %q, want %q", code, got, want)
		}
	}
}
