package events

import (
	"context"
	"io"
	"strings"
	"sync"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

const (
	// firstRows and moreRows are the items of the first page and of later pages of
	// one id's events.
	firstRows = 200
	moreRows  = 1000
	// heldRows is about how many items of one cluster are in memory at a time, as far
	// as the number of its ids lets it be so few.
	heldRows = 20_000
	// opened is how many clusters are being read at once.
	opened = 4
)

// Collect implements dsr.Source. A profile is handed out as
// {"$distinct_id":…,"$properties":{…}}, and the properties of an event as they
// were sent, without the project token, and with time, distinct_id and $insert_id
// where they were not sent. For Categories and Sources there is a summary for each.
func (s *Store) Collect(ctx context.Context, scope dsr.Scope, cursor string) (dsr.Records, error) {
	at, err := readPlace(cursor, scope)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &records{store: s, scope: scope, at: at, cursor: cursor, cancel: cancel, clusters: make(chan chan *merge, opened)}
	r.reading.Go(func() { r.readAhead(ctx, at) })
	return r, nil
}

// records is what Collect opened.
type records struct {
	store  *Store
	scope  dsr.Scope
	at     place
	cursor string

	cancel   context.CancelFunc
	reading  sync.WaitGroup
	clusters chan chan *merge // in order
	now      *merge
}

// A merge is one cluster being handed out: profiles, then the events of all ids
// by time.
type merge struct {
	cluster  int
	profiles []dsr.Record
	streams  []*stream
	err      error
}

// readAhead opens clusters from a place on, some at once.
func (r *records) readAhead(ctx context.Context, at place) {
	defer close(r.clusters)
	for i := at.cluster; i < len(r.scope.Clusters); i++ {
		c := make(chan *merge, 1)
		select {
		case r.clusters <- c:
		case <-ctx.Done():
			return
		}
		begin := place{cluster: i}
		if i == at.cluster {
			begin = at
		}
		r.reading.Go(func() {
			m := &merge{cluster: i}
			m.err = r.open(ctx, m, begin)
			c <- m
		})
	}
}

// open reads the profiles of a cluster and the first events of each of its ids.
func (r *records) open(ctx context.Context, m *merge, at place) error {
	ids := r.scope.Clusters[m.cluster].IDs
	if !strings.HasPrefix(at.after, eventPrefix) {
		if err := r.openProfiles(ctx, m, at, ids); err != nil {
			return err
		}
	}
	m.streams = make([]*stream, len(ids))
	errs := make(chan error, len(ids))
	slots := make(chan struct{}, ahead)
	for i, id := range ids {
		m.streams[i] = &stream{store: r.store, scope: r.scope, id: i, more: share(moreRows, len(ids)), query: table.Query{
			PK: subjectPK(r.scope.Project, id), From: since(r.scope.Period), To: until(r.scope.Period), Limit: share(firstRows, len(ids)),
		}}
		if strings.HasPrefix(at.after, eventPrefix) {
			m.streams[i].query.From = at.after
			if i <= at.id {
				m.streams[i].query.From = behind(at.after)
			}
		}
		slots <- struct{}{}
		go func() {
			errs <- m.streams[i].advance(ctx)
			<-slots
		}()
	}
	var err error
	for range ids {
		if e := <-errs; e != nil {
			err = e
		}
	}
	return err
}

// share is how many items a page of one of so many streams has, most at most.
func share(most, streams int) int { return max(5, min(most, heldRows/streams)) }

func (r *records) openProfiles(ctx context.Context, m *merge, at place, ids []kind.Subject) error {
	var keys []table.Key
	for _, id := range ids {
		keys = append(keys, profileKey(subjectPK(r.scope.Project, id)))
	}
	items, err := r.store.subjects.GetMany(ctx, keys)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if at.after == profileSK && i <= at.id {
			continue
		}
		item, there := items[key]
		for tries := 0; there; tries++ {
			h, value, ok, err := r.store.load(ctx, item)
			if err != nil {
				return err
			}
			if ok {
				if within(r.scope, h.received, noTime) {
					m.profiles = append(m.profiles, dsr.Record{Cluster: m.cluster, ID: i, Profile: true, Data: value})
				}
				break
			}
			if item, there, err = r.store.again(ctx, key, tries); err != nil {
				return err
			}
		}
	}
	return nil
}

// profileOut is a profile as it stands in an export.
func profileOut(id kind.Subject, value []byte) []byte {
	b := appendQuoted([]byte(`{"$distinct_id":`), string(id))
	return append(append(append(b, `,"$properties":`...), value...), '}')
}

// Next implements dsr.Records.
func (r *records) Next(ctx context.Context) (dsr.Record, error) {
	for {
		if r.now == nil {
			next, ok := <-r.clusters
			if !ok {
				return dsr.Record{}, io.EOF
			}
			select {
			case r.now = <-next:
			case <-ctx.Done():
				return dsr.Record{}, kind.E(kind.Unavailable, "collect events", ctx.Err())
			}
		}
		rec, err := r.now.next(ctx)
		if err == io.EOF {
			r.now = nil
			continue
		}
		if err != nil {
			return dsr.Record{}, kind.Wrap("collect events", err)
		}
		return r.hand(rec), nil
	}
}

func (r *records) hand(n handed) dsr.Record {
	r.cursor = place{n.Cluster, n.ID, n.sk}.String()
	if d := r.scope.Disclosure; d == dsr.Categories || d == dsr.Sources {
		return summarise(d, n.Record)
	}
	if n.Profile {
		n.Data = profileOut(r.scope.Clusters[n.Cluster].IDs[n.ID], n.Data)
	}
	return n.Record
}

// Cursor implements dsr.Records.
func (r *records) Cursor() string { return r.cursor }

// Close implements dsr.Records.
func (r *records) Close() error {
	r.cancel()
	r.reading.Wait()
	return nil
}

// handed is a record with its sort key.
type handed struct {
	dsr.Record
	sk string
}

// next returns the first record of all that are left; ties go to the id that
// comes first in the cluster.
func (m *merge) next(ctx context.Context) (handed, error) {
	if m.err != nil {
		return handed{}, m.err
	}
	if len(m.profiles) > 0 {
		rec := m.profiles[0]
		m.profiles = m.profiles[1:]
		return handed{rec, profileSK}, nil
	}
	var first *stream
	for _, s := range m.streams {
		if s.ready && (first == nil || s.sk < first.sk) {
			first = s
		}
	}
	if first == nil {
		return handed{}, io.EOF
	}
	rec, err := first.record(m.cluster)
	if err != nil {
		return handed{}, err
	}
	sk := first.sk
	return handed{rec, sk}, first.advance(ctx)
}
