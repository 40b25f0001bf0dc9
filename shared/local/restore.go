package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// restoring stands behind the name of a data directory that is being put together.
const restoring = ".restoring"

// replacedName stands between the name of a data directory and the time when it
// was replaced by a restore.
const replacedName = ".replaced-"

// replacingName stands behind the name of a data directory in that of a file which is
// there while a restore puts another in its place: it holds the name that the
// directory of before has got.
const replacingName = ".replacing"

// unfinishedFile stands in a data directory while a restore is at work in it.
const unfinishedFile = "restore-unfinished"

// Unfinished reports whether a restore of the directory in its place has begun and
// not ended, and whether it had a copy of the ledger: until it has ended, with that
// copy, no server may answer from the directory.
func Unfinished(dir string) (unfinished, withCopy bool) {
	text, err := os.ReadFile(filepath.Join(dir, unfinishedFile))
	return !errors.Is(err, fs.ErrNotExist), string(text) == withCopyNote
}

const withCopyNote = "with a copy of the ledger\n"

// HoldsLedger reports whether a directory has been the copy of a ledger, though one
// without an entry.
func HoldsLedger(dir string) bool {
	// A process that was killed while it opened the directory may have left either.
	for _, folder := range []string{newFolder, uploadsFolder} {
		if _, err := os.Stat(filepath.Join(dir, folder)); err == nil {
			return true
		}
	}
	return false
}

// BeginInPlace marks the open directory, which was put back by other means than
// Stage, as being restored; EndInPlace takes the mark away.
func (p *Platform) BeginInPlace() error {
	note := ""
	if p.copy != nil {
		note = withCopyNote
	}
	return WriteSecret(filepath.Join(p.config.Data, unfinishedFile), []byte(note))
}

// EndInPlace is the end of what BeginInPlace began.
func (p *Platform) EndInPlace() error {
	if err := os.Remove(filepath.Join(p.config.Data, unfinishedFile)); err != nil {
		return unwritable(err)
	}
	if err := syncFile(p.config.Data); err != nil {
		return unwritable(err)
	}
	return nil
}

// A Gap is a time of which nobody knows whom Lethe erased: when a backup was
// restored, no ledger of that time was there.
type Gap struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// gapsFile keeps the gaps of a data directory, for whoever restores it next. A
// person removes it who has deleted again everyone that was deleted in them.
const gapsFile = "erasures-unknown"

