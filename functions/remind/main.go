// Command remind runs once a day: it mails reminders of tokens that end and of requests
// that are due, keeps the heads of the audit trails, and puts what the copy of the ledger
// lacks into it.
package main

import (
	"context"
	"encoding/json"
	"errors"

	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/cloud/ses"
	"lethe/shared/events"
)

func main() {
	cloud.Start(func(p *cloud.Platform) any {
		ses.Use(p)
		accounts := account.New(p.Control, p.Clock)
		source := events.New(p.Subjects, p.Keys, p.Clock, events.Shared(), events.Log(p.Log))
		service := p.Service(accounts, source)
		return cloud.Task(func(ctx context.Context, _ json.RawMessage) (struct{}, error) {
			return struct{}{}, errors.Join(service.Remind(ctx), accounts.KeepHeads(ctx, p.Bucket, p.Keys), service.CopyLedger(ctx))
		})
	})
}
