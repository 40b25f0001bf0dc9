package archive_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"lethe/shared/archive"
	"lethe/shared/blob"
	"lethe/shared/blob/blobtest"
	"lethe/shared/kind"
)

// heavy is a person with rows of 64 KiB that hardly compress.
func heavy(folder, rows int) person {
	random := rand.NewChaCha8([32]byte{byte(folder)})
	p := person{folder: folder, ids: []kind.Subject{"heavy"}}
	noise := make([]byte, 48<<10)
	for i := range rows {
		_, _ = random.Read(noise)
		p.events = append(p.events, archive.Event{
			Time: time.Date(2025, 1, 1, i, 0, 0, 0, time.UTC), Name: "upload", DistinctID: "heavy",
			Properties: []byte(`{"time":1,"distinct_id":"heavy","noise":"` + base64.StdEncoding.EncodeToString(noise) + `"}`),
		})
	}
	return p
}

// stored is a bucket with the segments of four batches: some that can be copied,
// some that must be joined, and one batch without anything.
type stored struct {
	*blob.Memory
	all     []person
	batches []int
}

func storeSegments(t testing.TB) stored {
	t.Helper()
	s := stored{Memory: blob.NewMemory(time.Now)}
	light := people(5, 20)
	for i := range light {
		light[i].folder += 10
	}
	sets := [][]person{{heavy(1, 115)}, {}, light, {heavy(20, 230)}}
	for i, set := range sets {
		if len(set) == 0 {
			s.batches = append(s.batches, 0)
			continue
		}
		s.all = append(s.all, set...)
		s.batches = append(s.batches, collect(t, s, i, blob.MinPart+100<<10, false, set))
	}
	return s
}

