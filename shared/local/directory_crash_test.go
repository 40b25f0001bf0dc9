package local

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/shared/blob"
)

// crashDir names the directory for the process that is to be killed.
const crashDir = "LETHE_TEST_CRASH_DIRECTORY"

// crashContent is what the file of a key has to hold.
func crashContent(key string) []byte {
	h := fnv.New64a()
	_, _ = io.WriteString(h, key)
	random := rand.New(rand.NewPCG(h.Sum64(), 1))
	size := random.IntN(300_000)
	if strings.HasSuffix(key, "/parts") {
		size += blob.MinPart
	}
	var seed [32]byte
	h.Sum(seed[:0])
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(data)
	return data
}

// TestDirectoryCrash kills a process in the middle of its writes, again and again
// on one directory: every file is whole, and all that was answered is so.
func TestDirectoryCrash(t *testing.T) {
	dir := t.TempDir()
	kept, gone := map[string]bool{}, map[string]bool{}
	for round := range 4 {
		for _, line := range crash(t, dir, round, 25+round*10) {
			verb, key, _ := strings.Cut(line, " ")
			switch verb {
			case "put":
				kept[key] = true
			case "deleting":
				delete(kept, key) // it may be there or not
			case "deleted":
				gone[key] = true
			default:
				t.Fatalf("the process said %q", line)
			}
		}
		d := openDirectory(t, dir, time.Now)
		wantAfterCrash(t, d, kept, gone)
		if got := filesUnder(t, filepath.Join(dir, newFolder)); len(got) > 0 {
			t.Errorf("temporary files stayed: %q", got)
		}
		d.Close()
	}
	if len(kept) < 20 || len(gone) == 0 {
		t.Errorf("%d files kept, %d deleted: too few to tell anything", len(kept), len(gone))
	}
}

func wantAfterCrash(t *testing.T, d *Directory, kept, gone map[string]bool) {
	t.Helper()
	infos, err := d.List(t.Context(), "", "", 100_000)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, info := range infos {
		found[info.Key] = true
		r, err := d.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(data, crashContent(info.Key)) {
			t.Errorf("%s has %d bytes, %v: not what was put", info.Key, len(data), err)
		}
	}
	for key := range kept {
		if !found[key] {
			t.Errorf("%s was put and is lost", key)
		}
	}
	for key := range gone {
		if found[key] {
			t.Errorf("%s was deleted and is back", key)
		}
	}
}

// crash runs the writing process, kills it when it has said that many lines, and
// returns all that it said.
func crash(t *testing.T, dir string, round, lines int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDirectoryCrashChild$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s", crashDir, dir), fmt.Sprintf("%s_ROUND=%d", crashDir, round))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		said = append(said, scanner.Text())
		if len(said) == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait()
	if len(said) < lines {
		t.Fatalf("the process ended by itself after %d lines", len(said))
	}
	return said
}

// TestDirectoryCrashChild is the process that TestDirectoryCrash kills. It writes
// without end and says what it was answered.
func TestDirectoryCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return // an ordinary run of all tests
	}
	d := openDirectory(t, dir, time.Now)
	var mu sync.Mutex
	say := func(verb, key string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %s\n", verb, key)
	}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s/%d/%d", os.Getenv(crashDir+"_ROUND"), worker, i)
				var err error
				if i%4 == 3 {
					key += "/parts"
					err = putInParts(t.Context(), d, key, crashContent(key))
				} else {
					err = d.Put(t.Context(), key, &trickle{crashContent(key)})
				}
				if err != nil {
					t.Errorf("put: %v", err)
					return
				}
				say("put", key)
				if i%5 == 4 {
					say("deleting", key)
					if err := d.Delete(t.Context(), key); err != nil {
						t.Errorf("delete: %v", err)
						return
					}
					say("deleted", key)
				}
			}
		})
	}
	all.Wait()
}

// trickle gives few bytes at a time, so that the process is killed while it
// writes them.
type trickle struct{ data []byte }

func (r *trickle) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 64)], r.data)
	r.data = r.data[n:]
	return n, nil
}

// putInParts stores the second part of every other file twice, so that Complete
// has to copy.
func putInParts(ctx context.Context, d *Directory, key string, data []byte) error {
	upload, err := d.Begin(ctx, key)
	if err != nil {
		return err
	}
	parts := make([]blob.Part, 2)
	for _, i := range []int{0, 1, 1}[:2+len(data)%2] {
		piece := data[:blob.MinPart]
		if i == 1 {
			piece = data[blob.MinPart:]
		}
		if parts[i], err = d.Part(ctx, key, upload, i+1, bytes.NewReader(piece), int64(len(piece))); err != nil {
			return err
		}
	}
	return d.Complete(ctx, key, upload, parts)
}
