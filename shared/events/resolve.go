package events

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Resolve implements dsr.Resolver: people are the closure over the edges that are
// followed. These are the rules, in the order in which edges were first received:
//
//   - An alias maps to one identifier, the first that it was made an alias of.
//   - An anonymous identifier, or a device, belongs to the first user that it was
//     linked with, by $identify or by $device_id with $user_id.
//   - In original identity, $merge makes one person of two.
//   - In simplified identity it does not: two user ids are never one person. A user
//     id is one that came as $user_id with a device, as $identified_id or in
//     $merge, also if that edge was erased with its other end. An edge that would join two through identifiers that are no users' is
//     not followed.
//
// An edge that is not followed tells nothing of whose data is whose, and is in
// Apart.
func (s *Store) Resolve(ctx context.Context, project string, rule dsr.Identity, ids []kind.Subject, until time.Time) ([]dsr.Person, error) {
	g := s.graph(project, rule, until)
	if err := g.load(ctx, ids); err != nil {
		return nil, kind.Wrap("resolve identities", err)
	}
	var people []dsr.Person
	of := map[kind.Subject]int{} // the place in people of everyone found
	for _, id := range ids {
		if i, ok := of[id]; ok {
			if !slices.Contains(people[i].Submitted, id) {
				people[i].Submitted = append(people[i].Submitted, id)
			}
			continue
		}
		p, err := g.person(ctx, id)
		if err != nil {
			return nil, kind.Wrap("resolve identities", err)
		}
		for _, m := range p.IDs {
			of[m] = len(people)
		}
		p.Submitted = []kind.Subject{id}
		people = append(people, p)
		maps.DeleteFunc(g.nodes, func(_ kind.Subject, n *node) bool { return n.brief })
	}
	return people, nil
}

// A graph is the part of a project's edges that has been read.
type graph struct {
	store   *Store
	project string
	rule    dsr.Identity
	until   time.Time
	nodes   map[kind.Subject]*node
	blocks  map[kind.Subject]*block
	// more are edges that are not stored, and owners whom identifiers belong to
	// whatever the edges say.
	more   map[kind.Subject][]half
	owners map[kind.Subject]kind.Subject
}

func (s *Store) graph(project string, rule dsr.Identity, until time.Time) *graph {
	return &graph{store: s, project: project, rule: rule, until: until, nodes: map[kind.Subject]*node{}, blocks: map[kind.Subject]*block{}}
}

// A node is an identifier with its edges, in their order. Of very many, those that end
// here and are certainly not followed are only counted, but for a few.
type node struct {
	id    kind.Subject
	edges []half
	lost  []half // the first of those that are not in edges
	count int    // of all edges
	// many means that more edges may be followed than one person can have; then none of
	// them are in edges.
	many bool
	// brief means that of the edges only what they decide is kept here.
	brief bool
	// user means that this is a user id, which is never one person with another.
	user bool
	// owner is who an anonymous identifier belongs to, and target what an alias is one
	// of.
	owner, target kind.Subject
}

// belongs is whom n belongs to as a device or as an alias, or "".
func (n *node) belongs() kind.Subject { return cmp.Or(n.owner, n.target) }

// A half is an edge seen from one of its ends.
type half struct {
	kind      edgeKind
	outgoing  bool // this end is the edge's from
	other     kind.Subject
	received  int64
	time      int64
	user, end kind.Subject // the edge's from and to
}

// order is that in which edges were received. It is the same seen from both ends.
func (h half) order(i half) int {
	return cmp.Or(cmp.Compare(h.received, i.received), cmp.Compare(h.time, i.time), cmp.Compare(h.kind, i.kind),
		cmp.Compare(h.user, i.user), cmp.Compare(h.end, i.end))
}

// load reads nodes that have not been read, some at once.
func (g *graph) load(ctx context.Context, ids []kind.Subject) error {
	return g.loadSome(ctx, ids, func(*node) bool { return true })
}

// loadSome is load, and keeps the edges of those alone that whole says.
func (g *graph) loadSome(ctx context.Context, ids []kind.Subject, whole func(*node) bool) error {
	asked := map[kind.Subject]bool{}
	for _, id := range ids {
		if n := g.nodes[id]; n == nil || n.brief && whole(n) {
			asked[id] = true
		}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * ahead)
	for id := range asked {
		group.Go(func() error {
			n, err := g.read(ctx, id)
			if err == nil && !whole(n) {
				n.brief, n.edges, n.lost = true, nil, nil
			}
			mu.Lock()
			defer mu.Unlock()
			g.nodes[id] = n
			return err
		})
	}
	return group.Wait()
}

