package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A server is the program under measurement.
type server struct {
	URL     string `json:"url"`
	Token   string `json:"project_token"`
	Secret  string `json:"api_secret"`
	GDPR    string `json:"gdpr_token"`
	process *exec.Cmd
	dir     string
	http    *http.Client
}

// start builds the program and starts it on a new directory below dir.
func start(ctx context.Context, dir string) (*server, error) {
	dir, err := os.MkdirTemp(dir, "lethe-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, http: &http.Client{Timeout: 10 * time.Minute}}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "lethe"), "lethe/cmd/lethe")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		s.stop()
		return nil, err
	}
	if err := s.launch(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// launch starts the program on the directory and waits until it is ready.
func (s *server) launch() error {
	c := exec.Command(filepath.Join(s.dir, "lethe"), "serve", "--demo", "--json", "--cancel-window", "0", "--log", "warn",
		"--listen", "127.0.0.1:0", "--data", filepath.Join(s.dir, "data"))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	s.process = c
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, s)
	}
	if err != nil {
		return fmt.Errorf("the server did not get ready: %w", err)
	}
	return nil
}

// end ends the program.
func (s *server) end() {
	if s.process != nil {
		_ = s.process.Process.Signal(syscall.SIGTERM)
		_ = s.process.Wait()
	}
}

// again ends the program and starts it anew, so that what follows is measured
// without the memory and the warm caches of what was before.
func (s *server) again() error {
	s.end()
	began := time.Now()
	if err := s.launch(); err != nil {
		return err
	}
	fmt.Printf("%-56s %8.3f s, %7.2f CPU s, %s at most\n", "a new start", time.Since(began).Seconds(), s.cpu().Seconds(), s.peak())
	return nil
}

// stop ends the program and removes its data.
func (s *server) stop() {
	s.end()
	_ = os.RemoveAll(s.dir)
}

// usage is the processor time that the server has used so far. It starts the peak
// of memory anew as well, where the system can do that.
func (s *server) usage() time.Duration {
	_ = os.WriteFile(s.proc("clear_refs"), []byte("5"), 0) // Linux: reset the peak
	return s.cpu()
}

// report prints what happened since before was taken.
func (s *server) report(what string, took, before time.Duration) {
	fmt.Printf("%-56s %8.3f s, %7.2f CPU s, %s at most\n", what, took.Seconds(), (s.cpu() - before).Seconds(), s.peak())
}

// cpu is zero on systems without /proc.
func (s *server) cpu() time.Duration {
	b, err := os.ReadFile(s.proc("stat"))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * tick
}

func (s *server) peak() string {
	f, err := os.Open(s.proc("status"))
	if err != nil {
		return "unknown memory"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return fmt.Sprintf("%d MB", kb>>10)
		}
	}
	return "unknown memory"
}

func (s *server) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(s.process.Process.Pid), file)
}

// disk is the bytes of all files of the server.
func (s *server) disk() (total int64) {
	_ = filepath.WalkDir(filepath.Join(s.dir, "data"), func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// call makes one request and decodes the answer into the value, if there is one.
func (s *server) call(ctx context.Context, method, path string, body io.Reader, prepare func(*http.Request), into any) (int, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		return 0, err
	}
	prepare(r)
	answer, err := s.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode >= 300 {
		return answer.StatusCode, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, b)
	}
	return answer.StatusCode, json.Unmarshal(b, into)
}
