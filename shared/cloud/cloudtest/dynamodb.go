package cloudtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// DynamoDB starts DynamoDB Local, the official engine, in memory and on loopback
// until the test ends, and returns a client of it. Where .ci/fetch-dynamodb-local
// has not fetched it or there is no Java, the test is left out, and where CI=true
// it fails.
func DynamoDB(t testing.TB) *dynamodb.Client {
	t.Helper()
	folder := filepath.Join(Root(t), ".cache", "dynamodb-local")
	if _, err := os.Stat(filepath.Join(folder, "pom.xml")); err != nil {
		Missing(t, "DynamoDB Local, which .ci/fetch-dynamodb-local fetches")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		Missing(t, "Java, which DynamoDB Local needs")
	}
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(java,
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx1g", // it lives for seconds
		"-Djava.library.path="+folder, "-cp", filepath.Join(folder, "*"),
		"software.amazon.dynamodb.services.local.main.ServerRunner", "-inMemory", "-disableTelemetry", "-port", port)
	launch(t, "DynamoDB Local", address, cmd)
	return dynamodb.NewFromConfig(Config("http://" + address))
}
