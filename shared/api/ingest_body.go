package api

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"lethe/shared/events"
	"lethe/shared/kind"
)

// Limits of one ingestion request.
const (
	maxRecords = 2000
	// maxJSON bounds the records as JSON, after all decoding.
	maxJSON = 10 << 20
	// maxSent bounds a body as it arrives and after decompression: maxJSON in the
	// widest form that libraries use, JSON with escapes in a form.
	maxSent = 3 * maxJSON
)

// A body is what an ingestion request brought.
type body struct {
	// records are valid JSON values, but for those that have a fault.
	records [][]byte
	faults  map[int]error
	// library tells the form of the client libraries, data=…, from JSON.
	library bool
	// params are those of the query and of the form, without data.
	params url.Values
}

// flag reports whether a parameter is 1, as libraries say yes.
func (b *body) flag(name string) bool {
	v := b.params.Get(name)
	return v == "1" || v == "true"
}

// read reads a request and sets the form of its answer. With an error it returns
// what it has read so far.
func (in *ingestion) read(a *answer, r *http.Request) (*body, error) {
	query, _ := url.ParseQuery(r.URL.RawQuery) // what cannot be read is not there
	b := &body{params: query}
	if err := a.shape(b.params); err != nil {
		return b, err
	}
	if r.Method != http.MethodPost {
		data := query.Get("data")
		query.Del("data")
		b.library = true
		a.strict = b.flag("strict")
		return b, b.readData(data)
	}
	sent, err := readSent(a.w, r)
	if err != nil {
		return b, err
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if strings.HasSuffix(contentType, "ndjson") || strings.HasSuffix(contentType, "jsonl") {
		a.strict = a.strict || b.flag("strict")
		return b, b.readLines(sent)
	}
	if begin := bytes.TrimLeft(sent, " \t\r\n"); len(begin) > 0 && (begin[0] == '{' || begin[0] == '[') {
		a.strict = a.strict || b.flag("strict")
		return b, b.readJSON(sent)
	}
	b.library = true
	data := b.readForm(sent)
	a.strict = b.flag("strict")
	if err := a.shape(b.params); err != nil {
		return b, err
	}
	return b, b.readData(data)
}

// readSent reads a body, decompressed, and refuses one that is too large before
// it is in memory.
func readSent(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := kind.Say(kind.TooLarge, "The request is too large. Send at most 10 MB of JSON at once.")
	var from io.Reader = http.MaxBytesReader(w, r.Body, maxSent)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(from)
		if err != nil {
			return nil, readError(err, tooLarge)
		}
		from = io.LimitReader(unpacked, maxSent+1)
	default:
		return nil, kind.Say(kind.Invalid, "The Content-Encoding is not known. Send gzip, or nothing.")
	}
	var sent bytes.Buffer
	sent.Grow(int(min(max(r.ContentLength, 0), 1<<20)) + bytes.MinRead) // a length may be a lie
	if _, err := sent.ReadFrom(from); err != nil {
		return nil, readError(err, tooLarge)
	}
	if sent.Len() > maxSent {
		return nil, tooLarge
	}
	return sent.Bytes(), nil
}

func readError(err, tooLarge error) error {
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return tooLarge
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF):
		return kind.Say(kind.Invalid, "The body ends too early or is not gzip, which its Content-Encoding says.")
	}
	return kind.Say(kind.Invalid, "The body could not be read to its end.")
}

// readForm reads name=value pairs into params and returns data. A value that is
// not escaped is taken as it stands, for npm mixpanel sends base64 like that.
func (b *body) readForm(sent []byte) (data string) {
	for pair := range strings.SplitSeq(strings.TrimSpace(string(sent)), "&") {
		name, value, _ := strings.Cut(pair, "=")
		if unescaped, err := url.QueryUnescape(value); err == nil {
			value = unescaped
		}
		if name == "data" {
			data = value
		} else if len(b.params) < 100 {
			b.params.Set(name, value)
		}
	}
	return data
}

// readData reads what a library sends as data: JSON, or that in base64, where a +
// may have become a space on its way.
func (b *body) readData(data string) error {
	data = strings.TrimSpace(data)
	if data == "" {
		return kind.Say(kind.Invalid, "There is no data. Send JSON, or a form with a field data.")
	}
	if data[0] == '{' || data[0] == '[' {
		return b.readJSON([]byte(data))
	}
	plain, err := base64.RawStdEncoding.DecodeString(unbase64.Replace(data))
	if err != nil {
		return kind.Say(kind.Invalid, "The data is neither JSON nor base64.")
	}
	return b.readJSON(plain)
}

// unbase64 makes the usual letters of base64 of those for addresses, of white
// space, and of padding, which carries nothing.
var unbase64 = strings.NewReplacer(" ", "+", "-", "+", "_", "/", "\n", "", "\r", "", "=", "")

// readJSON reads one record or a list of them.
func (b *body) readJSON(data []byte) error {
	if err := checkSize(data); err != nil {
		return err
	}
	data = bytes.TrimSpace(data)
	if !json.Valid(data) {
		return kind.Say(kind.Invalid, "The body is not valid JSON.")
	}
	switch data[0] {
	case '{':
		b.records = [][]byte{data}
	case '[':
		for record := range events.Elements(data) {
			b.records = append(b.records, record)
		}
	default:
		return kind.Say(kind.Invalid, "The body must be a JSON object or a list of them.")
	}
	return b.checkCount()
}

// readLines reads JSON Lines: a line that is not JSON is a record with a fault.
func (b *body) readLines(data []byte) error {
	if err := checkSize(data); err != nil {
		return err
	}
	b.faults = map[int]error{}
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			b.faults[len(b.records)] = &events.Fault{Message: "the line is not valid JSON"}
		}
		b.records = append(b.records, line)
	}
	return b.checkCount()
}

func checkSize(data []byte) error {
	if len(data) > maxJSON {
		return kind.Say(kind.TooLarge, "The request is too large. Send at most 10 MB of JSON at once.")
	}
	if !utf8.Valid(data) {
		return kind.Say(kind.Invalid, "The body is not valid UTF-8.")
	}
	return nil
}

func (b *body) checkCount() error {
	if len(b.records) == 0 {
		return kind.Say(kind.Invalid, "There is no record in the request.")
	}
	if len(b.records) > maxRecords {
		return kind.Say(kind.TooLarge, "There are more than 2000 records. Send at most 2000 at once.")
	}
	return nil
}
