package events

import (
	"math/big"
	"strconv"
	"strings"
)

// A decimal is a number as JSON writes it: digits times a power of ten. Adding
// two loses nothing: 0.1 and 0.2 are 0.3, and a counter beyond 2^53 still counts.
type decimal struct {
	digits *big.Int
	power  int
}

// maxPower bounds the power of ten, or two short numbers could have a long sum.
const maxPower = 400

// parseDecimal reads a JSON number; ok is false for anything else, and for one
// that is beyond all use.
func parseDecimal(v []byte) (d decimal, ok bool) {
	if !isNumber(v) || len(v) > 2*maxPower {
		return decimal{}, false
	}
	s := string(v)
	power := 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.Atoi(strings.TrimPrefix(s[i+1:], "+"))
		if err != nil || n > maxPower || n < -maxPower {
			return decimal{}, false
		}
		s, power = s[:i], n
	}
	if i := strings.IndexByte(s, '.'); i >= 0 {
		power -= len(s) - i - 1
		s = s[:i] + s[i+1:]
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return decimal{big.NewInt(n), power}, true
	}
	digits, ok := new(big.Int).SetString(s, 10)
	return decimal{digits, power}, ok
}

// at returns the digits of d for a lower or equal power.
func (d decimal) at(power int) *big.Int {
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.power-power)), nil)
	return ten.Mul(ten, d.digits)
}

func (d decimal) add(e decimal) decimal {
	power := min(d.power, e.power)
	sum := d.at(power)
	return decimal{sum.Add(sum, e.at(power)), power}
}

// String writes d without an exponent and without zeros at the end of a fraction.
func (d decimal) String() string {
	if d.power >= 0 {
		return d.at(0).String()
	}
	s := d.digits.String()
	minus := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for len(s) <= -d.power {
		s = "0" + s
	}
	point := len(s) + d.power
	s = strings.TrimRight(s[:point]+"."+s[point:], "0")
	s = strings.TrimSuffix(s, ".")
	if minus && s != "0" {
		s = "-" + s
	}
	return s
}

// scaled returns d times 10^power, cut off to a whole number; ok is false if that
// does not fit.
func (d decimal) scaled(power int) (n int64, ok bool) {
	p := d.power + power
	if p >= 0 {
		whole := decimal{d.digits, p}.at(0)
		return whole.Int64(), whole.IsInt64()
	}
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-p)), nil)
	ten.Quo(d.digits, ten)
	return ten.Int64(), ten.IsInt64()
}
