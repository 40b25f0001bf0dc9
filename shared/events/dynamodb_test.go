package events_test

import (
	"fmt"
	"testing"
	"time"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/table"
)

// What eachHome runs on one machine holds over DynamoDB's own engine too.
func TestOverDynamoDB(t *testing.T) {
	client := cloudtest.DynamoDB(t)
	for i, run := range []func(*testing.T, *shop){
		testCollectMergesTheIDsOfAPerson, testEraseLeavesNothing, testIDsOfAllSorts, testLargeEvents, testLargeProfiles,
		testLateDataStaysOut, testNoUpdateIsLost,
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			name := fmt.Sprintf("subjects-%d", i)
			cloudtest.MakeTable(t, client, name)
			run(t, openShop(t, func(now func() time.Time) table.Table { return cloud.NewTable(client, name, now) }))
		})
	}
}
