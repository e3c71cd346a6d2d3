package config

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Origins are the websites that may call.
type Origins struct {
	Exact     []string // as browsers write them (RFC 6454 §6.2)
	Localhost bool     // any port of http://localhost and http://127.0.0.1; only ever in Dev
}

// UnmarshalText reads origins separated by commas, or none. A list with a
// mistake in it is refused whole, with the corrected list: an origin that no
// browser ever sends (a slash at its end is enough) would look like protection
// and be an outage.
func (o *Origins) UnmarshalText(text []byte) error {
	list := unquoted(string(text))
	if list == "none" {
		*o = Origins{}
		return nil
	}
	var exact, corrected, wrong []string
	for _, entry := range strings.Split(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		right, err := canonicalOrigin(entry)
		switch {
		case err != nil:
			wrong = append(wrong, quote(entry)+" "+err.Error())
		case right != entry:
			wrong = append(wrong, quote(entry)+" is not how browsers write it")
			corrected = append(corrected, right)
		default:
			exact = append(exact, right)
			corrected = append(corrected, right)
		}
	}
	if len(wrong) == 0 && len(exact) == 0 {
		wrong = append(wrong, "it names no origin")
	}
	if len(wrong) > 0 || list != string(text) {
		return &fault{strings.Join(append(wrong, "every origin must be written exactly as browsers do"), "; "), originsLine(corrected)}
	}
	*o = Origins{Exact: unique(exact)}
	return nil
}

func originsLine(origins []string) string {
	if len(origins) == 0 {
		return "ALLOWED_ORIGINS=https://app.example.com"
	}
	return "ALLOWED_ORIGINS=" + strings.Join(unique(origins), ",")
}

// add lets one more origin in.
func (o *Origins) add(origin string) { o.Exact = unique(append(o.Exact, origin)) }

func (o Origins) String() string {
	all := slices.Clone(o.Exact)
	if o.Localhost {
		all = append(all, "http://localhost:*", "http://127.0.0.1:*")
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ",")
}

// canonicalOrigin writes what s means the way a browser would. What s means is
// guessed generously, because the result is shown as a correction; it is what
// stands in the list only if it equals s.
func canonicalOrigin(s string) (string, error) {
	s = unquoted(s)
	switch {
	case secretive(s):
		return "", errors.New("is no origin")
	case strings.Contains(s, "*"):
		return "", errors.New("would let in websites that you have never seen: name each one")
	case s == "null":
		return "", errors.New("is what every sandboxed page calls itself")
	case s == "none":
		return "", errors.New("stands alone or not at all")
	case strings.ContainsFunc(s, notGraphic):
		return "", errors.New("contains a space or a character that no origin has; commas separate origins")
	}
	if !strings.Contains(s, "://") {
		s = schemeFor(s) + "://" + strings.TrimPrefix(s, "//")
	}
	u, err := url.Parse(strings.ToLower(s))
	if err != nil || u.Host == "" || u.User != nil {
		return "", errors.New("is not scheme://host or scheme://host:port")
	}
	host, err := canonicalHost(u.Hostname(), u.Scheme)
	if err != nil {
		return "", err
	}
	port, err := canonicalPort(u.Port(), u.Scheme)
	if err != nil || strings.HasSuffix(u.Host, ":") {
		return "", errors.New("has no port between 1 and 65535 after the colon")
	}
	return u.Scheme + "://" + host + port, nil
}

// schemeFor guesses: a website is served over https, this machine over http.
func schemeFor(host string) string {
	name, _, _ := strings.Cut(strings.ToLower(host), ":")
	if name == "localhost" || name == "127.0.0.1" {
		return "http"
	}
	return "https"
}

func canonicalHost(host, scheme string) (string, error) {
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.Zone() != "" || !ip.Is6() || ip.Is4In6() {
			return "", errors.New("has no IPv6 address between its brackets")
		}
		return "[" + ip.String() + "]", nil
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInHost) {
			return "", errors.New("has no host name that a browser would send (other scripts are sent as xn--…)")
		}
	}
	// A last label of digits makes a browser read the host as IPv4 (WHATWG URL §4.4).
	last := host[strings.LastIndexByte(host, '.')+1:]
	if web(scheme) && strings.Trim(last, "0123456789") == "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return "", errors.New("has no complete IPv4 address")
		}
	}
	return host, nil
}

// canonicalPort returns ":port", or nothing for the port that browsers leave out.
func canonicalPort(port, scheme string) (string, error) {
	if port == "" || port == "443" && scheme == "https" || port == "80" && scheme == "http" {
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", errors.New("not a port")
	}
	if canonical := strconv.FormatUint(n, 10); canonical != port {
		return canonicalPort(canonical, scheme)
	}
	return ":" + port, nil
}

func web(scheme string) bool { return scheme == "https" || scheme == "http" }

func notGraphic(r rune) bool {
	return r <= ' ' || r == 0x7f || r == ';' || r == '"' || r == '\'' || r == '\\'
}

func notInHost(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// unquoted takes the quotes off that `docker run --env-file` leaves on.
func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

func unique(list []string) []string {
	var seen []string
	for _, s := range list {
		if !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	return seen
}
