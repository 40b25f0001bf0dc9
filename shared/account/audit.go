package account

import (
	"context"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// Record makes the operations that append e to the audit trail of its project.
// Entries are ordered by their time; two of one millisecond stand in no order. An
// entry is never written over: the operation fails where there is one.
func (a *Accounts) Record(_ context.Context, e dsr.Entry) ([]table.Op, error) {
	if !isProjectID(e.Project) {
		return nil, kind.E(kind.Invalid, "audit: an entry without a project")
	}
	op, err := fresh(auditKey(e.Project, e.Time, randomHex(16)), e)
	if err != nil {
		return nil, err
	}
	return []table.Op{op}, nil
}
