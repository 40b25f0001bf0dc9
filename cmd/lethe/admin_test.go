package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A path that is too long for a socket, and one with a symbolic link in it, are as
// good as any.
func TestAdministrationWhereverTheDirectoryIs(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("real", "data"), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "real", "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"long": filepath.Join(dir, strings.Repeat("long", 40), "data"), "link": link} {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			t.Setenv("TMPDIR", temporary)
			p := startDemo(t, data)
			with, without := filepath.Join(dir, name+"-with"), filepath.Join(dir, name+"-without")
			if status, _, diag := lethe(t, "backup", "--data", data, with); status != 0 {
				t.Errorf("backup with a server: %d %s", status, diag)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
			if status, _, diag := lethe(t, "backup", "--data", data, filepath.Join(data, "inside")); status != 2 || !strings.Contains(diag, "inside the data directory") {
				t.Errorf("backup into the directory: %d %s", status, diag)
			}
			p.stop(t, syscall.SIGTERM)
			if exists(socketPath(data)) {
				t.Error("the socket is left over")
			}
			if status, _, diag := lethe(t, "backup", "--data", data, without); status != 0 {
				t.Errorf("backup without a server: %d %s", status, diag)
			}
			if got := restore(t, with, "--data", data); !exists(got.Replaced) {
				t.Errorf("the directory of before is not %s", got.Replaced)
			}
			startDemo(t, data).stop(t, syscall.SIGTERM)
		})
	}
	if status, _, diag := lethe(t, "backup", "--data", link, filepath.Join(dir, "real", "data", "inside")); status != 2 || !strings.Contains(diag, "inside the data directory") {
		t.Errorf("backup to where the link leads: %d %s", status, diag)
	}
}

// A program that begins an order and does not end it does not keep the server from
// stopping.
func TestAnOrderThatHangs(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data)
	c, err := net.Dial("unix", socketPath(data))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /backup HTTP/1.1\r\nHost: lethe\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	// Another one, on another connection, is answered meanwhile.
	if status, _, diag := lethe(t, "executions", "--data", data); status != 0 {
		t.Errorf("executions: %d %s", status, diag)
	}
	p.stop(t, syscall.SIGTERM)
}

// until waits for something that has to come.
func until(t *testing.T, what string, come func() bool) {
	t.Helper()
	for range 30_000 {
		if come() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s did not come", what)
}

// heavy puts a file into a data directory that takes a long time to copy.
func heavy(t *testing.T, data string) (path string) {
	t.Helper()
	path = filepath.Join(data, "files", "certificates", "heavy")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ctrl-C stops a backup, also in the server that makes it, and nothing is left.
func TestCtrlCStopsABackup(t *testing.T) {
	dir := t.TempDir()
	data, to := filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	p := startDemo(t, data)
	large := heavy(t, data)
	stopped := func(end func(*os.Process)) (status int, diag string) {
		t.Helper()
		var c *exec.Cmd
		var said bytes.Buffer
		ended := make(chan bool, 1)
		copying := func() bool { return exists(filepath.Join(to+".partial", "files", "certificates", "heavy")) }
		until(t, "a backup of the large file", func() bool {
			if c == nil {
				c = exec.CommandContext(t.Context(), "lethe", "backup", "--data", data, to)
				said.Reset()
				c.Stderr = &said
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				go func(c *exec.Cmd) { ended <- c.Wait() == nil }(c)
			}
			select {
			case <-ended: // the one before was not quite at its end
				c = nil
			default:
			}
			return c != nil && copying()
		})
		if end == nil {
			status, _, diag := lethe(t, "backup", "--data", data, to+"-2")
			if status != 5 || !strings.Contains(diag, "Another backup") {
				t.Errorf("a second backup: %d %q", status, diag)
			}
			end = func(p *os.Process) { _ = p.Signal(syscall.SIGINT) }
		}
		end(c.Process)
		<-ended
		until(t, "the end of the backup in the server", func() bool { return !exists(to + ".partial") })
		if exists(to) {
			t.Error("there is a backup")
		}
		return c.ProcessState.ExitCode(), said.String()
	}
	if status, diag := stopped(nil); status != 4 || !strings.HasPrefix(diag, "lethe: Stopped") {
		t.Errorf("with a server: %d %q", status, diag)
	}
	// As does the end of the server, of which the command tells.
	if status, diag := stopped(func(*os.Process) { p.stop(t, syscall.SIGTERM) }); status != 1 || !strings.Contains(diag, "was stopped") {
		t.Errorf("with a server that is stopped: %d %q", status, diag)
	}
	if status, diag := stopped(func(p *os.Process) { _ = p.Signal(syscall.SIGTERM) }); status != 4 || !strings.Contains(diag, "was stopped") {
		t.Errorf("without a server: %d %q", status, diag)
	}
	if err := os.Remove(large); err != nil {
		t.Fatal(err)
	}
	if status, _, diag := lethe(t, "backup", "--data", data, to); status != 0 {
		t.Errorf("afterwards: %d %s", status, diag)
	}
}

// A place that takes no more is not taken for a damaged data directory.
func TestBackupToWhereThereIsNoRoom(t *testing.T) {
	dir := t.TempDir()
	data, to := filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	startDemo(t, data).stop(t, syscall.SIGTERM)
	c := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -f 400; exec lethe backup --data "$0" "$1"`, data, to)
	out, err := c.CombinedOutput()
	if err == nil || c.ProcessState.ExitCode() != 7 || !bytes.HasPrefix(out, []byte("lethe: The place for the backup cannot be written (")) {
		t.Errorf("got status %d %s", c.ProcessState.ExitCode(), out)
	}
	if left, err := filepath.Glob(to + "*"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// Whatever the program keeps in its directory is in a backup, or known to be left
// out.
func TestBackupLeavesNothingOut(t *testing.T) {
	dir := t.TempDir()
	data, to := filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	p := startDemo(t, data, "--cancel-window", "0")
	p.await(t, retrievals, p.submit(t, retrievals, "user-0001"), "SUCCESS")
	p.await(t, deletions, p.submit(t, deletions, "user-0002"), "SUCCESS")
	if status, _, diag := lethe(t, "backup", "--data", data, to); status != 0 {
		t.Fatalf("backup: %d %s", status, diag)
	}
	p.kill(t)
	err := filepath.WalkDir(data, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(data, path)
		switch rel {
		case "lethe.db", "lethe.db-wal", "lethe.db-shm", "lock", "admin.sock":
			return err
		}
		if strings.HasPrefix(rel, "outbox/") {
			return err // mail that was sent is not sent again
		}
		if !exists(filepath.Join(to, rel)) {
			t.Errorf("%s is not in the backup", rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(to, "demo.json")) {
		t.Error("demo.json is not in the backup")
	}
}
