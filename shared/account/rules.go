package account

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Rules reads what the organisation has settled for itself and for a project; what
// it has not is as dsr.Defaults says.
func (a *Accounts) Rules(ctx context.Context, project string) (dsr.Rules, error) {
	rules, _, err := a.rules(ctx, project)
	return rules, err
}

// Organisation reads what the organisation has settled for all projects.
func (a *Accounts) Organisation(ctx context.Context) (dsr.Organisation, error) {
	settled := dsr.Defaults().Organisation
	err := a.read(ctx, organisationRulesKey(), &settled)
	if kind.Of(err) == kind.NotFound {
		err = nil
	}
	return settled, kind.Wrap("read rules", err)
}

// rules reads them with the versions of both records; 0 for one that is not there.
func (a *Accounts) rules(ctx context.Context, project string) (dsr.Rules, map[table.Key]table.Version, error) {
	rules := dsr.Defaults()
	if !isProjectID(project) {
		return rules, nil, kind.E(kind.NotFound, "read rules")
	}
	own, ofProject := organisationRulesKey(), projectRulesKey(project)
	items, err := a.control.GetMany(ctx, []table.Key{own, ofProject})
	if err != nil {
		return rules, nil, kind.Wrap("read rules", err)
	}
	versions := map[table.Key]table.Version{}
	for key, into := range map[table.Key]any{own: &rules.Organisation, ofProject: &rules.Project} {
		item, ok := items[key]
		if ok && json.Unmarshal(item.Data, into) != nil {
			return rules, nil, kind.E(kind.Corrupt, "read rules")
		}
		versions[key] = item.Version
	}
	return rules, versions, nil
}

// SetRules changes the rules of the organisation and of a project, as far as change
// does, and returns them as they are then. Each changed member stands in the audit
// trail, with what it was: one of the project in the project's, one of the
// organisation in its own. Rules that cannot be are kind.Invalid, as is what change
// returns; kind.Forbidden that somebody changes them who is no owner or admin there,
// until they are changed, or that a program would raise the guard's limits; kind.Conflict
// means that somebody else changed them at the same moment. Then nothing was changed.
// Change is called again where the role of who asks was changed meanwhile.
func (a *Accounts) SetRules(ctx context.Context, project string, by dsr.By, change func(*dsr.Rules) error) (dsr.Rules, error) {
	for range changes {
		was, versions, err := a.rules(ctx, project)
		if err != nil {
			return was, err
		}
		next := was
		next.Holidays = append([]string{}, was.Holidays...)
		if err := change(&next); err != nil {
			return was, err
		}
		if next, err = next.Check(); err != nil {
			return was, err
		}
		if looser(was.Guard, next.Guard) && !isHuman(by.Actor) && by.Actor != Local.Name {
			return was, kind.Say(kind.Forbidden, "A person has to raise the limits of guard, not a program: above them a second person has to confirm a deletion.")
		}
		turned, err := a.turnRules(ctx, by, project, was, next, versions)
		switch {
		case err == nil:
			return next, nil
		case kind.Of(err) != kind.Conflict:
			return was, kind.Wrap("change rules", err)
		case turned:
			return was, kind.Say(kind.Conflict, "Somebody else changed the settings at the same moment. Read them, and send your change again.")
		}
	}
	return dsr.Rules{}, kind.E(kind.Unavailable, "change rules: the role of who does kept changing")
}

// turnRules writes what is different in next. Of a kind.Conflict it tells whether the
// rules were turned into others meanwhile; if not, it is the role of who changes them.
func (a *Accounts) turnRules(ctx context.Context, by dsr.By, project string, was, next dsr.Rules, versions map[table.Key]table.Version) (turned bool, err error) {
	now := a.clock().UTC()
	var ops, roles []table.Op
	var entries []dsr.Entry
	for _, part := range []struct {
		name, trail string
		key         table.Key
		was, next   any
	}{
		{"organisation", "", organisationRulesKey(), was.Organisation, next.Organisation},
		{"project", project, projectRulesKey(project), was.Project, next.Project},
	} {
		changed, err := difference(part.was, part.next)
		if err != nil {
			return false, err
		}
		if len(changed) == 0 {
			continue
		}
		power, role, err := a.stands(ctx, by, part.trail)
		if err != nil {
			return false, err
		}
		if !power.handles() {
			return false, kind.Say(kind.Forbidden, "Only owners and admins of the "+part.name+" may change its settings.")
		}
		if !slices.ContainsFunc(roles, func(o table.Op) bool { return o.Item.Key == role.Key }) {
			roles = append(roles, stillStands(role)...)
		}
		data, err := json.Marshal(part.next)
		if err != nil {
			return false, kind.E(kind.Internal, "encode rules", err)
		}
		ops = append(ops, table.Put(table.Item{Key: part.key, Data: data}, table.IfAt(versions[part.key])))
		entries = append(entries, dsr.Entry{
			Project: part.trail, Time: now, Actor: by.Actor, From: by.From, Action: "settings.change", Detail: strings.Join(changed, "; "),
		})
	}
	if len(ops) == 0 {
		return false, nil
	}
	err = a.record(ctx, next.KeepRecords, entries, append(ops, roles...))
	return slices.ContainsFunc(table.Failed(err), func(i int) bool { return i < len(ops) }), err
}

// looser reports whether a guard lets something pass that the one before did not.
func looser(was, next dsr.Guard) bool {
	return next.Share > was.Share || next.Rows > was.Rows || next.IDs > was.IDs
}

// difference tells which members of two records of one type differ, as
// "name: old → new", in the order of the names.
func difference(was, next any) ([]string, error) {
	var all [2]map[string]json.RawMessage
	for i, record := range []any{was, next} {
		data, err := json.Marshal(record)
		if err == nil {
			err = json.Unmarshal(data, &all[i])
		}
		if err != nil {
			return nil, kind.E(kind.Internal, "compare rules", err)
		}
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(all[1])) {
		if !bytes.Equal(all[0][name], all[1][name]) {
			changed = append(changed, name+": "+string(all[0][name])+" → "+string(all[1][name]))
		}
	}
	return changed, nil
}
