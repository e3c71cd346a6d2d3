package limit

import "net/netip"

const (
	// subscriberBits is the least that any IPv6 subscriber has whole: counting
	// single addresses would give each client 2^64 allowances.
	subscriberBits = 64

	// siteBits is what many providers hand out to one customer. It should have
	// about ten times the allowance of a subscriber's /64, since it can also
	// be many subscribers of a small provider.
	siteBits = 48

	// unresolved is the key that all requests without a known address share.
	unresolved = "unresolved"
)

// AddrKeys returns the keys under which requests from addr are counted: an IPv4
// address itself; of an IPv6 address its /64, and as wide its /48, which is to be
// limited besides with a higher rate ([Rate.Times]). wide is "" where there is
// none. All requests whose address is unknown share one key, so that nobody gains
// from hiding it.
func AddrKeys(addr netip.Addr) (key, wide string) {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return unresolved, ""
	case addr.Is4():
		return addr.String(), ""
	default:
		return network(addr, subscriberBits), network(addr, siteBits)
	}
}

func network(addr netip.Addr, bits int) string {
	return netip.PrefixFrom(addr.WithZone(""), bits).Masked().String()
}
