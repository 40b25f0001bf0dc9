package account

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"net/mail"
	"strings"
	"time"
	"unicode"
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
	c := newCredentials()
	token := func(owner string, now time.Time) ([]table.Op, error) {
		ops, err := giveToken(c.GDPRToken, tokenOf(owner, c.GDPRToken, now))
		if err != nil {
			return nil, err
		}
		program := membership{Name: c.ServiceAccount, Role: Admin, Since: now}
		for key, record := range map[table.Key]any{
			personKey(c.ServiceAccount):                  person{Name: c.ServiceAccount, Since: now},
			memberKey(c.ProjectID, c.ServiceAccount):     program,
			membershipKey(c.ProjectID, c.ServiceAccount): program,
		} {
			op, err := fresh(key, record)
			if err != nil {
				return nil, err
			}
			ops = append(ops, op)
		}
		secret, err := give(personPK(c.ServiceAccount), c.ServiceSecret, newServiceSecret(c.ServiceAccount, now))
		return append(ops, secret...), err
	}
	if _, err := a.found(ctx, f, c, token); err != nil {
		return Credentials{}, err
	}
	return c, nil
}

// FoundFor makes the organisation, its owner and the first project, and no secret that
// anybody would have to be shown: those are made when they are asked for. Errors are as
// of Found.
func (a *Accounts) FoundFor(ctx context.Context, owner string) (Project, error) {
	return a.found(ctx, Founding{OwnerEmail: owner}, newCredentials(), func(string, time.Time) ([]table.Op, error) { return nil, nil })
}

func (a *Accounts) found(ctx context.Context, f Founding, c Credentials, more func(owner string, now time.Time) ([]table.Op, error)) (Project, error) {
	const op = "found project"
	owner, err := parseMail(f.OwnerEmail)
	if err != nil {
		return Project{}, err
	}
	if err := checkNames(f.OrgName, f.ProjectName); err != nil {
		return Project{}, err
	}
	taken := kind.Say(kind.Conflict, "There is a project here already.")
	switch _, err := a.control.Get(ctx, organisationKey()); kind.Of(err) {
	case kind.NotFound:
	case "":
		return Project{}, taken
	default:
		return Project{}, kind.Wrap(op, err)
	}
	now := a.clock().UTC()
	p := NewProject{Project{ID: c.ProjectID, Name: or(f.ProjectName, "Project"), Token: c.ProjectToken, Created: now}, c.APISecret}
	ops, err := p.ops()
	if err != nil {
		return Project{}, err
	}
	first := membership{Name: owner, Role: Owner, Since: now}
	for key, record := range map[table.Key]any{
		organisationKey():        organisation{Name: or(f.OrgName, "Organisation"), Created: now},
		personKey(owner):         person{Name: owner, Since: now},
		memberKey("", owner):     first,
		membershipKey("", owner): first,
	} {
		op, err := fresh(key, record)
		if err != nil {
			return Project{}, err
		}
		ops = append(ops, op)
	}
	given, err := more(owner, now)
	if err != nil {
		return Project{}, kind.Wrap(op, err)
	}
	if f.Keep != nil {
		if err := f.Keep(c); err != nil {
			return Project{}, kind.Wrap("keep credentials", err)
		}
	}
	e := dsr.Entry{Time: now, Actor: owner, Action: "organisation.found"}
	own := e
	own.Project, own.Action = c.ProjectID, "project.make"
	err = a.record(ctx, dsr.Defaults().KeepRecords, []dsr.Entry{e, own}, append(ops, given...))
	if kind.Of(err) == kind.Conflict {
		err = taken
	}
	return p.Project, kind.Wrap(op, err)
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

// CheckMail returns kind.Invalid, with a sentence, for what cannot be a person.
func CheckMail(s string) error {
	_, err := parseMail(s)
	return err
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
		if utf8.RuneCountInString(n) > 255 || !utf8.ValidString(n) || strings.TrimSpace(n) != n || strings.ContainsFunc(n, unicode.IsControl) {
			return kind.Say(kind.Invalid, "A name must be one line of at most 255 characters, and not begin or end with a space.")
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
