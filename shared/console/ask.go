package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

const (
	exportPath   = "/exports/new"
	deletionPath = "/deletions/new"
)

// An ask is the form of a request as somebody filled it in. What they typed is kept
// until it can be submitted.
type ask struct {
	of         dsr.Type
	key        string // made with the form, so that sending it twice submits once
	projects   []account.Place
	project    account.Place
	compliance dsr.Compliance
	disclosure dsr.Disclosure
	window     string // windowYear, windowAll or windowDays
	from, to   string // days, of windowDays
	subject    string // subject_request_id
	block      bool
	id         string     // a single identifier
	column     string     // or several, as they came in a file
	list       dsr.Column // what is in either
	count      string     // typed, to confirm a deletion
	tokenless  bool       // who asks has no token that works
	token      string     // one that was made just now
	due        map[dsr.Compliance]string

	wrong   map[string]string // what to change, by the name of the control
	refused string            // why it was not submitted, where that is about none of them
}

const (
	windowYear = "year"
	windowAll  = "all"
	windowDays = "days"
)

// Steps of the form, by the button that was pressed.
const (
	stepCheck  = "check"  // show a deletion to be confirmed
	stepChange = "change" // back from there
	stepSubmit = "submit"
	stepToken  = "token" // make a token, and submit
)

// newAsk begins a form for requests of one type, with what all of them need.
func (v *visit) newAsk(of dsr.Type) (*ask, error) {
	standing, err := v.Accounts.Standing(v.r.Context(), v.actor.Name)
	if err != nil {
		return nil, err
	}
	a := &ask{of: of, projects: handled(standing), compliance: dsr.GDPR, disclosure: dsr.Data, window: windowYear, wrong: map[string]string{}, due: map[dsr.Compliance]string{}}
	if len(a.projects) == 0 {
		return nil, kind.Say(kind.Forbidden, "Only owners and admins of a project or of its organisation may see or submit its requests, and you are neither. Ask one of them to make you one.")
	}
	settled, err := v.Accounts.Organisation(v.r.Context())
	if err != nil {
		return nil, err
	}
	for _, law := range []dsr.Compliance{dsr.GDPR, dsr.CCPA} {
		a.due[law] = dsr.DueDay(law, v.Clock(), settled.TimeZone)
	}
	a.tokenless, err = v.tokenless()
	return a, err
}

// tokenless reports whether who visits has no GDPR token that works.
func (v *visit) tokenless() (bool, error) {
	tokens, err := v.Accounts.Tokens(v.r.Context(), v.actor.Name)
	for _, t := range tokens {
		if t.Revoked.IsZero() && v.Clock().Before(t.Expires) {
			return false, err
		}
	}
	return true, err
}

// askFor shows an empty form.
func askFor(of dsr.Type) page {
	return func(v *visit) error {
		a, err := v.newAsk(of)
		if err != nil {
			return err
		}
		a.key = rand.Text()
		chosen := v.r.FormValue("project")
		for _, p := range a.projects {
			if p.ID == chosen || len(a.projects) == 1 {
				a.project = p
			}
		}
		return v.showAsk(http.StatusOK, a)
	}
}

// submit takes a form: to submit it, to have a deletion confirmed, or to show it again
// with what to change.
func submit(of dsr.Type) page {
	return func(v *visit) error {
		a, err := v.newAsk(of)
		if err != nil {
			return err
		}
		f, err := v.filled()
		if err != nil {
			return err
		}
		if err := v.choose(a, f.Get("project")); err != nil {
			return err
		}
		a.fill(f)
		if a.key == "" {
			return kind.Say(kind.Invalid, "This form is not whole. Open its page again, and send it from there.")
		}
		step := f.Get("step")
		if step == stepChange {
			return v.showAsk(http.StatusOK, a)
		}
		sub := a.check(v.Clock())
		confirms := step == stepSubmit || step == stepToken
		switch {
		case len(a.wrong) > 0:
			return v.showAsk(http.StatusBadRequest, a)
		case of == dsr.Deletion && !confirms:
			return v.showConfirm(http.StatusOK, a)
		case of == dsr.Deletion && strings.TrimSpace(a.count) != strconv.Itoa(len(a.list.IDs)):
			a.wrong["count"] = fmt.Sprintf("This deletion is of %s. Type %d to confirm that.", identifiers(len(a.list.IDs)), len(a.list.IDs))
			return v.showConfirm(http.StatusBadRequest, a)
		}
		return v.submit(a, sub, step)
	}
}

