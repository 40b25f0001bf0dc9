package asl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzPath(f *testing.F) {
	for _, p := range []string{"$", "$$.Map.Item.Value", "$.a.b", "$['a'][0]", "$..a", "$.a[*].b", "$.a[0:2]", "$.a[?(@.b>1 && @.c=='x')]", "$['a','b']"} {
		f.Add(p, `{"a":[{"b":1},{"b":2,"c":"x"}]}`)
	}
	f.Fuzz(func(t *testing.T, text, data string) {
		v, err := decode([]byte(data))
		if err != nil {
			return
		}
		p, err := parsePath(text)
		if err != nil {
			return
		}
		got, err := p.in(v, func() any { return v })
		if err != nil {
			return
		}
		if out := encode(got); !json.Valid(out) {
			t.Errorf("%s gives %s, which is not JSON", text, out)
		}
		if !p.definite || p.context {
			return
		}
		changed, err := p.put(v, "new")
		if err != nil {
			return
		}
		if back, err := p.in(changed, nil); err != nil || back != "new" {
			t.Errorf("what was put at %s is not found there: %v %v", text, back, err)
		}
		if strings.TrimSpace(data) != "" && !equal(v, v) {
			t.Error("a value is not equal to itself")
		}
	})
}

// Step Functions reads paths with Jayway JsonPath. Its answers were recorded;
// ours must be the same, or the path must be refused when a machine is loaded.
func TestPathsGiveWhatJaywayGives(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "jayway.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Data  json.RawMessage
		Paths []struct {
			Path             string
			Gives            json.RawMessage
			Missing, Invalid bool
			Refused          bool // by parsePath, on purpose
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	data, err := decode(golden.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range golden.Paths {
		p, err := parsePath(c.Path)
		if err != nil {
			if !c.Invalid && !c.Refused {
				t.Errorf("%s is refused: %v", c.Path, err)
			}
			continue
		}
		if c.Refused {
			t.Errorf("%s is not refused", c.Path)
		}
		got, err := p.in(data, nil)
		switch {
		case c.Invalid || c.Missing:
			if err == nil {
				t.Errorf("%s gives %.100s, want nothing", c.Path, encode(got))
			}
		case err != nil:
			t.Errorf("%s gives nothing, want %.100s", c.Path, c.Gives)
		default:
			want, err := decode(c.Gives)
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, want) {
				t.Errorf("%s gives %.200s\nwant %.200s", c.Path, encode(got), c.Gives)
			}
		}
	}
}
