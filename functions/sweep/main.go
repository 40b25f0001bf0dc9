// Command sweep starts what was accepted and not started, closes requests whose
// execution died, and mails people what is new.
package main

import (
	"context"
	"encoding/json"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/cloud/ses"
	"lethe/shared/events"
)

func main() {
	cloud.Start(func(p *cloud.Platform) any {
		ses.Use(p)
		source := events.New(p.Subjects, p.Keys, p.Clock, events.Shared(), events.Log(p.Log))
		service := p.Service(account.New(p.Control, p.Clock), source)
		return cloud.Task(func(ctx context.Context, _ json.RawMessage) (struct{}, error) {
			return struct{}{}, service.Sweep(ctx)
		})
	})
}
