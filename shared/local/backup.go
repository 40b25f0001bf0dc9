package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// A backup is a directory of its own form, which no server starts on:
//
//	backup.json    what it holds; written last
//	records.db     the records
//	files/…        archives, certificates, the ledger and heads of audit trails
//	keys/… and the other small files of the data directory, as they are there
const (
	backupFile    = "backup.json"
	recordsFile   = "records.db"
	backupVersion = 1
	partial       = ".partial" // behind the name of a backup that is not whole
)

// A Backup tells what a backup holds.
type Backup struct {
	Version int          `json:"version"`
	Made    time.Time    `json:"made"` // what was answered with success before is in it
	Files   []BackupFile `json:"files"`
}

// A BackupFile is one file of a backup, by its path in it.
type BackupFile struct {
	Path    string    `json:"path"`
	Size    int64     `json:"size"` // bytes
	SHA256  string    `json:"sha256"`
	Changed time.Time `json:"changed,omitzero"` // of what lives for a time from then on
}

// Size is the bytes of all files.
func (b Backup) Size() (n int64) {
	for _, f := range b.Files {
		n += f.Size
	}
	return n
}

// Backup writes a backup of the data directory to a directory that does not exist
// yet, while others go on to use it. What was answered with success before the
// call is in it; what is erased after its end stays in it. It appears whole or
// not at all: a call that fails, or whose ctx ends, leaves nothing, and a process
// that is killed a directory whose name ends in ".partial", which the next call to
// the same place replaces.
//
// Kinds, all with a sentence: Conflict where a backup of the data directory, or one
// to the same place, is being made; Invalid where the place is taken; Forbidden
// where it cannot be written; Unavailable where the data directory cannot be read,
// or ctx has ended; Corrupt where something in it is damaged or missing.
//
// Records come first and the ledger last, so that whatever the records say was
// erased, and whatever was erased while files were copied, stands in the ledger.
func (p *Platform) Backup(ctx context.Context, to string) (Backup, error) {
	if !p.backing.TryLock() {
		return Backup{}, kind.Say(kind.Conflict, "Another backup of this data directory is being made: wait until it has ended.")
	}
	defer p.backing.Unlock()
	b := Backup{Version: backupVersion, Made: p.Clock().UTC().Truncate(time.Millisecond), Files: []BackupFile{}}
	if unfinished, _ := Unfinished(p.config.Data); unfinished {
		return b, kind.Say(kind.Invalid, "A restore of this data directory was cut off: run it again before a backup is made.")
	}
	d, err := newDraft(to+partial, "backup")
	if err != nil {
		return b, badPlace(err)
	}
	w := backupWriter{ctx: ctx, backup: &b, root: d.dir}
	err = freePlace(to)
	if err == nil {
		err = w.write(p)
	}
	if err == nil {
		err = badPlace(d.sync())
	}
	if err == nil {
		err = badPlace(d.publish(to))
	}
	if err != nil && ctx.Err() != nil {
		err = &kind.Error{Kind: kind.Unavailable, Err: err, Sentence: "The backup was stopped, and nothing is left of it."}
	}
	if err != nil {
		return b, errors.Join(kind.Wrap("back up", err), d.discard())
	}
	return b, nil
}

// freePlace refuses a place where there is something.
func freePlace(to string) error {
	_, err := os.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return badPlace(err)
	}
	return kind.Say(kind.Invalid, "There is something at the place for the backup already: name a directory that does not exist yet.")
}

// badPlace says that err, unless it is nil or has a sentence, is of the place for
// the backup.
func badPlace(err error) error {
	if err == nil || kind.Sentence(err) != "" {
		return err
	}
	return &kind.Error{Kind: kind.Forbidden, Op: "back up", Err: err,
		Sentence: "The place for the backup cannot be written (" + systemSays(err) + "): make room or give this user the right to, or choose another."}
}

// unreadable says that err, unless it is nil or has a sentence, is of the data
// directory.
func unreadable(err error) error {
	if err == nil || kind.Sentence(err) != "" {
		return err
	}
	return &kind.Error{Kind: kind.Unavailable, Op: "read the data directory", Err: err,
		Sentence: "Something in the data directory cannot be read (" + systemSays(err) + "): look after its disk, and let this user read all of it."}
}

