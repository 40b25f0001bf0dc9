package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lethe/shared/kind"
)

// Memory is the in-memory form of Bucket, for tests. It keeps every promise of
// Bucket but durability, and holds whole files. Its links name the file, but
// nothing serves them. Its tags are the strictest that a store may give: the
// same bytes stored again have another tag.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	files   map[string]file
	folders map[string]int // how many files lie below each folder
	uploads map[string]*upload
	names   int // the last name of an upload or tag of a part
}

var _ Bucket = (*Memory)(nil)

type file struct {
	data    []byte
	changed time.Time
}

type upload struct {
	key   string
	parts map[int]storedPart
}

type storedPart struct {
	tag  string
	data []byte
}

// NewMemory returns an empty bucket that takes the time from now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now:     now,
		files:   map[string]file{},
		folders: map[string]int{},
		uploads: map[string]*upload{},
	}
}

// Put implements Bucket.
func (m *Memory) Put(ctx context.Context, key string, r io.Reader) error {
	if err := begin(ctx, key); err != nil {
		return kind.Wrap("put a file", err)
	}
	data, err := io.ReadAll(r)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return kind.Wrap("put a file", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store("put a file", key, data)
}

// begin is what every method with a key opens with.
func begin(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := CheckKey(key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// store makes data the file under key. The caller holds mu.
func (m *Memory) store(op, key string, data []byte) error {
	if m.folders[key] > 0 {
		return kind.E(kind.Conflict, op)
	}
	for folder := range above(key) {
		if _, ok := m.files[folder]; ok {
			return kind.E(kind.Conflict, op)
		}
	}
	if _, ok := m.files[key]; !ok {
		for folder := range above(key) {
			m.folders[folder]++
		}
	}
	m.files[key] = file{data, m.now()}
	return nil
}

// above yields the folders that key lies in.
func above(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(key) {
			if key[i] == '/' && !yield(key[:i]) {
				return
			}
		}
	}
}

// Get implements Bucket.
func (m *Memory) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := begin(ctx, key); err != nil {
		return nil, kind.Wrap("get a file", err)
	}
	if off < 0 {
		return nil, kind.E(kind.Invalid, "get a file")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[key]
	if !ok {
		return nil, kind.E(kind.NotFound, "get a file")
	}
	data := f.data[min(off, int64(len(f.data))):]
	if n >= 0 {
		data = data[:min(n, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Head implements Bucket.
func (m *Memory) Head(ctx context.Context, key string) (Info, error) {
	if err := begin(ctx, key); err != nil {
		return Info{}, kind.Wrap("look up a file", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[key]
	if !ok {
		return Info{}, kind.E(kind.NotFound, "look up a file")
	}
	return f.info(key), nil
}

func (f file) info(key string) Info { return Info{key, int64(len(f.data)), f.changed} }

// List implements Bucket.
func (m *Memory) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	for _, p := range []string{prefix, after} {
		if err := CheckPrefix(p); err != nil {
			return nil, kind.Wrap("list files", err)
		}
	}
	if limit < 1 {
		return nil, kind.E(kind.Invalid, "list files")
	}
	if err := ctx.Err(); err != nil {
		return nil, kind.Wrap("list files", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []Info
	for key, f := range m.files {
		if strings.HasPrefix(key, prefix) && key > after {
			infos = append(infos, f.info(key))
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
	return infos[:min(limit, len(infos))], nil
}

// Delete implements Bucket.
func (m *Memory) Delete(ctx context.Context, keys ...string) error {
	if err := begin(ctx, keys...); err != nil {
		return kind.Wrap("delete files", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		if _, ok := m.files[key]; !ok {
			continue
		}
		delete(m.files, key)
		for folder := range above(key) {
			m.folders[folder]--
		}
	}
	return nil
}

// Link implements Bucket.
func (m *Memory) Link(ctx context.Context, key string, l Link) (string, error) {
	if err := begin(ctx, key); err != nil {
		return "", kind.Wrap("make a link", err)
	}
	if err := l.Check(); err != nil {
		return "", kind.Wrap("make a link", err)
	}
	query := url.Values{
		"expires":  {strconv.FormatInt(m.now().Add(l.Lifetime).Unix(), 10)},
		"filename": {l.Filename},
		"type":     {l.Type},
	}
	return fmt.Sprintf("memory:///%s?%s", key, query.Encode()), nil
}
