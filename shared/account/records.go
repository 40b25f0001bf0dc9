package account

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Keys of the control table that begin with "account" are this package's. No key
// is made of what a caller sends but by a hash or once it is known to be a name, so
// none can be too long, reach into another partition, or be a secret in the clear.
//
//	account                     organisation              the one organisation
//	account                     rules                     a dsr.Organisation
//	account                     project#<project>         a Project
//	account                     member#<name>             a membership of the organisation
//	account#project#<project>   member#<name>             a membership of the project
//	account#project#<project>   rules                     a dsr.Project
//	account#project#<project>   holding#<13-digit ms>#<id>   a holding: project tokens and API secrets
//	account#person#<name>       person                    a person
//	account#person#<name>       member#<project>          the same membership; "organisation" in place of a project
//	account#person#<name>       identity#<key>            a provider's user who was bound to the person
//	account#person#<name>       holding#<13-digit ms>#<id>   a holding: GDPR tokens, sessions, secrets of a service account
//	account#credential#<sha256> credential                what a secret or a project token stands for
//	account#credential#<sha256> used                      when it was last used, as a count of ms
//	account#expiring            <13-digit ms of the end>#<id>   a GDPR token that its owner is to be reminded of
//	account#identity#<sha256>   identity                  whom an OIDC provider's user is
//	account#limit#<sha256>      limit                     how often something was done lately
//	account#once#<sha256>       once                      a one-time key that was used
//	account#audit#<trail>       head                      where an audit trail stands
//	account#audit#<trail>       entry#<12-digit number>   an entry of it; a trail is a project, or "organisation"
const (
	directory     = "account"
	projectPrefix = "project#"
	afterProjects = "project$" // '$' follows '#'
	memberPrefix  = "member#"
	afterMembers  = "member$"
	holdingPrefix = "holding#"
	afterHoldings = "holding$"
	bindingPrefix = "identity#"
	afterBindings = "identity$"
	rulesSK       = "rules"
	expiringPK    = directory + "#expiring"

	// organisationTrail is no project's id, which has digits alone.
	organisationTrail = "organisation"

	credentialPrefix = directory + "#credential#"
	credentialSK     = "credential"
	usedSK           = "used"

	entryFormat  = "entry#%012d"
	afterEntries = "entry$"
)

func organisationKey() table.Key { return table.Key{PK: directory, SK: "organisation"} }

func projectKey(id string) table.Key { return table.Key{PK: directory, SK: projectPrefix + id} }

func organisationRulesKey() table.Key { return table.Key{PK: directory, SK: rulesSK} }

func projectPK(project string) string { return directory + "#project#" + project }

func projectRulesKey(project string) table.Key {
	return table.Key{PK: projectPK(project), SK: rulesSK}
}

func projectsQuery() table.Query {
	return table.Query{PK: directory, From: projectPrefix, To: afterProjects}
}

// memberKey is where a role in a project stands, or without one in the organisation.
func memberKey(project, name string) table.Key {
	key := table.Key{PK: directory, SK: memberPrefix + strings.ToLower(name)}
	if project != "" {
		key.PK = projectPK(project)
	}
	return key
}

func personPK(name string) string { return directory + "#person#" + strings.ToLower(name) }

func personKey(name string) table.Key { return table.Key{PK: personPK(name), SK: "person"} }

// membershipKey is where the role of memberKey stands in its person's partition.
func membershipKey(project, name string) table.Key {
	return table.Key{PK: personPK(name), SK: memberPrefix + trailOf(project)}
}

func holdingKey(pk string, c credential) table.Key {
	return table.Key{PK: pk, SK: fmt.Sprintf("%s%013d#%s", holdingPrefix, c.Created.UnixMilli(), c.ID)}
}

func credentialKey(secret string) table.Key { return credentialAt(hashOf([]byte(secret))) }

func credentialAt(hash string) table.Key {
	return table.Key{PK: credentialPrefix + hash, SK: credentialSK}
}

func usedAt(hash string) table.Key { return table.Key{PK: credentialPrefix + hash, SK: usedSK} }

func expiringKey(c credential) table.Key {
	return table.Key{PK: expiringPK, SK: fmt.Sprintf("%013d#%s", c.Expires.UnixMilli(), c.ID)}
}

func onceKey(name, key string) table.Key {
	return table.Key{PK: directory + "#once#" + hashOf([]byte(name+"\x00"+key)), SK: "once"}
}

func headKey(trail string) table.Key { return table.Key{PK: directory + "#audit#" + trail, SK: "head"} }

func entryKey(trail string, number int64) table.Key {
	return table.Key{PK: headKey(trail).PK, SK: fmt.Sprintf(entryFormat, number)}
}

type organisation struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// A membership is the role of a person or a service account, in the organisation
// or in one project.
type membership struct {
	Name  string    `json:"name"`
	Role  Role      `json:"role"`
	Since time.Time `json:"since"`
}

// A use is what a credential is good for, and nothing else.
type use string

const (
	projectToken  use = "project token"
	apiSecret     use = "API secret"
	gdprToken     use = "GDPR token"
	serviceSecret use = "service account"
	session       use = "session"
	signInLink    use = "sign-in link"
)

// A credential is what a secret stands for. The record of one that ended is kept for
// a while, so that its holder can be told why it no longer works.
type credential struct {
	ID      string    `json:"id"`
	Use     use       `json:"use"`
	Project string    `json:"project,omitempty"` // of a project token or an API secret
	Owner   string    `json:"owner,omitempty"`   // of the others: the name of the Actor
	Prefix  string    `json:"prefix,omitempty"`  // the beginning of the secret, to know it by
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
	// Replaced means that another was made in its place, and Expires is the end of the
	// time in which both work.
	Replaced bool `json:"replaced,omitempty"`
	// Ended of a sign-in link is its owner's when it was made.
	Ended int `json:"ended,omitempty"`
}

const (
	expired = "expired"
	revoked = "revoked"
)

// ended tells why a credential is no longer good, or "".
func (c credential) ended(now time.Time) string {
	switch {
	case !c.Revoked.IsZero():
		return revoked
	case !c.Expires.IsZero() && !now.Before(c.Expires):
		return expired
	}
	return ""
}

// forgotten is when nobody is told any more that a credential no longer works.
func (c credential) forgotten() time.Time {
	const told = 90 * 24 * time.Hour
	switch {
	case c.Use == session || c.Use == signInLink:
		return c.Expires.Add(24 * time.Hour)
	case !c.Revoked.IsZero():
		return c.Revoked.Add(told)
	case !c.Expires.IsZero():
		return c.Expires.Add(told)
	}
	return time.Time{}
}

// usedIn is the time that an item at usedAt holds.
func usedIn(item table.Item) time.Time {
	if item.Count == 0 {
		return time.Time{}
	}
	return time.UnixMilli(item.Count).UTC()
}

// isProjectID keeps anything but a project id out of a key.
func isProjectID(s string) bool {
	return s != "" && len(s) <= 19 && strings.Trim(s, "0123456789") == ""
}

// fresh is the operation that stores a record where there is none.
func fresh(key table.Key, record any) (table.Op, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return table.Op{}, kind.E(kind.Internal, "write account record", err)
	}
	return table.Put(table.Item{Key: key, Data: data}, table.IfAbsent()), nil
}
