package cloud

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"lethe/shared/cloud/cloudtest"
)

// startGateway runs versitygw, an S3 server that keeps files in a directory, until
// the test ends, and returns a client of it.
func startGateway(t *testing.T) *s3.Client {
	t.Helper()
	program := filepath.Join(cloudtest.Root(t), ".cache", "bin", "versitygw")
	if _, err := os.Stat(program); err != nil {
		cloudtest.Missing(t, "versitygw, which .ci/fetch-versitygw builds")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()

	files := t.TempDir()
	cmd := exec.Command(program, "--quiet", "--port", address, "--access", "local", "--secret", "local",
		"--region", cloudtest.Region, "posix", files)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
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
			t.Logf("versitygw wrote:\n%s", out.String())
		}
	})
	for deadline := time.After(30 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-gone:
			t.Fatal("versitygw ended before it was ready")
		case <-deadline:
			t.Fatal("versitygw did not get ready")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return s3.NewFromConfig(cloudtest.Config("http://"+address), func(o *s3.Options) { o.UsePathStyle = true })
}
