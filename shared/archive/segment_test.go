package archive

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

func FuzzFile(f *testing.F) {
	f.Add([]byte("subjects/1/profile.json\t1\t2\t3\t4\t5\trecords\tabcd"))
	f.Add([]byte("\t\t\t\t\t\t\t"))
	f.Add([]byte("a\t1\t2\t4294967296\t4\t5\ttable\t"))
	f.Add([]byte("a\t-1\t2\t3\t4\t5\ttable\t"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, line []byte) {
		file, ok := parseFile(line)
		if !ok {
			return
		}
		again, ok := parseFile(bytes.TrimSuffix(appendFile(nil, file), []byte{'\n'}))
		if !ok || again != file {
			t.Fatalf("got %+v, want %+v", again, file)
		}
	})
}

func TestListOfFiles(t *testing.T) {
	state := `{"segment":1}` + "\n"
	good := string(appendFile(nil, File{Path: "a", Bytes: 1, Compressed: 2, CRC32: max32, SHA256: "s", Records: 3, Stream: Table, Offset: 1 << 40}))
	tests := []struct {
		name, text string
		files      int
		want       kind.Kind
	}{
		{"no files", state, 0, ""},
		{"two files", state + good + good, 2, ""},
		{"nothing", "", 0, kind.Corrupt},
		{"no state", good, 0, kind.Corrupt},
		{"half a state", state[:5], 0, kind.Corrupt},
		{"half a file", state + good + good[:5], 1, kind.Corrupt},
		{"a file without its end", state + good + good[:len(good)-1], 1, kind.Corrupt},
		{"a line that is no file", state + good + "\n", 1, kind.Corrupt},
		{"a line without end", state + strings.Repeat("x", 1<<20), 0, kind.Corrupt},
	}
	for _, test := range tests {
		bucket := blob.NewMemory(time.Now)
		if err := bucket.Put(t.Context(), filesKey("task", 0, 0), strings.NewReader(test.text)); err != nil {
			t.Fatal(err)
		}
		n := 0
		l, err := openList(t.Context(), bucket, "task", 0, 0)
		for err == nil {
			if _, err = l.next(); err == nil {
				n++
			}
		}
		if errors.Is(err, io.EOF) && kind.Of(err) == kind.Internal {
			err = nil
		}
		if kind.Of(err) != test.want || n != test.files {
			t.Errorf("%s: got %d files, %v, want %d and kind %q", test.name, n, err, test.files, test.want)
		}
	}
}
