package archive

import (
	"archive/zip"
	"encoding/hex"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// far is a file whose entries lie beyond 4 GiB; the hole before them takes no
// space on the disk.
func far(t *testing.T, hole int64) (path string, f File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "far.zip")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(hole, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	s, err := newStream(Records, file, hole-1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.begin("far.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("[]")); err != nil {
		t.Fatal(err)
	}
	if f, err = s.end(); err != nil {
		t.Fatal(err)
	}
	start := s.offset + 1000
	b := appendEntry(nil, f, 1000)
	b = appendEnd(b, 1, int64(len(b)), start)
	if _, err := file.Write(b); err != nil {
		t.Fatal(err)
	}
	return path, f
}

func TestEntriesBeyond4GiB(t *testing.T) {
	path, _ := far(t, 5<<30)
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	body, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(body); err != nil || string(b) != "[]" {
		t.Errorf("got %q, %v", b, err)
	}
	out, err := exec.CommandContext(t.Context(), "python3", "-c",
		`import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read("far.json").decode(), end="")`, path).CombinedOutput()
	if err != nil || string(out) != "[]" {
		t.Errorf("python3: got %q, %v", out, err)
	}
	if _, err := exec.LookPath("unzip"); err == nil {
		if out, err := exec.CommandContext(t.Context(), "unzip", "-p", path, "far.json").CombinedOutput(); err != nil || string(out) != "[]" {
			t.Errorf("unzip: got %q, %v", out, err)
		}
	}
}

// Sizes and offsets on both sides of what 4 bytes hold. The data of the entries is
// not there: only the directory is read.
func TestDirectoryOfLargeEntries(t *testing.T) {
	const edge = math.MaxUint32
	for _, bytes := range []int64{1, edge - 1, edge, edge + 1, 1 << 40} {
		for _, compressed := range []int64{1, edge - 1, edge, 1 << 33} {
			for _, offset := range []int64{0, edge - 1, edge, 1 << 41} {
				want := File{Path: "a/é.json", Bytes: bytes, Compressed: compressed, CRC32: 0xdeadbeef, Offset: offset}
				entry := appendEntry(nil, want, 0)
				r := sparse{start: offset + compressed + 100, tail: entry}
				r.tail = appendEnd(r.tail, 1, int64(len(entry)), r.start)
				z, err := zip.NewReader(r, r.start+int64(len(r.tail)))
				if err != nil {
					t.Fatalf("%+v: %v", want, err)
				}
				got := z.File[0]
				if got.Name != want.Path || got.UncompressedSize64 != uint64(bytes) || got.CompressedSize64 != uint64(compressed) || got.CRC32 != want.CRC32 {
					t.Errorf("got %+v, want %+v", got.FileHeader, want)
				}
				if at, err := got.DataOffset(); err != nil || at != offset+localHeaderSize {
					t.Errorf("%+v: data at %d, %v", want, at, err)
				}
			}
		}
	}
}

// sparse is a file of local headers without names up to start, then tail.
type sparse struct {
	start int64
	tail  []byte
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.start {
		n := copy(p, s.tail[min(off-s.start, int64(len(s.tail))):])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	clear(p)
	if len(p) == localHeaderSize {
		copy(p, appendLocalHeader(nil, ""))
	} else if off+int64(len(p)) > s.start {
		copy(p[s.start-off:], s.tail)
	}
	return len(p), nil
}

func TestDescriptor(t *testing.T) {
	tests := []struct {
		f    File
		want string
	}{
		{File{CRC32: 1, Compressed: 2, Bytes: 3}, "504b0708" + "01000000" + "02000000" + "03000000"},
		{File{CRC32: 1, Compressed: 2, Bytes: math.MaxUint32}, "504b0708" + "01000000" + "0200000000000000" + "ffffffff00000000"},
		{File{CRC32: 1, Compressed: 1 << 32, Bytes: 3}, "504b0708" + "01000000" + "0000000001000000" + "0300000000000000"},
	}
	for _, test := range tests {
		if got := hex.EncodeToString(appendDescriptor(nil, test.f)); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.f, got, test.want)
		}
	}
}
