package dsr

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lethe/shared/kind"
)

// A Blocker is a source that takes data in and can keep out everything of a person
// that is to come.
type Blocker interface {
	Source
	// Words reads what stands about each id: a Word under each version of the key that
	// has one, the newest key first.
	Words(ctx context.Context, project string, ids []kind.Subject) ([][]Word, error)
	// Owners tells for each id that is a device or an alias the mark of whom it belongs
	// to, by the links that the source holds: the first. It is empty for any other id.
	Owners(ctx context.Context, project string, ids []kind.Subject) ([]string, error)
	// Say makes words stand, each unless a later one does (see Word.Over). Data of a
	// subject that is opted out is dropped from its return on, as after Suppress; Fence
	// tells of what is under way. After an error some may stand; saying them again is safe.
	Say(ctx context.Context, project string, words []Word) error
	// Kin reads the word under each of marks, one without a Time where there is none,
	// and those of all that are opted out with one of them, because one is the Owner of
	// the other; each once.
	Kin(ctx context.Context, project string, marks []string) ([]Word, error)
	// EachOptOut calls f with the words of all who are opted out, newest first, some at
	// a time, until f returns an error, which it returns.
	EachOptOut(ctx context.Context, project string, f func([]Word) error) error
}

// A Word is what was said about a subject under one mark: that it is opted out, or
// that it is not any more. The last one counts, by Time.
type Word struct {
	// Name is kind.Keyring.Mark of the subject, or was under an earlier key.
	Name string
	Time time.Time // in whole milliseconds
	Out  bool
	// Origin is how it came about: OriginAPI, OriginLink or OriginDeletion with a
	// blank and the task.
	Origin string
	By     string // who said it, as in the audit trail; empty after a restore
	// Owner is the mark of whom a device or an alias belongs to, or empty. It outlives
	// the link, so that another user of the device is not taken for the same person.
	Owner string
}

// Origins of a Word.
const (
	OriginAPI      = "api"
	OriginLink     = "link"
	OriginDeletion = "deletion"
)

// Over returns which of two words about one mark stands, w or what stood before:
// the later one, or of one moment the one that opts out. Where both opt out, the
// Owner of the earlier stays.
func (w Word) Over(before Word) Word {
	earlier, later := before, w
	if c := w.Time.Compare(before.Time); c < 0 || c == 0 && (before.Out || !w.Out) {
		earlier, later = w, before
	}
	if earlier.Out && later.Out {
		later.Owner = cmp.Or(earlier.Owner, later.Owner)
	}
	return later
}

// A Tie is an id that a link joins to somebody who is opted out.
type Tie struct {
	ID kind.Subject
	// Owner is whom ID belongs to, if it is a device or an alias; else empty.
	Owner kind.Subject
}

// An OptOutChange is what a call changed.
type OptOutChange struct {
	Submitted int // identifiers, each counted once
	Changed   int // identifiers opted out now, or not any more, those of the same people included
	// Wait is how long data that was under way may still be stored.
	Wait time.Duration
}

// OptOut keeps out everything that is to come of the people that the identifiers
// stand for, until OptIn. What was stored before stays. It is in the ledger and
// durable when OptOut returns nil; after an error a part may be, and doing it again
// is safe. Kinds: Invalid, as for Submit, and where no source takes data in.
func (s *Service) OptOut(ctx context.Context, project string, raw []string, by By) (OptOutChange, error) {
	ids, err := parseIDs(raw)
	if err != nil {
		return OptOutChange{}, err
	}
	out := OptOutChange{Submitted: len(ids)}
	if ids, err = s.everyone(ctx, project, ids); err != nil {
		return out, err
	}
	ties := make([]Tie, len(ids))
	for i, id := range ids {
		ties[i].ID = id
	}
	if out.Changed, err = s.tie(ctx, project, ties, OriginAPI, by); err != nil {
		return out, err
	}
	out.Wait, err = s.fence(ctx)
	return out, err
}

