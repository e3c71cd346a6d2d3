package limit_test

import (
	"net/netip"
	"testing"

	"keyshield/internal/limit"
)

func TestAddrKeys(t *testing.T) {
	for _, tt := range []struct{ addr, key, wide string }{
		{"203.0.113.9", "203.0.113.9", ""},
		{"::ffff:203.0.113.9", "203.0.113.9", ""},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:db8:1:2:ffff::1", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:db8:1:3::1", "2001:db8:1:3::/64", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
	} {
		key, wide := limit.AddrKeys(netip.MustParseAddr(tt.addr))
		if key != tt.key || wide != tt.wide {
			t.Errorf("%s counts as %q and %q, want %q and %q", tt.addr, key, wide, tt.key, tt.wide)
		}
	}
	if key, wide := limit.AddrKeys(netip.Addr{}); key != "unresolved" || wide != "" {
		t.Errorf("no address counts as %q and %q, want one bucket for all", key, wide)
	}
}
