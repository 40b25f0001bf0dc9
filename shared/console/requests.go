package console

import (
	"context"

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

	"POST " + requestPath + "/cancel":    signedIn(change((*dsr.Service).GiveUp)),
	"POST " + requestPath + "/confirm":   signedIn(change((*dsr.Service).Confirm)),
	"POST " + requestPath + "/rerun":     signedIn(change((*dsr.Service).Rerun)),
	"POST " + requestPath + "/extension": signedIn(extend),
}

// named finds the project of the request that the address names. One that does not
// exist is no other than one whose requests somebody may not see.
func (v *visit) named() (account.Project, string, error) {
	absent := kind.Say(kind.NotFound, "There is no request of this id among those that you may see. If you followed a link, ask an owner or admin of the project to make you one.")
	task := v.r.PathValue("task")
	id, err := v.Service.ProjectOf(v.r.Context(), task)
	if kind.Of(err) == kind.NotFound {
		return account.Project{}, "", absent
	}
	if err != nil {
		return account.Project{}, "", err
	}
	project, err := v.Accounts.Project(v.r.Context(), id)
	if err == nil {
		err = v.Accounts.MayHandle(v.r.Context(), v.actor, project)
	}
	if k := kind.Of(err); k == kind.NotFound || k == kind.Forbidden {
		return account.Project{}, "", absent
	}
	return project, task, err
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

// changed leads back to a request that was to be changed, or shows it with why it was
// not. Reason is what was typed for an extension.
func (v *visit) changed(project account.Project, task string, err error, reason string) error {
	if err == nil {
		return v.redirect(requestsPath + "/" + task)
	}
	switch kind.Of(err) {
	case kind.Invalid, kind.NotAllowed, kind.Conflict, kind.Throttled:
		status, _ := statusOf(err)
		return v.showDetail(status, project, task, refusal{sentenceOf(v.w.Header(), status, err), kind.Of(err) == kind.Invalid, reason})
	}
	return err
}

// A refusal is why a request was not changed: because of the reason that was typed for
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
	link, err := v.Service.Download(v.r.Context(), project.ID, task, v.by())
	if err != nil {
		return err
	}
	return v.redirect(link)
}
