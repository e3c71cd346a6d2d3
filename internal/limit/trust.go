package limit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxHops is more proxies than anybody has in a row, and a typing error beyond.
const maxHops = 10

// Trust says who is believed about a client's address. The zero Trust believes
// nobody: the client is the TCP peer. Otherwise, in this order:
//
//   - Header: this header, from peers in Peers; other peers are clients themselves.
//   - Hops: the entry this far from the right in X-Forwarded-For. The peer is not
//     looked at: nobody but the proxy may be able to reach the server.
//   - Peers: the rightmost entry of X-Forwarded-For not in Peers, if the peer is in.
type Trust struct {
	Header string
	Hops   int
	Peers  []netip.Prefix

	name string // of a platform; "" for what was spelt out
}

// ParseTrust reads none, render, railway, fly, cloudflare, heroku, cloudrun,
// header:<name>,<CIDR>, a number of proxies, or the CIDRs of proxies.
func ParseTrust(s string) (Trust, error) {
	if t, ok := platform(s); ok {
		return t, nil
	}
	if spec, ok := strings.CutPrefix(s, "header:"); ok {
		return parseHeader(spec)
	}
	if s != "" && strings.Trim(s, "0123456789") == "" {
		return parseHops(s)
	}
	if !strings.ContainsAny(s, "./:") {
		return Trust{}, fmt.Errorf("%q is not known: write none, render, railway, fly, cloudflare, heroku, cloudrun, header:<name>,<CIDR>, the number of proxies, or their CIDRs with commas", s)
	}
	peers, err := parsePeers(strings.Split(s, ","))
	return Trust{Peers: peers}, err
}

// platform returns what is known of a hosting platform's proxies. A private range
// is also where other services of the same owner connect from: they are believed.
func platform(name string) (Trust, bool) {
	t := Trust{name: name}
	switch name {
	case "none":
		return Trust{}, true
	case "render": // behind Cloudflare and a balancer, of which the latter is the peer
		t.Header, t.Peers = "Cf-Connecting-Ip", prefixes("10.0.0.0/8")
	case "railway":
		t.Header, t.Peers = "X-Real-Ip", prefixes("100.64.0.0/10")
	case "fly":
		// The proxy connects from the host's side of the machine's own network. The
		// private network, fdaa::/16, is left out: there other machines connect to us
		// without the proxy, and could claim any address.
		t.Header, t.Peers = "Fly-Client-Ip", prefixes("172.16.0.0/12")
	case "cloudflare":
		t.Header, t.Peers = "Cf-Connecting-Ip", cloudflare()
	case "heroku", "cloudrun": // the router appends the client; its own address is nowhere published
		t.Hops = 1
	default:
		return Trust{}, false
	}
	return t, true
}

// cloudflare returns the networks that Cloudflare connects from, as published at
// https://www.cloudflare.com/ips/ (last changed 2023-09-28; still so 2026-09-29). Of
// a network missing here all clients count as one, so it fails closed.
func cloudflare() []netip.Prefix {
	return prefixes(
		"173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18",
		"108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17",
		"162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22",
		"2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32",
		"2a06:98c0::/29", "2c0f:f248::/32",
	)
}

func prefixes(list ...string) []netip.Prefix {
	peers := make([]netip.Prefix, len(list))
	for i, s := range list {
		peers[i] = netip.MustParsePrefix(s)
	}
	return peers
}

func parseHeader(spec string) (Trust, error) {
	name, cidrs, ok := strings.Cut(spec, ",")
	if !ok {
		return Trust{}, errors.New("header: needs the proxy's network too, or everybody could send that header: write header:X-Real-IP,10.0.0.0/8")
	}
	if !token(name) {
		return Trust{}, fmt.Errorf("%q is not a header's name: write header:X-Real-IP,10.0.0.0/8", name)
	}
	name = http.CanonicalHeaderKey(name)
	if name == "X-Forwarded-For" || name == "Forwarded" {
		return Trust{}, fmt.Errorf("%s is a list that clients can add to: write the number of proxies, or their CIDRs alone", name)
	}
	peers, err := parsePeers(strings.Split(cidrs, ","))
	if err != nil {
		return Trust{}, err
	}
	return Trust{Header: name, Peers: peers}, nil
}

// token reports whether s has only the characters that http.CanonicalHeaderKey
// takes for a name's (RFC 9110 §5.6.2).
func token(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for _, c := range s {
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && !strings.ContainsRune(others, c) {
			return false
		}
	}
	return s != ""
}

func parseHops(s string) (Trust, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxHops || s[0] == '0' {
		return Trust{}, fmt.Errorf("%q: the number of proxies must be 1 to %d; without any write none", s, maxHops)
	}
	return Trust{Hops: n}, nil
}

func parsePeers(list []string) ([]netip.Prefix, error) {
	peers := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := parsePeer(strings.Trim(s, " "))
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	return peers, nil
}

// parsePeer refuses what never matches or always does. Addresses are compared
// unmapped and without a zone.
func parsePeer(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.Prefix{}, fmt.Errorf("%q is one address: write %s/%d", s, addr, addr.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not a CIDR: write a network such as 10.0.0.0/8 or 2001:db8::/32", s)
	case p.Bits() == 0 || p.Addr().Is4In6() && p.Bits() == 96:
		return netip.Prefix{}, fmt.Errorf("%q is everybody, so that any client could choose its address: write your proxy's network", s)
	case p.Addr().Is4In6() && p.Bits() > 96:
		return netip.Prefix{}, fmt.Errorf("%q: write it as %s", s, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked())
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q is an address in a network: write %s", s, p.Masked())
	}
	return p, nil
}

// UnmarshalText is ParseTrust.
func (t *Trust) UnmarshalText(text []byte) error {
	parsed, err := ParseTrust(string(text))
	if err == nil {
		*t = parsed
	}
	return err
}

// Equal reports whether both believe the same, for the same reason.
func (t Trust) Equal(u Trust) bool {
	return t.name == u.name && t.Header == u.Header && t.Hops == u.Hops && slices.Equal(t.Peers, u.Peers)
}

// String returns what ParseTrust reads.
func (t Trust) String() string {
	var words []string
	switch {
	case t.name != "":
		return t.name
	case t.Header != "":
		words = append(words, "header:"+t.Header)
	case t.Hops > 0:
		return strconv.Itoa(t.Hops)
	case len(t.Peers) == 0:
		return "none"
	}
	for _, p := range t.Peers {
		words = append(words, p.String())
	}
	return strings.Join(words, ",")
}

// MarshalText returns String.
func (t Trust) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
