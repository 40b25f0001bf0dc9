package local

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A trace marks one state of one item: it stands in the item's data, several
// times, and nowhere else.
const traceLen = len("<trace 0000000000000000>")

func newTrace() string { return fmt.Sprintf("<trace %016x>", rand.Uint64()) }

// traces returns the traces in any file under dir.
func traces(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for at := 0; err == nil; at++ {
			next := bytes.Index(b[at:], []byte("<trace "))
			if next < 0 || at+next+traceLen > len(b) {
				break
			}
			at += next
			found[string(b[at:at+traceLen])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A crowd writes and erases at random, and knows which traces must be there and
// which must not.
type crowd struct {
	t     *testing.T
	table table.Table
	now   map[table.Key]string
	gone  map[string]bool
}

func (c *crowd) write(ops []table.Op) {
	c.t.Helper()
	if err := c.table.WriteMany(c.t.Context(), ops); err != nil {
		c.t.Fatal(err)
	}
}

// put writes an item of a random size. Its key has a trace too, which goes with
// the item.
func (c *crowd) put(k table.Key) table.Op {
	trace := newTrace()
	if old, ok := c.now[k]; ok {
		c.gone[old] = true
	}
	c.now[k] = trace
	size := rand.IntN(1500)
	if rand.IntN(30) == 0 {
		size *= 20
	}
	i := table.Item{Key: k, Data: []byte(strings.Repeat(trace+strings.Repeat("x", 40), 1+size/64))}
	if rand.IntN(10) == 0 {
		i.Index = table.Key{PK: "index", SK: k.SK}
	}
	return table.Put(i, table.Cond{})
}

func (c *crowd) delete(k table.Key) table.Op {
	c.gone[c.now[k]], c.gone[k.SK] = true, true
	delete(c.now, k)
	return table.Delete(k, table.Cond{})
}

// rounds puts new items of 300 people, replaces some and deletes many.
func (c *crowd) rounds(n int) {
	c.t.Helper()
	for range n {
		var ops []table.Op
		for range 700 {
			ops = append(ops, c.put(table.Key{PK: fmt.Sprintf("person-%03d", rand.IntN(300)*7919%1000), SK: newTrace()}))
		}
		c.write(ops)
		ops = nil
		for k := range c.now {
			switch {
			case len(ops) == 500:
				c.write(ops)
				ops = nil
			case rand.IntN(20) == 0:
				ops = append(ops, c.put(k))
			case rand.IntN(5) == 0:
				ops = append(ops, c.delete(k))
			}
		}
		c.write(ops)
	}
}

// check fails if anything erased is left, or anything alive is not there.
func (c *crowd) check(dir string) {
	c.t.Helper()
	found := traces(c.t, dir)
	left, lost := 0, 0
	for trace := range c.gone {
		if found[trace] {
			left++
		}
	}
	for k, trace := range c.now {
		if !found[trace] || !found[k.SK] {
			lost++
		}
	}
	if left > 0 || lost > 0 {
		c.t.Errorf("of %d erased traces %d are left in files, of %d live ones %d are not there", len(c.gone), left, len(c.now), lost)
	}
}

func TestScrubLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	db := openTestDB(t, filepath.Join(dir, "lethe.db"), time.Now)
	c := &crowd{t: t, table: db.Table("subjects"), now: map[table.Key]string{}, gone: map[string]bool{}}
	for range 2 {
		c.rounds(5)
		if err := c.table.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.check(dir)
		if log, err := os.Stat(filepath.Join(dir, "lethe.db-wal")); err != nil || log.Size() != 0 {
			t.Errorf("the log is not empty: %v", err)
		}
	}
	// What comes later, in the same places and without another Scrub, does not
	// bring anything back.
	erased := c.gone
	for range 3 {
		var ops []table.Op
		for k := range c.now {
			if len(ops) < 500 {
				ops = append(ops, table.Put(table.Item{Key: table.Key{PK: k.PK, SK: "later " + k.SK}}, table.Cond{}))
			}
		}
		c.write(ops)
	}
	found := traces(t, dir)
	for trace := range erased {
		if found[trace] {
			t.Fatal("a later write brought an erased trace back into a file")
		}
	}
	checkFile(t, db)
}

// checkFile has SQLite look at the whole file.
func checkFile(t *testing.T, db *DB) {
	t.Helper()
	r := <-db.readers
	defer func() { db.readers <- r }()
	stmt, _, err := r.conn.Prepare("PRAGMA integrity_check")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	if !stmt.Step() || stmt.ColumnText(0) != "ok" {
		t.Errorf("integrity check: %q, %v", stmt.ColumnText(0), stmt.Err())
	}
}

// Those who ask at the same time share one run.
func TestScrubIsShared(t *testing.T) {
	disk := newDisk(t)
	db := openTestDB(t, filepath.Join(disk.dir, "lethe.db"), time.Now)
	if _, err := db.Table("control").Add(t.Context(), table.Key{PK: "p", SK: "s"}, 1); err != nil {
		t.Fatal(err)
	}
	release := hold(t, db)
	before := disk.count("lethe.db")
	var scrubs sync.WaitGroup
	for range 20 {
		scrubs.Go(func() {
			if err := db.Scrub(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "20 that wait for Scrub", func() bool { return len(db.scrubs) == 20 })
	release()
	scrubs.Wait()
	if got := disk.count("lethe.db") - before; got < 1 || got > 2 {
		t.Errorf("20 calls of Scrub synced the file %d times, want once or twice", got)
	}
}

// Scrub ends, and cuts the log, while others read and write all the time.
func TestScrubAmongReaders(t *testing.T) {
	dir := t.TempDir()
	db := openTestDB(t, filepath.Join(dir, "lethe.db"), time.Now)
	c := &crowd{t: t, table: db.Table("subjects"), now: map[table.Key]string{}, gone: map[string]bool{}}
	c.rounds(2)
	var keys []table.Key
	for k := range c.now {
		keys = append(keys, k)
	}
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for n := range 6 {
		busy.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				switch n {
				case 0:
					_, err = db.Table("control").Add(t.Context(), table.Key{PK: "count", SK: "count"}, 1)
				case 1:
					_, err = c.table.GetMany(t.Context(), keys)
				default:
					_, err = c.table.Query(t.Context(), table.Query{PK: keys[i%len(keys)].PK})
				}
				if err != nil && kind.Of(err) != kind.NotFound {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		c.rounds(1)
		var scrubs sync.WaitGroup
		for range 8 {
			scrubs.Go(func() {
				if err := c.table.Scrub(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		scrubs.Wait()
		c.check(dir)
	}
	close(stop)
	busy.Wait()
	checkFile(t, db)
}

func TestFreeSpace(t *testing.T) {
	page := func(size, at int, kind byte, cells, content int) []byte {
		p := bytes.Repeat([]byte{0xee}, size)
		p[at] = kind
		binary.BigEndian.PutUint16(p[at+3:], uint16(cells))
		binary.BigEndian.PutUint16(p[at+5:], uint16(content))
		return p
	}
	for name, c := range map[string]struct {
		page  []byte
		first bool
		want  span
	}{
		"leaf":                  {page: page(8192, 0, 10, 3, 8000), want: span{14, 8000}},
		"leaf of a table":       {page: page(8192, 0, 13, 0, 8192), want: span{8, 8192}},
		"inner page":            {page: page(8192, 0, 2, 3, 8000), want: span{18, 8000}},
		"inner page of a table": {page: page(512, 0, 5, 1, 500), want: span{14, 500}},
		"first page":            {page: page(8192, 100, 13, 2, 1000), first: true, want: span{112, 1000}},
		"page of 64 KB":         {page: page(1<<16, 0, 10, 0, 0), want: span{8, 1 << 16}},
		"full":                  {page: page(8192, 0, 10, 3, 14)},
		"overflow":              {page: page(8192, 0, 0, 3, 8000)},
		"overflow of page 2^24": {page: page(8192, 0, 1, 3, 8000)},
		"beyond its end":        {page: page(8192, 0, 10, 3, 9000)},
		"no page":               {page: page(8000, 0, 10, 3, 7000)},
		"a header":              {page: page(100, 0, 10, 3, 90)},
	} {
		if got := freeSpace(c.page, c.first); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func FuzzFreeSpace(f *testing.F) {
	f.Add(make([]byte, 512), true)
	f.Add(bytes.Repeat([]byte{10}, 1024), false)
	f.Fuzz(func(t *testing.T, p []byte, first bool) {
		if s := freeSpace(p, first); s.from < 0 || s.from > s.to || s.to > len(p) {
			t.Fatalf("%v of %d bytes", s, len(p))
		}
	})
}
