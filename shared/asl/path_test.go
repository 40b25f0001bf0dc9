package asl

import (
	"encoding/json"
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
