package local_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/local"
	"lethe/shared/table"
)

// backedUp makes a data directory with a record, an archive and an entry of the
// ledger, and a backup of it.
func backedUp(t *testing.T) (c local.Config, backup string) {
	t.Helper()
	c = config(t)
	p := open(t, c)
	if err := p.Subjects.Write(t.Context(), table.Put(table.Item{Key: table.Key{PK: "p", SK: "s"}, Data: []byte("kept")}, table.IfAbsent())); err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{"exports/a/0.zip": "an archive", "ledger/1-a.json": "one", "segments/a/0/0": "under way"} {
		if err := p.Bucket.Put(t.Context(), key, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-13 * 24 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(c.Data, "files", "exports", "a", "0.zip"), old, old); err != nil {
		t.Fatal(err)
	}
	backup = filepath.Join(t.TempDir(), "backup")
	if _, err := p.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Backup(t.Context(), backup); kind.Of(err) != kind.Invalid {
		t.Errorf("over a backup: got %v, want %v", err, kind.Invalid)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return c, backup
}

func TestStagePutsTheBackupInPlace(t *testing.T) {
	c, backup := backedUp(t)
	if local.Holds(backup) {
		t.Error("a server would start on the backup")
	}
	// Life goes on: another record, another erasure, and time.
	p := open(t, c)
	if err := p.Subjects.Write(t.Context(), table.Put(table.Item{Key: table.Key{PK: "p", SK: "later"}}, table.IfAbsent())); err != nil {
		t.Fatal(err)
	}
	if err := p.Bucket.Put(t.Context(), "ledger/2-b.json", strings.NewReader("two")); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(time.Hour)
	if err := os.WriteFile(filepath.Join(c.Data, "clock"), []byte(ahead.UTC().Format(time.RFC3339Nano)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	s, err := local.Stage(t.Context(), backup, c.Data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Before.Head(t.Context(), "ledger/2-b.json"); err != nil {
		t.Errorf("the ledger of the directory that is replaced: %v", err)
	}
	if _, err := local.Open(c); kind.Of(err) != kind.Conflict {
		t.Errorf("a server can start meanwhile: %v", err)
	}
	old, err := s.Replace(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !local.Holds(old) || !strings.HasPrefix(old, c.Data+".replaced-") {
		t.Errorf("the directory of before is %s", filepath.Base(old))
	}
	p = open(t, c)
	defer p.Close()
	if _, err := p.Subjects.Get(t.Context(), table.Key{PK: "p", SK: "s"}); err != nil {
		t.Errorf("a record of the backup: %v", err)
	}
	if _, err := p.Subjects.Get(t.Context(), table.Key{PK: "p", SK: "later"}); kind.Of(err) != kind.NotFound {
		t.Errorf("a record from after the backup: %v", err)
	}
	// An archive lives from when it was made, not from when it was restored.
	if f, err := p.Bucket.Head(t.Context(), "exports/a/0.zip"); err != nil || time.Since(f.Changed) < 12*24*time.Hour {
		t.Errorf("the archive: %v, %v", f.Changed, err)
	}
	if _, err := p.Bucket.Head(t.Context(), "segments/a/0/0"); kind.Of(err) != kind.NotFound {
		t.Errorf("work under way came back: %v", err)
	}
	if now := p.Clock(); now.Before(ahead) {
		t.Error("time went back behind that of the directory that was replaced")
	}
}

// A restore that was cut off between its two renames finds the old directory, and
// with it the ledger, under its other name.
func TestStageAfterACutOff(t *testing.T) {
	c, backup := backedUp(t)
	before := setAside(t, backup, c.Data)
	s, err := local.Stage(t.Context(), backup, c.Data)
	if err != nil {
		t.Fatal(err)
	}
	if s.Before == nil || s.Stale {
		t.Fatal("the old directory was not found, or not known to be the one of before")
	}
	if _, err := s.Before.Head(t.Context(), "ledger/1-a.json"); err != nil {
		t.Error(err)
	}
	if old, err := s.Replace(time.Now()); err != nil || old != before {
		t.Errorf("replaced %s, %v", filepath.Base(old), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, c).Close(); err != nil {
		t.Fatal(err)
	}
}

// setAside leaves a data directory as a restore does that is killed between its two
// renames, and returns where the old one is.
func setAside(t *testing.T, backup, data string) (old string) {
	t.Helper()
	s, err := local.Stage(t.Context(), backup, data)
	if err == nil {
		old, err = local.SetAside(s)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return old
}

// A directory that an earlier restore replaced still has a part of the ledger, and is
// not taken for the one that is missing, also where that restore was cut off at its
// very end.
func TestStageKnowsAStaleDirectory(t *testing.T) {
	for name, after := range map[string]func(t *testing.T, c local.Config){
		"at its end": func(*testing.T, local.Config) {},
		"cut off, and a server ran since": func(t *testing.T, c local.Config) {
			if err := os.WriteFile(c.Data+".replacing", []byte(filepath.Base(c.Data)+".replaced-20990101T000000Z\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := open(t, c).Close(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		c, backup := backedUp(t)
		first, err := local.Stage(t.Context(), backup, c.Data)
		if err != nil {
			t.Fatal(err)
		}
		if first.Stale {
			t.Errorf("%s: the directory in its place counts as stale", name)
		}
		old, err := first.Replace(time.Now())
		if err == nil {
			err = first.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		after(t, c)
		if _, err := os.Stat(c.Data + ".replacing"); err == nil {
			t.Errorf("%s: what tells of a cut-off is still there", name)
		}
		if err := os.RemoveAll(c.Data); err != nil {
			t.Fatal(err)
		}
		second, err := local.Stage(t.Context(), backup, c.Data)
		if err != nil {
			t.Fatal(err)
		}
		if second.Before == nil || !second.Stale {
			t.Errorf("%s: %s is taken for the directory of before", name, filepath.Base(old))
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStageRefuses(t *testing.T) {
	edit := func(t *testing.T, backup string, f func(list map[string]any)) {
		path := filepath.Join(backup, "backup.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var list map[string]any
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		f(list)
		if text, err = json.Marshal(list); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, backup, data string)
		want  kind.Kind
		says  string
	}{
		"a file that was changed": {func(t *testing.T, backup, _ string) {
			if err := os.WriteFile(filepath.Join(backup, "files", "ledger", "1-a.json"), []byte("two"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, kind.Corrupt, "files/ledger/1-a.json"},
		"a file that is missing": {func(t *testing.T, backup, _ string) {
			if err := os.Remove(filepath.Join(backup, "records.db")); err != nil {
				t.Fatal(err)
			}
		}, kind.Corrupt, "records.db"},
		"a backup that was cut off": {func(t *testing.T, backup, _ string) {
			if err := os.Remove(filepath.Join(backup, "backup.json")); err != nil {
				t.Fatal(err)
			}
		}, kind.NotFound, "no whole backup"},
		"a newer version's": {func(t *testing.T, backup, _ string) {
			edit(t, backup, func(list map[string]any) { list["version"] = 2 })
		}, kind.Invalid, "newer version"},
		"a list that leads out of it": {func(t *testing.T, backup, _ string) {
			edit(t, backup, func(list map[string]any) { list["files"].([]any)[0].(map[string]any)["path"] = "../../x" })
		}, kind.Corrupt, "damaged"},
		"another deployment's": {func(t *testing.T, _, data string) {
			other, _ := backedUp(t)
			key, err := os.ReadFile(filepath.Join(other.Data, "keys", "suppression"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, "keys", "suppression"), key, 0o600); err != nil {
				t.Fatal(err)
			}
		}, kind.Corrupt, "another deployment than the data directory: their suppression keys differ. Use another backup, or name a directory that does not exist yet with --data. If an earlier restore put the wrong backup there, the directory of before has .replaced-"},
		"a directory in use": {func(t *testing.T, _, data string) {
			p := open(t, local.Config{Data: data, Clock: time.Now, Log: config(t).Log})
			t.Cleanup(func() { p.Close() })
		}, kind.Conflict, "in use"},
	} {
		t.Run(name, func(t *testing.T) {
			conf, backup := backedUp(t)
			c.spoil(t, backup, conf.Data)
			_, err := local.Stage(t.Context(), backup, conf.Data)
			if kind.Of(err) != c.want || !strings.Contains(kind.Sentence(err), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
			if _, err := os.Stat(conf.Data + ".restoring"); err == nil {
				t.Error("something is left beside the data directory")
			}
			if !local.Holds(conf.Data) {
				t.Error("the data directory is gone")
			}
		})
	}
}

// Keys that were made since the backup are those of people erased since.
func TestStageKeepsEveryKey(t *testing.T) {
	c, backup := backedUp(t)
	path := filepath.Join(c.Data, "keys", "suppression")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := append(text, "2 "+strings.Repeat("ab", 32)+"\n"...)
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := local.Stage(t.Context(), backup, c.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := os.ReadFile(filepath.Join(s.Dir, "keys", "suppression")); err != nil || string(got) != string(newer) {
		t.Errorf("the keys differ from those of both directories (%v)", err)
	}
}

// A process that is killed while it opens the copy of the ledger leaves a directory
// that is still known as one.
func TestHoldsLedgerWhateverWasCutOff(t *testing.T) {
	for _, missing := range []string{"", "+new", "+uploads"} {
		c := config(t)
		c.LedgerCopy = filepath.Join(t.TempDir(), "copy")
		if local.HoldsLedger(c.LedgerCopy) {
			t.Error("a directory that is not there is taken for a ledger")
		}
		if err := open(t, c).Close(); err != nil {
			t.Fatal(err)
		}
		if missing != "" {
			if err := os.Remove(filepath.Join(c.LedgerCopy, missing)); err != nil {
				t.Fatal(err)
			}
		}
		if !local.HoldsLedger(c.LedgerCopy) {
			t.Errorf("without %q it is no ledger", missing)
		}
	}
}

// After the right directory was moved out of the way by a restore that was cut off,
// the backup of another deployment says what is in its way.
func TestStageAfterACutOffOfAnother(t *testing.T) {
	c, _ := backedUp(t)
	_, other := backedUp(t)
	if err := os.Rename(c.Data, c.Data+".replaced-20260101T000000Z"); err != nil {
		t.Fatal(err)
	}
	_, err := local.Stage(t.Context(), other, c.Data)
	if says := kind.Sentence(err); kind.Of(err) != kind.Corrupt || !strings.Contains(says, ".replaced-") || !strings.Contains(says, "move that directory elsewhere") {
		t.Errorf("got %v", err)
	}
}

// Of two restores of one directory, there or not, the second is refused and leaves
// the first alone.
func TestStageTwice(t *testing.T) {
	for _, missing := range []bool{true, false} {
		c, backup := backedUp(t)
		if missing {
			c.Data = filepath.Join(t.TempDir(), "missing")
		}
		first, err := local.Stage(t.Context(), backup, c.Data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := local.Stage(t.Context(), backup, c.Data); kind.Of(err) != kind.Conflict || !strings.Contains(kind.Sentence(err), "is at a restore in the same place") {
			t.Errorf("a second one: got %v, want %v", err, kind.Conflict)
		}
		if _, err := local.Stage(t.Context(), filepath.Join(backup, "none"), c.Data); kind.Of(err) != kind.NotFound {
			t.Errorf("a second one of no backup: got %v, want %v", err, kind.NotFound)
		}
		if _, err := first.Replace(time.Now()); err != nil {
			t.Errorf("the first one: %v", err)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		p := open(t, c)
		if _, err := p.Subjects.Get(t.Context(), table.Key{PK: "p", SK: "s"}); err != nil {
			t.Errorf("a record of the backup: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if left, err := filepath.Glob(c.Data + ".restoring*"); err != nil || len(left) > 0 {
			t.Errorf("left over: %v, %v", left, err)
		}
		if _, err := os.Stat(filepath.Join(c.Data, "making")); err == nil {
			t.Error("a lock is left in the data directory")
		}
	}
}

// A data directory behind a symbolic link is replaced where it is, and the link
// stays, also by a restore that goes on after one that was cut off.
func TestStageFollowsALink(t *testing.T) {
	for _, cutOff := range []bool{false, true} {
		c, backup := backedUp(t)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(c.Data, link); err != nil {
			t.Fatal(err)
		}
		if cutOff {
			setAside(t, backup, c.Data)
		}
		s, err := local.Stage(t.Context(), backup, link)
		if err != nil {
			t.Fatal(err)
		}
		if s.Before == nil {
			t.Error("the ledger of the directory that is replaced was not found")
		}
		old, err := s.Replace(time.Now())
		if err != nil || filepath.Dir(old) != filepath.Dir(c.Data) {
			t.Errorf("the directory of before is %s, %v", old, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if to, err := os.Readlink(link); err != nil || to != c.Data {
			t.Errorf("the link leads to %q, %v", to, err)
		}
		c.Data = link
		if err := open(t, c).Close(); err != nil {
			t.Error(err)
		}
	}
}

// What cannot be replaced at the end is refused at the beginning.
func TestStageRefusesAMountPoint(t *testing.T) {
	_, backup := backedUp(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/dev", link); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"/dev", link} {
		if _, err := local.Stage(t.Context(), backup, data); kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), "is a mount point") {
			t.Errorf("got %v, want %v", err, kind.Invalid)
		}
		if _, err := os.Stat("/dev.restoring"); err == nil {
			t.Error("something was made beside it")
		}
	}
}

// A new directory that cannot be made durable replaces nothing, and where something
// was made in the place of a missing one, that stays.
func TestReplaceLeavesTheOldOne(t *testing.T) {
	c, backup := backedUp(t)
	s, err := local.Stage(t.Context(), backup, c.Data)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	// No system takes a path of that length, so it cannot be synced.
	if err := errors.Join(root.MkdirAll(strings.Repeat("deep/", 2000), 0o700), root.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(time.Now()); err == nil || kind.Sentence(err) == "" {
		t.Errorf("got %v, want an error with a sentence", err)
	}
	if moved, err := filepath.Glob(c.Data + ".replaced-*"); err != nil || len(moved) > 0 || !local.Holds(c.Data) {
		t.Error("the old directory is not in its place")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	c.Data = filepath.Join(t.TempDir(), "missing")
	if s, err = local.Stage(t.Context(), backup, c.Data); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := open(t, c).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(time.Now()); kind.Of(err) != kind.Conflict {
		t.Errorf("got %v, want %v", err, kind.Conflict)
	}
	if err := open(t, c).Close(); err != nil {
		t.Errorf("what was made meanwhile: %v", err)
	}
}

func TestResolve(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"link": "real", "nowhere": filepath.Join(dir, "real", "new"), "chain": "nowhere", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"real":         "real",
		"link":         "real",
		"link/x/y":     "real/x/y",
		"nowhere":      "real/new",
		"chain/x":      "real/new/x",
		"new":          "new",
		"link/../real": "real",
	} {
		got, err := local.Resolve(filepath.Join(dir, path))
		if err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: got %s, %v, want %s", path, got, err, want)
		}
	}
	if got, err := local.Resolve(filepath.Join(dir, "loop")); err == nil {
		t.Errorf("a link to itself: got %s", got)
	}
}
