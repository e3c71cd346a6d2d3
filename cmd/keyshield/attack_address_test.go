package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// claimedAddresses are header lines by which a client claims another address.
// %d is a number that is new for each request.
func claimedAddresses() []string {
	var lines []string
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "Fly-Client-IP", "Client-IP", "X-Client-IP",
		"X-Cluster-Client-IP", "X-Original-Forwarded-For", "X-Envoy-External-Address", "Fastly-Client-IP", "X-Azure-ClientIP", "X-ProxyUser-Ip", "X-Remote-Addr"} {
		lines = append(lines,
			name+": 198.51.100.%d",
			strings.ToUpper(name)+": 198.51.100.%d",
			name+": 198.51.100.%[1]d\r\n"+name+": 198.51.101.%[1]d",
			name+":\r\n"+name+": 198.51.100.%d",
			name+": 198.51.100.%[1]d, 198.51.101.%[1]d, 127.0.0.1, 10.0.0.%[1]d",
			name+": 2001:db8:%x::1",
			name+": [2001:db8:%x::1]:443",
			name+": ::ffff:198.51.100.%d",
			name+": fe80::%x%%eth0",
			name+": unknown, nonsense %d",
			name+": 127.0.0.1\r\nX-Number: %d",
			name+": 10.0.0.%d",
		)
	}
	return append(lines,
		"Forwarded: for=198.51.100.%d",
		"Forwarded: for=\"[2001:db8:%x::1]\";proto=https;by=127.0.0.1",
		"Forwarded: for=198.51.100.%[1]d\r\nForwarded: for=198.51.101.%[1]d",
		"X_Forwarded_For: 198.51.100.%d",
		"X-Forwarded-For: 198.51.100.%[1]d\r\nX-Real-IP: 198.51.100.%[1]d\r\nCF-Connecting-IP: 198.51.100.%[1]d\r\nFly-Client-IP: 198.51.100.%[1]d\r\nForwarded: for=198.51.100.%[1]d",
		"Connection: X-Forwarded-For\r\nX-Number: %d",
		"Via: 1.1 198.51.100.%d",
		"Host: 198.51.100.%d",
	)
}

// knock sends a request without a token: the limit by address stands above
// authentication, so 401 is let through by it and 429 is not.
func (r *rig) knock(lines string) int {
	r.t.Helper()
	host := "Host: x\r\n"
	if strings.HasPrefix(lines, "Host:") {
		host = ""
	}
	answers, _ := r.talk("POST /api/generate-text HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n"+host+lines+"\r\n\r\n", 10*time.Second)
	if len(answers) != 1 {
		r.t.Fatalf("%.80q: %v", lines, statuses(answers))
	}
	return answers[0].status
}

// TestAClientCannotChooseItsAddress: in every mode of TRUSTED_PROXY, of a peer that
// is no trusted proxy three requests pass and no more, whatever it claims.
func TestAClientCannotChooseItsAddress(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"none", "render", "railway", "fly", "cloudflare", "header:X-Real-IP,10.0.0.0/8", "header:X-Forwarded-Host,10.0.0.0/8", "10.0.0.0/8,192.168.0.0/16", "2001:db8::/32"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := target(t, "TRUSTED_PROXY="+mode, "RATE_LIMIT_IP=3/1h")
			passed := 0
			for i, line := range claimedAddresses() {
				if r.knock(fmt.Sprintf(line, i+1)) != 429 {
					passed++
				}
			}
			if passed != 3 {
				t.Errorf("%d requests passed; want 3 in all", passed)
			}
			for _, line := range r.log.records() {
				if line["msg"] == "request" && line["ip"] != "127.0.0.1" {
					t.Fatalf("a request counted for %v: %v", line["ip"], line)
				}
			}
		})
	}
}

