package asl

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func evaluate(t testing.TB, text, data string) (any, error) {
	t.Helper()
	e, err := parseExpression(text)
	if err != nil {
		return nil, err
	}
	v, err := decode([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return e.eval(scope{v, func() any { return newObject("Execution", newObject("Name", "x")) }})
}

// The examples are those of Step Functions' own documentation, and the corners
// beside them.
func TestIntrinsicFunctions(t *testing.T) {
	for _, c := range []struct{ text, data, want string }{
		{`States.Format('Welcome to {} {}\'s playlist.', $.firstName, $.lastName)`, `{"firstName":"John","lastName":"Doe"}`, `"Welcome to John Doe's playlist."`},
		{`States.Format('{}, {} and {}', 1.50, true, null)`, `0`, `"1.50, true and null"`},
		{`States.Format('{}', $)`, `{"Arg1":1,"Arg2":["x",{}]}`, `"{Arg1=1, Arg2=[x, {}]}"`},
		{`States.Format('\{\}\\')`, `0`, `"{}\\"`},
		{`States.Format($.p, 1)`, `{"p":"<{}>"}`, `"<1>"`},
		{`States.Format('{}', $$.Execution.Name)`, `0`, `"x"`},
		{`States.StringToJson($.escapedJsonString)`, `{"escapedJsonString":"{\"foo\": \"bar\"}"}`, `{"foo":"bar"}`},
		{`States.StringToJson('')`, `0`, `null`},
		{`States.JsonToString($.o)`, `{"o":{"z":1,"a":[1.0,"<"]}}`, `"{\"z\":1,\"a\":[1.0,\"<\"]}"`},
		{`States.Array($.Id, 'a', null, 2)`, `{"Id":123456}`, `[123456,"a",null,2]`},
		{`States.Array()`, `0`, `[]`},
		{`States.ArrayPartition($.inputArray,4)`, `{"inputArray":[1,2,3,4,5,6,7,8,9]}`, `[[1,2,3,4],[5,6,7,8],[9]]`},
		{`States.ArrayContains($.inputArray, $.lookingFor)`, `{"inputArray":[1,2,3],"lookingFor":3}`, `true`},
		{`States.ArrayContains($.a, '1')`, `{"a":[1,{"b":1}]}`, `false`},
		{`States.ArrayContains($.a, $.b)`, `{"a":[1,{"b":[1],"c":2}],"b":{"c":2.0,"b":[1]}}`, `true`},
		{`States.ArrayRange(1, 9, 2)`, `0`, `[1,3,5,7,9]`},
		{`States.ArrayRange(3, 1, -1)`, `0`, `[3,2,1]`},
		{`States.ArrayRange(1, 0, 1)`, `0`, `[]`},
		{`States.ArrayRange(1.4, 2.5, 1)`, `0`, `[1,2,3]`},
		{`States.ArrayGetItem($.inputArray, $.index)`, `{"inputArray":[1,2,3,4,5,6,7,8,9],"index":5}`, `6`},
		{`States.ArrayLength($.inputArray)`, `{"inputArray":[1,2,3]}`, `3`},
		{`States.ArrayUnique($.inputArray)`, `{"inputArray":[1,2,3,3,3,{"a":1},{"a":1},"3"]}`, `[1,2,3,{"a":1},"3"]`},
		{`States.Base64Encode($.input)`, `{"input":"Data to encode"}`, `"RGF0YSB0byBlbmNvZGU="`},
		{`States.Base64Decode($.base64)`, `{"base64":"RGF0YSB0byBlbmNvZGU="}`, `"Data to encode"`},
		{`States.Hash($.Data, $.Algorithm)`, `{"Data":"input data","Algorithm":"SHA-1"}`, `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
		{`States.Hash('', 'MD5')`, `0`, `"d41d8cd98f00b204e9800998ecf8427e"`},
		{`States.Hash('abc', 'SHA-256')`, `0`, `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`},
		{`States.JsonMerge($.json1, $.json2, false)`, `{"json1":{"a":{"a1":1,"a2":2},"b":2},"json2":{"a":{"a3":1,"a4":2},"c":3}}`, `{"a":{"a3":1,"a4":2},"b":2,"c":3}`},
		{`States.MathAdd($.value1, $.step)`, `{"value1":111,"step":-1}`, `110`},
		{`States.MathAdd(1.4, 1.5)`, `0`, `3`},
		{`States.StringSplit($.inputString, $.splitter)`, `{"inputString":"1,2,3,4,5","splitter":","}`, `["1","2","3","4","5"]`},
		{`States.StringSplit($.s, '.+,=')`, `{"s":"This.is+a,,test=string"}`, `["This","is","a","test","string"]`},
		{`States.Format('{}', States.ArrayGetItem(States.StringSplit($['a,b)'], ','), 1))`, `{"a,b)":"p,q"}`, `"q"`},
		{` States.MathAdd ( 1 , 2 ) `, `0`, `3`},
	} {
		got, err := evaluate(t, c.text, c.data)
		if err != nil || string(encode(got)) != c.want {
			t.Errorf("%s of %s: got %s %v, want %s", c.text, c.data, encode(got), err, c.want)
		}
	}
}

func TestIntrinsicFunctionsFail(t *testing.T) {
	for _, c := range []struct{ text, data, want string }{
		{`States.Format('{} {}', 1)`, `0`, `States.Format: there are more {} than arguments`},
		{`States.Format('{}', 1, 2)`, `0`, `States.Format: there are more arguments than {}`},
		{`States.Format('{x}', 1)`, `0`, `States.Format: a brace stands alone and is not escaped`},
		{`States.Format($, 1)`, `0`, `States.Format: the pattern is no string`},
		{`States.StringToJson('\{')`, `0`, `States.StringToJson: the string is not JSON`},
		{`States.ArrayPartition($, 0)`, `[1]`, `States.ArrayPartition: the size is below 1`},
		{`States.ArrayLength($)`, `{}`, `States.ArrayLength: the first argument is no array`},
		{`States.ArrayRange(0, 1000, 1)`, `0`, `States.ArrayRange: the array has more than 1000 elements`},
		{`States.ArrayRange(0, 1, 0)`, `0`, `States.ArrayRange: the step is 0`},
		{`States.ArrayGetItem($, 1)`, `[1]`, `States.ArrayGetItem: the index is not in the array`},
		{`States.Base64Decode('?')`, `0`, `States.Base64Decode: the string is not Base64 of text`},
		{`States.Base64Encode($)`, `"` + strings.Repeat("x", maxText+1) + `"`, `States.Base64Encode: the string has more than 10,000 characters`},
		{`States.Hash('x', 'CRC')`, `0`, `States.Hash: the algorithm must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512`},
		{`States.JsonMerge($, $, true)`, `{}`, `States.JsonMerge: the third argument must be false: only shallow merging is run`},
		{`States.MathAdd('1', 1)`, `0`, `States.MathAdd: an argument is no number`},
		{`States.MathRandom(1, 1)`, `0`, `States.MathRandom: the end is not above the start`},
		{`States.MathAdd($.a, 1)`, `{}`, `the JSONPath '$.a' finds nothing`},

		{`States.Nothing()`, `0`, `function "States.Nothing" is not run`},
		{`States.UUID(1)`, `0`, `States.UUID has a wrong number of arguments`},
		{`States.MathAdd(1)`, `0`, `States.MathAdd has a wrong number of arguments`},
		{`States.MathAdd(1 2)`, `0`, `a comma is missing between arguments`},
		{`States.MathAdd(1, 2`, `0`, `a function's closing ) is missing`},
		{`States.MathAdd(1, 2) 3`, `0`, `there is more text behind the function`},
		{`States.Array('a)`, `0`, `a string's closing ' is missing`},
		{`States.Array('\n')`, `0`, `a backslash may lead only ' { } and \ in a string`},
		{`plain`, `0`, `a value that ends in .$ must be a path or a function States.…(…)`},
		{strings.Repeat(`States.Array(`, 11) + strings.Repeat(`)`, 11), `0`, `functions nest deeper than 10`},
	} {
		got, err := evaluate(t, c.text, c.data)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %s %v, want the error %s", c.text, encode(got), err, c.want)
		}
	}
}

func TestRandomFunctions(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		v, err := evaluate(t, `States.MathRandom(-2, 2)`, `0`)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(encode(v))] = true
	}
	for _, n := range []string{"-2", "-1", "0", "1"} {
		if !seen[n] {
			t.Errorf("200 random numbers from -2 to 1 are without %s", n)
		}
	}
	if len(seen) > 4 {
		t.Errorf("got %v, want numbers from -2 to 1", seen)
	}
	a, _ := evaluate(t, `States.MathRandom(0, 1000000, 7)`, `0`)
	b, _ := evaluate(t, `States.MathRandom(0, 1000000, 7)`, `0`)
	if a != b {
		t.Errorf("one seed gave %v and %v", a, b)
	}
	id, _ := evaluate(t, `States.UUID()`, `0`)
	again, _ := evaluate(t, `States.UUID()`, `0`)
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !form.MatchString(id.(string)) || id == again {
		t.Errorf("got the UUIDs %v and %v", id, again)
	}
}

func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		`States.Format('{} \'{}\' \{', $.a[0], States.Array(1,-2.5e3,null,true))`, `States.StringSplit($['a,b)'], ',')`,
		`States.ArrayPartition($.a, 2)`, `States.JsonMerge($, $, false)`, `States.Hash('x','MD5')`, `$$.Execution.Name`,
		`States.ArrayRange(0, 9, 3)`, `States.MathRandom(0, 5, 1)`, `$.a[?(@.b in [1,'x'] && !(@.c <= -1.5))]`,
	} {
		f.Add(text, `{"a":[{"b":1,"c":-2}],"a,b)":"x,y"}`)
	}
	f.Fuzz(func(t *testing.T, text, data string) {
		if _, err := decode([]byte(data)); err != nil {
			return
		}
		v, err := evaluate(t, text, data)
		if err == nil && !json.Valid(encode(v)) {
			t.Errorf("%s gives %s, which is not JSON", text, encode(v))
		}
	})
}
