// Command api serves the GDPR API, Lethe's own routes and the console.
package main

import (
	_ "time/tzdata" // settings name time zones, which Lambda may not have

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/cloud"
	"lethe/shared/console"
	"lethe/shared/events"
)

func main() {
	cloud.Start(func(p *cloud.Platform) any {
		accounts := account.New(p.Control, p.Clock)
		source := events.New(p.Subjects, p.Keys, p.Clock, events.Shared(), events.Log(p.Log))
		service := p.Service(accounts, source)
		// Its own address is not told to it: API Gateway answers to no other.
		pages := console.New(console.Parts{
			Accounts: accounts, Service: service, Mails: p.MailFrom != "", LinkCommand: "go run ./infra/signin", OIDC: console.NewProvider(p.Issuer, p.Client, p.Secret),
			Keys: p.SessionKeys, Clock: p.Clock, Log: p.Log,
		})
		return cloud.HTTP(api.New(api.Parts{
			Accounts: accounts, Service: service, Console: pages, Clock: p.Clock, Log: p.Log,
		}))
	})
}
