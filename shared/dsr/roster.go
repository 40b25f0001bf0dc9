package dsr

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// maxRoster is the most identifiers that a request can resolve to.
const maxRoster = 100_000

// A roster is who a request concerns, cut into batches: for each source, parts of
// its people.
type roster struct {
	// set names the identifiers and how they are cut: two rosters of one set are the
	// same. It is in the keys of the batches.
	set     string
	batches []batch
	ids     []kind.Subject // all, resolved ones too, each once
	rule    Identity       // by which they were found
	alone   bool           // somebody has more links than one person can have
	refused string         // why it cannot be served; then there is nothing else
}

// resolve finds out who r concerns as of now.
func (s *Service) resolve(ctx context.Context, r Request) (roster, error) {
	submitted, err := s.IDs(ctx, r)
	if err != nil {
		return roster{}, err
	}
	// A deletion that has begun is about those of then.
	until := zeroTime
	if r.Begun() {
		until = r.Limit
	}
	rule, err := s.rule(ctx, r)
	if err != nil {
		return roster{}, err
	}
	people, total, err := s.everybody(ctx, r.Project, rule, submitted, until)
	if err != nil {
		return roster{}, err
	}
	if total > maxRoster && r.Begun() {
		people = alone(submitted) // Erase takes the others in
	}
	out := roster{rule: rule}
	for _, p := range people {
		out.ids = append(out.ids, p.IDs...)
		out.alone = out.alone || p.TooMany
	}
	if total > maxRoster && !r.Begun() {
		return roster{refused: fmt.Sprintf("The identifiers are linked with more than %d in all. Put them into several requests.", maxRoster)}, nil
	}
	out.cut(people, len(s.Sources), s.Settings.Batch)
	for i := range out.batches {
		// The people of all sources are the same.
		out.batches[i].Source = s.Sources[i*len(s.Sources)/len(out.batches)].Name()
	}
	return out, out.name(s.Keys)
}

// rule is by which rule it is found out who r is about: the project's, and for a
// deletion that has begun, that of then.
func (s *Service) rule(ctx context.Context, r Request) (Identity, error) {
	if r.Identity != "" {
		return r.Identity, nil
	}
	rules, err := s.Accounts.Rules(ctx, r.Project)
	return rules.Identity, err
}

// mostAsked is how many identifiers are asked about at a time.
const mostAsked = 100

// everybody is people, of any number of ids, and how many identifiers they have in
// all. It ends where those are more than maxRoster, which are never in memory.
func (s *Service) everybody(ctx context.Context, project string, rule Identity, ids []kind.Subject, until time.Time) (all []Person, total int, err error) {
	of := map[kind.Subject]int{} // the place in all of everyone found
	for ask := range slices.Chunk(ids, mostAsked) {
		if len(of) > maxRoster {
			break
		}
		var unknown []kind.Subject
		for _, id := range ask {
			if i, known := of[id]; known {
				all[i].Submitted = append(slices.Clip(all[i].Submitted), id)
			} else {
				unknown = append(unknown, id)
			}
		}
		found, err := s.people(ctx, project, rule, unknown, until)
		if err != nil {
			return nil, 0, err
		}
		for _, p := range found {
			at := len(all)
			for _, id := range p.IDs {
				if i, known := of[id]; known {
					at = i // a link came in since the last were asked about
				}
			}
			if at == len(all) {
				all = append(all, p)
			} else {
				all[at].Submitted = slices.Concat(all[at].Submitted, p.Submitted)
				all[at].IDs = slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.IDs, all[at].IDs))))
				all[at].TooMany = all[at].TooMany || p.TooMany
			}
			for _, id := range p.IDs {
				of[id] = at
			}
		}
	}
	return all, len(of), nil
}

// people asks the source that knows who is whom.
func (s *Service) people(ctx context.Context, project string, rule Identity, ids []kind.Subject, until time.Time) ([]Person, error) {
	for _, src := range s.Sources {
		if knows, ok := src.(Resolver); ok {
			return knows.Resolve(ctx, project, rule, ids, until)
		}
	}
	return alone(ids), nil
}

// alone makes of every identifier a person.
func alone(ids []kind.Subject) []Person {
	people := make([]Person, len(ids))
	for i, id := range ids {
		people[i] = Person{Submitted: []kind.Subject{id}, IDs: []kind.Subject{id}}
	}
	return people
}

