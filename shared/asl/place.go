package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"lethe/shared/kind"
)

// A node is a JSON value of a definition with its place in the file. Its value is
// nil, bool, string, json.Number, []*node or *fields.
type node struct {
	at    int // byte offset
	value any
}

type fields struct {
	keys   []string
	at     map[string]int // of the name
	values map[string]*node
}

// plain returns the node as a value without places.
func (n *node) plain() any {
	switch v := n.value.(type) {
	case []*node:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = e.plain()
		}
		return list
	case *fields:
		o := newObject()
		for _, k := range v.keys {
			o.set(k, v.values[k].plain())
		}
		return o
	}
	return n.value
}

// place tells line and column, counted from 1; a column is a byte.
func place(text []byte, at int) string {
	before := text[:min(at, len(text))]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Sprintf("%d:%d", line, at-bytes.LastIndexByte(before, '\n'))
}

// A reader reads the JSON of a definition. Unlike decode it refuses a name given
// twice, and it knows where everything stands.
type reader struct {
	text []byte
	d    *json.Decoder
}

func readDefinition(text []byte) (*node, error) {
	if !utf8.Valid(text) {
		return nil, kind.Say(kind.Invalid, "the definition is not UTF-8")
	}
	r := &reader{text: text, d: json.NewDecoder(bytes.NewReader(text))}
	r.d.UseNumber()
	n, err := r.node(0)
	if err == nil {
		end := r.next()
		if _, more := r.d.Token(); more != io.EOF {
			err = r.fault(end, "there is more behind the definition")
		}
	}
	return n, err
}

func (r *reader) fault(at int, what string) error {
	return kind.Say(kind.Invalid, place(r.text, at)+": "+what)
}

// next is the offset of the token to come.
func (r *reader) next() int {
	at := int(r.d.InputOffset())
	for at < len(r.text) && bytes.IndexByte([]byte(" \t\r\n,:"), r.text[at]) >= 0 {
		at++
	}
	return at
}

func (r *reader) token() (json.Token, int, error) {
	at := r.next()
	t, err := r.d.Token()
	if err != nil {
		return nil, at, r.fault(at, "this is not JSON")
	}
	return t, at, nil
}

func (r *reader) node(depth int) (*node, error) {
	t, at, err := r.token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, r.fault(at, "the definition nests more than 500 deep")
	}
	switch t {
	case json.Delim('['):
		list := []*node{}
		for r.d.More() {
			n, err := r.node(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, n)
		}
		_, _, err := r.token()
		return &node{at, list}, err
	case json.Delim('{'):
		f := &fields{at: map[string]int{}, values: map[string]*node{}}
		for r.d.More() {
			key, keyAt, err := r.token()
			if err != nil {
				return nil, err
			}
			name := key.(string)
			if _, twice := f.values[name]; twice {
				return nil, r.fault(keyAt, fmt.Sprintf("%q stands here twice", name))
			}
			n, err := r.node(depth + 1)
			if err != nil {
				return nil, err
			}
			f.keys, f.at[name], f.values[name] = append(f.keys, name), keyAt, n
		}
		_, _, err := r.token()
		return &node{at, f}, err
	}
	return &node{at, t}, nil
}