// choose sets the project of a form. One that somebody is not in at all is
// kind.NotFound, whether there is one or not.
func (v *visit) choose(a *ask, id string) error {
	for _, p := range a.projects {
		if p.ID == id {
			a.project = p
			return v.mayHandle(p.Project)
		}
	}
	if id == "" {
		return nil // fill says so
	}
	standing, err := v.Accounts.Standing(v.r.Context(), v.actor.Name)
	if err != nil {
		return err
	}
	for _, p := range standing.Projects {
		if p.ID == id {
			return v.mayHandle(p.Project)
		}
	}
	return kind.Say(kind.NotFound, "You are in no project of this id. Choose one of the list.")
}

// fill takes over what was typed.
func (a *ask) fill(f filled) {
	a.key = f.Get("key")
	a.compliance, a.disclosure = dsr.Compliance(f.Get("compliance")), dsr.Disclosure(f.Get("disclosure"))
	a.window, a.from, a.to = f.Get("window"), f.Get("from"), f.Get("to")
	if a.compliance == dsr.GDPR { // the script leaves out what does not count then
		if !f.Has("disclosure") {
			a.disclosure = dsr.Data
		}
		if !f.Has("window") {
			a.window = windowYear
		}
	}
	a.subject, a.block = strings.TrimSpace(f.Get("subject_request_id")), f.Get("block") != ""
	a.id, a.column, a.count = f.Get("id"), strings.ReplaceAll(f.Get("column"), "\r\n", "\n"), f.Get("count")
	switch {
	case f.over:
		a.wrong["file"] = "The file has more than 3 megabytes, and 2000 identifiers take less. Does it hold more than the one column?"
	case f.file != nil:
		var err error
		if a.column, err = dsr.ColumnText(f.file); err != nil {
			a.column, a.wrong["file"] = "", kind.Sentence(err)
		} else if strings.TrimSpace(a.column) == "" {
			a.column, a.wrong["file"] = "", "The file is empty. Choose one with an identifier on each line."
		}
	}
}

// check looks at what was typed, notes what to change, and makes of it what is to be
// submitted.
func (a *ask) check(now time.Time) dsr.Submission {
	sub := dsr.Submission{
		Project: a.project.ID, ProjectName: a.project.Name, Type: a.of, Compliance: a.compliance, Disclosure: a.disclosure,
		Block: a.block && a.of == dsr.Deletion, SubjectRequestID: a.subject,
	}
	if a.project.ID == "" {
		a.wrong["project"] = "Choose the project that the data is in."
	}
	if a.compliance != dsr.GDPR && a.compliance != dsr.CCPA {
		a.wrong["compliance"] = "Choose the GDPR or the CCPA."
	}
	switch {
	case a.disclosure != dsr.Data && a.disclosure != dsr.Categories && a.disclosure != dsr.Sources:
		a.wrong["disclosure"] = "Choose Data, Categories or Sources."
	case a.disclosure != dsr.Data && a.compliance == dsr.GDPR:
		a.wrong["disclosure"] = "Categories and Sources exist only under the CCPA. Choose Data, or the CCPA above."
	}
	if err := dsr.CheckSubjectRequestID(a.subject); err != nil {
		a.wrong["subject_request_id"] = "This is no UUID of version 4 in lower case, as in 0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e. Correct it, or leave it empty."
	}
	if a.of == dsr.Export {
		sub.Period = a.checkWindow(now)
	}
	a.checkPeople()
	sub.IDs = a.list.IDs
	return sub
}

// checkWindow returns the period of an export, nil for the last twelve months.
func (a *ask) checkWindow(now time.Time) *dsr.Period {
	dated := a.from != "" || a.to != ""
	switch {
	case a.compliance == dsr.GDPR && (a.window != windowYear || dated):
		a.wrong["window"] = "A window of time exists only under the CCPA: under the GDPR the export holds all there is. Choose the last 12 months and empty the days, or choose the CCPA above."
	case a.window != windowDays && dated:
		a.wrong["window"] = "Choose “From a day to a day” for these days to count, or empty them."
	case a.window == windowYear:
	case a.window == windowAll:
		return &dsr.Period{}
	case a.window != windowDays:
		a.wrong["window"] = "Choose the last 12 months, all, or the days from which to which."
	default:
		return a.checkDays(now)
	}
	return nil
}

