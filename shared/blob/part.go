package blob

import (
	"io"

	"lethe/shared/kind"
)

// CheckPart returns kind.Invalid unless number is one of 1 to MaxParts, r has
// exactly size bytes from where it stands, and those are at most MaxPart. It
// leaves r where it stood. An error of r is returned with its kind.
func CheckPart(number int, r io.Seeker, size int64) error {
	if err := checkNumber(number, size); err != nil {
		return err
	}
	start, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return kind.Wrap("find the size of a part", err)
	}
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return kind.Wrap("find the size of a part", err)
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return kind.Wrap("find the size of a part", err)
	}
	if end-start != size {
		return kind.E(kind.Invalid, "check the size of a part")
	}
	return nil
}

// CheckCopy returns kind.Invalid unless number is one of 1 to MaxParts and
// n bytes from off on, at least one and at most MaxPart, can be a range.
func CheckCopy(number int, off, n int64) error {
	if off < 0 || n < 1 {
		return kind.E(kind.Invalid, "check the range of a part")
	}
	return checkNumber(number, n)
}

func checkNumber(number int, size int64) error {
	if number < 1 || number > MaxParts {
		return kind.E(kind.Invalid, "check the number of a part")
	}
	if size < 0 || size > MaxPart {
		return kind.E(kind.Invalid, "check the size of a part")
	}
	return nil
}

// CheckParts returns kind.Invalid unless there is at least one part and the
// numbers rise. What the parts hold is for the driver to check.
func CheckParts(parts []Part) error {
	if len(parts) == 0 {
		return kind.E(kind.Invalid, "check that an upload has parts")
	}
	last := 0
	for _, p := range parts {
		if p.Number <= last || p.Number > MaxParts {
			return kind.E(kind.Invalid, "check the order of parts")
		}
		last = p.Number
	}
	return nil
}
