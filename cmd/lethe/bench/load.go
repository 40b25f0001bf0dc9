package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const batch = 2000

// words make values of events that compress as text does.
var words = [...]string{"account", "blue", "cart", "delivery", "express", "filter", "green", "home", "invoice", "jacket",
	"kitchen", "large", "mobile", "newsletter", "order", "paper", "quality", "return", "shipping", "table", "upgrade", "voucher"}

// A load is what the store is filled with.
type load struct {
	events, users, clients int
	sent                   int
}

func (load) user(n int) string { return "bench-" + strconv.Itoa(n) }

// fill sends events of random people until size have been sent, and prints how
// fast it went over all, and over the last tenth.
func (l *load) fill(ctx context.Context, s *server, size int) error {
	from, last := l.sent, size-max(size/10, batch)
	before, began := s.usage(), time.Now()
	tenth := began
	for l.sent < size {
		until := size
		if l.sent < last {
			until = last
		}
		if l.sent == last {
			tenth = time.Now()
		}
		if err := l.send(ctx, s, until); err != nil {
			return err
		}
	}
	s.report(fmt.Sprintf("ingestion from %d to %d events", from, size), time.Since(began), before)
	fmt.Printf("%-56s %8.0f events/s; %.0f over the last %d; %d MB on disk\n", "", float64(size-from)/time.Since(began).Seconds(),
		float64(size-max(last, from))/time.Since(tenth).Seconds(), size-max(last, from), s.disk()>>20)
	return nil
}

// send sends batches until the count of events sent is until.
func (l *load) send(ctx context.Context, s *server, until int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type part struct{ first, n int }
	parts := make(chan part)
	var workers sync.WaitGroup
	for range l.clients {
		workers.Go(func() {
			for p := range parts {
				if err := s.send(ctx, l.batch(p.first, p.n)); err != nil {
					cancel(err)
				}
			}
		})
	}
	for ; l.sent < until && ctx.Err() == nil; l.sent += min(batch, until-l.sent) {
		parts <- part{l.sent, min(batch, until-l.sent)}
	}
	close(parts)
	workers.Wait()
	return context.Cause(ctx)
}

// batch makes n events of about 500 bytes of values each, one after the other in
// time, of random people.
func (l *load) batch(first, n int) []byte {
	r := rand.New(rand.NewPCG(uint64(first), 1))
	start := time.Now().AddDate(-1, 0, 0).UnixMilli()
	step := int64(365*24*time.Hour/time.Millisecond) / int64(l.events+1)
	b := make([]byte, 0, n*900)
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		number := first + i
		b = fmt.Appendf(b, `{"event":"%s","properties":{"distinct_id":"%s","time":%d,"$insert_id":"bench-%d","mp_lib":"web","$browser":"Chrome",`,
			words[number%5], l.user(r.IntN(l.users)), start+int64(number)*step, number)
		b = append(b, `"$current_url":"https://shop.example/`...)
		b = text(b, r, 60, '/')
		b = append(b, `","note":"`...)
		b = text(b, r, 400, ' ')
		b = append(b, `"}}`...)
	}
	return append(b, ']')
}

func text(b []byte, r *rand.Rand, size int, between byte) []byte {
	for end := len(b) + size; len(b) < end; b = append(b, between) {
		b = append(b, words[r.IntN(len(words))]...)
	}
	return b
}

// send imports one batch.
func (s *server) send(ctx context.Context, events []byte) error {
	var answer struct {
		N int `json:"num_records_imported"`
	}
	_, err := s.call(ctx, http.MethodPost, "/import?strict=1", bytes.NewReader(events), func(r *http.Request) {
		r.SetBasicAuth(s.Secret, "")
		r.Header.Set("Content-Type", "application/json")
	}, &answer)
	return err
}