// Gaps reads the gaps of a data directory.
func Gaps(dir string) ([]Gap, error) {
	text, err := os.ReadFile(filepath.Join(dir, gapsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return []Gap{}, nil
	}
	if err != nil {
		return nil, kind.E(kind.Unavailable, "read the gaps of the ledger")
	}
	var gaps []Gap
	if json.Unmarshal(text, &gaps) != nil {
		return nil, kind.Say(kind.Corrupt, "The file "+gapsFile+" in the data directory is damaged: put it back from a backup, or remove it once everyone was deleted again who was deleted while no ledger was kept.")
	}
	return gaps, nil
}

// A Staged is a data directory put together from a backup beside the one that it
// is to replace, which stays as it is until Replace. Open Dir, bring it up to what
// the ledger knows (dsr.Service.Adopt from Before, then Restore), close it, and
// call Replace. Whatever ends the process before that leaves the old directory in
// its place; Stage begins afresh.
type Staged struct {
	Dir    string // the new directory
	Backup Backup
	// Before is the files of the directory that is replaced, with its part of the
	// ledger; nil where there is none.
	Before blob.Bucket
	// Stale means that Before is of a directory that an earlier restore replaced, since
	// there is none in its place: what was erased since then it does not tell.
	Stale bool

	data   string
	draft  *draft
	before string // the directory that Before is in
	lock   *Lock  // of it
	files  *Directory
}

// Stage puts the backup in a directory together for data, or for what data leads to
// as a symbolic link. Every file is checked against the backup's list, and
// suppression keys that only data has are added.
//
// Kinds, with a sentence: NotFound where there is no backup; Corrupt where a file of
// it is missing or not what was backed up, or where the keys of the two directories
// differ, as of two deployments; Conflict where a process has data, or restores it;
// Forbidden where nothing can be made beside data; Invalid for a backup of a newer
// version, and where data is a mount point; Unavailable where the backup cannot be
// read. When ctx ends it is Unavailable without one.
func Stage(ctx context.Context, backup, data string) (_ *Staged, err error) {
	if data, err = Resolve(data); err != nil {
		return nil, unwritable(err)
	}
	if mounted(data) {
		return nil, kind.Say(kind.Invalid, "The data directory is a mount point, and a restore cannot put another in its place: name a directory below it with --data, and start the server with that from then on.")
	}
	s := &Staged{Dir: data + restoring, data: data}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.Backup, err = readBackup(backup); err != nil {
		return nil, err
	}
	if s.draft, err = newDraft(s.Dir, "restore"); err != nil {
		return nil, beside(err)
	}
	if err := s.openBefore(); err != nil {
		return nil, err
	}
	for _, f := range s.Backup.Files {
		if err := s.put(ctx, backup, f); err != nil {
			return nil, err
		}
	}
	if err := s.mergeKeys(); err != nil {
		return nil, err
	}
	return s, s.mergeClock()
}

// beside says that err, unless it has a sentence, is of the directory that holds
// the data directory.
func beside(err error) error {
	if kind.Sentence(err) != "" {
		return err
	}
	return &kind.Error{Kind: kind.Forbidden, Op: "restore", Err: err,
		Sentence: "A restore puts the new data directory beside the old one, where this user cannot make one (" + systemSays(err) + "): give it the right to, or choose another place with --data."}
}

func readBackup(dir string) (Backup, error) {
	var b Backup
	text, err := os.ReadFile(filepath.Join(dir, backupFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, kind.Say(kind.NotFound, "There is no whole backup in that directory: it has no "+backupFile+".")
	}
	if err != nil {
		return b, badBackup(err)
	}
	if json.Unmarshal(text, &b) != nil || b.Version < 1 {
		return b, kind.Say(kind.Corrupt, "The file "+backupFile+" of the backup is damaged: use another backup.")
	}
	if b.Version > backupVersion {
		return b, kind.Say(kind.Invalid, "The backup was written by a newer version of Lethe: restore it with that one or a newer one.")
	}
	for _, f := range b.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			return b, kind.Say(kind.Corrupt, "The file "+backupFile+" of the backup is damaged: use another backup.")
		}
	}
	return b, nil
}

// badBackup says that err is of the backup.
func badBackup(err error) error {
	return &kind.Error{Kind: kind.Unavailable, Op: "read a backup", Err: err,
		Sentence: "The backup cannot be read (" + systemSays(err) + "): look after its disk, let this user read all of it, or use another."}
}

// openBefore finds the directory that is replaced. A restore that was cut off
// after it moved that one out of the way left it under its other name, and tells which.
func (s *Staged) openBefore() (err error) {
	s.before = s.data
	if _, err := os.Stat(s.data); errors.Is(err, fs.ErrNotExist) {
		left, err := filepath.Glob(globbed(s.data) + replacedName + "*")
		if err != nil || len(left) == 0 {
			s.before = ""
			return nil
		}
		cutOff, _ := os.ReadFile(s.data + replacingName) // without one there is none to be told of
		s.before = filepath.Join(filepath.Dir(s.data), filepath.Base(strings.TrimSpace(string(cutOff))))
		if !slices.Contains(left, s.before) {
			s.before, s.Stale = slices.Max(left), true
		}
	} else if err := forgetReplacing(s.data); err != nil {
		return unwritable(err)
	}
	if s.lock, err = LockDir(s.before); err != nil {
		return err
	}
	folder := filepath.Join(s.before, filesFolder)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unused := make([]byte, keySize) // nothing makes a link to them
	s.files, err = OpenDirectory(folder, unused, func() string { return "" }, time.Now)
	if err != nil {
		return err
	}
	s.Before = s.files
	return nil
}