type backupWriter struct {
	ctx    context.Context
	backup *Backup
	root   string
}

func (w *backupWriter) write(p *Platform) error {
	if err := w.records(p.db); err != nil {
		return err
	}
	for _, prefix := range []string{"exports/", "certificates/", "ledger/", "audit/"} {
		if err := w.files(p.Bucket, prefix); err != nil {
			return err
		}
	}
	for _, f := range plainFiles {
		if err := w.plain(p.config.Data, f.name, f.must); err != nil {
			return err
		}
	}
	return w.list()
}

func (w *backupWriter) records(db *DB) error {
	path := filepath.Join(w.root, recordsFile)
	if err := db.Copy(w.ctx, path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return badPlace(err)
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, &fileSource{ctx: w.ctx, r: f})
	if err != nil {
		return badPlace(err)
	}
	w.note(recordsFile, size, hex.EncodeToString(h.Sum(nil)), time.Time{})
	return nil
}

// plainFiles are the small files of a data directory that belong into a backup. What
// else lies there is none of Lethe's, or of the running process alone.
var plainFiles = []struct {
	name string
	must bool // there is one in every data directory
}{
	{filepath.Join(keysFolder, suppressionFile), true},
	{filepath.Join(keysFolder, linkFile), true},
	{filepath.Join(keysFolder, sessionFile), false}, // removing it is a way to sign everybody out
	{clockFile, false},
	{gapsFile, false},
	{DemoFile, false},
}

// plain copies a small file, or what a link of its name leads to.
func (w *backupWriter) plain(data, name string, must bool) error {
	f, err := os.Open(filepath.Join(data, name))
	if errors.Is(err, fs.ErrNotExist) {
		if must {
			return kind.Say(kind.Corrupt, "The file "+filepath.ToSlash(name)+" in the data directory is missing: put it back from a backup.")
		}
		return nil
	}
	if err != nil {
		return unreadable(err)
	}
	defer f.Close()
	return w.copy(name, f, time.Time{})
}

// files copies what lies below a prefix. A file that goes meanwhile was withdrawn,
// and is not missed.
func (w *backupWriter) files(from blob.Bucket, prefix string) error {
	return unreadable(blob.Each(w.ctx, from, prefix, func(f blob.Info) error {
		r, err := from.Get(w.ctx, f.Key, 0, -1)
		if kind.Of(err) == kind.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		defer r.Close()
		return w.copy(filepath.Join(filesFolder, filepath.FromSlash(f.Key)), r, f.Changed)
	}))
}

// copy writes one file of the backup, and lists it.
func (w *backupWriter) copy(name string, r io.Reader, changed time.Time) error {
	src := &fileSource{ctx: w.ctx, r: r}
	size, sum, err := store(filepath.Join(w.root, name), src, time.Time{})
	if src.err != nil {
		return unreadable(src.err)
	}
	if err != nil {
		return badPlace(err)
	}
	w.note(name, size, sum, changed)
	return nil
}

func (w *backupWriter) note(name string, size int64, sum string, changed time.Time) {
	w.backup.Files = append(w.backup.Files, BackupFile{Path: filepath.ToSlash(name), Size: size, SHA256: sum, Changed: changed.UTC()})
}

// store writes a file that is not there yet, its folders included, syncs it, and
// returns its size and SHA-256. It was last changed at the time given, or now for
// the zero time. What src failed with is kept there.
func store(path string, src *fileSource, changed time.Time) (size int64, sum string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, "", err
	}
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, h), src)
	if err == nil && !changed.IsZero() {
		err = os.Chtimes(path, time.Time{}, changed)
	}
	if err == nil {
		err = f.Sync()
	}
	return size, hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

// list writes down what the backup holds.
func (w *backupWriter) list() error {
	text, err := json.MarshalIndent(w.backup, "", "  ")
	if err != nil {
		return kind.E(kind.Internal, "encode the list of a backup", err)
	}
	_, _, err = store(filepath.Join(w.root, backupFile), &fileSource{ctx: w.ctx, r: bytes.NewReader(append(text, '\n'))}, time.Time{})
	return badPlace(err)
}
