package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// A backup is a directory of its own form, which no server starts on:
//
//	backup.json    what it holds; written last
//	records.db     the records
//	files/…        archives, certificates and the ledger
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
// not at all: a call that is cut off leaves a directory whose name ends in
// ".partial", which the next call to the same place replaces.
//
// Records come first and the ledger last, so that whatever the records say was
// erased, and whatever was erased while files were copied, stands in the ledger.
func (p *Platform) Backup(ctx context.Context, to string) (Backup, error) {
	const op = "back up"
	b := Backup{Version: backupVersion, Made: p.Clock().UTC().Truncate(time.Millisecond), Files: []BackupFile{}}
	if _, err := os.Lstat(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, badPlace(err)
	} else if err == nil {
		return b, kind.Say(kind.Invalid, "There is something at the place for the backup already: name a directory that does not exist yet.")
	}
	if unfinished, _ := Unfinished(p.config.Data); unfinished {
		return b, kind.Say(kind.Invalid, "A restore of this data directory was cut off: run it again before a backup is made.")
	}
	w := backupWriter{backup: &b, root: to + partial}
	if err := os.RemoveAll(w.root); err != nil {
		return b, badPlace(err)
	}
	if err := os.MkdirAll(filepath.Join(w.root, keysFolder), 0o700); err != nil {
		return b, badPlace(err)
	}
	err := w.write(ctx, p)
	if err == nil {
		err = w.publish(to)
	}
	if err != nil {
		return b, errors.Join(kind.Wrap(op, err), os.RemoveAll(w.root))
	}
	return b, nil
}

func badPlace(err error) error {
	return &kind.Error{Kind: kind.Forbidden, Op: "back up", Err: err,
		Sentence: "The place for the backup cannot be written (" + systemSays(err) + "): make room or give this user the right to, or choose another."}
}

type backupWriter struct {
	backup *Backup
	root   string
}

func (w *backupWriter) write(ctx context.Context, p *Platform) error {
	if err := p.db.Copy(ctx, filepath.Join(w.root, recordsFile)); err != nil {
		return err
	}
	records, err := os.Open(filepath.Join(w.root, recordsFile))
	if err != nil {
		return badPlace(err)
	}
	defer records.Close()
	h := sha256.New()
	size, err := io.Copy(h, records)
	if err != nil {
		return badPlace(err)
	}
	w.note(recordsFile, size, hex.EncodeToString(h.Sum(nil)), time.Time{})
	for _, prefix := range []string{"exports/", "certificates/", "ledger/"} {
		if err := w.files(ctx, p.Bucket, prefix); err != nil {
			return err
		}
	}
	names, err := plainFiles(p.config.Data)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(filepath.Join(p.config.Data, name))
		if err != nil {
			return unwritable(err)
		}
		err = w.copy(name, f, time.Time{})
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// plainFiles names the small files of a data directory that belong into a backup:
// the keys, the clock, and what the program put beside them.
func plainFiles(data string) ([]string, error) {
	var names []string
	for _, folder := range []string{".", keysFolder} {
		entries, err := os.ReadDir(filepath.Join(data, folder))
		if err != nil {
			return nil, unwritable(err)
		}
		for _, e := range entries {
			if e.Type().IsRegular() && e.Name() != lockFile && !strings.HasPrefix(e.Name(), databaseFile) {
				names = append(names, filepath.Join(folder, e.Name()))
			}
		}
	}
	return names, nil
}

// files copies what lies below a prefix. A file that goes meanwhile was withdrawn,
// and is not missed.
func (w *backupWriter) files(ctx context.Context, from blob.Bucket, prefix string) error {
	return blob.Each(ctx, from, prefix, func(f blob.Info) error {
		r, err := from.Get(ctx, f.Key, 0, -1)
		if kind.Of(err) == kind.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		defer r.Close()
		return w.copy(filepath.Join(filesFolder, filepath.FromSlash(f.Key)), r, f.Changed)
	})
}

// copy writes one file of the backup, and lists it.
func (w *backupWriter) copy(name string, r io.Reader, changed time.Time) error {
	size, sum, err := store(filepath.Join(w.root, name), r)
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
// returns its size and SHA-256.
func store(path string, r io.Reader) (size int64, sum string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, "", err
	}
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, h), r)
	return size, hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Sync(), f.Close())
}

// publish lists what there is and gives the backup its name.
func (w *backupWriter) publish(to string) error {
	text, err := json.MarshalIndent(w.backup, "", "  ")
	if err != nil {
		return kind.E(kind.Internal, "encode the list of a backup", err)
	}
	if err := WriteSecret(filepath.Join(w.root, backupFile), append(text, '\n')); err != nil {
		return err
	}
	if err := settle(w.root, to); err != nil {
		return badPlace(err)
	}
	return nil
}

// settle gives a directory, whose files are synced, its name, durably.
func settle(dir, name string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = syncFolder(path)
		}
		return err
	})
	if err == nil {
		err = os.Rename(dir, name)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(name))
	}
	return err
}
