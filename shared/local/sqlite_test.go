package local

import (
	"path/filepath"
	"testing"
	"time"

	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

func openTestDB(t testing.TB, path string, now func() time.Time) *DB {
	t.Helper()
	db, err := OpenDB(path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func TestSQLite(t *testing.T) {
	tabletest.Run(t, func(t *testing.T, now func() time.Time) table.Table {
		return openTestDB(t, filepath.Join(t.TempDir(), "lethe.db"), now).Table("control")
	})
}
