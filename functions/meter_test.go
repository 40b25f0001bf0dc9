package functions_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A meter counts what AWS would charge for of a function's calls. A nil meter
// counts nothing and changes nothing.
type meter struct {
	mu sync.Mutex
	usage
}

// A usage is what is charged for besides the functions and the state machines.
type usage struct {
	ReadUnits  float64 `json:"read_units"`  // of DynamoDB
	WriteUnits float64 `json:"write_units"` // of DynamoDB
	Puts       int     `json:"puts"`        // S3: PUT, POST, COPY and LIST
	Gets       int     `json:"gets"`        // S3: GET and HEAD; DELETE is free
}

func (u *usage) add(more usage) {
	u.ReadUnits += more.ReadUnits
	u.WriteUnits += more.WriteUnits
	u.Puts += more.Puts
	u.Gets += more.Gets
}

// request counts a request to S3, and lets DynamoDB tell what one consumes. The
// engine that plays it does not look at the signature of the body.
func (m *meter) request(r *http.Request, body []byte) (*http.Request, []byte) {
	if m == nil {
		return r, body
	}
	switch signedFor(r) {
	case "s3":
		m.mu.Lock()
		defer m.mu.Unlock()
		switch r.Method {
		case http.MethodPut, http.MethodPost:
			if !r.URL.Query().Has("delete") { // which is free
				m.Puts++
			}
		case http.MethodGet, http.MethodHead:
			if r.URL.Query().Has("list-type") || r.URL.Query().Has("uploads") {
				m.Puts++
			} else {
				m.Gets++
			}
		}
	case "dynamodb":
		if rest, ok := bytes.CutPrefix(body, []byte("{")); ok {
			r = r.WithContext(context.WithValue(r.Context(), asked{}, body))
			return r, append([]byte(`{"ReturnConsumedCapacity":"TOTAL",`), rest...)
		}
	}
	return r, body
}

// asked is the key of the body of a request in its context.
type asked struct{}

// answer counts what an answer of DynamoDB tells.
func (m *meter) answer(r *http.Response) error {
	if m == nil || signedFor(r.Request) != "dynamodb" {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.StatusCode != http.StatusOK {
		return nil
	}
	question, _ := r.Request.Context().Value(asked{}).([]byte)
	_, action, _ := strings.Cut(r.Request.Header.Get("X-Amz-Target"), ".")
	reads, writes, err := units(action, question, body)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ReadUnits += reads
	m.WriteUnits += writes
	return err
}

// units are the request units of one call. The engine tells them truthfully but for
// two things, which are counted here by the rules at
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html:
// an item that is absent costs as much to read as a small one, and a write in a
// transaction costs twice, and again in the index.
func units(action string, question, answer []byte) (reads, writes float64, err error) {
	var in struct {
		ConsistentRead bool
		RequestItems   map[string]struct{ Keys []json.RawMessage }
		TransactItems  []map[string]struct{ Item map[string]map[string]any }
	}
	if action == "TransactWriteItems" {
		if err := json.Unmarshal(question, &in); err != nil {
			return 0, 0, err
		}
		for _, op := range in.TransactItems {
			for _, o := range op {
				size := 0
				for name, value := range o.Item {
					size += len(name) + sizeOf(value)
				}
				kb := math.Max(1, math.Ceil(float64(size)/1024))
				writes += 2 * kb
				if o.Item["ipk"] != nil {
					writes += kb
				}
			}
		}
		return 0, writes, nil
	}
	var out struct {
		ConsumedCapacity json.RawMessage
		Item             json.RawMessage
		Responses        map[string][]json.RawMessage
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return 0, 0, err
	}
	told := 0.0
	if len(out.ConsumedCapacity) > 0 {
		type consumed struct{ CapacityUnits float64 }
		var all []consumed
		if json.Unmarshal(out.ConsumedCapacity, &all) != nil {
			all = make([]consumed, 1)
			if err := json.Unmarshal(out.ConsumedCapacity, &all[0]); err != nil {
				return 0, 0, err
			}
		}
		for _, c := range all {
			told += c.CapacityUnits
		}
	}
	switch action {
	case "BatchGetItem": // all of Lethe's are consistent
		if err := json.Unmarshal(question, &in); err != nil {
			return 0, 0, err
		}
		keys, found := 0, 0
		for _, t := range in.RequestItems {
			keys += len(t.Keys)
		}
		for _, items := range out.Responses {
			found += len(items)
		}
		return told + float64(keys-found), 0, nil
	case "GetItem":
		return math.Max(told, 1), 0, nil
	case "Query", "Scan":
		if err := json.Unmarshal(question, &in); err != nil {
			return 0, 0, err
		}
		if in.ConsistentRead {
			return math.Max(told, 1), 0, nil
		}
		return math.Max(told, 0.5), 0, nil
	}
	return 0, math.Max(told, 1), nil
}

// sizeOf is what one value of an item counts for.
func sizeOf(value map[string]any) int {
	for of, v := range value {
		text, _ := v.(string)
		if of == "B" {
			return base64.StdEncoding.DecodedLen(len(text))
		}
		return len(text)
	}
	return 0
}

// take returns what was counted since the last take.
func (m *meter) take() usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.usage
	m.usage = usage{}
	return u
}

// The rules, on calls as they are.
func TestUnits(t *testing.T) {
	large := base64.StdEncoding.EncodeToString(make([]byte, 3000))
	for name, c := range map[string]struct {
		action, question, answer string
		reads, writes            float64
	}{
		"two keys, one absent": {"BatchGetItem", `{"RequestItems":{"t":{"Keys":[{},{}],"ConsistentRead":true}}}`,
			`{"Responses":{"t":[{}]},"ConsumedCapacity":[{"CapacityUnits":3}]}`, 4, 0},
		"an item that is absent":          {"GetItem", `{}`, `{"ConsumedCapacity":{"CapacityUnits":0}}`, 1, 0},
		"an empty page of the index":      {"Query", `{"IndexName":"index"}`, `{"ConsumedCapacity":{"CapacityUnits":0}}`, 0.5, 0},
		"an empty page of the table":      {"Query", `{"ConsistentRead":true}`, `{}`, 1, 0},
		"a full page":                     {"Query", `{"ConsistentRead":true}`, `{"ConsumedCapacity":{"CapacityUnits":12}}`, 12, 0},
		"a batch of writes":               {"BatchWriteItem", `{}`, `{"ConsumedCapacity":[{"CapacityUnits":25}]}`, 0, 25},
		"a transaction":                   {"TransactWriteItems", `{"TransactItems":[{"Put":{"Item":{"d":{"B":"` + large + `"}}}},{"Delete":{}},{"Put":{"Item":{"ipk":{"S":"x"}}}}]}`, `{}`, 0, 6 + 2 + 3},
		"a write that nothing is told of": {"PutItem", `{}`, `{}`, 0, 1},
	} {
		reads, writes, err := units(c.action, []byte(c.question), []byte(c.answer))
		if err != nil || reads != c.reads || writes != c.writes {
			t.Errorf("%s: got %v read and %v written, %v; want %v and %v", name, reads, writes, err, c.reads, c.writes)
		}
	}
}
