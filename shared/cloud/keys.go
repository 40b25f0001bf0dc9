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

// NewKey makes the suppression key of that version: a data key of 256 bits that
// only the KMS key can unwrap, stored wrapped as the SSM parameter
// <path>/<version>. A version that exists is kind.Conflict and stays as it is; no
// version is ever replaced, since that would let the erased back in.
func NewKey(ctx context.Context, k *kms.Client, s *ssm.Client, kmsKey, path string, version int) error {
	const op = "make a suppression key"
	made, err := k.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{
		KeyId: &kmsKey, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: purpose(version),
	})
	if err != nil {
		return Classify(op, err)
	}
	_, err = s.PutParameter(ctx, &ssm.PutParameterInput{
		Name:        aws.String(parameter(path, version)),
		Value:       aws.String(base64.StdEncoding.EncodeToString(made.CiphertextBlob)),
		Type:        ssmtypes.ParameterTypeString,
		Overwrite:   aws.Bool(false),
		Description: aws.String("A suppression key of Lethe, wrapped by KMS. Never delete it: the erased would come back."),
	})
	var exists *ssmtypes.ParameterAlreadyExists
	if errors.As(err, &exists) {
		return kind.E(kind.Conflict, op, Cause(err))
	}
	return Classify(op, err)
}

// loadKeys reads and unwraps the keys of those versions, in that order.
func loadKeys(ctx context.Context, k *kms.Client, s *ssm.Client, path string, versions []int) (kind.Keyring, error) {
	const op = "read the suppression keys"
	ring := make(kind.Keyring, 0, len(versions))
	for _, version := range versions {
		out, err := s.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(parameter(path, version))})
		var none *ssmtypes.ParameterNotFound
		if errors.As(err, &none) {
			return nil, kind.Say(kind.NotFound, "There is no suppression key of version "+strconv.Itoa(version)+
				": make it with go run ./infra/keys.")
		}
		if err != nil {
			return nil, Classify(op, err)
		}
		wrapped, err := base64.StdEncoding.DecodeString(aws.ToString(out.Parameter.Value))
		if err != nil {
			return nil, kind.E(kind.Corrupt, op)
		}
		opened, err := k.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: wrapped, EncryptionContext: purpose(version)})
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

func parameter(path string, version int) string { return path + "/" + strconv.Itoa(version) }

// purpose binds a wrapped key to what it is for, so that it cannot be passed off
// as another.
func purpose(version int) map[string]string {
	return map[string]string{"lethe": "suppression", "version": strconv.Itoa(version)}
}
