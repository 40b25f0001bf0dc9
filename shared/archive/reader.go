package archive

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"

	"lethe/shared/kind"
)

const (
	// maxManifest is the most bytes of a manifest that Open reads.
	maxManifest = 256 << 20
	// maxRatio is the most bytes that a byte of deflate can stand for.
	maxRatio = 1032
)

// An Archive is an export file that is read. It may come from anywhere: nothing
// in it is believed before it was checked.
type Archive struct {
	manifest Manifest
	sum      string
	entries  map[string]*zip.File
}

// Open reads the directory and the manifest of an export file of size bytes. A
// file that is not one is kind.Invalid: also one with a name that would lead out
// of the folder it is unpacked in, or two entries of one name.
func Open(r io.ReaderAt, size int64) (*Archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, invalid("This is not a zip file, or not a whole one.")
	}
	a := &Archive{entries: make(map[string]*zip.File, len(z.File))}
	var compressed uint64
	for _, f := range z.File {
		if !safe(f.Name) {
			return nil, invalid("The file has an entry with a name that no export has.")
		}
		if a.entries[f.Name] != nil {
			return nil, invalid("The file has two entries of one name.")
		}
		// No byte is part of two entries, so reading all of them is bounded by the
		// size of the file.
		if compressed += f.CompressedSize64; f.CompressedSize64 > uint64(size) || compressed > uint64(size) {
			return nil, invalid("The file's directory promises more than the file holds.")
		}
		a.entries[f.Name] = f
	}
	return a, a.readManifest()
}

func invalid(sentence string) error { return kind.Say(kind.Invalid, sentence) }

// safe reports whether an entry can have that name: no empty, hidden or climbing
// part, nothing that a file system or a shell gives a meaning to.
func safe(name string) bool {
	if len(name) > 255 {
		return false
	}
	start := true // of a part
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			start = false
		case !start && (c == '.' || c == '_' || c == '-'):
		case !start && c == '/':
			start = true
		default:
			return false
		}
	}
	return !start
}

func (a *Archive) readManifest() error {
	f := a.entries[manifestPath]
	if f == nil {
		return invalid("The file has no manifest.json.")
	}
	if f.UncompressedSize64 > maxManifest {
		return kind.Say(kind.TooLarge, "The file's manifest is larger than 256 MiB.")
	}
	body, err := f.Open()
	if err != nil {
		return invalid("The file's manifest cannot be read.")
	}
	defer body.Close()
	var m struct {
		manifestHead
		Subjects []manifestSubject `json:"subjects"`
		Files    []manifestFile    `json:"files"`
	}
	sum := sha256.New()
	decoder := json.NewDecoder(io.TeeReader(io.LimitReader(body, int64(f.UncompressedSize64)+1), sum))
	// The end has to be seen: there the reader compares the checksum.
	if decoder.Decode(&m) != nil || decoder.Decode(&struct{}{}) != io.EOF {
		return invalid("The file's manifest is not the JSON that it must be.")
	}
	if m.Version != Version {
		return invalid("The file is of a version that this program does not know.")
	}
	a.sum = hex.EncodeToString(sum.Sum(nil))
	a.manifest = Manifest{Version: m.Version, Head: m.head(), Totals: m.Totals}
	for _, s := range m.Subjects {
		a.manifest.Subjects = append(a.manifest.Subjects, s.folder())
	}
	for _, f := range m.Files {
		a.manifest.Files = append(a.manifest.Files, File{Path: f.Path, Bytes: f.Bytes, SHA256: f.SHA256, Records: f.Records})
	}
	return nil
}

// Manifest returns what the archive says about itself.
func (a *Archive) Manifest() Manifest { return a.manifest }

// Sum returns the SHA-256 of the manifest in hexadecimal. If it is what Pack gave
// as Info.Manifest and Verify finds nothing, every file is as it was packed.
func (a *Archive) Sum() string { return a.sum }

// File opens a file of the archive. A name that it does not have is kind.NotFound.
func (a *Archive) File(path string) (io.ReadCloser, error) {
	f := a.entries[path]
	if f == nil {
		return nil, kind.E(kind.NotFound, "archive: open file")
	}
	body, err := f.Open()
	if err != nil {
		return nil, kind.E(kind.Corrupt, "archive: open file", err)
	}
	return body, nil
}

// Verify reads the whole archive and checks that it is what its manifest says:
// every file is there with its size, its SHA-256 and its number of records, none
// is there besides, and the counts of the folders and the totals are those of the
// files. What differs is kind.Corrupt; the error names the file's number in the
// manifest, counted from 1, as a path is part of the answer to a person.
func (a *Archive) Verify(ctx context.Context) error {
	listed := make(map[string]bool, len(a.manifest.Files))
	counts := map[int]holding{}
	for i, f := range a.manifest.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if listed[f.Path] || f.Path == manifestPath {
			return corrupt(i, "is listed twice")
		}
		listed[f.Path] = true
		if problem := a.check(f); problem != "" {
			return corrupt(i, problem)
		}
		if problem := a.count(counts, f); problem != "" {
			return corrupt(i, problem)
		}
	}
	if len(listed)+1 != len(a.entries) {
		return kind.Say(kind.Corrupt, "The archive holds a file that its manifest does not list.")
	}
	return a.checkCounts(counts)
}

func corrupt(i int, problem string) error {
	return kind.Say(kind.Corrupt, "File "+strconv.Itoa(i+1)+" of the manifest "+problem+".")
}

// check returns what is wrong with a file, or nothing.
func (a *Archive) check(want File) string {
	f := a.entries[want.Path]
	switch {
	case f == nil:
		return "is missing"
	case want.Bytes < 0 || f.UncompressedSize64 != uint64(want.Bytes):
		return "has another size"
	case f.UncompressedSize64/maxRatio > f.CompressedSize64:
		return "cannot have its size"
	}
	body, err := f.Open()
	if err != nil {
		return "cannot be read"
	}
	defer body.Close()
	sum, records := sha256.New(), newCounter(want.Path)
	n, err := io.Copy(io.MultiWriter(sum, records), io.LimitReader(body, want.Bytes+1))
	switch {
	case err != nil:
		return "cannot be read"
	case n != want.Bytes:
		return "has another size"
	case hex.EncodeToString(sum.Sum(nil)) != want.SHA256:
		return "has another SHA-256"
	case records.count() != want.Records:
		return "has another number of records"
	}
	return ""
}
