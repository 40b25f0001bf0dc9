package events_test

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/local"
)

// A batch of 2000 people of 50 events each, in SQLite on a disk: counted, handed
// out, erased.
func BenchmarkSource(b *testing.B) {
	const people, each = 2000, 50
	db, err := local.OpenDB(filepath.Join(b.TempDir(), "lethe.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s := events.New(db.Table("subjects"), keys, time.Now)
	scope := dsr.Scope{Project: project, Limit: time.Now().Add(time.Hour)}
	for i := range people {
		scope.Clusters = append(scope.Clusters, dsr.Cluster{Folder: i + 1, IDs: []kind.Subject{kind.Subject(fmt.Sprintf("user-%06d", i))}})
	}
	fill := func(b *testing.B) {
		for n := range each {
			var batch []events.Event
			for _, c := range scope.Clusters {
				e, err := events.ParseEvent(fmt.Appendf(nil, `{"event":"Page viewed","properties":{"time":%d,"distinct_id":%q,"$insert_id":"i%d",`+
					`"$browser":"Chrome","$browser_version":156,"$os":"Linux","$current_url":"https://shop.example/articles/%d?from=search",`+
					`"$screen_height":1080,"$screen_width":1920,"$device_id":"7129a4b0-d3bf-47aa-a8ee-260f1b1033ab","mp_lib":"web","plan":"pro"}}`,
					1777892400+n, string(c.IDs[0]), n, n), events.Rules{Now: time.Now()})
				if err != nil {
					b.Fatal(err)
				}
				batch = append(batch, e)
			}
			if _, err := s.Track(b.Context(), project, batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(b)
	b.Run("Find", func(b *testing.B) {
		for b.Loop() {
			steps(b, func(cursor string) (dsr.Progress, error) { return s.Find(b.Context(), scope, cursor) })
		}
		b.ReportMetric(people*each*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("Collect", func(b *testing.B) {
		for b.Loop() {
			records, err := s.Collect(b.Context(), scope, "")
			if err != nil {
				b.Fatal(err)
			}
			rows := 0
			for ; ; rows++ {
				if _, err := records.Next(b.Context()); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
			if rows != people*each {
				b.Fatalf("%d rows", rows)
			}
			_ = records.Close()
		}
		b.ReportMetric(people*each*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("Erase", func(b *testing.B) {
		erasure := scope
		erasure.Erasure = true
		for n := 0; b.Loop(); n++ {
			if n > 0 {
				b.StopTimer()
				fill(b)
				b.StartTimer()
			}
			steps(b, func(cursor string) (dsr.Progress, error) { return s.Erase(b.Context(), erasure, cursor) })
		}
		b.ReportMetric(people*each*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

func steps(b *testing.B, step func(cursor string) (dsr.Progress, error)) {
	for cursor := ""; ; {
		p, err := step(cursor)
		if err != nil {
			b.Fatal(err)
		}
		if p.Done {
			return
		}
		cursor = p.Cursor
	}
}
