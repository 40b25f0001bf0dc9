package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/mail"
)

// An Outbox is a dsr.Sender that sends nothing: it puts each message into a folder
// as a file <ID>.eml, for the owner's eyes only, whole or not at all. A message
// sent again takes the place of the first.
type Outbox struct {
	dir, from string
	clock     dsr.Clock
}

var _ dsr.Sender = (*Outbox)(nil)

// OpenOutbox opens a folder for mail from an address, and makes it if it is absent.
func OpenOutbox(dir, from string, clock dsr.Clock) (*Outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(err)
	}
	return &Outbox{dir, from, clock}, nil
}

// Send implements dsr.Sender.
func (o *Outbox) Send(ctx context.Context, m dsr.Message) error {
	raw, err := mail.Compose(o.from, m, o.clock())
	if err = errors.Join(err, ctx.Err()); err != nil {
		return kind.Wrap("send a mail", err)
	}
	return kind.Wrap("send a mail", WriteSecret(filepath.Join(o.dir, m.ID+".eml"), raw))
}
