package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who asked gets mail when a request has ended: in the outbox, unless a server is
// named.
func TestMailInTheOutbox(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		dir  func(data string) string
	}{
		"by default":       {nil, func(data string) string { return filepath.Join(data, "outbox") }},
		"where it is told": {[]string{"--outbox", filepath.Join(t.TempDir(), "mail"), "--public-url", "https://lethe.example/", "--mail-from", "Privacy <privacy@example.com>"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			dir := ""
			if c.dir != nil {
				dir = c.dir(data)
			} else {
				dir = c.args[1]
			}
			p := startDemo(t, data, c.args...)
			task := p.submit(t, retrievals, "user-0001")
			p.await(t, retrievals, task, "SUCCESS")
			// The sweep of the next start tells of it; that of this one comes in a minute.
			p.stop(t, syscall.SIGTERM)
			p = startDemo(t, data, c.args...)
			text := ""
			for range 100 {
				found, err := filepath.Glob(filepath.Join(dir, "*.eml"))
				if err != nil {
					t.Fatal(err)
				}
				if len(found) == 1 {
					data, err := os.ReadFile(found[0])
					if err != nil {
						t.Fatal(err)
					}
					text = string(data)
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			link := p.URL + "/requests/" + task
			from := "lethe@localhost"
			if c.dir == nil {
				link, from = "https://lethe.example/requests/"+task, "privacy@example.com"
			}
			plain := strings.ReplaceAll(text, "=\r\n", "")
			for _, want := range []string{"To: owner@demo.example", "Subject: An export is ready", link, "<" + from + ">"} {
				if !strings.Contains(plain, want) {
					t.Errorf("the mail does not have %q:\n%s", want, text)
				}
			}
			if strings.Contains(plain, "user-0001") {
				t.Error("the mail names a data subject")
			}
			p.stop(t, syscall.SIGTERM)
		})
	}
}

func TestMailFlags(t *testing.T) {
	for _, c := range []struct {
		says string
		args []string
	}{
		{"--mail-from", []string{"--mail-from", "nobody"}},
		{"--mail-from", []string{"--mail-from", "löthe@example.com"}},
		{"--public-url", []string{"--public-url", "lethe.example"}},
		{"smtp://", []string{"--smtp", "mail.example.com"}},
		{"LETHE_SMTP_PASSWORD", []string{"--smtp", "smtp://pat@mail.example.com"}},
		{"without a password", []string{"--smtp", "smtp://pat:secret@mail.example.com"}},
		{"--smtp-password-file", []string{"--smtp", "smtp://pat@mail.example.com", "--smtp-password-file", "no-such-file"}},
		{"--smtp-ca", []string{"--smtp", "smtp://mail.example.com", "--smtp-ca", "mail_test.go"}},
		{"--outbox", []string{"--outbox", "mail_test.go"}},
	} {
		status, out, diag := lethe(t, append([]string{"serve", "--demo", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, c.args...)...)
		if status != statusUsage || out != "" || !strings.Contains(diag, c.says) || strings.Contains(diag, "secret") {
			t.Errorf("%v: status %d %q %q", c.args, status, out, diag)
		}
	}
}

// Mail of a time without a server goes by its age, with a server too.
func TestMailInTheOutboxExpires(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, data)
	p.stop(t, syscall.SIGTERM)
	old := filepath.Join(data, "outbox", strings.Repeat("0f", 32)+".eml")
	if err := os.WriteFile(old, []byte("To: pat@example.com"), 0o600); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-31 * 24 * time.Hour)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	p = startDemo(t, data, "--smtp", "smtp://127.0.0.1:1")
	for range 100 {
		if !exists(old) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if exists(old) {
		t.Error("a mail of 31 days ago is still in the outbox")
	}
	p.stop(t, syscall.SIGTERM)
}
