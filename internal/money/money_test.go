package money_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keyshield/internal/money"
)

func TestParseReadsWhatPeopleWrite(t *testing.T) {
	for text, want := range map[string]money.USD{
		"$20": 20 * money.Dollar, "20": 20 * money.Dollar, "0.5": money.Dollar / 2, "$0": 0, "007": 7 * money.Dollar,
		"0.000000001": 1, "$1.10": 1_100_000_000, "1.5000000000000": 1_500_000_000, "1000000": money.Max, "$1000000.00": money.Max,
	} {
		if got, err := money.Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestParseRefusesWhatItWouldHaveToGuess(t *testing.T) {
	for _, text := range []string{
		"", "$", ".", "$.5", "5.", "-1", "+1", "1e3", "1,000", "20 $", " 20", "$$20", "€20", "NaN", "0x10", "1_000", "１",
		"0.0000000001", "1000000.000000001", "1000001", "99999999999999999999999999", strings.Repeat("9", 1<<16),
	} {
		if got, err := money.Parse(text); err == nil {
			t.Errorf("Parse(%.40q) = %v, want an error", text, got)
		}
	}
}

func TestStringIsExactAndForPeople(t *testing.T) {
	for amount, want := range map[money.USD]string{
		0: "$0", 20 * money.Dollar: "$20", money.Dollar / 2: "$0.50", 12_000: "$0.000012", 1: "$0.000000001",
		-money.Dollar / 4: "-$0.25", money.Max: "$1000000", math.MinInt64: "-$9223372036.854775808",
	} {
		if got := amount.String(); got != want {
			t.Errorf("String(%d) = %q, want %q", int64(amount), got, want)
		}
	}
}

func TestTextIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := money.USD(rapid.Int64Range(0, int64(money.Max)).Draw(t, "amount"))
		text, err := want.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got money.USD
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Fatalf("%q was read as %d, %v; want %d", text, got, err, want)
		}
	})
}

func TestArithmeticNeverWraps(t *testing.T) {
	edge := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := edge.Draw(t, "a"), edge.Draw(t, "b")
		check := func(name string, got money.USD, ok bool, want *big.Int, valid bool) {
			if fits := valid && want.IsInt64(); ok != fits || ok && int64(got) != want.Int64() {
				t.Fatalf("%d %s %d = %d, %v; want %v", a, name, b, got, ok, want)
			}
		}
		A, B := big.NewInt(a), big.NewInt(b)
		sum, ok := money.USD(a).Add(money.USD(b))
		check("+", sum, ok, new(big.Int).Add(A, B), true)
		difference, ok := money.USD(a).Sub(money.USD(b))
		check("-", difference, ok, new(big.Int).Sub(A, B), true)
		product, ok := money.USD(a).Mul(b)
		check("×", product, ok, new(big.Int).Mul(A, B), a >= 0 && b >= 0)
	})
}

func TestMulUpRoundsUp(t *testing.T) {
	for _, c := range []struct {
		a        money.USD
		num, den int64
		want     money.USD
		ok       bool
	}{
		{100, 11, 10, 110, true}, {1, 11, 10, 2, true}, {0, 11, 10, 0, true}, {math.MaxInt64, 1, 1, math.MaxInt64, true},
		{math.MaxInt64, 11, 10, 0, false}, {1, 1, 0, 0, false}, {-1, 1, 1, 0, false}, {1, -1, 1, 0, false},
	} {
		if got, ok := c.a.MulUp(c.num, c.den); ok != c.ok || ok && got != c.want {
			t.Errorf("%d × %d/%d = %d, %v; want %d, %v", c.a, c.num, c.den, got, ok, c.want, c.ok)
		}
	}
}

func TestCostIsRoundedUpOncePerRequest(t *testing.T) {
	var s money.Sum
	for range 3 {
		s.Add(1, 400_000) // 0.4 nano-dollars each
	}
	if got, err := s.Ceil(); err != nil || got != 2 {
		t.Errorf("3 × 0.4 = %d, %v; want 2: rounded each, it would be 3", got, err)
	}
	if got, err := (money.Sum{}).Ceil(); err != nil || got != 0 {
		t.Errorf("nothing costs %d, %v", got, err)
	}
}

func TestSumIsExact(t *testing.T) {
	count := rapid.OneOf(rapid.Int64Range(-2, 1_000_000), rapid.Int64(), rapid.Just(int64(math.MaxInt64)))
	rapid.Check(t, func(t *rapid.T) {
		var s money.Sum
		exact, valid := new(big.Int), true
		for range rapid.IntRange(0, 6).Draw(t, "products") {
			tokens, price := count.Draw(t, "tokens"), count.Draw(t, "price")
			s.Add(tokens, money.USD(price))
			valid = valid && tokens >= 0 && price >= 0
			exact.Add(exact, new(big.Int).Mul(big.NewInt(tokens), big.NewInt(price)))
		}
		want := exact.Add(exact, big.NewInt(999_999))
		want.Div(want, big.NewInt(1_000_000))
		got, err := s.Ceil()
		if fits := valid && want.IsInt64(); (err == nil) != fits || fits && int64(got) != want.Int64() {
			t.Fatalf("Ceil() = %d, %v; want %v (valid: %v)", got, err, want, valid)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"$20", "0.5", "1e9", "-1", "1000000.000000001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := money.Parse(text)
		if err != nil {
			return
		}
		if amount < 0 || amount > money.Max {
			t.Fatalf("Parse(%q) = %d, outside what it promises", text, amount)
		}
		if again, err := money.Parse(amount.String()); err != nil || again != amount {
			t.Fatalf("%q is printed as %v, which reads as %v, %v", text, amount, again, err)
		}
	})
}
