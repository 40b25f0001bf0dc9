package dsr

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// All keys of this package in the control table:
//
//	request#<task>                       request | ids#<page> | batch#<set>#<n>#<piece> | grown#<plan>#<n>[#<piece>] |
//	                                     growing#<plan> | cursor#<plan>#<n> | pack#<plan>
//	                                     and once its identifiers are gone: request | findings#<page> | marked#<page>
//	project#<id>#requests[#<type>]       <13-digit ms>#<task>
//	project#<id>#mark#<mark>             <task>     which requests concern a subject
//	project#<id>#idempotency             <SHA-256 of the key>
//	project#<id>#subject-request         <subject_request_id>
//	project#<id>                         outstanding | rate
//	ledger                               <13-digit ms of the cutoff>-<task or UUID>-<hash>  entries of the ledger that these records know of
//
//	mail#<id of a message>               mail       whether it was sent
//	mail-sent                            <13-digit ms>#<id>                      what was sent
//	news                                 <13-digit ms>#<task>#<attempt>#<what>   what people are to be told
//	news                                 <13-digit ms>#sign-in#<id>   who is to be mailed a link to sign in
//
//	ended#with-ids | ended#without-ids   <13-digit ms of the end>#<task>         requests on their way out (retire.go)
//
// and in the index, for requests that are open: open / <13-digit ms>#<task>, and for
// those that are broken: broken / <13-digit ms of the end>#<task>.

const requestPartition = "request#"

// Beginnings of SK in the partition of a request.
const (
	requestSK      = "request" // the whole
	idsPrefix      = "ids#"
	batchPrefix    = "batch#"
	grownPrefix    = "grown#"
	cursorPrefix   = "cursor#"
	packPrefix     = "pack#"
	findingsPrefix = "findings#"
	markedPrefix   = "marked#"
)

func requestKey(task string) table.Key { return table.Key{PK: requestPartition + task, SK: requestSK} }

func idsKey(task string, page int) table.Key {
	return table.Key{PK: requestPartition + task, SK: fmt.Sprintf("%s%04d", idsPrefix, page)}
}

func batchKey(r Request, n, piece int) table.Key {
	return table.Key{PK: requestPartition + r.Task, SK: fmt.Sprintf("%s%s#%04d#%02d", batchPrefix, r.Set, n, piece)}
}

// grownKey is of a piece of who was added to a batch.
func grownKey(r Request, n, piece int) table.Key {
	key := table.Key{PK: requestPartition + r.Task, SK: fmt.Sprintf("%s%04d#%04d", grownPrefix, r.Plan, n)}
	if piece > 0 {
		key.SK += fmt.Sprintf("#%04d", piece)
	}
	return key
}

// growingKey is of what everyone swaps who adds to a batch of r.
func growingKey(r Request) table.Key {
	return table.Key{PK: requestPartition + r.Task, SK: fmt.Sprintf("growing#%04d", r.Plan)}
}

func cursorKey(r Request, n int) table.Key {
	return table.Key{PK: requestPartition + r.Task, SK: fmt.Sprintf("%s%04d#%04d", cursorPrefix, r.Plan, n)}
}

func packKey(r Request) table.Key {
	return table.Key{PK: requestPartition + r.Task, SK: fmt.Sprintf("%s%04d", packPrefix, r.Plan)}
}

func findingsKey(task string, page int) table.Key {
	return table.Key{PK: requestPartition + task, SK: fmt.Sprintf("%s%04d", findingsPrefix, page)}
}

func markedKey(task string, page int) table.Key {
	return table.Key{PK: requestPartition + task, SK: fmt.Sprintf("%s%04d", markedPrefix, page)}
}

func listKeys(r Request) []table.Key {
	sk := moment(r.Created) + "#" + r.Task
	return []table.Key{{PK: listPartition(r.Project, ""), SK: sk}, {PK: listPartition(r.Project, r.Type), SK: sk}}
}

func listPartition(project string, t Type) string {
	if t == "" {
		return "project#" + project + "#requests"
	}
	return "project#" + project + "#requests#" + string(t)
}

func markPartition(project, mark string) string { return "project#" + project + "#mark#" + mark }

func idempotencyKey(project, key string) table.Key {
	sum := sha256.Sum256([]byte(key))
	return table.Key{PK: "project#" + project + "#idempotency", SK: hex.EncodeToString(sum[:])}
}

func subjectRequestKey(project, id string) table.Key {
	return table.Key{PK: "project#" + project + "#subject-request", SK: id}
}

func outstandingKey(project string) table.Key {
	return table.Key{PK: "project#" + project, SK: "outstanding"}
}

func rateKey(project string) table.Key { return table.Key{PK: "project#" + project, SK: "rate"} }

const (
	openPartition   = "open"
	brokenPartition = "broken"
)

// place is where a request stands in the index.
func place(r Request) table.Key {
	switch {
	case r.Status.Open():
		return table.Key{PK: openPartition, SK: moment(r.Created) + "#" + r.Task}
	case r.Status == Failure && r.Broken:
		return table.Key{PK: brokenPartition, SK: moment(r.Finished) + "#" + r.Task}
	}
	return table.Key{}
}

const (
	endedWithIDs    = "ended#with-ids"
	endedWithoutIDs = "ended#without-ids"
)

// endedKey is the row of a request that has ended and has its identifiers.
func endedKey(r Request) table.Key {
	return table.Key{PK: endedWithIDs, SK: moment(r.Finished) + "#" + r.Task}
}

// taskIn is the task of an SK that begins with a moment.
func taskIn(sk string) string { return sk[len("0000000000000#"):] }

// Objects in the bucket; the archive's and its segments' names are in package
// archive.

const (
	certificatePrefix = "certificates/"
	ledgerPrefix      = "ledger/"
)

func certificateObject(task string) string { return certificatePrefix + task + ".json" }

func ledgerObject(entry string) string { return ledgerPrefix + entry + ".json" }

const ledgerPartition = "ledger"

const (
	sentPartition = "mail-sent"
	newsPartition = "news"
)

func mailKey(id string) table.Key { return table.Key{PK: "mail#" + id, SK: "mail"} }

func newsKey(at time.Time, n news) table.Key {
	if n.SignIn != nil {
		return table.Key{PK: newsPartition, SK: moment(at) + "#sign-in#" + n.SignIn.ID}
	}
	return table.Key{PK: newsPartition, SK: fmt.Sprintf("%s#%s#%d#%s", moment(at), n.Task, n.Attempt, n.What)}
}

// newsOf is when news came up, by its place.
func newsOf(sk string) time.Time {
	ms, _ := strconv.ParseInt(sk[:strings.IndexByte(sk, '#')], 10, 64) // newsKey wrote it
	return time.UnixMilli(ms)
}

func executionName(r Request) string { return r.Task + "-" + strconv.Itoa(r.Attempt) }

func moment(t time.Time) string { return fmt.Sprintf("%013d", t.UnixMilli()) }

// stored is how identifiers are kept, where kind.Subject would hide them.
func stored(ids []kind.Subject) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func subjects(ids []string) []kind.Subject {
	out := make([]kind.Subject, len(ids))
	for i, id := range ids {
		out[i] = kind.Subject(id)
	}
	return out
}
