package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/table"
)

// What eachHome runs on one machine holds over DynamoDB's own engine too.
func TestOverDynamoDB(t *testing.T) {
	client := cloudtest.DynamoDB(t)
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind}
	}
	text := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS}
	}
	for i, run := range []func(*testing.T, *shop){
		testCollectMergesTheIDsOfAPerson, testEraseLeavesNothing, testIDsOfAllSorts, testLargeEvents, testLargeProfiles,
		testLateDataStaysOut, testNoUpdateIsLost,
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			name := fmt.Sprintf("subjects-%d", i)
			_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName: &name, BillingMode: types.BillingModePayPerRequest,
				AttributeDefinitions: []types.AttributeDefinition{text("pk"), text("sk")},
				KeySchema:            []types.KeySchemaElement{key("pk", types.KeyTypeHash), key("sk", types.KeyTypeRange)},
			})
			if err != nil {
				t.Fatal(err)
			}
			run(t, openShop(t, func(now func() time.Time) table.Table { return cloud.NewTable(client, name, now) }))
		})
	}
}
