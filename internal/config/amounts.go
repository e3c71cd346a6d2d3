package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"keyshield/internal/money"
	"keyshield/internal/policy"
)

// Budget is the most that may be spent. The zero Budget is one that was not set;
// none is policy.NoCap.
type Budget money.USD

// UnmarshalText reads an amount, or off. Zero is not off, and is no budget either:
// whoever gives nothing does not start a server.
func (b *Budget) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*b = Budget(policy.NoCap)
		return nil
	}
	amount, err := money.Parse(string(text))
	if err != nil {
		return err
	}
	if amount == 0 {
		return errors.New("must be more than 0 (a shell reads $20 as the variable $2 and a 0: write 20); for no budget at all, write off")
	}
	*b = Budget(amount)
	return nil
}

// Off reports that there is none; as a number it is then larger than any.
func (b Budget) Off() bool { return money.USD(b) == policy.NoCap }

func (b Budget) String() string {
	switch {
	case b.Off():
		return "off"
	case b == 0:
		return ""
	}
	return money.USD(b).String()
}

// Percents are shares of a budget, in ascending order.
type Percents []int

// UnmarshalText reads "50%,80%,100%", or off.
func (p *Percents) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*p = nil
		return nil
	}
	var all Percents
	for entry := range strings.SplitSeq(string(text), ",") {
		digits, signed := strings.CutSuffix(strings.TrimSpace(entry), "%")
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || !signed {
			return errors.New("not percentages")
		}
		if n < 1 || n > 100 {
			return &fault{fmt.Sprintf("%d%% is not from 1%% to 100%%", n), "BUDGET_SOFT=50%,80%,100%"}
		}
		all = append(all, int(n))
	}
	right := slices.Clone(all)
	slices.Sort(right)
	right = slices.Compact(right)
	if !slices.Equal(all, right) {
		return &fault{"must be in ascending order, each once", "BUDGET_SOFT=" + right.String()}
	}
	*p = all
	return nil
}

func (p Percents) String() string {
	if len(p) == 0 {
		return "off"
	}
	texts := make([]string, len(p))
	for i, n := range p {
		texts[i] = strconv.Itoa(n) + "%"
	}
	return strings.Join(texts, ",")
}
