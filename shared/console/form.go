package console

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/kind"
)

// Attributes that package html lacks: nothing to be looked up in a dictionary, and what
// is typed on a keyboard of digits.
var (
	unspelled = gomponents.Attr("spellcheck", "false")
	digits    = gomponents.Attr("inputmode", "numeric")
)

// typed is a form that was not taken: which of its page's, and what to change, by the
// name of the field; "" is the form as a whole.
type typed struct {
	form   string
	status int
	wrong  map[string]string
}

// anew shows the page that has a form once more, with what was typed, and says at the
// field why it was not taken. An error that no typing can mend is returned.
func (v *visit) anew(err error, form, field string, page func(*visit) error) error {
	sentence := kind.Sentence(err)
	status, _ := statusOf(err)
	if status == http.StatusTooManyRequests {
		sentence = sentenceOf(v.w.Header(), status, err)
	}
	if sentence == "" {
		return err
	}
	if field != "" {
		sentence = beside(sentence)
	}
	v.typed = typed{form: form, status: status, wrong: map[string]string{field: sentence}}
	return page(v)
}

// beside is a sentence as it stands beside its field, where the name that programs have
// for that, which it may begin with, says nothing.
func beside(sentence string) string {
	name, rest, _ := strings.Cut(sentence, " ")
	if first, _ := utf8.DecodeRuneInString(name); !unicode.IsLower(first) {
		return sentence
	}
	return "This " + rest
}

// status is that of a page with forms.
func (v *visit) status() int { return cmp.Or(v.typed.status, http.StatusOK) }

// A blank is one of the forms of a page. Its name tells them and their fields apart.
type blank struct {
	v    *visit
	name string
}

func (v *visit) blank(name string) blank { return blank{v, name} }

// value is what was typed into a field, where the form comes back, or else was.
func (b blank) value(field, was string) string {
	if b.v.typed.form != b.name {
		return was
	}
	return b.v.r.FormValue(field)
}

// wrong is what to change about a field, or "".
func (b blank) wrong(field string) string {
	if b.v.typed.form != b.name {
		return ""
	}
	return b.v.typed.wrong[field]
}

// problem is why the form as a whole was not taken, if it was not.
func (b blank) problem() node { return refused(b.wrong("")) }

// refused is why something was not done, if it was not: what a page with several forms
// begins with, for it may be far down.
func refused(why string) node {
	return gomponents.If(why != "", html.P(html.Class("warning"), html.Role("alert"), html.TabIndex("-1"), html.AutoFocus(), text(why)))
}

// labelled is a control of the form, with what was typed into it before.
func (b blank) labelled(field, label, hint string, input func(...node) node, attributes ...node) node {
	return control{b.name + "-" + field, label, hint, b.wrong(field)}.as(field, input, attributes...)
}

// line is one line to type. Nothing that is typed here is for a browser to remember.
func (b blank) line(field, label, hint, was string, more ...node) node {
	return b.labelled(field, label, hint, html.Input, append([]node{html.Value(b.value(field, was)), html.AutoComplete("off")}, more...)...)
}

// lines are several to type.
func (b blank) lines(field, label, hint, was string) node {
	return b.labelled(field, label, hint, html.Textarea, html.Rows("8"), unspelled, html.AutoComplete("off"), text(b.value(field, was)))
}

// choice is one of several words.
func (b blank) choice(field, label, hint, was string, words ...string) node {
	return b.labelled(field, label, hint, html.Select, options(b.value(field, was), words))
}

func options(chosen string, words []string) node {
	return gomponents.Map(words, func(word string) node {
		return html.Option(html.Value(word), gomponents.If(word == chosen, html.Selected()), text(word))
	})
}

// overlap asks for how many days what is replaced goes on.
func (b blank) overlap() node {
	return b.line("overlap_days", "Days that the old one goes on", "From 0, which ends it at once, to 90.", "0", digits, html.Required())
}

