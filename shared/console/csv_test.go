package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lethe/shared/console"
	"lethe/shared/kind"
)

func TestFilesOfIdentifiers(t *testing.T) {
	long := strings.Repeat("é", 256)
	for name, c := range map[string]struct {
		file   string
		ids    string // between bars
		header string
		again  int
		bad    string // the numbers of bad lines and what their reasons say
		wrong  string
	}{
		"one":                   {file: "ada", ids: "ada"},
		"ends of lines":         {file: "ada\r\nbob\ncy\rdi\r\n", ids: "ada|bob|cy|di"},
		"a byte order mark":     {file: "\ufeffada\nbob", ids: "ada|bob"},
		"a header":              {file: "Distinct_ID\nada", ids: "ada", header: "Distinct_ID"},
		"a header and a mark":   {file: "\ufeff\"$distinct_id\"\r\nada\r\n", ids: "ada", header: "$distinct_id"},
		"a header further down": {file: "ada\nid", ids: "ada|id"},
		"a header below blanks": {file: "\n \nalias\nada", ids: "ada", header: "alias"},
		"blank lines":           {file: "\n\nada\n  \n\"\"\n\" \"\n\r\nbob\n\n", ids: "ada|bob"},
		"quotes":                {file: "\"ada\"\n\"o\"\"neil\"\n\"a, b\"\n", ids: `ada|o"neil|a, b`},
		"spaces around":         {file: "  ada \n\"bob \"", ids: "ada|bob"},
		"again":                 {file: "ada\nbob\nada\n ada", ids: "ada|bob", again: 2},
		"case":                  {file: "ada\nAda", ids: "ada|Ada"},
		"markup":                {file: "<script>alert(1)</script>", ids: "<script>alert(1)</script>"},
		"a formula":             {file: "=1+1\n'x", ids: "=1+1|'x"},
		"as in an identifier":   {file: "\"a;b\"\n\"c\td\"\n\te\t", ids: "a;b|c\td|e"},

		"empty":              {file: "", wrong: "no identifier"},
		"only a header":      {file: "distinct_id\n", header: "distinct_id", wrong: "no identifier"},
		"a placeholder":      {file: "ada\n\nNULL\n", ids: "ada", bad: "3 placeholder", wrong: "One line"},
		"too long":           {file: long + "\nada", ids: "ada", bad: "1 longer than 255", wrong: "One line"},
		"columns":            {file: "distinct_id,name\nada,Ada\nbob", ids: "bob", bad: "1 2 columns|2 2 columns", wrong: "2 lines"},
		"a quote within":     {file: "ada\nb\"ob\ncy", ids: "ada|cy", bad: "2 quotation mark", wrong: "One line"},
		"after a quote":      {file: "\"ada\"x\ncy", ids: "cy", bad: "1 quotation mark", wrong: "One line"},
		"tabs":               {file: "id\tname\nada\tAda\nbob", ids: "bob", bad: "1 tab|2 tab", wrong: "2 lines"},
		"semicolons":         {file: "id;name\nada;Ada\nbob", ids: "bob", bad: "1 semicolon|2 semicolon", wrong: "2 lines"},
		"a quote over lines": {file: "ada\n\"bob\ncy\"\ndi", ids: "ada|di", bad: "2 quotation mark|3 quotation mark", wrong: "2 lines"},
		"a quote never ends": {file: "ada\n\"bob\ncy\nnull\ndi", ids: "ada|cy|di", bad: "2 quotation mark|4 placeholder", wrong: "2 lines"},
		"every bad line":     {file: "null\nada\n0\n\n-1,2\n", ids: "ada", bad: "1 placeholder|3 placeholder|5 2 columns", wrong: "3 lines"},
	} {
		l, err := console.ParseList([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(l.IDs, "|"); got != c.ids || l.Header != c.header || l.Again != c.again {
			t.Errorf("%s: got %q, header %q, %d again", name, got, l.Header, l.Again)
		}
		if (l.Wrong == "") != (c.wrong == "") || !strings.Contains(l.Wrong, c.wrong) {
			t.Errorf("%s: %q, want %q", name, l.Wrong, c.wrong)
		}
		var bad []string
		if c.bad != "" {
			bad = strings.Split(c.bad, "|")
		}
		fits := func(got, want string) bool {
			number, says, _ := strings.Cut(want, " ")
			return strings.HasPrefix(got, number+" ") && strings.Contains(got, says)
		}
		if !slices.EqualFunc(l.Bad, bad, fits) {
			t.Errorf("%s: the bad lines are %q, want %q", name, l.Bad, bad)
		}
	}
}

func TestFilesThatAreNoText(t *testing.T) {
	for name, c := range map[string]struct{ file, says string }{
		"UTF-16":        {"\xff\xfea\x00d\x00a\x00", "save it as “CSV UTF-8”"},
		"a spreadsheet": {"PK\x03\x04 and so on", "save it as “CSV UTF-8”"},
		"Latin-1":       {"ada\nzo\xeb\n", "Line 2 is not UTF-8"},
	} {
		_, err := console.ParseList([]byte(c.file))
		if kind.Of(err) != kind.Invalid || !strings.Contains(kind.Sentence(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTwoThousandIdentifiers(t *testing.T) {
	var file strings.Builder
	for n := range 2000 {
		fmt.Fprintf(&file, "user-%d\n", n)
	}
	if l, err := console.ParseList([]byte(file.String() + "user-7\n")); err != nil || l.Wrong != "" || len(l.IDs) != 2000 || l.Again != 1 {
		t.Errorf("2000: %d, %q, %v", len(l.IDs), l.Wrong, err)
	}
	if l, _ := console.ParseList([]byte(file.String() + "one more")); !strings.Contains(l.Wrong, "2001 identifiers, and a request takes 2000") {
		t.Errorf("2001: %q", l.Wrong)
	}
}

// Whatever comes in a file, no identifier is made of it that a request would refuse, and
// what came in a file means the same when it comes back from the page.
func FuzzFilesOfIdentifiers(f *testing.F) {
	for _, file := range []string{"ada\r\nbob", "\ufeffid\n\"a\"\"b\"\n\n", "\"a\nb\"\nc,d\n", "\n\nnull", "a\rb\r\n"} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		l, err := console.ParseList(file)
		if err != nil {
			return
		}
		for _, id := range l.IDs {
			if s, err := kind.ParseSubject(id); err != nil || string(s) != id || strings.ContainsAny(id, "\r\n\x00") {
				t.Errorf("%q is made of %q", id, file)
			}
		}
		// As a browser sends what stands in a textarea.
		text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimLeft(string(file), "\ufeff"))
		back, err := console.ParseList([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
		if err != nil || !slices.Equal(back.IDs, l.IDs) || !slices.Equal(back.Bad, l.Bad) {
			t.Errorf("%q came back as %q", l.IDs, back.IDs)
		}
	})
}
