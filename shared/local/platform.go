// Package local is Lethe on one machine: everything a deployment needs, in one
// directory that one process has at a time. Open opens it; Service puts a
// dsr.Service onto it; Run does the work of requests and what a schedule asks for.
//
//	lock                who has the directory
//	lethe.db            records: requests, events, accounts, executions (SQLite)
//	files/              archives, segments, certificates, the ledger, heads of audit trails
//	keys/suppression    under which the erased are known; without it they come back
//	keys/link           under which links to files are signed
//	keys/session        under which cookies are signed
//	outbox/             mail, where no server is named to send it
//	clock               the time it has come to
package local

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"lethe/shared/asl"
	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// taskLife is how long a task may go on after its execution has ended: here its
// context ends with it.
const taskLife = 5 * time.Second

const (
	databaseFile = "lethe.db"
	filesFolder  = "files"
	keysFolder   = "keys"

	suppressionFile  = "suppression"
	linkFile         = "link"
	sessionFile      = "session"
	suppressionTitle = "Under these keys Lethe knows whom it erased. Keep every one, for good, and back them up."
)

// DemoFile is the file of a data directory in which a program keeps what it has to
// know of a demo.
const DemoFile = "demo.json"

// Config says where a platform is and what it uses. LedgerCopy may be empty.
type Config struct {
	Data       string // the directory; made if it is absent
	LedgerCopy string // a second directory, for the ledger of erasures
	Clock      dsr.Clock
	Log        *slog.Logger
}

// A Platform is an open data directory.
type Platform struct {
	Control     table.Table
	Subjects    table.Table
	Bucket      *Directory
	Keys        kind.Keyring
	SessionKeys kind.Keyring
	Clock       dsr.Clock // never goes back, unlike the machine's
	// Sender can be set before Service is called: who sends mail, nil for nobody.
	Sender dsr.Sender

	config  Config
	clock   *clock
	address atomic.Value // string
	lock    *Lock
	db      *DB
	copy    *Directory // of the ledger, or nil
	engine  *asl.Engine
	service *dsr.Service
	daily   []job
	early   chan struct{} // asks for a sweep at once
	backing sync.Mutex    // while a backup is made
}

// Holds reports whether Open has made something of the directory before.
func Holds(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, databaseFile))
	return err == nil
}

// Open opens the directory, and makes what is absent. It returns kind.Conflict
// where another process has it, kind.Forbidden where it cannot be written, and
// kind.Corrupt where something in it is damaged or missing, and kind.Invalid, before
// anything is written, where it is a backup; all with a sentence.
func Open(c Config) (_ *Platform, err error) {
	p := &Platform{config: c, early: make(chan struct{}, 1)}
	p.address.Store("")
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if _, err := os.Stat(filepath.Join(c.Data, backupFile)); err == nil {
		return nil, kind.Say(kind.Invalid, "The directory that --data names is a backup, which working in it would spoil: put it into a data directory with lethe restore.")
	}
	if p.lock, err = LockDir(c.Data); err != nil {
		return nil, err
	}
	if resolved, err := Resolve(c.Data); err != nil || forgetReplacing(resolved) != nil {
		return nil, unwritable(err)
	}
	link, err := p.openKeys()
	if err != nil {
		return nil, err
	}
	if p.clock, err = openClock(c.Data, c.Clock); err != nil {
		return nil, err
	}
	p.Clock = p.clock.now
	if p.Bucket, err = OpenDirectory(filepath.Join(c.Data, filesFolder), link, p.publicURL, p.Clock); err != nil {
		return nil, err
	}
	if c.LedgerCopy != "" {
		if p.copy, err = OpenDirectory(c.LedgerCopy, link, p.publicURL, p.Clock); err != nil {
			return nil, &kind.Error{Kind: kind.Forbidden, Op: "open the copy of the ledger", Err: err,
				Sentence: "The directory that --ledger-copy names cannot be written: give this user the right to, or choose another."}
		}
	}
	if p.db, err = OpenDB(filepath.Join(c.Data, databaseFile), p.Clock); err != nil {
		return nil, err
	}
	p.Control, p.Subjects = p.db.Table("control"), p.db.Table("subjects")
	return p, p.clock.compare(context.Background(), p.db.Table("workflow"))
}

// Older reports whether the records are older than what is beside them, by more than a
// minute at least: the database file was put back alone. It stays so until Restored.
func (p *Platform) Older() bool { return p.clock.older }

