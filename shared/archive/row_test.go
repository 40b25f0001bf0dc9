package archive

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lethe/shared/kind"
)

func TestCellsThatASpreadsheetWouldRun(t *testing.T) {
	tests := []struct {
		value string
		led   bool
	}{
		{"", false},
		{"plain", false},
		{"a=b", false},
		{"1-2", false},
		{`say "=1"`, false},
		{"it's", false},
		{"'quoted'", false},
		{" padded", false},
		{"{\"a\":1}", false},
		{"=1+1", true},
		{"=HYPERLINK(\"http://x\")", true},
		{"+1", true},
		{"-1", true},
		{"-b", true},
		{"@SUM(1)", true},
		{"\t=1", true},
		{"\tplain", true},
		{"\rplain", true},
		{"\nplain", true},
		{" =1", true},
		{`"=1"`, true},
		{`""=1`, true},
		{"'=1", true},
		{"''=1", true},
		{"\"\n=1", true},
		{"\u00a0=1", true},
		{"\ufeff=1", true},
		{"＝1", true},
		{"＠x", true},
		{"'", false},
		{"\"", false},
	}
	for _, test := range tests {
		row := cells(t, string(appendCell(nil, test.value)))
		want := test.value
		if test.led {
			want = "'" + want
		}
		if row != want {
			t.Errorf("%q: got %q, want %q", test.value, row, want)
		}
	}
}

// cells reads a row of one cell. Go's reader makes \r\n in a cell \n.
func cells(t testing.TB, text string) string {
	t.Helper()
	row, err := csv.NewReader(strings.NewReader(text + ",\r\n")).Read()
	if err != nil || len(row) != 2 || row[1] != "" {
		t.Fatalf("%q is no cell: %q, %v", text, row, err)
	}
	return row[0]
}

func FuzzCell(f *testing.F) {
	for _, seed := range []string{"", "=1", "'=1", "a,b", "a\"b\n", "\t", "\r\n", "é", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := cells(t, string(appendCell(nil, value)))
		if rest, led := strings.CutPrefix(got, "'"); led && risky(rest) {
			got = rest
		} else if risky(got) {
			t.Fatalf("%q comes out as %q, which a spreadsheet may run", value, got)
		}
		if want := strings.ReplaceAll(value, "\r\n", "\n"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "a", "\"\\/", "\x00\x1f\x7f", "é\u2028", "\xff\xc3", "a\xffb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		b := appendString([]byte("x"), value)[1:]
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q gives %s: %v", value, b, err)
		}
		if want := strings.ToValidUTF8(value, "\ufffd"); utf8.ValidString(value) && got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if !utf8.Valid(b) || strings.ContainsAny(string(b), "\n\r") {
			t.Fatalf("%q gives %q", value, b)
		}
	})
}

// A file of one line each is what programs rely on.
func TestEveryEventIsOneLine(t *testing.T) {
	for _, properties := range []string{"", "{}", "{\n}", "{\"a\":\r\n\"b\\n\"}"} {
		p, err := oneLine([]byte(properties))
		if err != nil {
			t.Fatal(err)
		}
		line := appendLine(nil, Event{Time: time.Now(), Name: "a\nb", DistinctID: kind.Subject("x")}, p)
		if strings.Count(string(line), "\n") != 1 || !json.Valid(line) {
			t.Errorf("%q gives %q", properties, line)
		}
	}
}
