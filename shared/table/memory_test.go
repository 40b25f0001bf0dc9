package table_test

import (
	"testing"
	"time"

	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

func TestMemory(t *testing.T) {
	tabletest.Run(t, func(_ *testing.T, now func() time.Time) table.Table { return table.NewMemory(now) })
}
