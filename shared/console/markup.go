package console

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"
)

// A node is a part of a page. Values come into one by text and by the attributes of
// package html, which escape them; nothing here makes markup of text, and no value
// stands at the beginning of a link.
type node = gomponents.Node

func text(s string) node { return gomponents.Text(s) }

// An asset is a file that every page loads. Its path has its hash, so that browsers can
// keep it for good.
type asset struct {
	kind, path string
	content    []byte
}

//go:embed style.css
var styleSheet []byte

// The script makes pages handier; every page works without it.
//
//go:embed script.js
var scriptFile []byte

var (
	style  = newAsset("text/css; charset=utf-8", ".css", styleSheet)
	script = newAsset("text/javascript; charset=utf-8", ".js", scriptFile)
)

func newAsset(kind, suffix string, content []byte) asset {
	sum := sha256.Sum256(content)
	return asset{kind, "/assets/" + hex.EncodeToString(sum[:8]) + suffix, content}
}

func (a asset) serve(v *visit) error {
	v.w.Header().Set("Content-Type", a.kind)
	v.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = v.w.Write(a.content) // the other side is gone; there is nobody to tell
	return nil
}

// places are the ways from every page, for who has signed in.
var places = []struct{ path, label string }{
	{homePath, "Data & Privacy"},
	{requestsPath, "Requests"},
	{projectsPath, "Projects"},
	{organisationPath, "Organisation"},
	{personalPath, "Personal settings"},
}

// ways is the list of places, which tells which of them the page belongs to.
func (v *visit) ways() node {
	return html.Nav(html.Aria("label", "Main"), html.Ul(gomponents.Map(places, func(p struct{ path, label string }) node {
		here := v.r.URL.Path == p.path || p.path != homePath && strings.HasPrefix(v.r.URL.Path, p.path+"/")
		return html.Li(html.A(html.Href(p.path), gomponents.If(here, html.Aria("current", "page")), text(p.label)))
	})))
}

// show answers a page in the layout that all have.
func (v *visit) show(status int, title string, content ...node) error {
	var page bytes.Buffer
	err := html.Doctype(html.HTML(html.Lang("en"),
		html.Head(
			html.Meta(html.Charset("utf-8")),
			html.Meta(html.Name("viewport"), html.Content("width=device-width, initial-scale=1")),
			html.Meta(html.Name("color-scheme"), html.Content("light dark")),
			html.TitleEl(text(title+" – Lethe")),
			html.Link(html.Rel("icon"), html.Href("data:,")),
			html.Link(html.Rel("stylesheet"), html.Href(style.path)),
			html.Script(html.Src(script.path), html.Defer()),
		),
		html.Body(
			html.A(html.Class("skip"), html.Href("#content"), text("Skip to the content")),
			html.Header(
				html.A(html.Class("name"), html.Href(homePath), text("Lethe")),
				gomponents.Iff(v.actor.Name != "", func() node {
					return html.Div(html.Class("who"), html.Span(text(v.actor.Name)), form(signOutPath, button("Sign out")))
				}),
			),
			gomponents.Iff(v.actor.Name != "", v.ways),
			html.Main(html.ID("content"), html.H1(text(title)), gomponents.Group(content)),
		),
	)).Render(&page)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(page.Bytes()) // the other side is gone; there is nobody to tell
	return nil
}

func say(s string) node { return html.P(text(s)) }

// warn is what went wrong, which a screen reader tells first.
func warn(s string) node { return html.P(html.Class("warning"), html.Role("alert"), text(s)) }

func form(action string, content ...node) node {
	return html.Form(html.Method("post"), html.Action(action), gomponents.Group(content))
}

func button(label string, more ...node) node {
	return html.Button(html.Type("submit"), gomponents.Group(more), text(label))
}

func hidden(name, value string) node {
	return html.Input(html.Type("hidden"), html.Name(name), html.Value(value))
}

// A field is one line to type, with a label and, where what was typed cannot be, what to
// change.
type field struct{ name, label, kind, complete, value, wrong string }

func (f field) node() node {
	attributes := []node{html.Type(f.kind), html.ID(f.name), html.Name(f.name), html.Value(f.value), html.AutoComplete(f.complete), html.Required()}
	if f.wrong == "" {
		return gomponents.Group{html.Label(html.For(f.name), text(f.label)), html.Input(attributes...)}
	}
	about := f.name + "-wrong"
	return gomponents.Group{
		html.Label(html.For(f.name), text(f.label)),
		html.P(html.Class("warning"), html.ID(about), text(f.wrong)),
		html.Input(append(attributes, html.Aria("invalid", "true"), html.Aria("describedby", about), html.AutoFocus())...),
	}
}

// fail shows an error. It is the one place where a kind becomes a status of a page.
func (v *visit) fail(err error) {
	status, title := statusOf(err)
	sentence := sentenceOf(v.w.Header(), status, err)
	if status >= http.StatusInternalServerError {
		v.troubled("a page failed", err)
	}
	onward := gomponents.If(v.actor.Name == "", html.P(html.A(html.Href(v.base()+signInPath), text("Sign in"))))
	if v.actor.Name != "" {
		onward = html.P(html.A(html.Href(homePath), text("Back to the first page")))
	}
	if err := v.show(status, title, warn(sentence), onward); err != nil {
		v.w.WriteHeader(http.StatusInternalServerError)
	}
}
