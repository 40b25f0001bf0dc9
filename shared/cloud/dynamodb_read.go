package cloud

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// Get implements table.Table.
func (t *dynamoTable) Get(ctx context.Context, key table.Key) (table.Item, error) {
	const op = "get"
	if err := proceed(ctx, op, table.CheckKey(key)); err != nil {
		return table.Item{}, err
	}
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: encodeKey(key), ConsistentRead: aws.Bool(true),
	}, t.retry)
	if err != nil {
		return table.Item{}, Classify(op, err)
	}
	if out.Item == nil {
		return table.Item{}, kind.E(kind.NotFound, op)
	}
	i, err := decode(out.Item)
	if err == nil && i.Expired(t.now()) {
		err = kind.E(kind.NotFound, op)
	}
	if err != nil {
		return table.Item{}, err
	}
	return i, nil
}

// GetMany implements table.Table.
func (t *dynamoTable) GetMany(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	if err := proceed(ctx, "get many", table.CheckKeys(keys)); err != nil {
		return nil, err
	}
	var batches [][]map[string]types.AttributeValue
	asked := make(map[table.Key]bool, len(keys))
	for _, k := range keys {
		if asked[k] {
			continue
		}
		if len(asked)%batchReads == 0 {
			batches = append(batches, nil)
		}
		asked[k] = true
		last := &batches[len(batches)-1]
		*last = append(*last, encodeKey(k))
	}
	var mu sync.Mutex
	found := make(map[table.Key]table.Item)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, batch := range batches {
		group.Go(func() error {
			return t.getBatch(ctx, batch, func(i table.Item) {
				mu.Lock()
				defer mu.Unlock()
				found[i.Key] = i
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}

// getBatch asks until every key was looked up: an answer of 16 MB, or a lack of
// capacity, leaves some for another call.
func (t *dynamoTable) getBatch(ctx context.Context, keys []map[string]types.AttributeValue, found func(table.Item)) error {
	const op = "get many"
	var wait rests
	for len(keys) > 0 {
		out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{t.name: {Keys: keys, ConsistentRead: aws.Bool(true)}},
		}, t.retry)
		if err != nil {
			return Classify(op, err)
		}
		for _, m := range out.Responses[t.name] {
			i, err := decode(m)
			if err != nil {
				return err
			}
			if !i.Expired(t.now()) {
				found(i)
			}
		}
		left := out.UnprocessedKeys[t.name].Keys
		if err := wait.rest(ctx, op, len(left) < len(keys), len(left) > 0); err != nil {
			return err
		}
		keys = left
	}
	return nil
}

// Query implements table.Table.
func (t *dynamoTable) Query(ctx context.Context, q table.Query) (table.Page, error) {
	after, err := table.CheckQuery(q)
	if err := proceed(ctx, "query", err); err != nil {
		return table.Page{}, err
	}
	if q.Void() {
		return table.Page{}, nil
	}
	in := t.query(q)
	if q.After != "" {
		in.ExclusiveStartKey = encodeStart(q, after)
	}
	// DynamoDB has no bound that is exclusive above and inclusive below, so items
	// at To itself come too. They are few, and first where they come backwards: a
	// page of nothing else is passed over, since its end is outside the query.
	for {
		out, err := t.client.Query(ctx, in, t.retry)
		if err != nil {
			return table.Page{}, Classify("query", err)
		}
		page, beyond, err := t.page(q, out.Items)
		if err != nil {
			return table.Page{}, err
		}
		switch {
		case out.LastEvaluatedKey == nil, beyond && !q.Backwards:
			return page, nil
		case beyond && q.Backwards && len(page.Items) == 0:
			in.ExclusiveStartKey = out.LastEvaluatedKey
			continue
		}
		page.Next, err = next(q, out.LastEvaluatedKey)
		return page, err
	}
}

func (t *dynamoTable) query(q table.Query) *dynamodb.QueryInput {
	pk, sk := attrPK, attrSK
	in := &dynamodb.QueryInput{
		TableName:                 &t.name,
		ConsistentRead:            aws.Bool(!q.Index),
		ScanIndexForward:          aws.Bool(!q.Backwards),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": text(q.PK)},
	}
	if q.Index {
		pk, sk = attrIndexPK, attrIndexSK
		in.IndexName = aws.String(indexName)
	}
	condition := pk + " = :pk"
	switch {
	case q.From != "" && q.To != "":
		condition += " AND " + sk + " BETWEEN :from AND :to"
	case q.From != "":
		condition += " AND " + sk + " >= :from"
	case q.To != "":
		condition += " AND " + sk + " < :to"
	}
	if q.From != "" {
		in.ExpressionAttributeValues[":from"] = text(q.From)
	}
	if q.To != "" {
		in.ExpressionAttributeValues[":to"] = text(q.To)
	}
	in.KeyConditionExpression = &condition
	if q.Limit > 0 {
		in.Limit = aws.Int32(int32(min(q.Limit, 1<<20)))
	}
	return in
}

// page returns the items that q asks for, and whether there was one beyond To.
func (t *dynamoTable) page(q table.Query, items []map[string]types.AttributeValue) (page table.Page, beyond bool, err error) {
	now := t.now()
	for _, m := range items {
		i, err := decode(m)
		if err != nil {
			return table.Page{}, false, err
		}
		switch {
		case q.To != "" && table.After(q, i).Sort >= q.To:
			beyond = true
		case !i.Expired(now):
			page.Items = append(page.Items, i)
		}
	}
	return page, beyond, nil
}

func encodeStart(q table.Query, after table.Position) map[string]types.AttributeValue {
	m := encodeKey(after.Key)
	if q.Index {
		m[attrIndexPK], m[attrIndexSK] = text(q.PK), text(after.Sort)
	}
	return m
}

func next(q table.Query, last map[string]types.AttributeValue) (string, error) {
	d := decoder{m: last}
	i := table.Item{
		Key:   table.Key{PK: d.text(attrPK), SK: d.text(attrSK)},
		Index: table.Key{PK: d.text(attrIndexPK), SK: d.text(attrIndexSK)},
	}
	if d.wrong || table.CheckKey(i.Key) != nil {
		return "", kind.E(kind.Corrupt, "query: the end of a page")
	}
	return table.After(q, i).Next(q), nil
}

// Partitions implements table.Table.
func (t *dynamoTable) Partitions(ctx context.Context, f func(pk string) error) error {
	const op = "partitions"
	last := ""
	pages := dynamodb.NewScanPaginator(t.client, &dynamodb.ScanInput{
		TableName: &t.name, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String(attrPK),
	})
	for pages.HasMorePages() {
		if err := proceed(ctx, op, nil); err != nil {
			return err
		}
		out, err := pages.NextPage(ctx, t.retry)
		if err != nil {
			return Classify(op, err)
		}
		for _, m := range out.Items {
			d := decoder{m: m}
			pk := d.text(attrPK)
			if pk == last {
				continue // items of one partition come together
			}
			last = pk
			if err := f(pk); err != nil {
				return err
			}
		}
	}
	return nil
}