// Restored tells the platform that a restore has ended well, so the records are as
// current as they can get.
func (p *Platform) Restored() { p.clock.older = false }

// openKeys reads the keys, or makes them for a new directory, and returns the one
// for links. A database whose suppression key is gone is not opened: under a new
// key, everyone who was erased would be let in again.
func (p *Platform) openKeys() (link []byte, err error) {
	dir := filepath.Join(p.config.Data, keysFolder)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, unwritable(err)
	}
	if err := syncFile(p.config.Data); err != nil {
		return nil, unwritable(err)
	}
	suppression := filepath.Join(dir, suppressionFile)
	if _, err := os.Stat(suppression); errors.Is(err, fs.ErrNotExist) && Holds(p.config.Data) {
		return nil, kind.Say(kind.Corrupt, "The file keys/suppression in the data directory is missing: put it back from a backup, since without it data of people who were erased would be let in again.")
	}
	p.Keys, err = loadKeys(suppression, suppressionTitle)
	if err != nil {
		return nil, err
	}
	p.SessionKeys, err = loadKeys(filepath.Join(dir, sessionFile), "Under the last of these keys Lethe signs the cookies of who has signed in.")
	if err != nil {
		return nil, err
	}
	links, err := loadKeys(filepath.Join(dir, linkFile), "Under the last of these keys Lethe signs links to files.")
	if err != nil {
		return nil, err
	}
	return links[len(links)-1].Secret, nil
}

// ServeAt tells the address that people and programs reach the server at, for links in
// mail and to files. It must be called before a link is made.
func (p *Platform) ServeAt(address string) { p.address.Store(address) }

func (p *Platform) publicURL() string { return p.address.Load().(string) }

// Close ends what Open opened. Run must have returned.
func (p *Platform) Close() error {
	var all []error
	if p.clock != nil {
		all = append(all, p.clock.keep(context.Background()))
	}
	if p.db != nil {
		all = append(all, p.db.Close())
	}
	for _, d := range []*Directory{p.copy, p.Bucket} {
		if d != nil {
			all = append(all, d.Close())
		}
	}
	if p.lock != nil {
		all = append(all, p.lock.Unlock())
	}
	return errors.Join(all...)
}

// Service makes the service of requests on this platform. It must be called once,
// before Run.
func (p *Platform) Service(a dsr.Accounts, settings dsr.Settings, sources ...dsr.Source) (*dsr.Service, error) {
	// The service starts executions, and executions run tasks of the service: the
	// workflow gets its engine once there are tasks to give the engine.
	w := &workflow{}
	if settings.TaskLife == 0 {
		settings.TaskLife = taskLife
	}
	settings.Mail = p.Sender != nil
	parts := dsr.Parts{
		Control: p.Control, Bucket: p.Bucket, Workflow: w, Sources: sources, Accounts: a,
		Keys: p.Keys, Clock: p.Clock, Log: p.config.Log, Settings: settings,
		Sender: p.Sender, PublicURL: p.publicURL,
	}
	if p.copy != nil {
		parts.LedgerCopy = blob.Bucket(p.copy)
	}
	service := dsr.New(parts)
	engine, err := newEngine(p.db.Table("workflow"), p.Clock, p.config.Log, service)
	if err != nil {
		return nil, err
	}
	w.engine, p.engine, p.service = engine, engine, service
	return service, nil
}

// SweepNow has Run sweep at once, or when it is next called: there is something that
// somebody waits for. It does not wait itself.
func (p *Platform) SweepNow() {
	select {
	case p.early <- struct{}{}:
	default: // it was asked already
	}
}

// Daily adds to what Run does at its start and then once a day, at dailyHour. It must be called
// before Run.
func (p *Platform) Daily(name string, run func(context.Context) error) {
	p.daily = append(p.daily, job{name: name, run: run})
}

// Run runs executions and the schedule until ctx ends, then lets the tasks that
// run come to their end and returns nil. Work that is cut off, by that or by a
// crash, goes on with the next Run.
func (p *Platform) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	scheduled := make(chan struct{})
	go func() {
		defer close(scheduled)
		p.keepSchedule(ctx)
	}()
	err := p.engine.Run(ctx)
	cancel()
	<-scheduled
	return kind.Wrap("run executions", err)
}
