package asl

import (
	"testing"
)

func TestStates(t *testing.T) {
	for _, c := range []struct {
		name, states, input string
		status              Status
		output              string // or error
		path                string
	}{
		{"pass", `"A":{"Type":"Pass","End":true}`, `{"a":1.0}`, Succeeded, `{"a":1.0}`, "A"},
		{"succeed", `"A":{"Type":"Succeed","InputPath":"$.a"}`, `{"a":[1,"<&>"]}`, Succeeded, `[1,"<&>"]`, "A"},
		{"result beside the input", `"A":{"Type":"Pass","Result":{"z":null},"ResultPath":"$.r.s","End":true}`, `{"b":1,"a":2}`, Succeeded, `{"b":1,"a":2,"r":{"s":{"z":null}}}`, "A"},
		{"no result", `"A":{"Type":"Pass","Result":1,"ResultPath":null,"End":true}`, `{"a":2}`, Succeeded, `{"a":2}`, "A"},
		{"null paths", `"A":{"Type":"Pass","InputPath":null,"Next":"B"},"B":{"Type":"Pass","Result":[1],"OutputPath":null,"End":true}`, `5`, Succeeded, `{}`, "A B"},
		{"parameters", `"A":{"Type":"Pass","InputPath":"$.x","Parameters":{"n.$":"$.n","all":[{"y.$":"$"},"$.n"],"who.$":"$$.Execution.Name","fmt.$":"States.Format('{}-{}',$.n,$$.State.Name)"},"End":true}`, `{"x":{"n":[7]}}`, Succeeded, `{"n":[7],"all":[{"y":{"n":[7]}},"$.n"],"who":"x","fmt":"[7]-A"}`, "A"},
		{"missing path", `"A":{"Type":"Pass","Parameters":{"n.$":"$.n"},"End":true}`, `{}`, Failed, `States.Runtime: An error occurred while executing the state 'A' (entered at the event id #2). The JSONPath '$.n' specified for the field 'n.$' could not be found in the input`, "A"},
		{"bad function", `"A":{"Type":"Pass","Parameters":{"n.$":"States.ArrayLength($)"},"End":true}`, `{}`, Failed, `States.IntrinsicFailure: The function in the field 'n.$' failed: States.ArrayLength: the first argument is no array`, "A"},
		{"result into no object", `"A":{"Type":"Pass","ResultPath":"$.a","End":true}`, `"s"`, Failed, `States.ResultPathMatchFailure: Unable to apply step "$.a" to input`, "A"},
		{"choice", `"A":{"Type":"Choice","Choices":[{"Variable":"$.a","NumericGreaterThan":1,"Next":"B"},{"Not":{"Variable":"$.b","IsPresent":true},"Next":"C"}],"Default":"D"},"B":{"Type":"Succeed"},"C":{"Type":"Succeed"},"D":{"Type":"Succeed"}`, `{"a":1}`, Succeeded, `{"a":1}`, "A C"},
		{"choice by default", `"A":{"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":"b","Next":"B"}],"Default":"D"},"B":{"Type":"Succeed"},"D":{"Type":"Succeed"}`, `{"a":1}`, Succeeded, `{"a":1}`, "A D"},
		{"no choice", `"A":{"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":"b","Next":"B"}]},"B":{"Type":"Succeed"}`, `{"a":1}`, Failed, `States.NoChoiceMatched: No choice of the state 'A' matched, and it has no Default.`, "A"},
		{"choice about nothing", `"A":{"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":"b","Next":"B"}],"Default":"B"},"B":{"Type":"Succeed"}`, `{}`, Failed, `States.Runtime: An error occurred while executing the state 'A' (entered at the event id #2). Invalid path '$.a': The choice state's condition path references an invalid value.`, "A"},
		{"fail", `"A":{"Type":"Fail","Error":"E","Cause":"c"}`, `{}`, Failed, `E: c`, "A"},
		{"fail from data", `"A":{"Type":"Fail","ErrorPath":"$.e","CausePath":"States.Format('about {}',$.c)"}`, `{"e":"E","c":1}`, Failed, `E: about 1`, "A"},
		{"wait", `"A":{"Type":"Wait","SecondsPath":"$.s","Next":"B"},"B":{"Type":"Pass","Parameters":{"t.$":"$$.State.EnteredTime"},"End":true}`, `{"s":3600}`, Succeeded, `{"t":"2026-03-14T02:59:00.000Z"}`, "A B"},
		{"wait until", `"A":{"Type":"Wait","TimestampPath":"$.s","Next":"B"},"B":{"Type":"Pass","Parameters":{"t.$":"$$.State.EnteredTime"},"End":true}`, `{"s":"2026-03-15T01:00:00+01:00"}`, Succeeded, `{"t":"2026-03-15T00:00:00.000Z"}`, "A B"},
		{"wait until yesterday", `"A":{"Type":"Wait","Timestamp":"2020-01-01T00:00:00Z","End":true}`, `1`, Succeeded, `1`, "A"},
		{"wait for words", `"A":{"Type":"Wait","SecondsPath":"$.s","End":true}`, `{"s":"soon"}`, Failed, `States.Runtime: An error occurred while executing the state 'A' (entered at the event id #2). The SecondsPath parameter cannot be parsed as a long value: $.s`, "A"},
		{"map", `"A":{"Type":"Map","ItemsPath":"$.l","ItemSelector":{"v.$":"$$.Map.Item.Value","i.$":"$$.Map.Item.Index","k.$":"$.k"},"MaxConcurrency":2,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Pass","End":true}}},"ResultPath":"$.r","End":true}`, `{"l":["a","b","c"],"k":9}`, Succeeded, `{"l":["a","b","c"],"k":9,"r":[{"v":"a","i":0,"k":9},{"v":"b","i":1,"k":9},{"v":"c","i":2,"k":9}]}`, "A I I I"},
		{"map of nothing", `"A":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Pass","End":true}}},"End":true}`, `[]`, Succeeded, `[]`, "A"},
		{"map of no array", `"A":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Pass","End":true}}},"End":true}`, `{}`, Failed, `States.Runtime: An error occurred while executing the state 'A' (entered at the event id #2). Reference path "$" must point to array.`, "A"},
		{"map caught", `"A":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":2,"Next":"J"}],"Default":"K"},"J":{"Type":"Fail","Error":"Two","Cause":"c"},"K":{"Type":"Wait","Seconds":9,"End":true}}},"Catch":[{"ErrorEquals":["Two"],"ResultPath":"$[3]","Next":"B"}],"End":true},"B":{"Type":"Pass","End":true}`, `[1,2,3]`, Succeeded, `[1,2,3,{"Error":"Two","Cause":"c"}]`, "A I I I K J K B"},
		{"map in map", `"A":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Map","ItemProcessor":{"StartAt":"J","States":{"J":{"Type":"Pass","Parameters":{"v.$":"States.MathAdd($,$$.Map.Item.Index)"},"OutputPath":"$.v","End":true}}},"End":true}}},"End":true}`, `[[10,20],[],[30]]`, Succeeded, `[[10,21],[],[30]]`, "A I I I J J J"},
		{"parallel", `"A":{"Type":"Parallel","Branches":[{"StartAt":"I","States":{"I":{"Type":"Wait","Seconds":5,"End":true}}},{"StartAt":"J","States":{"J":{"Type":"Pass","Result":2,"End":true}}}],"ResultSelector":{"r.$":"$"},"End":true}`, `1`, Succeeded, `{"r":[1,2]}`, "A I J"},
		{"parallel failed", `"A":{"Type":"Parallel","Branches":[{"StartAt":"I","States":{"I":{"Type":"Wait","Seconds":5,"End":true}}},{"StartAt":"J","States":{"J":{"Type":"Fail","Error":"E","Cause":"c"}}}],"End":true}`, `1`, Failed, `E: c`, "A I J"},
		{"machine in time", `"A":{"Type":"Wait","Seconds":100,"End":true}`, `1`, Succeeded, `1`, "A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, h := once(t, states(c.states), c.input, nil)
			got := string(x.Output)
			if x.Status != Succeeded {
				got = x.Error + ": " + x.Cause
			}
			if x.Status != c.status || got != c.output {
				t.Errorf("got %s %s\nwant %s %s", x.Status, got, c.status, c.output)
			}
			if got := h.path("x"); got != c.path {
				t.Errorf("got the states %q, want %q", got, c.path)
			}
		})
	}
}
