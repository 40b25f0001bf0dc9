package local

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/table"
)

// benchRows is how many rows are in the store before anything is measured;
// LETHE_BENCH_ROWS=3000000 is what the numbers in docs and comments are of.
func benchRows(b *testing.B) int {
	text := os.Getenv("LETHE_BENCH_ROWS")
	if text == "" {
		return 200_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

const (
	benchUsers = 200_000
	benchBatch = 2000
	benchValue = 500
)

func benchUser(n int) string { return fmt.Sprintf("1#id#user-%08x", uint32(n)*2654435761) }

// benchEvents returns a batch of events of random users.
func benchEvents(value []byte, seq *int) []table.Op {
	ops := make([]table.Op, benchBatch)
	for n := range ops {
		*seq++
		ops[n] = table.Put(table.Item{
			Key: table.Key{
				PK: benchUser(rand.IntN(benchUsers)),
				SK: fmt.Sprintf("event#%013d#%016x%016x", 1_700_000_000_000+*seq*100, rand.Uint64(), rand.Uint64()),
			},
			Data: value,
		}, table.Cond{})
	}
	return ops
}

// BenchmarkSQLite fills one store and then measures, on it: batches written, each
// synced; the rows of 2000 users read; those of others erased and scrubbed; and
// small transactions, one by one and 64 at a time.
func BenchmarkSQLite(b *testing.B) {
	db := openTestDB(b, filepath.Join(b.TempDir(), "lethe.db"), time.Now)
	tbl, ctx := db.Table("subjects"), b.Context()
	value := make([]byte, benchValue)
	for n := range value {
		value[n] = byte('a' + n%26)
	}
	seq, rows := 0, benchRows(b)
	for seq < rows {
		if err := tbl.WriteMany(ctx, benchEvents(value, &seq)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("batches of 2000", func(b *testing.B) {
		for b.Loop() {
			if err := tbl.WriteMany(ctx, benchEvents(value, &seq)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("rows of 2000 users", func(b *testing.B) {
		read := 0
		for b.Loop() {
			for range 2000 {
				read += len(benchRowsOf(b, tbl, benchUser(rand.IntN(benchUsers))))
			}
		}
		b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("erase 2000 users", func(b *testing.B) {
		erased := 0
		for b.Loop() {
			var ops []table.Op
			for range 2000 {
				for _, i := range benchRowsOf(b, tbl, benchUser(rand.IntN(benchUsers))) {
					ops = append(ops, table.Delete(i.Key, table.Cond{}))
				}
			}
			if err := tbl.WriteMany(ctx, ops); err != nil {
				b.Fatal(err)
			}
			if err := tbl.Scrub(ctx); err != nil {
				b.Fatal(err)
			}
			erased += len(ops)
		}
		b.ReportMetric(float64(erased)/b.Elapsed().Seconds(), "rows/s")
	})
	var n atomic.Int64
	transact := func() error {
		k := table.Key{PK: fmt.Sprint("control", n.Add(1)), SK: "s"}
		return tbl.Write(ctx,
			table.Put(table.Item{Key: k, Data: value}, table.IfAbsent()),
			table.AddUpTo(table.Key{PK: "count", SK: k.PK}, 1, 1<<40))
	}
	b.Run("transactions one by one", func(b *testing.B) {
		for b.Loop() {
			if err := transact(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	})
	b.Run("transactions 64 at a time", func(b *testing.B) {
		b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := transact(); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	})
}

func benchRowsOf(b *testing.B, tbl table.Table, pk string) []table.Item {
	b.Helper()
	var items []table.Item
	for q := (table.Query{PK: pk}); ; {
		page, err := tbl.Query(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		items = append(items, page.Items...)
		if q.After = page.Next; q.After == "" {
			return items
		}
	}
}
