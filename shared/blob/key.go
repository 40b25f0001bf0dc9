package blob

import (
	"strings"

	"lethe/shared/kind"
)

// Limits of a key, equal in every driver: S3's on the whole and a file system's
// on each name.
const (
	MaxKey  = 1024 // bytes of a key
	MaxName = 255  // bytes of each name between slashes
)

// CheckKey returns kind.Invalid unless key can name a file: slash-separated
// names of [A-Za-z0-9._-], none of them empty, "." or "..", within MaxKey and
// MaxName. Every driver calls it on every key before it does anything.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return errKey()
	}
	for name := range strings.SplitSeq(key, "/") {
		if !canBegin(name) || name == "" || name == "." || name == ".." {
			return errKey()
		}
	}
	return nil
}

// CheckPrefix returns kind.Invalid unless some key begins with prefix. The empty
// prefix begins every key.
func CheckPrefix(prefix string) error {
	dir, name := "", prefix
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir, name = prefix[:i], prefix[i+1:]
		if CheckKey(dir) != nil {
			return errKey()
		}
	}
	if len(prefix) > MaxKey || !canBegin(name) {
		return errKey()
	}
	return nil
}

// canBegin reports whether a name within a key can begin with s.
func canBegin(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(s) <= MaxName
}

func errKey() error { return kind.E(kind.Invalid, "check a key") }
