package local

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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

// What is done once a day is done at one time of the day, however long it takes and
// whenever the program starts, and besides at each start.
func TestDailyJobsDoNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Time begins at midnight here.
		var ran []string
		for _, asleep := range []time.Duration{90 * time.Minute, 0, 3 * 24 * time.Hour} {
			time.Sleep(asleep)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Hour)
			p := &Platform{Clock: time.Now, config: Config{Log: slog.New(slog.DiscardHandler)}}
			p.keep(ctx, job{name: "remind", run: func(context.Context) error {
				ran = append(ran, time.Now().UTC().Format("2 15:04"))
				time.Sleep(2 * time.Hour)
				return errors.New("it is tried again the next day")
			}})
			cancel()
		}
		// Each time it is stopped after 50 hours. On the 8th the hour comes while it runs.
		want := []string{"1 01:30", "1 06:00", "2 06:00", "3 03:30", "3 06:00", "4 06:00", "8 05:30", "8 07:30", "9 06:00", "10 06:00"}
		if !slices.Equal(ran, want) {
			t.Errorf("it ran at %q, want %q", ran, want)
		}
	})
}
