package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// An upload is a folder with one file, its body, to which every part is added at
// the end, and an empty file for each part whose name says where in the body the
// part stands. A part that is replaced leaves a gap. If the parts come in order
// and none is replaced, the body is the file that Complete has to make, and no
// byte is written twice.
const bodyFile = "body"

// nameSize is the length of what rand.Text gives.
const nameSize = 26

// maxCopy is how much is copied between two looks at the context.
const maxCopy = 64 << 20

// Begin implements blob.Bucket.
func (d *Directory) Begin(ctx context.Context, key string) (string, error) {
	const op = "begin an upload"
	if err := checkKeys(ctx, key); err != nil {
		return "", kind.Wrap(op, err)
	}
	upload := rand.Text()
	if err := d.root.Mkdir(uploadFolder(key, upload), 0o700); err != nil {
		return "", fileError(op, err)
	}
	if err := d.sync(uploadsFolder); err != nil {
		return "", fileError(op, err)
	}
	return upload, nil
}

// uploadFolder is where an upload stands. It depends on the key, so that an
// upload is not found under another.
func uploadFolder(key, upload string) string {
	sum := sha256.Sum256([]byte(key))
	return path.Join(uploadsFolder, fmt.Sprintf("%s-%x", upload, sum[:16]))
}

// lock returns the folder of an upload and keeps others from it until unlock is
// called. The folder may be absent.
func (d *Directory) lock(key, upload string) (folder string, unlock func(), err error) {
	if len(upload) != nameSize || blob.CheckKey(upload) != nil {
		return "", nil, fs.ErrNotExist // not a name that Begin gave, perhaps a path
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, upload)
	mu := &d.uploads[h.Sum32()%uint32(len(d.uploads))]
	mu.Lock()
	return uploadFolder(key, upload), mu.Unlock, nil
}

// A piece is a part as it stands in the body.
type piece struct {
	number    int
	tag       string
	off, size int64
}

// name is what the piece's own file is called.
func (p piece) name() string { return fmt.Sprintf("%d.%d.%d.%s", p.number, p.off, p.size, p.tag) }

func parsePiece(name string) (piece, bool) {
	var p piece
	n, err := fmt.Sscanf(name, "%d.%d.%d.%s", &p.number, &p.off, &p.size, &p.tag)
	return p, n == 4 && err == nil && p.name() == name && p.off >= 0 && p.size >= 0
}

// pieces returns the parts of an upload, and where the last of them ends; beyond
// may be what a part left that failed. The caller holds the upload.
func (d *Directory) pieces(folder string) (pieces []piece, end int64, err error) {
	entries, err := d.entries(folder)
	if err != nil {
		return nil, 0, err
	}
	body := false
	for _, entry := range entries {
		if entry.Name() == bodyFile {
			body = true
		} else if p, ok := parsePiece(entry.Name()); ok {
			pieces = append(pieces, p)
			end = max(end, p.off+p.size)
		}
	}
	if len(pieces) > 0 && !body {
		// A crash came after Complete had moved the body to its key.
		return nil, 0, fs.ErrNotExist
	}
	return pieces, end, nil
}

// Part implements blob.Bucket.
func (d *Directory) Part(ctx context.Context, key, upload string, number int, r io.ReadSeeker, size int64) (blob.Part, error) {
	const op = "store a part"
	if err := checkKeys(ctx, key); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	if err := blob.CheckPart(number, r, size); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	src := &fileSource{ctx: ctx, r: r}
	part, err := d.add(key, upload, number, size, func(body *os.File) error {
		_, err := io.CopyN(body, src, size)
		return err
	})
	if src.err != nil {
		return blob.Part{}, kind.Wrap(op, src.err)
	}
	if err != nil {
		return blob.Part{}, fileError(op, err)
	}
	return part, nil
}

// CopyPart implements blob.Bucket.
func (d *Directory) CopyPart(ctx context.Context, key, upload string, number int, src string, off, n int64) (blob.Part, error) {
	const op = "copy a part"
	if err := checkKeys(ctx, key, src); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	if err := blob.CheckCopy(number, off, n); err != nil {
		return blob.Part{}, kind.Wrap(op, err)
	}
	f, info, err := d.open(src)
	if err != nil {
		return blob.Part{}, fileError(op, err)
	}
	defer f.Close()
	if cut(info.Size(), off, n) < n {
		return blob.Part{}, kind.E(kind.Invalid, op)
	}
	part, err := d.add(key, upload, number, n, func(body *os.File) error {
		return copyRange(ctx, body, f, off, n)
	})
	if err != nil {
		return blob.Part{}, fileError(op, err)
	}
	return part, nil
}

// copyRange adds n bytes from off on of a file to another. Between two files the
// system copies without the bytes passing through this process, where it can.
func copyRange(ctx context.Context, dst, src *os.File, off, n int64) error {
	if _, err := src.Seek(off, io.SeekStart); err != nil {
		return err
	}
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		copied, err := io.CopyN(dst, src, min(n, maxCopy))
		if err != nil {
			return err
		}
		n -= copied
	}
	return nil
}

