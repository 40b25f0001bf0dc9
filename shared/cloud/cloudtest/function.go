// Package cloudtest has what tests need in place of AWS: Start runs a function
// behind a Lambda Runtime API; DynamoDB, S3 and Moto start engines that play the
// AWS services.
package cloudtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Function is the process of a Lambda function, which asks a Runtime API of its
// own for events. It is safe for concurrent use, and works on one event at a
// time, as on AWS.
type Function struct {
	// Ready is how long the process took from its start to the first event it asked
	// for; valid once Start has returned.
	Ready time.Duration

	process *os.Process
	events  chan event
	log     *buffer
	gone    chan struct{} // closed when the process has ended
	busy    sync.Mutex
	calls   int // guarded by busy, as ms
	ms      int
}

type event struct {
	payload []byte
	answer  chan Answer
}

// An Answer is what a function made of an event.
type Answer struct {
	Body   []byte
	Failed bool // Body is an error: {"errorType":…,"errorMessage":…}
}

// life is the longest that a test may keep an event.
const life = time.Minute

// maxPayload is the most bytes of an event, and of an answer:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxPayload = 6 << 20

// Start runs cmd as a function until the test ends, and returns when it is ready.
// A function that ends first fails the test with what it wrote.
func Start(t testing.TB, cmd *exec.Cmd) *Function {
	t.Helper()
	f := &Function{events: make(chan event), log: &buffer{}, gone: make(chan struct{})}
	ready := make(chan time.Time, 1)
	api := httptest.NewServer(f.runtimeAPI(func() {
		select {
		case ready <- time.Now():
		default:
		}
	}))
	t.Cleanup(api.Close)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"))
	cmd.Stdout, cmd.Stderr = f.log, f.log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a function: %v", err)
	}
	go func() {
		_ = cmd.Wait() // it is killed, or it has ended with its reason in the log
		close(f.gone)
	}()
	f.process = cmd.Process
	t.Cleanup(f.Stop)
	select {
	case at := <-ready:
		f.Ready = at.Sub(began)
	case <-f.gone:
		t.Fatalf("the function ended before it was ready:\n%s", f.log)
	case <-time.After(life):
		t.Fatalf("the function did not get ready:\n%s", f.log)
	}
	return f
}

// Stop ends the process, which the end of the test does too.
func (f *Function) Stop() {
	_ = f.process.Kill() // it may have ended by itself
	<-f.gone
}

// Log is what the process has written so far.
func (f *Function) Log() string { return f.log.String() }

// Billed tells how many events it has worked on, and for how many milliseconds, each
// rounded up as Lambda does.
func (f *Function) Billed() (calls, ms int) {
	f.busy.Lock()
	defer f.busy.Unlock()
	return f.calls, f.ms
}

// Invoke hands an event to the function and waits for its answer.
func (f *Function) Invoke(ctx context.Context, payload []byte) (Answer, error) {
	if len(payload) > maxPayload {
		return Answer{}, errors.New("the event is larger than 6 MB")
	}
	f.busy.Lock()
	defer f.busy.Unlock()
	e := event{payload, make(chan Answer, 1)}
	select {
	case f.events <- e:
	case <-f.gone:
		return Answer{}, errors.New("the function has ended:\n" + f.Log())
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	began := time.Now()
	defer func() {
		f.calls++
		f.ms += int((time.Since(began) + time.Millisecond - 1) / time.Millisecond)
	}()
	select {
	case a := <-e.answer:
		return a, nil
	case <-f.gone:
		return Answer{}, errors.New("the function ended at its work:\n" + f.Log())
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// runtimeAPI serves one process, as
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html says.
func (f *Function) runtimeAPI(asked func()) http.Handler {
	var mu sync.Mutex
	waiting := map[string]chan Answer{}
	count := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		asked()
		select {
		case e := <-f.events:
			mu.Lock()
			count++
			id := "event-" + strconv.Itoa(count)
			waiting[id] = e.answer
			mu.Unlock()
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(life).UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:test")
			_, _ = w.Write(e.payload)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{outcome}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		answer := waiting[r.PathValue("id")]
		delete(waiting, r.PathValue("id"))
		mu.Unlock()
		if answer == nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if len(body) > maxPayload {
			answer <- Answer{Body: []byte(`{"errorType":"Function.ResponseSizeTooLarge"}`), Failed: true}
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		answer <- Answer{Body: body, Failed: r.PathValue("outcome") == "error"}
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// A buffer is a bytes.Buffer that a process may write while a test reads.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}
