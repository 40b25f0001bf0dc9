package blob

import (
	"context"
	"io"
	"strconv"

	"lethe/shared/kind"
)

// Begin implements Bucket.
func (m *Memory) Begin(ctx context.Context, key string) (string, error) {
	if err := begin(ctx, key); err != nil {
		return "", kind.Wrap("begin an upload", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := m.name()
	m.uploads[name] = &upload{key, map[int]storedPart{}}
	return name, nil
}

// name returns a name not given before. The caller holds mu.
func (m *Memory) name() string {
	m.names++
	return strconv.Itoa(m.names)
}

// find returns an upload of key. The caller holds mu.
func (m *Memory) find(op, key, name string) (*upload, error) {
	u, ok := m.uploads[name]
	if !ok || u.key != key {
		return nil, kind.E(kind.NotFound, op)
	}
	return u, nil
}

// Part implements Bucket.
func (m *Memory) Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (Part, error) {
	if err := begin(ctx, key); err != nil {
		return Part{}, kind.Wrap("store a part", err)
	}
	if err := CheckPart(number, r, size); err != nil {
		return Part{}, kind.Wrap("store a part", err)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return Part{}, kind.Wrap("store a part", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.part("store a part", key, upload, number, data)
}

// part stores data as part number. The caller holds mu.
func (m *Memory) part(op, key, upload string, number int, data []byte) (Part, error) {
	u, err := m.find(op, key, upload)
	if err != nil {
		return Part{}, err
	}
	p := storedPart{m.name(), data}
	u.parts[number] = p
	return Part{number, p.tag, int64(len(data))}, nil
}

// CopyPart implements Bucket.
func (m *Memory) CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (Part, error) {
	if err := begin(ctx, key, src); err != nil {
		return Part{}, kind.Wrap("copy a part", err)
	}
	if err := CheckCopy(number, off, n); err != nil {
		return Part{}, kind.Wrap("copy a part", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[src]
	if !ok {
		return Part{}, kind.E(kind.NotFound, "copy a part")
	}
	if n > int64(len(f.data))-off {
		return Part{}, kind.E(kind.Invalid, "copy a part")
	}
	return m.part("copy a part", key, upload, number, f.data[off:off+n])
}

// Complete implements Bucket.
func (m *Memory) Complete(ctx context.Context, key, upload string, parts []Part) error {
	if err := begin(ctx, key); err != nil {
		return kind.Wrap("complete an upload", err)
	}
	if err := CheckParts(parts); err != nil {
		return kind.Wrap("complete an upload", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.find("complete an upload", key, upload)
	if err != nil {
		return err
	}
	var data []byte
	for i, p := range parts {
		stored, ok := u.parts[p.Number]
		if !ok || stored.tag != p.Tag {
			return kind.E(kind.Conflict, "complete an upload")
		}
		if i < len(parts)-1 && len(stored.data) < MinPart {
			return kind.E(kind.Invalid, "complete an upload")
		}
		data = append(data, stored.data...)
	}
	if err := m.store("complete an upload", key, data); err != nil {
		return err
	}
	delete(m.uploads, upload)
	return nil
}

// Abort implements Bucket.
func (m *Memory) Abort(ctx context.Context, key, upload string) error {
	if err := begin(ctx, key); err != nil {
		return kind.Wrap("abort an upload", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, u := range m.uploads {
		if u.key == key && (name == upload || upload == "") {
			delete(m.uploads, name)
		}
	}
	return nil
}
