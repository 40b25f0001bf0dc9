package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lethe/shared/kind"
	"lethe/shared/local"
)

// A server can be administered through a socket in its data directory, which only
// the owner of the directory can open: who can, could read all of it anyway.

func socketPath(data string) string { return filepath.Join(data, "admin.sock") }

// mostSocketPath is the bytes of a path that every system takes for a socket.
const mostSocketPath = 100

// reach calls f with a path to the socket that a system takes: through a symbolic
// link of a short name, for as long as f runs, where the path itself is too long.
func reach(data string, f func(path string) error) error {
	path, err := filepath.Abs(socketPath(data))
	if err != nil {
		return err
	}
	if len(path) <= mostSocketPath {
		return f(path)
	}
	dir, err := os.MkdirTemp("", "lethe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	link := filepath.Join(dir, "data")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		return err
	}
	return f(socketPath(link))
}

// administer serves the socket until ctx ends, and closes what it returns when the
// last order has been answered, or has been waited for long enough. Where no socket
// can be made the server runs without.
func administer(ctx context.Context, data string, p *local.Platform, accounts http.Handler, log *slog.Logger) <-chan struct{} {
	ended := make(chan struct{})
	_ = os.Remove(socketPath(data)) // of a process that was killed; this one has the directory
	var l *net.UnixListener
	err := reach(data, func(path string) (err error) {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		if err = os.Chmod(path, 0o600); err != nil { // from 0700, which the umask leaves
			l.Close()
		}
		return err
	})
	if err != nil {
		var number syscall.Errno // the text of err has the path
		errors.As(err, &number)
		log.Warn("no socket for administration: to back up, stop the server first", "error", number)
		close(ended)
		return ended
	}
	l.SetUnlinkOnClose(false) // it may know the socket by the short name, which is gone
	mux := http.NewServeMux()
	order(mux, "/backup", func(ctx context.Context, o backupOrder) (any, error) {
		b, err := p.Backup(ctx, o.To)
		return reportOf(b, o.To), err
	})
	order(mux, "/executions", func(ctx context.Context, o executionsOrder) (any, error) { return p.Executions(ctx, o.Limit) })
	order(mux, "/execution", func(ctx context.Context, o executionOrder) (any, error) { return p.Execution(ctx, o.Name) })
	mux.Handle("/api/", accounts)
	s := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime, // an order is small
		IdleTimeout:       idleTime,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() { _ = s.Serve(l) }() // until it is drained
	context.AfterFunc(ctx, func() {
		defer close(ended)
		// Orders under way end soon, since their context has.
		if err := drain(ctx, s); err != nil {
			log.Warn("orders for administration were cut off", "after", drainTime)
		}
		_ = os.Remove(socketPath(data))
	})
	return ended
}

// adminError is how an error crosses the socket.
type adminError struct {
	Kind     kind.Kind `json:"kind"`
	Sentence string    `json:"sentence"`
}

// mostOrder is the bytes of an order: a path, or a name.
const mostOrder = 1 << 16

// order takes one kind of order.
func order[O any](mux *http.ServeMux, route string, do func(context.Context, O) (any, error)) {
	mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
		var o O
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostOrder)).Decode(&o); err != nil {
			answerAdmin(w, nil, kind.E(kind.Invalid, "read an order"))
			return
		}
		v, err := do(r.Context(), o)
		answerAdmin(w, v, err)
	})
}

func answerAdmin(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		f := opening(err)
		var known failure
		errors.As(f, &known)
		status, v = http.StatusConflict, adminError{kind.Of(err), known.sentence}
	}
	// The order may have taken hours; only its answer has a limit.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked may have gone
}

// errNoServer says that no server has the data directory.
var errNoServer = errors.New("no server is running")

// socketClient calls the server that has the data directory.
func socketClient(data string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialSocket(ctx, data)
	}}}
}

func dialSocket(ctx context.Context, data string) (c net.Conn, err error) {
	err = reach(data, func(path string) (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "unix", path)
		return err
	})
	return c, err
}

// served reports whether a server has the data directory and can be asked.
func served(ctx context.Context, data string) bool {
	c, err := dialSocket(ctx, data)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// askServer sends an order to the server that has the data directory. When ctx ends
// the server gives the order up too.
func askServer(ctx context.Context, data, route string, order, answer any) error {
	if _, err := os.Lstat(socketPath(data)); errors.Is(err, os.ErrNotExist) {
		return errNoServer
	}
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lethe"+route, bytes.NewReader(body))
	if err != nil {
		return err
	}
	out, err := socketClient(data).Do(r)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return errNoServer
	}
	if err != nil && ctx.Err() != nil {
		return failure{statusUnfinished, "Stopped: the server gives up what it was asked for."}
	}
	if err != nil {
		return failure{statusFailed, "The server did not answer: look into its log."}
	}
	defer out.Body.Close()
	if out.StatusCode != http.StatusOK {
		var e adminError
		if err := json.NewDecoder(out.Body).Decode(&e); err != nil {
			return failure{statusFailed, "The server did not answer as expected: is it of the same version?"}
		}
		return &kind.Error{Kind: e.Kind, Sentence: e.Sentence}
	}
	return json.NewDecoder(out.Body).Decode(answer)
}

// administered has the server that has the directory carry out an order, or without
// one opens the directory and does it.
func administered[T any](ctx context.Context, data, route string, order any, diag io.Writer, do func(*local.Platform) (T, error)) (T, error) {
	var answer T
	if err := askServer(ctx, data, route, order, &answer); !errors.Is(err, errNoServer) {
		return answer, err
	}
	p, err := openExisting(data, slog.New(slog.NewTextHandler(diag, nil)))
	if err != nil {
		return answer, err
	}
	answer, err = do(p)
	return answer, errors.Join(err, p.Close())
}

// openExisting opens a data directory that is there, for a command.
func openExisting(data string, log *slog.Logger) (*local.Platform, error) {
	if !local.Holds(data) {
		return nil, failure{statusRefused, "There is no data directory of Lethe at " + data + ": name it with --data."}
	}
	syscall.Umask(0o077)
	return local.Open(local.Config{Data: data, Clock: time.Now, Log: log})
}
