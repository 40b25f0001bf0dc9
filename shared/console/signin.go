package console

import (
	"crypto/rand"
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
	if v.Sender == nil {
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

// mailTime is how long an answer to who asks for a link takes, whether one was mailed or
// not, so that nobody learns by it who has a role. Mail that takes longer does tell.
const mailTime = 3 * time.Second

// askForLink mails a link to whoever has a role, and answers everybody alike.
func askForLink(v *visit) error {
	if v.Sender == nil {
		return v.showSignIn(http.StatusOK, "", "")
	}
	mail := v.r.PostFormValue("email")
	if err := account.CheckMail(mail); err != nil {
		return v.showSignIn(http.StatusBadRequest, mail, kind.Sentence(err))
	}
	if err := v.Accounts.TakeMail(v.r.Context(), mail, v.from()); err != nil {
		return err
	}
	passed := time.After(mailTime)
	if err := v.mailLink(mail); err != nil {
		v.troubled("a sign-in link was not mailed", err)
	}
	select {
	case <-passed:
	case <-v.r.Context().Done():
	}
	return v.show(http.StatusOK, "Look into your mail",
		say("If this address has a role here, a link to sign in is on its way to it. It works once, within 15 minutes."),
		say("If nothing comes, look among the unwanted mail, or ask an owner or admin whether they know you by another address."),
		html.P(html.A(html.Href(with(signInPath, v.going())), text("Use another address"))))
}

// mailLink mails a link to an address that has a role. Of any other it does nothing.
func (v *visit) mailLink(mail string) error {
	link, err := v.Accounts.MakeLink(v.r.Context(), dsr.By{Actor: anybody, From: v.from()}, mail)
	if kind.Of(err) == kind.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	address := LinkURL(v.base(), link)
	if to := v.going(); to != homePath {
		address += "&" + with("", to)[1:]
	}
	return v.Sender.Send(v.r.Context(), dsr.Message{
		ID: "sign-in-" + rand.Text(), To: mail, Subject: "Sign in to Lethe",
		Text: "Somebody, you most likely, asked to sign in to Lethe at " + v.base() + ".\n\n" +
			"This link signs you in, once, within 15 minutes:\n\n" + address + "\n\n" +
			"If it was not you, do nothing: without the link nobody gets in.\n",
	})
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
