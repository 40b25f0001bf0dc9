package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lethe/shared/account"
	"lethe/shared/kind"
	"lethe/shared/local"
)

// demoFile is what demo.json in the data directory holds: what a start prints,
// and how far the making of the demo has come.
type demoFile struct {
	account.Credentials
	// Made is the time that the demo's records are made relative to. It is kept so
	// that filling can be taken up again after a crash with the same records.
	Made time.Time `json:"made"`
	// Filled means that all records are stored.
	Filled bool `json:"filled"`
	// Subject is an id of the demo with plenty of data, for the lines to paste.
	Subject string `json:"subject"`
}

func demoPath(data string) string { return filepath.Join(data, local.DemoFile) }

// readDemo returns kind.NotFound where there is no demo.
func readDemo(data string) (demoFile, error) {
	b, err := os.ReadFile(demoPath(data))
	if errors.Is(err, fs.ErrNotExist) {
		return demoFile{}, kind.E(kind.NotFound, "read demo.json")
	}
	if err != nil {
		return demoFile{}, kind.E(kind.Unavailable, "read demo.json", err)
	}
	var d demoFile
	if err := json.Unmarshal(b, &d); err != nil || d.ProjectID == "" {
		return demoFile{}, kind.Say(kind.Corrupt, "The file demo.json in the data directory is damaged: put it back from a backup, or start a new demo in another directory.")
	}
	return d, nil
}

// write keeps d for the owner's eyes only.
func (d demoFile) write(data string) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return kind.E(kind.Internal, "encode demo.json", err)
	}
	return local.WriteSecret(demoPath(data), append(b, '\n'))
}
