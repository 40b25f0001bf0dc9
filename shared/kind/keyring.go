package kind

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// A Keyring is the keys of one use, oldest first: the suppression keys of a
// deployment, or the session keys, which sign cookies. What is written carries a
// Mark or a Seal under the last; what is looked up is looked up under all. A
// suppression key is never discarded: losing one would let the erased back in.
type Keyring []Key

// A Key is one version of a key: 32 random bytes.
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

// Has reports whether there is a key of the version that a mark or a seal begins
// with.
func (r Keyring) Has(name string) bool {
	version, _, _ := strings.Cut(name, ".")
	return slices.ContainsFunc(r, func(k Key) bool { return strconv.Itoa(k.Version) == version })
}

// Seal proves later, to whoever has the keys, that data was written by this
// deployment for the purpose: "<version>.<HMAC-SHA-256 in hex>", under the newest
// key. No mark equals a seal, since no project has an empty name.
func (r Keyring) Seal(purpose string, data []byte) string {
	return r[len(r)-1].seal(purpose, data)
}

// Sealed reports whether seal is what Seal gave for the same under one of the keys.
func (r Keyring) Sealed(purpose string, data []byte, seal string) bool {
	return slices.ContainsFunc(r, func(k Key) bool { return hmac.Equal([]byte(k.seal(purpose, data)), []byte(seal)) })
}

func (k Key) seal(purpose string, data []byte) string {
	return k.name("", purpose+"\x00"+string(data))
}

func (k Key) mark(project string, s Subject) string {
	return k.name(project, string(s))
}

func (k Key) name(scope, text string) string {
	h := hmac.New(sha256.New, k.Secret)
	h.Write([]byte(scope))
	h.Write([]byte{0})
	h.Write([]byte(text))
	return strconv.Itoa(k.Version) + "." + hex.EncodeToString(h.Sum(nil))
}
