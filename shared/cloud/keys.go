package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"lethe/shared/kind"
)

// A Use is what keys are for. A wrapped key is bound to it, so that it cannot be passed
// off as one for something else.
type Use string

const (
	Suppression Use = "suppression" // the erased are known under it
	Session     Use = "session"     // cookies are signed under it
)

// NewKey makes the key of that use and version: a data key of 256 bits that only the
// KMS key can unwrap, stored wrapped as the SSM parameter <path>/<version>. A version
// that exists is kind.Conflict and stays as it is; no version is ever replaced, since
// that of a suppression key would let the erased back in.
func NewKey(ctx context.Context, k *kms.Client, s *ssm.Client, kmsKey, path string, use Use, version int) error {
	op := "make a " + string(use) + " key"
	made, err := k.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{
		KeyId: &kmsKey, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: use.context(version),
	})
	if err != nil {
		return Classify(op, err)
	}
	_, err = s.PutParameter(ctx, &ssm.PutParameterInput{
		Name:        aws.String(parameter(path, version)),
		Value:       aws.String(base64.StdEncoding.EncodeToString(made.CiphertextBlob)),
		Type:        ssmtypes.ParameterTypeString,
		Overwrite:   aws.Bool(false),
		Description: aws.String("A " + string(use) + " key of Lethe, wrapped by KMS. Never delete a suppression key: the erased would come back."),
	})
	var exists *ssmtypes.ParameterAlreadyExists
	if errors.As(err, &exists) {
		return kind.E(kind.Conflict, op, Cause(err))
	}
	return Classify(op, err)
}

// loadKeys reads and unwraps the keys of that use and those versions, in that order.
func loadKeys(ctx context.Context, k *kms.Client, s *ssm.Client, path string, use Use, versions []int) (kind.Keyring, error) {
	op := "read the " + string(use) + " keys"
	ring := make(kind.Keyring, 0, len(versions))
	for _, version := range versions {
		out, err := s.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(parameter(path, version))})
		var none *ssmtypes.ParameterNotFound
		if errors.As(err, &none) {
			return nil, kind.Say(kind.NotFound, "There is no "+string(use)+" key of version "+strconv.Itoa(version)+
				": make it with go run ./infra/keys.")
		}
		if err != nil {
			return nil, Classify(op, err)
		}
		wrapped, err := base64.StdEncoding.DecodeString(aws.ToString(out.Parameter.Value))
		if err != nil {
			return nil, kind.E(kind.Corrupt, op)
		}
		opened, err := k.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: wrapped, EncryptionContext: use.context(version)})
		var damaged *kmstypes.InvalidCiphertextException
		if errors.As(err, &damaged) || err == nil && len(opened.Plaintext) != 32 {
			return nil, kind.E(kind.Corrupt, op)
		}
		if err != nil {
			return nil, Classify(op, err)
		}
		ring = append(ring, kind.Key{Version: version, Secret: opened.Plaintext})
	}
	return ring, nil
}

// loadSecret reads the secret of the OpenID Connect client, which is encrypted in SSM.
func loadSecret(ctx context.Context, s *ssm.Client, name string) (string, error) {
	out, err := s.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	var none *ssmtypes.ParameterNotFound
	if errors.As(err, &none) {
		return "", kind.Say(kind.NotFound, "The secret of the OpenID Connect client is not in SSM under the name that LETHE_OIDC_SECRET has: put it there as a SecureString.")
	}
	if err != nil {
		return "", Classify("read the secret of the OpenID Connect client", err)
	}
	return aws.ToString(out.Parameter.Value), nil
}

func parameter(path string, version int) string { return path + "/" + strconv.Itoa(version) }

// context is what a wrapped key is bound to.
func (u Use) context(version int) map[string]string {
	return map[string]string{"lethe": string(u), "version": strconv.Itoa(version)}
}
