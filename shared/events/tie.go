package events

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// An edge that names somebody who is opted out is not stored. If it makes the other
// end the same person, by the rules of Resolve, that person is opted out whole: the
// rest of the batch is dropped for them as well, and Receipt.Ties names them for
// dsr.Service.Tie. What later edges at a device are to be judged by, since this one is
// not there, is the Owner that its opt-out keeps.

// stranger stands for an owner of whom only a mark is known, and who is none of the
// ends of the edges at hand. It is no identifier, since those are trimmed.
const stranger kind.Subject = " "

// out reports whether id is opted out, before this batch or by it.
func (w *writing) out(id kind.Subject) (bool, error) {
	if _, tied := w.tied[id]; tied {
		return true, nil
	}
	said, err := w.look.word(id)
	return said.Out, err
}

// tie finds out whom edges, on their way or stored, join to somebody who is opted out.
func (w *writing) tie(ctx context.Context, edges []edge) error {
	var open []edge
	for _, g := range edges {
		news, err := w.mayTie(g)
		if err != nil {
			return err
		}
		if news {
			open = append(open, g)
		}
	}
	if len(open) == 0 {
		return nil
	}
	rules, err := w.store.rules(ctx, w.project)
	if err != nil {
		return err
	}
	g, err := w.graph(rules.Identity, edges)
	if err != nil {
		return err
	}
	if w.tied == nil {
		w.tied = map[kind.Subject]kind.Subject{}
	}
	for _, e := range open {
		if err := w.tieOne(ctx, g, e); err != nil {
			return err
		}
	}
	return nil
}

// tieStored looks at the edges that were just stored once more: whoever was opted out
// meanwhile looked for others either before they were there, or will find them.
func (w *writing) tieStored(ctx context.Context) error {
	if len(w.edges) == 0 {
		return nil
	}
	w.look = w.store.look(w.project, 2*len(w.edges))
	var edges []edge
	for _, link := range w.edges {
		edges = append(edges, link.edge)
		w.look.subject(link.from)
		w.look.subject(link.to)
	}
	if err := w.look.read(ctx); err != nil {
		return err
	}
	return w.tie(ctx, edges)
}

// mayTie reports whether it is worth a look at what is stored whether g joins
// somebody to who is opted out: not if the opt-outs tell.
func (w *writing) mayTie(g edge) (bool, error) {
	from, err := w.look.word(g.from)
	if err != nil {
		return false, err
	}
	to, err := w.look.word(g.to)
	if err != nil || !from.Out && !to.Out {
		return false, err
	}
	belongs, owner := to, g.from
	switch g.kind {
	case byMerge:
		return !from.Out || !to.Out, nil
	case byAlias:
		belongs, owner = from, g.to
	}
	if belongs.Owner == "" {
		return true, nil
	}
	return slices.Contains(w.store.keys.Marks(w.project, owner), belongs.Owner) && (!from.Out || !to.Out), nil
}

// graph is what is stored and edges.
func (w *writing) graph(rule dsr.Identity, edges []edge) (*graph, error) {
	g := w.store.graph(w.project, rule, time.Time{})
	g.more, g.owners = map[kind.Subject][]half{}, map[kind.Subject]kind.Subject{}
	ends := map[kind.Subject]bool{}
	for _, e := range edges {
		h := half{kind: e.kind, outgoing: true, other: e.to, received: w.received.UnixMilli(), time: e.time.UnixMilli(), user: e.from, end: e.to}
		g.more[e.from] = append(g.more[e.from], h)
		h.outgoing, h.other = false, e.from
		g.more[e.to] = append(g.more[e.to], h)
		ends[e.from], ends[e.to] = true, true
	}
	byMark := map[string]kind.Subject{}
	for id := range ends {
		for _, mark := range w.store.keys.Marks(w.project, id) {
			byMark[mark] = id
		}
	}
	for id := range ends {
		said, err := w.look.word(id)
		if err != nil {
			return nil, err
		}
		if said.Owner == "" {
			continue
		}
		if g.owners[id] = byMark[said.Owner]; g.owners[id] == "" {
			g.owners[id] = stranger
		}
	}
	return g, nil
}

// tieOne opts the people out whom e makes one with its other end.
func (w *writing) tieOne(ctx context.Context, g *graph, e edge) error {
	if err := g.load(ctx, []kind.Subject{e.from}); err != nil {
		return err
	}
	p, err := g.person(ctx, e.from)
	if err != nil || !slices.Contains(p.IDs, e.to) {
		return err
	}
	cause, err := w.cause(e)
	if err != nil {
		return err
	}
	for _, id := range p.IDs {
		if _, tied := w.tied[id]; tied {
			continue
		}
		w.tied[id] = cause
		owner := g.nodes[id].belongs()
		if owner == stranger {
			owner = ""
		}
		w.ties = append(w.ties, dsr.Tie{ID: id, Owner: owner, Cause: cause})
	}
	return nil
}

// cause is the one who was opted out before the batch, because of whom the ends of e
// are.
func (w *writing) cause(e edge) (kind.Subject, error) {
	for _, id := range []kind.Subject{e.from, e.to} {
		if said, err := w.look.word(id); said.Out || err != nil {
			return id, err
		}
	}
	return cmp.Or(w.tied[e.from], w.tied[e.to]), nil
}
