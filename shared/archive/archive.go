// Package archive is the export file: its layout, its writer, its reader and its
// checksums. docs/format.md describes the file for those who read it.
//
// Writing takes two steps, each of which can stop and go on in another process.
// A Collector turns the records of a batch of subjects into segments, pieces of
// the final file that Store puts into the bucket; Pack joins the segments of all
// batches into one zip file, copying compressed bytes, and adds the page, the
// manifest and the directory. Reading starts at Open.
package archive

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lethe/shared/kind"
)

const (
	// Version is the version of the format, the manifest's "version".
	Version = 1

	// SegmentSize is the number of compressed bytes at which a Collector is full.
	SegmentSize = 8 << 20

	pagePath     = "index.html"
	manifestPath = "manifest.json"
)

// A Stream is one of the two sequences of bytes that a batch is written as. Each
// holds whole zip entries, one after the other, cut into segments.
type Stream string

const (
	// Records holds the profiles and the events as JSON.
	Records Stream = "records"
	// Table holds the events as CSV.
	Table Stream = "table"
)

var streams = [...]Stream{Records, Table}

// An Event is one row of a subject's timeline.
type Event struct {
	Time       time.Time
	Name       string
	DistinctID kind.Subject // the id under which the event arrived
	InsertID   string
	Properties []byte // the JSON object exactly as it goes out; empty for none
}

// A File describes one entry of the export file.
type File struct {
	Path       string `json:"path"`
	Bytes      int64  `json:"bytes"`
	Compressed int64  `json:"compressed"`
	CRC32      uint32 `json:"crc32"`
	SHA256     string `json:"sha256"`  // of the uncompressed bytes, in hexadecimal
	Records    int64  `json:"records"` // elements, lines or rows; 0 for what holds no records
	Stream     Stream `json:"stream,omitempty"`
	Offset     int64  `json:"offset"` // of its local header within its stream
}

// Key names the export file of a work in the bucket.
func Key(work string) string { return Prefix + work + ".zip" }

// Task is the task of an archive's key.
func Task(key string) string {
	task, _, _ := strings.Cut(strings.TrimPrefix(key, Prefix), "/")
	return task
}

// What lies in a bucket below these prefixes is of exports.
const (
	Prefix         = "exports/"  // archives
	SegmentsPrefix = "segments/" // what has been read for archives under way
)

// SegmentPrefix begins the key of every segment of a work and of nothing else.
func SegmentPrefix(work string) string { return SegmentsPrefix + work + "/" }

// Work names one try at a task's archive: its segments are its own, so that what a
// try leaves behind, or still writes, never gets into another's archive.
func Work(task string, try int) string { return task + "/" + strconv.Itoa(try) }

// SegmentKey names segment n, counted from 0, of one stream of a batch.
func SegmentKey(work string, batch, n int, s Stream) string {
	return fmt.Sprintf("%s%06d/%06d.%s", SegmentPrefix(work), batch, n, s)
}

// filesKey names the list of files that belongs to segment n of a batch.
func filesKey(work string, batch, n int) string {
	return fmt.Sprintf("%s%06d/%06d.files", SegmentPrefix(work), batch, n)
}

func folderPath(folder int) string { return "subjects/" + strconv.Itoa(folder) }