// sum is the checksum of the packed file.
func (s stored) sum(t testing.TB) [32]byte {
	t.Helper()
	body, err := s.Get(t.Context(), archive.Key(task), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

func TestPackGivesTheSameFileHoweverOftenItStops(t *testing.T) {
	s := storeSegments(t)
	pack(t, s, s.batches, s.all, always)
	want := s.sum(t)
	data := read(t, s, archive.Key(task))
	if err := open(t, data).Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(data) < 5*blob.MinPart {
		t.Fatalf("the file has %d bytes, too few to say anything about parts", len(data))
	}

	runs := 0
	pack(t, s, s.batches, s.all, func() bool { runs++; return false })
	if got := s.sum(t); got != want {
		t.Error("another file when stopped after every part")
	}
	if runs < 5 {
		t.Errorf("stopped %d times, want once a part", runs)
	}
}

func TestPackAfterFailedWrites(t *testing.T) {
	s := storeSegments(t)
	count := blobtest.NewFaulty(s, 0, blobtest.NotApplied)
	pack(t, count, s.batches, s.all, always)
	want := s.sum(t)
	for n := 1; n <= count.Writes(); n++ {
		for _, fault := range blobtest.Faults() {
			if err := s.Delete(t.Context(), archive.Key(task)); err != nil {
				t.Fatal(err)
			}
			bucket := blobtest.NewFaulty(s, n, fault)
			var cursor archive.Packing
			_, _, err := archive.Pack(t.Context(), bucket, task, &cursor, s.batches, head(), folders(s.all), always)
			if !errors.Is(err, kind.Unavailable) {
				t.Fatalf("write %d %v: got error %v, want %v", n, fault, err, kind.Unavailable)
			}
			cursor = throughJSON(t, cursor)
			done, _, err := archive.Pack(t.Context(), bucket, task, &cursor, s.batches, head(), folders(s.all), always)
			if err != nil || !done {
				t.Fatalf("write %d %v: the next run gives %v, %v", n, fault, done, err)
			}
			if got := s.sum(t); got != want {
				t.Errorf("write %d %v: another file", n, fault)
			}
		}
	}
}

func TestPackWhenItsUploadIsGone(t *testing.T) {
	s := storeSegments(t)
	pack(t, s, s.batches, s.all, always)
	want := s.sum(t)
	var cursor archive.Packing
	for range 3 {
		if _, _, err := archive.Pack(t.Context(), s, task, &cursor, s.batches, head(), folders(s.all), never); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Abort(t.Context(), archive.Key(task), cursor.Upload); err != nil {
		t.Fatal(err)
	}
	done, _, err := archive.Pack(t.Context(), s, task, &cursor, s.batches, head(), folders(s.all), always)
	if err != nil || !done {
		t.Fatalf("got %v, %v, want a finished file", done, err)
	}
	if got := s.sum(t); got != want {
		t.Error("another file")
	}
}

func TestPackNamesAMissingSegment(t *testing.T) {
	keys := []string{
		archive.SegmentKey(task, 3, 1, archive.Records),
		archive.SegmentKey(task, 0, 0, archive.Table),
		archive.SegmentKey(task, 2, 0, archive.Records),
		archive.SegmentPrefix(task) + "000000/000000.files",
		archive.SegmentPrefix(task) + "000002/000000.files",
	}
	s := storeSegments(t)
	for _, key := range keys {
		kept := read(t, s, key)
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		var cursor archive.Packing
		_, _, err := archive.Pack(t.Context(), s, task, &cursor, s.batches, head(), folders(s.all), always)
		if !errors.Is(err, kind.NotFound) {
			t.Errorf("without %s: got %v, want %v", key, err, kind.NotFound)
		}
		if _, err := s.Head(t.Context(), archive.Key(task)); !errors.Is(err, kind.NotFound) {
			t.Errorf("without %s: a file was made", key)
		}
		if err := s.Put(t.Context(), key, bytes.NewReader(kept)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPackRefusesWhatDoesNotFit(t *testing.T) {
	all := people(4, 20)
	tests := []struct {
		name  string
		spoil func(bucket blob.Bucket, batches []int, all []person)
	}{
		{"a batch that was not ended", func(_ blob.Bucket, batches []int, _ []person) { batches[0]-- }},
		{"a folder with other counts", func(_ blob.Bucket, _ []int, all []person) { all[0].events = all[0].events[1:] }},
		{"a segment of another size", func(bucket blob.Bucket, _ []int, _ []person) {
			key := archive.SegmentKey(task, 0, 0, archive.Records)
			if err := bucket.Put(t.Context(), key, io.LimitReader(rand.NewChaCha8([32]byte{}), 100)); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, test := range tests {
		bucket := blob.NewMemory(time.Now)
		batches := []int{collect(t, bucket, 0, 4000, false, all)}
		listed := append([]person(nil), all...)
		test.spoil(bucket, batches, listed)
		var cursor archive.Packing
		_, _, err := archive.Pack(t.Context(), bucket, task, &cursor, batches, head(), folders(listed), always)
		if !errors.Is(err, kind.Corrupt) {
			t.Errorf("%s: got %v, want %v", test.name, err, kind.Corrupt)
		}
	}
}

// Two batches with one folder would give two entries of one name.
func TestPackRefusesAFolderInTwoBatches(t *testing.T) {
	all := people(3, 2)
	bucket := blob.NewMemory(time.Now)
	batches := []int{
		collect(t, bucket, 0, archive.SegmentSize, false, all[:2]),
		collect(t, bucket, 1, archive.SegmentSize, false, all[1:]),
	}
	var cursor archive.Packing
	_, _, err := archive.Pack(t.Context(), bucket, task, &cursor, batches, head(), folders(append(all[:2], all[1:]...)), always)
	if !errors.Is(err, kind.Internal) {
		t.Errorf("got %v, want %v", err, kind.Internal)
	}
}

func TestPackOfMoreThanOneFileHolds(t *testing.T) {
	s := storeSegments(t)
	cursor := archive.Packing{Upload: "full", Parts: make([]blob.Part, blob.MaxParts)}
	_, _, err := archive.Pack(t.Context(), s, task, &cursor, s.batches, head(), folders(s.all), always)
	if !errors.Is(err, kind.TooLarge) || kind.Sentence(err) == "" {
		t.Errorf("got %v, want %v with a sentence", err, kind.TooLarge)
	}
}
