package cloud_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/kind"
)

// keyring opens the platform that the environment names and returns its keys.
func keyring(t *testing.T) (kind.Keyring, error) {
	t.Helper()
	c, err := cloud.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	p, err := cloud.Open(t.Context(), c)
	if err != nil {
		return nil, err
	}
	return p.Keys, nil
}

func TestSuppressionKeysOutliveTheProcess(t *testing.T) {
	address := cloudtest.Moto(t)
	setEnvironment(t, map[string]string{
		"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
	})
	k, s := kms.NewFromConfig(cloudtest.Config(address)), ssm.NewFromConfig(cloudtest.Config(address))
	made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	const path = "/lethe/lethe/suppression"
	newKey := func(version int) error {
		return cloud.NewKey(t.Context(), k, s, *made.KeyMetadata.KeyId, path, cloud.Suppression, version)
	}

	if _, err := keyring(t); kind.Of(err) != kind.NotFound || !strings.Contains(err.Error(), "go run ./infra/keys") {
		t.Errorf("before there is a key: got %v, want what to do", err)
	}
	if err := newKey(1); err != nil {
		t.Fatal(err)
	}
	first, err := keyring(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 1 || first[0].Version != 1 || len(first[0].Secret) != 32 {
		t.Fatalf("got %d keys, want version 1 of 32 bytes", len(first))
	}
	mark := first.Mark("7", "bob")

	if err := newKey(1); kind.Of(err) != kind.Conflict {
		t.Errorf("the same version again: got %v, want Conflict", err)
	}
	if again, err := keyring(t); err != nil || again.Mark("7", "bob") != mark {
		t.Errorf("the key changed, %v", err)
	}

	if err := newKey(2); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LETHE_KEY_VERSIONS", "2,1")
	if known, err := keyring(t); err != nil || known.Mark("7", "bob") != mark || len(known.Marks("7", "bob")) != 2 {
		t.Errorf("a version that is only known yet is written under, or not looked up, %v", err)
	}
	t.Setenv("LETHE_KEY_VERSIONS", "1,2")
	rotated, err := keyring(t)
	if err != nil || rotated.Mark("7", "bob") == mark || rotated.Marks("7", "bob")[1] != mark {
		t.Errorf("after the rotation the old mark is not looked up, or still written, %v", err)
	}

	// A key is bound to its version: it cannot be passed off as another.
	was, err := s.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(path + "/1")})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"another version's": *was.Parameter.Value, "no base64": "!"} {
		if _, err := s.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String(path + "/2"), Value: &value, Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true),
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring(t); kind.Of(err) != kind.Corrupt {
			t.Errorf("%s in place of a key: got %v, want Corrupt", name, err)
		}
	}
}

// The key of sessions is another than the suppression key, and neither is taken for the
// other; the secret of the OpenID Connect client is read where there is one.
func TestSessionKeysAndTheSecretOfTheClient(t *testing.T) {
	address := cloudtest.Moto(t)
	const keys, sessions, secret = "/lethe/lethe/suppression", "/lethe/lethe/session", "/lethe/lethe/oidc/client-secret"
	setEnvironment(t, map[string]string{
		"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
		"LETHE_SESSION_KEYS": sessions, "LETHE_OIDC_SECRET": secret,
	})
	k, s := kms.NewFromConfig(cloudtest.Config(address)), ssm.NewFromConfig(cloudtest.Config(address))
	made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	open := func() (*cloud.Platform, error) {
		c, err := cloud.ConfigFromEnv()
		if err != nil {
			t.Fatal(err)
		}
		return cloud.Open(t.Context(), c)
	}
	put := func(name, value string, kind ssmtypes.ParameterType) {
		t.Helper()
		_, err := s.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: kind, Overwrite: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := cloud.NewKey(t.Context(), k, s, *made.KeyMetadata.KeyId, keys, cloud.Suppression, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); kind.Of(err) != kind.NotFound || !strings.Contains(err.Error(), "no session key") {
		t.Errorf("without a session key: %v", err)
	}
	if err := cloud.NewKey(t.Context(), k, s, *made.KeyMetadata.KeyId, sessions, cloud.Session, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); kind.Of(err) != kind.NotFound || !strings.Contains(err.Error(), "LETHE_OIDC_SECRET") {
		t.Errorf("without the secret: %v", err)
	}
	put(secret, "a secret", ssmtypes.ParameterTypeSecureString)
	p, err := open()
	if err != nil || p.Secret != "a secret" || len(p.SessionKeys) != 1 || p.SessionKeys.Mark("7", "bob") == p.Keys.Mark("7", "bob") {
		t.Fatalf("the secret or the keys are not what they were made, %v", err)
	}
	wrapped, err := s.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(keys + "/1")})
	if err != nil {
		t.Fatal(err)
	}
	put(sessions+"/1", *wrapped.Parameter.Value, ssmtypes.ParameterTypeString)
	if _, err := open(); kind.Of(err) != kind.Corrupt {
		t.Errorf("the suppression key in place of the session key: %v", err)
	}
}