func (a *ask) checkDays(now time.Time) *dsr.Period {
	from, err := time.Parse(time.DateOnly, a.from)
	if err != nil {
		a.wrong["from"] = "Give the first day, as in 2026-01-31."
	}
	to, err := time.Parse(time.DateOnly, a.to)
	if err != nil {
		a.wrong["to"] = "Give the last day, as in 2026-01-31."
	}
	switch {
	case len(a.wrong["from"]+a.wrong["to"]) > 0:
	case to.After(now):
		a.wrong["to"] = "The last day lies in the future. Give today’s or an earlier one; days are in UTC."
	case from.After(to):
		a.wrong["from"] = "The first day is later than the last."
	}
	return &dsr.Period{From: from, To: to.AddDate(0, 0, 1).Add(-time.Millisecond)} // the whole day
}

// checkPeople reads whom the request is about.
func (a *ask) checkPeople() {
	single := strings.TrimSpace(a.id) != ""
	several := strings.TrimSpace(a.column) != ""
	switch {
	case a.wrong["file"] != "":
	case single && several:
		a.wrong["id"] = "Give one identifier here or several below, not both."
	case several:
		a.list = dsr.ParseColumn(a.column)
		if wrong := wrongWith(a.list); wrong != "" {
			a.wrong["column"] = wrong
		}
	case !single:
		a.wrong["id"] = "Give the distinct_id or an alias of the person, or a file with those of several below."
	default:
		id, err := kind.ParseSubject(a.id)
		if err != nil {
			a.wrong["id"] = "This identifier " + kind.Sentence(err) + "."
		}
		a.list = dsr.Column{IDs: []string{string(id)}}
	}
}

// submit hands a form over that is as it has to be, and leads to its request.
func (v *visit) submit(a *ask, sub dsr.Submission, step string) error {
	again := func(status int, err error) error {
		a.refused = sentenceOf(v.w.Header(), status, err)
		if a.of == dsr.Deletion {
			return v.showConfirm(status, a)
		}
		return v.showAsk(status, a)
	}
	if a.tokenless && step != stepToken {
		return again(http.StatusForbidden, kind.Say(kind.Forbidden, "Submitting needs a GDPR token of your own, and you have none that works. The button below makes one."))
	}
	if a.tokenless {
		// Of two clicks at once both may find no token.
		err := v.Accounts.Once(v.r.Context(), v.actor.Name, "token "+string(a.of)+" "+a.key, func() (err error) {
			_, a.token, err = v.Accounts.MakeToken(v.r.Context(), v.by(), v.actor.Name)
			return err
		})
		if err != nil {
			status, _ := statusOf(err)
			return again(status, err)
		}
		a.tokenless = false
	}
	sub.By = v.by()
	sub.Digest = a.digest(sub)
	// With the digest in it the key is another one when the form is changed and sent
	// again, as after going back in the browser: that is another request.
	sub.IdempotencyKey = "form " + a.key + " " + hex.EncodeToString(sub.Digest[:])
	r, err := v.Service.Submit(v.r.Context(), sub)
	switch {
	case kind.Of(err) == kind.Conflict && sub.SubjectRequestID != "":
		a.wrong["subject_request_id"] = "This name was given to another request of the project before. Give a new one, or leave it empty."
		return v.showAsk(http.StatusConflict, a)
	case err != nil:
		status, _ := statusOf(err)
		if status >= http.StatusInternalServerError {
			v.troubled("a request was not submitted", err)
		}
		return again(status, err)
	case step == stepToken: // one was made, now or when the form was sent before
		return v.showSubmitted(a, r)
	}
	return v.redirect(requestsPath + "/" + r.Task)
}

// digest tells one request from another.
func (a *ask) digest(s dsr.Submission) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %t %q", s.Project, s.Type, s.Compliance, s.Disclosure, s.Block, s.SubjectRequestID)
	if s.Period != nil {
		fmt.Fprintf(h, " %d %d", s.Period.From.UnixMilli(), s.Period.To.UnixMilli())
	}
	for _, id := range s.IDs {
		fmt.Fprintf(h, " %q", id)
	}
	return [32]byte(h.Sum(nil))
}

// identifiers says how many there are.
func identifiers(n int) string { return count(n, "identifier", "identifiers") }

// wrongWith says in a sentence why a column cannot be used, or is "".
func wrongWith(l dsr.Column) string {
	switch {
	case len(l.Bad) == 1:
		return "One line cannot be used. Nothing was submitted: correct it here or in the file."
	case len(l.Bad) > 1:
		return fmt.Sprintf("%d lines cannot be used. Nothing was submitted: correct them here or in the file.", len(l.Bad))
	case len(l.IDs) > dsr.MaxIDs:
		return fmt.Sprintf("There are %d identifiers, and a request takes %d at most. Put the rest into another request.", len(l.IDs), dsr.MaxIDs)
	case len(l.IDs) == 0:
		return "There is no identifier in it. Put one on each line."
	}
	return ""
}
