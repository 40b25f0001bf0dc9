package asl

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	randv2 "math/rand/v2"
	"strings"
	"unicode/utf8"
)

// The intrinsic functions of
// https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html.

// A function is given its arguments, as many as its entry in lookup allows. Its
// error says what is wrong, not what was given.
type function func(args []any) (any, error)

type signature struct {
	run         function
	least, most int // arguments; most is -1 where there is no limit
}

func lookup(name string) (signature, bool) {
	switch name {
	case "States.Format":
		return signature{format, 1, -1}, true
	case "States.StringToJson":
		return signature{stringToJSON, 1, 1}, true
	case "States.JsonToString":
		return signature{jsonToString, 1, 1}, true
	case "States.Array":
		return signature{array, 0, -1}, true
	case "States.ArrayPartition":
		return signature{arrayPartition, 2, 2}, true
	case "States.ArrayContains":
		return signature{arrayContains, 2, 2}, true
	case "States.ArrayRange":
		return signature{arrayRange, 3, 3}, true
	case "States.ArrayGetItem":
		return signature{arrayGetItem, 2, 2}, true
	case "States.ArrayLength":
		return signature{arrayLength, 1, 1}, true
	case "States.ArrayUnique":
		return signature{arrayUnique, 1, 1}, true
	case "States.Base64Encode":
		return signature{base64Encode, 1, 1}, true
	case "States.Base64Decode":
		return signature{base64Decode, 1, 1}, true
	case "States.Hash":
		return signature{hashOf, 2, 2}, true
	case "States.JsonMerge":
		return signature{jsonMerge, 3, 3}, true
	case "States.MathRandom":
		return signature{mathRandom, 2, 3}, true
	case "States.MathAdd":
		return signature{mathAdd, 2, 2}, true
	case "States.StringSplit":
		return signature{stringSplit, 2, 2}, true
	case "States.UUID":
		return signature{uuid, 0, 0}, true
	}
	return signature{}, false
}

// maxText is the most characters that the encoding and hash functions take.
const maxText = 10_000

// format puts the arguments in place of each {} of the pattern. A value that is
// no string is written as Step Functions writes it: {a=1, b=[x, y]}.
func format(args []any) (any, error) {
	pattern, ok := args[0].(string)
	if !ok {
		return nil, errors.New("the pattern is no string")
	}
	args = args[1:]
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern) && strings.IndexByte(`{}\`, pattern[i+1]) >= 0:
			i++
			b.WriteByte(pattern[i])
		case c == '{' && i+1 < len(pattern) && pattern[i+1] == '}':
			if len(args) == 0 {
				return nil, errors.New("there are more {} than arguments")
			}
			writePlain(&b, args[0])
			args = args[1:]
			i++
		case c == '{' || c == '}':
			return nil, errors.New("a brace stands alone and is not escaped")
		default:
			b.WriteByte(c)
		}
	}
	if len(args) > 0 {
		return nil, errors.New("there are more arguments than {}")
	}
	return b.String(), nil
}

func writePlain(b *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.WriteString(v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writePlain(b, e)
		}
		b.WriteByte(']')
	case *object:
		b.WriteByte('{')
		for i, k := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(k + "=")
			writePlain(b, v.values[k])
		}
		b.WriteByte('}')
	default:
		b.Write(encode(v))
	}
}

func stringToJSON(args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	s, ok := args[0].(string)
	if !ok {
		return nil, errors.New("the argument is no string")
	}
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	v, err := decode([]byte(s))
	if err != nil {
		return nil, errors.New("the string is not JSON")
	}
	return v, nil
}

func jsonToString(args []any) (any, error) { return string(encode(args[0])), nil }

func base64Encode(args []any) (any, error) {
	s, err := asText(args[0])
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString([]byte(s)), nil
}

func base64Decode(args []any) (any, error) {
	s, err := asText(args[0])
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil || !utf8.Valid(data) {
		return nil, errors.New("the string is not Base64 of text")
	}
	return string(data), nil
}

func hashOf(args []any) (any, error) {
	text, isText := args[0].(string)
	if !isText {
		text = string(encode(args[0]))
	}
	if utf8.RuneCountInString(text) > maxText {
		return nil, errors.New("the data has more than 10,000 characters")
	}
	data := []byte(text)
	switch args[1] {
	case "MD5":
		sum := md5.Sum(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-1":
		sum := sha1.Sum(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-256":
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-384":
		sum := sha512.Sum384(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-512":
		sum := sha512.Sum512(data)
		return hex.EncodeToString(sum[:]), nil
	}
	return nil, errors.New("the algorithm must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512")
}

func jsonMerge(args []any) (any, error) {
	a, ok := args[0].(*object)
	b, also := args[1].(*object)
	if !ok || !also {
		return nil, errors.New("the first two arguments must be objects")
	}
	if args[2] != false {
		return nil, errors.New("the third argument must be false: only shallow merging is run")
	}
	merged := a.clone()
	for _, k := range b.keys {
		merged.set(k, b.values[k])
	}
	return merged, nil
}

// mathRandom gives an integer from the first argument on and below the second.
// With a seed it repeats itself, though not with the numbers that AWS gives.
func mathRandom(args []any) (any, error) {
	from, err := asInteger(args[0])
	if err != nil {
		return nil, err
	}
	to, err := asInteger(args[1])
	if err != nil {
		return nil, err
	}
	if to <= from || to-from <= 0 {
		return nil, errors.New("the end is not above the start")
	}
	if len(args) == 2 {
		return number(from + randv2.Int64N(to-from)), nil
	}
	seed, err := asInteger(args[2])
	if err != nil {
		return nil, err
	}
	return number(from + randv2.New(randv2.NewPCG(uint64(seed), 0)).Int64N(to-from)), nil
}

func mathAdd(args []any) (any, error) {
	a, err := asInteger(args[0])
	if err != nil {
		return nil, err
	}
	b, err := asInteger(args[1])
	if err != nil {
		return nil, err
	}
	return number(a + b), nil
}

// stringSplit cuts at each character of the second argument; empty pieces go.
func stringSplit(args []any) (any, error) {
	s, ok := args[0].(string)
	separators, also := args[1].(string)
	if !ok || !also {
		return nil, errors.New("both arguments must be strings")
	}
	parts := []any{}
	for _, p := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		parts = append(parts, p)
	}
	return parts, nil
}

// uuid gives a random UUID of version 4.
func uuid([]any) (any, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails: see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

func asText(v any) (string, error) {
	s, ok := v.(string)
	switch {
	case !ok:
		return "", errors.New("the argument is no string")
	case utf8.RuneCountInString(s) > maxText:
		return "", errors.New("the string has more than 10,000 characters")
	}
	return s, nil
}

// asInteger rounds a number to the nearest integer, as Step Functions does.
func asInteger(v any) (int64, error) {
	if i, ok := whole(v); ok {
		return i, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return 0, errors.New("an argument is no number")
	}
	f := math.Round(float(n))
	if math.Abs(f) > 1<<53 {
		return 0, errors.New("a number is too large")
	}
	return int64(f), nil
}
