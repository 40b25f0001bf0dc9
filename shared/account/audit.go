package account

import (
	"context"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Record makes the operations that append e to the audit trail of its project.
// Entries are ordered by their time; two of one millisecond stand in no order. An
// entry is never written over: the operation fails where there is one. It goes by
// itself when it is as old as the records that are kept, by what is settled when it
// is written.
func (a *Accounts) Record(ctx context.Context, e dsr.Entry) ([]table.Op, error) {
	if !isProjectID(e.Project) {
		return nil, kind.E(kind.Invalid, "audit: an entry without a project")
	}
	settled, err := a.Organisation(ctx)
	if err != nil {
		return nil, err
	}
	op, err := a.entry(e.Project, settled.KeepRecords, e)
	if err != nil {
		return nil, err
	}
	return []table.Op{op}, nil
}

// entry makes the operation that appends e to a trail, for so many months.
func (a *Accounts) entry(trail string, months int, e dsr.Entry) (table.Op, error) {
	op, err := fresh(auditKey(trail, e.Time, randomHex(16)), e)
	op.Item.Expires = e.Time.AddDate(0, months, 0)
	return op, err
}
