package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"lethe/shared/archive"
	"lethe/shared/blob"
	"lethe/shared/kind"
)

// The whole way of one person's records: into segments, into the export file, and
// back out of it.
func Example() {
	ctx := context.Background()
	bucket := blob.NewMemory(time.Now)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	// Collect. Where c.Full() says so, Close(false) ends a segment, and its Next is
	// the cursor from which a Collector goes on, here or in another process.
	c := archive.NewCollector(archive.State{})
	err := c.Profile(1, []byte(`{"$distinct_id":"ann","$properties":{"plan":"pro"}}`))
	if err == nil {
		err = c.Event(1, archive.Event{Time: at, Name: "page view", DistinctID: "ann", Properties: []byte(`{"time":1772366400,"distinct_id":"ann"}`)})
	}
	segment, closed := c.Close(true)
	if err != nil || closed != nil {
		panic("collect")
	}
	if err := archive.Store(ctx, bucket, "task", 0, segment); err != nil {
		panic(err)
	}

	// Pack.
	subjects := func(yield func(archive.SubjectFolder, error) bool) {
		ann := []kind.Subject{"ann"}
		yield(archive.SubjectFolder{Folder: 1, Submitted: ann, Resolved: ann, Profiles: 1, Events: 1}, nil)
	}
	head := archive.Head{Task: "task", Compliance: "gdpr", Disclosure: "DATA", Requested: at, Snapshot: at}
	var cursor archive.Packing
	done, info, err := archive.Pack(ctx, bucket, "task", &cursor, []int{1}, head, subjects, func() bool { return true })
	if err != nil || !done {
		panic(err)
	}

	// Read.
	body, err := bucket.Get(ctx, archive.Key("task"), 0, -1)
	if err != nil {
		panic(err)
	}
	defer body.Close()
	file, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	a, err := archive.Open(bytes.NewReader(file), info.Bytes)
	if err == nil {
		err = a.Verify(ctx)
	}
	fmt.Println(err, a.Sum() == info.Manifest, a.Manifest().Totals.Events)
	// Output: <nil> true 1
}
