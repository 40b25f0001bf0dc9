package events_test

import (
	"context"

	"lethe/shared/table"
)

// A gate is a table whose WriteMany waits.
type gate struct {
	table.Table
	reached, open chan bool
}

func (g *gate) WriteMany(ctx context.Context, ops []table.Op) error {
	close(g.reached)
	<-g.open
	return g.Table.WriteMany(ctx, ops)
}
