package cloud_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/table"
	"lethe/shared/table/tabletest"
)

func TestDynamoDB(t *testing.T) { testTable(t, cloudtest.DynamoDB(t)) }

// Moto is an engine of other makers, and departs from DynamoDB in two places.
func TestDynamoDBOfMoto(t *testing.T) {
	const long = "it counts a binary value by the length of its base64, so an item within DynamoDB's limit is refused"
	testTable(t, dynamodb.NewFromConfig(cloudtest.Config(cloudtest.Moto(t))),
		tabletest.Deviation{Case: "limits", Why: long},
		tabletest.Deviation{Case: "pages end at their size", Why: long},
		tabletest.Deviation{Case: "counters", Why: "adding 0 does not answer the sum: of UPDATED_NEW it gives only what changed"},
	)
}

func testTable(t *testing.T, client *dynamodb.Client, deviations ...tabletest.Deviation) {
	t.Helper()
	var tables atomic.Int64
	tabletest.Run(t, func(t *testing.T, now func() time.Time) table.Table {
		name := fmt.Sprintf("table-%d", tables.Add(1))
		cloudtest.MakeTable(t, client, name)
		return cloud.NewTable(client, name, now)
	}, deviations...)
}
