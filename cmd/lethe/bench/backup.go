package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// backup measures a backup of the running server.
func (s *server) backup(ctx context.Context) error {
	before, began := s.usage(), time.Now()
	if err := s.run(ctx, "backup", s.saved()); err != nil {
		return err
	}
	s.report(fmt.Sprintf("backup of %d MB while the server runs", s.disk()>>20), time.Since(began), before)
	return nil
}

// restore ends the server and measures how long it takes to put the backup back
// and to erase again who was erased since.
func (s *server) restore(ctx context.Context) error {
	s.end()
	s.process = nil
	began := time.Now()
	if err := s.run(ctx, "restore", s.saved()); err != nil {
		return err
	}
	fmt.Printf("%-56s %8.3f s\n", "restore of it, and erasing those people again", time.Since(began).Seconds())
	return nil
}

func (s *server) saved() string { return filepath.Join(s.dir, "backup") }

// run runs a command of the program on the server's data directory.
func (s *server) run(ctx context.Context, command, argument string) error {
	c := exec.CommandContext(ctx, filepath.Join(s.dir, "lethe"), command, "--json", "--data", filepath.Join(s.dir, "data"), argument)
	c.Stderr = os.Stderr
	return c.Run()
}
