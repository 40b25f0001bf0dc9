package console

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lethe/shared/account"
	"lethe/shared/kind"
)

// A Provider signs people in by OpenID Connect, with the authorization code flow and
// PKCE. What it says of itself is asked for when the first person comes, and until it
// has answered once.
type Provider struct {
	Issuer   string // its address, as it stands in its tokens
	ClientID string
	// ClientSecret is empty for a public client.
	ClientSecret string

	found atomic.Pointer[discovery]
}

// NewProvider returns a provider, or nil without an issuer.
func NewProvider(issuer, clientID, clientSecret string) *Provider {
	if issuer == "" {
		return nil
	}
	return &Provider{Issuer: issuer, ClientID: clientID, ClientSecret: clientSecret}
}

// discovery is what a provider says of itself.
type discovery struct {
	provider *oidc.Provider
	endpoint oauth2.Endpoint
}

const (
	// providerTime bounds one call of the provider's.
	providerTime = 8 * time.Second
	// flowTime is how long somebody may take at the provider.
	flowTime = 10 * time.Minute
	// skew is by how much the provider's clock may differ from ours.
	skew = time.Minute
)

var providerClient = &http.Client{Timeout: providerTime}

// discover asks the provider for what it says of itself, unless it has answered before.
func (p *Provider) discover(ctx context.Context) (*discovery, error) {
	if d := p.found.Load(); d != nil {
		return d, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, providerClient), p.Issuer)
	if err != nil {
		return nil, p.silent("read the settings of the sign-in provider, which have to name the issuer to the letter", err)
	}
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&says); err != nil {
		return nil, p.silent("read what the sign-in provider says of itself", err)
	}
	d := &discovery{provider, provider.Endpoint()}
	// Said here, since to try both ways would use the code up.
	d.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	basic := len(says.Methods) == 0 || slices.Contains(says.Methods, "client_secret_basic")
	if p.ClientSecret == "" || !basic {
		d.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	p.found.Store(d)
	return d, nil
}

// silent is the error of a provider that did not answer as it should. What it said
// may hold anything, so neither the page nor the log repeats it.
func (p *Provider) silent(doing string, cause error) error {
	e := &kind.Error{Kind: kind.Unavailable, Op: doing,
		Sentence: "The sign-in provider does not answer as it should. Try again in a moment, or sign in by a link."}
	var refused *oauth2.RetrieveError
	var unreached *url.Error
	switch {
	case errors.As(cause, &refused):
		e.Err = errors.New("it answered " + known(refused.ErrorCode))
	case errors.As(cause, &unreached):
		e.Err = unreached.Err
	}
	return e
}

// known is the code of an error if a standard has it (RFC 6749, OpenID Connect Core).
func known(code string) string {
	switch code {
	case "access_denied", "account_selection_required", "consent_required", "interaction_required", "invalid_client", "invalid_grant",
		"invalid_request", "invalid_scope", "login_required", "server_error", "temporarily_unavailable", "unauthorized_client",
		"unsupported_grant_type", "unsupported_response_type":
		return code
	}
	return "with no code that is known"
}

func (v *visit) config(d *discovery) *oauth2.Config {
	return &oauth2.Config{
		ClientID: v.OIDC.ClientID, ClientSecret: v.OIDC.ClientSecret, Endpoint: d.endpoint,
		RedirectURL: v.base() + CallbackPath, Scopes: []string{oidc.ScopeOpenID, "email"},
	}
}

// A flow is one sign-in by the provider that is under way. It stands in a cookie, so
// that only the browser that began it can end it.
type flow struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // of PKCE
	To       string    `json:"to"`
	Until    time.Time `json:"until"`
}

// toProvider begins a sign-in by the provider. It is a link, not a form: the policy of
// the page holds for every redirect after a form, and a provider may have others yet.
func toProvider(v *visit) error {
	if v.OIDC == nil {
		return unknown(v)
	}
	d, err := v.OIDC.discover(v.r.Context())
	if err != nil {
		return err
	}
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), To: v.going(), Until: v.Clock().Add(flowTime)}
	data, err := json.Marshal(f)
	if err != nil {
		return kind.E(kind.Internal, "begin a sign-in by the provider", err)
	}
	http.SetCookie(v.w, v.cookie(providerCookie, base64.RawURLEncoding.EncodeToString(data), flowTime))
	return v.redirect(v.config(d).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)))
}

