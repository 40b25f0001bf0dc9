package cloudtest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Region and Account are those of every engine here.
const (
	Region  = "eu-central-1"
	Account = "123456789012"
)

// accessKey is the access key of every engine, and its secret too.
const accessKey = "local"

// Moto starts a server that plays AWS on loopback until the test ends, empty, and
// returns its address. Where .ci/install-lint has not installed it, the test is
// left out, and where CI=true it fails. Environment is added to the server's.
func Moto(t testing.TB, environment ...string) string {
	t.Helper()
	program := filepath.Join(Root(t), ".cache", "venv", "bin", "moto_server")
	if _, err := os.Stat(program); err != nil {
		Missing(t, "moto, which .ci/install-lint installs")
	}
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-H", host, "-p", port)
	cmd.Env = append(os.Environ(), append([]string{
		"MOTO_PORT=" + port, "MOTO_ACCOUNT_ID=" + Account, "AWS_DEFAULT_REGION=" + Region,
	}, environment...)...)
	launch(t, "moto", address, cmd)
	return "http://" + address
}

// RunMachines makes a Moto at that address run the executions of state machines;
// without it each of them waits for ever.
func RunMachines(t testing.TB, address string) {
	t.Helper()
	r, err := http.Post(address+"/moto-api/config", "application/json",
		strings.NewReader(`{"stepfunctions":{"execute_state_machine":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("moto does not run state machines: %s", r.Status)
	}
}

// Config is how a client signs in to an engine at that address.
func Config(address string) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: &address,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, accessKey, ""),
	}
}

// Missing leaves the test out because this machine has no such engine; where
// CI=true nothing may be left out.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("this machine has no %s", what)
	}
	t.Skipf("NOT TESTED: this machine has no %s", what)
}

// Root is the folder of the module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.mod above the test")
		}
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(url string) bool {
	r, err := http.Get(url)
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode < http.StatusInternalServerError
}
