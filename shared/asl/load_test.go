package asl

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/shared/kind"
)

func TestLoadRefuses(t *testing.T) {
	end := `"End":true}`
	for _, c := range []struct{ definition, want string }{
		{``, `1:1: this is not JSON`},
		{`{`, `1:2: this is not JSON`},
		{`[]`, `1:1: the definition must be an object`},
		{`{"StartAt":"A","StartAt":"A"}`, `1:16: "StartAt" stands here twice`},
		{`{} {}`, `1:4: there is more behind the definition`},
		{`{}`, `1:1: the definition: StartAt is missing; 1:1: the definition: States is missing`},
		{`{"StartAt":"B","States":{"A":{"Type":"Succeed"}}}`, `1:12: StartAt: there is no state "B" here`},
		{`{"QueryLanguage":"JSONata","StartAt":"A","States":{"A":{"Type":"Succeed"}}}`, `1:18: the definition: QueryLanguage "JSONata" is not run here, only JSONPath`},
		{`{"StartAt":"A","States":{"A":{"Type":"Succeed"}},"TimeoutSeconds":0}`, `1:67: the definition: TimeoutSeconds must be a whole number from 1 to 99999999`},
		{states("\n  \"A\":{\"Type\":\"Pass\",\n    \"Assign\":{\"x\":1}," + end), `3:5: state "A": field "Assign" is not run here`},
		{states(`"A":{"Type":"Pass","QueryLanguage":"JSONata",` + end), `1:61: state "A": QueryLanguage "JSONata" is not run here, only JSONPath`},
		{states(`"A":{"Type":"Magic"}`), `1:38: state "A": Type "Magic" is not run here`},
		{states(`"A":{"End":true}`), `1:30: state "A": Type is missing`},
		{states(`"A":{"Type":"Pass"}`), `1:30: state "A": one of Next, End is missing`},
		{states(`"A":{"Type":"Pass","Next":"A",` + end), `1:62: state "A": End cannot stand beside Next`},
		{states(`"A":{"Type":"Pass","End":false}`), `1:51: state "A": End must be true where it stands`},
		{states(`"A":{"Type":"Pass","Next":"B"}`), `1:26: state "A": there is no state "B" here to go on with`},
		{states(`"A":{"Type":"Pass","End":true},"B":{"Type":"Succeed"}`), `1:57: nothing leads to state "B"`},
		{states(`"A":{"Type":"Pass","InputPath":"a",` + end), `1:57: state "A": InputPath "a": a path must begin with $`},
		{states(`"A":{"Type":"Pass","InputPath":"$x",` + end), `1:57: state "A": InputPath "$x": a path goes on with . or [ behind $; variables are not run`},
		{states(`"A":{"Type":"Pass","ResultPath":"$.a[*]",` + end), `1:58: state "A": ResultPath "$.a[*]": this must be a Reference Path: names and indices only`},
		{states(`"A":{"Type":"Pass","ResultPath":"$$.a",` + end), `1:58: state "A": ResultPath cannot lead into the context object`},
		{states(`"A":{"Type":"Pass","Parameters":{"a.$":"States.Nothing()"},` + end), `1:65: "a.$": function "States.Nothing" is not run`},
		{states(`"A":{"Type":"Pass","Parameters":{"a.$":1},` + end), `1:65: "a.$" must be a string: a path or an intrinsic function`},
		{states(`"A":{"Type":"Task","Resource":"${G1}",` + end), `1:56: no substitution is given for ${G1}`},
		{states(`"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",` + end), `1:56: state "A": Resource waits for a task token, which is not run here`},
		{states(`"A":{"Type":"Task","Resource":"arn:aws:states:us-east-1:1:activity:x",` + end), `1:56: state "A": Resource is an activity, which is not run here`},
		{states(`"A":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage",` + end), `1:56: state "A": Resource is an integration that is not run here`},
		{states(`"A":{"Type":"Task","Resource":"${F}","HeartbeatSeconds":5,` + end), `1:63: state "A": field "HeartbeatSeconds" is not run here`},
		{states(`"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName.$":"$.f"},` + end), `1:102: state "A": Parameters: FunctionName is missing; 1:103: state "A": Parameters: field "FunctionName.$" is not run here`},
		{states(`"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","InvocationType":"Event"},` + end), `1:139: state "A": Parameters: InvocationType "Event" is not run here`},
		{states(`"A":{"Type":"Task","Resource":"${F}","TimeoutSeconds":1,"TimeoutSecondsPath":"$.t",` + end), `1:103: state "A": TimeoutSecondsPath cannot stand beside TimeoutSeconds`},
		{states(`"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["States.ALL"]},{"ErrorEquals":["X"]}],` + end), `1:87: state "A": Retry: ErrorEquals may hold States.ALL only alone and in the last element`},
		{states(`"A":{"Type":"Task","Resource":"${F}","Retry":[{"ErrorEquals":["States.Typo"],"BackoffRate":0.5}],` + end), `1:88: state "A": Retry: "States.Typo" is no error name of the language; 1:117: state "A": Retry: BackoffRate must be a number from 1.0 on`},
		{states(`"A":{"Type":"Map","ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"I","States":{"I":{"Type":"Succeed"}}},` + end), `1:87: state "A": ProcessorConfig: Mode "DISTRIBUTED" is not run here, only INLINE; 1:101: state "A": ProcessorConfig: field "ExecutionType" is not run here`},
		{states(`"A":{"Type":"Map","ToleratedFailureCount":1,"ItemReader":{},"ItemProcessor":{"StartAt":"A","States":{"A":{"Type":"Succeed"}}},` + end), `1:44: state "A": field "ToleratedFailureCount" is not run here; 1:70: state "A": field "ItemReader" is not run here; 1:26: state "A" stands twice in the definition`},
		{states(`"A":{"Type":"Wait","Seconds":1,"SecondsPath":"$.s",` + end), `1:71: state "A": SecondsPath cannot stand beside Seconds`},
		{states(`"A":{"Type":"Wait","Timestamp":"tomorrow",` + end), `1:57: state "A": Timestamp must be a timestamp such as 2016-03-14T01:59:00Z`},
		{states(`"A":{"Type":"Choice","Choices":[]}`), `1:57: state "A": Choices must be an array that is not empty`},
		{states(`"A":{"Type":"Choice","Choices":[{"Variable":"$.a","StringLike":"x","Next":"A"}]}`), `1:58: state "A": a choice: a comparison is missing; 1:76: state "A": a choice: field "StringLike" is not run here`},
		{states(`"A":{"Type":"Choice","Choices":[{"Variable":"$.a","NumericEquals":"1","Next":"A"}]}`), `1:92: state "A": a choice: NumericEquals must be a number`},
		{states(`"A":{"Type":"Choice","Choices":[{"And":[{"Variable":"$.a","IsNull":true,"Next":"A"}],"Next":"A"}],"End":true}`), `1:98: state "A": a choice: field "Next" is not run here; 1:124: state "A": field "End" is not run here`},
		{states(`"A":{"Type":"Fail","Cause":"c","CausePath":"$.c"}`), `1:69: state "A": CausePath cannot stand beside Cause`},
	} {
		_, err := Load("m", []byte(c.definition), map[string]string{"F": "arn:f"})
		if kind.Of(err) != kind.Invalid {
			t.Errorf("%s:\ngot %v, want Invalid", c.definition, err)
			continue
		}
		if got := strings.TrimPrefix(kind.Sentence(err), "m: "); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.definition, got, c.want)
		}
	}
}

