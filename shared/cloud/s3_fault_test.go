package cloud

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"lethe/shared/blob"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/kind"
)

// sent returns what tells requests with this method and this field of the query.
func sent(method, field string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == method && (field == "" && !r.URL.Query().Has("uploadId") || r.URL.Query().Has(field))
	}
}

// Every call that changes something loses its connection before or after the
// server has done it, once, and until the SDK gives up.
func TestBucketFaults(t *testing.T) {
	server := cloudtest.S3(t)
	line := cloudtest.NewLine(t, *server.Options().BaseEndpoint)
	client := s3.New(server.Options(), func(o *s3.Options) {
		o.BaseEndpoint = &line.Address
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	})
	const key = "faults/secret.bin"
	small, large := []byte("new"), make([]byte, putPart+putPart/2)
	has := func(b *bucket, want []byte) bool {
		r, err := b.Get(t.Context(), key, 0, -1)
		if err != nil {
			return false
		}
		defer r.Close()
		var got bytes.Buffer
		_, err = got.ReadFrom(r)
		return err == nil && bytes.Equal(got.Bytes(), want)
	}
	put := func(data []byte) func(*bucket, string, blob.Part) error {
		return func(b *bucket, _ string, _ blob.Part) error { return b.Put(t.Context(), key, bytes.NewReader(data)) }
	}
	putDone := func(data []byte) func(*bucket, string) bool {
		return func(b *bucket, _ string) bool { return has(b, data) }
	}
	stored := func(b *bucket, upload string) bool {
		out, err := client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &b.name, Key: aws.String(key), UploadId: &upload})
		return err == nil && len(out.Parts) == 2
	}
	for i, c := range []struct {
		name  string
		fails func(*http.Request) bool
		call  func(b *bucket, upload string, one blob.Part) error
		done  func(b *bucket, upload string) bool
	}{
		{"Put", sent("PUT", ""), put(small), putDone(small)},
		{"Put in parts, begin", sent("POST", "uploads"), put(large), nil},
		{"Put in parts, part", sent("PUT", "partNumber"), put(large), nil},
		{"Put in parts, complete", sent("POST", "uploadId"), put(large), putDone(large)},
		{"Delete", sent("POST", "delete"), func(b *bucket, _ string, _ blob.Part) error { return b.Delete(t.Context(), key) },
			func(b *bucket, _ string) bool { return !has(b, []byte("old")) }},
		{"Part", sent("PUT", "partNumber"), func(b *bucket, upload string, _ blob.Part) error {
			_, err := b.Part(t.Context(), key, upload, 2, bytes.NewReader(small), int64(len(small)))
			return err
		}, stored},
		{"CopyPart", sent("PUT", "partNumber"), func(b *bucket, upload string, _ blob.Part) error {
			_, err := b.CopyPart(t.Context(), key, upload, 2, "faults/source.bin", 1, 3)
			return err
		}, stored},
		// As S3 does, versitygw remembers what it completed.
		{"Complete", sent("POST", "uploadId"), func(b *bucket, upload string, one blob.Part) error {
			return b.Complete(t.Context(), key, upload, []blob.Part{one})
		}, putDone([]byte("part one"))},
		{"Abort", sent("DELETE", "uploadId"), func(b *bucket, upload string, _ blob.Part) error {
			return b.Abort(t.Context(), key, upload)
		}, func(b *bucket, upload string) bool {
			_, err := client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &b.name, Key: aws.String(key), UploadId: &upload})
			return errorCode(err) == "NoSuchUpload"
		}},
	} {
		for j, fault := range cloudtest.Faults {
			for k, times := range []int{1, 1000} {
				t.Run(c.name+", "+string(fault)+", "+map[bool]string{true: "once", false: "for good"}[times == 1], func(t *testing.T) {
					b := newBucket(t, client, "faults-"+strconv.Itoa(100*i+10*j+k))
					for name, text := range map[string]string{key: "old", "faults/source.bin": "source"} {
						if err := b.Put(t.Context(), name, strings.NewReader(text)); err != nil {
							t.Fatal(err)
						}
					}
					upload, err := b.Begin(t.Context(), key)
					if err != nil {
						t.Fatal(err)
					}
					one, err := b.Part(t.Context(), key, upload, 1, strings.NewReader("part one"), int64(len("part one")))
					if err != nil {
						t.Fatal(err)
					}

					line.Break(fault, times, c.fails)
					err = c.call(b, upload, one)
					if line.Mend() == times {
						t.Fatal("nothing failed")
					}
					want := kind.Kind("")
					if times > 1 {
						want = kind.Unavailable
					}
					if kind.Of(err) != want || err != nil && strings.Contains(err.Error(), "secret") {
						t.Errorf("got %v, want %q without the key", err, want)
					}
					applied := fault == cloudtest.Applied || times == 1
					if c.done != nil && c.done(b, upload) != applied {
						t.Errorf("the server has done it: %v, want %v", !applied, applied)
					}
					if err := c.call(b, upload, one); err != nil {
						t.Errorf("again: got %v", err)
					}
					if c.done != nil && !c.done(b, upload) {
						t.Error("after it was called again, it is not done")
					}
				})
			}
		}
	}
}
