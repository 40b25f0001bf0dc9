package local

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
	"lethe/shared/table"
)

func TestOpenDBAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a name? with + & #odd%20 characters", "lethe.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	item := table.Item{Key: table.Key{PK: "p", SK: "s"}, Data: []byte("kept")}
	for n := range 3 {
		db, err := OpenDB(path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range tableNames {
			got, err := db.Table(name).Get(t.Context(), item.Key)
			if there := err == nil && string(got.Data) == "kept"; there != (i < n) {
				t.Errorf("table %s when opened %d times before: %v", name, n, err)
			}
		}
		if err := db.Table(tableNames[n]).Write(t.Context(), table.Put(item, table.IfAbsent())); err != nil {
			t.Error(err)
		}
		files, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if info, err := f.Info(); err != nil || !strings.HasSuffix(f.Name(), "-shm") && info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v (%v), want it for the owner only", f.Name(), info.Mode(), err)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// schema1 is a table as it was in schema 1.
const schema1 = `
CREATE TABLE %[1]s (
	pk  TEXT NOT NULL,
	sk  TEXT NOT NULL,
	v   INTEGER NOT NULL,
	n   INTEGER NOT NULL DEFAULT 0,
	x   INTEGER,
	ipk TEXT,
	isk TEXT,
	d   BLOB,
	PRIMARY KEY (pk, sk)
) STRICT, WITHOUT ROWID;
CREATE INDEX %[1]s_index ON %[1]s (ipk, isk, pk, sk) WHERE ipk IS NOT NULL;
CREATE INDEX %[1]s_expires ON %[1]s (x) WHERE x IS NOT NULL;
`

// A file of schema 1, with its larger pages, becomes one of today's with all that
// is in it, and is as good as a new one.
func TestOpenDBRenewsSchema1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lethe.db")
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	sql := "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA application_id = " + strconv.Itoa(applicationID) + "; PRAGMA user_version = 1;"
	for _, name := range tableNames {
		sql += fmt.Sprintf(schema1, name)
		for n := range 300 {
			sql += fmt.Sprintf("INSERT INTO %s VALUES ('p', 's%03d', %d, %d, 4000000000, 'i', 'j%03d', CAST('value %s %d' AS BLOB));", name, n, n+1, n, n, name, n)
		}
	}
	if err := conn.Exec(sql); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db, err := OpenDB(path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tableNames {
			for _, q := range []table.Query{{PK: "p"}, {PK: "i", Index: true}} {
				page, err := db.Table(name).Query(t.Context(), q)
				if err != nil || len(page.Items) != 300 {
					t.Fatalf("table %s: got %d items of 300, %v", name, len(page.Items), err)
				}
				for n, got := range page.Items {
					want := table.Item{
						Key: table.Key{PK: "p", SK: fmt.Sprintf("s%03d", n)}, Version: table.Version(n + 1), Count: int64(n),
						Index: table.Key{PK: "i", SK: fmt.Sprintf("j%03d", n)}, Expires: time.Unix(4_000_000_000, 0).UTC(),
						Data: fmt.Appendf(nil, "value %s %d", name, n),
					}
					if !reflect.DeepEqual(got, want) {
						t.Fatalf("got %v, want %v", got, want)
					}
				}
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenDBRefuses(t *testing.T) {
	sqlite := func(t *testing.T, path string, sql ...string) {
		conn, err := sqlite3.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, s := range sql {
			if err := conn.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		file func(t *testing.T, path string)
		want kind.Kind
		says string
	}{
		"a newer version's": {func(t *testing.T, path string) {
			db, err := OpenDB(path, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			sqlite(t, path, "PRAGMA user_version = 3", "PRAGMA journal_mode = DELETE")
		}, kind.Invalid, "newer version of Lethe"},
		"another program's": {func(t *testing.T, path string) {
			sqlite(t, path, "CREATE TABLE events (id INTEGER)")
		}, kind.Corrupt, "none of Lethe's"},
		"no database": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database\n"), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, kind.Corrupt, "none of Lethe's"},
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, kind.Forbidden, "cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lethe.db")
			c.file(t, path)
			before, _ := os.ReadFile(path)
			db, err := OpenDB(path, time.Now)
			if err == nil {
				db.Close()
			}
			if kind.Of(err) != c.want || !strings.Contains(kind.Sentence(err), c.says) {
				t.Errorf("got %v of kind %q saying %q, want kind %q saying %q", err, kind.Of(err), kind.Sentence(err), c.want, c.says)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// A crash between the first two steps of making a file leaves one that is empty
// and yet not of no length.
func TestOpenDBAfterCrashWhileMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lethe.db")
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("nothing was written (%v): the test tells nothing", err)
	}
	db := openTestDB(t, path, time.Now)
	if _, err := db.Table("control").Add(t.Context(), table.Key{PK: "p", SK: "s"}, 1); err != nil {
		t.Error(err)
	}
}
