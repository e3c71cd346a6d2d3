// Package money counts dollars without losing one.
//
// An amount is a whole number of nano-dollars; there are no floats and no
// silent overflow. Where a division leaves a rest, it is rounded up: our books
// may say a nano-dollar too much, never one too little.
package money

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// USD is an amount in nano-dollars.
type USD int64

// What an amount is written in, and the most that Parse accepts: a cap with more
// digits than this is a typing error.
const (
	Nano   USD = 1
	Dollar USD = 1_000_000_000
	Max        = 1_000_000 * Dollar
)

const decimals = 9

// Parse reads an amount as people write it: "$20", "20", "0.5". It takes what it
// can represent exactly and nothing else: no sign, no exponent, no separators,
// at most nine decimals, at most a million dollars.
func Parse(s string) (USD, error) {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "$"), ".")
	if !digits(whole) || point && !digits(fraction) {
		return 0, fmt.Errorf("%q is not an amount of dollars: write it like $20 or 0.5", s)
	}
	if len(strings.TrimRight(fraction, "0")) > decimals {
		return 0, fmt.Errorf("%q has more than %d decimals", s, decimals)
	}
	fraction = (fraction + strings.Repeat("0", decimals))[:decimals]

	var n USD
	for _, c := range strings.TrimLeft(whole+fraction, "0") {
		if n > Max {
			break // before it can overflow
		}
		n = n*10 + USD(c-'0')
	}
	if n > Max {
		return 0, fmt.Errorf("%q is more than %v", s, Max)
	}
	return n, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// String writes the exact amount, with cents where there is a fraction: "$20",
// "$0.50", "$0.000012". Parse reads it back.
func (a USD) String() string {
	sign, n := "", uint64(a)
	if a < 0 {
		sign, n = "-", -n // in unsigned arithmetic, right for MinInt64 too
	}
	whole, rest := n/uint64(Dollar), n%uint64(Dollar)
	if rest == 0 {
		return fmt.Sprintf("%s$%d", sign, whole)
	}
	fraction := fmt.Sprintf("%09d", rest)
	cents, beyond := fraction[:2], strings.TrimRight(fraction[2:], "0")
	return fmt.Sprintf("%s$%d.%s%s", sign, whole, cents, beyond)
}

// MarshalText writes what String does.
func (a USD) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what Parse does.
func (a *USD) UnmarshalText(text []byte) error {
	n, err := Parse(string(text))
	if err != nil {
		return err
	}
	*a = n
	return nil
}

// Add is a+b, or false if that does not fit.
func (a USD) Add(b USD) (USD, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

// Sub is a−b, or false if that does not fit.
func (a USD) Sub(b USD) (USD, bool) {
	difference := a - b
	return difference, (difference < a) == (b > 0)
}

// Mul is a×n, or false if that does not fit or either is negative.
func (a USD) Mul(n int64) (USD, bool) { return a.MulUp(n, 1) }

// MulUp is a×num/den rounded up (a price times 1.1 is MulUp(11, 10)), or false
// if that does not fit, something is negative or den is zero.
func (a USD) MulUp(num, den int64) (USD, bool) {
	if a < 0 || num < 0 || den <= 0 {
		return 0, false
	}
	hi, lo := bits.Mul64(uint64(a), uint64(num))
	return divideUp(hi, lo, uint64(den))
}

// ErrNoAmount is a cost that cannot be: a negative count or price, or a sum that
// no int64 holds.
var ErrNoAmount = errors.New("the cost is negative or does not fit")

// perMillion is what prices are quoted for.
const perMillion = 1_000_000

// Sum adds products of tokens and prices exactly and rounds once, at the end: a
// provider that rounds per request bills what we count. The zero Sum is empty.
type Sum struct {
	hi, lo uint64
	bad    bool
}

// Add adds tokens at a price per million tokens. What cannot be a cost is
// remembered until Ceil.
func (s *Sum) Add(tokens int64, pricePerMillion USD) {
	if tokens < 0 || pricePerMillion < 0 {
		s.bad = true
		return
	}
	hi, lo := bits.Mul64(uint64(tokens), uint64(pricePerMillion))
	var carry, over uint64
	s.lo, carry = bits.Add64(s.lo, lo, 0)
	s.hi, over = bits.Add64(s.hi, hi, carry)
	s.bad = s.bad || over != 0
}

// Ceil is the sum in nano-dollars, rounded up.
func (s Sum) Ceil() (USD, error) {
	n, ok := divideUp(s.hi, s.lo, perMillion)
	if s.bad || !ok {
		return 0, ErrNoAmount
	}
	return n, nil
}

// divideUp is ⌈hi:lo / den⌉, or false if no USD holds it.
func divideUp(hi, lo, den uint64) (USD, bool) {
	if hi >= den {
		return 0, false
	}
	n, rest := bits.Div64(hi, lo, den)
	if n > math.MaxInt64 || n == math.MaxInt64 && rest > 0 {
		return 0, false
	}
	if rest > 0 {
		n++
	}
	return USD(n), true
}
