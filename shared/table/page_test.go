package table_test

import (
	"testing"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Whatever After holds, it is refused or names a position inside the query
// that reads back as itself.
func FuzzAfter(f *testing.F) {
	for _, after := range []string{"", "a", "\x00", `["i","p","s"]`, `["i","p"]`, `["","",""]`, `[1,2,3]`, `{}`, "\xff", `["\ud800","p","s"]`} {
		f.Add(after, "", "", true)
		f.Add(after, "a", "z", false)
	}
	f.Fuzz(func(t *testing.T, after, from, to string, index bool) {
		q := table.Query{PK: "p", Index: index, From: from, To: to, After: after}
		p, err := table.CheckQuery(q)
		if err != nil {
			if kind.Of(err) != kind.Invalid {
				t.Fatalf("got %v, want an error of kind Invalid", err)
			}
			return
		}
		if after == "" {
			return
		}
		if p.Sort < from || to != "" && p.Sort >= to || table.CheckKey(p.Key) != nil {
			t.Fatal("a position outside the query was taken")
		}
		q.After = p.Next(q)
		again, err := table.CheckQuery(q)
		if err != nil || again != p {
			t.Fatalf("a position does not read back: %v", err)
		}
	})
}

func TestRoom(t *testing.T) {
	const most, least = 1<<63 - 1, -1 << 63
	for _, c := range []struct{ n, max, want int64 }{
		{1, 10, 9}, {-1, 10, 11}, {0, most, most}, {-1, most, most}, {1, least, least}, {-5, most - 5, most}, {least, 0, most},
	} {
		if got := table.Room(c.n, c.max); got != c.want {
			t.Errorf("Room(%d, %d): got %d, want %d", c.n, c.max, got, c.want)
		}
	}
}
