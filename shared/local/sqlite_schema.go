package local

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"lethe/shared/kind"
)

const (
	// applicationID marks a file as Lethe's, where tools such as file(1) look.
	applicationID = 0x4c657468 // "Leth"
	// schemaVersion is that of the tables below. A change to them raises it and
	// says how a file of the version before becomes one of the next.
	schemaVersion = 2
)

// schema makes one table: its rows lie as they came, and an index, which is a
// tenth of them in size, finds the rows of a partition in order. A table that is
// clustered by its key reads and erases faster, but every new row moves its
// neighbours: it wrote four times the bytes and took in half the rows a second.
// The data stands last, since what stands before it is read without it.
const schema = `
CREATE TABLE %[1]s (
	pk  TEXT NOT NULL,
	sk  TEXT NOT NULL,
	v   INTEGER NOT NULL,           -- version
	n   INTEGER NOT NULL DEFAULT 0, -- count
	x   INTEGER,                    -- expires, in seconds of Unix time
	ipk TEXT,                       -- place in the secondary index
	isk TEXT,
	d   BLOB,
	UNIQUE (pk, sk)
) STRICT;
CREATE INDEX %[1]s_index ON %[1]s (ipk, isk, pk, sk) WHERE ipk IS NOT NULL;
CREATE INDEX %[1]s_expires ON %[1]s (x) WHERE x IS NOT NULL;
`

// prepareFile makes an empty file one of Lethe's, or checks that it is one that
// this version can read.
func prepareFile(conn *sqlite3.Conn) error {
	version, err := number(conn, "PRAGMA user_version")
	if err != nil {
		return err
	}
	id, err := number(conn, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := number(conn, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	empty := id == 0 && version == 0 && tables == 0
	switch {
	case !empty && id != applicationID:
		return sqlite3.NOTADB
	case version > schemaVersion:
		return kind.Say(kind.Invalid, fmt.Sprintf("The database was written by a newer version of Lethe (schema %d; this version knows %d): run that version or a newer one.", version, schemaVersion))
	}
	if err := errors.Join(
		conn.Exec(fmt.Sprintf("PRAGMA page_size = %d", pageSize)), // of an empty file
		conn.Exec("PRAGMA journal_mode = WAL"),
		keepPagesTellable(conn),
	); err != nil || version == schemaVersion {
		return err
	}
	// All in one transaction, so that a crash leaves the file as it was or whole.
	script := "BEGIN IMMEDIATE;"
	for _, name := range tableNames {
		if !empty {
			script += fmt.Sprintf(renewal, name)
		}
		script += fmt.Sprintf(schema, name)
		if !empty {
			script += fmt.Sprintf(copying, name)
		}
	}
	script += fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", applicationID, schemaVersion)
	return conn.Exec(script)
}

// A file of schema 1 has the same tables, clustered by their key. They are made
// anew, which takes as much space again until they are copied; the pages keep
// their size.
const (
	renewal = `
ALTER TABLE %[1]s RENAME TO %[1]s_old;
DROP INDEX %[1]s_index;
DROP INDEX %[1]s_expires;
`
	copying = `
INSERT INTO %[1]s (pk, sk, v, n, x, ipk, isk, d) SELECT pk, sk, v, n, x, ipk, isk, d FROM %[1]s_old;
DROP TABLE %[1]s_old;
`
)

// number returns what a query of one number gives.
func number(conn *sqlite3.Conn, sql string) (int64, error) {
	stmt, _, err := conn.Prepare(sql)
	if err != nil {
		return 0, err
	}
	defer stmt.Close()
	value := int64(0)
	if stmt.Step() {
		value = stmt.ColumnInt64(0)
	}
	return value, stmt.Err()
}
