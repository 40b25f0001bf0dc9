package archive_test

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"

	"lethe/shared/archive"
	"lethe/shared/blob"
)

// size is the number of bytes of JSON in people's records.
func size(all []person) int64 {
	n := 0
	for _, p := range all {
		for _, e := range p.events {
			n += len(e.Properties)
		}
		for _, record := range p.profiles {
			n += len(record)
		}
	}
	return int64(n)
}

// BenchmarkExport makes the export file of 2000 people with 100,000 rows, from
// records in memory to the finished file. Bytes are those of the rows.
func BenchmarkExport(b *testing.B) {
	all := people(2000, 50)
	b.SetBytes(size(all))
	b.ReportAllocs()
	defer cpu(b)()
	var info archive.Info
	for b.Loop() {
		_, info = export(b, all, 100, archive.SegmentSize, false)
	}
	b.ReportMetric(float64(info.Files), "files")
	b.ReportMetric(float64(size(all))/float64(info.Bytes), "ratio")
}

// BenchmarkCollect is the part of BenchmarkExport that Collect does, for one
// person with everything.
func BenchmarkCollect(b *testing.B) {
	for _, shape := range []struct{ people, rows int }{{2000, 50}, {1, 100000}} {
		b.Run(fmt.Sprintf("people=%d", shape.people), func(b *testing.B) {
			all := people(shape.people, shape.rows)
			b.SetBytes(size(all))
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				bucket := blob.NewMemory(time.Now)
				collect(b, bucket, 0, archive.SegmentSize, false, all)
			}
		})
	}
}

// BenchmarkDeflate is what BenchmarkExport is measured against: the rows of every
// person deflated, and nothing else.
func BenchmarkDeflate(b *testing.B) {
	all := people(2000, 50)
	for level := 1; level <= 9; level++ {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			b.SetBytes(size(all))
			var out counted
			w, err := flate.NewWriter(&out, level)
			if err != nil {
				b.Fatal(err)
			}
			defer cpu(b)()
			for b.Loop() {
				out = 0
				for _, p := range all {
					w.Reset(&out)
					for _, e := range p.events {
						_, _ = w.Write(e.Properties)
					}
					_ = w.Close()
				}
			}
			b.ReportMetric(float64(size(all))/float64(out), "ratio")
		})
	}
}

// cpu reports the processor time of the iterations that follow; call what it
// returns after them.
func cpu(b *testing.B) func() {
	start := used(b)
	return func() {
		b.ReportMetric(float64((used(b)-start).Milliseconds())/float64(b.N), "cpu-ms/op")
	}
}

func used(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

type counted int64

func (c *counted) Write(p []byte) (int, error) {
	*c += counted(len(p))
	return io.Discard.Write(p)
}
