package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lethe/client"
)

// A call is made again only where that cannot do anything twice.
func TestWhatIsMadeAgain(t *testing.T) {
	ask := client.Ask{IDs: []string{"ada"}}
	keyed := ask
	keyed.Key = "k"
	for name, c := range map[string]struct {
		status int
		call   func(*client.Client) error
		want   int
	}{
		"too many":           {429, func(c *client.Client) error { _, err := c.Submit(t.Context(), client.Deletion, ask); return err }, 3},
		"broken, no key":     {500, func(c *client.Client) error { _, err := c.Submit(t.Context(), client.Deletion, ask); return err }, 1},
		"broken, with a key": {500, func(c *client.Client) error { _, err := c.Submit(t.Context(), client.Deletion, keyed); return err }, 3},
		"broken, to read":    {503, func(c *client.Client) error { _, err := c.Detail(t.Context(), "x"); return err }, 3},
		"broken, to rerun":   {500, func(c *client.Client) error { _, err := c.Rerun(t.Context(), "x"); return err }, 1},
		"refused":            {403, func(c *client.Client) error { _, err := c.Detail(t.Context(), "x"); return err }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls++; calls < 3 {
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, `{"status":"error","error":"No."}`)
					return
				}
				_, _ = io.WriteString(w, `{"results":{}}`)
			}))
			defer server.Close()
			err := c.call(connect(server))
			var answered *client.Error
			if calls != c.want || (err == nil) != (c.want == 3) || err != nil && (!errors.As(err, &answered) || answered.Status != c.status || err.Error() != "No.") {
				t.Errorf("%d calls, want %d; %v", calls, c.want, err)
			}
		})
	}
}

// Tokens are good where the API says that there is no such request, and not where
// something else answers.
func TestTokensAreTried(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		good   bool
	}{
		"no request":         {200, `{"status":"ok","results":{"status":"NOT_FOUND"}}`, true},
		"no request, by 404": {404, `{"status":"error","error":"There is none."}`, true},
		"no page":            {404, `<h1>Not Found</h1>`, false},
		"nothing":            {404, ``, false},
		"other JSON":         {200, `{"hello":"world"}`, false},
		"a wrong token":      {401, `{"status":"error","error":"Unauthorized"}`, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		if err := connect(server).Try(t.Context()); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

// A server that does not answer is given up after a while, without its address, which
// holds a token.
func TestPatienceEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	c, err := client.New(client.Config{URL: server.URL, Project: "the-project-token", Token: "the-token", Patience: 600 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Detail(t.Context(), "x")
	if err == nil || strings.Contains(err.Error(), "the-") || strings.Contains(err.Error(), "token") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Detail(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
}

// A broken download goes on from where it was, and begins anew for another file.
func TestDownloadGoesOn(t *testing.T) {
	for _, changes := range []bool{false, true} {
		gets := 0
		server := httptest.NewUnstartedServer(nil)
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/file" {
				_, _ = io.WriteString(w, `{"results":{"status":"SUCCESS","result":"`+server.URL+`/file"}}`)
				return
			}
			if gets++; gets == 1 {
				w.Header().Set("ETag", `"one"`)
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, "01234")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			tag, content := `"one"`, "0123456789"
			if changes {
				tag, content = `"two"`, "abcdefghij"
			}
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		})
		server.Start()
		f := &file{}
		if err := connect(server).Download(t.Context(), "x", f, func(int64, int64) {}); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{false: "0123456789", true: "abcdefghij"}[changes]; string(f.b) != want || f.written != map[bool]int{false: 10, true: 15}[changes] {
			t.Errorf("changes %v: got %q, %d bytes written", changes, f.b, f.written)
		}
		server.Close()
	}
}

// Another part than the rest is put behind nothing: the download begins anew.
func TestDownloadOfAnotherPart(t *testing.T) {
	gets := 0
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/file" {
			_, _ = io.WriteString(w, `{"results":{"status":"SUCCESS","results":"`+server.URL+`/file"}}`)
			return
		}
		w.Header().Set("ETag", `"one"`)
		switch gets++; gets {
		case 1:
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "01234")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Content-Range", "bytes 7-9/10")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "789")
		default:
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
		}
	})
	server.Start()
	defer server.Close()
	f := &file{}
	if err := connect(server).Download(t.Context(), "x", f, func(int64, int64) {}); err != nil || string(f.b) != "0123456789" {
		t.Errorf("got %q, %v", f.b, err)
	}
}

// A file in memory.
type file struct {
	b       []byte
	written int
}

func (f *file) Write(b []byte) (int, error) {
	f.b, f.written = append(f.b, b...), f.written+len(b)
	return len(b), nil
}
func (f *file) Seek(int64, int) (int64, error) { return 0, nil }
func (f *file) Truncate(int64) error           { f.b = nil; return nil }

func TestWindowOnTheWire(t *testing.T) {
	for want, w := range map[string]client.Window{`"all"`: {All: true}, `{"from":"2026-01-31"}`: {From: "2026-01-31"}, `{"from":"a","to":"b"}`: {From: "a", To: "b"}} {
		if got, err := json.Marshal(w); err != nil || string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
