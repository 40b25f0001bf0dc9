package cloud

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Write implements table.Table. A single operation is a transaction too: only a
// transaction carries a token by which a call that is repeated, after its answer
// was lost, is answered as the first was.
func (t *dynamoTable) Write(ctx context.Context, ops ...table.Op) error {
	const op = "write"
	if err := proceed(ctx, op, table.CheckWrite(ops)); err != nil {
		return err
	}
	var items []types.TransactWriteItem
	var positions []int // of items in ops
	for n, op := range ops {
		if op.Verb == table.VerbCheck && op.If == (table.Cond{}) {
			continue // DynamoDB refuses a check of nothing
		}
		items, positions = append(items, t.transact(op)), append(positions, n)
	}
	if len(items) == 0 {
		return nil
	}
	_, err := t.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items}, t.retry)
	if failed := failedConditions(err, positions); failed != nil {
		return kind.E(kind.Conflict, op, table.ConflictError{Ops: failed})
	}
	if contended(err) == aws.TrueTernary {
		return kind.E(kind.Unavailable, op, Cause(err))
	}
	return Classify(op, err)
}

func failedConditions(err error, positions []int) []int {
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return nil
	}
	var failed []int
	for n, r := range cancelled.CancellationReasons {
		if aws.ToString(r.Code) == "ConditionalCheckFailed" && n < len(positions) {
			failed = append(failed, positions[n])
		}
	}
	return failed
}

func (t *dynamoTable) transact(op table.Op) types.TransactWriteItem {
	c := t.condition(op)
	switch op.Verb {
	case table.VerbPut:
		return types.TransactWriteItem{Put: &types.Put{
			TableName: &t.name, Item: encode(op.Item),
			ConditionExpression: c.text(), ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		}}
	case table.VerbDelete:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &t.name, Key: encodeKey(op.Item.Key),
			ConditionExpression: c.text(), ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		}}
	case table.VerbCheck:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &t.name, Key: encodeKey(op.Item.Key),
			ConditionExpression: c.text(), ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		}}
	default: // VerbAdd, as CheckWrite has seen
		c.value(":n", number(op.N))
		c.value(":v", newVersion())
		return types.TransactWriteItem{Update: &types.Update{
			TableName: &t.name, Key: encodeKey(op.Item.Key), UpdateExpression: aws.String(counting),
			ConditionExpression: c.text(), ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		}}
	}
}

const counting = "ADD " + attrCount + " :n SET " + attrVersion + " = :v"

// A condition is an expression and what it refers to.
type condition struct {
	all    []string
	names  map[string]string
	values map[string]types.AttributeValue
}

func (c *condition) text() *string {
	if len(c.all) == 0 {
		return nil
	}
	return aws.String(strings.Join(c.all, " AND "))
}

func (c *condition) value(name string, v types.AttributeValue) {
	if c.values == nil {
		c.values = make(map[string]types.AttributeValue)
	}
	c.values[name] = v
}

// expires makes the attribute of expiry, whose name is a reserved word, usable.
func (c *condition) expires() { c.names = map[string]string{"#ttl": attrExpires} }

func (t *dynamoTable) condition(op table.Op) *condition {
	c := &condition{}
	switch {
	case op.Verb == table.VerbAdd:
		room := table.Room(op.N, op.Max)
		fits := attrCount + " <= :room"
		if room >= 0 {
			fits = "(attribute_not_exists(" + attrCount + ") OR " + fits + ")"
		}
		c.all = []string{fits, "attribute_not_exists(#ttl)"}
		c.expires()
		c.value(":room", number(room))
	case op.If.Absent:
		c.all = []string{"(attribute_not_exists(" + attrPK + ") OR #ttl <= :now)"}
		c.expires()
		c.value(":now", number(t.now().Unix()))
	case op.If.At != 0:
		c.all = []string{attrVersion + " = :at", "(attribute_not_exists(#ttl) OR #ttl > :now)"}
		c.expires()
		c.value(":at", number(int64(op.If.At)))
		c.value(":now", number(t.now().Unix()))
	}
	return c
}

// WriteMany implements table.Table.
func (t *dynamoTable) WriteMany(ctx context.Context, ops []table.Op) error {
	if err := proceed(ctx, "write many", table.CheckWriteMany(ops)); err != nil {
		return err
	}
	last := make(map[table.Key]int, len(ops))
	for n, op := range ops {
		last[op.Item.Key] = n
	}
	var batches [][]types.WriteRequest
	count := 0
	for n, op := range ops {
		if last[op.Item.Key] != n {
			continue
		}
		if count%batchWrites == 0 {
			batches = append(batches, nil)
		}
		count++
		request := types.WriteRequest{}
		if op.Verb == table.VerbPut {
			request.PutRequest = &types.PutRequest{Item: encode(op.Item)}
		} else {
			request.DeleteRequest = &types.DeleteRequest{Key: encodeKey(op.Item.Key)}
		}
		batch := &batches[len(batches)-1]
		*batch = append(*batch, request)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, batch := range batches {
		group.Go(func() error { return t.writeBatch(ctx, batch) })
	}
	return group.Wait()
}

// writeBatch writes until nothing is left over for a lack of capacity.
func (t *dynamoTable) writeBatch(ctx context.Context, requests []types.WriteRequest) error {
	const op = "write many"
	var wait rests
	for len(requests) > 0 {
		out, err := t.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{t.name: requests},
		}, t.retry)
		if err != nil {
			return Classify(op, err)
		}
		left := out.UnprocessedItems[t.name]
		if err := wait.rest(ctx, op, len(left) < len(requests), len(left) > 0); err != nil {
			return err
		}
		requests = left
	}
	return nil
}

// Add implements table.Table.
func (t *dynamoTable) Add(ctx context.Context, key table.Key, n int64) (int64, error) {
	const op = "add"
	if err := proceed(ctx, op, table.CheckKey(key)); err != nil {
		return 0, err
	}
	out, err := t.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: encodeKey(key), UpdateExpression: aws.String(counting),
		ConditionExpression:       aws.String("attribute_not_exists(#ttl)"),
		ExpressionAttributeNames:  map[string]string{"#ttl": attrExpires},
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": number(n), ":v": newVersion()},
		ReturnValues:              types.ReturnValueUpdatedNew,
	}, t.retryRefused)
	var failed *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &failed):
		return 0, kind.E(kind.Conflict, op, table.ConflictError{Ops: []int{0}})
	case contended(err) == aws.TrueTernary:
		return 0, kind.E(kind.Unavailable, op, Cause(err))
	case err != nil:
		return 0, Classify(op, err)
	}
	d := decoder{m: out.Attributes}
	sum := d.number(attrCount)
	if d.wrong {
		return 0, kind.E(kind.Corrupt, op)
	}
	return sum, nil
}

// rests counts, in a batch that is answered in parts, the answers in a row that
// brought nothing. The SDK cannot retry these: to it the call succeeded.
type rests struct{ n int }

// rest waits before the next call, where another is needed, longer each time
// that the last brought no progress.
func (r *rests) rest(ctx context.Context, op string, progress, more bool) error {
	switch {
	case !more:
		return nil
	case progress:
		r.n = 0
		return proceed(ctx, op, nil)
	case r.n == maxAttempts:
		return kind.E(kind.Throttled, op)
	}
	most := min(firstBackoff<<r.n, mostBackoff)
	r.n++
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return Classify(op, ctx.Err())
	}
}
