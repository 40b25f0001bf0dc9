package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// people are the identifiers that a command is about: its arguments, or a column of a
// file or of standard input.
type people struct{ csv string }

func (p *people) register(c *cobra.Command) {
	c.Flags().StringVar(&p.csv, "csv", "", "`file` with one identifier on each line, as CSV with or without a header; - for standard input")
}

// mostTold is how many bad lines are told.
const mostTold = 20

// read returns the identifiers, each once. Nothing is done about any while one is bad.
func (p *people) read(c *cobra.Command, args []string) ([]string, error) {
	file := p.csv
	if len(args) == 1 && args[0] == "-" {
		file, args = "-", nil
	}
	if file != "" && len(args) > 0 {
		return nil, failure{statusUsage, "Give identifiers as arguments or in a file, not both."}
	}
	if file == "" {
		return fromArguments(args)
	}
	in := c.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, failure{statusUsage, "The file with the identifiers cannot be read."}
		}
		defer f.Close()
		in = f
	}
	return fromColumn(in, c.ErrOrStderr())
}

func fromArguments(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, failure{statusUsage, "Name at least one identifier, or a file of them with --csv."}
	}
	var ids []string
	seen := map[kind.Subject]bool{}
	for i, arg := range args {
		id, err := kind.ParseSubject(arg)
		if err != nil {
			return nil, failure{statusUsage, fmt.Sprintf("Argument %d cannot be used: %s", i+1, kind.Sentence(err))}
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, string(id))
		}
	}
	return ids, nil
}

func fromColumn(in io.Reader, diag io.Writer) ([]string, error) {
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, failure{statusUsage, "The identifiers cannot be read."}
	}
	text, err := dsr.ColumnText(b)
	if err != nil {
		return nil, failure{statusUsage, kind.Sentence(err)}
	}
	column := dsr.ParseColumn(text)
	if len(column.Bad) > 0 {
		var told strings.Builder
		fmt.Fprintf(&told, "%s cannot be used, and nothing was done:", count(len(column.Bad), "line"))
		for i, bad := range column.Bad {
			if i == mostTold {
				fmt.Fprintf(&told, "\n  … and %d more", len(column.Bad)-i)
				break
			}
			fmt.Fprintf(&told, "\n  line %d: %s", bad.Number, bad.Reason)
		}
		return nil, failure{statusUsage, told.String()}
	}
	if column.Header != "" {
		fmt.Fprintln(diag, "The first line with something in it is taken for the header of the column, and for nobody.")
	}
	if len(column.IDs) == 0 {
		return nil, failure{statusUsage, "There is no identifier in it."}
	}
	return column.IDs, nil
}

// count is a number of things in words.
func count(n int, thing string) string {
	switch {
	case n == 1:
	case thing == "person":
		thing = "people"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
