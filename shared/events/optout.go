package events

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A word is a dsr.Word as a tombstone holds it, and, without whom it is of, the item
// that lists it.
type word struct {
	Time    int64  `json:"time"` // ms
	Out     bool   `json:"out"`
	Origin  string `json:"origin"`
	By      string `json:"by,omitempty"`
	Owner   string `json:"owner,omitempty"`
	Because string `json:"because,omitempty"`
}

func wordOf(w dsr.Word) word {
	return word{w.Time.UnixMilli(), w.Out, w.Origin, w.By, w.Owner, w.Because}
}

func (w word) of(mark string) dsr.Word {
	return dsr.Word{Name: mark, Time: time.UnixMilli(w.Time).UTC(), Out: w.Out, Origin: w.Origin, By: w.By, Owner: w.Owner, Because: w.Because}
}

// wordOps is the most operations that one word takes: the tombstone, three items that
// go and three that come, and a look at whom it is because of.
const wordOps = 8

// Words implements dsr.Blocker.
func (s *Store) Words(ctx context.Context, project string, ids []kind.Subject) ([][]dsr.Word, error) {
	l := s.look(project, len(ids))
	for _, id := range ids {
		l.subject(id)
	}
	if err := l.read(ctx); err != nil {
		return nil, kind.Wrap("read opt-outs", err)
	}
	words := make([][]dsr.Word, len(ids))
	var err error
	for i, id := range ids {
		if words[i], err = l.words(id); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// Owners implements dsr.Blocker.
func (s *Store) Owners(ctx context.Context, project string, ids []kind.Subject) ([]kind.Subject, error) {
	g := s.graph(project, dsr.Simplified, time.Time{})
	if err := g.loadSome(ctx, ids, func(*node) bool { return false }); err != nil {
		return nil, kind.Wrap("look for owners", err)
	}
	owners := make([]kind.Subject, len(ids))
	for i, id := range ids {
		owners[i] = g.nodes[id].belongs()
	}
	return owners, nil
}

// Say implements dsr.Blocker. What a word changes is written in one transaction. One
// that takes back what does not stand is kept too, since what it takes back can still
// be on its way.
func (s *Store) Say(ctx context.Context, project string, words []dsr.Word) error {
	return s.say(ctx, project, words, false)
}

// Follow implements dsr.Blocker: a word is written in one transaction with a look at
// whether the other still is opted out.
func (s *Store) Follow(ctx context.Context, project string, words []dsr.Word) error {
	return s.say(ctx, project, words, true)
}

func (s *Store) say(ctx context.Context, project string, words []dsr.Word, follow bool) error {
	var keys []table.Key
	said := map[table.Key]dsr.Word{}
	for _, w := range words {
		key := tombstoneKey(project, w.Name)
		if _, twice := said[key]; !twice {
			keys = append(keys, key)
		}
		said[key] = w.Over(said[key])
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	if follow {
		group.SetLimit(1) // all look at the same few, and would be in each other's way
	}
	for part := range slices.Chunk(keys, table.MaxOps/wordOps) {
		group.Go(func() error {
			causes := map[table.Key]bool{}
			all := slices.Clone(part)
			for _, key := range part {
				cause := tombstoneKey(project, said[key].Because)
				if !follow || causes[cause] {
					continue
				}
				if causes[cause] = true; !slices.Contains(part, cause) {
					all = append(all, cause)
				}
			}
			return s.amend(ctx, all, func(key table.Key, t *tombstone) (effect, []table.Op, error) {
				if causes[key] && (t.Word == nil || !t.Word.Out) {
					return nothing, nil, kind.E(kind.Unavailable, "somebody was opted in at the same moment")
				}
				if w, mine := said[key]; mine && slices.Contains(part, key) {
					if changed, more := t.say(project, w); changed {
						return changes, more, nil
					}
				}
				if causes[key] {
					return holds, nil, nil
				}
				return nothing, nil, nil
			})
		})
	}
	return kind.Wrap("write opt-outs", group.Wait())
}

// say makes w stand unless a later word does. It reports whether that changed
// anything, and what else to write.
func (t *tombstone) say(project string, w dsr.Word) (changed bool, more []table.Op) {
	var before dsr.Word
	if t.Word != nil {
		before = t.Word.of(w.Name)
	}
	w = w.Over(before)
	now := wordOf(w)
	if now == wordOf(before) {
		return false, nil
	}
	t.Word = &now
	gone, come := t.listing(project, before), t.listing(project, w)
	for key := range gone {
		if _, stays := come[key]; !stays {
			more = append(more, table.Delete(key, table.Cond{}))
		}
	}
	for key, data := range come {
		more = append(more, table.Put(table.Item{Key: key, Data: data}, table.Cond{}))
	}
	return true, more
}

// listing is the items beside its tombstone that an opt-out has.
func (t *tombstone) listing(project string, w dsr.Word) map[table.Key][]byte {
	if !w.Out {
		return nil
	}
	row := wordOf(w)
	row.Owner, row.Because = "", ""
	data, _ := json.Marshal(row) // texts and numbers always do
	items := map[table.Key][]byte{outKey(project, w): data}
	for _, other := range []string{w.Owner, w.Because} {
		if other != "" {
			items[kinKey(project, other, w.Name)] = nil
		}
	}
	return items
}

// Kin implements dsr.Blocker.
func (s *Store) Kin(ctx context.Context, project string, marks []string) ([]dsr.Word, error) {
	known := map[string]bool{}
	var kin []dsr.Word
	for len(marks) > 0 {
		next := make([]relatives, len(marks))
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(2 * ahead)
		for i, mark := range marks {
			if known[mark] {
				continue
			}
			known[mark] = true
			group.Go(func() (err error) {
				next[i], err = s.relatives(gctx, project, mark)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, kind.Wrap("read opt-outs", err)
		}
		marks = nil
		for _, r := range next {
			if r.word.Name != "" {
				kin = append(kin, r.word)
				marks = append(marks, r.marks...)
			}
		}
	}
	return kin, nil
}

// relatives is the word under a mark, and the marks of those who are opted out with it.
type relatives struct {
	word  dsr.Word
	marks []string
}

func (s *Store) relatives(ctx context.Context, project, mark string) (relatives, error) {
	r := relatives{word: dsr.Word{Name: mark}}
	q := table.Query{PK: tombstoneKey(project, mark).PK}
	for {
		page, err := s.subjects.Query(ctx, q)
		if err != nil {
			return r, err
		}
		for _, item := range page.Items {
			if other, ok := strings.CutPrefix(item.SK, kinPrefix); ok {
				r.marks = append(r.marks, other)
				continue
			}
			t, err := readTombstone(item)
			if err != nil {
				return r, err
			}
			if t.Word != nil {
				r.word = t.Word.of(mark)
			}
		}
		if q.After = page.Next; page.Next == "" {
			break
		}
	}
	for _, other := range []string{r.word.Owner, r.word.Because} {
		if r.word.Out && other != "" {
			r.marks = append(r.marks, other)
		}
	}
	return r, nil
}

// EachOptOut implements dsr.Blocker.
func (s *Store) EachOptOut(ctx context.Context, project string, f func([]dsr.Word) error) error {
	q := table.Query{PK: outPK(project), Backwards: true}
	for {
		page, err := s.subjects.Query(ctx, q)
		if err != nil {
			return kind.Wrap("list opt-outs", err)
		}
		words := make([]dsr.Word, len(page.Items))
		for i, item := range page.Items {
			var w word
			if json.Unmarshal(item.Data, &w) != nil {
				return kind.E(kind.Corrupt, "read an opt-out")
			}
			_, mark, _ := strings.Cut(item.SK, "#")
			words[i] = w.of(mark)
		}
		if err := f(words); err != nil || page.Next == "" {
			return err
		}
		q.After = page.Next
	}
}
