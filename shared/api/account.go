package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lethe/shared/account"
	"lethe/shared/kind"
)

// accountRoutes are those by which people and service accounts manage accounts. A
// GDPR token is not good for them.
func (e *edge) accountRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: "/api/app/me", serve: e.me, about: forNone, people: true},
		{method: http.MethodPost, pattern: "/api/app/session", serve: e.signIn, open: true},
		{method: http.MethodDelete, pattern: "/api/app/session", serve: e.signOut, about: forNone, people: true},
		{method: http.MethodPost, pattern: "/api/app/sign-in-links", serve: e.makeLink, about: forNone, people: true},
		{method: http.MethodGet, pattern: tokens, serve: e.tokens, about: forNone, people: true},
		{method: http.MethodPost, pattern: tokens, serve: e.makeToken, about: forNone, people: true},
		{method: http.MethodDelete, pattern: tokens + "/{token_id}", serve: e.revokeToken, about: forNone, people: true},
		{method: http.MethodPost, pattern: tokens + "/{token_id}/replace", serve: e.replaceToken, about: forNone, people: true},
		{method: http.MethodGet, pattern: "/api/app/projects", serve: e.projects, about: forNone, people: true},
		{method: http.MethodPost, pattern: "/api/app/projects", serve: e.makeProject, about: forNone, people: true},
		{method: http.MethodPatch, pattern: project, serve: e.renameProject, people: true, may: "change it or hand it over"},
		{method: http.MethodPost, pattern: project + "/rotate", serve: e.rotateProject, people: true, may: "change it or hand it over"},
		{method: http.MethodPost, pattern: project + "/transfer", serve: e.transferProject, people: true, may: "change it or hand it over"},
		{method: http.MethodGet, pattern: members, serve: e.members, people: true, may: "see or change its members"},
		{method: http.MethodPut, pattern: members, serve: e.setMember, people: true, may: "see or change its members"},
		{method: http.MethodDelete, pattern: members, serve: e.removeMember, people: true, may: "see or change its members"},
		{method: http.MethodGet, pattern: organisation + "/members", serve: e.settling(e.members), about: forNone, people: true},
		{method: http.MethodPut, pattern: organisation + "/members", serve: e.settling(e.setMember), about: forNone, people: true},
		{method: http.MethodDelete, pattern: organisation + "/members", serve: e.settling(e.removeMember), about: forNone, people: true},
		{method: http.MethodPost, pattern: services, serve: e.makeService, people: true, may: "manage its service accounts"},
		{method: http.MethodPost, pattern: services + "/rotate", serve: e.rotateService, people: true, may: "manage its service accounts"},
		{method: http.MethodGet, pattern: audit, serve: e.audit, people: true, may: "read its audit trail"},
		{method: http.MethodGet, pattern: audit + "/verify", serve: e.verifyAudit, people: true, may: "read its audit trail"},
		{method: http.MethodGet, pattern: organisation + "/audit", serve: e.settling(e.audit), about: forNone, people: true},
		{method: http.MethodGet, pattern: organisation + "/mail", serve: e.settling(e.mail), about: forNone, people: true},
		{method: http.MethodGet, pattern: organisation + "/audit/verify", serve: e.settling(e.verifyAudit), about: forNone, people: true},
	}
}

const (
	tokens       = "/api/app/tokens"
	project      = "/api/app/project"
	members      = "/api/app/members"
	services     = "/api/app/service-accounts"
	audit        = "/api/app/audit"
	organisation = "/api/app/organisation"
)

// settling lets only owners and admins of the organisation through.
func (e *edge) settling(serve func(*call) error) func(*call) error {
	return func(c *call) error {
		if err := e.Accounts.MaySettle(c.r.Context(), c.actor); err != nil {
			return err
		}
		return serve(c)
	}
}

// self is who somebody is, and what they may.
type self struct {
	Name         string      `json:"name"`
	Service      bool        `json:"service_account"`
	Organisation string      `json:"organisation_role,omitempty"`
	Projects     []ofProject `json:"projects"`
}

// ofProject is a project as somebody with a role in it sees it.
type ofProject struct {
	ID    json.Number `json:"project_id"`
	Name  string      `json:"name"`
	Token string      `json:"token"`
	Role  string      `json:"role"`
}

// me answers who the caller is, and in which projects they have which role.
func (e *edge) me(c *call) error {
	standing, err := e.Accounts.Standing(c.r.Context(), c.actor.Name)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, self{Name: c.actor.Name, Service: c.actor.By == account.BySecret, Organisation: string(standing.Organisation), Projects: projectsOf(standing)})
}

