package api

import (
	"encoding/json"
	"net/http"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// settled is the rules on the wire, their members as dsr names them.
type settled struct {
	Organisation dsr.Organisation `json:"organisation"`
	Project      dsr.Project      `json:"project"`
}

// settings answers what the organisation has settled.
func (e *edge) settings(c *call) error {
	rules, err := e.Accounts.Rules(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, settled{rules.Organisation, rules.Project})
}

// settle changes those settings that the body names, and no others.
func (e *edge) settle(c *call) error {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return err
	}
	parts, err := parseStrict(body, "organisation", "project")
	if err != nil {
		return err
	}
	if parts["organisation"] != nil {
		if err := e.Accounts.MaySettle(c.r.Context(), c.actor); err != nil {
			return err
		}
	}
	rules, err := e.Accounts.SetRules(c.r.Context(), c.project.ID, c.by(), func(r *dsr.Rules) error {
		for _, part := range []struct {
			body    json.RawMessage
			members []member
		}{
			{parts["organisation"], []member{
				{"time_zone", "a string", &r.TimeZone}, {"holidays", "a list of dates", &r.Holidays},
				{"keep_ids_days", "a whole number", &r.KeepIDs}, {"keep_records_months", "a whole number", &r.KeepRecords},
			}},
			{parts["project"], []member{{"identity", "a string", &r.Identity}, {"guard", "", []member{
				{"share_percent", "a whole number", &r.Guard.Share}, {"rows", "a whole number", &r.Guard.Rows}, {"ids", "a whole number", &r.Guard.IDs},
			}}}},
		} {
			if _, err := setMembers(part.body, part.members); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.ok(http.StatusOK, settled{rules.Organisation, rules.Project})
}

// A member is a setting's name, what it has to be, and where it goes: a pointer, or
// the members that it has itself.
type member struct {
	name, is string
	into     any
}

// setMembers sets those of all that the object in body has, and returns them. A nil
// body has none.
func setMembers(body json.RawMessage, all []member) (map[string]json.RawMessage, error) {
	if body == nil {
		return nil, nil
	}
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.name
	}
	fields, err := parseStrict(body, names...)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		raw := fields[m.name]
		if inner, ok := m.into.([]member); ok {
			_, err = setMembers(raw, inner)
		} else if raw != nil && json.Unmarshal(raw, m.into) != nil {
			err = kind.Say(kind.Invalid, m.name+" must be "+m.is+".")
		}
		if err != nil {
			return nil, err
		}
	}
	return fields, nil
}
