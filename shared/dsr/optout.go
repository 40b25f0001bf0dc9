package dsr

import (
	"cmp"
	"context"
	"fmt"
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
	// Owners tells for each id that is a device or an alias whom it belongs to, by the
	// links that the source holds: the first. It is empty for any other id.
	Owners(ctx context.Context, project string, ids []kind.Subject) ([]kind.Subject, error)
	// Say makes words stand, each unless a later one does (see Word.Over). Data of a
	// subject that is opted out is dropped from its return on, as after Suppress; Fence
	// tells of what is under way. After an error some may stand; saying them again is safe.
	Say(ctx context.Context, project string, words []Word) error
	// Follow is Say of words that each stand only if whom it came about by, Because, is
	// opted out at that very moment. Where one is not, it returns kind.Unavailable: look
	// again at who is.
	Follow(ctx context.Context, project string, words []Word) error
	// Kin reads the word under each of marks, one without a Time where there is none,
	// and those of all that are opted out with one of them, because one is the Owner of
	// the other or came about by it; each once.
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
	// Because is the mark of whoever was opted out already when a link joined this
	// subject to them, or empty: both are opted in together. The link is not kept.
	Because string
}

// Origins of a Word.
const (
	OriginAPI      = "api"
	OriginLink     = "link"
	OriginDeletion = "deletion"
)

// Over returns which of two words about one mark stands, w or what stood before:
// the later one, or of one moment the one that opts out. Where both opt out, the
// Owner of the one that came first stays.
func (w Word) Over(before Word) Word {
	first, last := before, w
	stands := last
	switch c := w.Time.Compare(before.Time); {
	case c < 0:
		first, last = w, before
		stands = last
	case c == 0 && (before.Out || !w.Out):
		stands = before
	}
	if first.Out && last.Out {
		stands.Owner = cmp.Or(first.Owner, last.Owner)
	}
	return stands
}

// An OptOutChange is what a call changed.
type OptOutChange struct {
	Submitted int // identifiers, each counted once
	Changed   int // identifiers opted out now, or not any more, those of the same people included
	// Wait is how long data that was under way may still be stored.
	Wait time.Duration
}

// mostLooks is how often OptOut, OptIn and Tie look who else belongs to somebody, while
// each look finds more.
const mostLooks = 10

// OptOut keeps out everything that is to come of the people that the identifiers
// stand for, until OptIn. What was stored before stays. It is in the ledger and
// durable when OptOut returns nil; after an error a part may be, and doing it again
// is safe. Kinds: Invalid, as for Submit, where the identifiers are linked with too
// many, and where no source takes data in; Unavailable while more and more are linked.
func (s *Service) OptOut(ctx context.Context, project string, raw []string, by By) (OptOutChange, error) {
	ids, err := parseIDs(raw)
	if err != nil {
		return OptOutChange{}, err
	}
	out := OptOutChange{Submitted: len(ids)}
	said := map[kind.Subject]bool{}
	for range mostLooks {
		// A link that is stored once this has looked finds its end opted out.
		all, err := s.everyone(ctx, project, ids)
		if err != nil {
			return out, err
		}
		fresh := slices.DeleteFunc(all, func(id kind.Subject) bool { return said[id] })
		if len(fresh) == 0 {
			out.Wait, err = s.fence(ctx)
			return out, err
		}
		changed, err := s.optOut(ctx, project, fresh, by)
		if err != nil {
			return out, err
		}
		out.Changed += changed
		for _, id := range fresh {
			said[id] = true
		}
	}
	return out, kind.Say(kind.Unavailable, "While these identifiers were opted out, more and more were linked with them. Send this again, to opt out the rest.")
}

// optOut opts out those of ids who are not.
func (s *Service) optOut(ctx context.Context, project string, ids []kind.Subject, by By) (changed int, err error) {
	b, err := s.blocker()
	if err != nil {
		return 0, err
	}
	standing, err := b.Words(ctx, project, ids)
	if err != nil {
		return 0, kind.Wrap("read opt-outs", err)
	}
	at := after(standing, s.now())
	var fresh []kind.Subject
	var words []Word
	for i, id := range ids {
		if !outOf(standing[i]).Out {
			fresh = append(fresh, id)
			words = append(words, Word{Name: s.Keys.Mark(project, id), Time: at, Out: true, Origin: OriginAPI, By: by.Actor})
		}
	}
	if len(words) == 0 {
		return 0, nil
	}
	if err := s.addOwners(ctx, b, project, fresh, words); err != nil {
		return 0, err
	}
	if err := s.auditWords(ctx, project, by, "opt-out.add", words); err != nil {
		return 0, err
	}
	if err := s.writeWords(ctx, project, words); err != nil {
		return 0, err
	}
	return len(words), s.sayAll(ctx, project, words, Blocker.Say)
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
	at := s.now()
	for look := range mostLooks {
		standing, err := b.Kin(ctx, project, marks)
		if err != nil {
			return out, err
		}
		if look > 0 {
			standing = leftBehind(standing, at)
		}
		if len(standing) == 0 {
			return out, nil
		}
		at = after([][]Word{standing}, at)
		words := make([]Word, len(standing))
		for i, w := range standing {
			words[i] = Word{Name: w.Name, Time: at, Origin: OriginAPI, By: by.Actor}
			if w.Out {
				out.Changed++
			}
			marks = append(marks, w.Name)
		}
		if look == 0 {
			if err := s.auditWords(ctx, project, by, "opt-out.remove", words); err != nil {
				return out, err
			}
		}
		if err := s.writeWords(ctx, project, words); err != nil {
			return out, err
		}
		if err := s.sayAll(ctx, project, words, Blocker.Say); err != nil {
			return out, err
		}
	}
	return out, kind.Say(kind.Unavailable, "While these identifiers were opted in, more and more were found to be opted out with them. Send this again, to opt in the rest.")
}

