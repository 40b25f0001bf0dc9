package table

import (
	"errors"
	"math"
	"unicode/utf8"

	"lethe/shared/kind"
)

// A Cond is what must hold for an operation of Write. The zero Cond always holds.
type Cond struct {
	Absent bool    // there is no such item
	At     Version // the item exists and is at this version
}

// IfAbsent holds when there is no item of that key.
func IfAbsent() Cond { return Cond{Absent: true} }

// IfAt holds when the item is still at the version that was read. IfAt(0) is
// IfAbsent, so the Version of an Item that was not found can be passed on.
func IfAt(v Version) Cond {
	if v == 0 {
		return IfAbsent()
	}
	return Cond{At: v}
}

// A Verb is what an Op does.
type Verb uint8

const (
	VerbPut    Verb = iota + 1 // store Item, replacing what was there
	VerbDelete                 // remove the item; one that is absent is no error
	VerbCheck                  // change nothing, only hold the condition
	VerbAdd                    // add N to Item.Count if the sum stays at or below Max
)

// An Op is one operation of Write or WriteMany; make it with Put, Delete, Check
// or AddUpTo.
type Op struct {
	Verb Verb
	Item Item // only its Key for VerbDelete, VerbCheck and VerbAdd
	If   Cond // not for VerbAdd
	N    int64
	Max  int64
}

// Put stores i if c holds.
func Put(i Item, c Cond) Op { return Op{Verb: VerbPut, Item: i, If: c} }

// Delete removes the item of key if c holds.
func Delete(key Key, c Cond) Op { return Op{Verb: VerbDelete, Item: Item{Key: key}, If: c} }

// Check holds c and changes nothing.
func Check(key Key, c Cond) Op { return Op{Verb: VerbCheck, Item: Item{Key: key}, If: c} }

// AddUpTo adds n to the count of key, making the item if it is absent, as long
// as the sum is not above max; otherwise its condition fails. It also fails on
// an item that has an expiry, passed or not.
func AddUpTo(key Key, n, max int64) Op {
	return Op{Verb: VerbAdd, Item: Item{Key: key}, N: n, Max: max}
}

// Room is the highest count at which AddUpTo(n, max) still holds.
func Room(n, max int64) int64 {
	switch {
	case n < 0 && max > math.MaxInt64+n:
		return math.MaxInt64
	case n > 0 && max < math.MinInt64+n:
		return math.MinInt64
	}
	return max - n
}

// A ConflictError tells which operations of a Write failed their condition.
// Drivers return it wrapped by kind.E(kind.Conflict, …).
type ConflictError struct{ Ops []int }

func (ConflictError) Error() string { return "a condition did not hold" }

// Failed returns the positions, in the Write that returned err, of operations
// whose condition did not hold; none if err is no Conflict.
func Failed(err error) []int {
	var c ConflictError
	if errors.As(err, &c) {
		return c.Ops
	}
	return nil
}

// CheckWrite returns the error that Write must return for ops before it touches
// the store: of kind Invalid or TooLarge. Every driver calls it, so that limits
// are equal in all.
func CheckWrite(ops []Op) error {
	if len(ops) > MaxOps {
		return kind.E(kind.TooLarge, "write: more than 100 operations in one transaction")
	}
	seen := make(map[Key]bool, len(ops))
	total := 0
	for _, op := range ops {
		if err := checkOp(op); err != nil {
			return err
		}
		if seen[op.Item.Key] {
			return kind.E(kind.Invalid, "write: two operations on one key")
		}
		seen[op.Item.Key] = true
		total += Size(op.Item)
	}
	if total > MaxWrite {
		return kind.E(kind.TooLarge, "write: more than 4 MB in one transaction")
	}
	return nil
}

// CheckWriteMany is CheckWrite for WriteMany.
func CheckWriteMany(ops []Op) error {
	for _, op := range ops {
		if op.Verb != VerbPut && op.Verb != VerbDelete || op.If != (Cond{}) {
			return kind.E(kind.Invalid, "write many: only unconditional Put and Delete")
		}
		if err := checkOp(op); err != nil {
			return err
		}
	}
	return nil
}

// CheckKey returns an error of kind Invalid for a key that no driver stores.
func CheckKey(k Key) error {
	switch {
	case k.PK == "" || k.SK == "":
		return kind.E(kind.Invalid, "a key has an empty part")
	case len(k.PK) > MaxPK || len(k.SK) > MaxSK:
		return kind.E(kind.Invalid, "a key has a part that is too long")
	case !utf8.ValidString(k.PK) || !utf8.ValidString(k.SK):
		return kind.E(kind.Invalid, "a key is not UTF-8")
	}
	return nil
}

// CheckKeys is CheckKey for each of keys.
func CheckKeys(keys []Key) error {
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	return nil
}

func checkOp(op Op) error {
	if op.Verb < VerbPut || op.Verb > VerbAdd {
		return kind.E(kind.Invalid, "write: an operation without a verb")
	}
	if err := CheckKey(op.Item.Key); err != nil {
		return err
	}
	if op.Item.Index != (Key{}) {
		if err := CheckKey(op.Item.Index); err != nil {
			return err
		}
	}
	if Size(op.Item) > MaxItem {
		return kind.E(kind.TooLarge, "write: an item is larger than 400 KB")
	}
	return nil
}
