package account

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lethe/shared/blob"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Entries calls f with the entries of a trail from a number on, in their order, each
// as it is stored: a JSON object, whose SHA-256 the next one holds. An empty project
// is the organisation's trail.
func (a *Accounts) Entries(ctx context.Context, project string, from int64, f func(number int64, stored []byte) error) error {
	trail := trailOf(project)
	return a.eachEntry(ctx, table.Query{PK: headKey(trail).PK, From: entryKey(trail, max(from, 1)).SK, To: afterEntries}, f)
}

func (a *Accounts) eachEntry(ctx context.Context, q table.Query, f func(number int64, stored []byte) error) error {
	for {
		page, err := a.control.Query(ctx, q)
		if err != nil {
			return kind.Wrap("read the audit trail", err)
		}
		for _, item := range page.Items {
			var number int64
			if _, err := fmt.Sscanf(item.SK, entryFormat, &number); err != nil {
				return kind.E(kind.Corrupt, "read the audit trail")
			}
			if err := f(number, item.Data); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// How much of a trail Lines reads: what AWS lets through has 6 MB.
const (
	MostLines      = 5000
	mostLinesBytes = 4 << 20
)

// errFull ends a walk through a trail before its end.
var errFull = kind.E(kind.Internal, "enough was read")

// Lines reads entries of a trail from a number on, each as it is stored and in a line of
// its own, up to MostLines and 4 MB, and the number to go on from: 0 at the end.
func (a *Accounts) Lines(ctx context.Context, project string, from int64) (lines []byte, next int64, err error) {
	count := 0
	err = a.Entries(ctx, project, from, func(number int64, stored []byte) error {
		if count++; count > MostLines || len(lines)+len(stored) > mostLinesBytes && count > 1 {
			next = number
			return errFull
		}
		lines = append(append(lines, stored...), '\n')
		return nil
	})
	if err == errFull {
		err = nil
	}
	return lines, next, err
}

// A Numbered entry is one of a trail, with its place there.
type Numbered struct {
	Number int64
	dsr.Entry
}

const (
	// mostLooked is how many entries Latest looks at, and looksAtOnce how many at once.
	mostLooked  = 2000
	looksAtOnce = 200
)

// Latest reads up to most of the entries before a number that fit, newest first; before
// 0 is from the end of the trail. It returns the number to go on before: 0 where the
// trail begins. It looks at so many entries and no more, so that it may return fewer,
// even none, and yet a number to go on before.
func (a *Accounts) Latest(ctx context.Context, project string, before int64, most int, fits func(dsr.Entry) bool) (found []Numbered, next int64, err error) {
	trail := trailOf(project)
	q := table.Query{PK: headKey(trail).PK, From: entryKey(trail, 1).SK, To: afterEntries, Backwards: true, Limit: looksAtOnce}
	if before > 0 {
		q.To = entryKey(trail, before).SK
	}
	looked := 0
	err = a.eachEntry(ctx, q, func(number int64, stored []byte) error {
		if looked++; looked > mostLooked || len(found) == most {
			next = number + 1
			return errFull
		}
		var e entry
		if json.Unmarshal(stored, &e) != nil {
			return kind.E(kind.Corrupt, "read an entry of the audit trail")
		}
		if fits(e.Entry) {
			found = append(found, Numbered{number, e.Entry})
		}
		return nil
	})
	if err == errFull {
		err = nil
	}
	return found, next, err
}

// A Verified trail is what a look at every entry of it gave.
type Verified struct {
	Entries int64  `json:"entries"` // that are kept
	First   int64  `json:"first"`   // number of the oldest of them; the earlier ones have gone by their time
	Last    int64  `json:"last"`
	Hash    string `json:"hash"`  // SHA-256 of the last
	Heads   int    `json:"heads"` // kept in the bucket that were compared
	// Faults says in sentences what was changed, put in or taken away. None is a good
	// trail.
	Faults []string `json:"faults"`
}

// mostFaults is how many faults are told.
const mostFaults = 20

func (v *Verified) fault(format string, args ...any) {
	if len(v.Faults) < mostFaults {
		v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
	}
}

// A chain follows a trail entry by entry.
type chain struct {
	Verified
	now time.Time
}

// follow looks at the next entry.
func (c *chain) follow(number int64, stored []byte) {
	var e entry
	if json.Unmarshal(stored, &e) != nil {
		c.fault("Entry %d cannot be read.", number)
	} else if e.Number != number {
		c.fault("Entry %d stands in the place of entry %d.", e.Number, number)
	}
	switch {
	case c.Entries == 0 && number > 1 && e.PreviousExpires.After(c.now):
		c.fault("The entries before entry %d are missing, though they should be kept until %s.", number, e.PreviousExpires.Format(time.DateOnly))
	case c.Entries == 0 && number > 1 && e.Previous == "" || number == 1 && e.Previous != "":
		c.fault("Entry %d does not hold what came before it.", number)
	case c.Entries > 0 && number <= c.Last:
		c.fault("Entry %d stands behind entry %d.", number, c.Last)
	case c.Entries > 0 && number > c.Last+1:
		c.fault("The entries from %d to %d are missing.", c.Last+1, number-1)
	case c.Entries > 0 && e.Previous != c.Hash:
		c.fault("Entry %d was changed after entry %d was written.", c.Last, number)
	}
	if c.Entries == 0 {
		c.First = number
	}
	c.Entries++
	c.Last, c.Hash = number, hashOf(stored)
}

// VerifyExport looks at an audit trail as it was exported: an entry in each line. It
// finds whatever was changed within it, but not that it was cut off at its end, unless
// nothing is left: for that, Last and Hash are to be compared with the trail's own.
func VerifyExport(r io.Reader, now time.Time) (Verified, error) {
	c := chain{now: now, Verified: Verified{Faults: []string{}}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, table.MaxItem+1)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Number < 1 {
			return c.Verified, kind.Say(kind.Invalid, "This is no export of an audit trail: it must have one JSON object in each line.")
		}
		c.follow(e.Number, lines.Bytes())
	}
	if lines.Err() != nil {
		return c.Verified, kind.Say(kind.Invalid, "The export of the audit trail cannot be read to its end.")
	}
	if c.Entries == 0 {
		c.fault("The file holds no entry. Every trail has one: export it again.")
	}
	return c.Verified, nil
}

// Verify looks at every entry of a trail, and compares it with its head and with the
// heads that KeepHeads put into the bucket, which nobody who can change the records
// alone can make fit again.
func (a *Accounts) Verify(ctx context.Context, files blob.Bucket, seals Seals, project string) (Verified, error) {
	const op = "verify the audit trail"
	// The heads first: whatever was kept by then must be in what is read after it.
	kept, err := keptHeads(ctx, files, seals, trailOf(project))
	if err != nil {
		return Verified{}, kind.Wrap(op, err)
	}
	c := chain{Verified: Verified{Faults: []string{}}}
	hashes := map[int64]string{}
	for _, k := range kept {
		hashes[k.Number] = ""
	}
	was, _, err := a.head(ctx, trailOf(project))
	if err != nil {
		return Verified{}, kind.Wrap(op, err)
	}
	err = a.Entries(ctx, project, 1, func(number int64, stored []byte) error {
		if c.Entries == 0 {
			c.now = a.clock() // what is missing on the first page may have gone while it was asked for
			var e entry
			_ = json.Unmarshal(stored, &e) // follow tells of it
			if _, asked := hashes[number-1]; asked {
				hashes[number-1] = e.Previous
			}
		}
		c.follow(number, stored)
		if _, asked := hashes[number]; asked {
			hashes[number] = c.Hash
		}
		return nil
	})
	if err != nil {
		return Verified{}, kind.Wrap(op, err)
	}
	if c.Entries == 0 {
		c.now = a.clock()
	}
	switch {
	case was.Number > 0 && c.Entries == 0 && was.Expires.After(c.now):
		c.fault("All %d entries are missing, though the last should be kept until %s.", was.Number, was.Expires.Format(time.DateOnly))
	case c.Entries > 0 && was.Number > c.Last:
		c.fault("The entries from %d to %d are missing.", c.Last+1, was.Number)
	case c.Entries > 0 && was.Number == c.Last && was.Hash != c.Hash:
		c.fault("Entry %d was changed after it was written.", c.Last)
	case c.Entries == 0:
		c.Last, c.Hash = was.Number, was.Hash
		if _, asked := hashes[was.Number]; asked {
			hashes[was.Number] = was.Hash
		}
	}
	for i, k := range kept {
		switch got := hashes[k.Number]; {
		case k.fault != "":
			c.fault("%s", k.fault)
		case lost(k, kept[i+1:]):
		case k.Number > c.Last:
			c.fault("On %s the trail went to entry %d; now it ends at entry %d.", k.day, k.Number, c.Last)
		case (c.Entries == 0 || k.Number < c.First) && k.Expires.After(c.now):
			c.fault("Entry %d is missing, though it should be kept until %s.", k.Number, k.Expires.Format(time.DateOnly))
		case got == "" && (c.Entries == 0 || k.Number < c.First): // gone by its time
		case got != k.Hash:
			c.fault("Entry %d is not the one that it was on %s.", k.Number, k.day)
		default:
			c.Heads++
		}
	}
	return c.Verified, nil
}

// lost reports whether a restore, which left one of the later heads, put the trail
// back to before k.
func lost(k keptHead, later []keptHead) bool {
	return slices.ContainsFunc(later, func(l keptHead) bool { return l.fault == "" && l.Number < k.Number && k.Number <= l.Lost })
}

// Seals prove that something was written by this deployment: kind.Keyring.
type Seals interface {
	Seal(purpose string, data []byte) string
	Sealed(purpose string, data []byte, seal string) bool
}

// A keptHead is a head as it is kept in the bucket.
type keptHead struct {
	Trail  string    `json:"trail"` // the project, or "organisation"
	Time   time.Time `json:"time"`
	Number int64     `json:"number"`
	Hash   string    `json:"hash"`
	// Expires is when that entry goes; zero in heads that were kept before it was told.
	Expires time.Time `json:"expires,omitzero"`
	// Lost is how far the trail had gone before a restore put it back to Number.
	Lost int64  `json:"lost,omitempty"`
	Seal string `json:"seal"` // of all the rest

	day   string // of its name
	fault string // why it does not count
}

const (
	headsPrefix = "audit/"
	headPurpose = "audit head"
)

// goneBy reports whether the entry behind k may have gone, which is told by the entry
// that followed it, and goes no earlier.
func (k keptHead) goneBy(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

func (k keptHead) unsealed() []byte {
	k.Seal = ""
	data, _ := json.Marshal(k) // has nothing that could fail
	return data
}

// KeepHeads puts the head of every trail into the bucket, in the place of the day, if
// the trail holds the one that was kept last. If one does not, it keeps the others
// all the same and returns kind.Corrupt.
func (a *Accounts) KeepHeads(ctx context.Context, files blob.Bucket, seals Seals) error {
	const op = "keep the heads of the audit trails"
	trails, err := a.trails(ctx)
	if err != nil {
		return kind.Wrap(op, err)
	}
	var bad error
	for _, trail := range trails {
		err := a.keepHead(ctx, files, seals, trail)
		if err != nil && kind.Of(err) != kind.Corrupt {
			return kind.Wrap(op, err)
		}
		if err != nil {
			bad = kind.Wrap(op+": "+trail, err)
		}
	}
	return bad
}

func (a *Accounts) keepHead(ctx context.Context, files blob.Bucket, seals Seals, trail string) error {
	kept, err := keptHeads(ctx, files, seals, trail)
	if err != nil {
		return err
	}
	was, _, err := a.head(ctx, trail)
	if err != nil || was.Number == 0 && len(kept) == 0 {
		return err
	}
	if len(kept) > 0 {
		last := kept[len(kept)-1]
		hash, err := a.hashAt(ctx, trail, was, last.Number)
		if err != nil {
			return err
		}
		if last.fault != "" || hash != last.Hash && (hash != "" || !last.goneBy(a.clock())) || was.Number < last.Number || was.Expires.Before(last.Expires) { // what is older was compared when it was the last
			return kind.E(kind.Corrupt, "the trail does not hold the head that was kept last; see lethe audit verify")
		}
	}
	return a.putHead(ctx, files, seals, keptHead{Trail: trail, Number: was.Number, Hash: was.Hash, Expires: was.Expires}, "")
}

// putHead keeps k as that of today.
func (a *Accounts) putHead(ctx context.Context, files blob.Bucket, seals Seals, k keptHead, suffix string) error {
	k.Time = a.clock().UTC()
	k.Seal = seals.Seal(headPurpose, k.unsealed())
	data, err := json.Marshal(k)
	if err != nil {
		return kind.E(kind.Internal, "encode the head of a trail", err)
	}
	return files.Put(ctx, headsPrefix+k.Trail+"/"+k.Time.Format(time.DateOnly)+suffix+".json", bytes.NewReader(data))
}

// Restored tells the trails that a backup was restored: each gets an entry of it, and
// where it had gone further, that it lost what came after. How far it had gone is told by
// the heads that were kept, and by the accounts as they were in the records that the
// backup takes the place of, nil where nobody can read those.
// Done again it adds nothing that is not so.
func (a *Accounts) Restored(ctx context.Context, files blob.Bucket, seals Seals, before *Accounts) error {
	const op = "tell the audit trails of a restore"
	trails, err := a.trails(ctx)
	if err != nil {
		return kind.Wrap(op, err)
	}
	for _, trail := range trails {
		if err := a.restored(ctx, files, seals, trail, before); err != nil {
			return kind.Wrap(op, err)
		}
	}
	return nil
}

func (a *Accounts) restored(ctx context.Context, files blob.Bucket, seals Seals, trail string, before *Accounts) error {
	kept, err := keptHeads(ctx, files, seals, trail)
	if err != nil {
		return err
	}
	was, _, err := a.head(ctx, trail)
	if err != nil {
		return err
	}
	e := dsr.Entry{Time: a.clock().UTC(), Actor: "lethe", Action: "backup.restore"}
	if trail != organisationTrail {
		e.Project = trail
	}
	var to int64
	for i, k := range kept {
		if k.fault == "" && k.Number > was.Number && !lost(k, kept[i+1:]) {
			to = max(to, k.Number)
		}
	}
	if before != nil {
		gone, err := before.beyond(ctx, trail, was)
		if err != nil && kind.Of(err) != kind.Corrupt { // damage is what restores are for
			return err
		}
		to = max(to, gone)
	}
	if to > 0 {
		e.Detail = fmt.Sprintf("entries %d to %d, and any later ones, were lost with the records of after the backup", was.Number+1, to)
		if err := a.putHead(ctx, files, seals, keptHead{Trail: trail, Number: was.Number, Hash: was.Hash, Expires: was.Expires, Lost: to}, "-restored-"+strconv.FormatInt(a.clock().UnixMilli(), 10)); err != nil {
			return err
		}
	}
	return a.Record(ctx, e)
}

// beyond is the number of the last entry of a trail that begins as the one that stands at
// was; 0 where it goes no further, or is another.
func (a *Accounts) beyond(ctx context.Context, trail string, was head) (int64, error) {
	last, _, err := a.head(ctx, trail)
	if err != nil || last.Number <= was.Number {
		return 0, err
	}
	hash, err := a.hashAt(ctx, trail, last, was.Number)
	if err != nil || hash != was.Hash {
		return 0, err
	}
	return last.Number, nil
}

// trails names every trail.
func (a *Accounts) trails(ctx context.Context) ([]string, error) {
	projects, err := a.Projects(ctx)
	all := []string{organisationTrail}
	for _, p := range projects {
		all = append(all, p.ID)
	}
	return all, err
}

// hashAt is the hash of an entry of the trail that ends at last; empty if there is
// none.
func (a *Accounts) hashAt(ctx context.Context, trail string, last head, number int64) (string, error) {
	if number == last.Number {
		return last.Hash, nil
	}
	item, err := a.control.Get(ctx, entryKey(trail, number+1))
	if kind.Of(err) == kind.NotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var e entry
	if json.Unmarshal(item.Data, &e) != nil {
		return "", kind.E(kind.Corrupt, "read an entry of the audit trail")
	}
	return e.Previous, nil
}

// AdoptHeads takes over the heads that another bucket of the same deployment has: that of
// a data directory which a backup is to take the place of. Of a day it takes the one by
// which the trail had gone further. What is damaged there, or not of this deployment, is
// left. Done again it changes nothing.
func AdoptHeads(ctx context.Context, into, from blob.Bucket, seals Seals) error {
	return kind.Wrap("take over the heads of the audit trails", blob.Each(ctx, from, headsPrefix, func(f blob.Info) error {
		theirs, err := readHead(ctx, from, f.Key, seals)
		if kind.Of(err) == kind.NotFound || err == nil && theirs.fault != "" {
			return nil
		}
		if err != nil {
			return err
		}
		ours, err := readHead(ctx, into, f.Key, seals)
		if err == nil && ours.fault == "" && ours.Number >= theirs.Number {
			return nil
		}
		if err != nil && kind.Of(err) != kind.NotFound {
			return err
		}
		return blob.Copy(ctx, from, into, f.Key)
	}))
}

// keptHeads reads the heads of a trail, in the order in which they were kept.
func keptHeads(ctx context.Context, files blob.Bucket, seals Seals, trail string) ([]keptHead, error) {
	var all []keptHead
	err := blob.Each(ctx, files, headsPrefix+trail+"/", func(f blob.Info) error {
		k, err := readHead(ctx, files, f.Key, seals)
		if kind.Of(err) == kind.NotFound {
			return nil // it has just gone by its time
		}
		all = append(all, k)
		return err
	})
	slices.SortStableFunc(all, func(a, b keptHead) int { return a.Time.Compare(b.Time) })
	return all, err
}

// readHead reads a head that was kept, under a key of putHead's.
func readHead(ctx context.Context, files blob.Bucket, key string, seals Seals) (keptHead, error) {
	var k keptHead
	trail, day, _ := strings.Cut(strings.TrimPrefix(key, headsPrefix), "/")
	k.day = day[:min(len(day), len(time.DateOnly))]
	file, err := files.Get(ctx, key, 0, -1)
	if err != nil {
		return k, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 10_000))
	if err != nil {
		return k, kind.E(kind.Unavailable, "read the head of a trail", err)
	}
	if json.Unmarshal(data, &k) != nil || k.Trail != trail || !seals.Sealed(headPurpose, k.unsealed(), k.Seal) {
		k.fault = "The head of the trail that was kept on " + k.day + " is damaged, or not of this deployment."
	}
	return k, nil
}
