package console

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

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

// A control is something to fill in: with its label, a hint or "", and where what was
// filled in cannot be, what to change. Both are told with it by a screen reader. Its name
// is like no other's of the page.
type control struct{ name, label, hint, wrong string }

// described ties what is filled in to what is said of it.
func (c control) described() node {
	var ids []string
	if c.hint != "" {
		ids = append(ids, c.name+"-hint")
	}
	if c.wrong != "" {
		ids = append(ids, c.name+"-wrong")
	}
	return gomponents.If(ids != nil, html.Aria("describedby", strings.Join(ids, " ")))
}

func (c control) said() node {
	return gomponents.Group{
		gomponents.If(c.hint != "", html.P(html.Class("hint"), html.ID(c.name+"-hint"), text(c.hint))),
		gomponents.If(c.wrong != "", html.P(html.Class("warning"), html.ID(c.name+"-wrong"), text(c.wrong))),
	}
}

// of is the control around an input, select or textarea, which gets the attributes.
func (c control) of(input func(...node) node, attributes ...node) node {
	return c.as(c.name, input, attributes...)
}

// as is of, for a field that forms of the page have under the same name.
func (c control) as(field string, input func(...node) node, attributes ...node) node {
	// Of several that are wrong, browsers take the first to begin with.
	invalid := gomponents.If(c.wrong != "", gomponents.Group{html.Aria("invalid", "true"), html.AutoFocus()})
	attributes = append([]node{html.ID(c.name), html.Name(field), c.described(), invalid}, attributes...)
	return gomponents.Group{html.Label(html.For(c.name), text(c.label)), c.said(), input(attributes...)}
}

// An option is one of a few to choose from.
type option struct{ value, label string }

// oneOf is the control as a list that opens.
func (c control) oneOf(chosen string, options []option) node {
	return c.of(html.Select, gomponents.Map(options, func(o option) node {
		return html.Option(html.Value(o.value), gomponents.If(o.value == chosen, html.Selected()), text(o.label))
	}))
}

// radios is the control as a list that is open, with more below it.
func (c control) radios(chosen string, options []option, more ...node) node {
	focus := options[0].value
	for _, o := range options {
		if o.value == chosen {
			focus = chosen
		}
	}
	all := gomponents.Map(options, func(o option) node {
		id := c.name + "-" + o.value
		return html.Div(html.Class("choice"),
			html.Input(html.Type("radio"), html.ID(id), html.Name(c.name), html.Value(o.value), gomponents.If(o.value == chosen, html.Checked()), gomponents.If(c.wrong != "" && o.value == focus, html.AutoFocus())),
			html.Label(html.For(id), text(o.label)))
	})
	return html.FieldSet(html.ID(c.name), c.described(), html.Legend(text(c.label)), c.said(), all, gomponents.Group(more))
}

// A field is one line to type that must be filled in.
type field struct{ name, label, kind, complete, value, wrong string }

func (f field) node() node {
	return control{f.name, f.label, "", f.wrong}.of(html.Input, html.Type(f.kind), html.Value(f.value), html.AutoComplete(f.complete), html.Required())
}

// Facts are names and what they stand for.
type facts []fact

type fact struct {
	name  string
	value node
}

func (f facts) list() node {
	return html.Dl(gomponents.Map(f, func(one fact) node {
		return html.Div(html.Dt(text(one.name)), html.Dd(one.value))
	}))
}

// spoken is a day as 2026-03-31 in words.
func spoken(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.Format("2 January 2006")
}

// when is a moment, in UTC.
func when(t time.Time) node {
	return html.Time(html.DateTime(t.UTC().Format(time.RFC3339)), text(inFull(t)))
}

// inFull is a moment in words.
func inFull(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") }

// onDay is a day as 2026-03-31.
func onDay(day string) node { return html.Time(html.DateTime(day), text(spoken(day))) }

// scrolled is a table that may be wider than the screen, which is moved by keyboard too;
// the element of the id is its title.
func scrolled(title string, head, body node) node {
	return html.Div(html.Class("table"), html.TabIndex("0"), html.Role("region"), html.Aria("labelledby", title),
		html.Table(html.THead(html.Tr(head)), html.TBody(body)))
}

func column(name string) node { return html.Th(html.Scope("col"), text(name)) }

func link(to, label string) node { return html.A(html.Href(to), text(label)) }

// leads is a link that looks like a button.
func leads(to, label string) node {
	return html.A(html.Class("button"), html.Href(to), text(label))
}

// updating is a part of a page that the script fetches again from an address every so
// many seconds, until it comes with none. What it says is told by screen readers when that has changed.
func updating(from string, every int, says string, content node) node {
	return gomponents.Group{
		html.P(html.Class("hidden"), html.ID("said"), html.Role("status")),
		html.Div(html.ID("live"), gomponents.If(every > 0, html.Data("every", strconv.Itoa(every))), html.Data("from", from), html.Data("says", says), content),
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
