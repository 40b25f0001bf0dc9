package cloud_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A wire stands between a client and its engine.
type wire func(operation string, r *http.Request) (*http.Response, error)

func (w wire) Do(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return w(operation, r)
}

// over returns a table whose client speaks through w.
func over(client *dynamodb.Client, name string, w wire) table.Table {
	options := client.Options()
	options.HTTPClient = w
	return cloud.NewTable(dynamodb.New(options), name, time.Now)
}

func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:   io.NopCloser(strings.NewReader(body)),
	}
}

// A connection that breaks after the engine has done its work.
func TestDynamoDBAnswerLost(t *testing.T) {
	client := cloudtest.DynamoDB(t)
	cloudtest.MakeTable(t, client, "table")
	lose := true
	tbl := over(client, "table", func(operation string, r *http.Request) (*http.Response, error) {
		answer, err := http.DefaultClient.Do(r)
		if err == nil && lose {
			lose = false
			answer.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}
		return answer, err
	})
	ctx, k := t.Context(), table.Key{PK: "p", SK: "s"}
	if err := tbl.Write(ctx, table.Put(table.Item{Key: k}, table.IfAbsent())); err != nil {
		t.Errorf("a transaction that was applied once, and sent twice: %v", err)
	}
	lose = true
	if err := tbl.Write(ctx, table.AddUpTo(k, 1, 10)); err != nil {
		t.Errorf("counting in a transaction that was sent twice: %v", err)
	}
	if i, err := tbl.Get(ctx, k); err != nil || i.Count != 1 {
		t.Errorf("count %d (%v), want 1", i.Count, err)
	}
	lose = true
	if _, err := tbl.Add(ctx, k, 1); kind.Of(err) != kind.Unavailable {
		t.Errorf("got %v, want an error of kind Unavailable", err)
	}
	if i, err := tbl.Get(ctx, k); err != nil || i.Count != 2 {
		t.Errorf("count %d (%v), want 2: an Add was sent again", i.Count, err)
	}
}

// An engine that does a part of each batch and leaves the rest.
func TestDynamoDBBatchesInParts(t *testing.T) {
	client := cloudtest.DynamoDB(t)
	cloudtest.MakeTable(t, client, "table")
	calls := 0
	slow := over(client, "table", func(operation string, r *http.Request) (*http.Response, error) {
		calls++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		rest := ""
		switch operation {
		case "BatchWriteItem":
			var in struct{ RequestItems map[string][]json.RawMessage }
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, err
			}
			all := in.RequestItems["table"]
			half := (len(all) + 1) / 2
			in.RequestItems["table"] = all[half:]
			left, _ := json.Marshal(in.RequestItems)
			if half < len(all) {
				rest = `"UnprocessedItems":` + string(left)
			}
			in.RequestItems["table"] = all[:half]
			body, _ = json.Marshal(in)
		case "BatchGetItem":
			type asked struct {
				Keys           []json.RawMessage
				ConsistentRead bool
			}
			var in struct{ RequestItems map[string]asked }
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, err
			}
			all := in.RequestItems["table"].Keys
			half := (len(all) + 1) / 2
			in.RequestItems["table"] = asked{all[half:], true}
			left, _ := json.Marshal(in.RequestItems)
			if half < len(all) {
				rest = `"UnprocessedKeys":` + string(left)
			}
			in.RequestItems["table"] = asked{all[:half], true}
			body, _ = json.Marshal(in)
		}
		part := r.Clone(r.Context())
		part.Body, part.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		out, err := http.DefaultClient.Do(part)
		if err != nil || rest == "" {
			return out, err
		}
		defer out.Body.Close()
		var did map[string]json.RawMessage
		if err := json.NewDecoder(out.Body).Decode(&did); err != nil {
			return nil, err
		}
		delete(did, "UnprocessedItems")
		delete(did, "UnprocessedKeys")
		text, _ := json.Marshal(did)
		return answer(out.StatusCode, strings.Replace(string(text), "{", "{"+rest+map[bool]string{true: ","}[len(did) > 0], 1)), nil
	})
	var ops []table.Op
	var keys []table.Key
	for n := range 24 { // one batch, so that calls are one at a time
		k := table.Key{PK: fmt.Sprint("p", n%3), SK: fmt.Sprint(n)}
		ops, keys = append(ops, table.Put(table.Item{Key: k}, table.Cond{})), append(keys, k)
	}
	if err := slow.WriteMany(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	found, err := slow.GetMany(t.Context(), keys)
	if err != nil || len(found) != len(keys) {
		t.Errorf("found %d (%v), want %d", len(found), err, len(keys))
	}
	if calls < 8 {
		t.Errorf("%d calls: no batch came back in parts", calls)
	}
}

