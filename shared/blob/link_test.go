package blob_test

import (
	"mime"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

func TestLinkCheck(t *testing.T) {
	good := blob.Link{Lifetime: 15 * time.Minute, Filename: "Auskunft März.zip", Type: "application/zip"}
	for _, tc := range []struct {
		name   string
		change func(*blob.Link)
		want   kind.Kind
	}{
		{"good", func(*blob.Link) {}, ""},
		{"week", func(l *blob.Link) { l.Lifetime = blob.MaxLifetime }, ""},
		{"no lifetime", func(l *blob.Link) { l.Lifetime = 0 }, kind.Invalid},
		{"past", func(l *blob.Link) { l.Lifetime = -time.Minute }, kind.Invalid},
		{"over a week", func(l *blob.Link) { l.Lifetime = blob.MaxLifetime + 1 }, kind.Invalid},
		{"no file name", func(l *blob.Link) { l.Filename = "" }, kind.Invalid},
		{"folder", func(l *blob.Link) { l.Filename = "a/b" }, kind.Invalid},
		{"backslash", func(l *blob.Link) { l.Filename = `a\b` }, kind.Invalid},
		{"parent", func(l *blob.Link) { l.Filename = ".." }, kind.Invalid},
		{"line break", func(l *blob.Link) { l.Filename = "a\r\nSet-Cookie: x" }, kind.Invalid},
		{"reversed text", func(l *blob.Link) { l.Filename = "a\u202Egpj.exe" }, kind.Invalid},
		{"not UTF-8", func(l *blob.Link) { l.Filename = "a\xff" }, kind.Invalid},
		{"parameter", func(l *blob.Link) { l.Type = "text/plain; charset=utf-8" }, ""},
		{"no type", func(l *blob.Link) { l.Type = "" }, kind.Invalid},
		{"half a type", func(l *blob.Link) { l.Type = "zip" }, kind.Invalid},
		{"header in the type", func(l *blob.Link) { l.Type = "text/html\r\nX: y" }, kind.Invalid},
	} {
		l := good
		tc.change(&l)
		if got := kind.Of(l.Check()); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestDisposition(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"export.zip", `attachment; filename="export.zip"`},
		{"two words.zip", `attachment; filename="two words.zip"`},
		{`a"b.zip`, `attachment; filename="a_b.zip"; filename*=UTF-8''a%22b.zip`},
		{"50%.zip", `attachment; filename="50_.zip"; filename*=UTF-8''50%25.zip`},
		{"März €.zip", `attachment; filename="M_rz _.zip"; filename*=UTF-8''M%C3%A4rz%20%E2%82%AC.zip`},
		{"a;b=c.zip", `attachment; filename="a;b=c.zip"`},
	} {
		if got := (blob.Link{Filename: tc.name}).Disposition(); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

// Whatever file name passes Check comes out of the header as it went in.
func FuzzDisposition(f *testing.F) {
	for _, name := range []string{"a.zip", `"; x="`, "%41", "März.zip", "日本.zip", "'a'*", " "} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		l := blob.Link{Lifetime: time.Minute, Filename: name, Type: "application/zip"}
		if l.Check() != nil {
			return
		}
		header := l.Disposition()
		if strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is no header value", header)
		}
		disposition, params, err := mime.ParseMediaType(header)
		if err != nil || disposition != "attachment" || params["filename"] != name {
			t.Errorf("%q: got %q %q, %v; want the file name %q", header, disposition, params, err, name)
		}
	})
}
