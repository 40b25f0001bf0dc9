package console

import (
	"net/http"
	"strconv"
	"strings"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// A setting is one of the rules, as a form has it.
type setting struct {
	name, label, hint string
	words             []string // it is one of them
	many              bool     // it is a list, one a line
	get               func(dsr.Rules) string
	set               func(*dsr.Rules, string) error
}

var projectSettings = []setting{
	{
		name: "identity", label: "Identity", words: []string{string(dsr.Simplified), string(dsr.Original)},
		hint: "Which links between identifiers a request follows. Simplified: a device belongs to its first user, and two user ids are never one person. Original: two users that were merged are one person.",
		get:  func(r dsr.Rules) string { return string(r.Identity) },
		set:  func(r *dsr.Rules, s string) error { r.Identity = dsr.Identity(s); return nil },
	},
	number("guard.share_percent", "Large deletions: percent of the project",
		"A deletion that would take more than this percentage of the project's rows, and more rows than the next number, waits until a second person confirms it. With 100 none does.",
		func(r *dsr.Rules) *int { return &r.Guard.Share }),
	number("guard.rows", "Large deletions: rows", "Events, profiles and links that a deletion may take without being confirmed, however great a part of the project they are.", func(r *dsr.Rules) *int64 { return &r.Guard.Rows }),
	number("guard.ids", "Large persons: identifiers",
		"A deletion waits likewise where one submitted identifier stands for more identifiers than this. With 2000 none does.",
		func(r *dsr.Rules) *int { return &r.Guard.IDs }),
}

var organisationSettings = []setting{
	{
		name: "time_zone", label: "Time zone", hint: "Such as Europe/Berlin. Due dates are days there, of requests made from now on.",
		get: func(r dsr.Rules) string { return r.TimeZone },
		set: func(r *dsr.Rules, s string) error { r.TimeZone = s; return nil },
	},
	{
		name: "holidays", label: "Holidays", hint: "Days that are no business days, such as 2026-12-25, one a line, for requests made from now on.", many: true,
		get: func(r dsr.Rules) string { return strings.Join(r.Holidays, "\n") },
		set: func(r *dsr.Rules, s string) error { r.Holidays = strings.Fields(s); return nil },
	},
	number("keep_ids_days", "Days that identifiers are kept", "Of a request that has ended: from 14 to 365. Until then it can be run again.",
		func(r *dsr.Rules) *int { return &r.KeepIDs }),
	number("keep_records_months", "Months that records are kept", "Of requests and of the audit trails: from 24, which the CCPA regulations ask for, to 60.",
		func(r *dsr.Rules) *int { return &r.KeepRecords }),
}

// number is a setting that is a whole number.
func number[N int | int64](name, label, hint string, of func(*dsr.Rules) *N) setting {
	return setting{name: name, label: label, hint: hint,
		get: func(r dsr.Rules) string { return strconv.FormatInt(int64(*of(&r)), 10) },
		set: func(r *dsr.Rules, s string) error {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return kind.Say(kind.Invalid, "Give a whole number.")
			}
			*of(r) = N(n)
			return nil
		}}
}

// settings is the form of a place's settings. It sends also what each was, so that it
// changes none that somebody else changed meanwhile.
func (v *visit) settings(p place, all []setting, rules dsr.Rules) node {
	b := v.blank("settings")
	return gomponents.Group{
		html.H2(text("Settings")), b.problem(),
		form(p.path+"/settings", gomponents.Map(all, func(s setting) node {
			was := s.get(rules)
			input := gomponents.Group{}
			switch {
			case s.words != nil:
				input = append(input, b.choice(s.name, s.label, s.hint, was, s.words...))
			case s.many:
				input = append(input, b.lines(s.name, s.label, s.hint, was))
			default:
				input = append(input, b.line(s.name, s.label, s.hint, was, html.Required()))
			}
			return append(input, hidden("was-"+s.name, b.value("was-"+s.name, was)))
		}), button("Save the settings")),
	}
}

// settle changes those settings of a place that somebody changed in the form.
func settle(v *visit, p place) error {
	all, project := projectSettings, p.ID
	if project == "" {
		all = organisationSettings
		projects, err := v.Accounts.Projects(v.r.Context())
		if err != nil {
			return err
		}
		project = projects[0].ID // any will do: there is always one
	}
	changed := all[:0:0]
	for _, s := range all {
		if clean(v.r.PostFormValue(s.name)) != clean(v.r.PostFormValue("was-"+s.name)) {
			changed = append(changed, s)
		}
	}
	if len(changed) == 0 {
		return v.done(p.path, "same")
	}
	rules, err := v.Accounts.Rules(v.r.Context(), project)
	if err != nil {
		return err
	}
	wrong := map[string]string{}
	for _, s := range changed {
		next := rules
		err := s.set(&next, clean(v.r.PostFormValue(s.name)))
		if err == nil {
			_, err = next.Check()
		}
		if err != nil {
			wrong[s.name] = s.beside(kind.Sentence(err))
		}
	}
	if len(wrong) > 0 {
		v.typed = typed{"settings", http.StatusBadRequest, wrong}
		return p.show(v)
	}
	_, err = v.Accounts.SetRules(v.r.Context(), project, v.by(), func(r *dsr.Rules) error {
		for _, s := range changed {
			if err := s.set(r, clean(v.r.PostFormValue(s.name))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return v.anew(err, "settings", "", p.show)
	}
	return v.done(p.path, "settled")
}

// beside is a sentence about a setting as it stands beside its field.
func (s setting) beside(sentence string) string {
	sentence = beside(sentence)
	if rest, is := strings.CutPrefix(sentence, "This must"); is && s.many {
		return "These must" + rest
	}
	return sentence
}

// clean is what was typed without the blanks around it and with the line ends of a list:
// browsers send others.
func clean(typed string) string {
	return strings.ReplaceAll(strings.TrimSpace(typed), "\r\n", "\n")
}
