// Command collect reads one batch of an export into segments.
package main

import (
	"lethe/shared/account"
	"lethe/shared/cloud"
	"lethe/shared/events"
)

func main() {
	cloud.Start(func(p *cloud.Platform) any {
		source := events.New(p.Subjects, p.Keys, p.Clock, events.Shared(), events.Log(p.Log))
		return cloud.Task(p.Service(account.New(p.Control, p.Clock), source).Collect)
	})
}
