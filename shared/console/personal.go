package console

import (
	"slices"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/kind"
)

// personal is what somebody holds: GDPR tokens and sessions.
func personal(v *visit) error {
	tokens, err := v.Accounts.Tokens(v.r.Context(), v.actor.Name)
	if err != nil {
		return err
	}
	may := v.Accounts.MayHoldToken(v.r.Context(), v.actor.Name)
	if may != nil && kind.Of(may) != kind.Forbidden {
		return may
	}
	b := v.blank("token")
	var rows []node
	for _, t := range slices.Backward(tokens) {
		rows = append(rows, v.tokenRow(t, may == nil))
	}
	offer := say(kind.Sentence(may))
	if may == nil {
		offer = gomponents.Group{
			say("A token lets a program submit and follow requests in your name, for a year. It is good for requests, opt-outs and settings alone, and ends with your role."),
			form(tokensPath, once(), button("Generate a token")),
		}
	}
	return v.show(v.status(), "Personal settings",
		v.news(map[string]string{"revoked": "The token was revoked."}),
		html.H2(text("Data & Privacy: GDPR API token")), b.problem(), offer,
		table("tokens", "Your tokens", []string{"Token", "State", "Made", "Last used", "Expires"}, rows, "You have no token."),
		html.H2(text("Sessions")),
		say("A session ends after 8 hours. If a browser of yours is in other hands, end all of them: you sign in again then, here too."),
		form(signOutPath, hidden("everywhere", "1"), button("Sign out in every browser", html.Class("second"))))
}

func (v *visit) tokenRow(t account.Token, may bool) node {
	state := "works"
	switch {
	case !t.Revoked.IsZero():
		state = "revoked on " + day(t.Revoked)
	case !v.Clock().Before(t.Expires):
		state = "expired"
	}
	var changes []node
	if state == "works" && may {
		changes = append(changes, form(tokensPath+"/replace", hidden("id", t.ID), button("Replace", html.Class("second"), html.Aria("label", "Replace "+t.Prefix))))
	}
	if state == "works" {
		changes = append(changes, form(tokensPath+"/revoke", hidden("id", t.ID), button("Revoke", html.Class("second"), html.Aria("label", "Revoke "+t.Prefix))))
	}
	return html.Tr(changeable(html.Code(text(t.Prefix+"…")), changes...), cell(state), dayOf(t.Created), dayOf(t.Used), dayOf(t.Expires))
}

const tokenSentence = "Send it as the header Authorization: Bearer, with requests to the API."

func makeToken(v *visit) error {
	if err := v.Accounts.MayHoldToken(v.r.Context(), v.actor.Name); err != nil {
		return err
	}
	var made string
	err := v.takeOnce(func() (err error) {
		_, made, err = v.Accounts.MakeToken(v.r.Context(), v.by(), v.actor.Name)
		return err
	})
	if err != nil {
		return v.anew(err, "token", "", personal)
	}
	return v.showOnce("New GDPR API token", personalPath, tokenSentence, secret{"token", "GDPR API token", made})
}

// token is one of somebody's tokens that a form names.
func (v *visit) token() (account.Token, error) {
	tokens, err := v.Accounts.Tokens(v.r.Context(), v.actor.Name)
	if err != nil {
		return account.Token{}, err
	}
	i := slices.IndexFunc(tokens, func(t account.Token) bool { return t.ID == v.r.PostFormValue("id") })
	if i < 0 {
		return account.Token{}, kind.Say(kind.NotFound, "You have no such token. Go back to your personal settings, which list them.")
	}
	return tokens[i], nil
}

func revokeToken(v *visit) error {
	t, err := v.token()
	if err != nil {
		return err
	}
	if !v.sure() {
		return v.ask("Revoke a token", "Revoke it", personalPath, []string{
			"The token that begins with " + t.Prefix + " ends at once, for good. Programs that send it are refused from then on.",
			"Requests that were submitted with it go on.",
		}, hidden("id", t.ID))
	}
	if err := v.Accounts.RevokeToken(v.r.Context(), v.by(), v.actor.Name, t.ID); err != nil {
		return v.anew(err, "token", "", personal)
	}
	return v.done(personalPath, "revoked")
}

func replaceToken(v *visit) error {
	if err := v.Accounts.MayHoldToken(v.r.Context(), v.actor.Name); err != nil {
		return err
	}
	t, err := v.token()
	if err != nil {
		return err
	}
	ask := func(v *visit) error {
		return v.ask("Replace a token", "Make the new token", personalPath, []string{
			"A new token takes the place of the one that begins with " + t.Prefix + ". The old one goes on for the days that you give, to change programs over, and then ends for good.",
		}, hidden("id", t.ID), once(), v.blank("replace").overlap())
	}
	if !v.sure() {
		return ask(v)
	}
	var made string
	overlap, err := v.overlap()
	if err == nil {
		err = v.takeOnce(func() (err error) {
			_, made, err = v.Accounts.ReplaceToken(v.r.Context(), v.by(), v.actor.Name, t.ID, overlap)
			return err
		})
	}
	if err != nil {
		return v.anew(err, "replace", "overlap_days", ask)
	}
	return v.showOnce("New GDPR API token", personalPath, tokenSentence, secret{"token", "GDPR API token", made})
}
