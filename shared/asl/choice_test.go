package asl

import (
	"fmt"
	"testing"
)

func TestComparisons(t *testing.T) {
	const data = `{"s":"b","n":2,"big":12345678901234567890,"f":2.0,"t":true,"z":null,"d":"2026-03-14T01:59:00Z","l":[],
		"s2":"b","n2":3,"t2":false,"d2":"2026-03-14T02:59:00+01:00","d3":"2026-03-14T01:59:00.5Z"}`
	v, err := decode([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rule string
		want bool
	}{
		{`"Variable":"$.s","StringEquals":"b"`, true},
		{`"Variable":"$.s","StringEquals":"B"`, false},
		{`"Variable":"$.n","StringEquals":"2"`, false},
		{`"Variable":"$.s","StringEqualsPath":"$.s2"`, true},
		{`"Variable":"$.s","StringLessThan":"c"`, true},
		{`"Variable":"$.s","StringLessThan":"b"`, false},
		{`"Variable":"$.s","StringLessThanEquals":"b"`, true},
		{`"Variable":"$.s","StringGreaterThan":"a"`, true},
		{`"Variable":"$.s","StringGreaterThan":"B"`, true},
		{`"Variable":"$.s","StringGreaterThanEquals":"c"`, false},
		{`"Variable":"$.s","StringLessThanPath":"$.s2"`, false},
		{`"Variable":"$.s","StringLessThanEqualsPath":"$.s2"`, true},
		{`"Variable":"$.s","StringGreaterThanPath":"$.s2"`, false},
		{`"Variable":"$.s","StringGreaterThanEqualsPath":"$.s2"`, true},
		{`"Variable":"$.s","StringEqualsPath":"$.n"`, false},
		{`"Variable":"$.n","NumericEquals":2`, true},
		{`"Variable":"$.n","NumericEquals":2.0`, true},
		{`"Variable":"$.s","NumericEquals":2`, false},
		{`"Variable":"$.f","NumericEqualsPath":"$.n"`, true},
		{`"Variable":"$.n","NumericLessThan":2.5`, true},
		{`"Variable":"$.n","NumericLessThanEquals":2`, true},
		{`"Variable":"$.n","NumericGreaterThan":-1e3`, true},
		{`"Variable":"$.n","NumericGreaterThanEquals":3`, false},
		{`"Variable":"$.n","NumericLessThanPath":"$.n2"`, true},
		{`"Variable":"$.n","NumericLessThanEqualsPath":"$.n2"`, true},
		{`"Variable":"$.n","NumericGreaterThanPath":"$.n2"`, false},
		{`"Variable":"$.n","NumericGreaterThanEqualsPath":"$.n2"`, false},
		{`"Variable":"$.big","NumericGreaterThan":9223372036854775807`, true},
		{`"Variable":"$.t","BooleanEquals":true`, true},
		{`"Variable":"$.t","BooleanEquals":false`, false},
		{`"Variable":"$.s","BooleanEquals":false`, false},
		{`"Variable":"$.t","BooleanEqualsPath":"$.t2"`, false},
		{`"Variable":"$.d","TimestampEquals":"2026-03-14T02:59:00+01:00"`, true},
		{`"Variable":"$.d","TimestampEqualsPath":"$.d2"`, true},
		{`"Variable":"$.d","TimestampLessThan":"2026-03-14T01:59:00.001Z"`, true},
		{`"Variable":"$.d","TimestampLessThanEquals":"2026-03-14T01:59:00Z"`, true},
		{`"Variable":"$.d","TimestampGreaterThan":"2026-03-14T01:59:00Z"`, false},
		{`"Variable":"$.d","TimestampGreaterThanEquals":"2026-03-14T01:59:00Z"`, true},
		{`"Variable":"$.s","TimestampLessThan":"2026-03-14T01:59:00Z"`, false},
		{`"Variable":"$.d","TimestampLessThanPath":"$.d3"`, true},
		{`"Variable":"$.d","TimestampLessThanEqualsPath":"$.d2"`, true},
		{`"Variable":"$.d3","TimestampGreaterThanPath":"$.d"`, true},
		{`"Variable":"$.d","TimestampGreaterThanEqualsPath":"$.d3"`, false},
		{`"Variable":"$.z","IsNull":true`, true},
		{`"Variable":"$.s","IsNull":false`, true},
		{`"Variable":"$.s","IsPresent":true`, true},
		{`"Variable":"$.z","IsPresent":true`, true},
		{`"Variable":"$.none","IsPresent":true`, false},
		{`"Variable":"$.none.deep","IsPresent":false`, true},
		{`"Variable":"$.n","IsNumeric":true`, true},
		{`"Variable":"$.s","IsNumeric":true`, false},
		{`"Variable":"$.s","IsString":true`, true},
		{`"Variable":"$.n","IsString":false`, true},
		{`"Variable":"$.t","IsBoolean":true`, true},
		{`"Variable":"$.l","IsBoolean":true`, false},
		{`"Variable":"$.d","IsTimestamp":true`, true},
		{`"Variable":"$.s","IsTimestamp":true`, false},
		{`"Not":{"Variable":"$.t","BooleanEquals":true}`, false},
		{`"And":[{"Variable":"$.none","IsPresent":true},{"Variable":"$.none","StringEquals":"x"}]`, false},
		{`"Or":[{"Variable":"$.s","StringEquals":"b"},{"Variable":"$.none","StringEquals":"x"}]`, true},
		{`"Or":[{"Not":{"And":[{"Variable":"$.t","BooleanEquals":true},{"Variable":"$.n","NumericEquals":1}]}},{"Variable":"$.t","BooleanEquals":false}]`, true},
	} {
		m, err := Load("m", []byte(states(`"A":{"Type":"Choice","Choices":[{`+c.rule+`,"Next":"A"}]}`)), nil)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		got, why := m.states["A"].choices[0].when.holds(scope{data: v})
		if why != nil || got != c.want {
			t.Errorf("%s: got %v %v, want %v", c.rule, got, why, c.want)
		}
	}
}

func TestAComparisonWithNothingFails(t *testing.T) {
	v, _ := decode([]byte(`{"s":"b"}`))
	for _, rule := range []string{
		`"Variable":"$.none","StringEquals":"b"`,
		`"Variable":"$.none","IsNull":true`,
		`"Variable":"$.s","StringEqualsPath":"$.none"`,
		`"Not":{"Variable":"$.none","IsString":true}`,
	} {
		m := machine(t, states(`"A":{"Type":"Choice","Choices":[{`+rule+`,"Next":"A"}]}`))
		if _, why := m.states["A"].choices[0].when.holds(scope{data: v}); why == nil || why.name != errRuntime {
			t.Errorf("%s: got %v, want %s", rule, why, errRuntime)
		}
	}
}

func TestStringMatches(t *testing.T) {
	for _, c := range []struct {
		text, pattern string
		want          bool
	}{
		{"log-1.txt", "log-*.txt", true},
		{"log-.txt", "log-*.txt", true},
		{"log-1.txt2", "log-*.txt", false},
		{"", "*", true},
		{"", "", true},
		{"a", "", false},
		{"abcabc", "*abc", true},
		{"aXbYbZ", "a*b*Z", true},
		{"aab", "*a*a*a*b", false},
		{"a*b", `a\*b`, true},
		{"axb", `a\*b`, false},
		{`a\b`, `a\\b`, true},
		{`a\xb`, `a\\*b`, true},
		{`a?b[c]`, `a?b[c]`, true},
		{`axb`, `a?b`, false},
		{"größe*", `gr*e\*`, true},
	} {
		if got := like(c.text, c.pattern); got != c.want {
			t.Errorf("%q like %q: got %v, want %v", c.text, c.pattern, got, c.want)
		}
	}
}

func BenchmarkStringMatches(b *testing.B) {
	text := fmt.Sprintf("%01000d", 0)
	for b.Loop() {
		like(text, "*0*0*0*0*0*1")
	}
}
