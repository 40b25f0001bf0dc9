package dsr

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// MaxIDs is the most identifiers of one request.
const MaxIDs = 2000

// A Submission is a request as it comes in.
type Submission struct {
	Project     string
	ProjectName string
	Type        Type
	IDs         []string // as submitted
	Compliance  Compliance
	Disclosure  Disclosure
	// Block makes a deletion also opt everyone out whom it concerns.
	Block bool
	// SubjectRequestID is the caller's own name of the request: a lowercase UUID of
	// version 4, unique in the project; or empty.
	SubjectRequestID string
	// Period is when the events of an export under the CCPA happened that it asks for,
	// the zero Period for all; nil for the last twelve months.
	Period *Period
	// IdempotencyKey, if not empty, makes a repetition within 24 hours answer what
	// the first one did. Digest is the SHA-256 of the body, to tell a repetition
	// from another request under the same key.
	IdempotencyKey string
	Digest         [32]byte
	By             By
}

// A LimitError is the cause of a Throttled error of Submit.
type LimitError struct {
	Limit string        // which limit was hit, as part of a sentence
	After time.Duration // when to try again
}

func (e *LimitError) Error() string { return e.Limit }

// Seconds is After in whole seconds, at least one.
func (e *LimitError) Seconds() int { return max(1, int((e.After+time.Second-1)/time.Second)) }

// submissions are how often a project takes a new request.
var submissions = Rate{Every: time.Second, Burst: 5}

const (
	// outstandingRetry is what a caller over the cap of open requests is told: there
	// is no knowing when one closes.
	outstandingRetry = time.Minute
	idempotencyLife  = 24 * time.Hour
	idsPageBytes     = 300_000
)

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

type firstAnswer struct {
	Task   string `json:"task"`
	Digest string `json:"digest"`
}

// Submit takes a request in: it is validated, counted against the limits, written
// whole in one transaction, and then its execution is started. When Submit
// returns a request it is durable and will run, even if the process dies at once.
//
// Kinds: Invalid, with a sentence that names positions and never a value;
// Conflict, when the SubjectRequestID was used or the IdempotencyKey belongs to
// another body; Throttled, with a *LimitError as cause.
func (s *Service) Submit(ctx context.Context, sub Submission) (Request, error) {
	ids, err := parseIDs(sub.IDs)
	if err != nil {
		return Request{}, err
	}
	if err := s.checkForm(sub); err != nil {
		return Request{}, err
	}
	for range 20 {
		r, err := s.submitOnce(ctx, sub, ids)
		if kind.Of(err) == kind.Conflict && kind.Sentence(err) == "" {
			continue // the bucket moved under it
		}
		if err != nil {
			return Request{}, err
		}
		if err := s.start(ctx, r); err != nil {
			s.Log.WarnContext(ctx, "the execution was not started; the next sweep starts it", "task", r.Task, "error", err)
		}
		return r, nil
	}
	return Request{}, tooFast(submissions.Every)
}

func (s *Service) checkForm(sub Submission) error {
	switch {
	case sub.Type != Export && sub.Type != Deletion:
		return kind.E(kind.Internal, "submit: a request of no type")
	case sub.Compliance != GDPR && sub.Compliance != CCPA:
		return kind.Say(kind.Invalid, "compliance_type must be GDPR or CCPA.")
	case sub.Disclosure != Data && sub.Compliance == GDPR:
		return kind.Say(kind.Invalid, "disclosure_type must be Data under the GDPR; Categories and Sources exist only under the CCPA.")
	case sub.Period != nil && sub.Type != Export:
		return kind.Say(kind.Invalid, "window goes with a retrieval only: a deletion is about all that was received until it begins. Leave it out.")
	case sub.Period != nil && sub.Compliance != CCPA:
		return kind.Say(kind.Invalid, "window goes with the CCPA only: under the GDPR a retrieval holds all there is. Leave it out.")
	case sub.Period != nil && !sub.Period.To.IsZero() && sub.Period.From.After(sub.Period.To):
		return kind.Say(kind.Invalid, "window ends before it begins: from must not be later than to.")
	case sub.Block && sub.Type != Deletion:
		return kind.Say(kind.Invalid, "block belongs to deletions: leave it out of a retrieval, or opt the people out by themselves.")
	}
	if err := CheckSubjectRequestID(sub.SubjectRequestID); err != nil {
		return err
	}
	if sub.Block {
		_, err := s.blocker()
		return err
	}
	return nil
}

