// Command ingest takes in events and profiles.
package main

import (
	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/cloud"
	"lethe/shared/events"
)

func main() {
	cloud.Start(func(p *cloud.Platform) any {
		accounts := account.New(p.Control, p.Clock)
		store := events.New(p.Subjects, p.Keys, p.Clock, events.Shared(), events.Log(p.Log), events.By(accounts.Rules))
		return cloud.HTTP(api.New(api.Parts{
			Accounts: accounts, Ingestion: api.NewIngestion(accounts, store, p.Service(accounts, store), p.Clock, p.Log), Clock: p.Clock, Log: p.Log,
		}))
	})
}
