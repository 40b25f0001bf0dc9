package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
)

// as sends a request with another proof than the owner's token.
func (w *world) as(proof, method, path, body string) answer {
	w.t.Helper()
	return w.do(method, path, body, header{"Authorization", proof})
}

// signIn signs somebody in through the API and returns the Bearer.
func (w *world) signIn(name string) string {
	w.t.Helper()
	link, err := w.accounts.MakeLink(w.t.Context(), dsr.By{Actor: account.Local.Name}, name)
	if err != nil {
		w.t.Fatal(err)
	}
	a := w.as("", "POST", "/api/app/session", `{"link":"`+link+`"}`)
	session, _ := a.results()["session"].(string)
	if a.Code != http.StatusCreated || a.results()["name"] != name || session == "" {
		w.t.Fatalf("sign in: got %d %s", a.Code, a.Body)
	}
	if a := w.as("", "POST", "/api/app/session", `{"link":"`+link+`"}`); a.Code != http.StatusUnauthorized {
		w.t.Errorf("a link for the second time: got %d", a.Code)
	}
	return "Bearer " + session
}

func (a answer) text(name string) string {
	s, _ := a.results()[name].(string)
	return s
}

// A person signs in, makes a token, uses it, replaces and revokes it.
func TestTokensByTheAPI(t *testing.T) {
	w := newWorld(t)
	session := w.signIn("pat@example.com")
	if a := w.as(session, "GET", "/api/app/me", ""); a.Code != 200 || a.text("name") != "pat@example.com" || a.text("organisation_role") != "owner" {
		t.Errorf("me: got %d %s", a.Code, a.Body)
	}
	made := w.as(session, "POST", "/api/app/tokens", "")
	token := made.text("token")
	if made.Code != http.StatusCreated || !strings.HasPrefix(token, account.TokenPrefix) {
		t.Fatalf("make: got %d %s", made.Code, made.Body)
	}
	if a := w.as("Bearer "+token, "GET", w.at(retrievals), ""); a.Code != 200 {
		t.Errorf("the new token: got %d %s", a.Code, a.Body)
	}
	// What the token is not good for.
	for _, call := range [][2]string{{"GET", "/api/app/me"}, {"GET", "/api/app/tokens"}, {"POST", "/api/app/tokens"}, {"GET", "/api/app/projects"}, {"POST", "/api/app/projects"},
		{"GET", w.at("/api/app/members")}, {"PUT", w.at("/api/app/members")}, {"GET", "/api/app/organisation/members"}, {"GET", w.at("/api/app/audit")}, {"DELETE", "/api/app/session"}} {
		if a := w.as("Bearer "+token, call[0], call[1], ""); a.Code != http.StatusForbidden {
			t.Errorf("a GDPR token: %s %s: got %d, want 403", call[0], call[1], a.Code)
		}
	}
	next := w.as(session, "POST", "/api/app/tokens/"+made.text("token_id")+"/replace", `{"overlap_days":2}`)
	if next.Code != http.StatusCreated || next.text("token") == token {
		t.Fatalf("replace: got %d %s", next.Code, next.Body)
	}
	if a := w.as("Bearer "+token, "GET", w.at(retrievals), ""); a.Code != 200 {
		t.Errorf("the old token in the overlap: got %d", a.Code)
	}
	// Whoever replaces it once more would have two in its place, and not know it.
	if a := w.as(session, "POST", "/api/app/tokens/"+made.text("token_id")+"/replace", `{"overlap_days":9}`); a.Code != http.StatusConflict || !strings.Contains(a.body.Error, "was replaced already") {
		t.Errorf("replaced once more in the overlap: got %d %s", a.Code, a.Body)
	}
	w.advance(49 * time.Hour)
	session = w.signIn("pat@example.com")
	if a := w.as("Bearer "+token, "GET", w.at(retrievals), ""); a.Code != 401 || !strings.Contains(a.body.Error, "was replaced by another") {
		t.Errorf("the old token after it: got %d %s", a.Code, a.Body)
	}
	if a := w.as(session, "DELETE", "/api/app/tokens/"+next.text("token_id"), ""); a.Code != http.StatusNoContent {
		t.Errorf("revoke: got %d %s", a.Code, a.Body)
	}
	if a := w.as("Bearer "+next.text("token"), "GET", w.at(retrievals), ""); a.Code != 401 || !strings.Contains(a.body.Error, "revoked") {
		t.Errorf("the revoked token: got %d %s", a.Code, a.Body)
	}
	list := w.as(session, "GET", "/api/app/tokens", "")
	if strings.Contains(list.Body.String(), token) || strings.Count(list.Body.String(), `"token_id"`) != 3 || !strings.Contains(list.Body.String(), "date_revoked") {
		t.Errorf("list: got %s", list.Body)
	}
	for path, body := range map[string]string{"x": "", "x/replace": `{"overlap_days":91}`, made.text("token_id") + "/replace": `{"overlap_days":-1}`, "y/replace": `{"overlap":1}`, "z/replace": `{"overlap_days":"1"}`} {
		method, want := "POST", 400
		if path == "x" {
			method, want = "DELETE", 404
		}
		if a := w.as(session, method, "/api/app/tokens/"+path, body); a.Code != want {
			t.Errorf("%s %s: got %d %s, want %d", path, body, a.Code, a.Body, want)
		}
	}
	if a := w.as(session, "DELETE", "/api/app/session", ""); a.Code != http.StatusNoContent {
		t.Errorf("sign out: got %d", a.Code)
	}
	if a := w.as(session, "GET", "/api/app/me", ""); a.Code != 401 {
		t.Errorf("after signing out: got %d", a.Code)
	}
	if a := w.as(basic(w.ServiceAccount, w.ServiceSecret), "DELETE", "/api/app/session", ""); a.Code != 400 {
		t.Errorf("a service account signs out: got %d", a.Code)
	}
	if a := w.as(basic(w.ServiceAccount, w.ServiceSecret), "POST", "/api/app/tokens", ""); a.Code != 403 {
		t.Errorf("a service account makes a token: got %d", a.Code)
	}
	for _, secret := range []string{token, next.text("token"), strings.TrimPrefix(session, "Bearer ")} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("a secret stands in the log")
		}
	}
	if strings.Contains(w.log.String(), "example.com") {
		t.Error("a mail address stands in the log")
	}
}

