package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lethe/shared/local"
)

// TestClientScripts runs the command lines in testdata/client against a server.
func TestClientScripts(t *testing.T) {
	p := startDemo(t, filepath.Join(t.TempDir(), "data"), "--cancel-window", "3s", "--log", "error")
	server, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/client",
		Setup: func(e *testscript.Env) error {
			f := &faulty{to: httputil.NewSingleHostReverseProxy(server), server: server, muted: make(chan bool, 1)}
			f.to.ModifyResponse = f.rewrite
			way := httptest.NewServer(f)
			e.Defer(way.Close)
			f.url, e.Values[between] = way.URL, f
			for name, value := range map[string]string{
				"PATH": os.Getenv("PATH"), "HOME": e.WorkDir, "XDG_CONFIG_HOME": filepath.Join(e.WorkDir, "config"),
				"LETHE_URL": way.URL, "LETHE_PROJECT_TOKEN": p.Token, "LETHE_TOKEN": p.GDPR,
			} {
				e.Setenv(name, value)
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "token.txt"), []byte(p.GDPR+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":       exits,
			"interrupted": interrupted,
			// through FAULT N says what goes wrong between the commands and the server, at
			// LETHE_URL, from now on:
			//   nothing
			//   cut     the first N downloads break off after 4 KB
			//   dry     the first N downloads break off before anything came
			//   storm   the first N calls are answered 429
			//   deaf    the first N calls reach the server, and their answers are lost
			//   expire  every call after the first N is answered 401
			//   gone    every call after the first N is answered by nobody
			//   mute    every call after the first N waits for as long as its sender does
			"through": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[1])
				ts.Check(err)
				f := ts.Value(between).(*faulty)
				f.mu.Lock()
				defer f.mu.Unlock()
				f.fault, f.n, f.calls = args[0], n, 0
				select {
				case <-f.muted:
				default:
				}
			},
			// people FILE N writes a column of N identifiers.
			"people": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[1])
				ts.Check(err)
				var b bytes.Buffer
				fmt.Fprintln(&b, "distinct_id")
				for i := range n {
					fmt.Fprintf(&b, "%s-%d\n", args[0], i)
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
			},
			// tasks N FILE… counts the different requests that a journal or output names.
			"tasks": func(ts *testscript.TestScript, _ bool, args []string) {
				found := map[string]bool{}
				for _, name := range args[1:] {
					for _, part := range strings.Split(ts.ReadFile(name), `"task_id":`)[1:] {
						found[strings.SplitN(part, `"`, 3)[1]] = true
					}
				}
				if strconv.Itoa(len(found)) != args[0] {
					ts.Fatalf("there are %d requests, want %s", len(found), args[0])
				}
			},
		},
	})
}

// exits STATUS PROGRAM [ARGUMENT…] runs a program that must end with that status. Its
// output is then looked at with stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program [argument...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit, ok := err.(*exec.ExitError); ok {
		got = fmt.Sprint(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want := args[0]; got != want {
		ts.Fatalf("exit status: got %s, want %s", got, want)
	}
}

// interrupted STATUS PROGRAM [ARGUMENT…] is exits of a program that gets a Ctrl-C once it
// waits for a call that is mute.
func interrupted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupted status program [argument...]")
	}
	c := exec.Command(args[1], args[2:]...)
	c.Dir, c.Stdout, c.Stderr = ts.MkAbs("."), ts.Stdout(), ts.Stderr()
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "LETHE_URL", "LETHE_PROJECT_TOKEN", "LETHE_TOKEN", "LETHE_SERVICE_ACCOUNT", "LETHE_SERVICE_ACCOUNT_SECRET"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-ended:
		ts.Fatalf("it ended before it made a call that is mute")
	case <-ts.Value(between).(*faulty).muted:
	}
	ts.Check(c.Process.Signal(os.Interrupt))
	<-ended
	if got := strconv.Itoa(c.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit status: got %s, want %s", got, args[0])
	}
}

// between is where a script keeps its faulty.
const between = "between"

// A faulty is a way to the server on which things go wrong.
type faulty struct {
	to     *httputil.ReverseProxy
	server *url.URL
	url    string

	mu       sync.Mutex
	fault    string
	n, calls int
	muted    chan bool // a call is
}

// next tells what goes wrong with a call.
func (f *faulty) next(download bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	onDownloads := f.fault == "cut" || f.fault == "dry"
	if onDownloads && !download {
		return ""
	}
	f.calls++
	if first := f.calls <= f.n; first != (onDownloads || f.fault == "storm" || f.fault == "deaf") {
		return ""
	}
	return f.fault
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Host = f.server.Host
	switch f.next(strings.HasPrefix(r.URL.Path, local.FilesPath)) {
	case "storm":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"status":"error","error":"Too many requests a second."}`)
	case "expire":
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"status":"error","error":"The GDPR token has expired."}`)
	case "deaf":
		f.to.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case "gone", "dry":
		panic(http.ErrAbortHandler)
	case "mute":
		select {
		case f.muted <- true:
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body) // the end of a sender is noticed only then
		<-r.Context().Done()
	case "cut":
		w = &cutting{ResponseWriter: w, left: 4 << 10}
		fallthrough
	default:
		f.to.ServeHTTP(w, r)
	}
}

// rewrite has links lead through here too.
func (f *faulty) rewrite(r *http.Response) error {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	b = bytes.ReplaceAll(b, []byte(f.server.String()), []byte(f.url))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	r.Header.Set("Content-Length", strconv.Itoa(len(b)))
	return nil
}

// A cutting breaks off after some bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; err == nil && c.left == 0 {
		if flush, ok := c.ResponseWriter.(http.Flusher); ok {
			flush.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}