// cut makes the batches of so many sources, each of at least so many identifiers,
// and not more batches in all than a Map can take.
func (o *roster) cut(people []Person, sources, least int) {
	perSource := maxBatches / sources
	least = max(least, (len(o.ids)+perSource-1)/perSource)
	var parts []batch
	var part batch
	size := 0
	for i, p := range people {
		c := cluster{Folder: i + 1, Submitted: stored(p.Submitted), IDs: stored(p.IDs), ApartCount: p.ApartCount, Alone: p.TooMany}
		for _, l := range p.Apart {
			c.Apart = append(c.Apart, apart{Kind: l.Kind, ID: string(l.ID), To: string(l.To)})
		}
		part.Clusters = append(part.Clusters, c)
		if size += len(p.IDs); size >= least || i == len(people)-1 {
			parts = append(parts, part)
			part, size = batch{}, 0
		}
	}
	for range sources {
		o.batches = append(o.batches, parts...)
	}
}

// name sets o.set. Its key makes sure that it tells nothing of the identifiers.
func (o *roster) name(keys kind.Keyring) error {
	type person struct {
		Submitted, IDs []string
		Alone          bool `json:",omitempty"`
	}
	var all [][]person
	for _, b := range o.batches {
		var part []person
		for _, c := range b.Clusters {
			part = append(part, person{c.Submitted, c.IDs, c.Alone})
		}
		all = append(all, part)
	}
	data, err := json.Marshal(all)
	if err != nil {
		return kind.E(kind.Internal, "name a roster")
	}
	_, mark, _ := strings.Cut(keys.Seal("roster", data), ".")
	o.set = mark[:16]
	return nil
}

// keep stores the batches of r, whose set is that of o. Whoever stores them again
// stores the same.
func (s *Service) keep(ctx context.Context, r Request, o roster) error {
	var ops []table.Op
	for n, b := range o.batches {
		for piece, part := range b.pieces() {
			item, err := encode(batchKey(r, n, piece), part)
			if err != nil {
				return err
			}
			ops = append(ops, table.Put(item, table.Cond{}))
		}
	}
	return kind.Wrap("write batches", s.Control.WriteMany(ctx, ops))
}

// apartBytes is the most that the names of links apart take of an item.
const apartBytes = 60_000

// pieces cuts a batch into parts that fit an item. A person whose identifiers do
// not fit one is in several.
func (b batch) pieces() []batch {
	var out []batch
	piece, size, named := batch{Source: b.Source}, 0, 0
	turn := func() {
		out = append(out, piece)
		piece, size, named = batch{Source: b.Source}, 0, 0
	}
	for _, c := range b.Clusters {
		rest := c
		rest.Submitted, rest.IDs = nil, nil
		size += 100
		// Where pieces end must go by what the set is named after, so that two runs which
		// saw other links apart cannot leave some of each.
		bytes := 0
		for _, l := range c.Apart {
			bytes += storedSize(l.ID) + storedSize(l.To) + 30
		}
		if named += bytes; named > apartBytes {
			rest.Apart, named = nil, named-bytes
		}
		for _, list := range []struct{ from, into *[]string }{{&c.Submitted, &rest.Submitted}, {&c.IDs, &rest.IDs}} {
			for _, id := range *list.from {
				n := storedSize(id)
				if size+n > idsPageBytes {
					piece.Clusters = append(piece.Clusters, rest)
					turn()
					rest = cluster{Folder: c.Folder}
				}
				*list.into = append(*list.into, id)
				size += n
			}
		}
		piece.Clusters = append(piece.Clusters, rest)
	}
	turn()
	for i := range out {
		out[i].More = len(out) - 1 - i
	}
	return out
}

// add puts the next piece behind b.
func (b *batch) add(piece batch) {
	for _, c := range piece.Clusters {
		last := len(b.Clusters) - 1
		if last < 0 || b.Clusters[last].Folder != c.Folder {
			b.Clusters = append(b.Clusters, c)
			continue
		}
		b.Clusters[last].Submitted = append(b.Clusters[last].Submitted, c.Submitted...)
		b.Clusters[last].IDs = append(b.Clusters[last].IDs, c.IDs...)
	}
	b.More = piece.More
}

// mostGrown is how many pieces of new people are kept at a time, in one transaction.
const mostGrown = 10

