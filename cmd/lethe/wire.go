package main

import (
	"context"
	"log/slog"
	"net/http"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/local"
)

// parts are the domain over an open data directory.
type parts struct {
	accounts *account.Accounts
	store    *events.Store
	service  *dsr.Service
	clock    dsr.Clock
	log      *slog.Logger
}

// wire puts the domain onto p, once.
func wire(p *local.Platform, log *slog.Logger, settings dsr.Settings) (parts, error) {
	accounts := account.New(p.Control, p.Clock, account.Mailing(p.SweepNow))
	store := events.New(p.Subjects, p.Keys, p.Clock, events.Log(log), events.By(accounts.Rules))
	service, err := p.Service(accounts, settings, store)
	p.Daily("keep the heads of the audit trails", func(ctx context.Context) error { return accounts.KeepHeads(ctx, p.Bucket, p.Keys) })
	return parts{accounts, store, service, p.Clock, log}, err
}

// administration is the API for whoever administers the deployment on its machine.
func (d parts) administration(signInURL func(link string) string) http.Handler {
	return api.New(api.Parts{Accounts: d.accounts, Service: d.service, Clock: d.clock, Log: d.log, Local: true, SignInURL: signInURL})
}
