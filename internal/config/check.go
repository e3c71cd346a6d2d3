package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"keyshield/internal/limit"
)

// check refuses what parses but must not run. What Dev does without stands
// behind l.mode; nothing else does.
func (l *Loaded) check(in inputs, dir string) {
	l.checkServer(in)
	l.readKeyFiles()
	l.checkOpenAI(in)
	l.checkKeys(in, dir)
	l.checkText()
	l.checkIdentity()
	l.checkRate("RATE_LIMIT_IP", l.Config.Limits.RateIP)
	l.checkRate("RATE_LIMIT_USER", l.Config.Limits.RateUser)
	l.checkOperator()
	l.checkAlerts()
}

func (l *Loaded) checkServer(in inputs) {
	c := &l.Config.Server
	if c.Host != "" && !isHost(c.Host) {
		l.problem("HOST", "HOST must be an IP address or a host name without a port, not "+quote(c.Host), "HOST=127.0.0.1")
	}
	l.checkPublicURL(in)
	if l.mode == Dev {
		c.Origins.Localhost = true
		if c.Host != "" && !isLoopback(c.Host) {
			l.warn("HOST lets other machines reach this server, whose token anybody can read off the terminal. Use serve for anything but trying.")
		}
		return
	}
	if l.Sources["ALLOWED_ORIGINS"] == FromDefault {
		l.problem("ALLOWED_ORIGINS", "ALLOWED_ORIGINS is missing: name the websites that may call, or write none if only servers and apps do", "ALLOWED_ORIGINS=https://app.example.com")
	}
	if p, ok := platformOf(in.shell); ok && l.Sources["TRUSTED_PROXY"] == FromDefault {
		if p.proxy == "" {
			l.warn(fmt.Sprintf("This is %s, and TRUSTED_PROXY is not set: behind an ingress every client has the ingress's address and shares one limit. Set it to the number of proxies in front, or to none if there are none.", p.name))
		} else {
			l.problem("TRUSTED_PROXY", fmt.Sprintf("TRUSTED_PROXY is missing: on %s every request comes from the platform's proxy, so that all clients would share one limit, and no safe guess is possible", p.name), "TRUSTED_PROXY="+p.proxy)
		}
	}
}

// checkPublicURL lets the server's own pages call it: browsers send Origin on a
// POST to the page's own server too.
func (l *Loaded) checkPublicURL(in inputs) {
	c := &l.Config.Server
	if c.PublicURL != "" {
		own, err := canonicalOrigin(c.PublicURL)
		switch {
		case err != nil:
			l.problem("PUBLIC_URL", "PUBLIC_URL must be this server's origin, scheme://host without a path; "+quote(c.PublicURL)+" "+err.Error(), "PUBLIC_URL=https://api.example.com")
		case !web(schemeOf(own)):
			l.problem("PUBLIC_URL", "PUBLIC_URL must begin with https:// (or http://)", "PUBLIC_URL=https://api.example.com")
		case own != c.PublicURL:
			l.problem("PUBLIC_URL", "PUBLIC_URL must be written exactly as browsers write an origin, not "+quote(c.PublicURL), "PUBLIC_URL="+own)
		default:
			c.Origins.add(own)
		}
		return
	}
	if own := ownOrigin(in.shell); own != "" {
		c.PublicURL = own
		c.Origins.add(own)
	}
}

func schemeOf(origin string) string {
	scheme, _, _ := strings.Cut(origin, "://")
	return scheme
}

// isHost reports whether host can be listened on.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return hostName.MatchString(host)
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (l *Loaded) checkOpenAI(in inputs) {
	c := &l.Config.OpenAI
	base, why := baseURL(c.BaseURL)
	if why != "" {
		// Not quoted: a mistaken URL may hold a password or a key.
		l.problem("OPENAI_BASE_URL", "OPENAI_BASE_URL "+why, "OPENAI_BASE_URL=https://api.openai.com/v1")
	}
	c.BaseURL = base
	l.checkKey()
	for name, value := range map[string]string{"OPENAI_ORGANIZATION": c.Organization, "OPENAI_PROJECT": c.Project} {
		if value != "" && !accountID.MatchString(value) {
			l.problem(name, name+" is not an id: letters, digits, - and _ only", "unset "+name)
		}
	}
	if value, source := in.pick("OPENAI_ADMIN_KEY"); value != "" {
		const why = "OPENAI_ADMIN_KEY is set (%s): an admin key can do far more than the key that is guarded here, and must not be within this server's reach"
		if l.mode == Serve {
			l.problem("OPENAI_ADMIN_KEY", fmt.Sprintf(why, source), "unset OPENAI_ADMIN_KEY")
		} else {
			l.warn(fmt.Sprintf(why, source) + ".")
		}
	}
}

var accountID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// baseURL takes a slash at the end off, or says what is wrong.
func baseURL(raw string) (base, why string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsFunc(raw, notGraphic):
		return "", "is not a URL"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return "", "must have no user, password, query or fragment"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", "must begin with https://: over http anyone on the way could read the key (http is for this machine only)"
	case u.Scheme != "https" && u.Scheme != "http":
		return "", "must begin with https://"
	}
	u.Host = strings.ToLower(u.Host)
	return strings.TrimRight(u.String(), "/"), ""
}

func (l *Loaded) checkText() {
	c := &l.Config.Text
	if !modelID.MatchString(c.Model) || secretive(c.Model) {
		l.problem("OPENAI_MODEL", "OPENAI_MODEL must be one model's id, not "+quote(c.Model), "OPENAI_MODEL=gpt-6-luna")
	}
	l.checkPrompt("SYSTEM_PROMPT", c.SystemPrompt)
	l.checkPrompt("SYSTEM_PROMPT_V1", l.Config.V1.SystemPromptV1)
	if l.sound("MAX_PROMPT_CHARS") && l.sound("MAX_BODY") {
		l.checkRoom("MAX_PROMPT_CHARS", c.MaxPromptChars)
	}
}

func (l *Loaded) checkPrompt(name, prompt string) {
	if !utf8.ValidString(prompt) || strings.ContainsRune(prompt, 0) || len(prompt) > maxFile {
		l.problem(name, fmt.Sprintf("%s must be UTF-8 text of at most %d KiB", name, maxFile>>10), name+"=You are a helpful assistant.")
	}
}

const longestChar = 4 // bytes

// checkRoom warns of prompts that are allowed and do not fit.
func (l *Loaded) checkRoom(name string, chars int) {
	if need := Bytes(chars*longestChar + 1<<10); need > l.Config.Server.MaxBody {
		l.warn(fmt.Sprintf("A prompt of %s (%d) may not fit into MAX_BODY (%s). To make room for any: MAX_BODY=%s", name, chars, l.Config.Server.MaxBody, (need+1023)>>10<<10))
	}
}

var modelID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// checkRate says so when nothing is limited.
func (l *Loaded) checkRate(name string, r limit.Rate) {
	if r.Off() && l.sound(name) {
		l.warn(name + " is off: nothing here limits how often that may be.")
	}
}
