package dsr

import (
	"context"
	"time"

	"lethe/shared/kind"
)

// A Tie is an id that a link joins to somebody who is opted out.
type Tie struct {
	ID kind.Subject
	// Owner is whom ID belongs to, if it is a device or an alias; else empty.
	Owner kind.Subject
	// Cause is the one of the same person who was found to be opted out.
	Cause kind.Subject
}

// tieTime bounds Tie, whatever its caller gives.
const tieTime = 30 * time.Second

// Tie opts out everyone whom a link joined to somebody who is opted out. It is done
// also if its caller gives up, who may have stored what the link was sent with.
func (s *Service) Tie(ctx context.Context, project string, ties []Tie) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tieTime)
	defer cancel()
	rule, err := s.rule(ctx, Request{Project: project})
	if err != nil {
		return err
	}
	said := map[kind.Subject]bool{}
	for range mostLooks {
		if err := s.follow(ctx, project, ties, OriginLink, program, "opt-out.add"); err != nil {
			return err
		}
		var ids []kind.Subject
		for _, t := range ties {
			said[t.ID] = true
			ids = append(ids, t.ID)
		}
		people, err := s.people(ctx, project, rule, ids, zeroTime)
		if err != nil {
			return err
		}
		ties = nil
		for _, p := range people {
			for _, id := range p.IDs {
				if !said[id] {
					ties = append(ties, Tie{ID: id, Cause: p.Submitted[0]})
				}
			}
		}
		if len(ties) == 0 {
			return nil
		}
	}
	return kind.E(kind.Unavailable, "opt out whom a link joined: more and more are linked")
}

// follow opts out those of ties whose Cause still is, behind whatever was said of
// them, and notes owners of those who are; with an entry of the audit trail if action
// names one. Who is opted in at this moment is not opted out again: OptIn looks a
// second time for those who follow, and until then they follow whoever is out.
func (s *Service) follow(ctx context.Context, project string, ties []Tie, origin string, by By, action string) error {
	b, err := s.blocker()
	if err != nil {
		return err
	}
	ids := make([]kind.Subject, 0, 3*len(ties))
	for _, t := range ties {
		ids = append(ids, t.ID, t.Owner, t.Cause)
	}
	standing, err := b.Words(ctx, project, ids)
	if err != nil {
		return kind.Wrap("read opt-outs", err)
	}
	var fresh []kind.Subject
	var notes, words []Word
	for i, t := range ties {
		was, owner, cause := standing[3*i], standing[3*i+1], outOf(standing[3*i+2])
		w := outOf(was)
		if w.Out {
			if w.Owner == "" && t.Owner != "" {
				w.Owner = s.nameOf(project, t.Owner, owner)
				notes = append(notes, w)
			}
			continue
		}
		if !cause.Out {
			continue
		}
		w = Word{
			Name: s.Keys.Mark(project, t.ID), Time: after([][]Word{was}, cause.Time), Out: true, Origin: origin, By: by.Actor, Because: cause.Name,
		}
		if t.Owner != "" {
			w.Owner = s.nameOf(project, t.Owner, owner)
		}
		fresh, words = append(fresh, t.ID), append(words, w)
	}
	if len(notes)+len(words) == 0 {
		return nil
	}
	if err := s.addOwners(ctx, b, project, fresh, words); err != nil {
		return err
	}
	if action != "" {
		if err := s.auditWords(ctx, project, by, action, words); err != nil {
			return err
		}
	}
	if err := s.writeWords(ctx, project, append(notes, words...)); err != nil {
		return err
	}
	if err := s.sayAll(ctx, project, notes, Blocker.Say); err != nil {
		return err
	}
	return s.sayAll(ctx, project, words, Blocker.Follow)
}
