package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/shared/archive"
)

// checkZip opens a file with readers that are not ours.
func checkZip(t *testing.T, path string) {
	t.Helper()
	script := `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    bad = z.testzip()
    assert bad is None, "bad entry"
    assert all(i.flag_bits & 0x800 for i in z.infolist()), "no UTF-8 flag"
    print(len(z.infolist()))
`
	commands := [][]string{{"python3", "-c", script, path}}
	if _, err := exec.LookPath("unzip"); err == nil {
		commands = append(commands, []string{"unzip", "-tqq", path})
	} else {
		t.Log("unzip is not installed; the file is opened by python3 and Go only")
	}
	for _, c := range commands {
		out, err := exec.CommandContext(t.Context(), c[0], c[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", c[0], err, out)
		}
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		body, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		// Reading to the end checks CRC, sizes and descriptor.
		if _, err := io.Copy(io.Discard, body); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
}

func save(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "export.zip")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOtherProgramsReadTheFile(t *testing.T) {
	all := people(9, 60)
	bucket, _ := export(t, all, 4, 5000, true)
	checkZip(t, save(t, read(t, bucket, archive.Key(task))))
}

func TestMoreEntriesThanAPlainZipCanHave(t *testing.T) {
	all := make([]person, 70000)
	for i := range all {
		all[i] = person{folder: i + 1, ids: nil, profiles: []string{`{"$distinct_id":"a","$properties":{}}`}}
	}
	bucket, info := export(t, all, 30000, archive.SegmentSize, false)
	if info.Files < 70000 {
		t.Fatalf("got %d files, want more than 70000", info.Files)
	}
	data := read(t, bucket, archive.Key(task))
	if err := open(t, data).Verify(t.Context()); err != nil {
		t.Error(err)
	}
	checkZip(t, save(t, data))
}

// The content of the files, read the way a person or a program would.
func TestContentOfTheFiles(t *testing.T) {
	all := []person{{
		folder: 7, ids: ids("ann", "b"),
		profiles: []string{`{"$distinct_id":"ann","$properties":{"a":1}}`, `{"$distinct_id":"b","$properties":{}}`},
		events: []archive.Event{
			{Time: time.Date(2025, 12, 31, 23, 59, 59, 999e6, time.UTC), Name: "a \"b\", c\n\x01é", DistinctID: "ann", InsertID: "x1", Properties: []byte("{\n  \"k\": \"=1\"\r\n}")},
			// The same moment as 1 January 00:30 UTC.
			{Time: time.Date(2025, 12, 31, 19, 30, 0, 0, time.FixedZone("", -5*3600)), Name: "=1+1", DistinctID: "-b", InsertID: ""},
		},
	}}
	bucket, _ := export(t, all, 1, archive.SegmentSize, false)
	a := open(t, read(t, bucket, archive.Key(task)))
	want := map[string]string{
		"subjects/7/profile.json":         "[\n{\"$distinct_id\":\"ann\",\"$properties\":{\"a\":1}},\n{\"$distinct_id\":\"b\",\"$properties\":{}}\n]\n",
		"subjects/7/events/2025-12.jsonl": `{"event":"a \"b\", c\u000a\u0001é","properties":{"k":"=1"}}` + "\n",
		"subjects/7/events/2026-01.jsonl": `{"event":"=1+1","properties":{}}` + "\n",
		"subjects/7/events.csv": "time,event,distinct_id,insert_id,properties\r\n" +
			"2025-12-31T23:59:59.999Z,\"a \"\"b\"\", c\n\x01é\",ann,x1,\"{\"\"k\"\":\"\"=1\"\"}\"\r\n" +
			"2026-01-01T00:30:00.000Z,\"'=1+1\",\"'-b\",,\"{}\"\r\n",
	}
	for path, want := range want {
		if got := string(readFile(t, a, path)); got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", path, got, want)
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(readFile(t, a, "subjects/7/events.csv"))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Errorf("events.csv has %d rows, %v, want 3", len(rows), err)
	}
}

func readFile(t *testing.T, a *archive.Archive, path string) []byte {
	t.Helper()
	body, err := a.File(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every event comes back from the lines and from the table, in order.
func TestEveryRecordComesBack(t *testing.T) {
	all := people(3, 300)
	bucket, _ := export(t, all, 2, 3000, true)
	a := open(t, read(t, bucket, archive.Key(task)))
	for _, p := range all[:2] {
		var lines []string
		for _, f := range a.Manifest().Files {
			if strings.HasPrefix(f.Path, fmt.Sprintf("subjects/%d/events/", p.folder)) {
				lines = append(lines, strings.Split(strings.TrimSuffix(string(readFile(t, a, f.Path)), "\n"), "\n")...)
			}
		}
		rows, err := csv.NewReader(bytes.NewReader(readFile(t, a, fmt.Sprintf("subjects/%d/events.csv", p.folder)))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		rows = rows[1:]
		if len(lines) != len(p.events) || len(rows) != len(p.events) {
			t.Fatalf("got %d lines and %d rows, want %d", len(lines), len(rows), len(p.events))
		}
		for i, e := range p.events {
			var line struct {
				Event      string
				Properties json.RawMessage
			}
			if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
				t.Fatal(err)
			}
			if line.Event != e.Name || string(line.Properties) != string(e.Properties) {
				t.Fatalf("line %d is not event %d", i, i)
			}
			want := []string{e.Time.Format("2006-01-02T15:04:05.000Z"), e.Name, string(e.DistinctID), e.InsertID, string(e.Properties)}
			if rows[i][1] == "'"+e.Name {
				rows[i][1] = e.Name
			}
			for j := range want {
				if rows[i][j] != want[j] {
					t.Fatalf("row %d, column %d: got %q, want %q", i, j, rows[i][j], want[j])
				}
			}
		}
	}
}
