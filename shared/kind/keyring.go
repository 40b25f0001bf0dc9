package kind

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// A Keyring is the suppression keys of a deployment, oldest first. What is
// written carries a Mark under the last; what is looked up is looked up under
// all. A key is never discarded: losing one would let the erased back in.
type Keyring []Key

// A Key is one version of the suppression key: 32 random bytes.
type Key struct {
	Version int
	Secret  []byte
}

// Mark is the name under which a subject of a project is known once its
// identifier may not be: "<version>.<HMAC-SHA-256 in hex>", under the newest key.
func (r Keyring) Mark(project string, s Subject) string {
	return r[len(r)-1].mark(project, s)
}

// Marks is Mark under every key, newest first.
func (r Keyring) Marks(project string, s Subject) []string {
	marks := make([]string, 0, len(r))
	for i := len(r) - 1; i >= 0; i-- {
		marks = append(marks, r[i].mark(project, s))
	}
	return marks
}

func (k Key) mark(project string, s Subject) string {
	h := hmac.New(sha256.New, k.Secret)
	h.Write([]byte(project))
	h.Write([]byte{0})
	h.Write([]byte(s))
	return strconv.Itoa(k.Version) + "." + hex.EncodeToString(h.Sum(nil))
}