func projectsOf(s account.Standing) []ofProject {
	found := []ofProject{}
	for _, p := range s.Projects {
		found = append(found, ofProject{ID: json.Number(p.ID), Name: p.Name, Token: p.Token, Role: string(p.Role)})
	}
	return found
}

// signIn turns what a sign-in link holds into a session, for programs.
func (e *edge) signIn(c *call) error {
	link, err := c.field("link")
	if err != nil {
		return err
	}
	from := account.AddressOf(c.r.RemoteAddr)
	actor, session, err := e.Accounts.SignIn(c.r.Context(), from, link)
	if err != nil {
		return e.Accounts.Failed(c.r.Context(), from, err)
	}
	return c.ok(http.StatusCreated, struct {
		Name    string `json:"name"`
		Session string `json:"session"`
		Expires string `json:"expires"`
	}{actor.Name, session, date(e.Clock().Add(account.SessionLife))})
}

// makeLink answers what a sign-in link for somebody holds. Whoever has it is that
// person, so it is made on the machine alone, and else mailed.
func (e *edge) makeLink(c *call) error {
	if c.actor != account.Local {
		return kind.Say(kind.Forbidden, "A sign-in link is made on the machine that Lethe runs on alone: lethe sign-in. Elsewhere it is mailed.")
	}
	name, err := c.field("name")
	if err != nil {
		return err
	}
	link, err := e.Accounts.MakeLink(c.r.Context(), c.by(), name)
	if err != nil {
		return err
	}
	made := struct {
		Link    string `json:"link"`
		URL     string `json:"url,omitempty"`
		Expires string `json:"expires"`
	}{Link: link, Expires: date(e.Clock().Add(account.LinkLife))}
	if e.SignInURL != nil {
		made.URL = e.SignInURL(link)
	}
	return c.ok(http.StatusCreated, made)
}

// owner is whose GDPR tokens a call is about: the caller's, and on the machine those of
// whom the query names.
func (c *call) owner() (string, error) {
	owner := c.query.Get("owner")
	switch {
	case c.actor != account.Local && owner != "":
		return "", kind.Say(kind.Forbidden, "Everybody manages their own GDPR tokens alone. Leave owner out.")
	case c.actor != account.Local:
		return c.actor.Name, nil
	case owner == "":
		return "", kind.Say(kind.Invalid, "The query parameter owner is missing. Give the mail address of whose tokens these are.")
	}
	return owner, nil
}

