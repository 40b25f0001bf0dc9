package local

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
)

func TestFilesLiveTheirTimeAndNoLonger(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := blob.NewMemory(func() time.Time { return now })
	for _, key := range []string{"exports/a.zip", "segments/a/1", "certificates/a.json", "ledger/a.json"} {
		if err := b.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		after time.Duration
		want  []string
	}{
		{14 * day, []string{"certificates/a.json", "exports/a.zip", "ledger/a.json", "segments/a/1"}},
		{15 * day, []string{"certificates/a.json", "ledger/a.json"}},
		{1859 * day, []string{"certificates/a.json", "ledger/a.json"}},
		{1861 * day, []string{"ledger/a.json"}},
		{50 * 365 * day, []string{"ledger/a.json"}},
	} {
		if err := expireFiles(t.Context(), b, now.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		files, err := b.List(t.Context(), "", "", 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			got = append(got, f.Key)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("after %v: got %v, want %v", c.after, got, c.want)
		}
	}
}
