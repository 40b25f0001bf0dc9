package console

import (
	"fmt"

	"lethe/shared/dsr"
)

// A List is what ParseList reads.
type List struct {
	IDs    []string
	Again  int
	Header string
	Bad    []string
	Wrong  string
}

// ParseList reads an uploaded file; it returns why it is none, or what is in it.
func ParseList(file []byte) (l List, err error) {
	column, err := dsr.ColumnText(file)
	if err != nil {
		return l, err
	}
	read := dsr.ParseColumn(column)
	l = List{IDs: read.IDs, Again: read.Again, Header: read.Header, Wrong: wrongWith(read)}
	for _, b := range read.Bad {
		l.Bad = append(l.Bad, fmt.Sprintf("%d %s", b.Number, b.Reason))
	}
	return l, nil
}
