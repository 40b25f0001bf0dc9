package tabletest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lethe/shared/kind"
	"lethe/shared/table"
)

func badKeys(t *testing.T, s *suite) {
	ctx := t.Context()
	for name, k := range map[string]table.Key{
		"no PK":      {SK: secret},
		"no SK":      {PK: secret},
		"PK no text": {PK: secret + "\xff", SK: secret},
		"SK no text": {PK: secret, SK: secret + "\xc3"},
		"PK long":    {PK: secret + strings.Repeat("x", table.MaxPK), SK: secret},
		"SK long":    {PK: secret, SK: secret + strings.Repeat("x", table.MaxSK)},
	} {
		t.Run(name, func(t *testing.T) {
			good, put := item("p", "s", ""), table.Put(table.Item{Key: k}, table.Cond{})
			_, err := s.Get(ctx, k)
			wantKind(t, err, kind.Invalid)
			_, err = s.GetMany(ctx, []table.Key{good.Key, k})
			wantKind(t, err, kind.Invalid)
			_, err = s.Add(ctx, k, 1)
			wantKind(t, err, kind.Invalid)
			wantKind(t, s.Write(ctx, table.Put(good, table.Cond{}), put), kind.Invalid)
			wantKind(t, s.WriteMany(ctx, []table.Op{table.Put(good, table.Cond{}), put}), kind.Invalid)
			wantKind(t, s.Write(ctx, table.Delete(k, table.Cond{})), kind.Invalid)
			wantKind(t, s.Write(ctx, table.Put(table.Item{Key: good.Key, Index: k}, table.Cond{})), kind.Invalid)
			s.gone(t, good.Key)
		})
	}
	twice := []table.Op{table.Put(item("p", "s", ""), table.Cond{}), table.Check(key("p", "s"), table.Cond{})}
	wantKind(t, s.Write(ctx, twice...), kind.Invalid)
	wantKind(t, s.Write(ctx, table.Op{Item: item("p", "s", "")}), kind.Invalid)
	s.gone(t, key("p", "s"))
}

// odd are texts, in the order of their bytes, that a driver could confuse.
var odd = []string{
	"\x00", "\x00\x00", "\x01", "\n", " ", " a", "\"", "#", "%", "%00", "'", "''; --", "*", "..", "/", "0", "00", "A", "\\", "\\u0000", "_",
	"a", "a\x00", "a\x00a", "a\x01", "a ", "aa", "b", "e", "e\u0301", "z", "~", "\x7f", "é", "ÿ", "ß", "ﬀ", "日本", "\ufeff", "\ufffd", "\uffff", "\U0001f600", "\U0010ffff",
}

func oddKeys(t *testing.T, s *suite) {
	longest := table.Key{PK: strings.Repeat("é", table.MaxPK/2), SK: strings.Repeat("é", table.MaxSK/2)}
	items := []table.Item{{Key: longest, Index: longest, Data: []byte("longest")}}
	for _, o := range odd {
		items = append(items,
			table.Item{Key: table.Key{PK: o, SK: o}, Data: []byte("both " + o)},
			table.Item{Key: table.Key{PK: "p", SK: o}, Data: []byte("sk " + o)},
			table.Item{Key: table.Key{PK: "i" + o, SK: o}, Index: table.Key{PK: o, SK: o}, Data: []byte("index " + o)},
		)
	}
	s.putMany(t, items)
	keys := make([]table.Key, len(items))
	for n, i := range items {
		keys[n] = i.Key
	}
	found, err := s.GetMany(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		same(t, found[i.Key], i)
		same(t, s.get(t, i.Key), i)
		if got := s.all(t, table.Query{PK: i.PK, From: i.SK}); len(got) == 0 || got[0].Key != i.Key {
			t.Error("a query from an item's own key does not begin with it")
		}
		if i.Index != (table.Key{}) {
			eventually(t, "an odd key in the index", func() bool {
				return len(s.all(t, table.Query{PK: i.Index.PK, Index: true, From: i.Index.SK})) == 1
			})
		}
	}
	want := slices.Clone(odd)
	slices.Sort(want)
	if got := sortKeys(s.all(t, table.Query{PK: "p"})); !slices.Equal(got, want) {
		t.Errorf("got the order %q, want %q", got, want)
	}
}

func sortKeys(items []table.Item) []string {
	keys := make([]string, len(items))
	for n, i := range items {
		keys[n] = i.SK
	}
	return keys
}

