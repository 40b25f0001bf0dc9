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

// administer serves the socket until ctx ends, and closes what it returns when the
// last order has been answered. Where no socket can be made, as below a path that
// is too long for one, the server runs without.
func administer(ctx context.Context, data string, p *local.Platform, log *slog.Logger) <-chan struct{} {
	ended := make(chan struct{})
	path := socketPath(data)
	_ = os.Remove(path) // of a process that was killed; this one has the directory
	l, err := net.Listen("unix", path)
	if err != nil {
		log.Warn("no socket for administration: stop the server to back up", "error", err)
		close(ended)
		return ended
	}
	mux := http.NewServeMux()
	order(mux, "/backup", func(ctx context.Context, o backupOrder) (any, error) {
		b, err := p.Backup(ctx, o.To)
		return reportOf(b, o.To), err
	})
	order(mux, "/executions", func(ctx context.Context, o executionsOrder) (any, error) { return p.Executions(ctx, o.Limit) })
	order(mux, "/execution", func(ctx context.Context, o executionOrder) (any, error) { return p.Execution(ctx, o.Name) })
	s := &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = s.Serve(l) }() // until Shutdown
	context.AfterFunc(ctx, func() {
		// Orders under way end soon, since their context has.
		_ = s.Shutdown(context.WithoutCancel(ctx))
		close(ended)
	})
	return ended
}

// adminError is how an error crosses the socket.
type adminError struct {
	Kind     kind.Kind `json:"kind"`
	Sentence string    `json:"sentence"`
}

// order takes one kind of order.
func order[O any](mux *http.ServeMux, route string, do func(context.Context, O) (any, error)) {
	mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
		var o O
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
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
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked may have gone
}

// errNoServer says that no server has the data directory.
var errNoServer = errors.New("no server is running")

// askServer sends an order to the server that has the data directory.
func askServer(ctx context.Context, data, route string, order, answer any) error {
	path := socketPath(data)
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lethe"+route, bytes.NewReader(body))
	if err != nil {
		return err
	}
	out, err := client.Do(r)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return errNoServer
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
	if !local.Holds(data) {
		return answer, failure{statusRefused, "The directory that --data names is no data directory of Lethe."}
	}
	syscall.Umask(0o077)
	p, err := local.Open(local.Config{Data: data, Clock: time.Now, Log: slog.New(slog.NewTextHandler(diag, nil))})
	if err != nil {
		return answer, err
	}
	answer, err = do(p)
	return answer, errors.Join(err, p.Close())
}
