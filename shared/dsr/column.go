package dsr

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"lethe/shared/kind"
)

// A Column is the identifiers of a file, or why some of it cannot be used.
type Column struct {
	IDs    []string // each once, in order
	Again  int      // how many lines name one that stands further up
	Header string   // the first line, if it is one
	Bad    []BadLine
}

// A BadLine is a line that cannot be used, by its number from 1 on. The reason goes on
// a sentence that begins with the line.
type BadLine struct {
	Number int
	Reason string
}

// headers are what the first line of a column of identifiers is called, in any case.
var headers = []string{"distinct_id", "$distinct_id", "distinct_ids", "distinct id", "id", "user_id", "user id", "alias"}

// lineEnds makes the ends of lines of every system the one of this.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// ColumnText is an uploaded file as text, without byte order marks and with plain ends of
// lines. What is none is kind.Invalid, with a sentence.
func ColumnText(file []byte) (string, error) {
	file = bytes.TrimLeft(file, "\ufeff")
	if bytes.IndexByte(file, 0) >= 0 || bytes.HasPrefix(file, []byte("PK")) {
		return "", kind.Say(kind.Invalid, "This is no CSV file in UTF-8. In a spreadsheet, save it as “CSV UTF-8”.")
	}
	for number, line := range bytes.Split(file, []byte("\n")) {
		if !utf8.Valid(line) {
			return "", kind.Say(kind.Invalid, fmt.Sprintf("Line %d is not UTF-8. In a spreadsheet, save the file as “CSV UTF-8”.", number+1))
		}
	}
	return lineEnds.Replace(string(file)), nil
}

// ParseColumn reads a column of identifiers: CSV with one field to a line, with or
// without a header, quotation marks and blank lines.
func ParseColumn(column string) Column {
	var l Column
	seen := map[kind.Subject]bool{}
	in := csv.NewReader(strings.NewReader(column))
	in.FieldsPerRecord, in.ReuseRecord = -1, true
	for first := true; ; {
		record, err := in.Read()
		if err == io.EOF {
			return l
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			l.Bad, first = append(l.Bad, BadLine{syntax.StartLine, "has a quotation mark that does not close at its end, or one within: put the whole identifier into quotation marks, and double each that belongs to it"}), false
			continue
		}
		number, _ := in.FieldPos(0)
		if len(record) == 1 && strings.TrimSpace(record[0]) == "" {
			continue
		}
		was := first
		first = false
		id, reason := idOf(record)
		switch {
		case reason != "":
			l.Bad = append(l.Bad, BadLine{number, reason})
		case was && slices.Contains(headers, strings.ToLower(string(id))):
			l.Header = string(id)
		case seen[id]:
			l.Again++
		default:
			seen[id] = true
			l.IDs = append(l.IDs, string(id))
		}
	}
}

// idOf is the identifier of a line, or why there is none.
func idOf(record []string) (kind.Subject, string) {
	if len(record) > 1 {
		return "", fmt.Sprintf("has %d columns: leave the one with the identifiers, and put one with a comma into quotation marks", len(record))
	}
	if strings.Contains(record[0], "\n") {
		return "", "opens a quotation mark that does not close at its end"
	}
	id, err := kind.ParseSubject(record[0])
	return id, kind.Sentence(err)
}
