package dsr

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"lethe/shared/archive"
	"lethe/shared/blob"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Get reads a request of a project; one of another project is kind.NotFound.
func (s *Service) Get(ctx context.Context, project, task string) (Request, error) {
	r, _, err := s.find(ctx, project, task)
	return r, err
}

func (s *Service) find(ctx context.Context, project, task string) (Request, table.Version, error) {
	if !uuid4.MatchString(task) {
		return Request{}, 0, kind.E(kind.NotFound, "find the request")
	}
	r, version, err := s.load(ctx, task)
	if err == nil && r.Project != project {
		err = kind.E(kind.NotFound, "find the request")
	}
	return r, version, err
}

// IDs reads the submitted identifiers of a request, in the order given; none once
// they are gone.
func (s *Service) IDs(ctx context.Context, r Request) ([]kind.Subject, error) {
	var ids []kind.Subject
	err := s.eachItem(ctx, idsKey(r.Task, 0).PK, idsPrefix, func(item table.Item) error {
		page, err := decode[[]string](item)
		ids = append(ids, subjects(page)...)
		return err
	})
	return ids, err
}

// eachItem calls f with the items of a partition whose SK begins with prefix.
func (s *Service) eachItem(ctx context.Context, pk, prefix string, f func(table.Item) error) error {
	q := table.Query{PK: pk, From: prefix, To: prefix + "\U0010FFFF"}
	for {
		page, err := s.Control.Query(ctx, q)
		if err != nil {
			return kind.Wrap("read records", err)
		}
		for _, item := range page.Items {
			if err := f(item); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// List reads a page of a project's requests, newest first, of one type or of both
// (""). Pages count from 1. It returns the number of all requests too, those included
// that are passed over since they cannot be read.
func (s *Service) List(ctx context.Context, project string, t Type, page, size int) ([]Request, int, error) {
	from, total := (page-1)*size, 0
	var keys []table.Key
	err := s.eachListed(ctx, project, t, func(found []table.Key) error {
		for _, key := range found {
			if total >= from && len(keys) < size {
				keys = append(keys, key)
			}
			total++
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	out, _, err := s.legible(ctx, "project", keys, from)
	return out, total, err
}

// Only says which requests of a project ListOnly reads.
type Only string

const (
	OnlyOpen    Only = "open"
	OnlyOverdue Only = "overdue" // Request.Overdue
	OnlyBroken  Only = "broken"  // Request.Broken
)

// ListOnly is List of those requests, of both types. It asks the index, so that what
// changed a moment ago may be missing.
func (s *Service) ListOnly(ctx context.Context, project string, only Only, page, size int) ([]Request, int, error) {
	now := s.now()
	var all []Request
	for _, pk := range []string{openPartition, brokenPartition} {
		_, err := s.eachIn(ctx, table.Query{PK: pk}, func(r Request) error {
			fits := r.Project == project
			switch only {
			case OnlyOpen:
				fits = fits && r.Status.Open()
			case OnlyOverdue:
				fits = fits && r.Overdue(now)
			case OnlyBroken:
				fits = fits && r.Broken
			}
			if fits {
				all = append(all, r)
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	slices.SortStableFunc(all, func(a, b Request) int { return b.Created.Compare(a.Created) })
	from := min((page-1)*size, len(all))
	return all[from:min(from+size, len(all))], len(all), nil
}

// MostFiltered is how many of a project's requests Filter looks through.
const MostFiltered = 5000

// Filter reads those of a project's newest MostFiltered requests, of one type or of
// both (""), that fit, newest first. Whole tells that no older one was left out.
func (s *Service) Filter(ctx context.Context, project string, t Type, fits func(Request) bool) (found []Request, whole bool, err error) {
	left := MostFiltered
	err = s.eachRequest(ctx, project, t, func(r Request) error {
		if left == 0 {
			return errEnough
		}
		left--
		if fits(r) {
			found = append(found, r)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return found, false, nil
	}
	return found, true, err
}

var errEnough = errors.New("enough")

// Concerning reads the requests of a project that were found to concern who an
// identifier stands for, newest first: by its marks, so also when their identifiers are
// gone. A request has none before it is planned, a moment after it came in. An
// identifier that cannot be is kind.Invalid.
func (s *Service) Concerning(ctx context.Context, project, raw string) ([]Request, error) {
	id, err := kind.ParseSubject(raw)
	if err != nil {
		return nil, kind.Say(kind.Invalid, "The identifier "+kind.Sentence(err)+".")
	}
	var keys []table.Key
	for _, mark := range s.Keys.Marks(project, id) {
		err := s.eachItem(ctx, markPartition(project, mark), "", func(item table.Item) error {
			if key := requestKey(item.SK); !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	found, _, err := s.legible(ctx, "search", keys, 0)
	slices.SortFunc(found, func(a, b Request) int { return b.Created.Compare(a.Created) })
	return found, err
}

// ProjectOf tells which project a request is in, for who knows only its task;
// kind.NotFound without it. Whether they may know of it is for the caller to ask.
func (s *Service) ProjectOf(ctx context.Context, task string) (string, error) {
	if !uuid4.MatchString(task) {
		return "", kind.E(kind.NotFound, "find the request")
	}
	r, _, err := s.load(ctx, task)
	return r.Project, err
}

// eachRequest calls f with every request of a project as it stands, newest first, but
// those that cannot be read.
func (s *Service) eachRequest(ctx context.Context, project string, t Type, f func(Request) error) error {
	before := 0
	return s.eachListed(ctx, project, t, func(keys []table.Key) error {
		found, _, err := s.legible(ctx, "project", keys, before)
		if err != nil {
			return err
		}
		before += len(keys)
		for _, r := range found {
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachListed calls f with the keys of a project's requests, newest first, a page
// at a time.
func (s *Service) eachListed(ctx context.Context, project string, t Type, f func([]table.Key) error) error {
	q := table.Query{PK: listPartition(project, t), Backwards: true}
	for {
		page, err := s.Control.Query(ctx, q)
		if err != nil {
			return kind.Wrap("list requests", err)
		}
		keys := make([]table.Key, len(page.Items))
		for i, item := range page.Items {
			keys[i] = requestKey(taskIn(item.SK))
		}
		if err := f(keys); err != nil || page.Next == "" {
			return err
		}
		q.After = page.Next
	}
}

// requests reads those that exist, in the order of keys. One that cannot be read is
// kind.Corrupt.
func (s *Service) requests(ctx context.Context, keys []table.Key) ([]Request, error) {
	return s.read(ctx, keys, func(_ int, err error) error { return err })
}

// legible is requests for a list, of which before come first: those that cannot be read
// are told in the log by their position in it, counted and passed over.
func (s *Service) legible(ctx context.Context, list string, keys []table.Key, before int) (found []Request, damaged int, err error) {
	found, err = s.read(ctx, keys, func(i int, _ error) error {
		damaged++
		s.Log.ErrorContext(ctx, "the record of a request is damaged", "list", list, "position", before+i+1)
		return nil
	})
	return found, damaged, err
}

// read reads the requests that exist, in the order of keys, and asks of each that
// cannot be read whether to go on.
func (s *Service) read(ctx context.Context, keys []table.Key, bad func(i int, err error) error) ([]Request, error) {
	items, err := s.Control.GetMany(ctx, keys)
	if err != nil {
		return nil, kind.Wrap("read requests", err)
	}
	out := make([]Request, 0, len(keys))
	for i, key := range keys {
		item, ok := items[key]
		if !ok {
			continue
		}
		r, err := decode[Request](item)
		if err != nil {
			if err := bad(i, err); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// LinkLife is how long a link to an archive works.
const LinkLife = 15 * time.Minute

// Link makes a link to the archive of an export, good for LinkLife. It is empty
// while there is nothing to download: before SUCCESS, after a withdrawal and when
// the archive has reached its end of life.
func (s *Service) Link(ctx context.Context, r Request) (string, error) {
	if r.Type != Export || r.Status != Success || r.Withdrawn || s.expired(r) {
		return "", nil
	}
	return s.Bucket.Link(ctx, archive.Key(r.work()), blob.Link{Lifetime: LinkLife, Filename: r.Task + ".zip", Type: "application/zip"})
}

func (s *Service) expired(r Request) bool {
	return !s.now().Before(r.Finished.Add(s.Settings.ArchiveLife))
}

// Download makes a fresh link to the archive of an export. Kinds: NotFound, also
// where the export failed; Unavailable while it is at work; Gone when it was withdrawn or has reached
// its end of life. The download stands in the audit trail.
func (s *Service) Download(ctx context.Context, project, task string, by By) (string, error) {
	r, err := s.Get(ctx, project, task)
	switch {
	case err != nil:
		return "", err
	case r.Type != Export:
		return "", kind.Say(kind.NotFound, "A deletion has no file to download; its certificate is under …/certificate.")
	case r.Withdrawn:
		return "", kind.Say(kind.Gone, "This export was withdrawn, because data of a person in it was erased since. Make a new request.")
	case r.Status.Open() && r.Hold != "":
		return "", kind.Say(kind.Unavailable, "The file is not ready: this request is held, and goes on when an owner or admin of the project confirms it (POST …/confirm). Its detail says why.")
	case r.Status.Open():
		return "", kind.Say(kind.Unavailable, "The file is not ready: this request is "+string(r.Status)+". Try again in a while.")
	case r.Status != Success:
		return "", kind.Say(kind.NotFound, "This request has no file: it ended "+string(r.Status)+". "+r.Reason)
	case s.expired(r):
		return "", kind.Say(kind.Gone, "This export has reached the end of its life and was deleted. Make a new request.")
	}
	if err := s.Accounts.Record(ctx, Entry{Project: project, Time: s.now(), Actor: by.Actor, From: by.From, Action: r.does("download"), Task: task}); err != nil {
		return "", kind.Wrap("audit", err)
	}
	return s.Link(ctx, r)
}

// Certificate opens the certificate of a deletion: JSON as docs/format.md says.
// Before there is one it is kind.NotFound. The caller closes it.
func (s *Service) Certificate(ctx context.Context, project, task string) (io.ReadCloser, error) {
	r, err := s.Get(ctx, project, task)
	if err != nil {
		return nil, err
	}
	if r.Type != Deletion || r.Finished.IsZero() || r.Status.Open() {
		return nil, kind.Say(kind.NotFound, "There is no certificate: only a deletion that has ended has one.")
	}
	file, err := s.Bucket.Get(ctx, certificateObject(task), 0, -1)
	if kind.Of(err) == kind.NotFound {
		return nil, kind.Say(kind.NotFound, "There is no certificate: this deletion ended before it erased anything.")
	}
	return file, kind.Wrap("open the certificate", err)
}

// A Detail is all there is to tell of one request.
type Detail struct {
	Request
	Findings []Finding `json:"findings"`
}

// A Finding tells what was found for one submitted identifier, over all sources.
// Before a request has looked, State is empty. What is found for a person stands
// with each of the identifiers that the person was submitted under.
type Finding struct {
	Position   int    `json:"position"` // among the submitted, from 1
	DistinctID string `json:"distinct_id"`
	// Mark stands in the place of DistinctID, Resolved and NotFollowed once they are
	// gone: "<key version>.<HMAC-SHA-256>", as in a certificate.
	Mark  string `json:"mark,omitempty"`
	State string `json:"state"` // "found", "nothing found" or ""
	// Resolved is all identifiers of the person.
	Resolved []string `json:"resolved,omitempty"`
	counts
	Sources []SourceFinding `json:"sources,omitempty"`
	// NotFollowed are links from one of Resolved to identifiers of others, of which at
	// most MostApart are named; NotFollowedCount is how many there are.
	NotFollowed      []apart `json:"not_followed,omitempty"`
	NotFollowedCount int     `json:"not_followed_count,omitempty"`
	// Alone means that DistinctID has more links than one person can have, of which none
	// was followed.
	Alone bool `json:"alone,omitempty"`
}

// A SourceFinding is what one source has of a person.
type SourceFinding struct {
	Name string `json:"name"`
	counts
}

// States of a Finding.
const (
	stateFound   = "found"
	stateNothing = "nothing found"
)

// Detail reads a request with its findings.
func (s *Service) Detail(ctx context.Context, project, task string) (Detail, error) {
	r, err := s.Get(ctx, project, task)
	if err != nil {
		return Detail{}, err
	}
	return s.detail(ctx, r)
}

func (s *Service) detail(ctx context.Context, r Request) (Detail, error) {
	if r.IDsGone {
		d := Detail{Request: r}
		err := s.eachItem(ctx, requestKey(r.Task).PK, findingsPrefix, func(item table.Item) error {
			page, err := decode[[]Finding](item)
			d.Findings = append(d.Findings, page...)
			return err
		})
		return d, err
	}
	ids, err := s.IDs(ctx, r)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Request: r, Findings: make([]Finding, len(ids))}
	at := make(map[kind.Subject]*Finding, len(ids))
	for i, id := range ids {
		d.Findings[i] = Finding{Position: i + 1, DistinctID: string(id)}
		at[id] = &d.Findings[i]
	}
	err = s.allWork(ctx, r, func(w *work) error {
		for i, c := range w.Clusters {
			t, looked := w.cursor.clusterTally(i)
			for _, id := range c.Submitted {
				if f := at[kind.Subject(id)]; f != nil {
					f.tell(w.Source, c, counts{t.Events, t.Profiles, t.Edges}, looked)
				}
			}
		}
		return nil
	})
	return d, err
}

// tell adds what one source has of the person of f.
func (f *Finding) tell(source string, c cluster, found counts, looked bool) {
	f.Resolved, f.NotFollowed, f.NotFollowedCount, f.Alone = c.IDs, c.Apart, c.ApartCount, c.Alone
	if !looked {
		return
	}
	f.Sources = append(f.Sources, SourceFinding{source, found})
	f.Events, f.Profiles, f.Edges = f.Events+found.Events, f.Profiles+found.Profiles, f.Edges+found.Edges
	if found != (counts{}) {
		f.State = stateFound
	} else if f.State == "" {
		f.State = stateNothing
	}
}
