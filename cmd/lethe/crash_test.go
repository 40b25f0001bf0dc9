package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A power cut at any moment loses nothing that was answered with success: not an
// event, not a request, and requests finish once the program runs again.
func TestKillLosesNothingAnswered(t *testing.T) {
	const writers = 4
	data := filepath.Join(t.TempDir(), "data")
	var mu sync.Mutex
	answered := map[string][]string{} // insert ids of events that were answered with success, by distinct_id
	var tasks []string
	start := time.Now().Add(-24 * time.Hour)
	for round := range 4 {
		p := startDemo(t, data, "--cancel-window", "0")
		var running sync.WaitGroup
		enough := make(chan bool, 1)
		for w := range writers {
			running.Go(func() {
				id := fmt.Sprintf("crash-%d", w)
				for n := 0; ; n++ {
					var batch []sent
					var inserts []string
					for i := range 20 {
						insert := fmt.Sprintf("c-%d-%d-%d-%d", round, w, n, i)
						inserts = append(inserts, insert)
						batch = append(batch, sent{"Crash", map[string]any{"distinct_id": id, "$insert_id": insert, "time": start.UnixMilli() + int64(n)}})
					}
					a, err := p.tryImport(t, batch...)
					if err != nil || a.status != http.StatusOK {
						return // the power is off
					}
					mu.Lock()
					answered[id] = append(answered[id], inserts...)
					mu.Unlock()
					if n == 5+10*round {
						select {
						case enough <- true:
						default:
						}
					}
				}
			})
		}
		stopped := make(chan bool)
		go func() {
			running.Wait()
			close(stopped)
		}()
		select {
		case <-enough:
		case <-stopped:
			t.Fatalf("the server stopped taking events by itself\n%s", p.log)
		}
		tasks = append(tasks, p.submit(t, retrievals, "user-0001", fmt.Sprintf("crash-%d", round%writers)))
		if round > 0 {
			tasks = append(tasks, p.submit(t, deletions, fmt.Sprintf("user-%04d", 10+round)))
		}
		p.kill(t)
		<-stopped
	}
	p := startDemo(t, data, "--cancel-window", "0")
	for _, task := range tasks {
		p.closes(t, task)
	}
	for id, want := range answered {
		task := p.submit(t, retrievals, id)
		p.await(t, retrievals, task, "SUCCESS")
		got := map[any]bool{}
		for _, e := range unpack(t, p.download(t, task)).events {
			got[e.Properties["$insert_id"]] = true
		}
		lost := 0
		for _, insert := range want {
			if !got[insert] {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d of %d events that were answered with success are gone", lost, len(want))
		}
	}
	p.stop(t, syscall.SIGTERM)
}

// closes waits until a request of either kind has come to a good end.
func (p *process) closes(t *testing.T, task string) {
	t.Helper()
	calls := retrievals
	if _, results := p.gdpr(t, http.MethodGet, calls+task+"/", ""); results["status"] == "NOT_FOUND" {
		calls = deletions
	}
	p.await(t, calls, task, "SUCCESS")
}
