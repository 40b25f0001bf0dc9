package cloud

import (
	"context"
	"encoding/json"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// restoredKey is the row of the control table by which a restore lets functions use
// tables that were put back. It names both tables, since it is put back too when
// they are put back again, under other names.
var restoredKey = table.Key{PK: "deployment", SK: "restored"}

type restoredRow struct {
	Control  string `json:"control"`
	Subjects string `json:"subjects"`
}

// Release lets functions use these tables, which were put back to a point in time.
// It is the last act of a restore: whatever came before has to have ended well.
func (p *Platform) Release(ctx context.Context) error {
	data, err := json.Marshal(p.tables)
	if err != nil {
		return kind.E(kind.Internal, "encode the names of the tables")
	}
	err = p.Control.Write(ctx, table.Put(table.Item{Key: restoredKey, Data: data}, table.Cond{}))
	return kind.Wrap("let functions use the tables", err)
}

// released is NotAllowed for tables that no restore has come to the end of: the
// erased are back in them, and ended tokens are good again.
func (p *Platform) released(ctx context.Context) error {
	item, err := p.Control.Get(ctx, restoredKey)
	if err != nil && kind.Of(err) != kind.NotFound {
		return kind.Wrap("look whether the tables were restored", err)
	}
	var row restoredRow
	if err == nil && json.Unmarshal(item.Data, &row) != nil {
		return kind.E(kind.Corrupt, "look whether the tables were restored")
	}
	if row != p.tables {
		return kind.Say(kind.NotAllowed, "The tables of ControlTableName and SubjectsTableName were put back to a point in time, and no restore of just these two has ended well: run go run ./infra/restore on them, as docs/operations.md says, before functions use them.")
	}
	return nil
}
