package cloud

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Attributes of an item. The table's key is pk and sk, both strings; its index
// is named "index", has the key ipk and isk, both strings, and projects all
// attributes; its time to live is the attribute ttl. Absent ones are zero.
const (
	attrPK       = "pk"
	attrSK       = "sk"
	attrData     = "d"
	attrCount    = "n"
	attrVersion  = "v"
	attrIndexPK  = "ipk"
	attrIndexSK  = "isk"
	attrExpires  = "ttl"
	indexName    = "index"
	batchReads   = 100 // keys in one BatchGetItem
	batchWrites  = 25  // operations in one BatchWriteItem
	atOnce       = 8   // batches under way for one call
	maxAttempts  = 8
	firstBackoff = 25 * time.Millisecond
	mostBackoff  = 5 * time.Second
)

// A dynamoTable is one DynamoDB table.
type dynamoTable struct {
	client *dynamodb.Client
	name   string
	now    func() time.Time

	// Retry belongs to the SDK: every call but Add is safe to repeat, a transaction
	// by the token that the SDK sends with it.
	retry func(*dynamodb.Options)
	// Add is repeated only after an answer that says it was not applied.
	retryRefused func(*dynamodb.Options)
}

// NewTable returns the DynamoDB table of that name, whose items expire by the
// clock now. Its calls are retried, with back-off, for some seconds or until
// their context ends, whatever the client was configured with.
func NewTable(client *dynamodb.Client, name string, now func() time.Time) table.Table {
	refused := []retry.IsErrorRetryable{
		retry.NoRetryCanceledError{},
		retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes},
		retry.IsErrorRetryableFunc(contended),
	}
	every := append(refused[:len(refused):len(refused)], retry.DefaultRetryables...)
	with := func(retryables []retry.IsErrorRetryable) func(*dynamodb.Options) {
		retryer := retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.BaseDelay, o.MaxBackoff = maxAttempts, firstBackoff, mostBackoff
			o.Retryables = retryables
		})
		return func(o *dynamodb.Options) { o.Retryer = retryer }
	}
	return &dynamoTable{client: client, name: name, now: now, retry: with(every), retryRefused: with(refused)}
}

// contended reports whether err is nothing but another transaction on the same
// items, or a lack of capacity for one.
func contended(err error) aws.Ternary {
	var conflict *types.TransactionConflictException
	if errors.As(err, &conflict) {
		return aws.TrueTernary
	}
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return aws.UnknownTernary
	}
	for _, r := range cancelled.CancellationReasons {
		switch aws.ToString(r.Code) {
		case "None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
		default:
			return aws.FalseTernary
		}
	}
	return aws.TrueTernary
}

// Scrub implements table.Table: the provider owns the disks.
func (t *dynamoTable) Scrub(context.Context) error { return nil }

// proceed returns the first reason not to call DynamoDB for op.
func proceed(ctx context.Context, op string, invalid error) error {
	if invalid != nil {
		return invalid
	}
	return Classify(op, ctx.Err())
}

func newVersion() types.AttributeValue { return number(rand.Int64N(1<<63-1) + 1) }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func encodeKey(k table.Key) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attrPK: text(k.PK), attrSK: text(k.SK)}
}

func encode(i table.Item) map[string]types.AttributeValue {
	m := encodeKey(i.Key)
	m[attrVersion] = newVersion()
	if len(i.Data) > 0 {
		m[attrData] = &types.AttributeValueMemberB{Value: i.Data}
	}
	if i.Count != 0 {
		m[attrCount] = number(i.Count)
	}
	if i.Index != (table.Key{}) {
		m[attrIndexPK], m[attrIndexSK] = text(i.Index.PK), text(i.Index.SK)
	}
	if !i.Expires.IsZero() {
		m[attrExpires] = number(i.Expires.Unix())
	}
	return m
}

// decode returns the item of m, or an error of kind Corrupt.
func decode(m map[string]types.AttributeValue) (table.Item, error) {
	d := decoder{m: m}
	i := table.Item{
		Key:     table.Key{PK: d.text(attrPK), SK: d.text(attrSK)},
		Count:   d.number(attrCount),
		Index:   table.Key{PK: d.text(attrIndexPK), SK: d.text(attrIndexSK)},
		Version: table.Version(d.number(attrVersion)),
	}
	if v, ok := m[attrData]; ok {
		b, ok := v.(*types.AttributeValueMemberB)
		d.wrong = d.wrong || !ok
		if ok {
			i.Data = b.Value
		}
	}
	if _, ok := m[attrExpires]; ok {
		i.Expires = time.Unix(d.number(attrExpires), 0).UTC()
	}
	if d.wrong || table.CheckKey(i.Key) != nil || i.Version == 0 {
		return table.Item{}, kind.E(kind.Corrupt, "read an item of a DynamoDB table")
	}
	return i, nil
}

// A decoder remembers whether an attribute was not what it must be.
type decoder struct {
	m     map[string]types.AttributeValue
	wrong bool
}

func (d *decoder) text(name string) string {
	switch v := d.m[name].(type) {
	case nil:
		return ""
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		d.wrong = true
		return ""
	}
}

func (d *decoder) number(name string) int64 {
	switch v := d.m[name].(type) {
	case nil:
		return 0
	case *types.AttributeValueMemberN:
		n, err := strconv.ParseInt(v.Value, 10, 64)
		d.wrong = d.wrong || err != nil
		return n
	default:
		d.wrong = true
		return 0
	}
}
