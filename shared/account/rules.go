package account

import (
	"context"
	"encoding/json"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Rules reads what the organisation has settled for itself and for a project; what
// it has not is as dsr.Defaults says.
func (a *Accounts) Rules(ctx context.Context, project string) (dsr.Rules, error) {
	rules := dsr.Defaults()
	if !isProjectID(project) {
		return rules, kind.E(kind.NotFound, "read rules")
	}
	own, ofProject := organisationRulesKey(), projectRulesKey(project)
	items, err := a.control.GetMany(ctx, []table.Key{own, ofProject})
	if err != nil {
		return rules, kind.Wrap("read rules", err)
	}
	for key, into := range map[table.Key]any{own: &rules.Organisation, ofProject: &rules.Project} {
		item, ok := items[key]
		if ok && json.Unmarshal(item.Data, into) != nil {
			return rules, kind.E(kind.Corrupt, "read rules")
		}
	}
	return rules, nil
}
