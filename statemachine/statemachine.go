// Package statemachine holds the two definitions that run a request, in the
// JSONPath form of Amazon States Language. Step Functions and package asl run the
// same files.
package statemachine

import _ "embed"

// Export is the definition of the machine "export". It names the functions
// ${PlanFunctionArn}, ${CollectFunctionArn}, ${PackFunctionArn} and
// ${FinishFunctionArn}.
//
//go:embed export.asl.json
var Export []byte

// Deletion is the definition of the machine "deletion". It names the functions
// ${PlanFunctionArn}, ${BeginFunctionArn}, ${EraseFunctionArn},
// ${VerifyFunctionArn} and ${FinishFunctionArn}.
//
//go:embed deletion.asl.json
var Deletion []byte
