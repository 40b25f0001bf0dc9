package tabletest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

func roundTrip(t *testing.T, s *suite) {
	s.gone(t, key("p", "s"))
	full := table.Item{
		Key:     key("p", "s"),
		Data:    append([]byte(secret), 0, 1, 0xff, '\n'),
		Count:   -1 << 60,
		Index:   key("ip", "is"),
		Expires: s.clock.now().Add(time.Hour),
	}
	want := full
	want.Expires = full.Expires.Truncate(time.Second)
	first := s.put(t, full)
	same(t, first, want)

	second := s.put(t, full)
	same(t, second, want)
	if first.Version == second.Version {
		t.Error("a write left the version as it was")
	}

	bare := table.Item{Key: key("p", "s")}
	same(t, s.put(t, bare), bare)

	for range 2 { // an absent item is deleted without error
		if err := s.Write(t.Context(), table.Delete(bare.Key, table.Cond{})); err != nil {
			t.Fatalf("delete: %v", err)
		}
		s.gone(t, bare.Key)
	}
	if err := s.Write(t.Context()); err != nil {
		t.Errorf("a write of nothing: %v", err)
	}
	if err := s.WriteMany(t.Context(), nil); err != nil {
		t.Errorf("a write of nothing: %v", err)
	}
}

func ownership(t *testing.T, s *suite) {
	mine := []byte("as it was")
	k := key("p", "s")
	if err := s.Write(t.Context(), table.Put(table.Item{Key: k, Data: mine}, table.Cond{})); err != nil {
		t.Fatal(err)
	}
	copy(mine, "changed!!")
	got := s.get(t, k)
	copy(got.Data, "changed!!")
	page, err := s.Query(t.Context(), table.Query{PK: k.PK})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("query: %d items, %v", len(page.Items), err)
	}
	copy(page.Items[0].Data, "changed!!")
	if got := string(s.get(t, k).Data); got != "as it was" {
		t.Errorf("stored data changed with a caller's slice: %q", got)
	}
}

func conditions(t *testing.T, s *suite) {
	// What was done to an item after its version was read.
	states := []struct {
		name                    string
		absent                  bool // IfAbsent holds
		at                      bool // IfAt(the version read) holds
		before, remove, rewrite bool
		lives, passes           time.Duration
	}{
		{name: "never there", absent: true},
		{name: "untouched", before: true, at: true},
		{name: "written again", before: true, rewrite: true},
		{name: "deleted", before: true, remove: true, absent: true},
		{name: "deleted and made anew", before: true, remove: true, rewrite: true},
		{name: "still alive", before: true, lives: time.Hour, passes: time.Second, at: true},
		{name: "expired", before: true, lives: time.Second, passes: time.Second, absent: true},
	}
	verbs := map[string]func(table.Item, table.Cond) table.Op{
		"put":    table.Put,
		"delete": func(i table.Item, c table.Cond) table.Op { return table.Delete(i.Key, c) },
		"check":  func(i table.Item, c table.Cond) table.Op { return table.Check(i.Key, c) },
	}
	for n, state := range states {
		for verb, op := range verbs {
			for _, c := range []struct {
				name  string
				cond  func(read table.Version) table.Cond
				holds bool
			}{
				{"always", func(table.Version) table.Cond { return table.Cond{} }, true},
				{"if absent", func(table.Version) table.Cond { return table.IfAbsent() }, state.absent},
				{"if at the version read", func(v table.Version) table.Cond { return table.Cond{At: max(v, 1)} }, state.at},
			} {
				i := item(fmt.Sprint(n, verb), c.name, "old")
				var version table.Version
				if state.before {
					if state.lives != 0 {
						i.Expires = s.clock.now().Add(state.lives)
					}
					version = s.put(t, i).Version
				}
				if state.remove {
					if err := s.Write(t.Context(), table.Delete(i.Key, table.Cond{})); err != nil {
						t.Fatal(err)
					}
				}
				if state.rewrite {
					s.put(t, i)
				}
				s.clock.advance(state.passes)
				before, beforeErr := s.Get(t.Context(), i.Key)

				err := s.Write(t.Context(), op(item(fmt.Sprint(n, verb), c.name, "new"), c.cond(version)))
				after, afterErr := s.Get(t.Context(), i.Key)
				name := state.name + ", " + verb + " " + c.name
				switch {
				case !c.holds:
					wantKind(t, err, kind.Conflict)
					if got, want := table.Failed(err), []int{0}; !slices.Equal(got, want) {
						t.Errorf("%s: failed %v, want %v", name, got, want)
					}
				case err != nil:
					t.Errorf("%s: %v, want it done", name, err)
				case verb == "put" && (afterErr != nil || data(after) != "new"):
					t.Errorf("%s: not stored: %v", name, afterErr)
				case verb == "delete" && kind.Of(afterErr) != kind.NotFound:
					t.Errorf("%s: still there", name)
				}
				if !c.holds || verb == "check" {
					if after.Version != before.Version || kind.Of(beforeErr) != kind.Of(afterErr) {
						t.Errorf("%s: the item changed", name)
					}
				}
			}
		}
	}
}