// CheckSubjectRequestID returns kind.Invalid, with a sentence, for what cannot be a
// Submission's SubjectRequestID.
func CheckSubjectRequestID(id string) error {
	if id != "" && !uuid4.MatchString(id) {
		return kind.Say(kind.Invalid, "subject_request_id must be a UUID of version 4 in lower case.")
	}
	return nil
}

func (s *Service) submitOnce(ctx context.Context, sub Submission, ids []kind.Subject) (Request, error) {
	if sub.IdempotencyKey != "" {
		r, found, err := s.firstAnswer(ctx, sub)
		if found || err != nil {
			return r, err
		}
	}
	rules, err := s.Accounts.Rules(ctx, sub.Project)
	if err != nil {
		return Request{}, err
	}
	now, zone := s.now(), location(rules.TimeZone)
	r := Request{
		Task: NewID(), Project: sub.Project, ProjectName: sub.ProjectName, Type: sub.Type, Compliance: sub.Compliance, Disclosure: sub.Disclosure,
		Status: Pending, Requester: sub.By.Actor, SubjectRequestID: sub.SubjectRequestID, Count: len(ids), Block: sub.Block,
		Created: now, Due: due(sub.Compliance, now, zone), AcknowledgeBy: acknowledgeBy(sub.Compliance, now, zone, rules.Holidays), TimeZone: rules.TimeZone, Attempt: 1,
		Timeline: []Change{{Status: Pending, Time: now}},
	}
	if r.Type == Deletion {
		r.Window = now.Add(s.Settings.CancelWindow)
	} else if r.Compliance == CCPA {
		r.Period = lastYear(now)
		if sub.Period != nil {
			r.Period = *sub.Period
		}
	}
	if today := now.Truncate(24 * time.Hour); r.Period.From.After(now) || !r.Period.To.Before(today.AddDate(0, 0, 1)) {
		return r, kind.Say(kind.Invalid, "window lies in the future: from must not be later than now, and to not later than today (UTC).")
	}
	rate, err := s.takeToken(ctx, sub.Project, now)
	if err != nil {
		return r, err
	}
	ops, err := firstRecords(r, sub, ids)
	if err != nil {
		return r, err
	}
	count := len(ops)
	ops = append(ops, table.AddUpTo(outstandingKey(r.Project), 1, s.Settings.Outstanding), rate)
	subject := len(ops)
	if sub.SubjectRequestID != "" {
		ops = append(ops, table.Put(table.Item{Key: subjectRequestKey(r.Project, sub.SubjectRequestID), Data: []byte(r.Task)}, table.IfAbsent()))
	}
	err = s.Accounts.Record(ctx, Entry{Project: r.Project, Time: r.Created, Actor: sub.By.Actor, From: sub.By.From, Action: r.does("submit"), Task: r.Task}, ops...)
	failed := table.Failed(err)
	if slices.ContainsFunc(failed, func(op int) bool { return op < count }) {
		// The same submission, sent twice at a time: the other one has the answer.
		return r, kind.Wrap("submit", err)
	}
	for _, op := range failed {
		switch op {
		case count:
			return r, s.tooMany()
		case subject:
			return r, kind.Say(kind.Conflict, "subject_request_id was used before in this project. Use a new one.")
		}
	}
	return r, kind.Wrap("submit", err)
}

// firstRecords makes the operations that nothing but a race can fail.
func firstRecords(r Request, sub Submission, ids []kind.Subject) ([]table.Op, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, kind.E(kind.Internal, "encode the request", err)
	}
	ops := []table.Op{table.Put(table.Item{Key: requestKey(r.Task), Data: data, Index: place(r)}, table.IfAbsent())}
	for page, part := range pages(ids, func(id kind.Subject) int { return storedSize(string(id)) }) {
		item, err := encode(idsKey(r.Task, page), stored(part))
		if err != nil {
			return nil, err
		}
		ops = append(ops, table.Put(item, table.IfAbsent()))
	}
	for _, key := range listKeys(r) {
		ops = append(ops, table.Put(table.Item{Key: key}, table.Cond{}))
	}
	if sub.IdempotencyKey != "" {
		item, err := encode(idempotencyKey(r.Project, sub.IdempotencyKey), firstAnswer{Task: r.Task, Digest: hex.EncodeToString(sub.Digest[:])})
		if err != nil {
			return nil, err
		}
		item.Expires = r.Created.Add(idempotencyLife)
		ops = append(ops, table.Put(item, table.IfAbsent()))
	}
	return ops, nil
}

