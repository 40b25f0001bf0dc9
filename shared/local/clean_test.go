package local

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// marker is a value that no other part of a file holds.
func marker(n int) string { return fmt.Sprintf("MARKER%08dEND", n) }

// stale counts the markers in file that are not among the living, and those that
// are.
func stale(t *testing.T, file string, living map[string]bool) (gone, there int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := bytes.Index(data, []byte("MARKER")); i >= 0; {
		if m := string(data[i:min(i+len(marker(0)), len(data))]); living[m] {
			seen[m] = true
		} else {
			gone++
		}
		next := bytes.Index(data[i+1:], []byte("MARKER"))
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return gone, len(seen)
}

// Rows are put in at random and whole partitions are deleted. With secure_delete
// alone some of what was deleted stays in the file.
func TestNothingDeletedStaysInTheFile(t *testing.T) {
	registerClean()
	left := map[string]int{}
	for _, name := range []string{"os", cleanName} {
		file := filepath.Join(t.TempDir(), "x.db")
		db, err := sqlite3.Open("file:" + file + "?vfs=" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exec := func(sql string, args ...any) {
			t.Helper()
			s, _, err := db.Prepare(sql)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for i, a := range args {
				if err := s.BindText(i+1, a.(string)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Exec(); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range []string{"journal_mode=wal", "synchronous=off", "secure_delete=1", "temp_store=memory", fmt.Sprint("max_page_count=", maxPages)} {
			exec("PRAGMA " + p)
		}
		exec("CREATE TABLE t (pk TEXT, sk TEXT, d BLOB, PRIMARY KEY (pk, sk)) WITHOUT ROWID")
		r := rand.New(rand.NewPCG(1, 2))
		living := map[string]bool{}
		of := map[string][]string{}
		for n := range 40000 {
			if n%1000 == 0 {
				if n > 0 {
					exec("COMMIT")
				}
				exec("BEGIN")
			}
			pk := fmt.Sprint("p", r.IntN(1000))
			size := 700
			if n%300 == 0 {
				size = 9000 // overflow pages
			}
			exec("INSERT INTO t VALUES (?, ?, ?)", pk, fmt.Sprintf("event#%013d", r.Int64N(1e12)), strings.Repeat("x", r.IntN(size))+marker(n)+strings.Repeat("y", r.IntN(300)))
			living[marker(n)] = true
			of[pk] = append(of[pk], marker(n))
		}
		exec("COMMIT")
		for n := range 150 {
			pk := fmt.Sprint("p", n)
			exec("DELETE FROM t WHERE pk = ?", pk)
			for _, m := range of[pk] {
				delete(living, m)
			}
		}
		exec("PRAGMA wal_checkpoint(truncate)")
		gone, there := stale(t, file, living)
		if there != len(living) {
			t.Errorf("vfs %s: got %d of %d living rows", name, there, len(living))
		}
		left[name] = gone
		check, _, err := db.Prepare("PRAGMA integrity_check")
		if err != nil {
			t.Fatal(err)
		}
		if !check.Step() || check.ColumnText(0) != "ok" {
			t.Errorf("vfs %s: the database is damaged: %s", name, check.ColumnText(0))
		}
		check.Close()
	}
	if left[cleanName] != 0 {
		t.Errorf("values of deleted rows in the file: got %d, want none", left[cleanName])
	}
	if left["os"] == 0 {
		t.Error("secure_delete alone leaves nothing: this test no longer tells one from the other")
	}
}

func FuzzWipe(f *testing.F) {
	f.Add(make([]byte, 4096), true)
	f.Add(append([]byte{10, 0, 20, 0, 1, 0, 16}, make([]byte, 600)...), false)
	f.Fuzz(func(t *testing.T, page []byte, first bool) {
		before := bytes.Clone(page)
		wipe(page, first) // must not panic
		if len(page) > 0 && !first && page[0] < 2 && !bytes.Equal(page, before) {
			t.Error("a page that is no page of a tree was changed")
		}
	})
}
