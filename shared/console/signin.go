package console

import (
	"net/http"
	"time"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// signIn is the page for signing in; with a link it asks for a press of a button, since
// programs that look through mail open every link, and it works once.
func signIn(v *visit) error {
	if link := v.r.FormValue("link"); link != "" {
		return v.show(http.StatusOK, "Sign in", say("The link that you opened signs you in, once."),
			form(linkPath, hidden("link", link), hidden("to", v.going()), button("Sign in", html.AutoFocus())))
	}
	return v.showSignIn(http.StatusOK, "", "")
}

// showSignIn shows every way to sign in. Wrong is what to change about the mail address.
func (v *visit) showSignIn(status int, mail, wrong string) error {
	byLink := gomponents.Group{form(signInPath,
		field{"email", "Mail address", "email", "email", mail, wrong}.node(), hidden("to", v.going()), button("Send me a link"))}
	if !v.Mails {
		byLink = gomponents.Group{
			say("A link signs you in, once. Whoever administers Lethe makes one with this command, and gives it to you:"),
			html.P(html.Code(text(v.LinkCommand))),
		}
	}
	if v.OIDC == nil {
		return v.show(status, "Sign in", byLink)
	}
	return v.show(status, "Sign in",
		html.P(html.A(html.Class("button"), html.Href(with(providerPath, v.going())), text("Sign in with your organisation’s account"))),
		html.H2(text("Or by a link")), byLink)
}

// anybody is who asks for a link, in the audit trail: that has nobody proved.
const anybody = "sign-in page"

// askTime is how long an answer to who asks for a link takes, whether one will be mailed
// or not, so that nobody learns by it who has a role.
const askTime = time.Second

// askForLink has a link mailed to whoever has a role, and answers everybody alike.
func askForLink(v *visit) error {
	if !v.Mails {
		return v.showSignIn(http.StatusOK, "", "")
	}
	mail := v.r.PostFormValue("email")
	if err := account.CheckMail(mail); err != nil {
		return v.showSignIn(http.StatusBadRequest, mail, kind.Sentence(err))
	}
	if err := v.Accounts.TakeMail(v.r.Context(), mail, v.from()); kind.Of(err) == kind.Throttled {
		status, _ := statusOf(err)
		return v.showSignIn(status, mail, sentenceOf(v.w.Header(), status, err))
	} else if err != nil {
		return err
	}
	passed := time.After(askTime)
	going := v.going()
	if going == homePath {
		going = ""
	}
	if err := v.Accounts.AskForLink(v.r.Context(), dsr.By{Actor: anybody, From: v.from()}, mail, going); err != nil {
		v.troubled("a sign-in link will not be mailed", err)
	}
	select {
	case <-passed:
	case <-v.r.Context().Done():
	}
	return v.show(http.StatusOK, "Look into your mail",
		say("If this address has a role here, a link to sign in is on its way to it, and is there within two minutes. It works once, within 15 minutes."),
		say("If nothing comes, look among the unwanted mail, or ask an owner or admin whether they know you by another address."),
		html.P(html.A(html.Href(with(signInPath, v.going())), text("Use another address"))))
}

// useLink begins a session.
func useLink(v *visit) error {
	_, secret, err := v.Accounts.SignIn(v.r.Context(), v.from(), v.r.PostFormValue("link"))
	if err != nil {
		return v.Accounts.Failed(v.r.Context(), v.from(), err)
	}
	v.begin(secret)
	return v.redirect(v.going())
}

// signOut ends the session of this browser, or every one of its owner's.
func signOut(v *visit) error {
	err := v.know()
	if err == nil {
		err = v.Accounts.SignOut(v.r.Context(), v.by(), v.session, v.r.PostFormValue("everywhere") != "")
	}
	if err != nil && kind.Of(err) != kind.Unauthorized {
		return err // the session may go on, so the browser keeps it
	}
	v.forget(sessionCookie)
	return v.redirect(signInPath)
}