// Everyone but owners and admins is refused with a sentence.
func TestRolesOfTheAPI(t *testing.T) {
	w := newWorld(t)
	session := w.signIn("pat@example.com")
	if a := w.as(session, "POST", "/api/app/projects", `{"name":"Second"}`); a.Code != http.StatusCreated {
		t.Fatalf("make a project: got %d %s", a.Code, a.Body)
	}
	second := w.as(session, "GET", "/api/app/projects", "")
	var projects []struct {
		ID                json.Number `json:"project_id"`
		Name, Token, Role string
	}
	if err := json.Unmarshal(second.body.Results, &projects); err != nil || len(projects) != 2 {
		t.Fatalf("projects: %s, %v", second.Body, err)
	}
	other := projects[0].Token
	if other == w.ProjectToken {
		other = projects[1].Token
	}
	proofs := map[string]string{}
	for _, role := range []string{"owner", "admin", "analyst", "consumer"} {
		name := role + "@example.com"
		if a := w.as(session, "PUT", w.at("/api/app/members"), `{"name":"`+name+`","role":"`+role+`"}`); a.Code != 200 || !strings.Contains(a.Body.String(), name) {
			t.Fatalf("%s: got %d %s", role, a.Code, a.Body)
		}
		proofs[role] = w.signIn(name)
	}
	made := w.as(session, "POST", w.at("/api/app/service-accounts"), `{"name":"load","role":"analyst"}`)
	if made.Code != http.StatusCreated {
		t.Fatalf("service account: got %d %s", made.Code, made.Body)
	}
	proofs["program"] = basic(made.text("name"), made.text("secret"))
	for who, proof := range proofs {
		handles := who == "owner" || who == "admin"
		for _, c := range []struct {
			method, path, body string
			ok                 int
			may                bool
		}{
			{"GET", w.at(retrievals), "", 200, handles},
			{"POST", w.at(retrievals), `{"distinct_ids":["a"]}`, 201, handles},
			{"GET", w.at("/api/app/members"), "", 200, handles},
			{"PUT", w.at("/api/app/members"), `{"name":"kim@example.com","role":"analyst"}`, 200, handles},
			{"PUT", w.at("/api/app/members"), `{"name":"kim@example.com","role":"owner"}`, 200, who == "owner"},
			{"PATCH", w.at("/api/app/project"), `{"name":"First"}`, 200, handles},
			{"GET", w.at("/api/app/audit"), "", 200, handles},
			{"GET", w.at("/api/app/audit/verify"), "", 200, handles},
			{"POST", w.at("/api/app/project/transfer"), `{"to":"` + who + `@example.com"}`, 200, who == "owner"},
			// Beyond the project nobody of it may do anything.
			{"GET", retrievals + "/?token=" + other, "", 200, false},
			{"GET", "/api/app/audit?token=" + other, "", 200, false},
			{"GET", "/api/app/organisation/members", "", 200, false},
			{"PUT", "/api/app/organisation/members", `{"name":"kim@example.com","role":"analyst"}`, 200, false},
			{"DELETE", "/api/app/organisation/members", `{"name":"pat@example.com"}`, 200, false},
			{"GET", "/api/app/organisation/audit", "", 200, false},
			{"GET", "/api/app/organisation/mail", "", 200, false},
			{"POST", "/api/app/projects", `{"name":"x"}`, 201, false},
			{"GET", "/api/app/me", "", 200, true},
		} {
			w.advance(time.Minute)
			want := c.ok
			if !c.may {
				want = http.StatusForbidden
			}
			a := w.as(proof, c.method, c.path, c.body)
			if a.Code != want {
				t.Errorf("%s: %s %s: got %d %s, want %d", who, c.method, c.path, a.Code, a.body.Error, want)
			}
			// The sentence is of what was asked for.
			if about := strings.Contains(c.path, "data-retrievals"); want == 403 && strings.Contains(a.body.Error, "requests") != about {
				t.Errorf("%s: %s %s says %q", who, c.method, c.path, a.body.Error)
			}
		}
	}
	// A role that is taken away is gone with the next call.
	if a := w.as(session, "PUT", w.at("/api/app/members"), `{"name":"admin@example.com","role":"analyst"}`); a.Code != 200 {
		t.Fatal(a.Body)
	}
	if a := w.as(proofs["admin"], "GET", w.at(retrievals), ""); a.Code != 403 {
		t.Errorf("an admin who is none any more: got %d", a.Code)
	}
	if a := w.as(session, "DELETE", w.at("/api/app/members"), `{"name":"admin@example.com"}`); a.Code != 200 || !strings.Contains(a.Body.String(), `"results":[{"project_id":`+w.ProjectID+`,"role":"analyst"}]`) {
		t.Errorf("remove: got %d %s", a.Code, a.Body)
	}
	if a := w.as(proofs["admin"], "GET", "/api/app/me", ""); a.Code != 401 {
		t.Errorf("who was removed: got %d", a.Code)
	}
	if a := w.as(session, "DELETE", "/api/app/organisation/members", `{"name":"pat@example.com"}`); a.Code != 405 {
		t.Errorf("the last owner: got %d %s", a.Code, a.Body)
	}
	if a := w.as(session, "DELETE", "/api/app/organisation/members", `{"name":"nobody@example.com"}`); a.Code != 404 {
		t.Errorf("a stranger: got %d %s", a.Code, a.Body)
	}
}