// fromProvider ends it: who comes back has a code, which is redeemed for who they are.
func fromProvider(v *visit) error {
	if v.OIDC == nil {
		return unknown(v)
	}
	f, err := v.flow()
	v.forget(providerCookie) // it is good for one try
	if err != nil {
		return err
	}
	if err := v.refusal(); err != nil {
		return err
	}
	who, err := v.redeem(f)
	if err != nil {
		return v.Accounts.Failed(v.r.Context(), v.from(), err)
	}
	_, secret, err := v.Accounts.SignInAs(v.r.Context(), v.from(), who)
	if err != nil {
		return err
	}
	v.begin(secret)
	return v.redirect(f.To)
}

// flow is the sign-in that this browser began.
func (v *visit) flow() (f flow, err error) {
	value, ok := v.sealed(providerCookie)
	data, err := base64.RawURLEncoding.DecodeString(value)
	if !ok || err != nil || json.Unmarshal(data, &f) != nil || v.r.FormValue("state") != f.State || v.Clock().After(f.Until) {
		return flow{}, kind.Say(kind.Invalid, "This sign-in was begun in another browser, or more than 10 minutes ago, or has been tried already. Begin again.")
	}
	return f, nil
}

// refusal is the error that the provider sent in place of a code.
func (v *visit) refusal() error {
	if issuer := v.r.FormValue("iss"); issuer != "" && issuer != v.OIDC.Issuer { // RFC 9207
		return kind.Say(kind.Invalid, "Another sign-in provider answered than was asked. Begin again.")
	}
	switch code := v.r.FormValue("error"); code {
	case "":
		return nil
	case "access_denied":
		return kind.Say(kind.Forbidden, "The sign-in provider did not let you in, or you stopped there.")
	default:
		return &kind.Error{Kind: kind.Unavailable, Op: "sign in by the provider", Err: errors.New("it answered " + known(code)),
			Sentence: "The sign-in provider could not sign you in. Try again; if it stays so, ask whoever administers Lethe."}
	}
}

// claims are what is asked of the provider about somebody.
type claims struct {
	Email    string `json:"email"`
	Verified yes    `json:"email_verified"`
}

// yes is a boolean that some providers write as a string.
type yes bool

// UnmarshalJSON implements json.Unmarshaler. What is neither is no.
func (y *yes) UnmarshalJSON(data []byte) error {
	*y = yes(strings.Trim(string(data), `"`) == "true")
	return nil
}

// redeem finds out whom the provider vouches for.
func (v *visit) redeem(f flow) (account.Identity, error) {
	ctx := oidc.ClientContext(v.r.Context(), providerClient)
	d, err := v.OIDC.discover(ctx)
	if err != nil {
		return account.Identity{}, err
	}
	again := kind.Say(kind.Unauthorized, "The sign-in provider did not confirm who you are. Begin again.")
	token, err := v.config(d).Exchange(ctx, v.r.FormValue("code"), oauth2.VerifierOption(f.Verifier))
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode == "invalid_grant" {
		return account.Identity{}, again
	}
	if err != nil {
		return account.Identity{}, v.OIDC.silent("redeem the code of a sign-in", err)
	}
	raw, _ := token.Extra("id_token").(string)
	verifier := d.provider.Verifier(&oidc.Config{ClientID: v.OIDC.ClientID, Now: func() time.Time { return v.Clock().Add(-skew) }})
	id, err := verifier.Verify(ctx, raw)
	if err != nil || id.Nonce != f.Nonce {
		var expired *oidc.TokenExpiredError
		v.Log.WarnContext(ctx, "a token of the sign-in provider was refused", "verified", err == nil, "expired", errors.As(err, &expired))
		return account.Identity{}, again
	}
	var told claims
	if err := id.Claims(&told); err != nil {
		return account.Identity{}, v.OIDC.silent("read who signed in", err)
	}
	if told.Email == "" { // as with a provider that keeps claims out of tokens
		info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil || info.Subject != id.Subject || info.Claims(&told) != nil {
			return account.Identity{}, v.OIDC.silent("ask who signed in", err)
		}
	}
	return account.Identity{Issuer: id.Issuer, Subject: id.Subject, Email: told.Email, Verified: bool(told.Verified)}, nil
}
