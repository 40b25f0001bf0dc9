package archive

import (
	"encoding/binary"
	"math"
)

// The parts of a zip file as PKWARE's APPNOTE.TXT 6.3.10 has them. Go's own
// archive/zip writes a file in one go to one writer; here an entry goes on in
// another process and the directory is written by a third.
const (
	localHeaderSize = 30

	flagDescriptor = 1 << 3  // checksum and sizes follow the data
	flagUTF8       = 1 << 11 // the name is UTF-8
	methodDeflate  = 8

	versionDeflate = 20
	versionZip64   = 45

	// Every entry bears the first day that the format can express, so that the same
	// records give the same bytes whenever they are exported.
	dosTime = 0
	dosDate = 1<<5 | 1

	max16 = math.MaxUint16
	max32 = math.MaxUint32
)

// appendLocalHeader appends the header that stands before an entry's data.
func appendLocalHeader(b []byte, path string) []byte {
	b = append(b, "PK\x03\x04"...)
	b = binary.LittleEndian.AppendUint16(b, versionDeflate)
	b = binary.LittleEndian.AppendUint16(b, flagDescriptor|flagUTF8)
	b = binary.LittleEndian.AppendUint16(b, methodDeflate)
	b = binary.LittleEndian.AppendUint16(b, dosTime)
	b = binary.LittleEndian.AppendUint16(b, dosDate)
	b = append(b, make([]byte, 12)...) // checksum and sizes: see the descriptor
	b = binary.LittleEndian.AppendUint16(b, uint16(len(path)))
	b = binary.LittleEndian.AppendUint16(b, 0) // no extra field
	return append(b, path...)
}

// appendDescriptor appends what stands after an entry's data. Its sizes are of 8
// bytes only where 4 do not hold them: readers of a stream expect that.
func appendDescriptor(b []byte, f File) []byte {
	b = append(b, "PK\x07\x08"...)
	b = binary.LittleEndian.AppendUint32(b, f.CRC32)
	if f.wide() {
		b = binary.LittleEndian.AppendUint64(b, uint64(f.Compressed))
		return binary.LittleEndian.AppendUint64(b, uint64(f.Bytes))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Compressed))
	return binary.LittleEndian.AppendUint32(b, uint32(f.Bytes))
}

// wide reports whether a size of the entry needs more than 4 bytes.
func (f File) wide() bool { return f.Compressed >= max32 || f.Bytes >= max32 }

// appendEntry appends a file's record of the central directory; base is where
// the file's stream begins in the archive.
func appendEntry(b []byte, f File, base int64) []byte {
	offset := base + f.Offset
	var extra []byte
	version := uint16(versionDeflate)
	if f.wide() || offset >= max32 {
		// Only what does not fit stands in the extra field, in this order.
		version = versionZip64
		extra = binary.LittleEndian.AppendUint16(extra, 1)
		extra = binary.LittleEndian.AppendUint16(extra, 0) // length, set below
		for _, v := range []int64{f.Bytes, f.Compressed, offset} {
			if v >= max32 {
				extra = binary.LittleEndian.AppendUint64(extra, uint64(v))
			}
		}
		binary.LittleEndian.PutUint16(extra[2:], uint16(len(extra)-4))
	}
	b = append(b, "PK\x01\x02"...)
	b = binary.LittleEndian.AppendUint16(b, version) // made by
	b = binary.LittleEndian.AppendUint16(b, version) // needed
	b = binary.LittleEndian.AppendUint16(b, flagDescriptor|flagUTF8)
	b = binary.LittleEndian.AppendUint16(b, methodDeflate)
	b = binary.LittleEndian.AppendUint16(b, dosTime)
	b = binary.LittleEndian.AppendUint16(b, dosDate)
	b = binary.LittleEndian.AppendUint32(b, f.CRC32)
	b = binary.LittleEndian.AppendUint32(b, fit32(f.Compressed))
	b = binary.LittleEndian.AppendUint32(b, fit32(f.Bytes))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(f.Path)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(extra)))
	b = append(b, make([]byte, 10)...) // no comment, first disk, no attributes
	b = binary.LittleEndian.AppendUint32(b, fit32(offset))
	b = append(b, f.Path...)
	return append(b, extra...)
}

// appendEnd appends the end of the archive, whose central directory has n
// entries in size bytes from offset on.
func appendEnd(b []byte, n, size, offset int64) []byte {
	if n >= max16 || size >= max32 || offset >= max32 {
		b = append(b, "PK\x06\x06"...)
		b = binary.LittleEndian.AppendUint64(b, 44) // bytes of this record that follow
		b = binary.LittleEndian.AppendUint16(b, versionZip64)
		b = binary.LittleEndian.AppendUint16(b, versionZip64)
		b = append(b, make([]byte, 8)...) // first disk
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
		b = binary.LittleEndian.AppendUint64(b, uint64(size))
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))

		b = append(b, "PK\x06\x07"...)
		b = append(b, make([]byte, 4)...)
		b = binary.LittleEndian.AppendUint64(b, uint64(offset+size))
		b = binary.LittleEndian.AppendUint32(b, 1) // number of disks
	}
	b = append(b, "PK\x05\x06"...)
	b = append(b, make([]byte, 4)...)
	b = binary.LittleEndian.AppendUint16(b, uint16(min(n, max16)))
	b = binary.LittleEndian.AppendUint16(b, uint16(min(n, max16)))
	b = binary.LittleEndian.AppendUint32(b, fit32(size))
	b = binary.LittleEndian.AppendUint32(b, fit32(offset))
	return binary.LittleEndian.AppendUint16(b, 0) // no comment
}

// fit32 is v, or the mark that says to look for it in a Zip64 field.
func fit32(v int64) uint32 { return uint32(min(v, max32)) }
