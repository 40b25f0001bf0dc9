package archive_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/shared/archive"
	"lethe/shared/kind"
)

// An entry is one file of an archive that a test changes.
type entry struct {
	name string
	data []byte
}

func unzip(t testing.TB, data []byte) []entry {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, f := range z.File {
		body, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{f.Name, b})
	}
	return entries
}

func rezip(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err == nil {
			_, err = f.Write(e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// small is a valid archive of three people.
func small(t testing.TB) []byte {
	t.Helper()
	bucket, _ := export(t, people(3, 4), 3, archive.SegmentSize, false)
	return read(t, bucket, archive.Key(task))
}

func find(entries []entry, name string) *entry {
	i := slices.IndexFunc(entries, func(e entry) bool { return e.name == name })
	return &entries[i]
}

// edit replaces text in a file.
func edit(name, from, to string) func([]entry) []entry {
	return func(entries []entry) []entry {
		e := find(entries, name)
		e.data = bytes.Replace(e.data, []byte(from), []byte(to), 1)
		return entries
	}
}

// relist makes a change to a file of which the manifest knows.
func relist(name, from, to string) func([]entry) []entry {
	return func(entries []entry) []entry {
		e := find(entries, name)
		old := sha256.Sum256(e.data)
		size := len(e.data)
		edit(name, from, to)(entries)
		sum := sha256.Sum256(e.data)
		edit("manifest.json", fmt.Sprintf(`"bytes":%d,"sha256":"%s"`, size, hex.EncodeToString(old[:])),
			fmt.Sprintf(`"bytes":%d,"sha256":"%s"`, len(e.data), hex.EncodeToString(sum[:])))(entries)
		return entries
	}
}

func TestVerifyFindsWhatWasChanged(t *testing.T) {
	const profile, table = "subjects/1/profile.json", "subjects/1/events.csv"
	tests := []struct {
		name   string
		change func([]entry) []entry
		want   kind.Kind // empty for an archive that is as it should be
	}{
		{"nothing", func(e []entry) []entry { return e }, ""},
		{"another order of entries", func(e []entry) []entry { slices.Reverse(e); return e }, ""},
		{"a byte", edit(profile, "pro", "prO"), kind.Corrupt},
		{"a byte more", edit(table, "event", "events"), kind.Corrupt},
		{"the page", edit("index.html", "Law", "law"), kind.Corrupt},
		{"a file less", func(e []entry) []entry {
			return slices.DeleteFunc(e, func(e entry) bool { return e.name == table })
		}, kind.Corrupt},
		{"a file more", func(e []entry) []entry { return append(e, entry{"more.txt", nil}) }, kind.Corrupt},
		{"a person less in the manifest", edit("manifest.json", `"folder":2,`, `"folder":9,`), kind.Corrupt},
		{"other counts of a person", edit("manifest.json", `"profiles":1,"events":4`, `"profiles":1,"events":3`), kind.Corrupt},
		{"other totals", edit("manifest.json", `"found": 2`, `"found": 3`), kind.Corrupt},
		{"other records of a file", edit("manifest.json", `"records":1}`, `"records":2}`), kind.Corrupt},
		{"a profile more, listed with its checksum", relist(profile, "[", "[{},"), kind.Corrupt},
		{"a row more, listed with its checksum", relist(table, "\r\n", "\r\n,,,,\r\n"), kind.Corrupt},
		{"other text of the same count, listed with its checksum", relist(profile, "pro", "[],"), ""},
		{"a file listed twice", edit("manifest.json", `"files": [`, `"files": [{"path":"index.html","bytes":0,"sha256":""},`), kind.Corrupt},
		{"the manifest listed", edit("manifest.json", `"files": [`, `"files": [{"path":"manifest.json","bytes":0,"sha256":""},`), kind.Corrupt},
		{"a size below zero", edit("manifest.json", `"path":"index.html","bytes":`, `"path":"index.html","bytes":-`), kind.Corrupt},

		{"no manifest", func(e []entry) []entry {
			return slices.DeleteFunc(e, func(e entry) bool { return e.name == "manifest.json" })
		}, kind.Invalid},
		{"a manifest that is no JSON", edit("manifest.json", "{", "["), kind.Invalid},
		{"another version", edit("manifest.json", `"version": 1`, `"version": 2`), kind.Invalid},
		{"two entries of one name", func(e []entry) []entry { return append(e, e[0]) }, kind.Invalid},
	}
	for _, name := range []string{"../x", "/etc/x", "a/../../x", "a//b", "a/", `a\b`, "C:x", ".hidden", "a/.b", "a b", "é", "", strings.Repeat("a", 256)} {
		tests = append(tests, struct {
			name   string
			change func([]entry) []entry
			want   kind.Kind
		}{"an entry named " + name, func(e []entry) []entry { return append(e, entry{name, nil}) }, kind.Invalid})
	}
	valid := small(t)
	for _, test := range tests {
		data := rezip(t, test.change(unzip(t, valid)))
		a, err := archive.Open(bytes.NewReader(data), int64(len(data)))
		if err == nil {
			err = a.Verify(t.Context())
		}
		if got := kind.Of(err); got != test.want {
			t.Errorf("%s: got %v, want kind %q", test.name, err, test.want)
		}
	}
}

func TestVerifyFindsEveryBrokenByte(t *testing.T) {
	valid := small(t)
	for at := 0; at < len(valid); at += 101 {
		data := bytes.Clone(valid)
		data[at] ^= 0x20
		a, err := archive.Open(bytes.NewReader(data), int64(len(data)))
		if err == nil {
			err = a.Verify(t.Context())
		}
		if err == nil && !bytes.Equal(contents(t, data), contents(t, valid)) {
			t.Errorf("byte %d changed what is in the file, unnoticed", at)
		}
	}
	for _, n := range []int{0, 1, 21, 22, len(valid) / 2, len(valid) - 1} {
		if _, err := archive.Open(bytes.NewReader(valid[:n]), int64(n)); kind.Of(err) != kind.Invalid {
			t.Errorf("%d bytes of %d: got %v, want kind %v", n, len(valid), err, kind.Invalid)
		}
	}
}

// contents is the names and data of an archive.
func contents(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range unzip(t, data) {
		fmt.Fprintf(&b, "%q %q\n", e.name, e.data)
	}
	return b.Bytes()
}

// A zip file of a few bytes must not make its reader work for hours.
func TestOpenRefusesBombs(t *testing.T) {
	manifest := find(unzip(t, small(t)), "manifest.json").data
	build := func(header zip.FileHeader, data []byte) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, e := range []struct {
			header zip.FileHeader
			data   []byte
		}{{zip.FileHeader{
			Name: "manifest.json", CRC32: crc32.ChecksumIEEE(manifest),
			CompressedSize64: uint64(len(manifest)), UncompressedSize64: uint64(len(manifest)),
		}, manifest}, {header, data}} {
			f, err := w.CreateRaw(&e.header)
			if err == nil {
				_, err = f.Write(e.data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	tests := []struct {
		name   string
		header zip.FileHeader
	}{
		{"more compressed bytes than the file", zip.FileHeader{Name: "index.html", Method: zip.Deflate, CompressedSize64: 1 << 50, UncompressedSize64: 1 << 50}},
		{"an impossible ratio", zip.FileHeader{Name: "index.html", Method: zip.Deflate, CompressedSize64: 10, UncompressedSize64: 1 << 50}},
	}
	for _, test := range tests {
		data := build(test.header, make([]byte, 10))
		a, err := archive.Open(bytes.NewReader(data), int64(len(data)))
		if err == nil {
			err = a.Verify(t.Context())
		}
		if got := kind.Of(err); got != kind.Invalid && got != kind.Corrupt {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

func TestVerifyStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, small(t)).Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func FuzzOpen(f *testing.F) {
	valid := small(f)
	f.Add(valid)
	f.Add(valid[:len(valid)/2])
	f.Add(rezip(f, []entry{{"manifest.json", []byte(`{"version":1}`)}}))
	f.Add(rezip(f, []entry{{"manifest.json", []byte(`{"version":1,"files":[{"path":"subjects/1/profile.json","bytes":3,"records":-1}]}`)}, {"subjects/1/profile.json", []byte("[}]")}}))
	f.Add(rezip(f, []entry{{"../../x", nil}, {"manifest.json", nil}}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		a, err := archive.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if k := kind.Of(err); k != kind.Invalid && k != kind.TooLarge {
				t.Fatalf("got %v", err)
			}
			return
		}
		if a.Verify(t.Context()) != nil {
			return
		}
		// What passes can be unpacked, and every file in it was checked.
		for _, e := range unzip(t, data) {
			if !filepath.IsLocal(e.name) {
				t.Fatalf("a path that leads out: %q", e.name)
			}
			listed := slices.ContainsFunc(a.Manifest().Files, func(f archive.File) bool {
				return f.Path == e.name && f.Bytes == int64(len(e.data))
			})
			if !listed && e.name != "manifest.json" {
				t.Fatalf("a file that the manifest does not describe: %q", e.name)
			}
		}
	})
}
