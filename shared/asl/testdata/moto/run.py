"""Runs cases.json through moto's interpreter of Amazon States Language and prints
what it gives, one line a case; of all, or of those whose names are given. Needs moto
and boto3, as .ci/install-lint installs them.

A case has a name, a definition (or a file in statemachine/), an input, and for
each function the results of its calls: {"gives": …}, {"adds": fields of its input},
{"long": a string of so many letters}, {"error": …} or {} for its input; the last
is given again. ${Name} in a definition becomes the ARN of the function Name.
"""
import json, os, pathlib, re, sys, threading, time

os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1")
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
import boto3

here = pathlib.Path(__file__).parent
prefix = "arn:aws:lambda:us-east-1:123456789012:function:"
lock = threading.Lock()
left = {}


def invoke(parameters, region, state_credentials):
    name = parameters["FunctionName"].rsplit(":", 1)[-1]
    with lock:
        results = left[name]
        result = results.pop(0) if len(results) > 1 else results[0]
    payload = json.loads(parameters["Payload"])
    if "error" in result:
        return {"StatusCode": 200, "FunctionError": "Unhandled", "ExecutedVersion": "$LATEST",
                "Payload": {"errorMessage": result.get("message", ""), "errorType": result["error"]}}
    if "adds" in result:
        payload.update(result["adds"])
    elif "long" in result:
        payload = "x" * result["long"]
    elif "gives" in result:
        payload = result["gives"]
    return {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": payload}


lambda_eval_utils._invoke_lambda_function = invoke


def run(client, number, case):
    text = case.get("definition")
    if text is None:
        text = (here.parents[3] / "statemachine" / case["file"]).read_text()
    else:
        text = json.dumps(text)
    names = {}
    for f, results in case.get("tasks", {}).items():
        names[f] = f"{f}-{number}"
        left[names[f]] = list(results)
    text = re.sub(r"\$\{(\w+?)(FunctionArn)?\}", lambda m: prefix + names.get(m[1], m[1]), text)
    try:
        arn = client.create_state_machine(name=f"m{number}", definition=text, roleArn="arn:aws:iam::123456789012:role/r")["stateMachineArn"]
    except Exception as e:
        return {"status": "REFUSED"}
    run = client.start_execution(stateMachineArn=arn, name="x", input=json.dumps(case.get("input", {})))["executionArn"]
    for _ in range(600):
        x = client.describe_execution(executionArn=run)
        if x["status"] != "RUNNING":
            break
        time.sleep(0.05)
    events, token = [], {}
    while True:
        page = client.get_execution_history(executionArn=run, **token)
        events += page["events"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    states = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
    got = {"status": x["status"], "states": states, "events": [e["type"] for e in events]}
    if "output" in x:
        try:
            got["output"] = json.loads(x["output"])
        except ValueError:
            got["output"] = x["output"]  # moto leaves a string as it is
    for k in ("error", "cause"):
        if k in x:
            got[k] = x[k]
    return got


def main():
    cases = json.loads((here / "cases.json").read_text())
    for number, case in enumerate(cases):
        if sys.argv[1:] and case["name"] not in sys.argv[1:]:
            continue
        # One world for each: moto copies a machine with all it ever ran.
        with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
            got = run(boto3.client("stepfunctions"), number, case)
        print(json.dumps({"name": case["name"], "gives": got}, separators=(",", ":")), flush=True)


main()
