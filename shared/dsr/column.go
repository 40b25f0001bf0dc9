package dsr

import (
	"bufio"
	"bytes"
	"encoding/csv"
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
// without a header, quotation marks and blank lines. No identifier goes over the end of a
// line, so each is read by itself, and one that is wrong hides no other.
func ParseColumn(column string) Column {
	var l Column
	seen := map[kind.Subject]bool{}
	buffer := bufio.NewReader(nil)
	first, number := true, 0
	for line := range strings.Lines(column) {
		number++
		buffer.Reset(strings.NewReader(line))
		id, reason := idOf(line, buffer)
		if id == "" && reason == "" {
			continue
		}
		was := first
		first = false
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
	return l
}

// idOf is the identifier of a line, or why there is none; of a blank line neither. What
// parts the columns in files of some programs may also be part of an identifier, and is
// taken for that only within quotation marks.
func idOf(line string, in io.Reader) (kind.Subject, string) {
	const leave = "leave the one with the identifiers, and put one with a %s into quotation marks"
	record, err := csv.NewReader(in).Read()
	switch quoted := strings.Contains(line, `"`); {
	case err == io.EOF || len(record) == 1 && strings.TrimSpace(record[0]) == "":
		return "", ""
	case err != nil:
		return "", "has a quotation mark that does not close at its end, or one within: put the whole identifier into quotation marks, and double each that belongs to it"
	case len(record) > 1:
		return "", fmt.Sprintf("has %d columns: "+leave, len(record), "comma")
	case !quoted && strings.Contains(strings.TrimSpace(line), "\t"):
		return "", fmt.Sprintf("has a tab, as between two columns: "+leave, "tab")
	case !quoted && strings.Contains(line, ";"):
		return "", fmt.Sprintf("has a semicolon, as between two columns: "+leave, "semicolon")
	}
	id, err := kind.ParseSubject(record[0])
	return id, kind.Sentence(err)
}
