package cloudtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3 starts versitygw, an S3 server that keeps files in a directory and checks
// signatures, on loopback until the test ends, and returns a client of it. Where
// .ci/fetch-versitygw has not built it, the test is left out, and where CI=true it
// fails.
func S3(t testing.TB) *s3.Client {
	t.Helper()
	program := filepath.Join(Root(t), ".cache", "bin", "versitygw")
	if _, err := os.Stat(program); err != nil {
		Missing(t, "versitygw, which .ci/fetch-versitygw builds")
	}
	address := freeAddress(t)
	launch(t, "versitygw", address, exec.Command(program, "--quiet", "--port", address,
		"--access", accessKey, "--secret", accessKey, "--region", Region, "posix", t.TempDir()))
	return s3.NewFromConfig(Config("http://"+address), func(o *s3.Options) { o.UsePathStyle = true })
}
