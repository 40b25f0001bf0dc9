// Command api serves the GDPR API and Lethe's own routes.
package main

import (
	_ "time/tzdata" // settings name time zones, which Lambda may not have

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/cloud"
	"lethe/shared/events"
)

func main() {
	cloud.Start(func(p *cloud.Platform) any {
		accounts := account.New(p.Control, p.Clock)
		source := events.New(p.Subjects, p.Keys, p.Clock, events.Shared(), events.Log(p.Log))
		return cloud.HTTP(api.New(api.Parts{
			Accounts: accounts, Service: p.Service(accounts, source), Clock: p.Clock, Log: p.Log,
		}))
	})
}
