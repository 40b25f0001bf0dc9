package asl

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf8"

	"lethe/shared/kind"
)

// MaxPayload is the most bytes of JSON that an execution's input, a state's
// input or output, or a task's result may have. It is Step Functions' limit,
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html.
const MaxPayload = 256 << 10

// maxDepth is how deep JSON may nest, so that no input can exhaust the stack.
const maxDepth = 500

// An object is a JSON object that keeps the order of its members, as Step
// Functions does: States.JsonToString and wildcards show it. A JSON value is
// nil, bool, string, json.Number, []any or *object; numbers keep their text.
type object struct {
	keys   []string
	values map[string]any
}

func newObject(pairs ...any) *object {
	o := &object{values: make(map[string]any, len(pairs)/2)}
	for i := 0; i < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func (o *object) get(key string) (any, bool) {
	v, ok := o.values[key]
	return v, ok
}

func (o *object) set(key string, v any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

// clone returns a copy whose members are those of o, not copies of them.
func (o *object) clone() *object {
	c := &object{keys: append([]string(nil), o.keys...), values: make(map[string]any, len(o.values))}
	for k, v := range o.values {
		c.values[k] = v
	}
	return c
}

// decode reads one JSON value. Its error holds no part of the data.
func decode(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, kind.Say(kind.Invalid, "the JSON is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, kind.Say(kind.Invalid, "the data is not JSON, or nests more than 500 deep")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, kind.Say(kind.Invalid, "there is more data behind the JSON value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth++; depth > maxDepth {
		return nil, kind.E(kind.Invalid, "decode: too deep")
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	o := newObject()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(d, depth)
		if err != nil {
			return nil, err
		}
		o.set(key.(string), v)
	}
	_, err = d.Token()
	return o, err
}

// encode writes a value as compact JSON, members in their order, and no
// character escaped that JSON does not ask for.
func encode(v any) []byte {
	var b bytes.Buffer
	encodeTo(&b, v)
	return b.Bytes()
}

func encodeTo(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		if v {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	case json.Number:
		b.WriteString(string(v))
	case string:
		encodeString(b, v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			encodeTo(b, e)
		}
		b.WriteByte(']')
	case *object:
		b.WriteByte('{')
		for i, k := range v.keys {
			if i > 0 {
				b.WriteByte(',')
			}
			encodeString(b, k)
			b.WriteByte(':')
			encodeTo(b, v.values[k])
		}
		b.WriteByte('}')
	}
}

func encodeString(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)         // a string into a buffer cannot fail
	b.Truncate(b.Len() - 1) // Encode ends with a line feed
}

// equal reports whether two values are the same JSON: numbers by value, objects
// whatever the order of their members.
func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		bn, ok := b.(json.Number)
		return ok && compareNumbers(a, bn) == 0
	case []any:
		bl, ok := b.([]any)
		if !ok || len(a) != len(bl) {
			return false
		}
		for i := range a {
			if !equal(a[i], bl[i]) {
				return false
			}
		}
		return true
	case *object:
		bo, ok := b.(*object)
		if !ok || len(a.keys) != len(bo.keys) {
			return false
		}
		for k, v := range a.values {
			w, ok := bo.values[k]
			if !ok || !equal(v, w) {
				return false
			}
		}
		return true
	default:
		switch b.(type) {
		case []any, *object, json.Number:
			return false
		}
		return a == b
	}
}
