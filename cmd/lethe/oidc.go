package main

import (
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"lethe/shared/console"
)

// oidcSettings are the flags of serve about who else signs people in.
type oidcSettings struct{ issuer, client, secretFile, secret string }

func (s *oidcSettings) register(f *pflag.FlagSet) {
	f.StringVar(&s.issuer, "oidc-issuer", "", "`address` of an OpenID Connect provider that signs people in too")
	f.StringVar(&s.client, "oidc-client-id", "", "`name` of the client that Lethe is to the provider")
	f.StringVar(&s.secretFile, "oidc-client-secret-file", "", "`file` with the secret of the client; it can stand in "+clientSecret+" in its place, and a public client has none")
}

// clientSecret is no flag's variable, since other users of a machine can read flags.
const clientSecret = "LETHE_OIDC_CLIENT_SECRET"

// check says what is wrong, and reads the secret.
func (s *oidcSettings) check() error {
	if s.issuer == "" {
		if s.client != "" || s.secretFile != "" {
			return failure{statusUsage, "--oidc-client-id and --oidc-client-secret-file need --oidc-issuer."}
		}
		return nil
	}
	if u, err := url.Parse(s.issuer); err != nil || !encrypted(u) {
		return failure{statusUsage, "--oidc-issuer takes an address of https, as it stands in the provider's own settings."}
	}
	if s.client == "" {
		return failure{statusUsage, "--oidc-issuer needs --oidc-client-id."}
	}
	if s.secret = os.Getenv(clientSecret); s.secretFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.secretFile)
	if s.secret = strings.TrimSpace(string(text)); err != nil || s.secret == "" {
		return failure{statusUsage, "The file that --oidc-client-secret-file names cannot be read, or is empty."}
	}
	return nil
}

// provider is who else signs people in, or nil.
func (s *oidcSettings) provider() *console.Provider {
	return console.NewProvider(s.issuer, s.client, s.secret)
}
