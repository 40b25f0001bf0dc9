package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// hold keeps the writer busy until the function it returns is called.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- db.submit(t.Context(), "hold", db.tasks, &task{do: func(*writer) (error, error) {
			close(begun)
			<-end
			return nil, nil
		}})
	}()
	<-begun
	return func() {
		close(end)
		if err := <-done; err != nil {
			t.Errorf("hold: %v", err)
		}
	}
}

// until yields to others until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("there are not %s within 10 s", what)
		}
	}
}

// queued waits until so many tasks wait for the writer.
func queued(t *testing.T, db *DB, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d tasks that wait", n), func() bool { return len(db.tasks) >= n })
}

// What waits together is synced together, and a condition that fails concerns
// only the one who set it.
func TestGroupCommit(t *testing.T) {
	disk := newDisk(t)
	db := openTestDB(t, filepath.Join(disk.dir, "lethe.db"), time.Now)
	tables := []table.Table{db.Table("control"), db.Table("subjects"), db.Table("workflow")}
	const writes = 60
	release := hold(t, db)
	syncs := disk.count("-wal")
	errs := make([]error, writes)
	var all sync.WaitGroup
	for n := range writes {
		all.Go(func() {
			k := table.Key{PK: "p", SK: fmt.Sprint(n)}
			c := table.Cond{}
			if n%5 == 0 {
				c = table.IfAt(99) // does not hold
			}
			errs[n] = tables[n%3].Write(t.Context(),
				table.Put(table.Item{Key: table.Key{PK: "beside", SK: fmt.Sprint(n)}}, table.Cond{}),
				table.Put(table.Item{Key: k}, c))
		})
	}
	queued(t, db, writes)
	release()
	all.Wait()
	if got := disk.count("-wal") - syncs; got > 2 { // the log's header is synced once too
		t.Errorf("%d syncs for %d writes that waited together, want at most 2", got, writes)
	}
	for n, err := range errs {
		want := kind.Kind("")
		if n%5 == 0 {
			want = kind.Conflict
		}
		if kind.Of(err) != want {
			t.Errorf("write %d: %v, want kind %q", n, err, want)
		}
		for _, pk := range []string{"p", "beside"} {
			_, err := tables[n%3].Get(t.Context(), table.Key{PK: pk, SK: fmt.Sprint(n)})
			if exists := err == nil; exists != (want == "") {
				t.Errorf("write %d: in %s %v", n, pk, err)
			}
		}
	}
}

// A fault in the middle of a transaction leaves nothing of it, and nobody is
// told otherwise.
func TestGroupFault(t *testing.T) {
	db := openTestDB(t, filepath.Join(t.TempDir(), "lethe.db"), time.Now)
	tbl := db.Table("control")
	release := hold(t, db)
	put := make(chan error, 2)
	go func() {
		put <- tbl.Write(t.Context(), table.Put(table.Item{Key: table.Key{PK: "p", SK: "before"}}, table.IfAbsent()))
	}()
	queued(t, db, 1)
	fault := make(chan error, 1)
	go func() {
		fault <- db.submit(t.Context(), "fail", db.tasks, &task{do: func(*writer) (error, error) {
			return nil, errors.New("the disk is full")
		}})
	}()
	queued(t, db, 2)
	go func() {
		put <- tbl.Write(t.Context(), table.Put(table.Item{Key: table.Key{PK: "p", SK: "behind"}}, table.IfAbsent()))
	}()
	queued(t, db, 3)
	release()
	for _, err := range []error{<-put, <-put, <-fault} {
		if kind.Of(err) != kind.Unavailable {
			t.Errorf("got %v, want an error of kind Unavailable", err)
		}
	}
	if page, err := tbl.Query(t.Context(), table.Query{PK: "p"}); err != nil || len(page.Items) > 0 {
		t.Errorf("%d items are there (%v), want none", len(page.Items), err)
	}
	if err := tbl.Write(t.Context(), table.Put(table.Item{Key: table.Key{PK: "p", SK: "later"}}, table.Cond{})); err != nil {
		t.Errorf("after a fault: %v", err)
	}
}

