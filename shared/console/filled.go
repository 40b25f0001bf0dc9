package console

import (
	"errors"
	"io"
	"net/http"
	"net/url"

	"lethe/shared/kind"
)

const (
	// mostFile is the bytes of a file that are looked at: 2000 identifiers take less.
	mostFile = 3 << 20
	// mostTyped is the bytes of everything else in a form with a file.
	mostTyped = 4 << 20
	// partCost is what each part counts for on top of that: many empty ones are large too.
	partCost = 1 << 10
	// mostSent is the bytes that are read of a form with a file, so that one that is too
	// large is still answered with what was typed.
	mostSent = 64 << 20
)

// A filled form is what was typed into one that can carry a file.
type filled struct {
	url.Values
	file []byte // nil where none was chosen
	over bool   // the file is larger than mostFile
	// parts tells that it came as a form that can carry a file does.
	parts bool
}

// filled reads a form that can carry a file, which it keeps in memory alone: it holds
// identifiers. Who visits has to be known before.
func (v *visit) filled() (filled, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.body, mostSent)
	parts, err := v.r.MultipartReader()
	if errors.Is(err, http.ErrNotMultipart) {
		return filled{Values: v.r.PostForm}, nil
	}
	broken := kind.Say(kind.Invalid, "The form did not arrive whole. Go back, and send it again.")
	if err != nil {
		return filled{}, broken
	}
	f := filled{Values: url.Values{}, parts: true}
	for left := int64(mostTyped); left > 0; {
		part, err := parts.NextPart()
		if err == io.EOF || f.over && tooLarge(err) { // then what was typed before the file is kept
			return f, nil
		}
		if err != nil {
			return f, tooLargeOr(broken, err)
		}
		isFile := part.FileName() != ""
		most := left
		if isFile {
			most = mostFile
		}
		value, err := io.ReadAll(io.LimitReader(part, most+1))
		switch over := int64(len(value)) > most; {
		case err != nil:
			return f, tooLargeOr(broken, err)
		case isFile:
			f.file, f.over = value, over
		default:
			f.Add(part.FormName(), string(value))
			left -= partCost + int64(len(value))
		}
	}
	return f, kind.Say(kind.TooLarge, "What was typed is too large: it may have 4 megabytes.")
}

// tooLarge reports whether more was sent than is read.
func tooLarge(err error) bool {
	var large *http.MaxBytesError
	return errors.As(err, &large)
}

func tooLargeOr(broken, err error) error {
	if tooLarge(err) {
		return kind.Say(kind.TooLarge, "The file is far too large. A request takes 2000 identifiers at most.")
	}
	return broken
}
