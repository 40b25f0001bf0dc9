package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"lethe/client"
	"lethe/shared/dsr"
)

// A journal keeps what a command has sent in of a list of people, so that the same
// command goes on after it was stopped. It holds no identifier.
type journal struct {
	Version int    `json:"version"`
	Digest  string `json:"digest"` // of what is asked for, and about whom
	Parts   []part `json:"parts"`

	file  string // "" where nothing is kept
	fresh bool   // nothing is there under that name yet
}

// A part is one request of at most 2000 people. Its id is its subject_request_id and its
// Idempotency-Key.
type part struct {
	ID    string    `json:"id"`
	Tried time.Time `json:"tried,omitzero"` // when it was last sent in, or about to be
	Task  string    `json:"task_id,omitempty"`
}

const journalVersion = 1

// openJournal reads what an earlier run of the same command kept, or begins. One request
// that is not of a file keeps nothing, unless --state says so.
func (a *asking) openJournal(ids []string) (*journal, error) {
	parts := (len(ids) + client.Most - 1) / client.Most
	j := &journal{Version: journalVersion, Digest: a.digest(ids), file: a.state}
	switch {
	case j.file != "":
	case a.csv != "" && a.csv != "-":
		j.file = a.csv + ".lethe-" + string(a.of)
	case parts > 1:
		j.file = "lethe-" + string(a.of) + "-" + j.Digest[:12] + ".json"
	}
	if j.file != "" {
		b, err := os.ReadFile(j.file)
		if err == nil {
			kept := journal{file: j.file}
			if json.Unmarshal(b, &kept) != nil || kept.Version != journalVersion || len(kept.Parts) != parts || kept.Digest != j.Digest {
				return nil, failure{statusRefused, "The file " + j.file + " keeps how far another request has come, of other people or with other options. Name another with --state, or remove it if that request is done."}
			}
			return &kept, nil
		}
		if j.fresh = true; !errors.Is(err, fs.ErrNotExist) {
			return nil, failure{statusUsage, "The file " + j.file + " that keeps what was sent in cannot be read: name another with --state."}
		}
	}
	for range parts {
		j.Parts = append(j.Parts, part{ID: dsr.NewID()})
	}
	return j, nil
}

// digest tells one request from another.
func (a *asking) digest(ids []string) string {
	b, err := json.Marshal([]any{a.of, a.options, a.url, a.connection.project, ids})
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// write keeps the journal for its owner's eyes only. The first time it is written over
// none that is there: the same command may have begun twice.
func (j *journal) write() error {
	if j.file == "" {
		return nil
	}
	b, err := json.MarshalIndent(j, "", "  ")
	if err == nil {
		err = writeWhole(j.file, append(b, '\n'), !j.fresh)
	}
	if j.fresh && errors.Is(err, fs.ErrExist) {
		return failure{statusRefused, "Another run of this command began just before, and nothing was sent in by this one: run it again once that has ended."}
	}
	j.fresh = false
	if err != nil {
		return failure{statusFailed, "The file " + j.file + " that keeps what was sent in cannot be written: name another with --state. Nothing more was sent in."}
	}
	return nil
}

// begun reports whether an earlier run has sent any part in, or was about to.
func (j *journal) begun() bool { return !j.Parts[0].Tried.IsZero() }

// tasks are those of the parts that are known to be sent in.
func (j *journal) tasks() (all []string) {
	for _, p := range j.Parts {
		if p.Task != "" {
			all = append(all, p.Task)
		}
	}
	return all
}

// sentIn reports whether every part is known to be.
func (j *journal) sentIn() bool { return len(j.tasks()) == len(j.Parts) }