func TestDynamoDBErrors(t *testing.T) {
	const secret = "Xq7-secret"
	failing := func(status int, name, more string) wire {
		return func(string, *http.Request) (*http.Response, error) {
			return answer(status, `{"__type":"com.amazonaws.dynamodb.v20120810#`+name+`","message":"about `+secret+`"`+more+`}`), nil
		}
	}
	reason := func(codes ...string) string {
		var reasons []string
		for _, c := range codes {
			reasons = append(reasons, `{"Code":"`+c+`","Message":"about `+secret+`"}`)
		}
		return `,"CancellationReasons":[` + strings.Join(reasons, ",") + `]`
	}
	key := table.Key{PK: secret, SK: secret}
	get := func(t *testing.T, tbl table.Table) error { _, err := tbl.Get(t.Context(), key); return err }
	add := func(t *testing.T, tbl table.Table) error { _, err := tbl.Add(t.Context(), key, 1); return err }
	write := func(t *testing.T, tbl table.Table) error {
		return tbl.Write(t.Context(), table.Put(table.Item{Key: key}, table.IfAbsent()), table.AddUpTo(table.Key{PK: secret, SK: "n"}, 1, 2))
	}
	writeMany := func(t *testing.T, tbl table.Table) error {
		return tbl.WriteMany(t.Context(), []table.Op{table.Delete(key, table.Cond{})})
	}
	getMany := func(t *testing.T, tbl table.Table) error {
		_, err := tbl.GetMany(t.Context(), []table.Key{key})
		return err
	}
	stuck := func(field, request string) wire {
		return func(string, *http.Request) (*http.Response, error) {
			return answer(200, `{"`+field+`":{"table":`+request+`}}`), nil
		}
	}
	const cancelled = "TransactionCanceledException"
	for _, c := range []struct {
		name     string
		call     func(*testing.T, table.Table) error
		wire     wire
		want     kind.Kind
		attempts int
	}{
		{"throttled read", get, failing(400, "ProvisionedThroughputExceededException", ""), kind.Throttled, 8},
		{"throttled count", add, failing(400, "ThrottlingException", ""), kind.Throttled, 8},
		{"server fails a read", get, failing(500, "InternalServerError", ""), kind.Unavailable, 8},
		{"server fails a count", add, failing(500, "InternalServerError", ""), kind.Unavailable, 1},
		{"contended count", add, failing(400, "TransactionConflictException", ""), kind.Unavailable, 8},
		{"no table", get, failing(400, "ResourceNotFoundException", ""), kind.Internal, 1},
		{"not allowed", write, failing(400, "AccessDeniedException", ""), kind.Internal, 1},
		{"condition", write, failing(400, cancelled, reason("None", "ConditionalCheckFailed")), kind.Conflict, 1},
		{"condition in contention", write, failing(400, cancelled, reason("TransactionConflict", "ConditionalCheckFailed")), kind.Conflict, 1},
		{"contended transaction", write, failing(400, cancelled, reason("TransactionConflict", "None")), kind.Unavailable, 8},
		{"transaction that cannot be", write, failing(400, cancelled, reason("ValidationError", "None")), kind.Internal, 1},
		{"batch write without progress", writeMany, stuck("UnprocessedItems", `[{"DeleteRequest":{"Key":{"pk":{"S":"p"},"sk":{"S":"s"}}}}]`), kind.Throttled, 9},
		{"batch read without progress", getMany, stuck("UnprocessedKeys", `{"Keys":[{"pk":{"S":"p"},"sk":{"S":"s"}}]}`), kind.Throttled, 9},
		{"no such item of ours", get, func(string, *http.Request) (*http.Response, error) {
			return answer(200, `{"Item":{"pk":{"S":"p"},"sk":{"S":"s"},"v":{"S":"`+secret+`"}}}`), nil
		}, kind.Corrupt, 1},
		{"no connection", get, func(string, *http.Request) (*http.Response, error) { return nil, errors.New("about " + secret) }, kind.Unavailable, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // back-off takes no real time
				attempts := 0
				client := dynamodb.NewFromConfig(cloudtest.Config("http://127.0.0.1:1"))
				err := c.call(t, over(client, "table", func(operation string, r *http.Request) (*http.Response, error) {
					attempts++
					return c.wire(operation, r)
				}))
				if got := kind.Of(err); got != c.want || attempts != c.attempts {
					t.Errorf("got %v of kind %q after %d attempts, want %q after %d", err, got, attempts, c.want, c.attempts)
				}
				if strings.Contains(fmt.Sprint(err), secret) {
					t.Errorf("the error text holds a key or what the engine quoted: %v", err)
				}
			})
		})
	}
}