// The project's own definitions are what this package is for.
func TestLoadsTheProjectsDefinitions(t *testing.T) {
	for file, functions := range map[string][]string{
		"export.asl.json":   {"Collect", "Finish", "Pack", "Plan"},
		"deletion.asl.json": {"Begin", "Erase", "Finish", "Plan", "Verify"},
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "statemachine", file))
		if err != nil {
			t.Fatal(err)
		}
		with := map[string]string{}
		for _, f := range functions {
			with[f+"FunctionArn"] = f
		}
		m, err := Load("m", text, with)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := slices.Sorted(slices.Values(m.Resources())); !slices.Equal(got, functions) {
			t.Errorf("%s names %v, want %v", file, got, functions)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, file := range []string{"export.asl.json", "deletion.asl.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "statemachine", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(states(`"A":{"Type":"Parallel","Branches":[{"StartAt":"I","States":{"I":{"Type":"Wait","SecondsPath":"$.s","End":true}}}],"Next":"B"},"B":{"Type":"Choice","Choices":[{"Not":{"Or":[{"Variable":"$.a[?(@.b>1)]","StringMatches":"*"}]},"Next":"A"}]}`))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Load("m", []byte(text), nil)
		if err == nil && m.states[m.root.start] == nil {
			t.Error("a machine without its start state was loaded")
		}
		if err != nil && kind.Of(err) != kind.Invalid && kind.Of(err) != kind.TooLarge {
			t.Errorf("got the error %v, want Invalid", err)
		}
	})
}
