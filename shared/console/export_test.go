package console

import "fmt"

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
	column, err := textOf(file)
	if err != nil {
		return l, err
	}
	read := parseList(column)
	l = List{IDs: read.ids, Again: read.again, Header: read.header, Wrong: read.wrong()}
	for _, b := range read.bad {
		l.Bad = append(l.Bad, fmt.Sprintf("%d %s", b.number, b.reason))
	}
	return l, nil
}
