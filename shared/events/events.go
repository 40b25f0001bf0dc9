// Package events is the built-in source: it takes in events, identities and
// profiles as Mixpanel's clients send them, and finds, hands out and erases them
// by subject. ParseEvent and ParseUpdate read one record of a request, Track and
// Update store a batch of them; New makes the Store, which is also a dsr.Source.
//
// All data of one distinct_id lies in one partition of the subjects table, under
// the id it arrived with, so a person costs what the person has and not what the
// store holds. key.go holds every key, value.go what an item holds.
//
// The events that tell of identities ($create_alias, $identify, $merge) are
// stored twice over: as edges, which a request follows, and as the events that
// they are. Mixpanel hides them from reports, but a person who asks for their
// data is told when two of their names were joined, and by which program.
package events

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Name is the name of this source in manifests, findings and certificates.
const Name = "events"

const (
	// callTime bounds one call of Track or Update, whatever its caller gives.
	callTime = 30 * time.Second
	// lateWrite is how long after Suppress a write of another process may land
	// that looked before: callTime, and as much again for a request that the
	// network held up on its way to the table.
	lateWrite = 2 * callTime
)

// Store is the built-in source, in a deployment's subjects table. It is safe for
// concurrent use.
type Store struct {
	subjects table.Table
	keys     kind.Keyring
	clock    func() time.Time
	log      *slog.Logger
	writers  barrier
	shared   bool
	codec    codec
	rules    func(ctx context.Context, project string) (dsr.Rules, error)
}

// An Option changes what New makes.
type Option func(*Store)

// Shared tells the Store that other processes write to the same table, so that
// Fence can only let time pass.
func Shared() Option { return func(s *Store) { s.shared = true } }

// Log makes the Store tell of what nobody is told otherwise; without it that is lost.
func Log(log *slog.Logger) Option { return func(s *Store) { s.log = log } }

// By makes the Store ask for a project's rules when a link decides who is opted out;
// without it dsr.Defaults hold.
func By(rules func(ctx context.Context, project string) (dsr.Rules, error)) Option {
	return func(s *Store) { s.rules = rules }
}

// New returns the store of events in subjects. Late data of the erased is known
// by its mark under keys; the clock gives received_at.
func New(subjects table.Table, keys kind.Keyring, clock func() time.Time, opts ...Option) *Store {
	s := &Store{subjects: subjects, keys: keys, clock: clock, log: slog.New(slog.DiscardHandler), codec: newCodec(), rules: defaults}
	for _, o := range opts {
		o(s)
	}
	return s
}

func defaults(context.Context, string) (dsr.Rules, error) { return dsr.Defaults(), nil }

// Name implements dsr.Source.
func (s *Store) Name() string { return Name }

// Scrub implements dsr.Source.
func (s *Store) Scrub(ctx context.Context) error {
	return kind.Wrap("scrub events", s.subjects.Scrub(ctx))
}

// Ready returns nil if the store answers.
func (s *Store) Ready(ctx context.Context) error {
	_, err := s.subjects.GetMany(ctx, []table.Key{counterKey("0", rowsCounter)})
	return kind.Wrap("look at events", err)
}

// enter opens a call that writes: its context, which ends after callTime even if
// the caller's ends sooner, so that a write does not land after the call is over;
// the time of receipt, in whole milliseconds; and what to call at its end.
func (s *Store) enter(ctx context.Context) (call context.Context, received time.Time, leave func()) {
	out := s.writers.enter()
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	return call, s.clock().UTC().Truncate(time.Millisecond), func() {
		cancel()
		out()
	}
}

// Sender is the distinct_id of whoever sends events without one from a network
// address: the same for the same address, and nothing that tells the address.
func (s *Store) Sender(address string) kind.Subject {
	_, mark, _ := strings.Cut(s.keys.Mark("", kind.Subject(address)), ".")
	return kind.Subject("sender-" + mark[:32])
}
