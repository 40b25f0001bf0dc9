// Command cost prints what a deployment costs on AWS, as Markdown: it computes with
// what a real run of the functions used (recorded.json, which
// LETHE_RECORD=1 go test -run TestCost ./functions writes) and with prices
// (prices.json, or the file of -prices).
//
//	go run ./infra/cost
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

//go:embed recorded.json
var recordedText []byte

//go:embed prices.json
var pricesText []byte

func main() {
	file := flag.String("prices", "", "a `file` of prices in place of the built-in ones")
	flag.Parse()
	prices := pricesText
	var err error
	if *file != "" {
		if prices, err = os.ReadFile(*file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := run(os.Stdout, recordedText, prices); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	polls       = 10 // questions for the status of one request
	minutes     = 30 * 24 * 60
	many        = 2000 // ids of a large request
	store       = 1e9  // events of a large store
	bytesOfOne  = 850  // an event with its keys and what DynamoDB adds, as the recorded ones
	keysInStack = 1
)

func run(out io.Writer, recorded, prices []byte) error {
	r, err := readRecording(recorded)
	if err != nil {
		return err
	}
	l, err := readPrices(prices)
	if err != nil {
		return err
	}
	perID := r.Export[0].Events / r.Export[0].IDs
	request := func(w work) bill {
		return l.charge(w, r.Memory).plus(l.charge(r.Status, r.Memory).times(polls))
	}
	idle := l.charge(r.Sweep, r.Memory).times(minutes)
	amount := func(name string) float64 { return l.Prices[name].Amount }

	fmt.Fprintf(out, "In %s, region %s, without the free tiers. A request is of one id with %.0f events; half of them are exports, half deletions;\n", l.Currency, l.Region, perID)
	anyway := idle.sum() + keysInStack*amount("kms_key_month") + float64(r.Alarms)*amount("alarm_metric_month") + float64(r.Boards)*amount("dashboard_month")
	fmt.Fprintf(out, "each is asked for its status %d times. What runs anyway is %.2f a month: the sweep of each minute, the KMS key, %d metrics of alarms\nand %d dashboard.\n\n",
		polls, anyway, r.Alarms, r.Boards)
	fmt.Fprintln(out, "| requests a month | Lambda | Step Functions | DynamoDB | S3 | API | with what runs anyway |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- |")
	for _, n := range []float64{1, 100, 10_000} {
		b := request(r.Export[0]).times(n / 2).plus(request(r.Deletion[0]).times(n / 2))
		fmt.Fprintf(out, "| %.0f | %.4f | %.4f | %.4f | %.4f | %.4f | %.2f |\n", n, b.Lambda, b.States, b.DynamoDB, b.S3, b.API,
			b.sum()+anyway)
	}
	fmt.Fprintf(out, "\nA request of %d ids, %.0f events, out of %.0f million; it costs the same out of any number, since only the partitions of those ids are touched:\n\n",
		many, many*perID, store/1e6)
	fmt.Fprintln(out, "| request | Lambda | Step Functions | DynamoDB | S3 | API | sum |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- |")
	for _, c := range []struct {
		name  string
		sizes []work
	}{{"export", r.Export}, {"deletion", r.Deletion}} {
		b := request(at(many, c.sizes))
		fmt.Fprintf(out, "| %s | %.4f | %.4f | %.4f | %.4f | %.4f | %.2f |\n", c.name, b.Lambda, b.States, b.DynamoDB, b.S3, b.API, b.sum())
	}
	gb := store * bytesOfOne / (1 << 30)
	taken := l.charge(r.Ingestion, r.Memory).times(store / r.Ingestion.Events)
	fmt.Fprintf(out, "\nWhat the store itself costs, with %.0f million events of %d bytes (%.0f GB):\n\n", store/1e6, bytesOfOne, gb)
	fmt.Fprintln(out, "| | |\n| --- | --- |")
	fmt.Fprintf(out, "| taking them in, once, in calls of %.0f | %.0f (of it DynamoDB %.0f) |\n", r.Ingestion.Events, taken.sum(), taken.DynamoDB)
	fmt.Fprintf(out, "| keeping them, a month | %.0f |\n", gb*amount("dynamodb_gb_month"))
	fmt.Fprintf(out, "| point-in-time recovery, a month | %.0f |\n", gb*amount("dynamodb_recovery_gb_month"))

	var old []string
	for _, name := range names {
		if l.Prices[name].Looked == "" {
			old = append(old, name)
		}
	}
	slices.Sort(old)
	fmt.Fprintf(out, "\nThe counts are of a recorded run of the real functions and state machines: of 1 id as it ran, of %d on the line through %.0f and\n"+
		"%.0f ids, which are one batch and several. Milliseconds are of a machine with x86-64 processors and engines beside it that stand in for\n"+
		"AWS, not of Lambda's arm64. Request units are at least these: a delete in a transaction counts for 1 KB, a refused write for nothing.\n"+
		"Not counted: what takes a request out of the records later (some 25 write units), logs, traces, data that leaves AWS, cold starts (two calls for the keys each, up to five of `api`), the metrics of overdue and of broken requests.\n",
		many, r.Export[1].IDs, r.Export[2].IDs)
	if len(old) > 0 {
		fmt.Fprintf(out, "Prices that were not looked up anew: %s.\n", strings.Join(old, ", "))
	}
	return nil
}
