package main

import (
	"encoding/json"
	"errors"
	"fmt"
)

// A price is what one unit of a service costs.
type price struct {
	Amount float64 `json:"amount"`
	Unit   string  `json:"unit"`
	Source string  `json:"source"` // the page of AWS
	Looked string  `json:"looked_up"`
}

// A priceList is the prices of one region.
type priceList struct {
	Region   string           `json:"region"`
	Currency string           `json:"currency"`
	Prices   map[string]price `json:"prices"`
}

// names are all prices that the model needs.
var names = []string{
	"lambda_gb_second", "lambda_request", "states_transition", "dynamodb_read", "dynamodb_write", "dynamodb_gb_month",
	"dynamodb_recovery_gb_month", "s3_put", "s3_get", "s3_gb_month", "api_request", "kms_key_month", "alarm_metric_month", "dashboard_month",
}

func readPrices(text []byte) (priceList, error) {
	var l priceList
	if err := json.Unmarshal(text, &l); err != nil {
		return l, err
	}
	for _, name := range names {
		if p := l.Prices[name]; p.Amount <= 0 || p.Unit == "" || p.Source == "" {
			return l, errors.New("the price " + name + " lacks its amount, unit or source")
		}
	}
	return l, nil
}

// A recording is what functions/cost_test.go counted in a real run.
type recording struct {
	Memory    map[string]int `json:"memory_mb"`
	Alarms    int            `json:"alarm_metrics"`
	Boards    int            `json:"dashboards"`
	Export    []work         `json:"export"`
	Deletion  []work         `json:"deletion"`
	Ingestion work           `json:"ingestion"`
	Status    work           `json:"status"`
	Sweep     work           `json:"sweep"`
}

// A work is what one piece of work used. Calls, milliseconds and the rest are
// fractions where a work was made of two others.
type work struct {
	IDs         float64           `json:"ids"`
	Events      float64           `json:"events"`
	Transitions float64           `json:"transitions"`
	Functions   map[string]billed `json:"functions"`
	Bytes       float64           `json:"archive_bytes"`
	Reads       float64           `json:"read_units"`
	Writes      float64           `json:"write_units"`
	Puts        float64           `json:"puts"`
	Gets        float64           `json:"gets"`
}

type billed struct {
	Calls float64 `json:"calls"`
	MS    float64 `json:"ms"`
}

func readRecording(text []byte) (recording, error) {
	var r recording
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	if len(r.Export) != 3 || len(r.Deletion) != 3 || r.Ingestion.Events == 0 {
		return r, fmt.Errorf("the recording is not of three exports, three deletions and an ingestion")
	}
	return r, nil
}

// at is the work for a number of full batches of ids, each id with as many events as
// in the recording. The line is that through one batch and through several: a single
// id is a batch too, and a line from it would make batches too cheap.
func at(ids float64, sizes []work) work {
	one, several := sizes[1], sizes[2]
	return combine(one, several, (ids-one.IDs)/(several.IDs-one.IDs))
}

// combine is a and, of what b has more, the share.
func combine(a, b work, share float64) work {
	line := func(x, y float64) float64 { return max(0, x+(y-x)*share) }
	out := work{
		IDs: line(a.IDs, b.IDs), Events: line(a.Events, b.Events), Transitions: line(a.Transitions, b.Transitions), Bytes: line(a.Bytes, b.Bytes),
		Reads: line(a.Reads, b.Reads), Writes: line(a.Writes, b.Writes), Puts: line(a.Puts, b.Puts), Gets: line(a.Gets, b.Gets),
		Functions: map[string]billed{},
	}
	for name := range b.Functions {
		x, y := a.Functions[name], b.Functions[name]
		// A run that happened to be quicker with more to do costs what the slower did.
		out.Functions[name] = billed{max(x.Calls, line(x.Calls, y.Calls)), max(x.MS, line(x.MS, y.MS))}
	}
	return out
}

// A bill is money by service.
type bill struct{ Lambda, States, DynamoDB, S3, API float64 }

func (b bill) sum() float64 { return b.Lambda + b.States + b.DynamoDB + b.S3 + b.API }

func (b bill) plus(o bill) bill {
	return bill{b.Lambda + o.Lambda, b.States + o.States, b.DynamoDB + o.DynamoDB, b.S3 + o.S3, b.API + o.API}
}

func (b bill) times(n float64) bill {
	return bill{b.Lambda * n, b.States * n, b.DynamoDB * n, b.S3 * n, b.API * n}
}

// archiveMonths is how long an archive is kept: 14 days.
const archiveMonths = 14.0 / 30

// charge is what a work costs.
func (l priceList) charge(w work, memory map[string]int) bill {
	amount := func(name string) float64 { return l.Prices[name].Amount }
	var b bill
	for name, f := range w.Functions {
		b.Lambda += f.Calls*amount("lambda_request") + f.MS/1000*float64(memory[name])/1024*amount("lambda_gb_second")
		if name == "api" || name == "ingest" {
			b.API += f.Calls * amount("api_request")
		}
	}
	b.States = w.Transitions * amount("states_transition")
	b.DynamoDB = w.Reads*amount("dynamodb_read") + w.Writes*amount("dynamodb_write")
	b.S3 = w.Puts*amount("s3_put") + w.Gets*amount("s3_get") + w.Bytes/(1<<30)*archiveMonths*amount("s3_gb_month")
	return b
}
