package blob

import (
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lethe/shared/kind"
)

// MaxLifetime is the longest that a link can work; it is S3's.
const MaxLifetime = 7 * 24 * time.Hour

// A Link is what a presigned link binds beside its key. All fields are needed.
type Link struct {
	// Lifetime is how long from now the link works: a second to MaxLifetime,
	// counted in whole seconds.
	Lifetime time.Duration
	// Filename is the name under which a browser saves the file: printable, at
	// most 255 bytes, no slash or backslash.
	Filename string
	// Type is the media type of the answer, as it stands in Content-Type.
	Type string
}

// Check returns kind.Invalid unless l can be made into a link. Every driver
// calls it.
func (l Link) Check() error {
	switch {
	case l.Lifetime < time.Second || l.Lifetime > MaxLifetime:
		return kind.E(kind.Invalid, "check a link's lifetime")
	case !canSave(l.Filename):
		return kind.E(kind.Invalid, "check a link's file name")
	case !canAnswer(l.Type):
		return kind.E(kind.Invalid, "check a link's media type")
	}
	return nil
}

func canSave(name string) bool {
	if name == "" || len(name) > 255 || name == "." || name == ".." || !utf8.ValidString(name) {
		return false
	}
	unfit := func(r rune) bool { return r == '/' || r == '\\' || !unicode.IsPrint(r) }
	return !strings.ContainsFunc(name, unfit)
}

func canAnswer(media string) bool {
	name, _, err := mime.ParseMediaType(media)
	unfit := func(r rune) bool { return r < ' ' || r > '~' }
	return err == nil && strings.Contains(name, "/") && !strings.ContainsFunc(media, unfit)
}

// Disposition returns the Content-Disposition of the answer: an attachment with
// the file name as RFC 6266 has it, in ASCII for old clients and, where that
// loses something, in UTF-8 after RFC 8187 too.
func (l Link) Disposition() string {
	ascii := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%`, r) {
			return '_'
		}
		return r
	}, l.Filename)
	s := `attachment; filename="` + ascii + `"`
	if ascii == l.Filename {
		return s
	}
	var b strings.Builder
	b.WriteString(s)
	b.WriteString("; filename*=UTF-8''")
	for i := range len(l.Filename) {
		if c := l.Filename[i]; isAttr(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// isAttr reports whether c is an attr-char of RFC 8187.
func isAttr(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}
