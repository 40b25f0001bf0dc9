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

// newTables returns what opens a new table of the engine for each test.
func newTables(client *dynamodb.Client) tabletest.Open {
	var count atomic.Int64
	return func(t *testing.T, now func() time.Time) table.Table {
		name := fmt.Sprintf("table-%d", count.Add(1))
		cloudtest.MakeTable(t, client, name)
		return cloud.NewTable(client, name, now)
	}
}

func TestDynamoDB(t *testing.T) { tabletest.Run(t, newTables(cloudtest.DynamoDB(t))) }

// Moto is a second opinion, in which DynamoDB Local and the driver could not be
// wrong together.
func TestDynamoDBOnMoto(t *testing.T) {
	client := dynamodb.NewFromConfig(cloudtest.Config(cloudtest.Moto(t)))
	tabletest.Run(t, newTables(client),
		// It counts the size of binary data in base64, so that an item of 400 KB is
		// refused from 300 KB of data on (DynamoType.size).
		tabletest.FullItems,
		// UPDATED_NEW tells only what changed in an update, not what was updated
		// (_build_updated_new_attributes).
		tabletest.AddingZero,
		// A transaction that fails puts back the copy of the table that it took before
		// it began, and with it what others wrote since (transact_write_items).
		tabletest.Isolation,
	)
}
