package events

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A tombstone keeps late data of an erased subject out, and all data of one that is
// opted out. It stands under the mark of the subject, never its identifier, and
// holds one entry for each task, and what was said last of opting out.
type tombstone struct {
	Tasks []burial `json:"tasks,omitempty"`
	Word  *word    `json:"word,omitempty"`
}

type burial struct {
	Task       string         `json:"task"`
	Cutoff     int64          `json:"cutoff"` // ms; what is not after it stays out
	Disclosure dsr.Disclosure `json:"disclosure"`
}

func readTombstone(item table.Item) (tombstone, error) {
	var t tombstone
	if err := json.Unmarshal(item.Data, &t); err != nil {
		return t, kind.E(kind.Corrupt, "read a tombstone")
	}
	return t, nil
}

// add adds b and reports whether that changed anything.
func (t *tombstone) add(b burial) bool {
	if slices.Contains(t.Tasks, b) {
		return false
	}
	t.Tasks = slices.DeleteFunc(t.Tasks, func(old burial) bool { return old.Task == b.Task })
	t.Tasks = append(t.Tasks, b)
	return true
}

// A cutoff is up to when data of a subject is late; zero without a tombstone.
type cutoff struct {
	gone time.Time // what is not after it stays out: Data or Categories were erased
	bare time.Time // what is not after it comes in without the means of collection
}

// add moves c to the later of both.
func (c *cutoff) add(other cutoff) {
	if other.gone.After(c.gone) {
		c.gone = other.gone
	}
	if other.bare.After(c.bare) {
		c.bare = other.bare
	}
}

// cutoff is the latest of all tasks.
func (t tombstone) cutoff() (latest cutoff) {
	for _, b := range t.Tasks {
		at := time.UnixMilli(b.Cutoff).UTC()
		if b.Disclosure == dsr.Sources {
			latest.add(cutoff{bare: at})
		} else {
			latest.add(cutoff{gone: at})
		}
	}
	return latest
}

// Suppress implements dsr.Source. Marks are written in transactions of up to 100
// subjects; after an error some may stand and some not, and doing it again is safe.
func (s *Store) Suppress(ctx context.Context, project string, marks []dsr.Mark) error {
	var keys []table.Key
	add := map[table.Key][]burial{}
	for _, m := range marks {
		key := tombstoneKey(project, m.Name)
		if add[key] == nil {
			keys = append(keys, key)
		}
		add[key] = append(add[key], burial{m.Task, m.Cutoff.UnixMilli(), m.Disclosure})
	}
	for part := range slices.Chunk(keys, table.MaxOps) {
		err := s.amend(ctx, part, func(key table.Key, t *tombstone) (what effect, more []table.Op, err error) {
			for _, b := range add[key] {
				if t.add(b) {
					what = changes
				}
			}
			return what, nil, nil
		})
		if err != nil {
			return kind.Wrap("suppress late data", err)
		}
	}
	return nil
}

// An amendment is what amend does to one tombstone, and what else to write with it. An
// error gives all of them up.
type amendment func(key table.Key, t *tombstone) (effect, []table.Op, error)

type effect uint8

const (
	nothing effect = iota
	// holds means that the others may only be changed while this one is as it was read.
	holds
	changes
)

// amend changes one transaction's worth of tombstones. Of two calls at the same ones
// one comes first and the other reads again.
func (s *Store) amend(ctx context.Context, keys []table.Key, change amendment) error {
	for {
		ops, err := s.amendments(ctx, keys, change)
		if err != nil || len(ops) == 0 {
			return err
		}
		err = s.subjects.Write(ctx, ops...)
		if kind.Of(err) != kind.Conflict || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Store) amendments(ctx context.Context, keys []table.Key, change amendment) ([]table.Op, error) {
	items, err := s.subjects.GetMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	var ops, checks []table.Op
	for _, key := range keys {
		var t tombstone
		item, ok := items[key]
		if ok {
			if t, err = readTombstone(item); err != nil {
				return nil, err
			}
		}
		what, more, err := change(key, &t)
		if err != nil {
			return nil, err
		}
		if what == holds {
			checks = append(checks, table.Check(key, table.IfAt(item.Version)))
		}
		if what != changes {
			continue
		}
		data, err := json.Marshal(t)
		if err != nil {
			return nil, kind.E(kind.Internal, "encode a tombstone")
		}
		ops = append(ops, table.Put(table.Item{Key: key, Data: data}, table.IfAt(item.Version)))
		ops = append(ops, more...)
	}
	if len(ops) == 0 {
		return nil, nil
	}
	return append(ops, checks...), nil
}

// A look gathers the keys that a call reads before it writes, and tells what it
// found. Tombstones are looked up under every version of the suppression key.
type look struct {
	store   *Store
	project string
	keys    []table.Key
	marks   map[kind.Subject][]table.Key
	items   map[table.Key]table.Item
}

func (s *Store) look(project string, size int) *look {
	return &look{store: s, project: project, keys: make([]table.Key, 0, size), marks: make(map[kind.Subject][]table.Key, size)}
}

// key adds a key.
func (l *look) key(keys ...table.Key) { l.keys = append(l.keys, keys...) }

// subject adds the tombstones of id, and reports whether id is new to the look.
func (l *look) subject(id kind.Subject) bool {
	if _, ok := l.marks[id]; ok || id == "" {
		return false
	}
	marks := l.store.keys.Marks(l.project, id)
	keys := make([]table.Key, len(marks))
	for i, mark := range marks {
		keys[i] = tombstoneKey(l.project, mark)
	}
	l.marks[id] = keys
	l.key(keys...)
	return true
}

// read reads all keys, consistently and at once.
func (l *look) read(ctx context.Context) (err error) {
	l.items, err = l.store.subjects.GetMany(ctx, l.keys)
	return err
}

func (l *look) has(key table.Key) bool {
	_, ok := l.items[key]
	return ok
}

// words are what was said of opting id out, the newest key first.
func (l *look) words(id kind.Subject) (words []dsr.Word, err error) {
	for _, key := range l.marks[id] {
		item, ok := l.items[key]
		if !ok {
			continue
		}
		t, err := readTombstone(item)
		if err != nil {
			return nil, err
		}
		if t.Word != nil {
			words = append(words, t.Word.of(markOf(key)))
		}
	}
	return words, nil
}

// word is that by which id is opted out, or one without Out.
func (l *look) word(id kind.Subject) (dsr.Word, error) {
	words, err := l.words(id)
	for _, w := range words {
		if w.Out {
			return w, err
		}
	}
	return dsr.Word{}, err
}

// cutoff is the latest under all marks of id.
func (l *look) cutoff(id kind.Subject) (latest cutoff, err error) {
	for _, key := range l.marks[id] {
		item, ok := l.items[key]
		if !ok {
			continue
		}
		t, err := readTombstone(item)
		if err != nil {
			return cutoff{}, err
		}
		latest.add(t.cutoff())
	}
	return latest, nil
}
