package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"keyshield/internal/auth"
)

// effects has a test for every setting that shows over HTTP what it does. A
// setting that nothing reads is worse than none: it looks like protection.
func effects() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"PORT":            portIsListenedOn,
		"HOST":            hostIsListenedOn,
		"PUBLIC_URL":      publicURLIsAnOrigin,
		"TRUSTED_PROXY":   trustedProxyNamesTheClient,
		"ALLOWED_ORIGINS": allowedOriginsMayCall,
		"ENDPOINTS":       endpointsAreOpened,
		"MAX_BODY":        maxBodyCaps,
		"MAX_BODY_V1":     maxBodyOfV1Caps,
		"MAX_IN_FLIGHT":   maxInFlightBounds,
		"SHUTDOWN_GRACE":  shutdownGraceIsGiven,
		"LOG_LEVEL":       logLevelChooses,
		"LOG_FORMAT":      logFormatChooses,

		"OPENAI_API_KEY":      keyIsSent,
		"OPENAI_BASE_URL":     baseURLIsAsked,
		"OPENAI_ORGANIZATION": organizationIsSent,
		"OPENAI_PROJECT":      projectIsSent,
		"UPSTREAM_TIMEOUT":    upstreamTimeoutEndsAnAnswer,
		"STREAM_IDLE_TIMEOUT": idleTimeoutEndsASilence,
		"STREAM_MAX":          streamMaxEndsAStream,

		"OPENAI_MODEL":      modelIsSent,
		"SYSTEM_PROMPT":     systemPromptIsSent,
		"MAX_OUTPUT_TOKENS": outputLimitIsSent,
		"MAX_PROMPT_CHARS":  promptLimitHolds,
		"STRIP_HTML":        htmlIsStripped,
		"TEMPERATURE":       temperatureIsSent,
		"REASONING_EFFORT":  effortIsSent,

		"MODELS":               modelsMayBeAsked,
		"MAX_OUTPUT_TOKENS_V1": outputOfV1IsBounded,
		"SYSTEM_PROMPT_V1":     systemPromptOfV1ComesFirst,

		"JWT_SECRET":          secretVerifies,
		"AUTH_PROVIDER":       providersVerify,
		"FIREBASE_PROJECT_ID": presetOf("firebase"),
		"SUPABASE_URL":        presetOf("supabase"),
		"AUTH0_DOMAIN":        presetOf("auth0"),
		"CLERK_ISSUER":        presetOf("clerk"),
		"COGNITO_ISSUER":      presetOf("cognito"),
		"COGNITO_CLIENT_ID":   presetOf("cognito"),
		"JWT_JWKS_URL":        keySetVerifies,
		"JWT_ISSUER":          issuerIsChecked,
		"JWT_AUDIENCE":        audienceIsChecked,
		"JWT_USER_CLAIM":      userClaimIsTheUser,
		"JWT_PLAN_CLAIM":      planClaimIsThePlan,
		"JWT_MAX_LIFETIME":    lifetimeIsBounded,

		"RATE_LIMIT_IP":        ipRateLimits,
		"RATE_LIMIT_USER":      userRateLimits,
		"MAX_STREAMS_PER_USER": streamsAreCapped,
		"BREAKER":              breakerOpens,

		"BUDGET_MONTH":      monthIsTwenty,
		"BUDGET_DAY":        dayIsAFifth,
		"BUDGET_USER_DAY":   userDayIsADollar,
		"BUDGET_USER_MONTH": budgetIs("BUDGET_USER_MONTH", endOfMonth, false),
		"BUDGET_SOFT":       softLimitsAreTold,
		"PLANS_FILE":        plansRule,
		"PRICES_FILE":       pricesAreTheFiles,
		"PRICE_MULTIPLIER":  multiplierMultiplies,
		"HANGUP":            hangUpIsCancelledOrDrained,
		"DRAIN_TOKENS":      drainTokensBoundTheRest,
		"DATA_DIR":          dataOutlivesAStart,
		"LEDGER_EPHEMERAL":  forgettingIsAccepted,
		"EXPOSE_BUDGET":     budgetIsExposed,

		"OPENAI_API_KEYS":       severalKeysTakeTurns,
		"OPENAI_KEY_SOURCE":     keysComeFromTheSource,
		"OPENAI_KEY_SOURCE_URL": keysComeFromTheSource,
		"DOPPLER_TOKEN":         keysComeFromTheSource,
		"KEY_REFRESH":           keysAreReadAgain,

		"PLAYGROUND":     playgroundIsShown,
		"ADMIN_TOKEN":    adminTokenOpensTheDoor,
		"AUDIT_IP":       auditIPNamesAddresses,
		"AUDIT_DAYS":     auditDaysAreKept,
		"AUDIT_REQUIRED": auditIsRequired,
		"AUTO_DISABLE":   autoDisableDisables,

		"ALERT_SLACK_URL":      slackIsTold,
		"ALERT_WEBHOOK_URL":    webhookIsTold,
		"ALERT_WEBHOOK_SECRET": webhookSecretSigns,
		"ALERT_SMTP_URL":       mailIsSent,
		"ALERT_EMAIL_FROM":     mailIsSent,
		"ALERT_EMAIL_TO":       mailIsSent,
	}
}

