package events

import (
	"os"
	"strings"
	"testing"
)

// Whoever reads the documentation knows what a deletion of Sources removes.
func TestMeansAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		names := map[string]bool{}
		for _, name := range strings.Split(cells[2], ",") {
			names[strings.Trim(name, " `")] = true
		}
		rows[strings.TrimSpace(cells[1])] = names
	}
	count := map[string]int{}
	for name, sort := range means {
		count[sort]++
		if !rows[sort][name] {
			t.Errorf("docs/format.md does not list %s as %s", name, sort)
		}
	}
	for sort, n := range count {
		if len(rows[sort]) != n {
			t.Errorf("docs/format.md lists %d names as %s, want %d", len(rows[sort]), sort, n)
		}
	}
	for _, prefix := range campaignPrefixes {
		if !strings.Contains(string(text), "`"+prefix+"`") {
			t.Errorf("docs/format.md does not tell of %s", prefix)
		}
	}
}

func TestMeansOf(t *testing.T) {
	for name, want := range map[string]string{
		"mp_lib": "library", "$os": "platform", "$app_version_string": "app version", "$initial_referrer": "referrer",
		"utm_campaign": "campaign", "utm_source [first touch]": "campaign", "initial_utm_term": "campaign", "$current_url": "page",
		"time": "", "distinct_id": "", "$insert_id": "", "$email": "", "$city": "", "my_utm_source": "", "MP_LIB": "",
	} {
		if got := meansOf([]byte(name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