func readMany(t *testing.T, s *suite) {
	var items []table.Item
	var keys []table.Key
	for n := range 700 {
		i := item(fmt.Sprint("p", n%50), fmt.Sprint(n), fmt.Sprint(n))
		keys = append(keys, i.Key)
		if n%3 != 0 {
			items = append(items, i)
		}
	}
	s.putMany(t, items)
	keys = append(keys, keys[:20]...) // a key may be asked for twice
	found, err := s.GetMany(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(items) {
		t.Errorf("found %d, want %d", len(found), len(items))
	}
	for _, i := range items {
		same(t, found[i.Key], i)
	}
	if found, err := s.GetMany(t.Context(), nil); err != nil || len(found) != 0 {
		t.Errorf("reading nothing found %d: %v", len(found), err)
	}
}

// A store may answer a large batch in parts, which no caller must see.
func readManyLarge(t *testing.T, s *suite) {
	var items []table.Item
	var keys []table.Key
	for n := range 50 {
		i := item("p", fmt.Sprint(n), fmt.Sprint(n)+strings.Repeat("x", 350<<10))
		items, keys = append(items, i), append(keys, i.Key)
	}
	s.putMany(t, items)
	found, err := s.GetMany(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		if got := found[i.Key]; len(got.Data) != len(i.Data) {
			t.Errorf("got %d bytes, want %d", len(got.Data), len(i.Data))
		}
	}
}

func pages(t *testing.T, s *suite) {
	var items []table.Item
	for n, o := range odd {
		items = append(items, table.Item{
			Key:   table.Key{PK: secret, SK: o},
			Index: table.Key{PK: secret + "i", SK: odd[n%(len(odd)-7)]},
		})
		// What a careless query of either would find too.
		items = append(items, table.Item{Key: table.Key{PK: secret + "\x00", SK: o}})
	}
	rand.Shuffle(len(items), func(a, b int) { items[a], items[b] = items[b], items[a] })
	s.putMany(t, items)
	eventually(t, "all in the index", func() bool {
		return len(s.all(t, table.Query{PK: secret + "i", Index: true})) == len(odd)
	})

	bounds := [][2]string{
		{}, {"a", ""}, {"", "a"}, {"a", "b"}, {"a\x00", "aa"}, {"A", "zz"}, {"~", "\U0010ffff"},
		{"b", "b"}, {"b", "a"}, {"0", "0\x00"}, {"日", "本"}, {"\U0010ffff\x00", ""},
	}
	for _, asked := range []bool{false, true} {
		for _, b := range bounds {
			for _, backwards := range []bool{false, true} {
				for _, limit := range []int{0, 1, 4} {
					q := table.Query{PK: secret, Index: asked, From: b[0], To: b[1], Backwards: backwards, Limit: limit}
					sort := func(i table.Item) string { return i.SK }
					if asked {
						q.PK, sort = secret+"i", func(i table.Item) string { return i.Index.SK }
					}
					var want []string
					for _, i := range items {
						if k := sort(i); i.PK == secret && k >= b[0] && (b[1] == "" || k < b[1]) {
							want = append(want, k)
						}
					}
					slices.Sort(want)
					if backwards {
						slices.Reverse(want)
					}
					var got []string
					seen := make(map[table.Key]bool)
					for _, i := range s.all(t, q) {
						got = append(got, sort(i))
						if seen[i.Key] {
							t.Errorf("%+v: an item came twice", q)
						}
						seen[i.Key] = true
					}
					if !slices.Equal(got, want) {
						t.Errorf("%+v:\ngot  %q\nwant %q", q, got, want)
					}
				}
			}
		}
	}
}

func largePages(t *testing.T, s *suite) {
	for name, size := range map[string]int{"small": 2 << 10, "large": 90 << 10, "largest": s.maxItem() - 200} {
		var items []table.Item
		for n := range max(6, 3<<20/size) {
			i := item(name, fmt.Sprintf("%05d", n), strings.Repeat("x", size-len(secret)))
			i.Index = table.Key{PK: secret + "i" + name, SK: i.SK}
			items = append(items, i)
		}
		s.putMany(t, items)
		for _, q := range []table.Query{
			{PK: items[0].PK}, {PK: items[0].PK, Backwards: true}, {PK: items[0].Index.PK, Index: true},
		} {
			if q.Index {
				eventually(t, "large items in the index", func() bool { return len(s.all(t, q)) == len(items) })
			}
			found, count := 0, 0
			for more := true; more; count++ {
				page, err := s.Query(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				bytes := 0
				for _, i := range page.Items {
					bytes += len(i.Data)
				}
				if bytes > table.MaxPage+size || len(page.Items) == 0 && page.Next != "" {
					t.Errorf("a page of %d items and %d bytes", len(page.Items), bytes)
				}
				found += len(page.Items)
				q.After, more = page.Next, page.Next != ""
			}
			if found != len(items) || count < 3 || count > 6 {
				t.Errorf("%s: %d items on %d pages, want %d on a few", name, found, count, len(items))
			}
		}
	}
}

func badQueries(t *testing.T, s *suite) {
	s.put(t, item("p", "s", ""))
	good := key("p", "s")
	long := strings.Repeat("x", table.MaxSK+1)
	for _, q := range []table.Query{
		{},
		{PK: secret + "\xff"},
		{PK: strings.Repeat("x", table.MaxPK+1)},
		{PK: good.PK, From: secret + "\xff"},
		{PK: good.PK, To: secret + "\xff"},
		{PK: good.PK, From: long},
		{PK: good.PK, To: long},
		{PK: good.PK, Limit: -1},
		{PK: good.PK, From: "b", After: "a"},
		{PK: good.PK, To: "b", After: "b"},
		{PK: good.PK, After: secret + "\xff"},
		{PK: good.PK, Index: true, After: secret},
		{PK: good.PK, Index: true, After: `["` + secret + `"]`},
		{PK: good.PK, Index: true, After: `["` + secret + `","",""]`},
	} {
		_, err := s.Query(t.Context(), q)
		wantKind(t, err, kind.Invalid)
	}
}

func index(t *testing.T, s *suite) {
	var items []table.Item
	for n := range 60 {
		i := item(fmt.Sprint("p", n%9), fmt.Sprint(n), fmt.Sprint(n))
		i.Count = int64(n)
		switch n % 3 {
		case 0:
			i.Index = key("even", fmt.Sprintf("%03d", n))
		case 1:
			i.Index = key("same", "same")
		}
		items = append(items, i)
	}
	s.putMany(t, items)
	for _, name := range []string{"even", "same"} {
		q := table.Query{PK: key(name, "").PK, Index: true, Limit: 7}
		eventually(t, "the index "+name, func() bool { return len(s.all(t, q)) == 20 })
		for _, got := range s.all(t, q) {
			same(t, got, items[got.Count])
			if version := s.get(t, got.Key).Version; version != got.Version {
				t.Error("the index gives another version than the table")
			}
		}
	}
}

func indexFollows(t *testing.T, s *suite) {
	i := item("p", "s", "")
	in := func(name string) func() bool {
		return func() bool { return len(s.all(t, table.Query{PK: key(name, "").PK, Index: true})) == 1 }
	}
	out := func(name string) func() bool {
		return func() bool { return len(s.all(t, table.Query{PK: key(name, "").PK, Index: true})) == 0 }
	}
	i.Index = key("one", "1")
	s.put(t, i)
	eventually(t, "in", in("one"))
	i.Index = key("two", "1")
	s.put(t, i)
	eventually(t, "moved in", in("two"))
	eventually(t, "moved out", out("one"))
	if _, err := s.Add(t.Context(), i.Key, 7); err != nil {
		t.Fatal(err)
	}
	eventually(t, "counted", func() bool {
		found := s.all(t, table.Query{PK: key("two", "").PK, Index: true})
		return len(found) == 1 && found[0].Count == 7
	})
	i.Index = table.Key{}
	s.put(t, i)
	eventually(t, "taken out", out("two"))
	i.Index = key("three", "1")
	s.put(t, i)
	eventually(t, "in again", in("three"))
	if err := s.Write(t.Context(), table.Delete(i.Key, table.Cond{})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "deleted", out("three"))
}

func partitions(t *testing.T, s *suite) {
	var items []table.Item
	want := make(map[string]bool)
	for n := range 1200 {
		i := item(fmt.Sprint("p", n/2), fmt.Sprint(n), strings.Repeat("x", 1000))
		items, want[i.PK] = append(items, i), true
	}
	s.putMany(t, items)
	if err := s.WriteMany(t.Context(), []table.Op{table.Delete(items[0].Key, table.Cond{}), table.Delete(items[1].Key, table.Cond{})}); err != nil {
		t.Fatal(err)
	}
	delete(want, items[0].PK)

	got := make(map[string]bool)
	err := s.Partitions(t.Context(), func(pk string) error {
		got[pk] = true
		if len(got) > 20 {
			return nil
		}
		_, err := s.Add(t.Context(), table.Key{PK: pk, SK: "count"}, 1) // the table may be used meanwhile
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for pk := range want {
		if !got[pk] {
			t.Fatal("a partition is missing")
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d partitions, want %d", len(got), len(want))
	}

	stop := errors.New("stop")
	calls := 0
	err = s.Partitions(t.Context(), func(string) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("after the error of the first call: %d calls, %v", calls, err)
	}
}