func TestRotationByTheAPI(t *testing.T) {
	w := newWorld(t)
	session := w.signIn("pat@example.com")
	a := w.as(session, "POST", w.at("/api/app/project/rotate"), `{"what":"token","overlap_days":1}`)
	if a.Code != 201 || a.text("token") == w.ProjectToken || a.text("api_secret") != "" {
		t.Fatalf("token: got %d %s", a.Code, a.Body)
	}
	for _, token := range []string{a.text("token"), w.ProjectToken} {
		if a := w.do("GET", retrievals+"/?token="+token, ""); a.Code != 200 {
			t.Errorf("in the overlap: got %d", a.Code)
		}
	}
	w.advance(24 * time.Hour)
	if a := w.do("GET", w.at(retrievals), ""); a.Code != 403 {
		t.Errorf("the old token: got %d", a.Code)
	}
	w.ProjectToken = a.text("token")
	session = w.signIn("pat@example.com")
	if a := w.as(session, "POST", w.at("/api/app/project/rotate"), `{"what":"secret"}`); a.Code != 201 || len(a.text("api_secret")) != 32 {
		t.Errorf("secret: got %d %s", a.Code, a.Body)
	}
	a = w.as(session, "POST", w.at("/api/app/service-accounts/rotate"), `{"name":"`+w.ServiceAccount+`"}`)
	if a.Code != 201 || w.as(basic(w.ServiceAccount, w.ServiceSecret), "GET", "/api/app/me", "").Code != 401 || w.as(basic(w.ServiceAccount, a.text("secret")), "GET", "/api/app/me", "").Code != 200 {
		t.Errorf("service account: got %d %s", a.Code, a.Body)
	}
	for _, body := range []string{``, `{}`, `{"what":"x"}`, `{"what":"token","overlap_days":91}`, `{"what":"token","days":1}`, `[]`} {
		if a := w.as(session, "POST", w.at("/api/app/project/rotate"), body); a.Code != 400 {
			t.Errorf("%s: got %d %s", body, a.Code, a.Body)
		}
	}
}

