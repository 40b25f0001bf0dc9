package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A copy that is made while others write holds all that was durable before it
// began, no write in part, and nothing that was erased before.
func TestCopyWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	db := openTestDB(t, filepath.Join(dir, "lethe.db"), time.Now)
	tbl := db.Table("subjects")
	key := func(n int) table.Key { return table.Key{PK: fmt.Sprint("p", n%97), SK: fmt.Sprintf("s%06d", n)} }
	var ops []table.Op
	for n := range 20_000 {
		ops = append(ops, table.Put(table.Item{Key: key(n), Data: bytes.Repeat([]byte("secret "), 40)}, table.Cond{}))
	}
	if err := tbl.WriteMany(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	for n := range ops {
		ops[n] = table.Delete(key(n), table.Cond{})
	}
	if err := tbl.WriteMany(t.Context(), ops[:19_000]); err != nil {
		t.Fatal(err)
	}
	if err := tbl.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Two items that are equal in every state, changed all the time.
	pair := func(n int) error {
		data := []byte(fmt.Sprint(n))
		return tbl.Write(t.Context(),
			table.Put(table.Item{Key: table.Key{PK: "a", SK: "s"}, Data: data}, table.Cond{}),
			table.Put(table.Item{Key: table.Key{PK: "z", SK: "s"}, Data: data}, table.Cond{}))
	}
	if err := pair(0); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan bool), make(chan error, 1)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := errors.Join(pair(n), tbl.WriteMany(t.Context(), []table.Op{
				table.Put(table.Item{Key: table.Key{PK: "more", SK: fmt.Sprint(n)}, Data: make([]byte, 2000)}, table.Cond{})})); err != nil {
				stopped <- err
				return
			}
		}
	}()
	before, err := tbl.Get(t.Context(), table.Key{PK: "a", SK: "s"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "copy.db")
	if err := db.Copy(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(raw, []byte("secret ")); n != 1000*40 {
		t.Errorf("the copy holds %d pieces of 40,000 that are left: what was erased, or not all that was kept", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is not for its owner only: %v", err)
	}
	copied := openTestDB(t, path, time.Now)
	if got, err := number(copied.writer.conn, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"); err != nil || got != 0 {
		t.Errorf("the copy is damaged: %d, %v", got, err)
	}
	a, err := copied.Table("subjects").Get(t.Context(), table.Key{PK: "a", SK: "s"})
	if err != nil {
		t.Fatal(err)
	}
	z, err := copied.Table("subjects").Get(t.Context(), table.Key{PK: "z", SK: "s"})
	if err != nil || !bytes.Equal(a.Data, z.Data) {
		t.Errorf("a transaction is in the copy in part: %q and %q, %v", a.Data, z.Data, err)
	}
	var was, is int
	fmt.Sscan(string(before.Data), &was)
	fmt.Sscan(string(a.Data), &is)
	if is < was {
		t.Errorf("the copy is at %d, but %d was durable before", is, was)
	}
}

func TestCopyThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	db := openTestDB(t, filepath.Join(dir, "lethe.db"), time.Now)
	if err := db.Table("control").WriteMany(t.Context(), []table.Op{table.Put(table.Item{Key: table.Key{PK: "p", SK: "s"}, Data: make([]byte, 300_000)}, table.Cond{})}); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Copy(t.Context(), there); kind.Of(err) != kind.Forbidden {
		t.Errorf("over a file: got %v, want %v", err, kind.Forbidden)
	}
	if got, _ := os.ReadFile(there); string(got) != "mine" {
		t.Error("the file that was there is changed")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(dir, "copy.db")
	if err := db.Copy(ended, path); kind.Of(err) != kind.Unavailable {
		t.Errorf("cancelled: got %v, want %v", err, kind.Unavailable)
	}
	left, err := filepath.Glob(filepath.Join(dir, "copy*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %s", strings.Join(left, " "))
	}
	// The writer is free again.
	if err := db.Copy(t.Context(), path); err != nil {
		t.Errorf("another copy afterwards: %v", err)
	}
}

// bigDB makes a file of several steps of a copy, and opens it with nothing of it in
// memory.
func bigDB(t *testing.T, path string) *DB {
	t.Helper()
	db := openTestDB(t, path, time.Now)
	var ops []table.Op
	for n := range 60 {
		ops = append(ops, table.Put(table.Item{Key: table.Key{PK: "p", SK: fmt.Sprint(n)}, Data: make([]byte, 300_000)}, table.Cond{}))
	}
	if err := db.Table("subjects").WriteMany(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return openTestDB(t, path, time.Now)
}

// A full or broken disk under the copy is not taken for one under the database, nor
// the other way round.
func TestCopyTellsWhichDiskFails(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		write bool
		fails error
		want  kind.Kind
		says  string
	}{
		"the target is full":           {"copy.db", true, &os.PathError{Op: "write", Path: "copy.db", Err: syscall.ENOSPC}, kind.Forbidden, "The place for the backup cannot be written (no space left on device)"},
		"the target cannot be written": {"copy.db", true, syscall.EIO, kind.Forbidden, "The place for the backup cannot be written (disk I/O error)"},
		"the database cannot be read":  {"lethe.db", false, syscall.EIO, kind.Unavailable, "Something in the data directory cannot be read (disk I/O error)"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			db := bigDB(t, filepath.Join(d.dir, "lethe.db"))
			var on atomic.Bool
			on.Store(true)
			d.fail = func(path string, write bool) error {
				if on.Load() && filepath.Base(path) == c.file && write == c.write {
					return c.fails
				}
				return nil
			}
			path := filepath.Join(d.dir, "copy.db")
			err := db.Copy(t.Context(), path)
			if kind.Of(err) != c.want || !strings.HasPrefix(kind.Sentence(err), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a copy in part is left")
			}
			on.Store(false)
			if err := db.Copy(t.Context(), path); err != nil {
				t.Errorf("once the disk is well again: %v", err)
			}
		})
	}
}

// A database that is closed while it is copied is closed well, and the copy is none.
func TestCloseWhileCopying(t *testing.T) {
	d := newDisk(t)
	db := bigDB(t, filepath.Join(d.dir, "lethe.db"))
	closed := make(chan error, 1)
	var once sync.Once
	d.fail = func(path string, write bool) error {
		if write && filepath.Base(path) == "copy.db" {
			once.Do(func() {
				go func() { closed <- db.Close() }()
				<-db.stop // no later step of the copy is let in
			})
		}
		return nil
	}
	path := filepath.Join(d.dir, "copy.db")
	if err := db.Copy(t.Context(), path); kind.Of(err) != kind.Unavailable {
		t.Errorf("copy: got %v, want %v", err, kind.Unavailable)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a copy in part is left")
	}
	again := openTestDB(t, filepath.Join(d.dir, "lethe.db"), time.Now)
	if _, err := again.Table("subjects").Get(t.Context(), table.Key{PK: "p", SK: "59"}); err != nil {
		t.Errorf("what the database held: %v", err)
	}
}
