package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/klauspost/compress/zstd"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// A value is stored in one item, or, compressed, in several that are written in
// one transaction and removed in one. An item begins
//
//	byte     1, the version of this format
//	byte     flags: compressed, piece, without means
//	uvarint  received_at, in ms
//	uvarint  how many pieces follow, in an item that is not a piece
//	8 bytes  in a piece and in what has pieces: the value they belong to
//	uvarint  if flagged: up to when the means of collection were removed, in ms
//
// and the rest of it is the value, or the part of it that is here.
const (
	format = 1

	flagCompressed = 1
	flagPiece      = 2
	flagWithout    = 4

	// cut is where a value is compressed, and then cut.
	cut = 300 << 10
	// maxStored bounds a value after compression, so that all of it and what it
	// replaces go into one transaction.
	maxStored = 3 << 20
	// maxValue bounds a value before compression.
	maxValue = 16 << 20
)

// codec compresses what is too large for one item.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() codec {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // only an option that is out of range is an error
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxValue))
	if err != nil {
		panic(err)
	}
	return codec{enc, dec}
}

// A head is what the beginning of an item says.
type head struct {
	flags    byte
	received int64
	pieces   int
	set      [8]byte
	without  int64
	body     []byte
}

// encode returns the items of a value: data of the first, and of the pieces. It
// returns kind.TooLarge for one that cannot be stored. Without, if not 0, is up to
// when the means of collection were removed from it.
func (c codec) encode(received time.Time, without int64, value []byte) (first []byte, pieces [][]byte, err error) {
	h := head{received: received.UnixMilli(), without: without}
	if without != 0 {
		h.flags = flagWithout
	}
	if len(value) <= cut {
		return append(h.append(make([]byte, 0, 16+len(value))), value...), nil, nil
	}
	if len(value) > maxValue {
		return nil, nil, kind.E(kind.TooLarge, "store a value")
	}
	packed := c.enc.EncodeAll(value, nil)
	if len(packed) > maxStored {
		return nil, nil, kind.E(kind.TooLarge, "store a value")
	}
	h.flags |= flagCompressed
	if len(packed) <= cut {
		return append(h.append(nil), packed...), nil, nil
	}
	sum := sha256.Sum256(value)
	copy(h.set[:], sum[:])
	h.pieces = (len(packed) - 1) / cut
	first = append(h.append(nil), packed[:cut]...)
	p := head{flags: flagPiece, received: h.received, set: h.set}
	for rest := packed[cut:]; len(rest) > 0; {
		n := min(cut, len(rest))
		pieces = append(pieces, append(p.append(nil), rest[:n]...))
		rest = rest[n:]
	}
	return first, pieces, nil
}

func (h head) append(b []byte) []byte {
	b = append(b, format, h.flags)
	b = binary.AppendUvarint(b, uint64(h.received))
	if h.flags&flagPiece == 0 {
		b = binary.AppendUvarint(b, uint64(h.pieces))
	}
	if h.flags&flagPiece != 0 || h.pieces > 0 {
		b = append(b, h.set[:]...)
	}
	if h.flags&flagWithout != 0 {
		b = binary.AppendUvarint(b, uint64(h.without))
	}
	return b
}

// readHead reads the beginning of an item.
func readHead(data []byte) (head, error) {
	bad := kind.E(kind.Corrupt, "read an item of the subjects table")
	if len(data) < 3 || data[0] != format {
		return head{}, bad
	}
	h := head{flags: data[1]}
	received, n := binary.Uvarint(data[2:])
	if n <= 0 {
		return head{}, bad
	}
	data = data[2+n:]
	h.received = int64(received)
	if h.flags&flagPiece == 0 {
		pieces, n := binary.Uvarint(data)
		if n <= 0 || pieces > maxStored/cut+1 {
			return head{}, bad
		}
		data = data[n:]
		h.pieces = int(pieces)
	}
	if h.flags&flagPiece != 0 || h.pieces > 0 {
		if len(data) < len(h.set) {
			return head{}, bad
		}
		copy(h.set[:], data)
		data = data[len(h.set):]
	}
	if h.flags&flagWithout != 0 {
		without, n := binary.Uvarint(data)
		if n <= 0 {
			return head{}, bad
		}
		h.without, data = int64(without), data[n:]
	}
	h.body = data
	return h, nil
}

func (h head) isPiece() bool { return h.flags&flagPiece != 0 }

// join adds the pieces of h's value to its body, in order. ok is false if one of
// them is of another value: then somebody wrote between two reads.
func (h *head) join(pieces []table.Item) (ok bool, err error) {
	whole := bytes.Clone(h.body)
	for _, item := range pieces {
		p, err := readHead(item.Data)
		if err != nil {
			return false, err
		}
		if !p.isPiece() || p.set != h.set {
			return false, nil
		}
		whole = append(whole, p.body...)
	}
	h.body = whole
	return len(pieces) == h.pieces, nil
}

// value returns the value that h and its joined pieces hold.
func (c codec) value(h head) ([]byte, error) {
	if h.flags&flagCompressed == 0 {
		return h.body, nil
	}
	value, err := c.dec.DecodeAll(h.body, nil)
	if err != nil {
		return nil, kind.E(kind.Corrupt, "decompress an item of the subjects table")
	}
	return value, nil
}

// A string in a value has its length before it.
func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutText(b []byte) (s string, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, kind.E(kind.Corrupt, "read an item of the subjects table")
	}
	return string(b[size : size+int(n)]), b[size+int(n):], nil
}

// The value of an event is its name, its insert id and its properties.
func eventValue(name, insertID string, properties []byte) []byte {
	b := make([]byte, 0, len(name)+len(insertID)+len(properties)+8)
	return append(appendText(appendText(b, name), insertID), properties...)
}

func readEvent(value []byte) (name, insertID string, properties []byte, err error) {
	if name, value, err = cutText(value); err != nil {
		return "", "", nil, err
	}
	insertID, properties, err = cutText(value)
	return name, insertID, properties, err
}