var settingLine = regexp.MustCompile(`(?m)^#?([A-Z][A-Z0-9_]*)=(.*)$`)

func TestEverySettingDoesWhatItSays(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile(filepath.Join("..", "..", ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	all := effects()
	for _, line := range settingLine.FindAllStringSubmatch(string(example), -1) {
		show, ok := all[line[1]]
		if !ok {
			t.Errorf("%s has no test that shows its effect over HTTP", line[1])
			continue
		}
		delete(all, line[1])
		t.Run(line[1], func(t *testing.T) { t.Parallel(); show(t) })
	}
	for name := range all {
		t.Errorf("%s is tested, but .env.example does not name it", name)
	}
}

// freePort is one that was free a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func portIsListenedOn(t *testing.T) {
	port := freePort(t)
	r := start(t, "PORT="+port)
	if r.addr != "127.0.0.1:"+port || r.get("/livez").status != http.StatusOK {
		t.Errorf("listens on %s, want port %s", r.addr, port)
	}
}

func hostIsListenedOn(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skip("this machine has only one loopback address:", err)
	} else {
		l.Close()
	}
	for host, want := range map[string][2]bool{"127.0.0.2": {false, true}, "127.0.0.1": {true, false}, "": {true, true}} {
		r := start(t, "HOST="+host)
		_, port, err := net.SplitHostPort(r.addr)
		if err != nil {
			t.Fatal(err)
		}
		for i, address := range []string{"127.0.0.1", "127.0.0.2"} {
			c, err := net.Dial("tcp", net.JoinHostPort(address, port))
			if err == nil {
				c.Close()
			}
			if (err == nil) != want[i] {
				t.Errorf("HOST=%q: %s is reachable: %t, want %t", host, address, err == nil, want[i])
			}
		}
	}
}

// publicURLIsAnOrigin: browsers send Origin on a POST to the page's own server
// too.
func publicURLIsAnOrigin(t *testing.T) {
	for setting, own := range map[string]string{
		"PUBLIC_URL=https://api.example.com":                       "https://api.example.com",
		"RENDER_EXTERNAL_URL=https://shield.onrender.com":          "https://shield.onrender.com",
		"RAILWAY_PUBLIC_DOMAIN=shield.up.railway.app":              "https://shield.up.railway.app",
		"FLY_APP_NAME=shield":                                      "https://shield.fly.dev",
		"HEROKU_APP_DEFAULT_DOMAIN_NAME=shield-1234.herokuapp.com": "https://shield-1234.herokuapp.com",
	} {
		r := start(t, "ALLOWED_ORIGINS=none", "TRUSTED_PROXY=none", "LEDGER_EPHEMERAL=accept", setting)
		if got := r.ask("hi", "Origin: "+own); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != own {
			t.Errorf("%s: from %s got %d", setting, own, got.status)
		}
		r.ask("hi", "Origin: https://other.example").wants(t, 403, "origin_not_allowed")
	}
	start(t, "ALLOWED_ORIGINS=none").ask("hi", "Origin: https://api.example.com").wants(t, 403, "origin_not_allowed")
}

func trustedProxyNamesTheClient(t *testing.T) {
	const claimed = "198.51.100.7"
	headers := []string{"X-Forwarded-For: 203.0.113.9, " + claimed, "X-Real-IP: 192.0.2.1", "CF-Connecting-IP: 192.0.2.2", "Fly-Client-IP: 192.0.2.3"}
	for trust, want := range map[string]string{
		"none":                         "127.0.0.1",
		"1":                            claimed,
		"2":                            "203.0.113.9",
		"127.0.0.0/8":                  claimed,
		"127.0.0.0/8,198.51.100.0/24":  "203.0.113.9",
		"header:X-Real-IP,127.0.0.0/8": "192.0.2.1",
		"header:X-Real-IP,10.0.0.0/8":  "127.0.0.1",
		"heroku":                       claimed,
		"cloudrun":                     claimed,
		"render":                       "127.0.0.1",
		"railway":                      "127.0.0.1",
		"fly":                          "127.0.0.1",
		"cloudflare":                   "127.0.0.1",
	} {
		r := start(t, "TRUSTED_PROXY="+trust, "RATE_LIMIT_IP=1/1h")
		got := r.ask("hi", headers...)
		if ip := r.log.request(t, got.header.Get("X-Request-Id"))["ip"]; ip != want {
			t.Errorf("TRUSTED_PROXY=%s: the client is %v, want %s", trust, ip, want)
		}
		if again := r.ask("hi", headers...); again.status != http.StatusTooManyRequests {
			t.Errorf("TRUSTED_PROXY=%s: the same client again got %d, want 429", trust, again.status)
		}
		other := r.ask("hi", "X-Forwarded-For: 203.0.113.10, 198.51.100.8", "X-Real-IP: 192.0.2.4")
		if limited := other.status == http.StatusTooManyRequests; limited != (want == "127.0.0.1") {
			t.Errorf("TRUSTED_PROXY=%s: another client got %d", trust, other.status)
		}
	}
}

