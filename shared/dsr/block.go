package dsr

import (
	"cmp"
	"context"
	"time"

	"lethe/shared/kind"
)

// blockAt is the moment as of which a deletion of ids opts them out: its cutoff, or
// just behind what stands of them, whatever clock gave that its time.
func (s *Service) blockAt(ctx context.Context, r Request, ids []kind.Subject) (time.Time, error) {
	b, err := s.blocker()
	if err != nil {
		return zeroTime, err
	}
	standing, err := b.Words(ctx, r.Project, ids)
	return after(standing, r.Limit), kind.Wrap("read opt-outs", err)
}

// blocks are the words by which a deletion opts people out as of its beginning; none if
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
		was := outOf(standing[i])
		words[i] = Word{
			Name: s.nameOf(r.Project, id, standing[i]), Time: cmp.Or(r.BlockedAt, r.Limit), Out: true,
			Origin: OriginDeletion + " " + r.Task, By: r.Requester, Owner: was.Owner, Because: was.Because,
		}
	}
	return words, s.addOwners(ctx, b, r.Project, ids, words)
}

// blockMore gives those whom a deletion that blocks takes in after its beginning what
// was last said of their person: that they are opted out, or in again since.
func (s *Service) blockMore(ctx context.Context, r Request, w *work, fresh []grown) error {
	if !r.Block {
		return nil
	}
	b, err := s.blocker()
	if err != nil {
		return err
	}
	added := make([]kind.Subject, len(fresh))
	for i, f := range fresh {
		added[i] = kind.Subject(f.ID)
	}
	said, err := b.Words(ctx, r.Project, added)
	if err != nil {
		return kind.Wrap("read opt-outs", err)
	}
	persons := map[int]spoken{} // by cluster
	var ties []Tie
	var since []Word
	for i, f := range fresh {
		person, known := persons[f.Cluster]
		if !known {
			if person, err = s.spoken(ctx, b, r.Project, w.asBegun(f.Cluster)); err != nil {
				return err
			}
			persons[f.Cluster] = person
		}
		switch last := person.last; {
		case person.out != "":
			ties = append(ties, Tie{ID: added[i], Cause: person.out})
		case !last.Time.IsZero() && !outOf(said[i]).Out:
			last.Name = s.Keys.Mark(r.Project, added[i])
			since = append(since, last)
		}
	}
	if err := s.follow(ctx, r.Project, ties, OriginDeletion+" "+r.Task, By{Actor: r.Requester}, ""); err != nil {
		return err
	}
	if err := s.writeWords(ctx, r.Project, since); err != nil {
		return err
	}
	return s.sayAll(ctx, r.Project, since, Blocker.Say)
}

// spoken is what stands of a person.
type spoken struct {
	out  kind.Subject // one of the ids, which is opted out; or empty
	last Word
}

func (s *Service) spoken(ctx context.Context, b Blocker, project string, ids []kind.Subject) (person spoken, err error) {
	standing, err := b.Words(ctx, project, ids)
	for i, words := range standing {
		if outOf(words).Out {
			person.out = ids[i]
		}
		for _, w := range words {
			person.last = w.Over(person.last)
		}
	}
	return person, kind.Wrap("read opt-outs", err)
}