// forgetReplacing removes what a restore leaves behind that is cut off at its very end:
// it must not pass for the name of the directory of before one day.
func forgetReplacing(data string) error {
	err := os.Remove(data + replacingName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFile(filepath.Dir(data))
}

// globbed is a path as a pattern that matches it alone.
func globbed(path string) string {
	var b bytes.Buffer
	for _, c := range []byte(path) {
		if c == '*' || c == '?' || c == '[' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// put copies one file of the backup to its place, and checks it on the way.
func (s *Staged) put(ctx context.Context, backup string, f BackupFile) error {
	name := filepath.FromSlash(f.Path)
	damaged := kind.Say(kind.Corrupt, "The file "+f.Path+" of the backup is missing or not what was backed up: use another backup.")
	in, err := os.Open(filepath.Join(backup, name))
	if errors.Is(err, fs.ErrNotExist) {
		return damaged
	}
	if err != nil {
		return badBackup(err)
	}
	defer in.Close()
	if name == recordsFile {
		name = databaseFile
	}
	src := &fileSource{ctx: ctx, r: in}
	size, sum, err := store(filepath.Join(s.Dir, name), src, f.Changed) // files live from then on
	if ctx.Err() != nil {
		return kind.E(kind.Unavailable, "restore", ctx.Err())
	}
	if src.err != nil {
		return badBackup(src.err)
	}
	if err != nil {
		return unwritable(err)
	}
	if size != f.Size || sum != f.SHA256 {
		return damaged
	}
	return nil
}

// mergeKeys adds to the restored keys those that only the replaced directory has:
// people were erased under them since the backup. The restored version of a key
// has to be the same, or the two directories are of two deployments, and the
// ledger of one says nothing about the people of the other.
func (s *Staged) mergeKeys() error {
	if s.before == "" {
		return nil
	}
	path := filepath.Join(s.before, keysFolder, suppressionFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old, err := loadKeys(path, suppressionTitle)
	if err != nil {
		return err
	}
	path = filepath.Join(s.Dir, keysFolder, suppressionFile)
	ring, err := loadKeys(path, suppressionTitle)
	if err != nil {
		return err
	}
	have := map[int]kind.Key{}
	for _, k := range ring {
		have[k.Version] = k
	}
	for _, k := range old {
		switch h, ok := have[k.Version]; {
		case !ok:
			ring = append(ring, k)
		case !bytes.Equal(h.Secret, k.Secret):
			return s.anotherDeployment()
		}
	}
	slices.SortFunc(ring, func(a, b kind.Key) int { return a.Version - b.Version })
	return WriteSecret(path, formatKeys(ring, suppressionTitle))
}

// anotherDeployment says what to do where the suppression keys of the backup differ
// from those of the directory that it would replace.
func (s *Staged) anotherDeployment() error {
	if s.before != s.data {
		return kind.Say(kind.Corrupt, "The backup is of another deployment than the directory that the last restore replaced, which has "+replacedName+" in its name: their suppression keys differ. Use a backup of that deployment, move that directory elsewhere, or name another one that does not exist yet with --data.")
	}
	return kind.Say(kind.Corrupt, "The backup is of another deployment than the data directory: their suppression keys differ. Use another backup, or name a directory that does not exist yet with --data. If an earlier restore put the wrong backup there, the directory of before has "+replacedName+" in its name: put that back first.")
}

// mergeClock lets the restored directory go on from the later of the two times: no
// record of it may be newer than what is received next.
func (s *Staged) mergeClock() error {
	if s.before == "" {
		return nil
	}
	old, err := readClock(s.before)
	if err != nil {
		return err
	}
	restored, err := readClock(s.Dir)
	if err != nil || !old.After(restored) {
		return err
	}
	return writeClock(s.Dir, old)
}

// KeepGaps notes in the new directory the gaps that the backup, the directory of
// before and now bring, and returns them.
func (s *Staged) KeepGaps(now ...Gap) ([]Gap, error) {
	gaps, err := Gaps(s.Dir)
	if err != nil {
		return nil, err
	}
	if s.before != "" {
		more, err := Gaps(s.before)
		if err != nil {
			return nil, err
		}
		now = append(more, now...)
	}
	for _, g := range now {
		if !slices.ContainsFunc(gaps, func(h Gap) bool { return h.From.Equal(g.From) && h.Until.Equal(g.Until) }) {
			gaps = append(gaps, g)
		}
	}
	if len(gaps) == 0 {
		return gaps, nil
	}
	text, err := json.MarshalIndent(gaps, "", "  ")
	if err != nil {
		return nil, kind.E(kind.Internal, "encode the gaps of the ledger", err)
	}
	return gaps, WriteSecret(filepath.Join(s.Dir, gapsFile), append(text, '\n'))
}

// Records calls f with the control table of the directory that is replaced, and
// reports whether it could be read: it may be what the restore is for. A stale
// directory is not read: what came in since it was replaced it does not tell.
func (s *Staged) Records(f func(control table.Table) error) (bool, error) {
	path := filepath.Join(s.before, databaseFile)
	if s.before == "" || s.Stale || !Holds(s.before) {
		return false, nil
	}
	db, err := OpenDB(path, time.Now)
	if err != nil {
		return false, nil
	}
	err = f(db.Table("control"))
	readable := kind.Of(err) != kind.Corrupt
	if !readable {
		err = nil
	}
	return readable, errors.Join(err, db.Close())
}

// Replace puts the new directory into the place of the old one, and returns the
// name that the old one has then, if there was one, which a stale one is not. It is durable. After an error
// the old one is in its place, as far as it could be put back. Where something was
// made in the place of a directory that was missing, it returns kind.Conflict with a
// sentence.
func (s *Staged) Replace(now time.Time) (old string, err error) {
	if err := s.draft.sync(); err != nil {
		return "", unwritable(err)
	}
	old = s.before
	if s.before == s.data {
		if old, err = s.setAside(now); err != nil {
			return "", beside(err)
		}
	}
	err = s.draft.publish(s.data)
	if err != nil && s.before == s.data {
		err = errors.Join(err, os.Rename(old, s.data))
	}
	if err == nil {
		err = forgetReplacing(s.data)
	}
	if errors.Is(err, fs.ErrExist) && s.before != s.data {
		return "", kind.Say(kind.Conflict, "Something was made in the place of the data directory while the restore was at work: move it away, and run the restore again.")
	}
	if err != nil {
		return "", beside(err)
	}
	s.before = old
	if s.Stale {
		return "", nil
	}
	return old, nil
}

// setAside gives the old directory another name, having noted which: whatever ends the
// process from then on, openBefore finds it by the note.
func (s *Staged) setAside(now time.Time) (old string, err error) {
	old = s.data + replacedName + now.UTC().Format("20060102T150405.000000Z")
	if err := WriteSecret(s.data+replacingName, []byte(filepath.Base(old)+"\n")); err != nil {
		return "", err
	}
	if err := os.Rename(s.data, old); err != nil {
		return "", errors.Join(err, forgetReplacing(s.data))
	}
	return old, nil
}

// Close lets go of both directories, and removes the new one unless it has
// replaced the old.
func (s *Staged) Close() error {
	var all []error
	if s.files != nil {
		all = append(all, s.files.Close())
	}
	if s.lock != nil {
		all = append(all, s.lock.Unlock())
	}
	if s.draft != nil {
		all = append(all, s.draft.discard())
	}
	return errors.Join(all...)
}
