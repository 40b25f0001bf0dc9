package local

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// crashDB names the database for the process that is to be killed.
const crashDB = "LETHE_TEST_CRASH_DB"

// A chore writes in ways that show, after a crash, whether anything was lost or
// done by half.
type chore struct {
	table table.Table
	db    *DB
	said  func(worker, n int) // what was answered with success
}

const choreWorkers = 5

func chorePK(worker int) string { return fmt.Sprintf("worker %d", worker) }
func choreSK(n int) string      { return fmt.Sprintf("%06d", n) }

// step writes entry n of a worker. Worker 0 writes large entries in batches, and
// scrubs; the others write an entry and count it in one transaction.
func (c *chore) step(ctx context.Context, worker, n int) error {
	entry := func(sk string) table.Op {
		return table.Put(table.Item{Key: table.Key{PK: chorePK(worker), SK: sk}, Data: []byte(strings.Repeat("x", 20<<10*(1-min(worker, 1))))}, table.Cond{})
	}
	if worker == 0 {
		var ops []table.Op
		for part := range 20 {
			ops = append(ops, entry(fmt.Sprintf("%s-%02d", choreSK(n), part)))
		}
		if err := c.table.WriteMany(ctx, ops); err != nil {
			return err
		}
		if n%4 == 3 {
			return c.db.Scrub(ctx)
		}
		return nil
	}
	entryOp := entry(choreSK(n))
	entryOp.If = table.IfAbsent()
	return c.table.Write(ctx, entryOp, table.AddUpTo(table.Key{PK: chorePK(worker), SK: "count"}, 1, 1<<40))
}

// work goes on from where each worker is, until ctx ends or a step fails.
func (c *chore) work(ctx context.Context, from [choreWorkers]int) error {
	var all sync.WaitGroup
	errs := make([]error, choreWorkers)
	for worker := range choreWorkers {
		all.Go(func() {
			for n := from[worker]; ctx.Err() == nil; n++ {
				if errs[worker] = c.step(ctx, worker, n); errs[worker] != nil {
					return
				}
				c.said(worker, n)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// wantChores checks that everything said is there and nothing is there by half,
// and returns where each worker would go on.
func wantChores(t *testing.T, db *DB, said [choreWorkers]int) (next [choreWorkers]int) {
	t.Helper()
	checkFile(t, db)
	tbl := db.Table("subjects")
	for worker := range choreWorkers {
		entries, parts := 0, 0
		for q := (table.Query{PK: chorePK(worker), To: "count"}); ; {
			page, err := tbl.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			parts += len(page.Items)
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		entries = parts
		if worker == 0 {
			entries = parts / 20
		}
		if entries < said[worker] {
			t.Errorf("worker %d was told of %d entries, %d are there", worker, said[worker], entries)
		}
		next[worker] = entries
		if worker == 0 {
			continue // a batch may be there in part
		}
		count, err := tbl.Get(t.Context(), table.Key{PK: chorePK(worker), SK: "count"})
		if err != nil && kind.Of(err) != kind.NotFound || count.Count != int64(entries) {
			t.Errorf("worker %d: a count of %d (%v) beside %d entries", worker, count.Count, err, entries)
		}
	}
	return next
}

// TestSQLiteKilled kills a process in the middle of its writes, again and again
// on one file.
func TestSQLiteKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lethe.db")
	var said [choreWorkers]int
	total := 0
	for range 4 {
		for _, line := range killed(t, path, 30+rand.IntN(200)) {
			var worker, n int
			if _, err := fmt.Sscanf(line, "did %d %d", &worker, &n); err != nil {
				t.Fatalf("the process said %q", line)
			}
			said[worker] = max(said[worker], n+1)
			total++
		}
		db, err := OpenDB(path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		wantChores(t, db, said)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if total < 120 {
		t.Errorf("%d writes: too few to tell anything", total)
	}
}

// killed runs the writing process, kills it when it has said that many lines,
// and returns all that it said.
func killed(t *testing.T, path string, lines int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSQLiteKilledChild$")
	child.Env = append(os.Environ(), crashDB+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		said = append(said, scanner.Text())
		if len(said) == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait()
	if len(said) < lines {
		t.Fatalf("the process ended by itself after %d lines", len(said))
	}
	return said
}

// TestSQLiteKilledChild is the process that TestSQLiteKilled kills.
func TestSQLiteKilledChild(t *testing.T) {
	path := os.Getenv(crashDB)
	if path == "" {
		return // an ordinary run of all tests
	}
	db := openTestDB(t, path, time.Now)
	var mu sync.Mutex
	c := &chore{table: db.Table("subjects"), db: db, said: func(worker, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("did %d %d\n", worker, n)
	}}
	if err := c.work(t.Context(), wantChores(t, db, [choreWorkers]int{})); err != nil {
		t.Error(err)
	}
}

// TestSQLitePowerCut takes images of the disk as a power cut would leave it: what
// was synced, and an arbitrary part of what was not.
func TestSQLitePowerCut(t *testing.T) {
	disk := newDisk(t)
	db := openTestDB(t, filepath.Join(disk.dir, "lethe.db"), time.Now)
	db.softLog, db.fullLog, db.hardLog = 1<<20, 2<<20, 4<<20

	var mu sync.Mutex
	var said [choreWorkers]int
	wrote := make(chan struct{}, 1)
	c := &chore{table: db.Table("subjects"), db: db, said: func(worker, n int) {
		mu.Lock()
		defer mu.Unlock()
		said[worker] = n + 1
		select {
		case wrote <- struct{}{}:
		default:
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.work(ctx, [choreWorkers]int{}) }()
	for n := range 6 {
		for range 1 + rand.IntN(40) {
			<-wrote
		}
		mu.Lock()
		before := said
		mu.Unlock()
		image := filepath.Join(t.TempDir(), fmt.Sprint(n))
		disk.cut(t, image)
		after, err := OpenDB(filepath.Join(image, "lethe.db"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		wantChores(t, after, before)
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