// leftBehind is those of kin who are out though the word of at meant them too: they
// followed somebody while that one was being opted in.
func leftBehind(kin []Word, at time.Time) (left []Word) {
	out := map[string]bool{}
	for _, w := range kin {
		out[w.Name] = w.Out
	}
	for _, w := range kin {
		if w.Out && (!w.Time.After(at) || w.Because != "" && !out[w.Because]) {
			left = append(left, w)
		}
	}
	return left
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

// everyone returns ids and all ids that are one person with one of them, each once.
func (s *Service) everyone(ctx context.Context, project string, ids []kind.Subject) ([]kind.Subject, error) {
	rule, err := s.rule(ctx, Request{Project: project})
	if err != nil {
		return nil, err
	}
	people, total, err := s.everybody(ctx, project, rule, ids, zeroTime)
	if err != nil {
		return nil, err
	}
	if total > maxRoster {
		return nil, kind.Say(kind.Invalid, fmt.Sprintf("The identifiers are linked with more than %d in all. Put them into several calls.", maxRoster))
	}
	var all []kind.Subject
	for _, p := range people {
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

// nameOf is the mark under which words about id are: that by which it is opted out,
// though the key was renewed since, or the newest.
func (s *Service) nameOf(project string, id kind.Subject, standing []Word) string {
	if w := outOf(standing); w.Out {
		return w.Name
	}
	return s.Keys.Mark(project, id)
}

// addOwners completes words about ids by whom they belong to.
func (s *Service) addOwners(ctx context.Context, b Blocker, project string, ids []kind.Subject, words []Word) error {
	owners, err := b.Owners(ctx, project, ids)
	if err != nil {
		return kind.Wrap("look for owners of devices", err)
	}
	standing, err := b.Words(ctx, project, owners)
	if err != nil {
		return kind.Wrap("read opt-outs", err)
	}
	for i, owner := range owners {
		if owner != "" && words[i].Owner == "" {
			words[i].Owner = s.nameOf(project, owner, standing[i])
		}
	}
	return nil
}

// auditWords writes down who opts whom out or in, by their marks.
func (s *Service) auditWords(ctx context.Context, project string, by By, action string, words []Word) error {
	for part := range slices.Chunk(words, marksOfPage) {
		e := Entry{Project: project, Time: s.now(), Actor: by.Actor, From: by.From, Action: action}
		for _, w := range part {
			e.Subjects = append(e.Subjects, w.Name)
		}
		if err := s.Accounts.Record(ctx, e); err != nil {
			return kind.Wrap("audit", err)
		}
	}
	return nil
}

// writeWords puts words into the ledger, before they stand: those that share what an
// entry has once in one entry.
func (s *Service) writeWords(ctx context.Context, project string, words []Word) error {
	type shared struct {
		time   time.Time
		out    bool
		origin string
	}
	var order []shared
	parts := map[shared][]Word{}
	for _, w := range words {
		of := shared{w.Time, w.Out, w.Origin}
		if parts[of] == nil {
			order = append(order, of)
		}
		parts[of] = append(parts[of], w)
	}
	for _, of := range order {
		entry := ledgerEntry{Task: NewID(), Project: project, Cutoff: of.time}
		entry.say(parts[of])
		if err := s.writeLedger(ctx, entry); err != nil {
			return err
		}
	}
	return nil
}

// sayAll gives words to every source that can keep people out.
func (s *Service) sayAll(ctx context.Context, project string, words []Word, say func(Blocker, context.Context, string, []Word) error) error {
	for _, src := range s.Sources {
		b, ok := src.(Blocker)
		if !ok {
			continue
		}
		for part := range slices.Chunk(words, 1000) {
			if err := say(b, ctx, project, part); err != nil {
				return kind.Wrap("write opt-outs", err)
			}
		}
	}
	return nil
}
