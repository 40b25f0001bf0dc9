package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"lethe/shared/kind"
)

func openTest(t *testing.T, data string) *Platform {
	t.Helper()
	p, err := Open(Config{Data: data, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// endless puts an archive into a data directory that takes a long time to copy.
func endless(t *testing.T, data string) (remove func()) {
	t.Helper()
	path := filepath.Join(data, filesFolder, "exports", "a", "0.zip")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// One backup of a data directory is made at a time, and one to a place, and who
// comes second leaves the first alone. Who stops one finds nothing of it.
func TestBackupsKeepToThemselves(t *testing.T) {
	dir := t.TempDir()
	p, other := openTest(t, filepath.Join(dir, "data")), openTest(t, filepath.Join(dir, "other"))
	remove := endless(t, filepath.Join(dir, "data"))
	to := filepath.Join(dir, "backup")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Backup(ctx, to)
		ended <- err
	}()
	at := filepath.Join(to+partial, filesFolder, "exports", "a", "0.zip")
	for !there(at) {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it came to the large file: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	for name, again := range map[string]struct {
		p    *Platform
		to   string
		says string
	}{
		"of the same directory to the same place": {p, to, "Another backup of this data directory"},
		"of the same directory to another place":  {p, filepath.Join(dir, "elsewhere"), "Another backup of this data directory"},
		"of another directory to the same place":  {other, to, "is at a backup in the same place"},
	} {
		if _, err := again.p.Backup(t.Context(), again.to); kind.Of(err) != kind.Conflict || !strings.Contains(kind.Sentence(err), again.says) {
			t.Errorf("%s: got %v, want %v saying %q", name, err, kind.Conflict, again.says)
		}
	}
	if !there(at) {
		t.Error("the first one's files are gone")
	}
	stop()
	if err := <-ended; kind.Of(err) != kind.Unavailable || !strings.Contains(kind.Sentence(err), "was stopped") {
		t.Errorf("stopped: got %v", err)
	}
	if there(to) || there(to+partial) {
		t.Error("something is left of the one that was stopped")
	}
	remove()
	if _, err := p.Backup(t.Context(), to); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Of many who back up to one place at once, one does, and its backup is whole.
func TestBackupsToOnePlace(t *testing.T) {
	dir := t.TempDir()
	var all []*Platform
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		all = append(all, openTest(t, filepath.Join(dir, name)))
	}
	for round := range 10 {
		to := filepath.Join(dir, "backup", string(rune('0'+round)))
		results := make([]error, len(all))
		var wg sync.WaitGroup
		for n, p := range all {
			wg.Go(func() { _, results[n] = p.Backup(t.Context(), to) })
		}
		wg.Wait()
		well := 0
		for _, err := range results {
			switch kind.Of(err) {
			case "":
				well++
			case kind.Conflict, kind.Invalid:
			default:
				t.Errorf("got %v", err)
			}
		}
		if well != 1 {
			t.Errorf("%d of them said that they had ended well: %v", well, results)
		}
		s, err := Stage(t.Context(), to, filepath.Join(dir, "restored"))
		if err != nil {
			t.Fatalf("what was made: %v", err)
		}
		if !Holds(s.Dir) || there(filepath.Join(to, draftLock)) || there(to+partial) {
			t.Error("there are no records, or something is left over")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a backup that was killed left is replaced; what is somebody's own is not.
func TestBackupRemovesItsOwnOnly(t *testing.T) {
	dir := t.TempDir()
	p := openTest(t, filepath.Join(dir, "data"))
	to := filepath.Join(dir, "backup")
	mine := filepath.Join(to+partial, "mine")
	if err := os.Mkdir(to+partial, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Backup(t.Context(), to); kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), ".partial") || !there(mine) {
		t.Errorf("got %v, want %v and what was there", err, kind.Invalid)
	}
	if err := os.WriteFile(filepath.Join(to+partial, draftLock), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Backup(t.Context(), to); err != nil || there(to+partial) || there(filepath.Join(to, "mine")) {
		t.Errorf("over what was left: %v", err)
	}
}

// A backup holds what is Lethe's, also by a link, and nothing of what else lies in
// the directory or comes and goes there.
func TestBackupHoldsWhatIsLethes(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	p := openTest(t, data)
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Bucket.Put(t.Context(), "ledger/1-a.json", strings.NewReader("one")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{clockFile, gapsFile, DemoFile} {
		write(filepath.Join(data, name), "text")
	}
	for _, name := range []string{".clock-123", ".demo.json.swp", "demo.json~", "lethe.db.old", "core", "lost+found/x", "keys/.suppression-1", "keys/suppression~"} {
		write(filepath.Join(data, name), "text")
	}
	if err := os.Symlink("nowhere", filepath.Join(data, ".#clock")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(data, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(data, keysFolder, suppressionFile)
	if err := os.Rename(key, filepath.Join(dir, "secret")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), key); err != nil {
		t.Fatal(err)
	}
	b, err := p.Backup(t.Context(), filepath.Join(dir, "backup"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range b.Files {
		got = append(got, f.Path)
	}
	slices.Sort(got)
	want := []string{"clock", "demo.json", "erasures-unknown", "files/ledger/1-a.json", "keys/link", "keys/session", "keys/suppression", "records.db"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if err := os.Remove(filepath.Join(data, keysFolder, sessionFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Backup(t.Context(), filepath.Join(dir, "signed-out")); err != nil {
		t.Errorf("without the session key: %v", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Backup(t.Context(), filepath.Join(dir, "another")); kind.Of(err) != kind.Corrupt || !strings.Contains(kind.Sentence(err), "keys/suppression") {
		t.Errorf("without the key: got %v, want %v", err, kind.Corrupt)
	}
}

// What cannot be read is not blamed on the place for the backup, nor what cannot be
// written on the data directory.
func TestBackupTellsWhichSideFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		w    backupWriter
		read error
		want kind.Kind
		says string
	}{
		"the source": {backupWriter{root: filepath.Join(dir, "backup")}, syscall.EIO, kind.Unavailable, "Something in the data directory cannot be read (input/output error)"},
		"the target": {backupWriter{root: file}, errors.New("not read"), kind.Forbidden, "The place for the backup cannot be written (not a directory)"},
	} {
		c.w.ctx, c.w.backup = t.Context(), &Backup{}
		err := c.w.copy("clock", iotest.ErrReader(c.read), time.Time{})
		if kind.Of(err) != c.want || !strings.HasPrefix(kind.Sentence(err), c.says) {
			t.Errorf("%s: got %v saying %q, want %v saying %q", name, err, kind.Sentence(err), c.want, c.says)
		}
	}
}

// Where the new directory cannot be moved to its place, the old one comes back.
func TestReplacePutsTheOldOneBack(t *testing.T) {
	dir := t.TempDir()
	data, to := filepath.Join(dir, "at", "data"), filepath.Join(dir, "backup")
	if _, err := openTest(t, filepath.Join(dir, "other")).Backup(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	s, err := Stage(t.Context(), to, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Stage(t.Context(), to, data); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	made := s.draft.dir
	s.draft.dir = filepath.Dir(data) // which cannot be moved into itself
	if _, err := s.Replace(time.Now()); kind.Of(err) != kind.Forbidden {
		t.Errorf("got %v, want %v", err, kind.Forbidden)
	}
	if !Holds(data) {
		t.Error("the old directory is not in its place")
	}
	s.draft.dir = made
}

// A lock is that of the directory which stands there, not of one that was moved away
// while somebody waited for it.
func TestLockOfADirectoryThatIsMoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	for round := range 300 {
		l, _, err := takeLock(dir, lockFile)
		if err != nil || l == nil {
			t.Fatalf("got %v, %v", l, err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					l, _, err := takeLock(dir, lockFile)
					if err != nil {
						t.Error(err)
						return
					}
					if l == nil {
						continue
					}
					if !l.at(filepath.Join(dir, lockFile)) {
						t.Errorf("round %d: the lock is that of the directory that was moved away", round)
					}
					if err := l.Unlock(); err != nil {
						t.Error(err)
					}
					return
				}
			})
		}
		if err := errors.Join(os.Rename(dir, fmt.Sprint(dir, round)), l.Unlock()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
}
