package account

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Keys of the control table that begin with "account" are this package's. No key
// is made of what a caller sends but by a hash, so none can be too long, reach
// into another partition, or be a secret in the clear.
//
//	account                     organisation              the one organisation
//	account                     rules                     a dsr.Organisation
//	account                     project#<project>         a Project
//	account                     member#<name>             a membership of the organisation
//	account#project#<project>   member#<name>             a membership of the project
//	account#project#<project>   rules                     a dsr.Project
//	account#credential#<sha256> credential                what a secret or a project token stands for
//	account#audit#<project>     <13-digit ms>#<random>    a dsr.Entry
const (
	directory     = "account"
	projectPrefix = "project#"
	afterProjects = "project$" // '$' follows '#'
	memberPrefix  = "member#"
	afterMembers  = "member$"
	rulesSK       = "rules"

	credentialPrefix = directory + "#credential#"
	credentialSK     = "credential"
)

func organisationKey() table.Key { return table.Key{PK: directory, SK: "organisation"} }

func projectKey(id string) table.Key { return table.Key{PK: directory, SK: projectPrefix + id} }

func organisationRulesKey() table.Key { return table.Key{PK: directory, SK: rulesSK} }

func projectRulesKey(project string) table.Key {
	return table.Key{PK: directory + "#project#" + project, SK: rulesSK}
}

func projectsQuery() table.Query {
	return table.Query{PK: directory, From: projectPrefix, To: afterProjects}
}

func memberKey(name string) table.Key {
	return table.Key{PK: directory, SK: memberPrefix + strings.ToLower(name)}
}

func projectMemberKey(project, name string) table.Key {
	return table.Key{PK: directory + "#project#" + project, SK: memberPrefix + strings.ToLower(name)}
}

func credentialKey(secret string) table.Key {
	sum := sha256.Sum256([]byte(secret))
	return table.Key{PK: credentialPrefix + hex.EncodeToString(sum[:]), SK: credentialSK}
}

func auditKey(project string, t time.Time, random string) table.Key {
	return table.Key{PK: directory + "#audit#" + project, SK: fmt.Sprintf("%013d#%s", t.UnixMilli(), random)}
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
)

// A credential is what a secret stands for. The record of one that ended is kept,
// so that its holder can be told why it no longer works.
type credential struct {
	Use     use       `json:"use"`
	Project string    `json:"project,omitempty"` // of a project token or an API secret
	Owner   string    `json:"owner,omitempty"`   // of the other two: the name of the Actor
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
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
