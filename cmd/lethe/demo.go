package main

import (
	"context"
	"slices"
	"time"

	"lethe/cmd/lethe/demo"
	"lethe/shared/account"
	"lethe/shared/events"
	"lethe/shared/kind"
)

// demoOwner is the mail address of the owner of a demo. No mail goes there: the
// domain is reserved (RFC 2606).
const demoOwner = "owner@demo.example"

// makeDemo returns the demo in the data directory, after it has made it or
// finished making it. It can be cut off anywhere and goes on from there: the
// credentials are written before the project is, and filling is repeated with the
// same records until it was once done. A directory that holds only other
// projects is left as it is.
func makeDemo(ctx context.Context, data string, accounts *account.Accounts, store *events.Store) (demoFile, error) {
	d, err := readDemo(data)
	if err != nil && kind.Of(err) != kind.NotFound {
		return demoFile{}, err
	}
	projects, err := accounts.Projects(ctx)
	if err != nil {
		return demoFile{}, err
	}
	switch {
	case len(projects) == 0:
		if d, err = foundDemo(ctx, data, accounts); err != nil {
			return demoFile{}, err
		}
	case !slices.ContainsFunc(projects, func(p account.Project) bool { return p.ID == d.ProjectID }):
		return demoFile{}, failure{statusRefused, "The data directory holds other projects, and a demo does not mix with them: start without --demo, or choose another directory with --data."}
	}
	if d.Filled {
		return d, nil
	}
	records := demo.Make(d.ProjectToken, d.Made)
	if err := fill(ctx, d.ProjectID, store, records); err != nil {
		return demoFile{}, kind.Wrap("fill the demo", err)
	}
	d.Filled, d.Subject = true, records.Busy
	return d, d.write(data)
}

func foundDemo(ctx context.Context, data string, accounts *account.Accounts) (demoFile, error) {
	d := demoFile{Made: time.Now().UTC()}
	_, err := accounts.Found(ctx, account.Founding{
		OrgName: "Demo", ProjectName: "Demo", OwnerEmail: demoOwner,
		Keep: func(c account.Credentials) error {
			d.Credentials = c
			return d.write(data)
		},
	})
	return d, err
}

// batch is how many records one import of a client holds.
const batch = 2000

// fill takes the records in as an import would.
func fill(ctx context.Context, project string, store *events.Store, records demo.Data) error {
	for some := range slices.Chunk(records.Events, batch) {
		var parsed []events.Event
		for _, raw := range some {
			e, err := events.ParseEvent(raw, events.Rules{Now: time.Now(), Import: true, Strict: true})
			if err != nil {
				return err
			}
			parsed = append(parsed, e)
		}
		if _, err := store.Track(ctx, project, parsed); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(records.Profiles, batch) {
		var parsed []events.Update
		for _, raw := range some {
			u, err := events.ParseUpdate(raw, false)
			if err != nil {
				return err
			}
			parsed = append(parsed, u)
		}
		if _, err := store.Update(ctx, project, parsed); err != nil {
			return err
		}
	}
	return nil
}
