package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/mail"
)

// An Outbox is a folder with a .eml file for each message, for another program
// to deliver or a person to open: a dsr.Sender without a network. A file is
// whole, readable by its owner only, and named by the SHA-256 of the message's
// ID, so that a message that is sent again replaces the first.
type Outbox struct{ dir, from string }

var _ dsr.Sender = (*Outbox)(nil)

// OpenOutbox opens the folder, and makes it if it is absent. From is whom the
// messages are from, as for mail.Compose. What a crash left half-written goes.
func OpenOutbox(dir, from string) (*Outbox, error) {
	const op = "open the outbox"
	if _, err := mail.Sender(from); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fileError(op, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"+emlSuffix+"-*")) // as WriteSecret names them
	if err != nil {
		return nil, fileError(op, err)
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return nil, fileError(op, err)
		}
	}
	return &Outbox{dir, from}, nil
}

const emlSuffix = ".eml"

// ExpireOutbox removes the messages that were put into a folder before a time: they hold
// addresses, and links. What is not named as messages are is somebody else's, and stays.
// A folder that is absent is no error.
func ExpireOutbox(dir string, before time.Time) error {
	const op = "expire mail"
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(op, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!isMessage(e.Name()) || !info.ModTime().Before(before)) {
			continue
		}
		if err != nil {
			return fileError(op, err)
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fileError(op, err)
		}
	}
	return nil
}

// isMessage reports whether Send names its files so.
func isMessage(name string) bool {
	sum, found := strings.CutSuffix(name, emlSuffix)
	raw, err := hex.DecodeString(sum)
	return found && err == nil && len(raw) == sha256.Size
}

// Send implements dsr.Sender. The message is on the disk when it returns nil.
func (o *Outbox) Send(ctx context.Context, m dsr.Message) error {
	const op = "put a mail into the outbox"
	data, err := mail.Compose(o.from, m, time.Now())
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return kind.Wrap(op, err)
	}
	sum := sha256.Sum256([]byte(m.ID))
	if err := WriteSecret(filepath.Join(o.dir, hex.EncodeToString(sum[:])+emlSuffix), data); err != nil {
		return kind.E(kind.Unavailable, op, err)
	}
	return nil
}