// Tie opts out everyone whom a link joined to somebody who is opted out.
func (s *Service) Tie(ctx context.Context, project string, ties []Tie) error {
	_, err := s.tie(ctx, project, ties, OriginLink, program)
	return err
}

// tie opts out those who are not, and notes owners of those who are.
func (s *Service) tie(ctx context.Context, project string, ties []Tie, origin string, by By) (changed int, err error) {
	b, err := s.blocker()
	if err != nil {
		return 0, err
	}
	ids := make([]kind.Subject, len(ties))
	for i, t := range ties {
		ids[i] = t.ID
	}
	standing, err := b.Words(ctx, project, ids)
	if err != nil {
		return 0, kind.Wrap("read opt-outs", err)
	}
	var fresh []kind.Subject
	var words []Word
	for i, t := range ties {
		w := outOf(standing[i])
		if w.Out && (w.Owner != "" || t.Owner == "") {
			continue
		}
		if !w.Out {
			w = Word{Name: s.Keys.Mark(project, t.ID), Out: true, Origin: origin, By: by.Actor}
			changed++
		}
		if t.Owner != "" {
			w.Owner = s.Keys.Mark(project, t.Owner)
		}
		fresh, words = append(fresh, t.ID), append(words, w)
	}
	if len(words) == 0 {
		return 0, nil
	}
	if err := s.addOwners(ctx, b, project, fresh, words); err != nil {
		return 0, err
	}
	return changed, s.say(ctx, project, words, after(standing, s.now()), by, "opt out")
}

// OptIn takes opt-outs back, of the identifiers and of everyone they are one person
// with. It is written down also where none stands, because one that failed half-way
// can stand in the ledger alone.
func (s *Service) OptIn(ctx context.Context, project string, raw []string, by By) (OptOutChange, error) {
	ids, err := parseIDs(raw)
	if err != nil {
		return OptOutChange{}, err
	}
	b, err := s.blocker()
	if err != nil {
		return OptOutChange{}, err
	}
	out := OptOutChange{Submitted: len(ids)}
	if ids, err = s.everyone(ctx, project, ids); err != nil {
		return out, err
	}
	var marks []string
	for _, id := range ids {
		marks = append(marks, s.Keys.Marks(project, id)...)
	}
	standing, err := b.Kin(ctx, project, marks)
	if err != nil {
		return out, err
	}
	words := make([]Word, len(standing))
	for i, w := range standing {
		words[i] = Word{Name: w.Name, Origin: OriginAPI, By: by.Actor}
		if w.Out {
			out.Changed++
		}
	}
	return out, s.say(ctx, project, words, after([][]Word{standing}, s.now()), by, "opt in")
}

// OptedOut tells for each identifier, by its position, whether it is opted out: a
// Word with Out, or the zero Word.
func (s *Service) OptedOut(ctx context.Context, project string, raw []string) ([]Word, error) {
	ids, err := parseIDs(raw)
	if err != nil {
		return nil, err
	}
	b, err := s.blocker()
	if err != nil {
		return nil, err
	}
	standing, err := b.Words(ctx, project, ids)
	if err != nil {
		return nil, kind.Wrap("read opt-outs", err)
	}
	found := make(map[kind.Subject]Word, len(ids))
	for i, id := range ids {
		found[id] = outOf(standing[i])
	}
	words := make([]Word, len(raw))
	for i, one := range raw {
		id, err := kind.ParseSubject(one)
		if err != nil {
			return nil, err
		}
		words[i] = found[id]
	}
	return words, nil
}

// OptOuts reads a page of those who are opted out, newest first, and the number of
// all. Pages count from 1.
func (s *Service) OptOuts(ctx context.Context, project string, page, size int) ([]Word, int, error) {
	b, err := s.blocker()
	if err != nil {
		return nil, 0, err
	}
	from, total := (page-1)*size, 0
	var words []Word
	err = b.EachOptOut(ctx, project, func(some []Word) error {
		for _, w := range some {
			if total >= from && len(words) < size {
				words = append(words, w)
			}
			total++
		}
		return nil
	})
	return words, total, kind.Wrap("list opt-outs", err)
}