// The trail tells who did what, goes on where an answer ends, and can be checked.
func TestAuditByTheAPI(t *testing.T) {
	w := newWorld(t)
	task := w.create(retrievals, `{"distinct_ids":["somebody"]}`)
	session := w.signIn("pat@example.com")
	a := w.as(session, "GET", w.at("/api/app/audit"), "")
	lines := strings.Split(strings.TrimSpace(a.Body.String()), "\n")
	var last struct {
		Number                    int
		Actor, Action, Task, From string
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || a.Code != 200 || a.Header().Get("Lethe-Next") != "" {
		t.Fatalf("got %d %s, %v", a.Code, a.Body, err)
	}
	if last.Number != len(lines) || last.Actor != "pat@example.com" || last.Action != "export.submit" || last.Task != task || last.From != "192.0.2.1" {
		t.Errorf("got %+v", last)
	}
	if strings.Contains(a.Body.String(), "somebody") {
		t.Error("an identifier stands in the trail")
	}
	if v, err := account.VerifyExport(a.Body, w.now()); err != nil || len(v.Faults) > 0 {
		t.Errorf("the export: %+v, %v", v, err)
	}
	for n := range 5100 {
		if err := w.accounts.Record(t.Context(), dsr.Entry{Project: w.ProjectID, Time: w.now(), Action: strconv.Itoa(n)}); err != nil {
			t.Fatal(err)
		}
	}
	a = w.as(session, "GET", w.at("/api/app/audit"), "")
	if got := strings.Count(a.Body.String(), "\n"); got != 5000 || a.Header().Get("Lethe-Next") != "5001" {
		t.Errorf("got %d lines and %q", got, a.Header().Get("Lethe-Next"))
	}
	a = w.as(session, "GET", w.at("/api/app/audit")+"&from=5001", "")
	if got := strings.Count(a.Body.String(), "\n"); got != 100+len(lines) || a.Header().Get("Lethe-Next") != "" {
		t.Errorf("the rest: got %d lines and %q", got, a.Header().Get("Lethe-Next"))
	}
	if a := w.as(session, "GET", w.at("/api/app/audit")+"&from=0", ""); a.Code != 400 {
		t.Errorf("from 0: got %d", a.Code)
	}
	if a := w.as(session, "GET", w.at("/api/app/audit/verify"), ""); a.Code != 200 || !strings.Contains(a.Body.String(), `"faults":[]`) {
		t.Errorf("verify: got %d %s", a.Code, a.Body)
	}
	a = w.as(session, "GET", "/api/app/organisation/audit", "")
	for _, action := range []string{"organisation.found", "link.make", "session.begin"} {
		if !strings.Contains(a.Body.String(), `"action":"`+action+`"`) {
			t.Errorf("the organisation's trail does not tell of %q: %s", action, a.Body)
		}
	}
	if a := w.as(session, "GET", "/api/app/organisation/audit/verify", ""); a.Code != 200 || !strings.Contains(a.Body.String(), `"faults":[]`) {
		t.Errorf("verify: got %d %s", a.Code, a.Body)
	}
}

// Who is not known is told what is good for the route.
func TestWhatProvesWhoOneIs(t *testing.T) {
	w := newWorld(t)
	for path, says := range map[string]string{w.at(retrievals): "a GDPR token", "/api/app/me": "a session", w.at("/api/app/members"): "a session"} {
		for _, proof := range []string{"", "Digest x"} {
			if a := w.as(proof, "GET", path, ""); a.Code != 401 || !strings.Contains(a.body.Error, says) || strings.Contains(a.body.Error, "session") != (says == "a session") {
				t.Errorf("%s with %q: got %d %s", path, proof, a.Code, a.body.Error)
			}
		}
	}
}

func TestWrongTokensAreLimited(t *testing.T) {
	w := newWorld(t)
	limited := 0
	for range 40 {
		a := w.as("Bearer wrong", "GET", w.at(retrievals), "")
		if a.Code == http.StatusTooManyRequests {
			limited++
			if a.Header().Get("Retry-After") == "" || !strings.Contains(a.body.Error, "wrong tokens") {
				t.Errorf("got %s without which limit", a.Body)
			}
		}
	}
	if limited != 10 {
		t.Errorf("%d of 40 were refused, want 10", limited)
	}
	// Whoever has a good one beside it is served.
	if a := w.do("GET", w.at(retrievals), ""); a.Code != 200 {
		t.Errorf("a good token: got %d", a.Code)
	}
	if a := w.as("", "POST", "/api/app/session", `{"link":"x"}`); a.Code != http.StatusTooManyRequests {
		t.Errorf("a wrong link: got %d", a.Code)
	}
}

// What was mailed is told to who runs the organisation.
func TestMailByTheAPI(t *testing.T) {
	w := newWorld(t)
	post := &outbox{}
	w.service.Sender = post
	if err := w.service.Remind(t.Context()); err != nil || len(post.sent) > 0 {
		t.Fatalf("a year before the end: %v, %v", post.sent, err)
	}
	w.advance(account.TokenLife - 30*24*time.Hour)
	for range 2 {
		if err := w.service.Remind(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(post.sent) != 1 || post.sent[0].To != "pat@example.com" || !strings.Contains(post.sent[0].Text, w.GDPRToken[:17]) || strings.Contains(post.sent[0].Text, w.GDPRToken) {
		t.Errorf("sent %+v, want a reminder of the owner's token, without the token", post.sent)
	}
	a := w.as(w.signIn("pat@example.com"), "GET", "/api/app/organisation/mail", "")
	if a.Code != 200 || a.body.Total != 1 || !strings.Contains(a.Body.String(), `"to":"pat@example.com"`) || !strings.Contains(a.Body.String(), "GDPR token") {
		t.Errorf("got %d %s", a.Code, a.Body)
	}
}

// Who gets a first role is mailed a link that signs in; who gets another is not.
func TestInvitation(t *testing.T) {
	w := newWorld(t)
	post := &outbox{}
	w.service.Sender, w.service.PublicURL = post, func() string { return "https://lethe.example" }
	session := w.signIn("pat@example.com")
	for _, role := range []string{"analyst", "admin"} {
		a := w.as(session, "PUT", w.at("/api/app/members"), `{"name":"sam@example.com","role":"`+role+`"}`)
		if a.Code != 200 || strings.Count(a.Body.String(), `"invitation":"mailed"`) != map[string]int{"analyst": 1}[role] {
			t.Fatalf("%s: got %d %s", role, a.Code, a.Body)
		}
	}
	for _, c := range []struct {
		body string
		want int
	}{{`{"to":"lou@example.com"}`, 400}, {`{"to":"lou@example.com","new":true}`, 200}} {
		if a := w.as(session, "POST", w.at("/api/app/project/transfer"), c.body); a.Code != c.want {
			t.Errorf("%s: got %d %s", c.body, a.Code, a.Body)
		}
	}
	for range 5 {
		if err := w.accounts.TakeMail(t.Context(), "max@example.com", ""); err != nil {
			t.Fatal(err)
		}
	}
	if a := w.as(session, "PUT", w.at("/api/app/members"), `{"name":"max@example.com","role":"analyst"}`); a.Code != 200 || !strings.Contains(a.Body.String(), `"invitation":"withheld"`) {
		t.Errorf("too many to one address: %d %s", a.Code, a.Body)
	}
	if a := w.as(session, "PUT", w.at("/api/app/members"), `{"name":"max@exämple.com","role":"analyst"}`); a.Code != 200 || !strings.Contains(a.Body.String(), `"invitation":"unmailable"`) {
		t.Errorf("an address that mail is not sent to: %d %s", a.Code, a.Body)
	}
	if w.service.Sweep(t.Context()) != nil {
		t.Error("the sweep failed")
	}
	if a := w.as(session, "PUT", w.at("/api/app/members"), `{"name":"kim@example.com","role":"owners"}`); a.Code != 400 {
		t.Fatalf("got %d %s", a.Code, a.Body)
	}
	slices.SortFunc(post.sent, func(a, b dsr.Message) int { return strings.Compare(b.To, a.To) })
	if len(post.sent) != 2 || post.sent[0].To != "sam@example.com" || !strings.Contains(post.sent[0].Text, "analyst in the project Project") || post.sent[1].To != "lou@example.com" {
		t.Fatalf("sent %+v, want two invitations", post.sent)
	}
	if a := w.as(session, "GET", "/api/app/organisation/mail", ""); a.body.Total != 2 || strings.Count(a.Body.String(), `"about":"invitation"`) != 2 || strings.Contains(a.Body.String(), "link=") {
		t.Errorf("the list of mail: %d %s", a.Code, a.Body)
	}
	_, link, _ := strings.Cut(post.sent[0].Text, "?link=")
	link, _, _ = strings.Cut(link, "\n")
	if a := w.as("", "POST", "/api/app/session", `{"link":"`+link+`"}`); a.Code != http.StatusCreated || a.text("name") != "sam@example.com" {
		t.Errorf("the link of the invitation: %d %s", a.Code, a.Body)
	}
	if strings.Contains(w.log.String(), "sam@") {
		t.Error("a mail address stands in the log")
	}
}

type outbox struct{ sent []dsr.Message }

func (o *outbox) Send(_ context.Context, m dsr.Message) error {
	o.sent = append(o.sent, m)
	return nil
}
