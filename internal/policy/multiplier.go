package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Multiplier is by how much a host is dearer than api.openai.com, in
// thousandths. The zero Multiplier is none, and nothing can be priced with it.
type Multiplier int64

// Same is the price of api.openai.com.
const Same Multiplier = 1000

const (
	regional      Multiplier = 1100 // OpenAI's uplift for processing in a region
	maxMultiplier            = 100 * Same
)

// MultiplierFor is the multiplier of a host, as url.URL.Hostname names it. It is
// false for a host whose prices nobody here knows: the operator has to say.
func MultiplierFor(host string) (Multiplier, bool) {
	host = strings.ToLower(host)
	switch ip, err := netip.ParseAddr(host); {
	case host == "api.openai.com" || host == "localhost" || err == nil && ip.IsLoopback():
		return Same, true
	case strings.HasSuffix(host, ".api.openai.com"):
		return regional, true
	}
	return 0, false
}

// UnmarshalText reads "1", "1.1", "2.125". What would make a request cheaper than
// at OpenAI is refused: it would lift every cap.
func (m *Multiplier) UnmarshalText(text []byte) error {
	whole, fraction, point := strings.Cut(string(text), ".")
	digits := whole + (fraction + "000")[:max(3, len(fraction))]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || whole == "" || point && fraction == "" || len(fraction) > 3 {
		return fmt.Errorf("%.40q is not a factor: write it with at most three decimals, like 1.1", text)
	}
	if v := Multiplier(n); v < Same || v > maxMultiplier {
		return fmt.Errorf("%s is not from 1 to %d", text, maxMultiplier/Same)
	}
	*m = Multiplier(n)
	return nil
}

// String returns what UnmarshalText reads.
func (m Multiplier) String() string {
	s := fmt.Sprintf("%d.%03d", m/1000, m%1000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalText returns String.
func (m Multiplier) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
