package main

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
)

const prices = `{"region":"r","currency":"USD","prices":{
	"lambda_gb_second":{"amount":0.5,"unit":"u","source":"s"},"lambda_request":{"amount":0.25,"unit":"u","source":"s"},
	"states_transition":{"amount":2,"unit":"u","source":"s"},"dynamodb_read":{"amount":3,"unit":"u","source":"s"},"dynamodb_write":{"amount":5,"unit":"u","source":"s"},
	"dynamodb_gb_month":{"amount":7,"unit":"u","source":"s"},"dynamodb_recovery_gb_month":{"amount":11,"unit":"u","source":"s"},
	"s3_put":{"amount":13,"unit":"u","source":"s"},"s3_get":{"amount":17,"unit":"u","source":"s"},"s3_gb_month":{"amount":30,"unit":"u","source":"s"},
	"api_request":{"amount":19,"unit":"u","source":"s"},"kms_key_month":{"amount":23,"unit":"u","source":"s"},
	"alarm_metric_month":{"amount":29,"unit":"u","source":"s"},"dashboard_month":{"amount":31,"unit":"u","source":"s"}}}`

// Counted by hand: two calls of api of 500 ms together with 2 GB are half a dollar
// for the time, half for the calls, and 38 for the gateway.
func TestCharge(t *testing.T) {
	l, err := readPrices([]byte(prices))
	if err != nil {
		t.Fatal(err)
	}
	got := l.charge(work{
		Functions: map[string]billed{"api": {2, 500}}, Transitions: 3, Reads: 4, Writes: 5, Puts: 1, Gets: 2, Bytes: 1 << 30,
	}, map[string]int{"api": 2048})
	want := bill{Lambda: 0.5 + 0.5, States: 6, DynamoDB: 12 + 25, S3: 13 + 34 + 14, API: 38}
	if math.Abs(got.sum()-want.sum()) > 1e-9 || got.Lambda != want.Lambda || got.States != want.States || got.DynamoDB != want.DynamoDB || got.API != want.API {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := got.times(2).plus(bill{Lambda: 1}).sum(); math.Abs(got-2*want.sum()-1) > 1e-9 {
		t.Errorf("twice and one more: %v", got)
	}
}

// With one batch and four measured, forty lie on their line, whatever a single id
// took: 10 states and 3 for each further batch are 127.
func TestAt(t *testing.T) {
	got := at(2000, []work{
		{IDs: 1, Transitions: 10, Reads: 999},
		{IDs: 50, Transitions: 10, Reads: 100, Functions: map[string]billed{"plan": {1, 100}, "erase": {1, 10}}},
		{IDs: 200, Transitions: 19, Reads: 400, Functions: map[string]billed{"plan": {1, 60}, "erase": {4, 40}}},
	})
	if got.IDs != 2000 || got.Transitions != 127 || got.Reads != 4000 || got.Functions["plan"] != (billed{1, 100}) || got.Functions["erase"] != (billed{40, 400}) {
		t.Errorf("got %+v", got)
	}
}

func TestPricesAreComplete(t *testing.T) {
	if _, err := readPrices(pricesText); err != nil {
		t.Error(err)
	}
	for _, spoil := range []string{`"amount":19`, `"unit":"u","source":"s"},"kms`, `"api_request"`} {
		bad := strings.Replace(prices, spoil, strings.NewReplacer(`19`, `0`, `"u"`, `""`, `api_`, `other_`).Replace(spoil), 1)
		if _, err := readPrices([]byte(bad)); err == nil || !strings.Contains(err.Error(), "api_request") {
			t.Errorf("without %s: %v", spoil, err)
		}
	}
}

// What stands in the operations page is what the program prints.
func TestPageIsWhatIsPrinted(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out, recordedText, pricesText); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, out.Bytes()) {
		t.Error("docs/operations.md does not have what go run ./infra/cost prints")
	}
}