// add stores a part of size bytes, which fill writes, at the end of the body. The
// part that had the number goes when the new one is durable.
func (d *Directory) add(key, upload string, number int, size int64, fill func(body *os.File) error) (blob.Part, error) {
	folder, unlock, err := d.lock(key, upload)
	if err != nil {
		return blob.Part{}, err
	}
	defer unlock()
	pieces, end, err := d.pieces(folder)
	if err != nil {
		return blob.Part{}, err
	}
	if err := d.extend(path.Join(folder, bodyFile), end, fill); err != nil {
		return blob.Part{}, err
	}
	p := piece{number, rand.Text(), end, size}
	f, err := d.root.OpenFile(path.Join(folder, p.name()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return blob.Part{}, err
	}
	if err := f.Close(); err != nil {
		return blob.Part{}, err
	}
	for _, old := range pieces {
		if old.number == number {
			if err := d.root.Remove(path.Join(folder, old.name())); err != nil {
				return blob.Part{}, err
			}
		}
	}
	if err := d.sync(folder); err != nil {
		return blob.Part{}, err
	}
	return blob.Part{Number: number, Tag: p.tag, Size: size}, nil
}

// extend writes what fill writes at the end of a body, durably.
func (d *Directory) extend(name string, end int64, fill func(body *os.File) error) error {
	body, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := body.Seek(end, io.SeekStart); err != nil {
		return err
	}
	if err := fill(body); err != nil {
		return err
	}
	return body.Sync()
}

// Complete implements blob.Bucket. If a crash interrupts it, it can be repeated:
// either the upload still stands, or it is kind.NotFound and the file is there.
func (d *Directory) Complete(ctx context.Context, key, upload string, parts []blob.Part) error {
	const op = "complete an upload"
	if err := checkKeys(ctx, key); err != nil {
		return kind.Wrap(op, err)
	}
	if err := blob.CheckParts(parts); err != nil {
		return kind.Wrap(op, err)
	}
	folder, unlock, err := d.lock(key, upload)
	if err != nil {
		return fileError(op, err)
	}
	defer unlock()
	pieces, _, err := d.pieces(folder)
	if err != nil {
		return fileError(op, err)
	}
	chosen, err := choose(pieces, parts)
	if err != nil {
		return kind.Wrap(op, err)
	}
	body := path.Join(folder, bodyFile)
	name, err := d.join(ctx, body, chosen)
	if err != nil {
		return fileError(op, err)
	}
	if err := d.publish(name, key); err != nil {
		if name != body {
			_ = d.root.Remove(name) // what is left of it goes when the directory is opened
		}
		return fileError(op, err)
	}
	return fileError(op, d.discard(folder))
}

// choose returns the pieces that parts name.
func choose(pieces []piece, parts []blob.Part) ([]piece, error) {
	byTag := make(map[string]piece, len(pieces))
	for _, p := range pieces {
		byTag[p.tag] = p
	}
	chosen := make([]piece, 0, len(parts))
	for i, part := range parts {
		p, ok := byTag[part.Tag]
		if !ok || p.number != part.Number {
			return nil, kind.E(kind.Conflict, "find a part")
		}
		if i < len(parts)-1 && p.size < blob.MinPart {
			return nil, kind.E(kind.Invalid, "check the size of a part")
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// join makes the pieces, in that order, into one durable file and returns its
// name: the body itself where that is already so, else a new file.
func (d *Directory) join(ctx context.Context, name string, pieces []piece) (string, error) {
	body, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer body.Close()
	end := int64(0)
	for _, p := range pieces {
		if p.off != end {
			return d.write(func(f *os.File) error {
				for _, p := range pieces {
					if err := copyRange(ctx, f, body, p.off, p.size); err != nil {
						return err
					}
				}
				return nil
			})
		}
		end += p.size
	}
	if err := body.Truncate(end); err != nil {
		return "", err
	}
	return name, d.finish(body, name)
}

// discard removes an upload, durably. It goes in one step, so that a crash never
// leaves half of one.
func (d *Directory) discard(folder string) error {
	name := path.Join(newFolder, rand.Text())
	if err := d.root.Rename(folder, name); err != nil {
		return err
	}
	if err := d.sync(uploadsFolder); err != nil {
		return err
	}
	return d.root.RemoveAll(name)
}

// Abort implements blob.Bucket.
func (d *Directory) Abort(ctx context.Context, key, upload string) error {
	const op = "abort an upload"
	if err := checkKeys(ctx, key); err != nil {
		return kind.Wrap(op, err)
	}
	uploads := []string{upload}
	if upload == "" {
		var err error
		if uploads, err = d.uploadsOf(key); err != nil {
			return fileError(op, err)
		}
	}
	for _, upload := range uploads {
		if err := d.abort(key, upload); err != nil {
			return fileError(op, err)
		}
	}
	return nil
}

func (d *Directory) abort(key, upload string) error {
	folder, unlock, err := d.lock(key, upload)
	if err != nil {
		return nil // such an upload cannot be there
	}
	defer unlock()
	if err := d.discard(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// uploadsOf returns the names of all uploads of a key.
func (d *Directory) uploadsOf(key string) ([]string, error) {
	entries, err := d.entries(uploadsFolder)
	if err != nil {
		return nil, err
	}
	var uploads []string
	for _, entry := range entries {
		upload, _, _ := strings.Cut(entry.Name(), "-")
		if uploadFolder(key, upload) == path.Join(uploadsFolder, entry.Name()) {
			uploads = append(uploads, upload)
		}
	}
	return uploads, nil
}
