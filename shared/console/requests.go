package console

import (
	"context"
	"errors"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// requestsPath is the log of requests; a request's own page lies below it.
const requestsPath = "/requests"

const (
	searchPath  = requestsPath + "/search"
	requestPath = requestsPath + "/{task}"
)

// requestRoutes are the pages of who handles requests.
var requestRoutes = map[string]page{
	"GET /{$}": signedIn(home),

	"GET " + exportPath:    signedIn(askFor(dsr.Export)),
	"POST " + exportPath:   signedIn(submit(dsr.Export)),
	"GET " + deletionPath:  signedIn(askFor(dsr.Deletion)),
	"POST " + deletionPath: signedIn(submit(dsr.Deletion)),

	"GET " + requestsPath: signedIn(showLog),
	"POST " + searchPath:  signedIn(search),

	"GET " + requestPath:                       signedIn(showRequest),
	"GET " + requestPath + "/download":         signedIn(download),
	"GET " + requestPath + "/certificate":      signedIn(showCertificate),
	"GET " + requestPath + "/certificate.json": signedIn(certificate),

	"POST " + requestPath + "/cancel":    signedIn(giveUp),
	"POST " + requestPath + "/confirm":   signedIn(change((*dsr.Service).Confirm)),
	"POST " + requestPath + "/rerun":     signedIn(change((*dsr.Service).Rerun)),
	"POST " + requestPath + "/extension": signedIn(extend),
}

// named finds the request that the address names, and its project.
func (v *visit) named() (account.Project, string, error) {
	task := v.r.PathValue("task")
	project, err := v.projectOf(task)
	return project, task, err
}

// projectOf finds the project of a request. One that does not exist is no other than one
// that somebody may not see.
func (v *visit) projectOf(task string) (account.Project, error) {
	absent := kind.Say(kind.NotFound, "There is no request of this id among those that you may see. If you followed a link, ask an owner or admin of the project to make you one.")
	var project account.Project
	id, err := v.Service.ProjectOf(v.r.Context(), task)
	if err == nil {
		project, err = v.Accounts.Project(v.r.Context(), id)
	}
	if err == nil {
		err = v.mayHandle(project)
	}
	if k := kind.Of(err); k == kind.NotFound || k == kind.Forbidden {
		return account.Project{}, absent
	}
	return project, err
}

// mayHandle returns nil for who may see and submit the requests of a project.
func (v *visit) mayHandle(p account.Project) error {
	return v.Accounts.MayHandle(v.r.Context(), v.actor, p, "see or submit its requests")
}

// change does something to the request that the address names, and leads back to it.
func change(do func(s *dsr.Service, ctx context.Context, project, task string, by dsr.By) (dsr.Request, error)) page {
	return func(v *visit) error {
		project, task, err := v.named()
		if err != nil {
			return err
		}
		_, err = do(v.Service, v.r.Context(), project.ID, task, v.by())
		return v.changed(project, task, err, "")
	}
}

// giveUp cancels the request that the address names, or closes one that broke, once
// somebody has said that they are sure.
func giveUp(v *visit) error {
	project, task, err := v.named()
	if err != nil {
		return err
	}
	r, err := v.Service.Get(v.r.Context(), project.ID, task)
	if err != nil {
		return err
	}
	if v.sure() || !cancellable(r) && !abandonable(r) { // then it is refused with the reason
		return change((*dsr.Service).GiveUp)(v)
	}
	what := string(r.Type)
	title, sentence := "Cancel the "+what, "It is not carried out: no data is erased. It cannot be taken up again."
	switch {
	case abandonable(r):
		title, sentence = "Give up the "+what, "It stays failed, cannot be run again, and nobody is reminded of it any more."
	case r.Type == dsr.Export:
		sentence = "It is not carried out: no file is made. It cannot be taken up again."
	}
	sentences := []string{
		"This " + what + " is of " + identifiers(r.Count) + " in the project " + project.Name + ". " + sentence,
		"The person’s right does not end with it: if they still want it, make a new request, and answer by " + spoken(r.Day(r.Due)) + ".",
	}
	if waits(r, v.Clock()) {
		sentences = append(sentences, "It can be cancelled until "+inFull(r.Window)+".")
	}
	return v.ask(title, title, requestsPath+"/"+task, sentences)
}

// extend moves the due date of the request that the address names.
func extend(v *visit) error {
	project, task, err := v.named()
	if err != nil {
		return err
	}
	reason := v.r.PostFormValue("reason")
	_, err = v.Service.Extend(v.r.Context(), project.ID, task, reason, v.by())
	return v.changed(project, task, err, reason)
}

// changed leads back to a request of which something was asked, or shows it with why that
// cannot be. Reason is what was typed for an extension.
func (v *visit) changed(project account.Project, task string, err error, reason string) error {
	if err == nil {
		return v.redirect(requestsPath + "/" + task)
	}
	var limit *dsr.LimitError
	if kind.Sentence(err) == "" && !errors.As(err, &limit) {
		return err
	}
	status, _ := statusOf(err)
	refused := refusal{sentenceOf(v.w.Header(), status, err), kind.Of(err) == kind.Invalid, reason}
	if refused.byReason {
		refused.sentence = beside(refused.sentence)
	}
	return v.showDetail(status, project, task, refused)
}

// A refusal is why something cannot be: because of the reason that was typed for
// an extension, or because of how it stands.
type refusal struct {
	sentence string
	byReason bool
	reason   string
}

// download leads to a fresh link to an export's file.
func download(v *visit) error {
	project, task, err := v.named()
	if err != nil {
		return err
	}
	file, err := v.Service.Download(v.r.Context(), project.ID, task, v.by())
	if err != nil {
		return v.changed(project, task, err, "")
	}
	return v.redirect(file)
}
