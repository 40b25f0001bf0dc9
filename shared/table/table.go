// Package table is the record store that Lethe is written against: what
// DynamoDB does well, as few methods. Read Table for the contract and Op for
// what a transaction may hold; Memory is the in-memory form, and package
// tabletest is the suite that every driver runs.
package table

import (
	"context"
	"time"
)

// Limits, equal in every driver.
const (
	// MaxItem is the most bytes Size may give for one item. It is DynamoDB's.
	MaxItem = 400 << 10
	// MaxOps and MaxWrite bound one transaction: operations, and bytes of all
	// its items together. They are DynamoDB's.
	MaxOps   = 100
	MaxWrite = 4 << 20
	// MaxPK and MaxSK bound the two parts of a key, in bytes. They are DynamoDB's.
	MaxPK = 2048
	MaxSK = 1024
	// MaxPage is how many bytes of items, by the store's own count, which Size is
	// never below, end a page of a Query. The last item may lie beyond.
	MaxPage = 1 << 20
)

// A Key names one item. Items with the same PK form a partition and are ordered
// by the bytes of SK. Neither part may be empty, and both must be valid UTF-8.
type Key struct{ PK, SK string }

// A Version names one state of an item; it changes with every write of the item
// and is never used again for that key. The zero Version is that of no item.
type Version int64

// An Item is one record.
type Item struct {
	Key
	// Data is the record itself, which no driver reads.
	Data []byte
	// Count is the number that Add and AddUpTo count in. It must stay within an
	// int64; nothing checks that.
	Count int64
	// Index is the item's place in the secondary index; the zero Key leaves the
	// item out of it. Several items may have the same Index.
	Index Key
	// Expires is when the item ceases to exist, in whole seconds (a fraction is
	// cut off); zero is never. An expired item is invisible to every read and
	// counts as absent in every condition, whether or not its bytes are gone yet.
	Expires time.Time
	// Version is set on every item read and ignored on every item written.
	Version Version
}

// Size is the bytes an item counts for against MaxItem, MaxWrite and MaxPage:
// never less than what DynamoDB counts for it.
func Size(i Item) int {
	const names = 100 // attribute names, and the numbers at their longest
	return len(i.PK) + len(i.SK) + len(i.Data) + len(i.Index.PK) + len(i.Index.SK) + names
}

// Expired reports whether i has ceased to exist at the time now.
func (i Item) Expired(now time.Time) bool {
	return !i.Expires.IsZero() && i.Expires.Unix() <= now.Unix()
}

// A Query reads part of one partition in the order of SK.
type Query struct {
	// PK names the partition.
	PK string
	// Index asks the secondary index in place of the table: PK, From, To and the
	// order are then those of Item.Index, items of equal Index in no order. An index lags behind writes, so it is
	// never asked for a decision: read the item again with Get.
	Index bool
	// From and To bound SK: From ≤ SK < To. An empty To is no bound.
	From, To string
	// Backwards reverses the order; From and To keep their meaning.
	Backwards bool
	// Limit is the most items on a page; 0 leaves it to MaxPage.
	Limit int
	// After continues behind the page whose Next it was.
	After string
}

// A Page is what a Query found. Next is empty on the last page; a page may hold
// fewer items than Limit, even none, and yet have a Next. Next holds keys: it may
// be stored, and must not be logged or handed out.
type Page struct {
	Items []Item
	Next  string
}

// Table is a set of items in partitions. All methods are safe for concurrent
// use. Every write is durable when its method returns nil. After a write that
// returned an error of a kind other than Conflict, Invalid or TooLarge the write
// may have been applied or not, whole: read again before deciding.
//
// Kinds of errors: NotFound (Get), Conflict (a condition did not hold), Invalid
// (a key is empty, too long or not UTF-8, a transaction names a key twice, a
// query cannot be), TooLarge (a limit above was passed), Throttled and Unavailable
// (try again later, the latter also when ctx ended). After Conflict, Invalid and
// TooLarge nothing was written. No error text holds a key or data.
type Table interface {
	// Get reads one item, consistently. Without one it returns kind.NotFound.
	Get(ctx context.Context, key Key) (Item, error)

	// GetMany reads any number of items, each consistently, and returns those
	// that exist. It is not a snapshot: two items may be of different moments.
	GetMany(ctx context.Context, keys []Key) (map[Key]Item, error)

	// Query reads one page, consistently unless it asks the index.
	Query(ctx context.Context, q Query) (Page, error)

	// Write applies all operations or none. If a condition does not hold it
	// changes nothing and returns an error of kind Conflict, for which Failed
	// tells the operations concerned. No two operations may name the same key.
	Write(ctx context.Context, ops ...Op) error

	// WriteMany applies any number of unconditional Put and Delete operations, in
	// no order and not atomically. When it returns an error any part may have been
	// applied; doing it again is safe. Of two operations on one key the later
	// counts.
	WriteMany(ctx context.Context, ops []Op) error

	// Add adds n to the Count of an item, making it if it is absent, and returns
	// the new value. It is not idempotent: after an error the count may be off by
	// n. On an item that has an expiry, passed or not, it fails with Conflict.
	Add(ctx context.Context, key Key, n int64) (int64, error)

	// Partitions calls f with every PK in the table, at least once each and in no
	// order, until f returns an error, which it returns. Partitions whose items
	// have all expired may be among them. It reads the whole table and is for a
	// restore only.
	Partitions(ctx context.Context, f func(pk string) error) error

	// Scrub returns when no byte of any item deleted or overwritten before the
	// call is left in a file that the table keeps. Where a provider owns the disks
	// there is nothing to do.
	Scrub(ctx context.Context) error
}