// TestWhatStandsLeftOfTheProxysEntryIsNotBelieved: behind proxies that append to
// X-Forwarded-For, the entry that counts is the proxy's, whatever came before it.
func TestWhatStandsLeftOfTheProxysEntryIsNotBelieved(t *testing.T) {
	t.Parallel()
	for mode, appended := range map[string]string{
		"heroku": "203.0.113.9", "cloudrun": "203.0.113.9", "1": "203.0.113.9",
		"2":                      "203.0.113.9, 10.0.0.1",
		"127.0.0.0/8,10.0.0.0/8": "203.0.113.9, 10.0.0.1",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := target(t, "TRUSTED_PROXY="+mode, "RATE_LIMIT_IP=3/1h")
			passed := 0
			for i, line := range claimedAddresses() {
				line = fmt.Sprintf(line, i+1)
				before, after := line+"\r\nX-Forwarded-For: "+appended, line
				if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "X-Forwarded-For") && !strings.Contains(value, "\r\n") {
					after = name + ": " + value + ", " + appended
					if i%2 == 0 {
						before = after // the proxy may write one header or add another
					}
				}
				if r.knock(before) != 429 {
					passed++
				}
			}
			if passed != 3 {
				t.Errorf("%d requests passed; want 3 in all", passed)
			}
		})
	}
}

// TestAHeaderThatCameTwiceIsNobodysWord: a proxy that sets the header sends one. Of
// two, all share the bucket of the unknown.
func TestAHeaderThatCameTwiceIsNobodysWord(t *testing.T) {
	t.Parallel()
	r := target(t, "TRUSTED_PROXY=header:X-Real-IP,127.0.0.0/8", "RATE_LIMIT_IP=3/1h")
	passed := 0
	for i := range 20 {
		if r.knock(fmt.Sprintf("X-Real-IP: 198.51.100.%d\r\nX-Real-IP: 203.0.113.%d", i, i)) != 429 {
			passed++
		}
	}
	for _, nonsense := range []string{"", "unknown", "1.2.3", "1.2.3.4, 5.6.7.8", "1.2.3.4:5", "01.2.3.4", "::1::", "127.0.0.1\t127.0.0.2"} {
		if r.knock("X-Real-IP: "+nonsense) != 429 {
			passed++
		}
	}
	if passed != 3 {
		t.Errorf("%d requests of nobody passed; want 3 in all", passed)
	}
}

// TestRotatingThroughAnIPv6NetworkDoesNotHelp: a /64, which any subscriber has, is
// one client; the /48 around it has ten times as much and no more.
func TestRotatingThroughAnIPv6NetworkDoesNotHelp(t *testing.T) {
	t.Parallel()
	r := target(t, "TRUSTED_PROXY=127.0.0.0/8", "RATE_LIMIT_IP=3/1h")
	rotate := func(n int, address func(i int) string) (passed int) {
		for i := range n {
			if r.knock("X-Forwarded-For: "+address(i)) != 429 {
				passed++
			}
		}
		return passed
	}
	if n := rotate(40, func(i int) string { return fmt.Sprintf("2001:db8:1:1:%x::%x", i, i*7919%0xffff) }); n != 3 {
		t.Errorf("within a /64, %d requests passed; want 3", n)
	}
	spellings := []string{"2001:db8:1:1::1", "2001:0DB8:0001:0001::1", "2001:db8:1:1:0:0:0:1", "2001:db8:1:1::1%eth0", "2001:db8:1:1::192.0.2.1"}
	if n := rotate(20, func(i int) string { return spellings[i%len(spellings)] }); n != 0 {
		t.Errorf("by another spelling, %d more requests passed; want none", n)
	}
	if n := rotate(100, func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i+2) }); n != 27 {
		t.Errorf("within the /48, %d more requests passed; want 27, which makes 30", n)
	}
	if n := rotate(3, func(i int) string { return "2001:db8:2::1" }); n != 3 {
		t.Errorf("of the next /48, %d of 3 passed: one network must not use up another's", n)
	}
	if n := rotate(20, func(i int) string { return fmt.Sprintf("::ffff:198.51.100.%d", 7) }); n != 3 {
		t.Errorf("of an IPv4 address in IPv6's dress, %d passed; want 3", n)
	}
	if n := rotate(5, func(i int) string { return "198.51.100.7" }); n != 0 {
		t.Errorf("of the same one undressed, %d more passed; want none", n)
	}
}

// TestManyConnectionsAreOneClient.
func TestManyConnectionsAreOneClient(t *testing.T) {
	t.Parallel()
	r := target(t, "RATE_LIMIT_IP=3/1h")
	passed := 0
	for range 20 { // each from a port of its own
		if r.knock("X-Nothing: 1") != 429 {
			passed++
		}
	}
	if passed != 3 {
		t.Errorf("%d passed; want 3", passed)
	}
}