// blocker is the source that tells what stands: the first that can keep people out.
func (s *Service) blocker() (Blocker, error) {
	for _, src := range s.Sources {
		if b, ok := src.(Blocker); ok {
			return b, nil
		}
	}
	return nil, kind.Say(kind.Invalid, "Nobody can be opted out here: none of this deployment's sources takes data in.")
}

// everyone returns ids and all ids that are one person with one of them, each once. Of
// an id that is linked with more than one person can have, it returns that one alone.
func (s *Service) everyone(ctx context.Context, project string, ids []kind.Subject) ([]kind.Subject, error) {
	rule, err := s.rule(ctx, Request{Project: project})
	if err != nil {
		return nil, err
	}
	people, err := s.people(ctx, project, rule, ids, zeroTime)
	if err != nil {
		return nil, err
	}
	var all []kind.Subject
	for _, p := range people {
		if p.TooMany {
			p.IDs = p.Submitted
		}
		all = append(all, p.IDs...)
	}
	return all, nil
}

// outOf is the word of those about one id by which it is opted out, or the zero Word.
func outOf(words []Word) Word {
	for _, w := range words {
		if w.Out {
			return w
		}
	}
	return Word{}
}

// after is a moment that is behind every word, whatever clock gave their times.
func after(standing [][]Word, now time.Time) time.Time {
	for _, words := range standing {
		for _, w := range words {
			if !now.After(w.Time) {
				now = w.Time.Add(time.Millisecond)
			}
		}
	}
	return now
}

// addOwners completes words about ids by whom they belong to.
func (s *Service) addOwners(ctx context.Context, b Blocker, project string, ids []kind.Subject, words []Word) error {
	owners, err := b.Owners(ctx, project, ids)
	if err != nil {
		return kind.Wrap("look for owners of devices", err)
	}
	for i, owner := range owners {
		if words[i].Owner == "" {
			words[i].Owner = owner
		}
	}
	return nil
}

// say writes words of one moment down, in the audit trail, the records and the
// ledger, and then makes them stand.
func (s *Service) say(ctx context.Context, project string, words []Word, at time.Time, by By, action string) error {
	for i := range words {
		words[i].Time = at
	}
	entry := ledgerEntry{Task: newTask(), Project: project, Cutoff: at}
	entry.say(words)
	if err := s.Accounts.Record(ctx, Entry{Project: project, Time: s.now(), Actor: by.Actor, From: by.From, Action: action}); err != nil {
		return kind.Wrap("audit", err)
	}
	if err := s.writeLedger(ctx, entry); err != nil {
		return err
	}
	return s.sayAll(ctx, project, words)
}

// sayAll says words to every source that can keep people out.
func (s *Service) sayAll(ctx context.Context, project string, words []Word) error {
	for _, src := range s.Sources {
		b, ok := src.(Blocker)
		if !ok {
			continue
		}
		for part := range slices.Chunk(words, 1000) {
			if err := b.Say(ctx, project, part); err != nil {
				return kind.Wrap("write opt-outs", err)
			}
		}
	}
	return nil
}

// blocks are the words by which a deletion opts people out as of its cutoff; none if
// it does not block. When Begin runs again, links can be gone that told of owners;
// what was said before then tells of them.
func (s *Service) blocks(ctx context.Context, r Request, ids []kind.Subject) ([]Word, error) {
	if !r.Block {
		return nil, nil
	}
	b, err := s.blocker()
	if err != nil {
		return nil, err
	}
	standing, err := b.Words(ctx, r.Project, ids)
	if err != nil {
		return nil, kind.Wrap("read opt-outs", err)
	}
	words := make([]Word, len(ids))
	for i, id := range ids {
		words[i] = Word{
			Name: s.Keys.Mark(r.Project, id), Time: r.Limit, Out: true,
			Origin: OriginDeletion + " " + r.Task, By: r.Requester, Owner: outOf(standing[i]).Owner,
		}
	}
	return words, s.addOwners(ctx, b, r.Project, ids, words)
}