// firstAnswer finds what the first submission under the key was answered.
func (s *Service) firstAnswer(ctx context.Context, sub Submission) (Request, bool, error) {
	item, err := s.Control.Get(ctx, idempotencyKey(sub.Project, sub.IdempotencyKey))
	if kind.Of(err) == kind.NotFound {
		return Request{}, false, nil
	}
	if err != nil {
		return Request{}, false, kind.Wrap("read the idempotency key", err)
	}
	first, err := decode[firstAnswer](item)
	if err != nil {
		return Request{}, false, err
	}
	if first.Digest != hex.EncodeToString(sub.Digest[:]) {
		return Request{}, false, kind.Say(kind.Conflict, "This Idempotency-Key was used within the last 24 hours for another request: with another body, or for the other of retrievals and deletions. Use a new key for a new request.")
	}
	r, _, err := s.load(ctx, first.Task)
	return r, err == nil, err
}

// takeToken takes one submission out of the project's bucket, in the
// transaction that the operation becomes part of. The bucket is one time: when
// it would be full again.
func (s *Service) takeToken(ctx context.Context, project string, now time.Time) (table.Op, error) {
	item, err := s.Control.Get(ctx, rateKey(project))
	if err != nil && kind.Of(err) != kind.NotFound {
		return table.Op{}, kind.Wrap("read the rate limit", err)
	}
	var full time.Time
	if err == nil {
		ms, err := strconv.ParseInt(string(item.Data), 10, 64)
		if err != nil {
			return table.Op{}, kind.E(kind.Corrupt, "read the rate limit")
		}
		full = time.UnixMilli(ms)
	}
	full, wait := submissions.Take(full, now)
	if wait > 0 {
		return table.Op{}, tooFast(wait)
	}
	next := table.Item{Key: rateKey(project), Data: strconv.AppendInt(nil, full.UnixMilli(), 10)}
	return table.Put(next, table.IfAt(item.Version)), nil
}

func (s *Service) tooMany() error {
	return kind.E(kind.Throttled, "submit", &LimitError{
		Limit: fmt.Sprintf("This project has %d open requests, the most that may be open at a time. Try again when one has ended.", s.Settings.Outstanding),
		After: outstandingRetry})
}

func tooFast(after time.Duration) error {
	return kind.E(kind.Throttled, "submit", &LimitError{Limit: "This project takes one new request a second, with a burst of 5. Wait a moment and send it again.", After: after})
}

// parseIDs trims, checks and de-duplicates, keeping the order.
func parseIDs(raw []string) ([]kind.Subject, error) {
	if len(raw) == 0 {
		return nil, kind.Say(kind.Invalid, "distinct_ids is empty. Give 1 to 2000 identifiers.")
	}
	if len(raw) > MaxIDs {
		return nil, kind.Say(kind.Invalid, fmt.Sprintf("distinct_ids has %d entries. Give at most 2000 to a request and put the rest into further requests.", len(raw)))
	}
	ids := make([]kind.Subject, 0, len(raw))
	seen := make(map[kind.Subject]bool, len(raw))
	var bad []string
	for i, s := range raw {
		id, err := kind.ParseSubject(s)
		if err != nil {
			bad = append(bad, fmt.Sprintf("position %d %s", i+1, kind.Sentence(err)))
			continue
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if len(bad) > 0 {
		const most = 20
		text := strings.Join(bad[:min(len(bad), most)], "; ")
		if len(bad) > most {
			text += fmt.Sprintf("; and %d more", len(bad)-most)
		}
		return nil, kind.Say(kind.Invalid, "distinct_ids holds entries that cannot be used: "+text+". Positions count from 1; take these out or correct them.")
	}
	return ids, nil
}

// storedSize is the most that JSON makes of an identifier in a list.
func storedSize(id string) int { return 6*len(id) + 3 }

// pages cuts a list so that each part stays under idsPageBytes when stored, of each
// entry as many as size says.
func pages[T any](all []T, size func(T) int) [][]T {
	var out [][]T
	from, sum := 0, 0
	for i, one := range all {
		n := size(one)
		if sum+n > idsPageBytes && i > from {
			out = append(out, all[from:i])
			from, sum = i, 0
		}
		sum += n
	}
	if from < len(all) {
		out = append(out, all[from:])
	}
	return out
}