// signOut ends the session that the caller came with, or all of theirs.
func (e *edge) signOut(c *call) error {
	if c.actor.By != account.BySession {
		return kind.Say(kind.Invalid, "Only a session can be ended here: send it as the Bearer.")
	}
	_, secret, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	err := e.Accounts.SignOut(c.r.Context(), c.by(), strings.TrimSpace(secret), c.query.Get("everywhere") == "1")
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// shownToken is a GDPR token as it is listed; with the token itself once it was made.
type shownToken struct {
	ID      string `json:"token_id"`
	Prefix  string `json:"prefix"`
	Created string `json:"date_created"`
	Used    string `json:"date_last_used,omitempty"`
	Expires string `json:"date_expires"`
	Revoked string `json:"date_revoked,omitempty"`
	Secret  string `json:"token,omitempty"`
}

func shownTokenOf(t account.Token, secret string) shownToken {
	s := shownToken{ID: t.ID, Prefix: t.Prefix, Created: date(t.Created), Expires: date(t.Expires), Secret: secret}
	if !t.Used.IsZero() {
		s.Used = date(t.Used)
	}
	if !t.Revoked.IsZero() {
		s.Revoked = date(t.Revoked)
	}
	return s
}

// tokens answers the caller's GDPR tokens.
func (e *edge) tokens(c *call) error {
	owner, err := c.owner()
	if err != nil {
		return err
	}
	all, err := e.Accounts.Tokens(c.r.Context(), owner)
	if err != nil {
		return err
	}
	shown := make([]shownToken, len(all))
	for i, t := range all {
		shown[i] = shownTokenOf(t, "")
	}
	return c.ok(http.StatusOK, shown)
}

func (e *edge) makeToken(c *call) error {
	owner, err := c.owner()
	if err != nil {
		return err
	}
	t, secret, err := e.Accounts.MakeToken(c.r.Context(), c.by(), owner)
	if err != nil {
		return err
	}
	return c.ok(http.StatusCreated, shownTokenOf(t, secret))
}

func (e *edge) revokeToken(c *call) error {
	owner, err := c.owner()
	if err != nil {
		return err
	}
	if err := e.Accounts.RevokeToken(c.r.Context(), c.by(), owner, c.task); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (e *edge) replaceToken(c *call) error {
	var overlap time.Duration
	if err := c.strict(nil, days("overlap_days", &overlap)); err != nil {
		return err
	}
	owner, err := c.owner()
	if err != nil {
		return err
	}
	t, secret, err := e.Accounts.ReplaceToken(c.r.Context(), c.by(), owner, c.task, overlap)
	if err != nil {
		return err
	}
	return c.ok(http.StatusCreated, shownTokenOf(t, secret))
}

// projects answers the projects that the caller has a role in.
func (e *edge) projects(c *call) error {
	standing, err := e.Accounts.Standing(c.r.Context(), c.actor.Name)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, projectsOf(standing))
}

// newProject is a project that was just made, with its secret, or a part of one that
// was rotated.
type newProject struct {
	ID     json.Number `json:"project_id"`
	Name   string      `json:"name"`
	Token  string      `json:"token"`
	Secret string      `json:"api_secret,omitempty"`
}

func (e *edge) makeProject(c *call) error {
	name, err := c.field("name")
	if err != nil {
		return err
	}
	p, err := e.Accounts.MakeProject(c.r.Context(), c.by(), name)
	if err != nil {
		return err
	}
	return c.ok(http.StatusCreated, newProject{json.Number(p.ID), p.Name, p.Token, p.Secret})
}

func (e *edge) renameProject(c *call) error {
	name, err := c.field("name")
	if err != nil {
		return err
	}
	p, err := e.Accounts.RenameProject(c.r.Context(), c.by(), c.project.ID, name)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, newProject{ID: json.Number(p.ID), Name: p.Name, Token: p.Token})
}

func (e *edge) rotateProject(c *call) error {
	var what string
	var overlap time.Duration
	if err := c.strict([]string{"what"}, member{"what", "a string", &what}, days("overlap_days", &overlap)); err != nil {
		return err
	}
	p, secret, err := e.Accounts.RotateProject(c.r.Context(), c.by(), c.project.ID, account.Part(what), overlap)
	if err != nil {
		return err
	}
	made := newProject{ID: json.Number(p.ID), Name: p.Name, Token: p.Token}
	if account.Part(what) == account.PartSecret {
		made.Secret = secret
	}
	return c.ok(http.StatusCreated, made)
}

func (e *edge) transferProject(c *call) error {
	var to string
	var mayBeNew bool
	if err := c.strict([]string{"to"}, member{"to", "a string", &to}, member{"new", "true or false", &mayBeNew}); err != nil {
		return err
	}
	invitation, err := e.Accounts.TransferProject(c.r.Context(), c.by(), c.project.ID, to, mayBeNew)
	if err != nil {
		return err
	}
	return e.showMembers(c, invitation, to)
}

// shownMember is who has a role.
type shownMember struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Since   string `json:"date_added"`
	Service bool   `json:"service_account"`
	// Invitation is what becomes of the mail to who got a role by this call.
	Invitation account.Invitation `json:"invitation,omitempty"`
}

// members answers who has a role in the project, or without one in the organisation.
func (e *edge) members(c *call) error { return e.showMembers(c, account.Uninvited, "") }

