// Package asl runs state machines in the JSONPath form of Amazon States Language
// as Step Functions (Standard) runs them, on one machine and durably. Load reads
// a definition and refuses what is not run; New and Run give the Engine, whose
// Start, Describe and Stop are those of Step Functions.
//
// Every transition of an execution is in the table before the next begins. When
// the process dies, the next Run resumes every execution where it stood, timers
// included; a task that was running runs again, and one that ended does not,
// unless the process died before its result was stored. Iterations of a Map and
// branches of a Parallel are stored one by one. An execution goes on with the
// definition it was started with, whatever definition the engine has now.
//
// # What differs from Step Functions
//
// A cause holds no value of the data; Step Functions often adds the input. The
// context object names machines and executions in the made-up region "local", and
// no task token is in it. States.MathRandom with a seed gives other numbers. A
// time-out of a Task counts from when its function is called, not from when it is
// queued for one of Engine.Tasks places; the function is told by its context, is
// not waited for, and may overlap with the next attempt.
//
// Not run, and refused by Load: JSONata, variables (Assign), a distributed Map,
// task tokens, heartbeats, activities, integrations other than lambda:invoke, the
// old fields Iterator and Map's Parameters, and of JSONPath: functions, regular
// expressions, a choice of names, filters that look outside their element or
// stand right behind "..", and names written with a dot that hold other
// characters than letters, digits and _ (write ['name']).
package asl
