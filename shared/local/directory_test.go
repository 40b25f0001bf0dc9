package local

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/blob/blobtest"
	"lethe/shared/kind"
)

var linkKey = bytes.Repeat([]byte{7}, 32)

func openDirectory(t *testing.T, dir string, now func() time.Time) *Directory {
	t.Helper()
	d, err := OpenDirectory(dir, linkKey, func() string { return "http://127.0.0.1:8080" }, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDirectory(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Driver {
		var base string
		var shift atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		d, err := OpenDirectory(t.TempDir(), linkKey, func() string { return base }, now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		server := httptest.NewServer(d)
		t.Cleanup(server.Close)
		base = server.URL
		return blobtest.Driver{
			Bucket:  d,
			Streams: true,
			Links:   true,
			Shift:   func(d time.Duration) { shift.Store(int64(d)) },
		}
	})
}

// filesUnder returns what stands under dir, folders with a slash behind.
func filesUnder(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if entry.IsDir() {
			name += "/"
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func putFile(t *testing.T, b blob.Bucket, key, text string) {
	t.Helper()
	if err := b.Put(t.Context(), key, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryIsItsOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "files")
	d := openDirectory(t, dir, time.Now)
	putFile(t, d, "exports/deep/1.zip", "x")
	upload, err := d.Begin(t.Context(), "exports/2.zip")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Part(t.Context(), "exports/2.zip", upload, 1, strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(filesUnder(t, dir), ".") {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o600)
		if info.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if info.Mode() != want {
			t.Errorf("%s: got mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// Nothing stays behind: no temporary file, no folder without a file.
func TestDirectoryLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	d := openDirectory(t, dir, time.Now)
	ctx := t.Context()
	putFile(t, d, "a/b/c/1", "x")
	putFile(t, d, "a/b/2", "x")
	putFile(t, d, "a/b/2", "y")
	upload, err := d.Begin(ctx, "a/u/3")
	if err != nil {
		t.Fatal(err)
	}
	part, err := d.Part(ctx, "a/u/3", upload, 1, strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Complete(ctx, "a/u/3", upload, []blob.Part{part}); err != nil {
		t.Fatal(err)
	}
	own := []string{"+new/", "+uploads/"}
	want := append(slices.Clone(own), "a/", "a/b/", "a/b/2", "a/b/c/", "a/b/c/1", "a/u/", "a/u/3")
	if got := filesUnder(t, dir); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := d.Delete(ctx, "a/b/c/1", "a/u/3"); err != nil {
		t.Fatal(err)
	}
	want = append(slices.Clone(own), "a/", "a/b/", "a/b/2")
	if got := filesUnder(t, dir); !slices.Equal(got, want) {
		t.Errorf("after Delete: got %q, want %q", got, want)
	}
	if err := d.Delete(ctx, "a/b/2"); err != nil {
		t.Fatal(err)
	}
	if got := filesUnder(t, dir); !slices.Equal(got, own) {
		t.Errorf("after the last Delete: got %q, want %q", got, own)
	}
}

func TestDirectoryRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	d := openDirectory(t, dir, time.Now)
	ctx := t.Context()
	putFile(t, d, "keep.txt", "kept")
	var uploads []string
	var parts []blob.Part
	for range 2 {
		upload, err := d.Begin(ctx, "late.bin")
		if err != nil {
			t.Fatal(err)
		}
		part, err := d.Part(ctx, "late.bin", upload, 1, strings.NewReader("x"), 1)
		if err != nil {
			t.Fatal(err)
		}
		uploads, parts = append(uploads, upload), append(parts, part)
	}
	d.Close()
	for _, name := range []string{"HALF", "FOLDER/HALF"} {
		path := filepath.Join(dir, newFolder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := now.Add(-staleUpload - time.Minute)
	if err := os.Chtimes(filepath.Join(dir, uploadFolder("late.bin", uploads[0])), old, old); err != nil {
		t.Fatal(err)
	}

	d = openDirectory(t, dir, time.Now)
	if got := filesUnder(t, filepath.Join(dir, newFolder)); len(got) > 0 {
		t.Errorf("temporary files stayed: %q", got)
	}
	err := d.Complete(ctx, "late.bin", uploads[0], parts[:1])
	if got := kind.Of(err); got != kind.NotFound {
		t.Errorf("Complete of an upload of yesterday: got %v, want NotFound", err)
	}
	if err := d.Complete(ctx, "late.bin", uploads[1], parts[1:]); err != nil {
		t.Errorf("Complete of an upload of today: %v", err)
	}
	infos, err := d.List(ctx, "", "", 10)
	if err != nil || len(infos) != 2 {
		t.Errorf("List: got %v, %v; want the two files", infos, err)
	}
}

// Complete moved the body to its key, and the machine stopped before the rest
// of the upload was removed.
func TestDirectoryCompleteRepeatedAfterCrash(t *testing.T) {
	dir := t.TempDir()
	d := openDirectory(t, dir, time.Now)
	ctx := t.Context()
	upload, err := d.Begin(ctx, "file.bin")
	if err != nil {
		t.Fatal(err)
	}
	part, err := d.Part(ctx, "file.bin", upload, 1, strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, uploadFolder("file.bin", upload))
	if err := os.Rename(filepath.Join(folder, bodyFile), filepath.Join(dir, "file.bin")); err != nil {
		t.Fatal(err)
	}
	err = d.Complete(ctx, "file.bin", upload, []blob.Part{part})
	if got := kind.Of(err); got != kind.NotFound {
		t.Errorf("got %v, want NotFound", err)
	}
	if _, err := d.Part(ctx, "file.bin", upload, 2, strings.NewReader("y"), 1); kind.Of(err) != kind.NotFound {
		t.Errorf("Part: got %v, want NotFound", err)
	}
	if info, err := d.Head(ctx, "file.bin"); err != nil || info.Size != 1 {
		t.Errorf("Head: got %+v, %v; want the file", info, err)
	}
}

// Parts that come in order are written once: the file is the one that they were
// added to.
func TestDirectoryJoinsWithoutCopying(t *testing.T) {
	dir := t.TempDir()
	d := openDirectory(t, dir, time.Now)
	ctx := t.Context()
	big := bytes.Repeat([]byte("0123456789abcdef"), blob.MinPart/16)
	putFile(t, d, "source.bin", string(big))
	upload, err := d.Begin(ctx, "file.bin")
	if err != nil {
		t.Fatal(err)
	}
	var parts []blob.Part
	for number := 1; number <= 3; number++ {
		part, err := d.CopyPart(ctx, "file.bin", upload, number, "source.bin", 0, blob.MinPart)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	body, err := os.Stat(filepath.Join(dir, uploadFolder("file.bin", upload), bodyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Complete(ctx, "file.bin", upload, parts); err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(filepath.Join(dir, "file.bin"))
	if err != nil || !os.SameFile(body, file) || file.Size() != 3*blob.MinPart {
		t.Errorf("got %v, %v; want the file that the parts were added to", file, err)
	}
}

// Folders are made for files and go with them, also when many work there at once.
func TestDirectoryFoldersComeAndGo(t *testing.T) {
	dir := t.TempDir()
	d := openDirectory(t, dir, time.Now)
	ctx := t.Context()
	var all sync.WaitGroup
	for worker := range 6 {
		all.Go(func() {
			own := fmt.Sprintf("a/b/%d/own", worker)
			for range 40 {
				for _, err := range []error{
					d.Put(ctx, own, strings.NewReader("x")),
					d.Put(ctx, "a/c/shared", strings.NewReader("x")),
					d.Delete(ctx, "a/c/shared"),
				} {
					if err != nil {
						t.Errorf("concurrent work: %v", err)
						return
					}
				}
				if _, err := d.Head(ctx, own); err != nil {
					t.Errorf("a file that was put is not there: %v", err)
				}
				if err := d.Delete(ctx, own); err != nil {
					t.Errorf("concurrent work: %v", err)
				}
			}
		})
	}
	all.Wait()
	if got, want := filesUnder(t, dir), []string{"+new/", "+uploads/"}; !slices.Equal(got, want) {
		t.Errorf("what is left: got %q, want %q", got, want)
	}
}

// Names of uploads that no file system takes are names of no upload.
func TestDirectoryOddUploadNames(t *testing.T) {
	d := openDirectory(t, t.TempDir(), time.Now)
	ctx := t.Context()
	for _, upload := range []string{"\x00", strings.Repeat("x", 5000), strings.Repeat("x/", nameSize/2), "../../../../../../../../.."} {
		_, err := d.Part(ctx, "file.bin", upload, 1, strings.NewReader("x"), 1)
		if got := kind.Of(err); got != kind.NotFound {
			t.Errorf("Part under a name of %d bytes: got %v, want NotFound", len(upload), err)
		}
		if err := d.Abort(ctx, "file.bin", upload); err != nil {
			t.Errorf("Abort under a name of %d bytes: %v", len(upload), err)
		}
	}
}

func TestDirectoryRefusesFilesBelowFiles(t *testing.T) {
	d := openDirectory(t, t.TempDir(), time.Now)
	for _, tc := range []struct {
		key  string
		want kind.Kind
	}{
		{"a/b/c", ""},
		{"a", kind.Conflict},
		{"a/b", kind.Conflict},
		{"a/b/c/d", kind.Conflict},
		{"a/b/c/d/e", kind.Conflict},
		{"a/b/c", ""},
	} {
		if got := kind.Of(d.Put(t.Context(), tc.key, strings.NewReader("x"))); got != tc.want {
			t.Errorf("Put(%q): got %q, want %q", tc.key, got, tc.want)
		}
	}
	if got := filesUnder(t, filepath.Join(d.root.Name(), newFolder)); len(got) > 0 {
		t.Errorf("refused files stayed: %q", got)
	}
	upload, err := d.Begin(t.Context(), "copy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.CopyPart(t.Context(), "copy", upload, 1, "a/b", 0, 1); kind.Of(err) != kind.NotFound {
		t.Errorf("CopyPart from a folder: got %v, want NotFound", err)
	}
	if err := d.Delete(t.Context(), "a/b/c/d", "a/b", "a/b/c"); err != nil {
		t.Fatal(err)
	}
	putFile(t, d, "a", "x")
	if err := d.Delete(t.Context(), "a/b/c"); err != nil {
		t.Fatal(err)
	}
	if info, err := d.Head(t.Context(), "a"); err != nil || info.Size != 1 {
		t.Errorf("Head: got %+v, %v; want the file that Delete did not name", info, err)
	}
}

// A link that somebody put into the directory leads nowhere.
func TestDirectoryStaysInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret.txt")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, dir, time.Now)
	for name, target := range map[string]string{"folder": outside, "file.txt": secret} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	for _, key := range []string{"folder/secret.txt", "file.txt"} {
		r, err := d.Get(ctx, key, 0, -1)
		if err == nil {
			r.Close()
			t.Errorf("Get(%q) reads outside of the directory", key)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), dir) {
			t.Errorf("the error names the path: %v", err)
		}
		if err := d.Delete(ctx, key); err == nil && key != "file.txt" {
			t.Errorf("Delete(%q) follows a link", key)
		}
	}
	if err := d.Put(ctx, "folder/new.txt", strings.NewReader("x")); err == nil {
		t.Error("Put writes outside of the directory")
	}
	putFile(t, d, "file.txt", "inside")
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("the file outside: got %q, %v", got, err)
	}
	if got := filesUnder(t, outside); !slices.Equal(got, []string{"secret.txt"}) {
		t.Errorf("outside: got %q", got)
	}
}

func TestOpenDirectoryRefuses(t *testing.T) {
	base := func() string { return "" }
	if _, err := OpenDirectory(t.TempDir(), linkKey[:31], base, time.Now); kind.Of(err) != kind.Invalid {
		t.Errorf("a short key: got %v, want Invalid", err)
	}
	file := filepath.Join(t.TempDir(), "plainfile")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenDirectory(file, linkKey, base, time.Now)
	if err == nil || strings.Contains(err.Error(), "plainfile") {
		t.Errorf("a file in the way: got %v, want an error without the path", err)
	}
}

// The name of a part's file says again what it was made from, and no other name
// is taken for one.
func FuzzParsePiece(f *testing.F) {
	for _, name := range []string{"1.0.5242880.TAG", "10000.1.0.T", "body", "1.0.5", "01.0.5.T", "+1.0.5.T", "1.-5.5.T", "1.0.5.T U"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, ok := parsePiece(name)
		if ok && (p.name() != name || p.off < 0 || p.size < 0) {
			t.Errorf("parsePiece(%q): got %+v", name, p)
		}
	})
}
