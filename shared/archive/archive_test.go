package archive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"lethe/shared/archive"
	"lethe/shared/blob"
	"lethe/shared/kind"
)

const task = "0b0f7f0e-2f5e-4c2a-9d5e-000000000001"

var snapshot = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)

// person is one folder's records.
type person struct {
	folder   int
	ids      []kind.Subject
	profiles []string
	events   []archive.Event
}

func (p person) entry() archive.SubjectFolder {
	return archive.SubjectFolder{
		Folder: p.folder, Submitted: p.ids[:min(1, len(p.ids))], Resolved: p.ids,
		Profiles: int64(len(p.profiles)), Events: int64(len(p.events)),
	}
}

// people makes n persons with rows events each over about a year. Every third
// has no profile; the last one has nothing at all.
func people(n, rows int) []person {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]person, n)
	for i := range all {
		p := person{folder: i + 1, ids: []kind.Subject{kind.Subject(fmt.Sprintf("user-%d", i)), kind.Subject(fmt.Sprintf("anon-%d", i))}}
		if i == n-1 && n > 1 {
			all[i] = p
			break
		}
		if i%3 != 2 {
			p.profiles = []string{fmt.Sprintf(`{"$distinct_id":"user-%d","$properties":{"plan":"pro","n":%d}}`, i, i)}
		}
		at := time.Date(2025, 1, 15, 8, 0, 0, 0, time.UTC)
		for j := range rows {
			at = at.Add(time.Duration(1+random.IntN(2*365*24*3600*1000/rows)) * time.Millisecond)
			p.events = append(p.events, row(random, i, j, at))
		}
		all[i] = p
	}
	return all
}

// row is an event of about 500 bytes.
func row(random *rand.Rand, i, j int, at time.Time) archive.Event {
	names := []string{"page view", "sign up", "add to cart", "=purchase"}
	insert := fmt.Sprintf("%016x", random.Uint64())
	properties := fmt.Sprintf(`{"time":%d,"distinct_id":"user-%d","$insert_id":"%s","$browser":"Firefox","$city":"Vienna","$current_url":"https://shop.example/products/%d?ref=%x","$os":"Linux","mp_country_code":"AT","mp_lib":"web","$lib_version":"2.55.1","$screen_height":%d,"$screen_width":1920,"price":%d.%02d,"session":"%016x%016x","text":"a \"quoted\" word, and a comma","list":["a","b",%d],"nested":{"k":null,"t":true}}`,
		at.UnixMilli(), i, insert, random.IntN(5000), random.Uint32(), 700+random.IntN(400), random.IntN(500), random.IntN(100), random.Uint64(), random.Uint64(), j)
	return archive.Event{
		Time: at, Name: names[random.IntN(len(names))],
		DistinctID: kind.Subject(fmt.Sprintf("user-%d", i)), InsertID: insert, Properties: []byte(properties),
	}
}

// collect writes a batch in segments of about cut bytes. With restart every
// segment is written by a Collector of its own, as if by another process.
func collect(t testing.TB, bucket blob.Bucket, batch, cut int, restart bool, batchPeople []person) int {
	t.Helper()
	c := archive.NewCollector(archive.State{})
	c.Cut = cut
	segments := 0
	end := func(last bool) {
		s, err := c.Close(last)
		if err == nil {
			err = archive.Store(t.Context(), bucket, task, batch, s)
		}
		if err != nil {
			t.Fatal(err)
		}
		segments++
		if restart {
			c = archive.NewCollector(throughJSON(t, s.Next))
			c.Cut = cut
		}
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Full() {
			end(false)
		}
	}
	for _, p := range batchPeople {
		for _, record := range p.profiles {
			check(c.Profile(p.folder, []byte(record)))
		}
		for _, e := range p.events {
			check(c.Event(p.folder, e))
		}
	}
	end(true)
	return segments
}

func throughJSON[T any](t testing.TB, v T) T {
	t.Helper()
	b, err := json.Marshal(v)
	var out T
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func head() archive.Head {
	return archive.Head{
		Task: task, Project: "3", ProjectName: "Shop <& Co>", Compliance: "gdpr", Disclosure: "DATA",
		Requested: snapshot.Add(-time.Hour), Snapshot: snapshot,
	}
}

func folders(all []person) iter.Seq2[archive.SubjectFolder, error] {
	return func(yield func(archive.SubjectFolder, error) bool) {
		for _, p := range all {
			if !yield(p.entry(), nil) {
				return
			}
		}
	}
}

func ids(names ...kind.Subject) []kind.Subject { return names }

func always() bool { return true }
func never() bool  { return false }

// pack packs to the end, going on from the stored cursor whenever it stops.
func pack(t testing.TB, bucket blob.Bucket, batches []int, all []person, keepGoing func() bool) archive.Info {
	t.Helper()
	var cursor archive.Packing
	for range 10000 {
		done, info, err := archive.Pack(t.Context(), bucket, task, &cursor, batches, head(), folders(all), keepGoing)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return info
		}
		cursor = throughJSON(t, cursor)
	}
	t.Fatal("Pack does not come to an end")
	return archive.Info{}
}

// stage collects people as one batch.
func stage(t testing.TB, all []person) (*blob.Memory, []int) {
	t.Helper()
	bucket := blob.NewMemory(time.Now)
	return bucket, []int{collect(t, bucket, 0, archive.SegmentSize, false, all)}
}

// export makes the export file of people in batches of size.
func export(t testing.TB, all []person, size, cut int, restart bool) (*blob.Memory, archive.Info) {
	t.Helper()
	bucket := blob.NewMemory(time.Now)
	var batches []int
	for from := 0; from < len(all); from += size {
		batches = append(batches, collect(t, bucket, len(batches), cut, restart, all[from:min(from+size, len(all))]))
	}
	keepGoing := always
	if restart {
		keepGoing = never
	}
	return bucket, pack(t, bucket, batches, all, keepGoing)
}

func read(t testing.TB, bucket blob.Bucket, key string) []byte {
	t.Helper()
	body, err := bucket.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, data []byte) *archive.Archive {
	t.Helper()
	a, err := archive.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheSameRecordsGiveTheSameBytes(t *testing.T) {
	all := people(23, 200)
	var want []byte
	tests := []struct {
		name    string
		cut     int
		restart bool
	}{
		{"one segment a batch", 1 << 20, false},
		{"again", 1 << 20, true},
		{"cuts inside files", 9000, false},
		{"cuts inside files, a process for each", 9000, true},
	}
	for i, test := range tests {
		bucket, info := export(t, all, 7, test.cut, test.restart)
		got := read(t, bucket, archive.Key(task))
		if err := open(t, got).Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if info.Bytes != int64(len(got)) || info.Events != 22*200 || info.Subjects != 23 {
			t.Errorf("%s: info is %+v for %d bytes", test.name, info, len(got))
		}
		// The cut is part of what decides the bytes; who wrote them is not.
		if i%2 == 0 {
			want = got
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes than without a restart", test.name)
		}
	}
}