// showMembers answers the same, and what becomes of an invitation by the call.
func (e *edge) showMembers(c *call, invitation account.Invitation, name string) error {
	all, err := e.Accounts.Members(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	shown := make([]shownMember, len(all))
	for i, m := range all {
		shown[i] = shownMember{Name: m.Name, Role: string(m.Role), Since: date(m.Since), Service: m.Service}
		if strings.EqualFold(m.Name, name) {
			shown[i].Invitation = invitation
		}
	}
	return c.ok(http.StatusOK, shown)
}

func (e *edge) setMember(c *call) error {
	var name, role string
	if err := c.strict([]string{"name", "role"}, member{"name", "a string", &name}, member{"role", "a string", &role}); err != nil {
		return err
	}
	invitation, err := e.Accounts.SetMember(c.r.Context(), c.by(), c.project.ID, name, account.Role(role))
	if err != nil {
		return err
	}
	return e.showMembers(c, invitation, name)
}

func (e *edge) removeMember(c *call) error {
	name, err := c.field("name")
	if err != nil {
		return err
	}
	removed, err := e.Accounts.RemoveMember(c.r.Context(), c.by(), c.project.ID, name)
	if err != nil {
		return err
	}
	shown := make([]removedRole, len(removed))
	for i, r := range removed {
		shown[i] = removedRole{json.Number(r.Project), string(r.Role)}
	}
	return c.ok(http.StatusOK, shown)
}

// removedRole is a role that was taken away.
type removedRole struct {
	Project json.Number `json:"project_id,omitempty"` // without it, in the organisation
	Role    string      `json:"role"`
}

// madeService is a service account with a secret that was just made.
type madeService struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

func (e *edge) makeService(c *call) error {
	var name, role string
	if err := c.strict([]string{"name", "role"}, member{"name", "a string", &name}, member{"role", "a string", &role}); err != nil {
		return err
	}
	made, secret, err := e.Accounts.MakeServiceAccount(c.r.Context(), c.by(), c.project.ID, name, account.Role(role))
	if err != nil {
		return err
	}
	return c.ok(http.StatusCreated, madeService{made, secret})
}

func (e *edge) rotateService(c *call) error {
	var name string
	var overlap time.Duration
	if err := c.strict([]string{"name"}, member{"name", "a string", &name}, days("overlap_days", &overlap)); err != nil {
		return err
	}
	secret, err := e.Accounts.RotateServiceSecret(c.r.Context(), c.by(), c.project.ID, name, overlap)
	if err != nil {
		return err
	}
	return c.ok(http.StatusCreated, madeService{name, secret})
}

// field reads a body of one string.
func (c *call) field(name string) (string, error) {
	var value string
	err := c.strict([]string{name}, member{name, "a string", &value})
	return value, err
}

// strict reads a body of members, no others, of which some must be there. Without
// such an empty body will do.
func (c *call) strict(needed []string, all ...member) error {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return err
	}
	if len(body) == 0 && len(needed) == 0 {
		return nil
	}
	fields, err := setMembers(body, all)
	if err != nil {
		return err
	}
	for _, name := range needed {
		if fields[name] == nil {
			return kind.Say(kind.Invalid, name+" is missing. Give it as a member of the JSON object in the body.")
		}
	}
	return nil
}

// days is a member that is a whole number of days.
func days(name string, into *time.Duration) member {
	return member{name, "a whole number of days", (*dayCount)(into)}
}

// dayCount reads a number of days.
type dayCount time.Duration

func (d *dayCount) UnmarshalJSON(data []byte) error {
	var n int16 // more would not fit a duration
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*d = dayCount(time.Duration(n) * 24 * time.Hour)
	return nil
}

// audit answers the audit trail of the project, or without one of the organisation, a
// line for each entry as it is stored, from ?from= on. Lethe-Next is where to go on.
func (e *edge) audit(c *call) error {
	from := int64(1)
	if s := c.query.Get("from"); s != "" {
		var err error
		if from, err = strconv.ParseInt(s, 10, 64); err != nil || from < 1 {
			return kind.Say(kind.Invalid, "from must be the number of an entry, from 1.")
		}
	}
	lines, next, err := e.Accounts.Lines(c.r.Context(), c.project.ID, from)
	if err != nil {
		return err
	}
	h := c.w.Header()
	if next > 0 {
		h.Set("Lethe-Next", fmt.Sprint(next))
	}
	h.Set("Content-Type", "application/x-ndjson")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(lines) // the other side is gone; there is nobody to tell
	return nil
}

// verifyAudit answers what a look at every entry of the trail gave.
func (e *edge) verifyAudit(c *call) error {
	v, err := e.Accounts.Verify(c.r.Context(), e.Service.Bucket, e.Service.Keys, c.project.ID)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, v)
}

// sentMail is a message that was handed over for delivery.
type sentMail struct {
	To    string `json:"to"`
	About string `json:"about"`
	Sent  string `json:"date_sent"`
}

// mail answers a page of what was sent, newest first.
func (e *edge) mail(c *call) error {
	page, size, err := c.page()
	if err != nil {
		return err
	}
	found, total, err := e.Service.SentMails(c.r.Context(), page, size)
	if err != nil {
		return err
	}
	shown := make([]sentMail, len(found))
	for i, m := range found {
		shown[i] = sentMail{m.To, m.About, date(m.Sent)}
	}
	return c.list(shown, page, size, total)
}