// Whoever gives up while waiting is answered at once, and nothing is written.
func TestGiveUpWaiting(t *testing.T) {
	db := openTestDB(t, filepath.Join(t.TempDir(), "lethe.db"), time.Now)
	tbl := db.Table("control")
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	calls := map[string]func() error{
		"write": func() error {
			return tbl.Write(ctx, table.Put(table.Item{Key: table.Key{PK: "p", SK: "write"}}, table.Cond{}))
		},
		"write many": func() error {
			return tbl.WriteMany(ctx, []table.Op{table.Put(table.Item{Key: table.Key{PK: "p", SK: "many"}}, table.Cond{})})
		},
		"add":   func() error { _, err := tbl.Add(ctx, table.Key{PK: "p", SK: "add"}, 1); return err },
		"scrub": func() error { return tbl.Scrub(ctx) },
	}
	errs := make(chan error, len(calls))
	for _, call := range calls {
		go func() { errs <- call() }()
	}
	queued(t, db, len(calls)-1)
	cancel()
	for range calls {
		if err := <-errs; kind.Of(err) != kind.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want an error of kind Unavailable that is context.Canceled", err)
		}
	}
	// Others read meanwhile.
	if page, err := tbl.Query(t.Context(), table.Query{PK: "p"}); err != nil || len(page.Items) > 0 {
		t.Errorf("%d items are there (%v), want none", len(page.Items), err)
	}
	release()
	if _, err := tbl.Add(t.Context(), table.Key{PK: "q", SK: "behind"}, 1); err != nil {
		t.Fatal(err)
	}
	if page, err := tbl.Query(t.Context(), table.Query{PK: "p"}); err != nil || len(page.Items) > 0 {
		t.Errorf("%d items were written after all (%v)", len(page.Items), err)
	}
}

func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lethe.db")
	db := openTestDB(t, path, time.Now)
	tbl := db.Table("control")
	release := hold(t, db)
	waiting := make(chan error, 1)
	go func() { waiting <- tbl.Write(t.Context(), table.Delete(table.Key{PK: "p", SK: "s"}, table.Cond{})) }()
	queued(t, db, 1)
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	until(t, "signs of Close", db.closed.Load)
	release()
	if err := <-waiting; err != nil && kind.Of(err) != kind.Unavailable {
		t.Errorf("what waited: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	_, getErr := tbl.Get(t.Context(), table.Key{PK: "p", SK: "s"})
	for name, err := range map[string]error{
		"get": getErr, "write": tbl.Write(t.Context(), table.Delete(table.Key{PK: "p", SK: "s"}, table.Cond{})), "scrub": tbl.Scrub(t.Context()),
	} {
		if kind.Of(err) != kind.Unavailable {
			t.Errorf("%s after Close: %v, want an error of kind Unavailable", name, err)
		}
	}
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log stays behind a clean Close: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// The log stays bounded while writes and reads never pause.
func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lethe.db")
	db := openTestDB(t, path, time.Now)
	db.softLog, db.fullLog, db.hardLog = 1<<20, 2<<20, 4<<20
	tbl := db.Table("subjects")
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range readers {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := tbl.Query(t.Context(), table.Query{PK: "p"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	largest := int64(0)
	for n := range 30 {
		var ops []table.Op
		for i := range 40 {
			ops = append(ops, table.Put(table.Item{Key: table.Key{PK: "p", SK: fmt.Sprint(n, i)}, Data: []byte(strings.Repeat("x", 20<<10))}, table.Cond{}))
		}
		if err := tbl.WriteMany(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
		log, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, log.Size())
	}
	close(stop)
	busy.Wait()
	if largest > 8<<20 {
		t.Errorf("24 MB written 0.8 MB at a time made a log of %d bytes, which was to be held at 4 MB", largest)
	}
	checkFile(t, db)
}

// What has expired is deleted from the file itself, and nothing else is.
func TestExpire(t *testing.T) {
	dir := t.TempDir()
	clock := time.Unix(1_800_000_000, 0)
	db := openTestDB(t, filepath.Join(dir, "lethe.db"), func() time.Time { return clock })
	gone := map[string]bool{}
	kept := map[string]bool{}
	for _, name := range tableNames {
		var ops []table.Op
		for n := range 2*expireRows + 50 {
			trace := newTrace()
			i := table.Item{Key: table.Key{PK: fmt.Sprint(n % 7), SK: trace}, Index: table.Key{PK: "i", SK: trace}, Data: []byte(trace)}
			switch n % 10 {
			case 0:
				kept[trace] = true
			case 1:
				i.Expires = clock.Add(time.Minute + time.Second)
				kept[trace] = true
			default:
				i.Expires = clock.Add(time.Minute)
				gone[trace] = true
			}
			ops = append(ops, table.Put(i, table.Cond{}))
		}
		if err := db.Table(name).WriteMany(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
	}
	want := func(traces, found map[string]bool, there bool) {
		t.Helper()
		for trace := range traces {
			if found[trace] != there {
				t.Fatalf("in a file: %v, want %v", found[trace], there)
			}
		}
	}
	if err := db.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(gone, traces(t, dir), true) // it is not time yet
	clock = clock.Add(time.Minute)
	if err := db.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(gone, traces(t, dir), false)
	want(kept, traces(t, dir), true)
	checkFile(t, db)
}