func (g *graph) read(ctx context.Context, id kind.Subject) (*node, error) {
	n := &node{id: id, owner: g.owners[id], target: g.owners[id]}
	r := reading{node: n, graph: g, decided: n.owner != "", crowd: mostKept}
	q := table.Query{PK: subjectPK(g.project, id), From: edgePrefix, To: behind(strings.TrimSuffix(edgePrefix, "#")), Limit: pageRows}
	for {
		page, err := g.store.subjects.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			if item.SK == userSK {
				n.user = g.rule == dsr.Simplified
				continue
			}
			h, err := readHalf(id, item)
			if err != nil {
				return nil, err
			}
			r.add(h)
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	for _, h := range g.more[id] {
		r.add(h)
	}
	slices.SortFunc(n.edges, half.order)
	slices.SortFunc(n.lost, half.order)
	return n, nil
}

// A reading puts a node together from edges in any order.
type reading struct {
	*node
	graph         *graph
	decided       bool // whatever the edges say, it is known whom the node belongs to
	owned, mapped half // the first edges of those that decide that
	crowd         int  // of how many edges those are taken out that are not followed
}

func (r *reading) add(h half) {
	g := r.graph
	switch claims := h.kind == byDevice || h.kind == byIdentify; {
	case r.decided:
	case claims && !h.outgoing && (r.owner == "" || h.order(r.owned) < 0):
		r.owned, r.owner = h, h.other
	case h.kind == byAlias && h.outgoing && (r.target == "" || h.order(r.mapped) < 0):
		r.mapped, r.target = h, h.other
	}
	from, to := h.kind.tellsUsers()
	r.user = r.user || g.rule == dsr.Simplified && (h.outgoing && from || !h.outgoing && to)
	// What is first, and who is a user, goes by all edges; a later one is not followed.
	if !g.until.IsZero() && !within(dsr.Scope{Limit: g.until, Erasure: true}, h.received, time.UnixMilli(h.time)) {
		return
	}
	if r.count++; r.many {
		return
	}
	if r.edges = append(r.edges, h); len(r.edges) > r.crowd {
		r.thin()
	}
}

// thin takes out of the edges those that others here came before.
func (r *reading) thin() {
	r.edges = slices.DeleteFunc(r.edges, func(h half) bool {
		first := r.owner
		if h.kind == byAlias {
			first = r.target
		}
		lost := h.decider() == r.id && h.other != first
		if lost {
			r.lost = append(r.lost, h)
		}
		return lost
	})
	if len(r.edges) > mostRead {
		r.lost, r.edges, r.many = append(r.lost, r.edges...), nil, true
	}
	r.crowd = max(mostKept, 2*len(r.edges))
	slices.SortFunc(r.lost, half.order)
	r.lost = slices.Clone(r.lost[:min(len(r.lost), dsr.MostApart)])
}

func readHalf(id kind.Subject, item table.Item) (half, error) {
	head, err := readHead(item.Data)
	if err != nil {
		return half{}, err
	}
	e, err := readEnd(item.SK, head.body)
	if err != nil {
		return half{}, err
	}
	h := half{kind: e.kind, outgoing: e.outgoing, other: e.other, received: head.received, time: e.time.UnixMilli(), user: id, end: e.other}
	if !h.outgoing {
		h.user, h.end = h.end, h.user
	}
	return h, nil
}

// decider is the end of an edge at which the rule of its kind is decided, or "" if
// nothing decides.
func (h half) decider() kind.Subject {
	switch h.kind {
	case byAlias:
		return h.user
	case byMerge:
		return ""
	}
	return h.end
}

// followed reports whether an edge is followed, as far as its own two ends tell, which
// have been read.
func (g *graph) followed(h half) bool { return g.follows(g.nodes[h.decider()], h) }

// follows is followed where n is the end at which that is decided.
func (g *graph) follows(n *node, h half) bool {
	switch h.kind {
	case byAlias:
		return n.target == h.end
	case byMerge:
		return g.rule == dsr.Original
	}
	return n.owner == h.user
}

const (
	// mostRead is how many neighbours of one identifier are read to know whether an edge
	// to them is followed, and mostOfAll is how many of one person.
	mostRead  = 4 * dsr.MaxPerson
	mostOfAll = 2 * mostRead
	// mostKept is how many edges of one identifier are kept, whether they are followed or
	// not.
	mostKept = 1000
)

// errTooMany means that a person has more identifiers than one person can have.
var errTooMany = errors.New("too many identifiers of one person")

// neighbours reads those of n that an edge may lead to: a device that many people
// used knows itself which of them it belongs to. Of those whom none leads to, and of
// users, whom a person has one of, it keeps no edges. It adds to read how many they are.
func (g *graph) neighbours(ctx context.Context, n *node, read *int) error {
	var ids []kind.Subject
	to := map[kind.Subject][]half{}
	for _, h := range n.edges {
		if h.decider() != n.id || g.follows(n, h) {
			ids = append(ids, h.other)
			to[h.other] = append(to[h.other], h)
		}
	}
	if *read += len(ids); len(ids) > mostRead || *read > mostOfAll || n.many {
		return errTooMany
	}
	return g.loadSome(ctx, ids, func(o *node) bool {
		return !o.user && slices.ContainsFunc(to[o.id], func(h half) bool { return h.decider() == n.id || g.follows(o, h) })
	})
}

// person finds who id belongs to. Of more than one person can have, it is id alone.
func (g *graph) person(ctx context.Context, id kind.Subject) (dsr.Person, error) {
	var p dsr.Person
	members := map[kind.Subject]bool{id: true}
	err := g.gather(ctx, id, members)
	if errors.Is(err, errTooMany) {
		members = map[kind.Subject]bool{id: true}
		p.TooMany, err = true, nil
	}
	if err != nil {
		return p, err
	}
	p.IDs = slices.Sorted(maps.Keys(members))
	for _, m := range p.IDs {
		n := g.nodes[m]
		p.ApartCount += n.count - len(n.edges) - len(n.lost)
		for _, h := range slices.Concat(n.edges, n.lost) {
			if members[h.other] {
				continue
			}
			if p.ApartCount++; len(p.Apart) < dsr.MostApart {
				p.Apart = append(p.Apart, dsr.Link{Kind: string(h.kind), ID: m, To: h.other})
			}
		}
	}
	return p, nil
}

// gather adds everyone who is one person with id, which has been read.
func (g *graph) gather(ctx context.Context, id kind.Subject, members map[kind.Subject]bool) error {
	add := func(ids []kind.Subject) error {
		for _, m := range ids {
			members[m] = true
		}
		if len(members) > dsr.MaxPerson {
			return errTooMany
		}
		return nil
	}
	read := 0
	blocks := map[*block]bool{}
	blockOf := func(n *node) (*block, error) {
		b, err := g.block(ctx, n)
		if err == nil && !blocks[b] {
			blocks[b] = true
			if read += b.read; read > mostOfAll {
				err = errTooMany
			}
		}
		return b, err
	}
	n := g.nodes[id]
	if !n.user {
		b, err := blockOf(n)
		if err != nil {
			return err
		}
		if err := add(b.with(id)); err != nil {
			return err
		}
		user := b.user(id)
		if user == "" {
			return nil
		}
		members[user] = true
		if err := g.load(ctx, []kind.Subject{user}); err != nil {
			return err
		}
		n = g.nodes[user]
	}
	if err := g.neighbours(ctx, n, &read); err != nil {
		return err
	}
	for _, h := range n.edges {
		o := g.nodes[h.other]
		if o == nil || o.user || members[o.id] || !g.followed(h) {
			continue
		}
		b, err := blockOf(o)
		if err != nil {
			return err
		}
		if b.user(o.id) != n.id {
			continue
		}
		if err := add(b.with(o.id)); err != nil {
			return err
		}
	}
	return nil
}

// A block is identifiers that are no users', linked with each other, and split among
// the users that they are linked with.
type block struct {
	ids  []kind.Subject
	root map[kind.Subject]kind.Subject // a union-find forest of ids and users
	of   map[kind.Subject]kind.Subject // the user of a root
	read int                           // how many neighbours were read to find it
}

// block finds the one that n is in.
func (g *graph) block(ctx context.Context, n *node) (*block, error) {
	if b := g.blocks[n.id]; b != nil {
		return b, nil
	}
	b := &block{root: map[kind.Subject]kind.Subject{}, of: map[kind.Subject]kind.Subject{}}
	var edges []half
	for next := []*node{n}; len(next) > 0; next = next[1:] {
		n := next[0]
		if b.root[n.id] != "" {
			continue
		}
		b.root[n.id] = n.id
		if b.ids = append(b.ids, n.id); len(b.ids) > dsr.MaxPerson {
			return nil, errTooMany
		}
		if err := g.neighbours(ctx, n, &b.read); err != nil {
			return nil, err
		}
		for _, h := range n.edges {
			o := g.nodes[h.other]
			switch {
			case o == nil || !g.followed(h):
				continue
			case o.user:
				b.root[o.id], b.of[o.id] = o.id, o.id
			default:
				next = append(next, o)
			}
			edges = append(edges, h)
		}
	}
	slices.SortFunc(edges, half.order)
	for _, h := range edges {
		b.join(h.user, h.end)
	}
	for _, id := range b.ids {
		g.blocks[id] = b
	}
	return b, nil
}

func (b *block) find(id kind.Subject) kind.Subject {
	for b.root[id] != id {
		b.root[id] = b.root[b.root[id]]
		id = b.root[id]
	}
	return id
}

// join makes two identifiers one person, unless they are of two users.
func (b *block) join(x, y kind.Subject) {
	x, y = b.find(x), b.find(y)
	switch {
	case x == y || b.of[x] != "" && b.of[y] != "":
	case b.of[x] != "":
		b.root[y] = x
	default:
		b.root[x] = y
	}
}

// user is whose id is, or "".
func (b *block) user(id kind.Subject) kind.Subject { return b.of[b.find(id)] }

// with is every identifier of the block that is one person with id.
func (b *block) with(id kind.Subject) []kind.Subject {
	root := b.find(id)
	var ids []kind.Subject
	for _, m := range b.ids {
		if b.find(m) == root {
			ids = append(ids, m)
		}
	}
	return ids
}
