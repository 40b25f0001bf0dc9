package api_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lethe/shared/account"
	"lethe/shared/api"
	"lethe/shared/events"
	"lethe/shared/kind"
	"lethe/shared/local"
	"lethe/shared/table"
)

// Events of about 600 bytes, of random users out of 200,000, in batches of 2000
// over HTTP into SQLite on a disk: what is counted is durable.
func BenchmarkIngestion(b *testing.B) {
	for _, clients := range []int{1, 4} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) { benchmarkIngestion(b, clients) })
	}
}

func benchmarkIngestion(b *testing.B, clients int) {
	db, err := local.OpenDB(filepath.Join(b.TempDir(), "lethe.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	accounts := account.New(table.NewMemory(time.Now), time.Now)
	credentials, err := accounts.Found(b.Context(), account.Founding{OwnerEmail: "pat@example.com"})
	if err != nil {
		b.Fatal(err)
	}
	store := events.New(db.Table("subjects"), kind.Keyring{{Version: 1, Secret: []byte("a key for tests")}}, time.Now)
	server := httptest.NewServer(api.NewIngestion(accounts, store, nil, time.Now, slog.New(slog.DiscardHandler)))
	defer server.Close()

	const batch = 2000
	var made atomic.Int64
	b.SetParallelism(clients) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		r := rand.New(rand.NewPCG(1, uint64(made.Add(1))))
		var body bytes.Buffer
		for pb.Next() {
			writeBatch(&body, r, batch, int(made.Add(batch)))
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/import?strict=1", &body)
			if err != nil {
				b.Error(err)
				return
			}
			req.SetBasicAuth(credentials.APISecret, "")
			resp, err := server.Client().Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			answer, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("got %d %s", resp.StatusCode, answer)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
}

func writeBatch(body *bytes.Buffer, r *rand.Rand, n, from int) {
	body.Reset()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	body.WriteByte('[')
	for i := range n {
		if i > 0 {
			body.WriteByte(',')
		}
		user := r.IntN(200_000)
		fmt.Fprintf(body, `{"event":"Page viewed","properties":{"time":%d,"distinct_id":"user-%06d","$insert_id":"%016x",`+
			`"$browser":"Chrome","$browser_version":156,"$os":"Linux","$screen_height":1080,"$screen_width":1920,`+
			`"$current_url":"https://shop.example/articles/%d?from=search","$initial_referrer":"https://search.example/",`+
			`"$city":"Köln","mp_country_code":"DE","$device_id":"%08x-d3bf-47aa-a8ee-260f1b1033ab","mp_lib":"web","$lib_version":"2.83.0",`+
			`"article":"a-%06d","price":%d.%02d,"in_stock":true,"tags":["new","sale"],"plan":"pro"}}`,
			begin+r.Int64N(100*86_400_000), user, from+i, r.IntN(1000), r.Uint32(), r.IntN(1e6), r.IntN(100), r.IntN(100))
	}
	body.WriteByte(']')
}
