package local_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"lethe/shared/local"
	"lethe/shared/mail/mailtest"
)

func TestOutbox(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	o, err := local.OpenOutbox(dir, mailtest.From, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	mailtest.Run(t, o, func(t *testing.T) (all [][]byte) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the outbox has %d files (%v), want one for the one message", len(files), err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the message is not for its owner only: %v", err)
			}
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, raw)
		}
		return all
	})
}