func allowedOriginsMayCall(t *testing.T) {
	r := start(t, "ALLOWED_ORIGINS=https://a.example, http://localhost:5173")
	for from, status := range map[string]int{"https://a.example": 200, "http://localhost:5173": 200, origin: 403} {
		if got := r.ask("hi", "Origin: "+from); got.status != status {
			t.Errorf("from %s: got %d, want %d", from, got.status, status)
		}
	}
}

func maxBodyCaps(t *testing.T) {
	small := start(t, "MAX_BODY=1KiB")
	if p := small.ask(strings.Repeat("a", 1100)).wants(t, 413, "body_too_large"); p.Error != "The request body is too large. Please keep it under 1024 bytes." {
		t.Errorf("got the words %q", p.Error)
	}
	large := start(t, "MAX_BODY=1MiB", "MAX_PROMPT_CHARS=200000")
	if got := large.ask(strings.Repeat("a", 200_000)); got.status != http.StatusOK || len(lastPrompt(t, large)) != 200_000 {
		t.Errorf("200,000 characters into 1 MiB: got %d %s", got.status, got.body)
	}
}

func maxInFlightBounds(t *testing.T) {
	r := start(t, "MAX_IN_FLIGHT=1")
	openStream(t, r)
	r.ask("hi").wants(t, 503, "overloaded")
}

func logLevelChooses(t *testing.T) {
	for level, want := range map[string][2]bool{"debug": {true, true}, "info": {true, true}, "warn": {false, true}, "error": {false, false}} {
		r := start(t, "PORT="+freePort(t), "LOG_LEVEL="+level)
		good := r.ask("hi").header.Get("X-Request-Id")
		bad := r.ask("[[sim status=500]]").header.Get("X-Request-Id")
		worst := r.ask("[[sim quota]]").header.Get("X-Request-Id")
		r.log.request(t, worst) // an error is always told, and later than the others
		for i, id := range []string{good, bad} {
			if told := strings.Contains(r.log.String(), id); told != want[i] {
				t.Errorf("LOG_LEVEL=%s: answer %d is logged: %t, want %t", level, i, told, want[i])
			}
		}
	}
}

func logFormatChooses(t *testing.T) {
	r := start(t, "LOG_FORMAT=text")
	id := r.ask("hi").header.Get("X-Request-Id")
	r.log.wait(t, "the request's line", func(text string) bool { return strings.Contains(text, "msg=request request_id="+id) })
	r = start(t, "LOG_FORMAT=json")
	r.log.request(t, r.ask("hi").header.Get("X-Request-Id"))
}

func ipRateLimits(t *testing.T) {
	r := start(t, "RATE_LIMIT_IP=2/1h")
	r.ask("hi").wants200(t, jsonForm)
	r.ask("hi").wants200(t, jsonForm)
	r.ask("hi").wants(t, 429, "rate_limited")
	free := start(t, "RATE_LIMIT_IP=off")
	for range 40 { // twice the default
		if got := free.ask("hi", "Authorization:"); got.status != 401 || got.header.Get("RateLimit-Limit") != "" {
			t.Fatalf("off: got %d with RateLimit-Limit %q", got.status, got.header.Get("RateLimit-Limit"))
		}
	}
	usual := start(t, "RATE_LIMIT_IP")
	if said := rates(usual.ask("hi")); said[0] != "20" || said[3] != "20;w=900" {
		t.Errorf("unset: got %v, want 20/15m", said)
	}
}

func userRateLimits(t *testing.T) {
	r := start(t, "RATE_LIMIT_USER=1/1h")
	r.ask("hi").wants200(t, jsonForm)
	r.ask("hi").wants(t, 429, "rate_limited")
	usual := start(t, "RATE_LIMIT_USER")
	if said := rates(usual.ask("hi")); said[0] != "100" || said[3] != "100;w=3600" {
		t.Errorf("unset: got %v, want 100/1h", said)
	}
	free := start(t, "RATE_LIMIT_USER=off")
	if said := rates(free.ask("hi")); said != [4]string{} {
		t.Errorf("off: got %v, want no limit told", said)
	}
}

func streamsAreCapped(t *testing.T) {
	for setting, room := range map[string]int{"MAX_STREAMS_PER_USER=1": 1, "MAX_STREAMS_PER_USER": 5, "MAX_STREAMS_PER_USER=off": 8} {
		r := start(t, setting)
		for range room {
			openStream(t, r)
		}
		if setting == "MAX_STREAMS_PER_USER=off" {
			continue
		}
		r.ask("hi", "Accept: text/event-stream").wants(t, 429, "too_many_streams")
	}
}

// secretVerifies: the secret in force counts, and no other.
func secretVerifies(t *testing.T) {
	r := start(t, "JWT_SECRET="+jwtSecret+"-another")
	r.ask("hi").wants(t, 403, "token_invalid")
	other := mintWith(t, jwtSecret+"-another", auth.Claims{Subject: "ana"})
	r.ask("hi", "Authorization: Bearer "+other).wants200(t, jsonForm)
}
