package console

import (
	"slices"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// again keeps a form that came after its session had ended, to be sent again when
// somebody has signed in. It takes no more than a form without a file may have.
func (v *visit) again(ended error) error {
	v.body = v.r.Body
	f, err := v.filled()
	keeps := "What you typed is kept on this page. Sign in on another one, then come back here and send it again."
	if kind.Of(err) == kind.TooLarge {
		// Its form is shown once more then, for the file to be chosen.
		f.file = nil
		f.Set("step", stepChange)
		keeps += " The file is too large to be kept: you can choose one then, before anything is submitted."
	} else if err != nil {
		return err
	}
	if column, err := dsr.ColumnText(f.file); err == nil && column != "" {
		f.Set("column", column)
	}
	names := make([]string, 0, len(f.Values))
	for name := range f.Values {
		names = append(names, name)
	}
	slices.Sort(names)
	status, title := statusOf(ended)
	return v.show(status, title,
		warn(kind.Sentence(ended)),
		say(keeps),
		html.P(html.A(html.Class("button"), html.Href(v.base()+signInPath), html.Target("_blank"), text("Sign in on another page"))),
		html.Form(html.Method("post"), html.Action(v.r.URL.EscapedPath()), gomponents.If(f.parts, html.EncType("multipart/form-data")),
			gomponents.Map(names, func(name string) node {
				return gomponents.Map(f.Values[name], func(value string) node {
					return html.Textarea(html.Name(name), html.Hidden(""), html.Aria("label", name), text("\n"+value))
				})
			}),
			button("Send it again", html.Class("second"))))
}