func allOrNothing(t *testing.T, s *suite) {
	ops := make([]table.Op, table.MaxOps)
	for n := range ops {
		ops[n] = table.Put(item(fmt.Sprint(n%7), fmt.Sprint(n), "new"), table.IfAbsent())
	}
	for _, failing := range [][]int{{0}, {table.MaxOps - 1}, {3, 50, 98}} {
		for _, n := range failing {
			s.put(t, ops[n].Item)
		}
		err := s.Write(t.Context(), ops...)
		wantKind(t, err, kind.Conflict)
		if got := table.Failed(err); !slices.Equal(got, failing) {
			t.Errorf("failed %v, want %v", got, failing)
		}
		for n, op := range ops {
			if !slices.Contains(failing, n) {
				s.gone(t, op.Item.Key)
			} else if err := s.Write(t.Context(), table.Delete(op.Item.Key, table.Cond{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Write(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		s.get(t, op.Item.Key)
	}
}

func everyVerb(t *testing.T, s *suite) {
	held := s.put(t, item("p", "held", "held"))
	dead := s.put(t, item("p", "dead", "dead"))
	old := s.put(t, item("p", "old", "old"))
	ops := []table.Op{
		table.Check(held.Key, table.IfAt(held.Version)),
		table.Check(key("p", "free"), table.Cond{}),
		table.Delete(dead.Key, table.IfAt(dead.Version)),
		table.Put(item("p", "old", "new"), table.IfAt(old.Version)),
		table.AddUpTo(key("p", "count"), 5, 5),
		table.Put(item("q", "new", "new"), table.IfAt(0)),
	}
	if err := s.Write(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	s.gone(t, dead.Key)
	s.gone(t, key("p", "free"))
	if got := data(s.get(t, old.Key)); got != "new" {
		t.Errorf("got %q, want the new data", got)
	}
	if got := s.get(t, held.Key).Version; got != held.Version {
		t.Error("a check changed the item")
	}

	// Again, everything that has a condition fails but the check.
	err := s.Write(t.Context(), ops...)
	wantKind(t, err, kind.Conflict)
	if got, want := table.Failed(err), []int{2, 3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("failed %v, want %v", got, want)
	}
	if got := s.get(t, key("p", "count")).Count; got != 5 {
		t.Errorf("count %d after a failed transaction, want 5", got)
	}
}

func limits(t *testing.T, s *suite) {
	ctx := t.Context()
	sized := func(sk string, size int) table.Item {
		i := table.Item{Key: key("p", sk), Index: key("ip", sk)}
		i.Data = []byte(strings.Repeat("x", size-table.Size(i)))
		return i
	}
	put := func(i table.Item) table.Op { return table.Put(i, table.Cond{}) }

	largest := sized("largest", s.maxItem())
	same(t, s.put(t, largest), largest)
	large := sized("large", table.MaxItem+1)
	wantKind(t, s.Write(ctx, put(item("p", "beside", "")), put(large)), kind.TooLarge)
	wantKind(t, s.WriteMany(ctx, []table.Op{put(item("p", "beside", "")), put(large)}), kind.TooLarge)
	s.gone(t, key("p", "beside"))

	var ops []table.Op
	for total := 0; total < table.MaxWrite; total += table.Size(ops[len(ops)-1].Item) {
		ops = append(ops, put(sized(fmt.Sprint("part", len(ops)), min(250<<10, table.MaxWrite-total))))
	}
	if err := s.Write(ctx, ops...); err != nil {
		t.Errorf("a transaction of exactly 4 MB: %v", err)
	}
	wantKind(t, s.Write(ctx, append(ops, put(item("p", "beyond", "")))...), kind.TooLarge)
	s.gone(t, key("p", "beyond"))

	ops = nil
	for n := range table.MaxOps + 1 {
		ops = append(ops, put(item("many", fmt.Sprint(n), "")))
	}
	wantKind(t, s.Write(ctx, ops...), kind.TooLarge)
	s.gone(t, ops[0].Item.Key)
	if err := s.Write(ctx, ops[1:]...); err != nil {
		t.Errorf("a transaction of exactly 100 operations: %v", err)
	}
}

func writeMany(t *testing.T, s *suite) {
	const count = 3000
	ctx := t.Context()
	want := make(map[table.Key]string)
	var ops []table.Op
	put := func(n int, text string) {
		i := item(fmt.Sprint("p", n%40), fmt.Sprint(n), text)
		ops, want[i.Key] = append(ops, table.Put(i, table.Cond{})), text
	}
	for n := range count {
		put(n, fmt.Sprint("first", n))
	}
	check := func() {
		t.Helper()
		if err := s.WriteMany(ctx, ops); err != nil {
			t.Fatal(err)
		}
		got := 0
		for p := range 40 {
			for _, i := range s.all(t, table.Query{PK: key(fmt.Sprint("p", p), "").PK}) {
				got++
				if want[i.Key] != data(i) {
					t.Errorf("got %q, want %q", data(i), want[i.Key])
				}
			}
		}
		if got != len(want) {
			t.Errorf("%d items, want %d", got, len(want))
		}
	}
	check()

	// Of several operations on one key the last counts, however far apart.
	ops = nil
	for n := range count / 4 {
		k := key(fmt.Sprint("p", n%40), fmt.Sprint(n))
		put(n, "twice")
		switch n % 3 {
		case 0:
			ops = append(ops, table.Delete(k, table.Cond{}))
			delete(want, k)
		case 1:
			ops = append(ops, table.Delete(k, table.Cond{}))
			put(n, "thrice")
		}
	}
	for n := range 10 {
		put(n*3, "at the end")
	}
	check()
	check() // again changes nothing

	conditional := []table.Op{table.Put(item("p", "s", ""), table.IfAbsent())}
	wantKind(t, s.WriteMany(ctx, conditional), kind.Invalid)
	wantKind(t, s.WriteMany(ctx, []table.Op{table.AddUpTo(key("p", "s"), 1, 1)}), kind.Invalid)
	wantKind(t, s.WriteMany(ctx, []table.Op{table.Check(key("p", "s"), table.Cond{})}), kind.Invalid)
}

func expiry(t *testing.T, s *suite) {
	ctx := t.Context()
	mortal := item("p", "mortal", "")
	mortal.Expires = s.clock.now().Add(10 * time.Second)
	mortal.Index = key("ip", "is")
	forever := item("p", "forever", "")
	forever.Index = mortal.Index
	s.put(t, mortal)
	s.put(t, forever)
	seen := func(index bool) int {
		q := table.Query{PK: mortal.PK, Index: index}
		if index {
			q.PK = mortal.Index.PK
		}
		return len(s.all(t, q))
	}
	eventually(t, "both in the index", func() bool { return seen(true) == 2 })

	// Expires is in whole seconds, so the item ends 0.6 s before its 10 s are over.
	s.clock.advance(9*time.Second + 399*time.Millisecond)
	s.get(t, mortal.Key)
	s.clock.advance(time.Millisecond)
	s.gone(t, mortal.Key)
	if found, err := s.GetMany(ctx, []table.Key{mortal.Key, forever.Key}); err != nil || len(found) != 1 {
		t.Errorf("read many found %d (%v), want 1", len(found), err)
	}
	if n := seen(false); n != 1 {
		t.Errorf("a query found %d, want 1", n)
	}
	if n := seen(true); n != 1 {
		t.Errorf("a query of the index found %d, want 1", n)
	}
	if err := s.Write(ctx, table.Put(item("p", "mortal", "reborn"), table.IfAbsent())); err != nil {
		t.Errorf("an expired item counts as present: %v", err)
	}
	if got := data(s.get(t, mortal.Key)); got != "reborn" {
		t.Errorf("got %q, want the new item", got)
	}
}
