package dsr

import (
	"context"
	"time"

	"lethe/shared/kind"
)

// MaxPerson is the most identifiers that one person can have. Mixpanel ends a
// cluster at 500; far more than that is a mistake in what was sent, and one
// archive of it would hold the data of many.
const MaxPerson = 2000

// A Resolver is a Source that knows which identifiers are one person. A deployment
// has at most one; without one, every identifier is a person of its own.
type Resolver interface {
	// Resolve finds, from what the source holds at that moment, read consistently,
	// everyone that ids belong to, each person once, in the order of ids. With until
	// only links count whose time or time of receipt is at or before it. Whichever
	// identifiers of a person are given, the person is the same.
	Resolve(ctx context.Context, project string, rule Identity, ids []kind.Subject, until time.Time) ([]Person, error)
}

// A Person is who one or more identifiers belong to.
type Person struct {
	Submitted []kind.Subject // of the identifiers that were asked for, this person's
	IDs       []kind.Subject // all, sorted, each once
	// Apart are links to identifiers of others, which were not followed; a few of
	// them, and how many there are.
	Apart      []Link
	ApartCount int
	// TooMany means that there are more than MaxPerson identifiers. Anybody can link so
	// many with one, so each of them is served alone: IDs is the one that was asked for,
	// and all its links are apart.
	TooMany bool
}

// A Link is one that was sent and is not followed.
type Link struct {
	Kind string // "alias", "identify", "merge" or "device"
	ID   kind.Subject
	To   kind.Subject // the other's
}

// MostApart is how many links of Apart are named.
const MostApart = 20
