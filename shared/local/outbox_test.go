package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/dsr/dsrtest"
	"lethe/shared/kind"
	"lethe/shared/local"
)

// letters returns the files of an outbox.
func letters(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 || len(e.Name()) != 64+len(".eml") || !strings.HasSuffix(e.Name(), ".eml") {
			t.Errorf("%s has the mode %v, %v; want a hash, .eml and 0600", e.Name(), info.Mode(), err)
		}
		sent = append(sent, string(data))
	}
	return sent
}

func TestOutbox(t *testing.T) {
	dsrtest.Sender(t, func(t *testing.T) dsrtest.Post {
		dir := filepath.Join(t.TempDir(), "outbox")
		outbox, err := local.OpenOutbox(dir, dsrtest.From)
		if err != nil {
			t.Fatal(err)
		}
		return dsrtest.Post{Sender: outbox, Replaces: true, Sent: func(t *testing.T) []string { return letters(t, dir) }}
	})
}

// What a crash left of a message is no message, and goes; the others stay.
func TestOutboxAfterACrash(t *testing.T) {
	dir := t.TempDir()
	m := dsr.Message{ID: "one", To: "pat@example.com", Subject: "Hello", Text: "Hello"}
	outbox, err := local.OpenOutbox(dir, dsrtest.From)
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	whole, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(whole) != 1 {
		t.Fatalf("got the files %q, %v; want one", whole, err)
	}
	half := filepath.Join(dir, "."+filepath.Base(whole[0])+"-123")
	if err := os.WriteFile(half, []byte("From: "), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.OpenOutbox(dir, dsrtest.From); err != nil {
		t.Fatal(err)
	}
	if got := letters(t, dir); len(got) != 1 || !strings.Contains(got[0], "Hello") {
		t.Errorf("after a crash the outbox has %q, want the one message", got)
	}
}

func TestOutboxErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	m := dsr.Message{ID: "one", To: "pat@example.com", Subject: "Hello", Text: "Hello"}
	outbox, err := local.OpenOutbox(dir, dsrtest.From)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	err = outbox.Send(t.Context(), m)
	if kind.Of(err) != kind.Unavailable || strings.Contains(err.Error(), "pat") {
		t.Errorf("into a folder that is gone: got %v, want Unavailable without the address", err)
	}
	for _, from := range []string{"", "lethe", "lethe@example.com\r\nBcc: eve@example.com", "a@example.com, b@example.com", "löthe@example.com"} {
		if _, err := local.OpenOutbox(t.TempDir(), from); kind.Of(err) != kind.Invalid || kind.Sentence(err) == "" {
			t.Errorf("from %q: got %v, want Invalid with a sentence", from, err)
		}
	}
}

// Old messages go, and nothing that somebody else keeps in the folder.
func TestOutboxExpires(t *testing.T) {
	dir := t.TempDir()
	outbox, err := local.OpenOutbox(dir, dsrtest.From)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"old", "new"} {
		if err := outbox.Send(t.Context(), dsr.Message{ID: id, To: "pat@example.com", Subject: "Hello", Text: "the " + id + " one"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"holiday.eml", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "the new one") {
			if err := os.Chtimes(name, now, now.Add(-31*24*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{dir, filepath.Join(dir, "absent")} {
		if err := local.ExpireOutbox(dir, now.Add(-30*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	var left []string
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			left = append(left, string(text))
		}
	}
	all := strings.Join(left, "\n")
	if len(left) != 3 || strings.Count(all, "mine") != 2 || !strings.Contains(all, "the new one") {
		t.Errorf("left are %q, want the new message and what is not Lethe's", left)
	}
}
