package local

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"lethe/shared/asl"
	"lethe/shared/dsr/dsrtest"
)

func TestWorkflow(t *testing.T) {
	dsrtest.Workflow(t, func(t *testing.T) dsrtest.Desk {
		db, err := OpenDB(t.TempDir()+"/lethe.db", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		var machines []*asl.Machine
		for name, definition := range dsrtest.Machines {
			m, err := asl.Load(name, []byte(definition), nil)
			if err != nil {
				t.Fatal(err)
			}
			machines = append(machines, m)
		}
		engine, err := asl.New(db.Table("workflow"), time.Now, slog.New(slog.DiscardHandler), nil, machines...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- engine.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return dsrtest.Desk{Workflow: &workflow{engine}}
	})
}
