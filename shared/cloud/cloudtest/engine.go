package cloudtest

import (
	"os/exec"
	"testing"
	"time"
)

// launch runs an engine, a server that plays AWS, until the test ends, and returns
// when it answers at that address. Where the test fails, the log has what the
// engine wrote.
func launch(t testing.TB, name, address string, cmd *exec.Cmd) {
	t.Helper()
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed, or it has ended with its reason in out
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, out)
		}
	})
	for deadline := time.After(life); !answers("http://" + address); {
		select {
		case <-gone:
			t.Fatalf("%s ended before it was ready", name)
		case <-deadline:
			t.Fatalf("%s did not get ready", name)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
