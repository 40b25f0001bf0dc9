package asl

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"
)

// compareNumbers orders two numbers: exactly when both are integers of 64 bits,
// else as float64, which is what a Java double gives on AWS.
func compareNumbers(a, b json.Number) int {
	ai, aerr := strconv.ParseInt(string(a), 10, 64)
	bi, berr := strconv.ParseInt(string(b), 10, 64)
	if aerr == nil && berr == nil {
		return cmp.Compare(ai, bi)
	}
	return cmp.Compare(float(a), float(b))
}

// float returns a number as float64; one too large for it is an infinity.
func float(n json.Number) float64 {
	f, _ := strconv.ParseFloat(string(n), 64) // the error is a range error, with f at ±Inf
	return f
}

// whole returns v as an integer if it is a number without a fraction that fits.
func whole(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, true
	}
	f := float(n)
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func number(i int64) json.Number { return json.Number(strconv.FormatInt(i, 10)) }
