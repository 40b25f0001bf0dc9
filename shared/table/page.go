package table

import (
	"encoding/json"
	"unicode/utf8"

	"lethe/shared/kind"
)

// A Position is a place between two items of a query's order; drivers make
// Page.Next of it and CheckQuery reads it back.
type Position struct {
	Sort string // SK, or Index.SK where the query asks the index
	Key  Key    // of the item behind which the next page begins
}

// After returns the position behind i in the order of q.
func After(q Query, i Item) Position {
	if q.Index {
		return Position{Sort: i.Index.SK, Key: i.Key}
	}
	return Position{Sort: i.SK, Key: i.Key}
}

// Next returns the text of p for Page.Next. It holds keys: it may be stored
// where keys may be stored, and must not be logged or handed out.
func (p Position) Next(q Query) string {
	if !q.Index {
		return p.Sort
	}
	text, err := json.Marshal([]string{p.Sort, p.Key.PK, p.Key.SK})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// CheckQuery returns the position that q.After names, the zero Position if it
// is empty, or an error of kind Invalid if q cannot be. Every driver calls it.
func CheckQuery(q Query) (Position, error) {
	switch {
	case q.PK == "" || len(q.PK) > MaxPK || !utf8.ValidString(q.PK):
		return Position{}, kind.E(kind.Invalid, "query: the partition key is empty, too long or not UTF-8")
	case !sortBound(q.From) || !sortBound(q.To):
		return Position{}, kind.E(kind.Invalid, "query: a bound is too long or not UTF-8")
	case q.Limit < 0:
		return Position{}, kind.E(kind.Invalid, "query: a negative limit")
	case q.After == "":
		return Position{}, nil
	}
	p, ok := parseNext(q)
	if !ok || p.Sort < q.From || q.To != "" && p.Sort >= q.To {
		return Position{}, kind.E(kind.Invalid, "query: After is of another query")
	}
	return p, nil
}

func parseNext(q Query) (Position, bool) {
	if !q.Index {
		p := Position{Sort: q.After, Key: Key{PK: q.PK, SK: q.After}}
		return p, CheckKey(p.Key) == nil
	}
	var parts []string
	if json.Unmarshal([]byte(q.After), &parts) != nil || len(parts) != 3 {
		return Position{}, false
	}
	p := Position{Sort: parts[0], Key: Key{PK: parts[1], SK: parts[2]}}
	return p, p.Sort != "" && sortBound(p.Sort) && CheckKey(p.Key) == nil
}

func sortBound(s string) bool { return len(s) <= MaxSK && utf8.ValidString(s) }

// Void reports whether no item can lie between From and To.
func (q Query) Void() bool { return q.To != "" && q.From >= q.To }
