package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keyshield/internal/limit"
)

// speakers are the headers in which proxies say whom they speak for. Nothing else
// of a request is shown: not its cookies, and not the operator's token.
func speakers() []string {
	return []string{
		"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "True-Client-Ip", "Fly-Client-Ip",
		"X-Forwarded-Proto", "X-Forwarded-Host", "X-Envoy-External-Address", "Via",
	}
}

// most of what a proxy says is enough to see who it is.
const (
	mostValues = 8
	mostHeader = 512
)

// whoAmI says how r is seen. counted is the address it counts under, by the trust in
// force.
func whoAmI(r *http.Request, counted netip.Addr, trust limit.Trust) WhoAmI {
	me := WhoAmI{TrustedProxy: trust.String(), Headers: map[string][]string{}, Fits: []Fit{}}
	for _, name := range speakers() {
		for _, v := range r.Header[name][:min(len(r.Header[name]), mostValues)] {
			me.Headers[name] = append(me.Headers[name], v[:min(len(v), mostHeader)])
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		me.Advice = "You ask over the socket on this machine, where there is no address. Ask from where your users are: keyshield whoami --server https://…"
		return me
	}
	from := peer.Addr().Unmap().WithZone("")
	me.Peer = from.String()
	if counted.IsValid() {
		me.Address = counted.Unmap().String()
	}
	for _, f := range fits(r, from) {
		f.InForce = f.TrustedProxy == me.TrustedProxy
		me.Fits = append(me.Fits, f)
	}
	me.Advice = me.advice()
	return me
}

// fits are the settings that would make an address of this request, the surest
// first.
func fits(r *http.Request, peer netip.Addr) (all []Fit) {
	add := func(mode, address string) {
		addr, err := netip.ParseAddr(strings.TrimSpace(address))
		if err == nil && !slices.ContainsFunc(all, func(f Fit) bool { return f.TrustedProxy == mode }) {
			all = append(all, Fit{TrustedProxy: mode, Address: addr.Unmap().WithZone("").String()})
		}
	}
	for _, name := range []string{"fly", "render", "railway", "cloudflare"} {
		t, err := limit.ParseTrust(name)
		if err == nil && len(r.Header[t.Header]) == 1 && within(t.Peers, peer) {
			add(name, r.Header[t.Header][0])
		}
	}
	for _, name := range []string{"Cf-Connecting-Ip", "X-Real-Ip"} {
		if len(r.Header[name]) == 1 && len(all) == 0 {
			add("header:"+name+","+netip.PrefixFrom(peer, peer.BitLen()).String(), r.Header[name][0])
		}
	}
	said := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	slices.Reverse(said) // each proxy adds whom it sees at the end
	for i, address := range said[:min(len(said), mostValues)] {
		add(strconv.Itoa(i+1), address)
	}
	add("none", peer.String())
	return all
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// advice is what to do next. Which of the addresses is the operator's own only he
// knows: whatever stands in a header, a client may have written.
func (me *WhoAmI) advice() string {
	if len(me.Fits) == 1 {
		return fmt.Sprintf("Nobody in front of this server says who its clients are. If %s is your address, TRUSTED_PROXY=none is right; if not, the proxy in front must be told to say it.", me.Peer)
	}
	now := "an address that is not known"
	if me.Address != "" {
		now = me.Address
	}
	return fmt.Sprintf("You count as %s, by TRUSTED_PROXY=%s. If that is not your own address, take the line below that shows it; of several, the first.", now, me.TrustedProxy)
}
