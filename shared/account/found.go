package account

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// TokenLife is how long a GDPR token works.
const TokenLife = 365 * 24 * time.Hour

// TokenPrefix begins every GDPR token, so that a scanner for leaked secrets can
// tell one.
const TokenPrefix = "lethe_gdpr_"

// A Founding is what the first project of a deployment is made from.
type Founding struct {
	OrgName     string // "Organisation" if empty
	ProjectName string // "Project" if empty
	OwnerEmail  string // a mail address; the owner of the organisation
	// Keep, if set, is given the credentials before anything is stored; if it fails
	// nothing is. A program that writes them to a file does it here: whenever it is
	// stopped, there is no project whose credentials nobody has.
	Keep func(Credentials) error
}

// Credentials are the first project's, in the clear. They can be shown now and
// never again.
type Credentials struct {
	ProjectID      string `json:"project_id"`
	ProjectToken   string `json:"project_token"`
	APISecret      string `json:"api_secret"`
	GDPRToken      string `json:"gdpr_token"`
	ServiceAccount string `json:"service_account"`
	ServiceSecret  string `json:"service_secret"`
}

// Found makes the organisation, its owner, the first project with its token and
// API secret, a GDPR token of the owner, and a service account that is an admin of
// the project; all of it or nothing. Where there is an organisation already it
// changes nothing and returns kind.Conflict; a mail address that is none is
// kind.Invalid.
func (a *Accounts) Found(ctx context.Context, f Founding) (Credentials, error) {
	const op = "found project"
	owner, err := parseMail(f.OwnerEmail)
	if err != nil {
		return Credentials{}, err
	}
	if err := checkNames(f.OrgName, f.ProjectName); err != nil {
		return Credentials{}, err
	}
	taken := kind.Say(kind.Conflict, "There is a project here already.")
	switch _, err := a.control.Get(ctx, organisationKey()); kind.Of(err) {
	case kind.NotFound:
	case "":
		return Credentials{}, taken
	default:
		return Credentials{}, kind.Wrap(op, err)
	}

	c := newCredentials()
	ops, err := a.founding(f, owner, c)
	if err != nil {
		return Credentials{}, kind.Wrap(op, err)
	}
	if f.Keep != nil {
		if err := f.Keep(c); err != nil {
			return Credentials{}, kind.Wrap("keep credentials", err)
		}
	}
	e := dsr.Entry{Time: a.clock().UTC(), Actor: owner, Action: "found"}
	own := e
	own.Project = c.ProjectID
	if err := a.record(ctx, dsr.Defaults().KeepRecords, []dsr.Entry{e, own}, ops); err != nil {
		if kind.Of(err) == kind.Conflict {
			return Credentials{}, taken
		}
		return Credentials{}, kind.Wrap(op, err)
	}
	return c, nil
}

func (a *Accounts) founding(f Founding, owner string, c Credentials) ([]table.Op, error) {
	now := a.clock().UTC()
	var ops []table.Op
	for _, r := range []struct {
		key    table.Key
		record any
	}{
		{organisationKey(), organisation{Name: or(f.OrgName, "Organisation"), Created: now}},
		{personKey(owner), person{Name: owner, Since: now}},
		{memberKey("", owner), membership{Name: owner, Role: Owner, Since: now}},
		{membershipKey("", owner), membership{Name: owner, Role: Owner, Since: now}},
		{personKey(c.ServiceAccount), person{Name: c.ServiceAccount, Since: now}},
		{memberKey(c.ProjectID, c.ServiceAccount), membership{Name: c.ServiceAccount, Role: Admin, Since: now}},
		{membershipKey(c.ProjectID, c.ServiceAccount), membership{Name: c.ServiceAccount, Role: Admin, Since: now}},
	} {
		op, err := fresh(r.key, r.record)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	project, err := NewProject{Project{ID: c.ProjectID, Name: or(f.ProjectName, "Project"), Token: c.ProjectToken, Created: now}, c.APISecret}.ops()
	if err != nil {
		return nil, err
	}
	token, err := giveToken(c.GDPRToken, tokenOf(owner, c.GDPRToken, now))
	if err != nil {
		return nil, err
	}
	secret, err := give(personPK(c.ServiceAccount), c.ServiceSecret, newServiceSecret(c.ServiceAccount, now))
	return slices.Concat(ops, project, token, secret), err
}

func newCredentials() Credentials {
	return Credentials{
		ProjectID:      randomProjectID(),
		ProjectToken:   randomHex(16),
		APISecret:      randomHex(16),
		GDPRToken:      TokenPrefix + randomHex(32),
		ServiceAccount: "lethe." + randomHex(3) + ".service-account",
		ServiceSecret:  randomHex(32),
	}
}

// randomHex returns n random bytes in hex. Package rand never fails: without
// randomness the program ends.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// randomProjectID returns seven digits, the first not 0, as in Mixpanel.
func randomProjectID() string {
	n, err := rand.Int(rand.Reader, big.NewInt(9_000_000))
	if err != nil {
		panic(err) // as rand.Read does
	}
	return n.Add(n, big.NewInt(1_000_000)).String()
}

func parseMail(s string) (string, error) {
	address, err := mail.ParseAddress(s)
	if err != nil || address.Address != s || len(s) > 254 {
		return "", kind.Say(kind.Invalid, "A person must be named by a plain mail address of at most 254 characters, such as pat@example.com.")
	}
	return s, nil
}

func checkProjectName(name string) error {
	if name == "" {
		return kind.Say(kind.Invalid, "name is empty. Give the project a name.")
	}
	return checkNames(name)
}

func checkNames(names ...string) error {
	for _, n := range names {
		if utf8.RuneCountInString(n) > 255 || !utf8.ValidString(n) || strings.TrimSpace(n) != n {
			return kind.Say(kind.Invalid, "A name must be at most 255 characters and not begin or end with a space.")
		}
	}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