// grow adds to the people of w who turned out to be one with them since Begin, by
// links that were on their way then, and reports whether there was anyone. They are
// treated as those of Begin were: claimed, put into the ledger, and kept out. First
// they are kept in the batch, so that whatever is written of them can be found again;
// the cursor tells, after a crash, that the rest has to be done again.
func (s *Service) grow(ctx context.Context, r Request, w *work) (bool, error) {
	growing, err := s.Control.Get(ctx, growingKey(r))
	if err != nil && kind.Of(err) != kind.NotFound {
		return false, kind.Wrap("look for who was added", err)
	}
	fresh, err := s.fresh(ctx, r, *w)
	if err != nil {
		return false, err
	}
	var unsure []grown // a run that was cut off may have kept no more than that they are there
	if w.cursor.Growing {
		unsure = w.grown
	}
	if len(fresh) == 0 && len(unsure) == 0 {
		return false, nil
	}
	// From here on, until their writes under way have ended, nothing is counted.
	w.cursor.Growing = true
	if err := s.save(ctx, r, w); err != nil {
		return false, err
	}
	var taken []grown
	var ops []table.Op
	pieces := pages(fresh, func(g grown) int { return storedSize(g.ID) + len(`{"c":2000,"id":},`) })
	for _, piece := range pieces[:min(mostGrown, len(pieces))] { // the next look finds the others
		item, err := encode(grownKey(r, w.number, w.pieces+len(ops)), piece)
		if err != nil {
			return false, err
		}
		ops = append(ops, table.Put(item, table.IfAbsent()))
		taken = append(taken, piece...)
	}
	if len(ops) > 0 {
		// Of two batches that take the same in at once, one has to look again.
		ops = append(ops, table.Put(table.Item{Key: growingKey(r)}, table.IfAt(growing.Version)))
		if err := s.Control.Write(ctx, ops...); err != nil {
			return false, kind.Wrap("add to a batch", err)
		}
		w.pieces += len(ops) - 1
		w.take(taken)
	}
	all := slices.Concat(unsure, taken)
	ids := make([]kind.Subject, len(all))
	for i, g := range all {
		ids[i] = kind.Subject(g.ID)
	}
	if err := s.setMarks(ctx, r, ids, true); err != nil {
		return false, err
	}
	if err := s.suppress(ctx, r, ids, nil); err != nil {
		return false, err
	}
	if err := s.blockMore(ctx, r, w, all); err != nil {
		return false, err
	}
	s.Log.InfoContext(ctx, "a deletion took in more identifiers", "task", r.Task, "batch", w.number, "identifiers", len(ids))
	return true, nil
}

// fresh finds who turned out to be one with the people of w and is in no batch of
// its source yet.
func (s *Service) fresh(ctx context.Context, r Request, w work) ([]grown, error) {
	var ids []kind.Subject
	at := map[kind.Subject]int{}
	for i, c := range w.Clusters {
		for _, id := range subjects(c.IDs) {
			at[id] = i
			if !c.Alone { // who was, was confirmed to be
				ids = append(ids, id)
			}
		}
	}
	rule, err := s.rule(ctx, r)
	if err != nil {
		return nil, err
	}
	people, err := s.people(ctx, r.Project, rule, ids, r.Limit)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(people, func(p Person) bool { return p.TooMany }) {
		s.Log.WarnContext(ctx, "links that came to a deletion since it began are left out: they are more than one person can have", "task", r.Task, "batch", w.number)
	}
	var fresh []grown
	for _, p := range people {
		i := at[p.Submitted[0]]
		for _, id := range p.IDs {
			if _, known := at[id]; !known {
				at[id] = i
				fresh = append(fresh, grown{Cluster: i, ID: string(id)})
			}
		}
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	// Whom another batch has is erased and counted there.
	err = s.allWork(ctx, r, func(other *work) error {
		if other.Source != w.Source || other.number == w.number {
			return nil
		}
		has := map[string]bool{}
		for _, c := range other.Clusters {
			for _, id := range c.IDs {
				has[id] = true
			}
		}
		fresh = slices.DeleteFunc(fresh, func(g grown) bool { return has[g.ID] })
		return nil
	})
	return fresh, err
}

// A grown identifier was added to a cluster of a batch after Begin.
type grown struct {
	Cluster int    `json:"c"`
	ID      string `json:"id"`
}