// overlap reads the number of days that a form asked for.
func (v *visit) overlap() (time.Duration, error) {
	days, err := strconv.ParseInt(strings.TrimSpace(v.r.PostFormValue("overlap_days")), 10, 16)
	if err != nil {
		return 0, kind.Say(kind.Invalid, "Give a whole number of days, from 0 to 90.")
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

// once lets a form do what it is for a single time: what it makes is shown then, and
// sending it again, as a browser does that loads the page anew, makes no second.
func once() node { return hidden("once", rand.Text()) }

// takeOnce does what a form is for under its key; kind.Conflict where it was sent before.
func (v *visit) takeOnce(do func() error) error {
	return v.Accounts.Once(v.r.Context(), v.actor.Name, v.r.PostFormValue("once"), do)
}

// unlessSent is the field that an error of takeOnce is about, or the form as a whole.
func unlessSent(err error, field string) string {
	if kind.Of(err) == kind.Conflict {
		return ""
	}
	return field
}

// sure reports whether a form comes from the page that asks before something ends.
func (v *visit) sure() bool { return v.r.PostFormValue("sure") != "" }

// ask shows the page that asks before something ends: what that is, and the form once
// more, which goes to where it came from, with more fields.
func (v *visit) ask(title, label, back string, sentences []string, fields ...node) error {
	return v.show(v.status(), title,
		gomponents.Map(sentences, say),
		form(v.r.URL.Path, hidden("sure", "1"), gomponents.Group(fields), html.P(html.Class("row"),
			button(label, html.Class("danger")), html.A(html.Class("button second"), html.Href(back), text("No, go back")))))
}

// A secret is shown when it was made, and never again.
type secret struct{ name, label, value string }

// node is the secret in a line that cannot be changed, beside which the script puts a
// button that copies it.
func (s secret) node() node {
	return gomponents.Group{
		html.Label(html.For(s.name), text(s.label)),
		html.Input(html.ID(s.name), html.Type("text"), html.Class("secret"), html.Value(s.value), html.ReadOnly(), unspelled, html.AutoComplete("off"), html.Data("copy", s.label)),
	}
}

// showOnce shows what was just made, in answer to the form that made it: an address that
// could be opened later would have to hold it.
func (v *visit) showOnce(title, back string, sentence string, secrets ...secret) error {
	return v.show(http.StatusOK, title,
		html.P(html.Role("status"), text(sentence)),
		html.P(html.Strong(text("This is shown now and never again. ")), text("Copy it to where secrets are kept. Loading this page anew makes no other.")),
		gomponents.Map(secrets, secret.node),
		html.P(html.A(html.Class("button second"), html.Href(back), text("I have kept it"))))
}

// done goes on to a page, which says what was done by one of the sentences of news.
func (v *visit) done(path, what string) error { return v.redirect(path + "?done=" + what) }

// news is what was just done, on the page that comes after it.
func (v *visit) news(all map[string]string) node {
	sentence := all[v.r.URL.Query().Get("done")]
	return gomponents.If(sentence != "", html.P(html.Class("news"), html.Role("status"), text(sentence)))
}

// table is a table with a heading, moved by keyboard too where it is wide.
func table(id, heading string, columns []string, rows []node, none string) node {
	if len(rows) == 0 {
		return gomponents.Group{html.H2(html.ID(id), text(heading)), say(none)}
	}
	return gomponents.Group{
		html.H2(html.ID(id), text(heading)),
		scrolled(id, gomponents.Map(columns, column), gomponents.Group(rows)),
	}
}

func cell(s string) node { return html.Td(text(s)) }

// changeable is the first cell of a row, with the forms that change what the row is of:
// on a narrow screen further cells are out of sight.
func changeable(name node, changes ...node) node {
	return html.Td(name, gomponents.If(len(changes) > 0, html.Div(html.Class("row"), gomponents.Group(changes))))
}

// day is the day of a moment, in UTC.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// dayOf is a cell with it, or with never.
func dayOf(t time.Time) node {
	if t.IsZero() {
		return cell("never")
	}
	return html.Td(html.Time(text(day(t))))
}

// moment is a day with its time.
func moment(t time.Time) node {
	return html.Time(html.DateTime(t.UTC().Format(time.RFC3339)), text(t.UTC().Format("2006-01-02 15:04")+" UTC"))
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
