// Package peertest looks for what tests run against and what does not come with Go:
// programs and files that a script below .ci installs. Where one is missing the test is
// left out, loudly, and where CI=true it fails.
package peertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Needs looks for a file or a folder that the script installs.
func Needs(t testing.TB, script, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		lacking(t, script, filepath.Base(path))
	}
}

// Program returns the path of a program that the script installs.
func Program(t testing.TB, script, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lacking(t, script, name)
	}
	return path
}

func lacking(t testing.TB, script, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI=true leaves nothing out: run .ci/%s", what, script)
	}
	t.Skipf("NOT TESTED: %s is not installed; run .ci/%s", what, script)
}
